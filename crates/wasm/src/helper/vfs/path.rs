//! Ways through the tree, as modules write them.
//!
//! Invariant: a way never leads above the folder it begins in.

use super::{Ino, Kind, Vfs};
use crate::helper::errno::{Answer, Errno};

/// Longest path, and longest name in it, in bytes.
const MOST_PATH_BYTES: usize = 4096;
const MOST_NAME_BYTES: usize = 255;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// To a name in a folder; there may be nothing of that name.
    Named {
        /// The folder.
        folder: Ino,
        /// The name.
        name: &'a str,
        /// True where it can only be a folder, as the path ends with `/`.
        is_folder: bool,
    },
    /// To a folder that the path does not name, such as `.`.
    Folder(Ino),
}

/// Follows `path` from the folder `base`.
///
/// # Errors
/// Where it is no relative path of plain text, leads above `base`, or a folder on its way is missing.
pub(crate) fn walk<'a>(vfs: &Vfs, base: Ino, path: &'a [u8]) -> Answer<Place<'a>> {
    if path.len() > MOST_PATH_BYTES {
        return Err(Errno::Nametoolong.into());
    }
    let path = std::str::from_utf8(path).map_err(|_| Errno::Ilseq)?;
    if path.is_empty() {
        return Err(Errno::Noent.into());
    }
    if path.contains('\0') {
        return Err(Errno::Inval.into());
    }
    if path.starts_with('/') {
        return Err(Errno::Notcapable.into());
    }
    let mut trail = vec![base];
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let Some(&here) = trail.last() else { return Err(Errno::Notcapable.into()) };
        let names = vfs.names(here)?;
        match part {
            "." => {}
            ".." => {
                trail.pop();
                if trail.is_empty() {
                    return Err(Errno::Notcapable.into());
                }
            }
            long if long.len() > MOST_NAME_BYTES => return Err(Errno::Nametoolong.into()),
            name if parts.peek().is_none() => {
                return Ok(Place::Named { folder: here, name, is_folder: path.ends_with('/') });
            }
            name => {
                let next = *names.get(name).ok_or(Errno::Noent)?;
                match vfs.facts(next)?.kind {
                    Kind::Folder => trail.push(next),
                    Kind::File => return Err(Errno::Notdir.into()),
                }
            }
        }
    }
    trail.last().map(|ino| Place::Folder(*ino)).ok_or_else(|| Errno::Notcapable.into())
}

/// What is at the end of `path`.
///
/// # Errors
/// As [`walk`]; and where there is nothing.
pub(crate) fn find(vfs: &Vfs, base: Ino, path: &[u8]) -> Answer<Ino> {
    match walk(vfs, base, path)? {
        Place::Folder(ino) => Ok(ino),
        Place::Named { folder, name, is_folder } => {
            let ino = vfs.child(folder, name)?.ok_or(Errno::Noent)?;
            if is_folder && vfs.facts(ino)?.kind == Kind::File {
                return Err(Errno::Notdir.into());
            }
            Ok(ino)
        }
    }
}

/// The folder and the name at the end of `path`, for what makes or removes it.
///
/// # Errors
/// As [`walk`]; and where the path names nothing (`.`, `a/..`).
pub(crate) fn named<'a>(vfs: &Vfs, base: Ino, path: &'a [u8]) -> Answer<(Ino, &'a str, bool)> {
    match walk(vfs, base, path)? {
        Place::Named { folder, name, is_folder } => Ok((folder, name, is_folder)),
        Place::Folder(_) => Err(Errno::Inval.into()),
    }
}
