//! Input files on their way into /task.
//!
//! Start at [`place`]. They are written before there is a container, through the agent's own mount of its disk.
//!
//! Invariant: the paths were checked at the pool's door, and are checked here again; nothing is written but
//! below the disk's root.

use hivemind_model::spec::check_path;
use hivemind_model::state::Outcome;
use hivemind_runtime::Stop;
use hivemind_runtime::volume::{USER_ID, Unnamed};
use rustix::fs::{Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, mkdirat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much is copied between two looks at the stop.
const PIECE_BYTES: usize = 1 << 20;
/// Nothing leads out of the disk.
const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// Puts `files` on `disk`, owned by the job's user.
pub(crate) async fn place(disk: &Arc<Unnamed>, files: &[(String, PathBuf)], stop: &Stop) -> Result<(), Outcome> {
    if files.is_empty() {
        return Ok(());
    }
    let (disk, files, stop) = (disk.clone(), files.to_vec(), stop.clone());
    let placed = tokio::task::spawn_blocking(move || {
        files.iter().try_for_each(|(path, source)| put(disk.root(), path, source, &stop))
    });
    match placed.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Outcome::Cancelled),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(Outcome::CannotStart {
            reason: "the input files do not fit into the task's disk; ask for more disk".into(),
        }),
        Err(error) => {
            Err(Outcome::Infrastructure { reason: format!("the input files could not be put into /task: {error}") })
        }
    }
}

fn put(disk: BorrowedFd<'_>, path: &str, source: &Path, stop: &Stop) -> io::Result<()> {
    check_path("files", path)
        .map_err(|rejection| io::Error::new(io::ErrorKind::InvalidInput, rejection.to_string()))?;
    for (at, _) in path.match_indices('/') {
        match mkdirat(disk, &path[..at], Mode::from_raw_mode(0o755)) {
            Ok(()) => own(&open(disk, &path[..at], OFlags::RDONLY | OFlags::DIRECTORY)?, 0o755)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut from = File::open(source)
        .map_err(|error| io::Error::new(error.kind(), format!("{path} at {}: {error}", source.display())))?;
    let mut to = File::from(open(disk, path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?);
    let mut head = Vec::with_capacity(4);
    Read::by_ref(&mut from).take(4).read_to_end(&mut head)?;
    to.write_all(&head)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        if stop.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match from.read(&mut piece)? {
            0 => break,
            length => to.write_all(&piece[..length])?,
        }
    }
    own(&to.into(), if hivemind_runtime::program::is_program(&head) { 0o755 } else { 0o644 })
}

fn open(disk: BorrowedFd<'_>, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
    Ok(openat2(disk, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, INSIDE)?)
}

fn own(file: &OwnedFd, mode: u32) -> io::Result<()> {
    fchown(file, Some(Uid::from_raw(USER_ID)), Some(Gid::from_raw(USER_ID)))?;
    fchmod(file, Mode::from_raw_mode(mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_lie_where_they_are_named_and_nowhere_else() {
        let (folder, disk) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let source = folder.path().join("s");
        std::fs::write(&source, "#!/bin/sh\n").expect("written");
        let root = File::open(disk.path()).expect("opened");
        let stop = Stop::new();
        let put = |path: &str| put(root.as_fd(), path, &source, &stop);
        if rustix::process::geteuid().is_root() {
            put("a/b/run").expect("put");
            let found = std::fs::metadata(disk.path().join("a/b/run")).expect("there");
            assert_eq!((found.permissions().mode() & 0o777, found.len()), (0o755, 10));
            put("a/b/run").expect_err("the same twice");
        }
        std::os::unix::fs::symlink(folder.path(), disk.path().join("out")).expect("linked");
        put("out/x").expect_err("followed");
        put("../x").expect_err("left");
        stop.cancel();
        assert_eq!(put("y").expect_err("stopped").kind(), io::ErrorKind::Interrupted);
    }
}
