//! Two tasks on one machine: one leaves a secret wherever it can, the other looks for it everywhere.
//!
//! Invariant: neither knows anything of the other but the secret's name.

use super::{Options, Report, escape};
use crate::sys;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

const OTHERS: &str = "other-tasks";
const OWN: &str = "own-names";
/// Deepest folder that is looked into, and most entries that are looked at.
const DEPTH: usize = 3;
const MOST_ENTRIES: usize = 20_000;

/// Every folder in which something could be left.
fn folders() -> Vec<PathBuf> {
    let known = ["/task", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/"].map(PathBuf::from);
    let mounted = escape::mount_points().into_iter().map(|point| PathBuf::from(point.place));
    let mut folders: Vec<PathBuf> = known.into_iter().chain(mounted).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.dedup();
    folders
}

/// A key that only those know who know the secret's name.
fn key(secret: &str) -> i32 {
    secret.bytes().fold(0x5eed, |sum: i32, byte| sum.wrapping_mul(31).wrapping_add(i32::from(byte))) | 1
}

/// Leaves the secret, says `fact left`, and stays.
pub fn leave(report: &mut Report, options: &Options<'_>) {
    let secret = options.text("secret");
    let left = folders().iter().filter(|folder| fs::write(folder.join(secret), secret).is_ok()).count();
    // Kept until the end; a runtime whose own refusals stand in the way has kept the promise.
    let _memory = sys::shared_memory(key(secret), true);
    let _socket = SocketAddr::from_abstract_name(secret).and_then(|address| UnixListener::bind_addr(&address));
    report.fact("left", left);
    sys::wait_for_ever();
}

/// Looks for it, and takes away what it finds: what two tasks share may be the machine's own, where nobody else
/// would ever remove it.
pub fn search(report: &mut Report, options: &Options<'_>) {
    let secret = options.text("secret");
    let (mut seen, mut folders) = (0, folders());
    folders.extend(processes_roots());
    for folder in folders {
        let found = find(&folder, secret, DEPTH, &mut seen);
        let place = found.as_deref().unwrap_or(&folder);
        // What is shared there is memory and messages.
        let promise = if place.starts_with("/dev") { OWN } else { OTHERS };
        let place = place.display().to_string();
        report.check(promise, format!("found what another task left in {place}"), found.is_none());
        // Where this is refused, it was found all the same.
        let _removed = found.map(fs::remove_file);
    }
    let words = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let running = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = std::process::id().to_string();
    let shows = |entry: &fs::DirEntry| {
        let is_other = entry.file_name().to_str().is_some_and(|name| name != own && is_number(name));
        is_other && words(&entry.path().join("cmdline")).contains(secret)
    };
    report.check("host-processes", "sees the processes of another task", running.filter(shows).count() == 0);
    let memory = sys::shared_memory(key(secret), false).inspect(|memory| {
        let _removed = sys::remove_shared_memory(*memory);
    });
    report.refused(OWN, "opened the shared memory of another task", memory);
    let reached = SocketAddr::from_abstract_name(secret).and_then(|address| UnixStream::connect_addr(&address));
    report.refused("network", "reached the socket of another task", reached);
}

fn is_number(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
}

/// What the root of each other process would show.
fn processes_roots() -> Vec<PathBuf> {
    let own = std::process::id().to_string();
    let running = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = running.filter_map(|entry| entry.file_name().into_string().ok());
    let others = names.filter(|name| is_number(name) && *name != own).take(64);
    others
        .flat_map(|name| ["root/task", "cwd"].map(|what| PathBuf::from(format!("/proc/{name}/{what}"))))
        .collect()
}

fn find(folder: &Path, secret: &str, depth: usize, seen: &mut usize) -> Option<PathBuf> {
    let mut inner = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        *seen += 1;
        if *seen > MOST_ENTRIES {
            return None;
        }
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if entry.file_name().to_str() == Some(secret) {
            return Some(path);
        }
        // Looked into by themselves, or without anything that a task could leave.
        if is_folder && !["/proc", "/sys", "/dev"].iter().any(|top| path == Path::new(top)) {
            inner.push(path);
        }
    }
    if depth == 0 {
        return None;
    }
    inner.iter().find_map(|path| find(path, secret, depth - 1, seen))
}
