//! Unpacking an output archive without trusting it.
//!
//! Start at [`unpack`]. The archive is looked through first and written then, so that one bad
//! entry keeps everything away. Every name is opened below the folder before it, never as a
//! path, and no link on the way is followed.
//!
//! Invariant: nothing outside the target folder is created, changed or read.

use crate::archive::{Entries, Entry, Kind, bad, shown};
use crate::{Client, ClientError};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, BufWriter, Error, ErrorKind, Read, Result, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MAX_PATH: usize = 4096;
const MAX_PART: usize = 255;
const MAX_DEPTH: usize = 64;

/// What an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Files and folders together.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Default for UnpackLimits {
    /// 100,000 files and folders, 64 GiB.
    fn default() -> Self {
        Self { entries: 100_000, bytes: 64 << 30 }
    }
}

/// What becomes of a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and unpacking is refused.
    Refuse,
    /// It is replaced (a link is replaced itself, not what it points to).
    Replace,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Client {
    /// [`unpack`] of the archive in a file, off the async threads.
    ///
    /// # Errors
    /// As of [`unpack`].
    pub async fn unpack_output(
        archive: &Path,
        into: &Path,
        limits: UnpackLimits,
        existing: Existing,
    ) -> std::result::Result<Unpacked, ClientError> {
        let (archive, into) = (archive.to_owned(), into.to_owned());
        let work = move || {
            let file = File::open(&archive).map_err(ClientError::io("open", &archive))?;
            unpack(file, &into, limits, existing)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|why| Err(ClientError::invalid("the output archive", why)))
    }
}

/// Unpacks a tar archive into the folder `into`, which is made where it is missing.
///
/// # Errors
/// [`ClientError::Invalid`] where the archive holds an absolute path, `..`, a link, a device, the
/// same name twice, or more than `limits`: nothing is then written. [`ClientError::Io`] where a
/// file is already there (with [`Existing::Refuse`]) or the disk refuses: what was written before
/// stays.
pub fn unpack(
    mut archive: impl Read + Seek,
    into: &Path,
    limits: UnpackLimits,
    existing: Existing,
) -> std::result::Result<Unpacked, ClientError> {
    let refused = |why: Error| ClientError::invalid("the output archive", format!("{why}; nothing was unpacked"));
    look_through(BufReader::new(&mut archive), limits).map_err(refused)?;
    archive.rewind().map_err(refused)?;
    std::fs::create_dir_all(into).map_err(ClientError::io("make the folder", into))?;
    let root = openat(CWD, into, FOLDER, Mode::empty())
        .map_err(|errno| ClientError::io("open the folder", into)(errno.into()))?;
    let mut unpacked = Unpacked::default();
    let mut entries = Entries::new(BufReader::new(archive));
    while let Some(entry) = entries.next().map_err(refused)? {
        let written = write_entry(&root, &entry, &mut entries, existing);
        written.map_err(ClientError::io("unpack", &into.join(OsStr::from_bytes(shown(&entry.path).as_bytes()))))?;
        if entry.kind != Kind::Folder {
            unpacked.files += 1;
            unpacked.bytes += entry.size;
        }
    }
    Ok(unpacked)
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Reads all of an archive and judges every entry.
fn look_through(archive: impl Read, limits: UnpackLimits) -> Result<()> {
    let mut entries = Entries::new(archive);
    let (mut count, mut bytes) = (0u64, 0u64);
    // Names parted by what sorts before everything else, so that what is in a folder stands right behind it.
    let mut seen = BTreeMap::new();
    while let Some(entry) = entries.next()? {
        count += 1;
        bytes = bytes.saturating_add(entry.size);
        if count > limits.entries || bytes > limits.bytes {
            return Err(bad(&format!(
                "it holds more than {} files or {} bytes, which is the limit",
                limits.entries, limits.bytes
            )));
        }
        let parts = parts(&entry.path)?.join(&b'\0');
        let is_file = entry.kind != Kind::Folder;
        if is_file && parts.is_empty() {
            return Err(bad("a file without a name"));
        }
        let before = seen.insert(parts, is_file);
        if before.is_some_and(|was_file| was_file || is_file) {
            return Err(bad(&format!("`{}` is in it twice", shown(&entry.path))));
        }
    }
    let within = |outer: &[u8], inner: &[u8]| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(b"\0"));
    let mut names = seen.iter().peekable();
    while let Some((name, is_file)) = names.next() {
        if *is_file && names.peek().is_some_and(|(next, _)| within(name, next)) {
            let name: Vec<u8> = name.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect();
            return Err(bad(&format!("`{}` is in it as a file and as a folder", shown(&name))));
        }
    }
    Ok(())
}

/// The names of a path from the target folder down.
fn parts(path: &[u8]) -> Result<Vec<&[u8]>> {
    let refuse = |why: &str| Err(bad(&format!("path `{}` {why}", shown(path))));
    if path.starts_with(b"/") {
        return refuse("is absolute");
    }
    if path.len() > MAX_PATH || path.iter().any(u8::is_ascii_control) {
        return refuse("is too long or contains a control character");
    }
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.iter().any(|part| *part == b"..") {
        return refuse("leaves the folder through `..`");
    }
    if parts.len() > MAX_DEPTH || parts.iter().any(|part| part.len() > MAX_PART) {
        return refuse("is too deep, or a part of it too long");
    }
    Ok(parts)
}

fn write_entry<R: Read>(root: &OwnedFd, entry: &Entry, entries: &mut Entries<R>, existing: Existing) -> Result<()> {
    let parts = parts(&entry.path)?;
    let (folders, name) = match (entry.kind, parts.split_last()) {
        (Kind::Folder, _) => (parts.as_slice(), None),
        (_, Some((name, folders))) => (folders, Some(OsStr::from_bytes(name))),
        (_, None) => return Err(bad("a file without a name")),
    };
    let mut folder = root.try_clone()?;
    for part in folders {
        folder = open_or_make(&folder, OsStr::from_bytes(part))?;
    }
    let Some(name) = name else { return Ok(()) };
    let mode = if entry.kind == Kind::ExecutableFile { 0o755 } else { 0o644 };
    match existing {
        Existing::Refuse => write_new(&folder, name, Mode::from_raw_mode(mode), entries),
        Existing::Replace => {
            let temporary = format!(".hivemind.{}.part", uuid::Uuid::new_v4());
            let temporary = OsStr::new(&temporary);
            write_new(&folder, temporary, Mode::from_raw_mode(mode), entries)?;
            renameat(&folder, temporary, &folder, name).map_err(|errno| {
                // Best effort: what failed first is what is told.
                let _ = unlinkat(&folder, temporary, AtFlags::empty());
                errno.into()
            })
        }
    }
}

fn open_or_make(folder: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
    match mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    openat(folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP | Errno::NOTDIR => {
            Error::new(ErrorKind::NotADirectory, "a link or a file stands where a folder should be; move it away")
        }
        other => other.into(),
    })
}

fn write_new<R: Read>(folder: &OwnedFd, name: &OsStr, mode: Mode, entries: &mut Entries<R>) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, mode).map_err(|errno| match errno {
        Errno::EXIST => {
            Error::new(ErrorKind::AlreadyExists, "it is already there; choose another folder or allow replacing")
        }
        other => Error::from(other),
    })?;
    let mut file = BufWriter::with_capacity(256 << 10, File::from(file));
    let written = std::io::copy(&mut entries.content(), &mut file).and_then(|_| file.flush());
    if written.is_err() {
        // Best effort: half a file is worse than none.
        let _ = unlinkat(folder, name, AtFlags::empty());
    }
    written
}

#[cfg(test)]
mod tests;
