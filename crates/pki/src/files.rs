//! Files that are there whole or not at all.
//!
//! Start at [`write_private`].
//!
//! Invariant: a key is never, not even for a moment, in a file that others may read.

use crate::PkiError;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Mode of a private file.
pub(crate) const PRIVATE: u32 = 0o600;
/// Mode of a public file.
pub(crate) const PUBLIC: u32 = 0o644;

/// Writes `contents` to `path` with mode 0600, durably: after a crash the file holds either what
/// it held before or all of `contents`. The folder must exist.
///
/// # Errors
/// [`PkiError::Io`]; `path` is then unchanged.
pub fn write_private(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    write_durably(path, contents, PRIVATE)
}

pub(crate) fn write_durably(path: &Path, contents: &[u8], mode: u32) -> Result<(), PkiError> {
    let folder = folder_of(path);
    let (temporary, mut file) = create_beside(path, mode)?;
    let written = file
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(contents))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path));
    if let Err(source) = written {
        // Best effort: what failed first is what is told.
        let _ = std::fs::remove_file(&temporary);
        return Err(PkiError::Io { action: "write", path: path.to_owned(), source });
    }
    sync_folder(&folder)
}

/// Makes `path` with mode 0700 where it is not there yet. Refuses one that others may enter.
pub(crate) fn private_folder(path: &Path) -> Result<(), PkiError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| PkiError::Io { action: "make the folder", path: path.to_owned(), source })?;
    refuse_exposed(path)?;
    sync_folder(&folder_of(path))
}

/// Reads a private file of at most `most` bytes; `None` where there is none.
pub(crate) fn read_private(path: &Path, most: u64) -> Result<Option<String>, PkiError> {
    let text = read_text(path, most)?;
    if text.is_some() {
        refuse_exposed(path)?;
    }
    Ok(text)
}

/// Reads a file of at most `most` bytes; `None` where there is none.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<Option<String>, PkiError> {
    let read = std::fs::metadata(path).and_then(|about| {
        if about.len() > most {
            return Err(std::io::Error::new(
                ErrorKind::FileTooLarge,
                format!("{} bytes; at most {most} are read", about.len()),
            ));
        }
        std::fs::read_to_string(path)
    });
    match read {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::Io { action: "read", path: path.to_owned(), source }),
    }
}

fn refuse_exposed(path: &Path) -> Result<(), PkiError> {
    let about =
        std::fs::metadata(path).map_err(|source| PkiError::Io { action: "look at", path: path.to_owned(), source })?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(PkiError::Exposed { path: path.to_owned(), mode }) }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn create_beside(path: &Path, mode: u32) -> Result<(PathBuf, File), PkiError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const TRIES: usize = 16;
    let io = |source| PkiError::Io { action: "write", path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| io(ErrorKind::InvalidInput.into()))?;
    for _ in 0..TRIES {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = folder_of(path).join(hidden);
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            // Left by a process that was killed and had the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(io(source)),
        }
    }
    Err(io(ErrorKind::AlreadyExists.into()))
}

fn sync_folder(folder: &Path) -> Result<(), PkiError> {
    let synced = File::open(folder).and_then(|handle| handle.sync_all());
    synced.map_err(|source| PkiError::Io { action: "make durable", path: folder.to_owned(), source })
}
