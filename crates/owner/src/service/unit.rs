//! The text of the worker's unit.
//!
//! Everything that a worker does not need is taken from it; each thing that has to stay open says why. What systemd keeps
//! from the worker by system calls, it keeps from what the built-in runtime starts, too.
//!
//! Invariant: every line has its reason above it.

use std::fmt::Write;
use std::path::Path;

/// What the service is called.
pub const NAME: &str = "hivemind-worker.service";
/// Where systemd hides the folders of people with `ProtectHome`.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Something that a unit cannot name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUnit {
    /// A path.
    #[error(
        "`{0}` cannot be in a unit of systemd; use a whole path from `/` on, in UTF-8, without line breaks and `..`"
    )]
    Path(String),
    /// A user.
    #[error("`{0}` is no user's name; use lower-case letters, digits, `_` and `-`, at most 32")]
    User(String),
}

/// The unit of a worker: the program `exe` with its data in `data`, as `user`.
///
/// `root` is the user for whom disk limits, shares of the machine and input are whole.
///
/// # Errors
/// [`BadUnit`].
pub fn unit(exe: &Path, data: &Path, user: &str) -> Result<String, BadUnit> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let begins = user.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    if !begins || user.len() > 32 || !user.chars().all(fits) {
        return Err(BadUnit::User(user.chars().filter(|c| !c.is_control()).take(40).collect()));
    }
    let (exe_text, data_text) = (quoted(exe)?, quoted(data)?);
    let mut text =
        String::from("# Made by `hivemind worker install`; `systemctl edit hivemind-worker` changes it, and lasts.\n");
    section(&mut text, "Unit", &UNIT);
    section(&mut text, "Service", &[("The worker says itself when it has joined.", "Type=notify"), ONLY_MAIN]);
    line(&mut text, "What runs, as whom.", &format!("ExecStart={exe_text} --data {data_text} worker"));
    line(&mut text, "Only root can limit disks, hold shares and see every keyboard.", &format!("User={user}"));
    lines(&mut text, &LIFE);
    line(&mut text, "All that it writes: its data, and what the built-in runtime mounts.", &writes(&data_text));
    homes(&mut text, exe, data, &exe_text, &data_text);
    lines(&mut text, &CLOSED);
    lines(&mut text, &OPEN);
    section(&mut text, "Install", &[("At every start of the machine.", "WantedBy=multi-user.target")]);
    Ok(text)
}

/// A line, with the reason for it.
type Line = (&'static str, &'static str);

const UNIT: [Line; 4] = [
    ("For people.", "Description=HiveMind worker: lends this machine"),
    ("The pool is somewhere on the network.", "Wants=network-online.target"),
    ("Docker, where there is one, is there first.", "After=network-online.target docker.service"),
    ("A worker that cannot run is not tried for ever.", "StartLimitIntervalSec=600\nStartLimitBurst=10"),
];

const ONLY_MAIN: Line = ("Nothing that it starts speaks for it.", "NotifyAccess=main");

const LIFE: [Line; 7] = [
    ("A worker that stands still is started anew; its leases end by themselves.", "WatchdogSec=60"),
    ("It ends by itself only when its owner says so.", "Restart=on-failure\nRestartSec=5"),
    ("It has to reach its pool, and to look for leftovers, first.", "TimeoutStartSec=300"),
    (
        "It removes its containers at its end; the helper that does so for a killed one is deaf to the first signal.",
        "KillMode=control-group\nTimeoutStopSec=90",
    ),
    ("One connection, and one each for logs and files of what runs.", "LimitNOFILE=65536"),
    ("A dump of its memory would have its key in it.", "LimitCORE=0"),
    ("Nobody else reads what it writes.", "UMask=0077"),
];

const CLOSED: [Line; 11] = [
    ("Nothing that it starts becomes more than it is.", "NoNewPrivileges=yes"),
    ("The system is for reading.", "ProtectSystem=strict"),
    ("Files of others in /tmp are none of its business.", "PrivateTmp=yes"),
    ("It loads no modules.", "ProtectKernelModules=yes"),
    ("It asks for no turn before others.", "RestrictRealtime=yes"),
    ("Other systems' ways are not needed.", "LockPersonality=yes"),
    ("Network, and words with Docker and the kernel.", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    (
        "Of what root may do, what no container needs.",
        "CapabilityBoundingSet=~CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_BLOCK_SUSPEND CAP_BPF CAP_IPC_OWNER CAP_LEASE \
         CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_PERFMON CAP_SYSLOG CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_PACCT \
         CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM",
    ),
    (
        "No change of clocks, modules, swap or the machine's state, and no old ways.",
        "SystemCallFilter=~@clock @module @obsolete @raw-io @reboot @swap",
    ),
    ("A refused call is an error like any other.", "SystemCallErrorNumber=EPERM"),
    ("So many processes are a mistake; those of tasks are counted elsewhere.", "TasksMax=4096"),
];

const OPEN: [Line; 9] = [
    (
        "Must stay open: loop devices hold the disk limits, graphics processors and input devices are asked.",
        "PrivateDevices=no",
    ),
    (
        "Must stay open: the shares of the machine and what the built-in runtime starts are control groups.",
        "ProtectControlGroups=no",
    ),
    (
        "Must stay open: the kernel mounts /proc for a container only where nothing of it is hidden.",
        "ProtectKernelTunables=no",
    ),
    ("Must stay open: as above.", "ProtectKernelLogs=no"),
    ("Must stay open: containers have names of machines of their own.", "ProtectHostname=no"),
    ("Must stay open: containers are namespaces.", "RestrictNamespaces=no"),
    ("Must stay open: layers of images have such files, below its data.", "RestrictSUIDSGID=no"),
    ("Must stay open: modules of WebAssembly are compiled in memory.", "MemoryDenyWriteExecute=no"),
    ("Must stay open: the pool, images, and what tasks are let reach.", "PrivateNetwork=no"),
];

fn writes(data: &str) -> String {
    format!("ReadWritePaths={data} -/run")
}

/// Files of people are hidden; where the worker itself lies among them, all but it.
fn homes(text: &mut String, exe: &Path, data: &Path, exe_text: &str, data_text: &str) {
    let within = |path: &Path| HOMES.iter().any(|home| path.starts_with(home));
    if !within(exe) && !within(data) {
        return line(text, "Files of people are hidden.", "ProtectHome=yes");
    }
    line(text, "Files of people are hidden, but for what follows.", "ProtectHome=tmpfs");
    if within(data) {
        line(text, "Its data lies among them.", &format!("BindPaths={data_text}"));
    }
    if within(exe) {
        line(text, "The program lies among them.", &format!("BindReadOnlyPaths={exe_text}"));
    }
}

fn section(text: &mut String, name: &str, content: &[Line]) {
    // A string takes all that is written.
    let _always = write!(text, "\n[{name}]\n");
    lines(text, content);
}

fn lines(text: &mut String, content: &[Line]) {
    content.iter().for_each(|(why, what)| line(text, why, what));
}

fn line(text: &mut String, why: &str, what: &str) {
    let _always = writeln!(text, "# {why}\n{what}");
}

/// A path as systemd reads it back, whatever is in it.
fn quoted(path: &Path) -> Result<String, BadUnit> {
    let bad = || BadUnit::Path(path.display().to_string().chars().filter(|c| !c.is_control()).take(200).collect());
    let text = path.to_str().ok_or_else(bad)?;
    let up = path.components().any(|part| part == std::path::Component::ParentDir);
    // A colon would part two paths where one is bound to another.
    if !path.is_absolute() || up || text.chars().any(|c| c.is_control() || c == ':') {
        return Err(bad());
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(if escaped == text && !text.contains([' ', '\'', ';']) { escaped } else { format!("\"{escaped}\"") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn text() -> String {
        unit(Path::new("/usr/bin/hivemind"), Path::new("/var/lib/hivemind-worker"), "root").unwrap()
    }

    /// Each setting once, with its value.
    fn settings(text: &str) -> BTreeMap<&str, &str> {
        let mut all = BTreeMap::new();
        for (name, value) in text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='))
        {
            assert!(all.insert(name, value).is_none(), "{name} twice");
        }
        all
    }

    #[test]
    fn every_setting_is_as_it_has_to_be() {
        let text = text();
        let mut settings = settings(&text);
        for (name, value) in [
            ("Description", "HiveMind worker: lends this machine"),
            ("Wants", "network-online.target"),
            ("After", "network-online.target docker.service"),
            ("StartLimitIntervalSec", "600"),
            ("StartLimitBurst", "10"),
            ("Type", "notify"),
            ("NotifyAccess", "main"),
            ("ExecStart", "/usr/bin/hivemind --data /var/lib/hivemind-worker worker"),
            ("User", "root"),
            ("WatchdogSec", "60"),
            ("Restart", "on-failure"),
            ("RestartSec", "5"),
            ("TimeoutStartSec", "300"),
            ("TimeoutStopSec", "90"),
            ("KillMode", "control-group"),
            ("LimitNOFILE", "65536"),
            ("LimitCORE", "0"),
            ("UMask", "0077"),
            ("ReadWritePaths", "/var/lib/hivemind-worker -/run"),
            ("ProtectHome", "yes"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("PrivateTmp", "yes"),
            ("ProtectKernelModules", "yes"),
            ("RestrictRealtime", "yes"),
            ("LockPersonality", "yes"),
            ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
            ("SystemCallFilter", "~@clock @module @obsolete @raw-io @reboot @swap"),
            ("SystemCallErrorNumber", "EPERM"),
            ("TasksMax", "4096"),
            ("PrivateDevices", "no"),
            ("ProtectControlGroups", "no"),
            ("ProtectKernelTunables", "no"),
            ("ProtectKernelLogs", "no"),
            ("ProtectHostname", "no"),
            ("RestrictNamespaces", "no"),
            ("RestrictSUIDSGID", "no"),
            ("MemoryDenyWriteExecute", "no"),
            ("PrivateNetwork", "no"),
            ("WantedBy", "multi-user.target"),
        ] {
            assert_eq!(settings.remove(name), Some(value), "{name}");
        }
        let dropped = settings.remove("CapabilityBoundingSet").unwrap();
        assert!(dropped.starts_with('~'));
        // Namespaces, mounts, users, networks, and other people's processes need these.
        for needed in
            ["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_MKNOD"]
        {
            assert!(!dropped.contains(needed), "{needed}");
        }
        assert_eq!(settings, BTreeMap::new());
    }

    #[test]
    fn every_line_has_its_reason_and_open_ones_say_so() {
        let text = text();
        let mut reason = None;
        for line in text.lines() {
            match line.strip_prefix("# ") {
                Some(why) => reason = Some(why),
                None if line.is_empty() || line.starts_with('[') => reason = None,
                None => {
                    let why = reason.unwrap_or_else(|| panic!("{line} has no reason"));
                    assert_eq!(line.ends_with("=no"), why.starts_with("Must stay open"), "{line}");
                }
            }
        }
    }

    #[test]
    fn paths_of_people_are_let_through_alone() {
        let home = Path::new("/home").join("ann");
        let unit = unit(&home.join("hivemind"), &home.join("data"), "ann").unwrap();
        let settings = settings(&unit);
        assert_eq!(settings["ProtectHome"], "tmpfs");
        assert_eq!(settings["BindPaths"], home.join("data").to_str().unwrap());
        assert_eq!(settings["BindReadOnlyPaths"], home.join("hivemind").to_str().unwrap());
        assert_eq!(settings["User"], "ann");
    }

    #[test]
    fn odd_paths_are_quoted_and_hostile_ones_refused() {
        let exe = Path::new("/usr/bin/hivemind");
        let unit_at = |data: &str| unit(exe, Path::new(data), "root");
        let odd = unit_at("/a b/50%/$HOME/\"q\"\\").unwrap();
        assert!(odd.contains(r#"--data "/a b/50%%/$$HOME/\"q\"\\" worker"#), "{odd}");
        for data in ["", "data", "/a\nUser=root", "/a/../b", "/a:b", "/a\u{7f}"] {
            assert!(matches!(unit_at(data), Err(BadUnit::Path(_))), "{data}");
        }
        for user in ["", "Root", "1a", "a b", "a\nb", &"a".repeat(33)] {
            assert!(matches!(unit(exe, exe, user), Err(BadUnit::User(_))), "{user}");
        }
    }

    #[test]
    fn systemd_itself_finds_nothing_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(NAME);
        let exe = std::env::current_exe().unwrap();
        std::fs::write(&file, unit(&exe, folder.path(), "root").unwrap()).unwrap();
        let verify = std::process::Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output();
        // Not everybody has it.
        let Ok(verify) = verify else { return };
        let said = String::from_utf8_lossy(&verify.stderr);
        assert!(!said.contains(NAME), "{said}");
    }
}
