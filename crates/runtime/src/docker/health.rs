//! What the daemon and this machine can and cannot do, said before a task finds out.
//!
//! Start at [`checks`].
//!
//! Invariant: looking changes nothing.

use super::daemon;
use crate::offer::free_disk;
use crate::volume::Volumes;
use crate::{Check, Verdict};
use bollard::Docker;
use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum};
use hivemind_model::Isolation;
use hivemind_model::units::Bytes;
use std::path::Path;

/// Less free disk than this is worth a word.
const LITTLE_DISK: Bytes = Bytes::from_gib(5);

fn check(name: &str, verdict: Verdict, detail: impl Into<String>, fix: &str) -> Check {
    let fix = if verdict == Verdict::Good { String::new() } else { fix.to_owned() };
    Check { name: name.to_owned(), verdict, detail: detail.into(), fix }
}

/// One line per thing.
pub(super) async fn checks(docker: &Docker, volumes: &Volumes, tier: Isolation) -> Vec<Check> {
    let mut checks = Vec::new();
    match docker.info().await {
        Ok(info) => checks.extend(of_daemon(&info, tier, Path::new("/proc/swaps"))),
        Err(error) => checks.push(check(
            "docker daemon",
            Verdict::Bad,
            format!("does not answer: {}", daemon::explain(&error)),
            "start it (`systemctl start docker`) and let this user open its socket (group `docker`)",
        )),
    }
    checks.push(match volumes.unlimited() {
        None => check("disk limit of tasks", Verdict::Good, "hard: a file system of that size for each", ""),
        Some(why) => check(
            "disk limit of tasks",
            Verdict::Weak,
            format!("none: a task can fill the daemon's disk ({why})"),
            "run the worker as root, with e2fsprogs (mkfs.ext4, debugfs) and util-linux (losetup) installed and /dev/loop-control present",
        ),
    });
    checks.push(user());
    checks.push(match free_disk(volumes.folder()) {
        Ok(free) if free >= LITTLE_DISK => check("free disk", Verdict::Good, free.to_string(), ""),
        Ok(free) => check(
            "free disk",
            Verdict::Weak,
            format!("{free} in {}", volumes.folder().display()),
            "free some, or give the worker a data folder on another disk",
        ),
        Err(error) => check(
            "free disk",
            Verdict::Bad,
            format!("{}: {error}", volumes.folder().display()),
            "give the worker a data folder that exists",
        ),
    });
    checks
}

fn user() -> Check {
    if rustix::process::geteuid().is_root() {
        return check("agent's user", Verdict::Good, "root: loop devices and the kernel's counters can be used", "");
    }
    check(
        "agent's user",
        Verdict::Weak,
        "not root: no hard disk limit, and metering asks the daemon once a second",
        "run the worker as root for both; tasks never run as root either way",
    )
}

/// What the daemon says of itself.
fn of_daemon(info: &SystemInfo, tier: Isolation, swaps: &Path) -> Vec<Check> {
    let version = info.server_version.as_deref().unwrap_or("of unknown version");
    let driver = info.driver.as_deref().unwrap_or("unknown");
    let generation = match info.cgroup_version {
        Some(SystemInfoCgroupVersionEnum::_2) => "cgroup v2",
        _ => "cgroup v1",
    };
    let mut checks =
        vec![check("docker daemon", Verdict::Good, format!("{version}, {generation}, on this machine"), "")];
    if info.os_type.as_deref().is_some_and(|system| system != "linux") {
        checks.push(check("containers", Verdict::Bad, "not Linux containers", "switch the daemon to Linux containers"));
    }
    for (name, works) in
        [("memory limit", info.memory_limit), ("CPU limit", info.cpu_cfs_quota), ("process limit", info.pids_limit)]
    {
        checks.push(match works {
            Some(true) => check(name, Verdict::Good, "effective", ""),
            _ => check(name, Verdict::Bad, "the daemon cannot enforce it", "enable the memory, cpu and pids controllers (with a rootless daemon: delegate them to the user's systemd slice)"),
        });
    }
    let has_swap = std::fs::read_to_string(swaps).is_ok_and(|text| text.lines().count() > 1);
    checks.push(match (info.swap_limit, has_swap) {
        (Some(true), _) => check("swap limit", Verdict::Good, "effective", ""),
        (_, false) => check("swap limit", Verdict::Good, "not needed: this machine has no swap", ""),
        (_, true) => check(
            "swap limit",
            Verdict::Weak,
            "a task may swap beyond its memory",
            "boot with `swapaccount=1`, or turn swap off",
        ),
    });
    let options = info.security_options.as_deref().unwrap_or_default();
    let has = |word: &str| options.iter().any(|option| option.contains(word));
    checks.push(match has("name=seccomp") {
        true if has("profile=unconfined") => check(
            "seccomp",
            Verdict::Bad,
            "the daemon's default profile is `unconfined`",
            "remove `seccomp-profile` from the daemon's configuration",
        ),
        true => check("seccomp", Verdict::Good, "the daemon's default profile", ""),
        false => check(
            "seccomp",
            Verdict::Bad,
            "the daemon does not filter system calls",
            "use a kernel and daemon with seccomp",
        ),
    });
    checks.push(check("isolation", Verdict::Good, tier.as_str(), ""));
    checks.push(match driver {
        "vfs" => {
            check("storage driver", Verdict::Weak, "vfs copies the whole image for each container", "use overlay2")
        }
        other => check("storage driver", Verdict::Good, other, ""),
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(info: &SystemInfo, swaps: &str) -> Vec<(String, Verdict)> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("swaps");
        std::fs::write(&file, swaps).expect("written");
        let checks = of_daemon(info, Isolation::Basic, &file);
        for check in &checks {
            assert_eq!(check.fix.is_empty(), check.verdict == Verdict::Good, "{}", check.name);
        }
        checks
            .into_iter()
            .filter(|check| check.verdict != Verdict::Good)
            .map(|check| (check.name, check.verdict))
            .collect()
    }

    fn sound() -> SystemInfo {
        SystemInfo {
            memory_limit: Some(true),
            cpu_cfs_quota: Some(true),
            pids_limit: Some(true),
            swap_limit: Some(true),
            driver: Some("overlay2".into()),
            security_options: Some(vec!["name=seccomp,profile=default".into()]),
            ..SystemInfo::default()
        }
    }

    #[test]
    fn a_sound_daemon_has_nothing_to_fix() {
        assert_eq!(verdicts(&sound(), "head\n"), []);
    }

    #[test]
    fn what_is_missing_is_named() {
        let weak = SystemInfo {
            pids_limit: Some(false),
            swap_limit: Some(false),
            driver: Some("vfs".into()),
            security_options: None,
            ..sound()
        };
        assert_eq!(
            verdicts(&weak, "head\n/dev/sda2\n"),
            [
                ("process limit".into(), Verdict::Bad),
                ("swap limit".into(), Verdict::Weak),
                ("seccomp".into(), Verdict::Bad),
                ("storage driver".into(), Verdict::Weak)
            ]
        );
        assert_eq!(verdicts(&SystemInfo { swap_limit: Some(false), ..sound() }, "head\n"), []);
    }
}
