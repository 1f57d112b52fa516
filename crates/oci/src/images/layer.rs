//! One layer, unpacked into a folder of its own.
//!
//! Start at [`unpack`]. What the layer removes from those below it becomes what overlays understand: a device
//! of number zero for a name, an attribute for a whole folder. Nothing else that is special is made: no
//! devices, no pipes, no set-user bits, no attributes.
//!
//! Invariant: every name is looked up below the layer's own folder by the kernel, so no link leads out of it.

use super::{ImageLimits, Trouble};
use crate::images::entries::{Item, each};
use crate::images::manifest::lie;
use flate2::read::MultiGzDecoder;
use hivemind_runtime::Stop;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod,
    fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, open, openat2, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::EntryType;

/// Before the name of what a layer removes.
const WHITEOUT: &[u8] = b".wh.";
/// In a folder of which nothing is taken over from below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names of an older format's own.
const OLD_MARKS: &[u8] = b".wh..wh.";
/// Longest path, and most folders of one.
const MOST_PATH_BYTES: usize = 4096;
const MOST_DEPTH: usize = 256;
/// A layer may get so large whatever it was before.
const FREE_BYTES: u64 = 64 << 20;
/// What an entry takes on disk beside its content.
const ENTRY_BYTES: u64 = 4096;
/// Nothing leads out of the folder.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// What an image may still take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

impl Budget {
    pub(super) fn of(limits: &ImageLimits) -> Self {
        Self { bytes: limits.unpacked.0, entries: limits.entries }
    }

    /// Takes off what a layer has that is here already.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Trouble> {
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or_else(|| Trouble::Image("it is larger than this machine takes when it is unpacked".into()))?;
        Ok(())
    }
}

/// Why a stream is read no further.
#[derive(Debug)]
pub(super) enum Refusal {
    TooLarge(String),
    Stopped,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(why) => f.write_str(why),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Counts the bytes of a layer as it lies there.
struct Counted<'a, R> {
    from: R,
    read: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(into)?;
        self.read.set(self.read.get() + length as u64);
        Ok(length)
    }
}

/// Counts and hashes what is read, and ends it where it is too much.
struct Gauge<'a, R> {
    from: R,
    hash: Sha256,
    read: u64,
    most: u64,
    /// How much of the packed layer was needed for it.
    packed: &'a Cell<u64>,
    ratio: u64,
    stop: &'a Stop,
}

impl<R: Read> Read for Gauge<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other(Refusal::Stopped));
        }
        let length = self.from.read(into)?;
        self.read += length as u64;
        if self.read > self.most {
            let why = format!("it is larger than this machine takes: a layer unpacks to more than {} bytes", self.most);
            return Err(io::Error::other(Refusal::TooLarge(why)));
        }
        // As it goes, not at the end: a bomb of megabytes would have filled the disk by then.
        if self.read > FREE_BYTES && self.read / self.packed.get().max(1) > self.ratio {
            let why = format!("a layer unpacks to more than {} times its size, as archive bombs do", self.ratio);
            return Err(io::Error::other(Refusal::TooLarge(why)));
        }
        self.hash.update(&into[..length]);
        Ok(length)
    }
}

/// A layer as it lies there: plain or packed.
enum Packed<R: Read> {
    Plain(BufReader<Chain<Cursor<Vec<u8>>, R>>),
    Gzip(MultiGzDecoder<BufReader<Chain<Cursor<Vec<u8>>, R>>>),
}

impl<R: Read> Packed<R> {
    fn open(mut from: R) -> Result<Self, Trouble> {
        let mut magic = Vec::with_capacity(4);
        let read = from.by_ref().take(4).read_to_end(&mut magic);
        read.map_err(|error| Trouble::from_reading(&error))?;
        let is_gzip = magic.starts_with(&[0x1f, 0x8b]);
        if magic == [0x28, 0xb5, 0x2f, 0xfd] {
            return Err(Trouble::Image(
                "a layer is packed with zstd, which is not taken: push it again with gzip".into(),
            ));
        }
        let from = BufReader::with_capacity(256 << 10, Cursor::new(magic).chain(from));
        Ok(if is_gzip { Self::Gzip(MultiGzDecoder::new(from)) } else { Self::Plain(from) })
    }
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(from) => from.read(into),
            Self::Gzip(from) => from.read(into),
        }
    }
}

/// Unpacks the layer `from` into the empty folder `into`; gives what it takes on disk.
///
/// # Errors
/// Where it is not what `diff_id` says, is too large, or has something in it that no layer may have.
pub(super) fn unpack(
    from: impl Read,
    diff_id: &str,
    into: &Path,
    (budget, limits): (&mut Budget, &ImageLimits),
    stop: &Stop,
) -> Result<u64, Trouble> {
    let root = open(into, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Trouble::io(into.display(), &error.into()))?;
    let packed = Cell::new(0);
    let from = Packed::open(Counted { from, read: &packed })?;
    // The archive's own headers count, and are about as large as what an entry takes on disk.
    let (most, ratio) = (budget.bytes, limits.ratio);
    let mut gauge = Gauge { from, hash: Sha256::new(), read: 0, most, packed: &packed, ratio, stop };
    let mut unpacking = Unpacking { root, parent: None, bytes: 0, budget };
    each(&mut gauge, |item| unpacking.item(item))?;
    let bytes = unpacking.bytes;
    // What follows the archive belongs to what was hashed.
    io::copy(&mut gauge, &mut io::sink()).map_err(|error| Trouble::from_reading(&error))?;
    let found = format!("sha256:{}", hex::encode(gauge.hash.finalize()));
    if found != diff_id {
        return Err(lie("an unpacked layer", diff_id, &found));
    }
    Ok(bytes)
}

/// A layer in the making.
struct Unpacking<'a> {
    root: OwnedFd,
    /// The folder of the latest entry.
    parent: Option<(PathBuf, OwnedFd)>,
    bytes: u64,
    budget: &'a mut Budget,
}

/// A path within the layer, taken apart; `None` for the root itself.
fn split(path: &[u8]) -> Result<Option<(PathBuf, &OsStr)>, Trouble> {
    let shown = || String::from_utf8_lossy(path).chars().filter(|c| !c.is_control()).take(200).collect::<String>();
    let bad = |why: &str| Err(Trouble::Image(format!("a layer has the path `{}`, which {why}", shown())));
    if path.len() > MOST_PATH_BYTES {
        return bad("is too long");
    }
    if path.starts_with(b"/") {
        return bad("is absolute");
    }
    if path.contains(&0) {
        return bad("has a zero byte");
    }
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return bad("leaves it through `..`");
    }
    if parts.len() > MOST_DEPTH || parts.iter().any(|part| part.len() > 255) {
        return bad("is too deep or has too long a part");
    }
    let Some((name, above)) = parts.split_last() else { return Ok(None) };
    Ok(Some((above.iter().map(|part| OsStr::from_bytes(part)).collect(), OsStr::from_bytes(name))))
}

impl Unpacking<'_> {
    fn item(&mut self, item: Item<'_>) -> Result<(), Trouble> {
        self.budget.entries = self
            .budget
            .entries
            .checked_sub(1)
            .ok_or_else(|| Trouble::Image("it has more files and folders than this machine takes".into()))?;
        let Some((above, name)) = split(&item.path)?.map(|(above, name)| (above, name.to_owned())) else {
            return Ok(());
        };
        let cost = ENTRY_BYTES.saturating_add(item.size.next_multiple_of(ENTRY_BYTES));
        self.budget.take(cost)?;
        self.bytes = self.bytes.saturating_add(cost);
        let path = above.join(&name);
        let made = self.enter(above).and_then(|()| self.make(&name, item));
        made.map_err(|error| match error.kind() {
            _ if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOENT | libc::EXDEV)) => Trouble::Image(
                format!("a layer has `{}` below, or as a link to, what it does not have", path.display()),
            ),
            io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Trouble::from_reading(&error)
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                Trouble::Image(format!("a layer has `{}` below or in place of something else", path.display()))
            }
            _ => Trouble::io(format_args!("`{}` of a layer could not be made", path.display()), &error),
        })
    }

    /// Opens the folder `path`, and makes those of it that are not there.
    fn enter(&mut self, path: PathBuf) -> io::Result<()> {
        if self.parent.as_ref().is_some_and(|(known, _)| *known == path) {
            return Ok(());
        }
        let folder = match self.open_folder(&path) {
            Err(Errno::NOENT) => {
                let mut at = PathBuf::new();
                for part in path.components() {
                    let above = self.open_folder(&at)?;
                    match mkdirat(&above, part.as_os_str(), Mode::from_raw_mode(0o755)) {
                        // What the umask of this process took.
                        Ok(()) => fchmod(self.open_folder(&at.join(part))?, Mode::from_raw_mode(0o755))?,
                        Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    at.push(part);
                }
                self.open_folder(&path)
            }
            other => other,
        }?;
        self.parent = Some((path, folder));
        Ok(())
    }

    fn open_folder(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        openat2(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), INSIDE)
    }

    fn make(&mut self, name: &OsStr, item: Item<'_>) -> io::Result<()> {
        let Some((_, parent)) = &self.parent else { return Err(io::Error::other("an entry without a folder")) };
        let raw = name.as_bytes();
        if raw == OPAQUE {
            fsetxattr(parent, "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
            return Ok(());
        }
        if raw.starts_with(OLD_MARKS) {
            return Ok(());
        }
        if let Some(removed) = raw.strip_prefix(WHITEOUT) {
            if removed.is_empty() || removed == b"." || removed == b".." {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it removes a name that is none"));
            }
            let removed = OsStr::from_bytes(removed);
            clear(parent, removed)?;
            mknodat(parent, removed, FileType::CharacterDevice, Mode::empty(), 0)?;
            return Ok(());
        }
        make(self, name, item)
    }
}

/// Makes what is no removal.
fn make(unpacking: &Unpacking<'_>, name: &OsStr, item: Item<'_>) -> io::Result<()> {
    let Some((_, parent)) = &unpacking.parent else { return Err(io::Error::other("an entry without a folder")) };
    let mode = Mode::from_raw_mode(item.mode & 0o1777);
    let owner = (Some(Uid::from_raw(item.uid)), Some(Gid::from_raw(item.gid)));
    match item.kind {
        EntryType::Directory => {
            match mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
                Err(Errno::EXIST) => {
                    let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
                        clear(parent, name)?;
                        mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
                    }
                }
                other => other?,
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = openat2(parent, name, flags, Mode::empty(), INSIDE)?;
            fchown(&folder, owner.0, owner.1)?;
            fchmod(&folder, mode)?;
        }
        EntryType::Regular | EntryType::Continuous => {
            clear(parent, name)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(openat2(parent, name, flags, Mode::from_raw_mode(0o600), INSIDE)?);
            io::copy(item.content, &mut file)?;
            fchown(&file, owner.0, owner.1)?;
            fchmod(&file, mode)?;
            let at = Timespec { tv_sec: item.mtime, tv_nsec: 0 };
            futimens(&file, &Timestamps { last_access: at, last_modification: at })?;
        }
        EntryType::Symlink => {
            clear(parent, name)?;
            symlinkat(OsStr::from_bytes(&item.link), parent, name)?;
            chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        EntryType::Link => {
            let link = item.link.strip_prefix(b"/").unwrap_or(&item.link);
            let target = split(link).map_err(|_| outside())?.ok_or_else(outside)?;
            let above = unpacking.open_folder(&target.0)?;
            let found = statat(&above, target.1, AtFlags::SYMLINK_NOFOLLOW)?;
            if !matches!(FileType::from_raw_mode(found.st_mode), FileType::RegularFile | FileType::Symlink) {
                return Err(outside());
            }
            clear(parent, name)?;
            linkat(&above, target.1, parent, name, AtFlags::empty())?;
        }
        // Devices and pipes are nothing that a task could use, and what is unknown is left out, too.
        _ => {}
    }
    Ok(())
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it links to what is not a file of its own")
}

/// Makes way for an entry. A folder stays, and the entry fails.
fn clear(parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes everything below `folder` to the disk.
pub(super) fn settle(folder: &Path) -> io::Result<()> {
    let folder = rustix::fs::openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::fs::syncfs(&folder)?)
}

#[cfg(test)]
mod tests;
