//! Room on the disk that holds the pool's data.
//!
//! Uploads leave a reserve free: the database needs it to commit what was acknowledged last.
//!
//! Invariant: only asks; it never frees anything.

use std::io;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    path: PathBuf,
    reserve: u64,
}

impl Disk {
    /// The disk that holds `path`, of which `reserve` bytes are not for uploads.
    pub(crate) fn new(path: &Path, reserve: u64) -> Self {
        Self { path: path.to_owned(), reserve }
    }

    /// Whether `bytes` more fit.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] where they do not.
    pub(crate) fn room_for(&self, bytes: u64) -> io::Result<()> {
        let stat = rustix::fs::statvfs(&self.path)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < self.reserve.saturating_add(bytes) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the pool's disk is full"));
        }
        Ok(())
    }
}

/// True where the error says that the disk has no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
