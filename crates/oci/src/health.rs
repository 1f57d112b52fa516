//! What this machine has for containers, for `doctor` and for the log at start.
//!
//! Invariant: looking changes nothing.

use crate::Inner;
use hivemind_model::units::Bytes;
use hivemind_runtime::{Check, Verdict};
use std::path::Path;

/// Free disk below which it is worth a word.
const LITTLE_DISK: Bytes = Bytes::from_gib(5);

/// One line per check.
pub(crate) fn checks(inner: &Inner) -> Vec<Check> {
    let mut checks = vec![
        check("built-in runtime", Verdict::Good, "a helper process for each container, no daemon", ""),
        check("memory, CPU and process limits", Verdict::Good, format!("effective: {}", inner.tree.generation()), ""),
        swap(Path::new("/proc/swaps"), Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"), &inner.tree),
        filter(Path::new("/proc/sys/kernel/seccomp/actions_avail")),
        overlay(Path::new("/proc/filesystems")),
    ];
    checks.push(match &inner.user_namespace {
        Ok(()) => check("user namespace", Verdict::Good, "tasks have one of their own, without root in it", ""),
        Err(why) => check(
            "user namespace",
            Verdict::Weak,
            format!("none: {why}"),
            "allow them: `sysctl user.max_user_namespaces` has to be above zero",
        ),
    });
    checks.push(if inner.tree.can_freeze() {
        check("pausing", Verdict::Good, "tasks can be made to stand still", "")
    } else {
        check("pausing", Verdict::Weak, "tasks cannot be made to stand still", "mount the freezer controller")
    });
    checks.push(match inner.volumes.unlimited() {
        None => check("disk limit of tasks", Verdict::Good, "hard: a file system of that size for each", ""),
        Some(why) => check(
            "disk limit of tasks",
            Verdict::Bad,
            format!("none ({why})"),
            "install e2fsprogs and util-linux, and see that /dev/loop-control is there",
        ),
    });
    checks.push(inner.network.check());
    checks.push(free_disk(inner.volumes.folder()));
    checks.push(check("images", Verdict::Good, inner.images.describe(), ""));
    checks
}

fn check(name: &str, verdict: Verdict, detail: impl Into<String>, fix: &str) -> Check {
    Check { name: name.into(), verdict, detail: detail.into(), fix: fix.into() }
}

fn swap(swaps: &Path, limit: &Path, tree: &crate::cgroup::Tree) -> Check {
    let has_swap = std::fs::read_to_string(swaps).is_ok_and(|text| text.lines().count() > 1);
    let limited = match tree {
        crate::cgroup::Tree::First { .. } => limit.exists(),
        crate::cgroup::Tree::Second { .. } => true,
    };
    match (limited, has_swap) {
        (true, _) => check("swap limit", Verdict::Good, "effective", ""),
        (false, false) => check("swap limit", Verdict::Good, "not needed: this machine has no swap", ""),
        (false, true) => check(
            "swap limit",
            Verdict::Weak,
            "tasks are only asked not to swap",
            "boot with `swapaccount=1`, or turn swap off",
        ),
    }
}

fn filter(actions: &Path) -> Check {
    match std::fs::read_to_string(actions) {
        Ok(text) if text.contains("errno") => check("seccomp", Verdict::Good, "an allow-list of system calls", ""),
        Ok(_) | Err(_) => check(
            "seccomp",
            Verdict::Bad,
            "the kernel does not filter system calls",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
    }
}

fn overlay(file_systems: &Path) -> Check {
    match std::fs::read_to_string(file_systems) {
        Ok(text) if text.split_whitespace().any(|word| word == "overlay") => {
            check("overlay", Verdict::Good, "image layers are stacked, not copied", "")
        }
        Ok(_) | Err(_) => check(
            "overlay",
            Verdict::Weak,
            "the kernel has no overlay file system, or has not loaded it yet",
            "load it: `modprobe overlay`",
        ),
    }
}

fn free_disk(folder: &Path) -> Check {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = Bytes(disk.f_bavail.saturating_mul(disk.f_frsize));
            if free >= LITTLE_DISK {
                return check("free disk", Verdict::Good, free.to_string(), "");
            }
            check(
                "free disk",
                Verdict::Weak,
                format!("{free} in {}", folder.display()),
                "free some, or give the worker a data folder on another disk",
            )
        }
        Err(error) => check(
            "free disk",
            Verdict::Bad,
            format!("{}: {error}", folder.display()),
            "give the worker a data folder that exists",
        ),
    }
}
