//! Who the process is, and what it can become.
//!
//! Invariant: nothing outside of this process is changed.

use super::{Report, status};
use crate::sys::{self, Raw};
use std::io;
use std::process::Command;

const USER: &str = "user";
const CAPABILITIES: &str = "capabilities";
const CALLS: &str = "system-calls";
const SETUID: &str = "setuid";
const ROOT: &str = "read-only-root";
const PROCESSES: &str = "host-processes";

/// Not root, not of root's group, and root cannot be become.
pub fn user(report: &mut Report) {
    let (real, effective, group) = sys::whoami();
    report.check(USER, format!("the user is {real} and acts as {effective}"), real != 0 && effective != 0);
    report.check(USER, "the group is root's", group != 0);
    let groups = status("Groups").unwrap_or_default();
    report.check(USER, format!("groups {groups}"), groups.split_whitespace().all(|group| group != "0"));
    if real != 0 {
        report.refused(USER, "became root by asking", sys::become_user(0));
    }
}

/// None now, none to come.
pub fn capabilities(report: &mut Report) {
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let set = status(name);
        let is_empty = set.as_deref().is_some_and(|set| !set.is_empty() && set.bytes().all(|digit| digit == b'0'));
        report.check(CAPABILITIES, format!("{name} is {}", set.unwrap_or_default()), is_empty);
    }
}

/// The calls that have been ways out before are refused.
pub fn system_calls(report: &mut Report) {
    let filter = status("Seccomp").unwrap_or_default();
    report.check(CALLS, format!("the filter of system calls is `{filter}` and not 2"), filter == "2");
    for (what, call) in [
        ("asked for the kernel's keys", Raw::Keyring),
        ("added a key to the kernel's", Raw::AddKey),
        ("measured every process", Raw::Measure),
        ("loaded a program into the kernel", Raw::Filter),
        ("took over the handling of memory faults", Raw::CatchFaults),
        ("opened a file by its number", Raw::OpenByHandle),
    ] {
        report.refused_if_known(CALLS, what, refusal(call));
    }
}

/// The answer, where it says something: the kernel looks at the arguments of some calls first, and a
/// complaint about them means that the call itself was let through.
fn refusal(call: Raw) -> Option<io::Result<()>> {
    const NOT_PERMITTED: i32 = 1;
    const DENIED: i32 = 13;
    const NO_SUCH_CALL: i32 = 38;
    match sys::raw(call)? {
        Ok(_) => Some(Ok(())),
        Err(error) => match error.raw_os_error() {
            Some(NOT_PERMITTED | DENIED | NO_SUCH_CALL) => Some(Err(error)),
            // A kernel that was built without it is as good as one that refuses it.
            Some(95) => Some(Err(error)),
            _ => Some(Ok(())),
        },
    }
}

/// Users of one's own would give all capabilities over what is made in them. Last: it would change this process.
pub fn new_users(report: &mut Report) {
    let left = sys::leave(sys::NEW_USERS);
    let is_out = left.is_ok();
    report.refused(CALLS, "made users of its own", left);
    if is_out {
        report.refused(CALLS, "made mounts of its own as such a user", sys::leave(sys::NEW_MOUNTS));
        report.refused(CALLS, "mounted as such a user", sys::mount_at("none", "/tmp", "tmpfs", 0));
    }
}

/// Only what this attack started is seen.
pub fn processes(report: &mut Report) {
    let own = std::process::id().to_string();
    let mut foreign = 0;
    let listed = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in listed {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == own || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        // Process 1 of the container may be the runtime's.
        if words.contains(report.nonce()) || (name == "1" && is_small()) {
            continue;
        }
        foreign += 1;
        if foreign <= 3 {
            report.check(PROCESSES, format!("sees process {name} `{}`", words.trim()), false);
            let process = name.parse().unwrap_or(1);
            report.refused(PROCESSES, format!("attached to process {name}"), sys::trace(process));
            report.refused(
                PROCESSES,
                format!("read the environment of process {name}"),
                std::fs::read(entry.path().join("environ")),
            );
        }
    }
    report.check(PROCESSES, format!("sees {foreign} processes of others"), foreign == 0);
    report.check(PROCESSES, "sees itself", std::fs::metadata(format!("/proc/{own}")).is_ok());
}

/// True where so few processes are seen that the first may be the container's own.
fn is_small() -> bool {
    let listed = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    listed.filter(|entry| entry.file_name().to_str().is_some_and(numbers)).count() <= 3
}

/// The name of the machine is for the outside to compare.
pub fn own_names(report: &mut Report) {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    report.fact("hostname", name.trim());
    report.refused("own-names", "named the machine", sys::name_machine(name.trim()));
}

/// The image's files stay as they are, also those that everybody may write.
pub fn root(report: &mut Report) {
    for path in ["/writable", "/guest", "/etc/passwd"] {
        report.refused(ROOT, format!("opened {path} to write"), std::fs::File::options().append(true).open(path));
    }
    for path in ["/x", "/bin/x", "/etc/x", "/usr/x", "/var/x", "/opt/x"] {
        report.refused(ROOT, format!("made {path}"), std::fs::File::create_new(path));
    }
    report.refused(ROOT, "removed /writable", std::fs::remove_file("/writable"));
}

/// A program of root's that runs with its owner's rights runs with ours.
pub fn setuid(report: &mut Report) {
    let privileges = status("NoNewPrivs").unwrap_or_default();
    report.check(SETUID, format!("NoNewPrivs is `{privileges}` and not 1"), privileges == "1");
    let before = sys::whoami();
    let started = Command::new("/setuid").args(["attack", "whoami", report.nonce()]).output();
    match started {
        // A runtime that does not even execute it has kept the promise, too.
        Err(error) => report.check(SETUID, "", error.kind() == io::ErrorKind::PermissionDenied),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let wanted = format!("fact whoami {before:?}");
            report.check(SETUID, format!("became another: {}", said.trim()), said.contains(&wanted));
        }
    }
}
