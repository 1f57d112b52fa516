//! What a job left of what is to be kept, packed for its requester.
//!
//! Start at [`collect`], which reads a folder of this machine that a task has written. [`Kept`] is the
//! rule both for that and for archives that come from elsewhere: regular files and folders with plain,
//! relative names, within bounds, in the normal form of [`crate::archive`].
//!
//! Invariant: no link is followed, no other file system is entered, and nothing is unpacked here.

use crate::archive::{Kind, Packer};
use hivemind_model::spec::OUTPUT;
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use tempfile::NamedTempFile;

/// Most entries of an archive.
pub const MOST_ENTRIES: usize = 100_000;
/// Most bytes of all paths together; they are held in memory while they are sorted.
pub const MOST_NAME_BYTES: usize = 64 << 20;
/// Longest path that clients unpack.
const MOST_PATH_BYTES: usize = 4096;
/// Most folders of one path that clients unpack.
const MOST_DEPTH: usize = 64;
/// Most missing outputs that a remark names.
const MOST_NAMED: usize = 3;
/// Nothing is reached but what lies in the folder itself.
const WITHIN: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// What came of it.
#[derive(Debug, Default)]
pub struct Collected {
    /// The archive; `None` where there was nothing.
    pub archive: Option<NamedTempFile>,
    /// What was left out or is missing, for people.
    pub remark: Option<String>,
}

/// Packs `outputs` of the folder `task`, which nothing writes any more, into a file in `scratch`.
///
/// `task` is what the job knows as `/task`; `outputs` are relative to it and were checked. Where they are
/// [`OUTPUT`] alone, paths in the archive are relative to that folder. What is missing is in the remark, but
/// not where it is [`OUTPUT`] alone: few commands make that folder. More than `limit` bytes (holes of sparse
/// files count) are not taken: the archive is given up and the remark says so. Blocks.
///
/// # Errors
/// Where the folder cannot be read, or the archive cannot be written.
pub fn collect(task: BorrowedFd<'_>, outputs: &[String], limit: u64, scratch: &Path) -> io::Result<Collected> {
    let mut kept = Kept::new(outputs, limit, scratch)?;
    for output in outputs {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat2(task, output.as_str(), flags, Mode::empty(), WITHIN);
        match found {
            Ok(found) => walk(&mut kept, found, Path::new(output))?,
            Err(Errno::NOENT | Errno::NOTDIR) => kept.missing(output),
            Err(Errno::LOOP | Errno::XDEV) => kept.skip(output.as_bytes()),
            Err(error) => return Err(error.into()),
        }
        if kept.is_full() {
            break;
        }
    }
    kept.finish()
}

/// A folder that is being read, and its names that have not been looked at.
struct Open {
    folder: OwnedFd,
    path: PathBuf,
    /// In their reverse order: the next is the last.
    names: Vec<CString>,
}

/// Packs what `top` stands for, and all below it.
fn walk(kept: &mut Kept, top: OwnedFd, path: &Path) -> io::Result<()> {
    let mut folders = Vec::new();
    take(kept, top.as_fd(), path.to_owned(), &mut folders)?;
    while let Some(open) = folders.last_mut() {
        if kept.is_full() {
            return Ok(());
        }
        let Some(name) = open.names.pop() else {
            folders.pop();
            continue;
        };
        kept.looked_at(&name);
        let path = open.path.join(OsStr::from_bytes(name.as_bytes()));
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat2(&open.folder, &name, flags, Mode::empty(), WITHIN) {
            Ok(found) => take(kept, found.as_fd(), path, &mut folders)?,
            Err(Errno::NOENT | Errno::LOOP | Errno::XDEV) => kept.skip(path.as_os_str().as_bytes()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Packs one file, or opens one folder.
fn take(kept: &mut Kept, found: BorrowedFd<'_>, path: PathBuf, folders: &mut Vec<Open>) -> io::Result<()> {
    let stat = fstat(found)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            if kept.add(&path, Kind::Folder, 0, io::empty())? {
                let folder = reopen(found, OFlags::DIRECTORY)?;
                let names = kept.names_of(&folder)?;
                folders.push(Open { folder, path, names });
            }
            Ok(())
        }
        FileType::RegularFile => {
            // Not the descriptor of the look, which cannot be read from.
            let file = std::fs::File::from(reopen(found, OFlags::empty())?);
            let size = length(&stat);
            kept.add(&path, Kind::of_file(stat.st_mode), size, Exactly { from: file, left: size }).map(drop)
        }
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => {
            kept.skip(path.as_os_str().as_bytes());
            Ok(())
        }
    }
}

fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(u64::MAX)
}

/// Opens for reading what was only looked at; by its descriptor, so that it is the same thing.
fn reopen(found: BorrowedFd<'_>, flags: OFlags) -> io::Result<OwnedFd> {
    let way = format!("/proc/self/fd/{}", found.as_raw_fd());
    Ok(rustix::fs::open(way, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Gives exactly so many bytes, or an error: an archive's header promised them.
struct Exactly<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self.from.read(&mut into[..most])?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "an output became shorter while it was read"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// What was left out, and the first of it.
#[derive(Debug, Default)]
struct Skipped {
    count: usize,
    first: String,
}

/// Takes what is to be kept, entry by entry.
pub(crate) struct Kept {
    packer: Packer,
    /// What a path under `/task` begins with where it is kept, and loses.
    base: &'static str,
    limit: u64,
    folders: BTreeSet<PathBuf>,
    entries: usize,
    names: usize,
    /// Names that were read and not looked at, and their bytes: of all folders that are open at once.
    waiting: [usize; 2],
    bytes: u64,
    is_full: bool,
    skipped: Skipped,
    missing: Vec<String>,
}

impl Kept {
    /// Nothing yet.
    pub(crate) fn new(outputs: &[String], limit: u64, scratch: &Path) -> io::Result<Self> {
        Ok(Self {
            packer: Packer::new(scratch)?,
            base: if is_usual(outputs) { OUTPUT } else { "" },
            limit,
            folders: BTreeSet::new(),
            entries: 0,
            names: 0,
            waiting: [0, 0],
            bytes: 0,
            is_full: false,
            skipped: Skipped::default(),
            missing: Vec::new(),
        })
    }

    /// True once there is more than is taken; nothing that follows counts then.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds what lies at `path` under `/task`. False where it was left out, with all that is below it.
    pub(crate) fn add(&mut self, path: &Path, kind: Kind, size: u64, content: impl Read) -> io::Result<bool> {
        let raw = path.as_os_str().as_bytes();
        let Some(inner) = self.inner(path) else {
            self.skip(raw);
            return Ok(false);
        };
        let is_root = inner.as_os_str().is_empty();
        if is_root {
            // The usual folder itself is no entry, and nothing but a folder.
            let is_folder = kind == Kind::Folder;
            if !is_folder {
                self.skip(raw);
            }
            return Ok(is_folder);
        }
        let parents: Vec<PathBuf> = inner.ancestors().skip(1).map(Path::to_owned).collect();
        for parent in parents.into_iter().rev().filter(|parent| !parent.as_os_str().is_empty()) {
            if !self.folders.contains(&parent) && !self.entry(&parent, Kind::Folder, 0, io::empty())? {
                return Ok(false);
            }
        }
        if kind == Kind::Folder && self.folders.contains(&inner) {
            return Ok(true);
        }
        self.entry(&inner, kind, size, content)
    }

    fn entry(&mut self, path: &Path, kind: Kind, size: u64, content: impl Read) -> io::Result<bool> {
        self.entries += 1;
        self.names += path.as_os_str().len();
        self.bytes = self.bytes.saturating_add(size);
        if self.entries > MOST_ENTRIES || self.names > MOST_NAME_BYTES || self.bytes > self.limit {
            self.is_full = true;
            return Ok(false);
        }
        if kind == Kind::Folder {
            self.folders.insert(path.to_owned());
        }
        self.packer.add(path, kind, size, content)?;
        Ok(true)
    }

    /// The path in the archive; `None` where it leads elsewhere, or where nobody would unpack it: one such
    /// name would cost the requester everything beside it.
    fn inner(&self, path: &Path) -> Option<PathBuf> {
        let raw = path.as_os_str().as_bytes();
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || raw.len() > MOST_PATH_BYTES || raw.iter().any(u8::is_ascii_control) {
            return None;
        }
        let inner = path.strip_prefix(self.base).ok()?;
        (inner.components().count() <= MOST_DEPTH).then(|| inner.to_owned())
    }

    /// The names in `folder`, the last first. They wait until each was [`looked_at`](Self::looked_at).
    fn names_of(&mut self, folder: &OwnedFd) -> io::Result<Vec<CString>> {
        let [before, bytes_before] = self.waiting;
        let (mut names, mut bytes) = (Vec::new(), 0);
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            bytes += name.to_bytes().len();
            let (count, length) = (self.entries + before + names.len(), self.names + bytes_before + bytes);
            if count >= MOST_ENTRIES || length > MOST_NAME_BYTES {
                self.is_full = true;
                return Ok(Vec::new());
            }
            names.push(name.to_owned());
        }
        self.waiting = [before + names.len(), bytes_before + bytes];
        names.sort_unstable_by(|one, other| other.cmp(one));
        Ok(names)
    }

    fn looked_at(&mut self, name: &CString) {
        let [count, bytes] = self.waiting;
        self.waiting = [count.saturating_sub(1), bytes.saturating_sub(name.count_bytes())];
    }

    /// Notes that what lies at `path` is left out.
    pub(crate) fn skip(&mut self, path: &[u8]) {
        if self.skipped.count == 0 {
            self.skipped.first = shown(&String::from_utf8_lossy(path));
        }
        self.skipped.count += 1;
    }

    /// Notes that there is nothing at `output`.
    pub(crate) fn missing(&mut self, output: &str) {
        if self.base.is_empty() {
            self.missing.push(shown(output));
        }
    }

    /// The archive, and what has to be said of it.
    pub(crate) fn finish(self) -> io::Result<Collected> {
        let place = if self.base.is_empty() { "/task".to_owned() } else { format!("/task/{}", self.base) };
        if self.is_full {
            let what = if self.base.is_empty() { "what the task names as its outputs" } else { &place };
            let limit = self.limit;
            let remark = format!(
                "{what} was not kept: it has more than {MOST_ENTRIES} entries, {MOST_NAME_BYTES} bytes of names, or {limit} bytes (holes count), which is the task's disk"
            );
            return Ok(Collected { archive: None, remark: Some(remark) });
        }
        let mut remarks = Vec::new();
        let Skipped { count, first } = &self.skipped;
        if *count > 0 {
            remarks.push(format!(
                "{count} under {place} left out (only regular files and folders with plain names are kept), first `{first}`"
            ));
        }
        if !self.missing.is_empty() {
            let named = self.missing.iter().take(MOST_NAMED).map(|path| format!("`/task/{path}`"));
            let more = match self.missing.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            remarks.push(format!("nothing to keep at {}{more}", named.collect::<Vec<_>>().join(", ")));
        }
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        Ok(Collected { archive: self.packer.finish()?, remark })
    }
}

/// True where a job keeps the usual folder alone.
pub(crate) fn is_usual(outputs: &[String]) -> bool {
    matches!(outputs, [only] if only == OUTPUT)
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests;
