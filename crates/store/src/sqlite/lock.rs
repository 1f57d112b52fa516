//! One process per database: a lock file that the system frees when its holder dies.
//!
//! Invariant: the lock file is never removed, for a removed file can be locked twice.

use crate::StoreError;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Most bytes of a lock file that are read: who holds it.
const MAX_HOLDER_BYTES: u64 = 200;

/// The exclusive right to a database, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the database at `path`: the file beside it that ends in `.lock`.
    ///
    /// # Errors
    /// [`StoreError::InUse`] where another process, or another store of this one, has it.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let beside = lock_path(path);
        let io = |source| StoreError::Io { action: "locking", path: beside.clone(), source };
        let mut file = open_private(&beside).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { path: path.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        write!(file, "process {}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// Makes the database's folder and its empty file where they are not there; nobody but the
/// owner may read either.
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { action: "creating", path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    let file = open_private(path).map_err(io)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(io)?;
    // The name of a new file survives a power cut only once its folder is written.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(MAX_HOLDER_BYTES).read_to_string(&mut text) {
        Ok(bytes) if bytes > 0 => text,
        _ => "another process".to_owned(),
    }
}
