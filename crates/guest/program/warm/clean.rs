//! What a command leaves behind beside its processes and `/task`, taken away.
//!
//! Start at [`all`].
//!
//! Invariant: what cannot be taken away is said, so that nobody finds it.

use super::sys::{self, Object};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What commands of one user can change of this process, and what the next one would inherit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marks {
    limits: Vec<[u64; 2]>,
    schedule: (i32, i32, [u64; 16]),
}

impl Marks {
    /// As they are now.
    pub(super) fn read() -> Self {
        Self { limits: sys::limits(), schedule: sys::schedule() }
    }
}

/// Empties `folders` and, in a container of its own, removes System V objects. False where something is left.
pub(super) fn all(folders: &[&str]) -> bool {
    let emptied = folders.iter().all(|folder| empty(Path::new(folder)));
    let objects = [
        ("/proc/sysvipc/shm", Object::Memory),
        ("/proc/sysvipc/msg", Object::Messages),
        ("/proc/sysvipc/sem", Object::Semaphores),
    ];
    // Elsewhere they are a whole machine's.
    let is_own = std::process::id() == 1;
    emptied && (!is_own || objects.iter().all(|(list, object)| removed(list, *object)))
}

/// True where the folder is not there, or nothing is in it any more.
fn empty(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return !folder.exists() };
    let mut is_empty = true;
    for entry in entries {
        is_empty &= entry.is_ok_and(|entry| gone(&entry.path()));
    }
    is_empty
}

fn gone(path: &Path) -> bool {
    let Ok(kind) = fs::symlink_metadata(path) else { return false };
    if !kind.is_dir() {
        return fs::remove_file(path).is_ok();
    }
    // A folder that its owner may not read may be made readable by its owner; deeper ones are left.
    fs::remove_dir_all(path).is_ok()
        || fs::set_permissions(path, fs::Permissions::from_mode(0o700)).is_ok() && fs::remove_dir_all(path).is_ok()
}

/// Removes what the kernel lists there; its second column has the number.
fn removed(list: &str, object: Object) -> bool {
    let Ok(text) = fs::read_to_string(list) else { return !Path::new(list).exists() };
    let number = |line: &str| line.split_whitespace().nth(1)?.parse().ok();
    text.lines().skip(1).all(|line| number(line).is_some_and(|id| sys::remove(object, id)))
}
