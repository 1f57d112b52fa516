//! The socket through which an owner speaks with their worker: where it lies, and who may use it.
//!
//! Start at [`bind`] and [`connect`].
//!
//! Invariant: a socket that a dead worker left is replaced only by who holds the lock of the folder, and only this
//! user and root are heard.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Its name in DATA/worker.
const NAME: &str = "control.sock";

/// Longest path that the system takes for a socket; longer ones are reached through their folder.
const LONGEST_PATH: usize = 100;

/// The file of a socket that is served; removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(why) = crate::capture::remove_if_there(&self.0) {
            tracing::warn!("{} could not be removed; the next start replaces it: {why}", self.0.display());
        }
    }
}

/// Serves the socket of the folder `root`, whose lock the caller holds.
///
/// # Errors
/// What the disk says.
pub(crate) fn bind(root: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let path = root.join(NAME);
    crate::capture::remove_if_there(&path)?;
    let listener = reach(root, &path, |path| StdListener::bind(path))?;
    let file = SocketFile(path);
    std::fs::set_permissions(&file.0, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok((UnixListener::from_std(listener)?, file))
}

/// Speaks to who serves the folder `root`.
///
/// # Errors
/// What the system says: nobody is there, or this user may not.
pub(crate) fn connect(root: &Path) -> io::Result<UnixStream> {
    let stream = reach(root, &root.join(NAME), |path| StdStream::connect(path))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// True where the other end is this user, or root.
pub(crate) fn may_speak(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

fn reach<T>(root: &Path, path: &Path, how: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= LONGEST_PATH {
        return how(path);
    }
    let folder = File::open(root)?;
    how(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_private_replaces_a_stale_one_and_leaves_nothing() {
        let short = tempfile::tempdir().unwrap();
        let long = short.path().join("x".repeat(150));
        std::fs::create_dir(&long).unwrap();
        for root in [short.path(), long.as_path()] {
            assert_eq!(connect(root).unwrap_err().kind(), io::ErrorKind::NotFound);
            let (listener, file) = bind(root).unwrap();
            drop(listener);
            // As after a kill: the file is there and nobody listens.
            std::mem::forget(file);
            assert_eq!(connect(root).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let (listener, file) = bind(root).unwrap();
            let mode = std::fs::metadata(root.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let (stream, accepted) = tokio::join!(async { connect(root).unwrap() }, listener.accept());
            let (accepted, _) = accepted.unwrap();
            assert!(may_speak(&stream) && may_speak(&accepted));
            drop(file);
            assert!(!root.join(NAME).exists());
        }
    }
}
