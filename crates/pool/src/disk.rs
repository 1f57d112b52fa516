//! Room on the disk that holds the pool's data.
//!
//! The database needs room to commit what was acknowledged, so others stop before it is gone:
//! uploads and the output of tasks first ([`Disk::promise`], [`Disk::room_for`]), then commands
//! that make new work for the database ([`Disk::room_for_commands`]).
//!
//! Invariant: only asks and counts; it never frees anything.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    path: PathBuf,
    reserve: u64,
    command_reserve: u64,
    promised: Arc<AtomicU64>,
    kept: Arc<AtomicU64>,
}

/// Room that is kept for bytes that are still to come; given back when dropped.
#[derive(Debug)]
pub(crate) struct Promise {
    left: u64,
    promised: Arc<AtomicU64>,
    kept: Arc<AtomicU64>,
}

impl Disk {
    /// The disk that holds `path`, of which `reserve` bytes are not for files and `command_reserve` not
    /// for new commands.
    pub(crate) fn new(path: &Path, reserve: u64, command_reserve: u64) -> Self {
        Self { path: path.to_owned(), reserve, command_reserve, promised: Arc::default(), kept: Arc::default() }
    }

    /// Keeps room for `bytes` more, beside what was promised to others.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] where there is none.
    pub(crate) fn promise(&self, bytes: u64) -> io::Result<Promise> {
        // Counted before it is looked at, so that of two at once none sees room for itself alone.
        let promise = Promise::new(bytes, self);
        self.room_for(0)?;
        Ok(promise)
    }

    /// Whether `bytes` more fit, beside what was promised.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] where they do not.
    pub(crate) fn room_for(&self, bytes: u64) -> io::Result<()> {
        let wanted = self.promised.load(Ordering::SeqCst).saturating_add(bytes);
        self.free_above(self.reserve.saturating_add(wanted))
    }

    /// Whether new work may be written down.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] where what is left is for work that is open.
    pub(crate) fn room_for_commands(&self) -> io::Result<()> {
        self.free_above(self.command_reserve)
    }

    /// Bytes that came into the room that was promised, since the start.
    pub(crate) fn came(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// The disk does not tell.
    pub(crate) fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn free_above(&self, least: u64) -> io::Result<()> {
        if self.free()? < least {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the pool's disk is full"));
        }
        Ok(())
    }
}

impl Promise {
    fn new(bytes: u64, disk: &Disk) -> Self {
        let promised = disk.promised.clone();
        // More than any disk has, and so little that the sum of all writers' cannot wrap.
        let left = bytes.min(1 << 50);
        promised.fetch_add(left, Ordering::SeqCst);
        Self { left, promised, kept: disk.kept.clone() }
    }

    /// So many of the bytes are on the disk now.
    pub(crate) fn spend(&mut self, bytes: u64) {
        let spent = bytes.min(self.left);
        self.left -= spent;
        self.promised.fetch_sub(spent, Ordering::SeqCst);
        self.kept.fetch_add(spent, Ordering::Relaxed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.promised.fetch_sub(self.left, Ordering::SeqCst);
    }
}

/// True where the error says that the disk has no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(path: &Path) -> u64 {
        let stat = rustix::fs::statvfs(path).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    #[test]
    fn what_is_promised_is_promised_once() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path(), 0, 0);
        let most = free(folder.path()) / 3 * 2;
        let mut first = disk.promise(most).unwrap();
        assert!(is_full(&disk.promise(most).unwrap_err()), "the same room was promised twice");
        assert!(is_full(&disk.room_for(most).unwrap_err()));
        first.spend(most);
        drop(disk.promise(most).unwrap());
        drop(first);
        assert_eq!(disk.promised.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn an_absurd_size_is_refused_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path(), 0, u64::MAX);
        for _ in 0..100 {
            assert!(disk.promise(u64::MAX).is_err());
        }
        assert!(disk.promise(1).is_ok());
        assert!(is_full(&disk.room_for_commands().unwrap_err()));
    }
}
