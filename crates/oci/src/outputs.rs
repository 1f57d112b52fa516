//! What a task left, on its way out.
//!
//! Start at [`collect`]. The disk is walked through the agent's own mount of it, when nothing of the task runs
//! any more; regular files and folders are packed in the normal form of `hivemind_runtime::archive`.
//!
//! Invariant: no link is followed, and nothing but a regular file is opened to be read.

use hivemind_model::spec::{OUTPUT, check_path};
use hivemind_runtime::archive::{Kind, MOST_DEPTH, MOST_ENTRIES, MOST_NAME_BYTES, MOST_PATH_BYTES, Packer};
use hivemind_runtime::volume::Unnamed;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// The archive; `None` where there was nothing.
    pub(crate) archive: Option<NamedTempFile>,
    /// What was left out, for people.
    pub(crate) remark: Option<String>,
}

/// Packs what is left on `disk` of `names` into a file in `scratch`.
///
/// More than `limit` bytes (holes of sparse files count) are not taken: the archive is given up and the remark
/// says so.
pub(crate) async fn collect(
    disk: Arc<Unnamed>,
    names: Vec<String>,
    limit: u64,
    scratch: PathBuf,
) -> io::Result<Collected> {
    let packing = tokio::task::spawn_blocking(move || pack(disk.root(), &names, limit, &scratch));
    packing.await.map_err(io::Error::other)?
}

/// An archive in the making.
struct Packing {
    packer: Packer,
    limit: u64,
    entries: usize,
    name_bytes: usize,
    bytes: u64,
    skipped: usize,
    first_skipped: String,
    folders: BTreeSet<PathBuf>,
}

/// Why packing ends early.
enum Halt {
    TooMuch,
    Io(io::Error),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Halt {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

fn pack(disk: BorrowedFd<'_>, names: &[String], limit: u64, scratch: &Path) -> io::Result<Collected> {
    let mut packing = Packing {
        packer: Packer::new(scratch)?,
        limit,
        entries: 0,
        name_bytes: 0,
        bytes: 0,
        skipped: 0,
        first_skipped: String::new(),
        folders: BTreeSet::new(),
    };
    let packed = match names {
        [only] if only == OUTPUT => packing.inside(disk, only),
        several => several.iter().try_for_each(|name| packing.named(disk, name)),
    };
    match packed {
        Ok(()) => {}
        Err(Halt::Io(error)) => return Err(error),
        Err(Halt::TooMuch) => {
            let remark = format!(
                "the outputs were not kept: they have more than {MOST_ENTRIES} entries, {MOST_NAME_BYTES} bytes of names, or {limit} bytes (holes count), which is the task's disk"
            );
            return Ok(Collected { archive: None, remark: Some(remark) });
        }
    }
    let remark = packing.remark();
    Ok(Collected { archive: packing.packer.finish()?, remark })
}

fn kind_of(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

/// Opens a folder, and only that.
fn folder(at: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

impl Packing {
    /// Takes what is in the folder `name`, with paths relative to it.
    fn inside(&mut self, disk: BorrowedFd<'_>, name: &str) -> Result<(), Halt> {
        match folder(disk, OsStr::new(name)) {
            Ok(opened) => self.walk(opened, Path::new("")),
            Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                self.skip(Path::new(name));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the file or folder `name`, with paths relative to the disk, and the folders above it.
    fn named(&mut self, disk: BorrowedFd<'_>, name: &str) -> Result<(), Halt> {
        check_path("outputs", name)
            .map_err(|rejection| io::Error::new(io::ErrorKind::InvalidInput, rejection.to_string()))?;
        let (above, last) = name.rsplit_once('/').map_or((None, name), |(above, last)| (Some(above), last));
        let mut at = None::<OwnedFd>;
        for part in above.into_iter().flat_map(|above| above.split('/')) {
            let from = at.as_ref().map_or(disk, std::os::fd::AsFd::as_fd);
            match folder(from, OsStr::new(part)) {
                Ok(opened) => at = Some(opened),
                Err(Errno::NOENT) => return Ok(()),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    self.skip(Path::new(name));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let from = at.as_ref().map_or(disk, std::os::fd::AsFd::as_fd);
        match statat(from, last, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        for (end, _) in name.match_indices('/') {
            self.add_folder(Path::new(&name[..end]))?;
        }
        self.entry(from, OsStr::new(last), Path::new(name))
    }

    /// Takes everything in a folder.
    fn walk(&mut self, opened: OwnedFd, path: &Path) -> Result<(), Halt> {
        // In order, so that an archive is as a rule written once.
        let mut names = BTreeSet::new();
        let mut bytes = 0;
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                bytes += name.len();
                names.insert(OsStr::from_bytes(name).to_owned());
            }
            if names.len() > MOST_ENTRIES || bytes > MOST_NAME_BYTES {
                return Err(Halt::TooMuch);
            }
        }
        for name in names {
            self.entry(std::os::fd::AsFd::as_fd(&opened), &name, &path.join(&name))?;
        }
        Ok(())
    }

    fn entry(&mut self, at: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), Halt> {
        let raw = path.as_os_str().as_bytes();
        // Nobody would unpack it, and one such name would cost the requester everything beside it.
        if raw.len() > MOST_PATH_BYTES || path.components().count() > MOST_DEPTH || raw.iter().any(u8::is_ascii_control)
        {
            self.skip(path);
            return Ok(());
        }
        let found = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match kind_of(&found) {
            FileType::Directory => {
                self.add_folder(path)?;
                self.walk(folder(at, name)?, path)
            }
            FileType::RegularFile => self.add_file(at, name, path),
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {
                self.skip(path);
                Ok(())
            }
        }
    }

    fn count(&mut self, path: &Path, bytes: u64) -> Result<(), Halt> {
        self.entries += 1;
        self.name_bytes += path.as_os_str().len();
        self.bytes = self.bytes.saturating_add(bytes);
        let fits = self.entries <= MOST_ENTRIES && self.name_bytes <= MOST_NAME_BYTES && self.bytes <= self.limit;
        if fits { Ok(()) } else { Err(Halt::TooMuch) }
    }

    fn add_folder(&mut self, path: &Path) -> Result<(), Halt> {
        if self.folders.insert(path.to_owned()) {
            self.count(path, 0)?;
            self.packer.add(path, Kind::Folder, 0, io::empty())?;
        }
        Ok(())
    }

    fn add_file(&mut self, at: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), Halt> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(at, name, flags, Mode::empty())?;
        let found = fstat(&file)?;
        let size = u64::try_from(found.st_size).unwrap_or(u64::MAX);
        self.count(path, size)?;
        let kind = Kind::of_file(found.st_mode);
        // Nobody writes to it any more; should it end early, the archive would be broken, so it is filled up.
        let content = File::from(file).take(size).chain(io::repeat(0)).take(size);
        self.packer.add(path, kind, size, content)?;
        Ok(())
    }

    fn skip(&mut self, path: &Path) {
        if self.skipped == 0 {
            self.first_skipped = path.to_string_lossy().chars().filter(|c| !c.is_control()).take(100).collect();
        }
        self.skipped += 1;
    }

    fn remark(&self) -> Option<String> {
        let (count, first) = (self.skipped, &self.first_skipped);
        (count > 0).then(|| {
            format!("{count} of the outputs left out (only regular files and folders with plain names are kept), first `{first}`")
        })
    }
}

#[cfg(test)]
mod tests;
