//! A machine with control groups that tests make up.

use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// See [`with_groups`].
pub(crate) struct Machine {
    pub root: TempDir,
    /// The folder of the group.
    pub group: PathBuf,
}

/// With control groups of the second generation, in which the group of `instance` is there already: a folder of files makes
/// no files by itself. It has used 1.5 s of processor time.
pub(crate) fn with_groups(instance: &str) -> Machine {
    let root = tempfile::tempdir().unwrap();
    let top = root.path().join("sys/fs/cgroup");
    let group = top.join(format!("hivemind_{instance}.slice"));
    fs::create_dir_all(&group).unwrap();
    fs::create_dir_all(root.path().join("proc/self")).unwrap();
    let mounts = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
    fs::write(top.join("cgroup.controllers"), "cpu memory\n").unwrap();
    fs::write(top.join("cgroup.subtree_control"), "cpu memory\n").unwrap();
    for file in ["cpu.weight", "cpu.max", "memory.max", "cgroup.freeze", "cgroup.subtree_control"] {
        fs::write(group.join(file), "").unwrap();
    }
    fs::write(group.join("cpu.stat"), "usage_usec 1500000\n").unwrap();
    Machine { root, group }
}
