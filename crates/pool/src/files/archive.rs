//! Where the files of a tar archive lie that a stranger made.
//!
//! Start at [`read`]. Headers are read one after the other, and contents skipped. Only what an output may hold is
//! taken: regular files and folders, with long names in the GNU and the POSIX form; anything else refuses the
//! archive, as clients refuse to unpack it.
//!
//! Invariant: nothing in an archive decides how much memory is taken, and nothing outside of it is read.

use super::name::{MAX_NAME, shown};
use super::{Index, Item, Kind};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use tar::{EntryType, Header};

const BLOCK: u64 = 512;
/// Most entries that are told, and most bytes of their names together.
pub(super) const MOST_ITEMS: usize = 10_000;
const MOST_NAME_BYTES: usize = 2 << 20;
/// Most headers that are read, those for long names among them.
const MOST_HEADERS: usize = 4 * MOST_ITEMS;
/// Longest record that may hold a name.
const MAX_PAX: u64 = 64 << 10;

/// What is where in the archive in `file`, of `size` bytes.
///
/// # Errors
/// [`ErrorKind::InvalidData`] where it is no such archive; the file system's.
pub(super) fn read(file: &File, size: u64) -> Result<Index> {
    let mut archive = Archive { file, size, at: 0, headers: 0 };
    let (mut items, mut names, mut seen) = (Vec::new(), 0, HashSet::new());
    while let Some(Entry { name, kind, at, size }) = archive.next()? {
        let path = shown(&name).map_err(|why| bad(&why))?;
        if path.is_empty() {
            match kind {
                Kind::Folder => continue,
                Kind::File | Kind::Program => return Err(bad("a file has no name")),
            }
        }
        if items.len() >= MOST_ITEMS || names + path.len() > MOST_NAME_BYTES {
            return Ok(Index { items, cut: true });
        }
        if !seen.insert(path.clone()) {
            match kind {
                Kind::Folder => continue,
                Kind::File | Kind::Program => return Err(bad(&format!("`{path}` is in it twice"))),
            }
        }
        names += path.len();
        items.push(Item { path, kind, at, size });
    }
    Ok(Index { items, cut: false })
}

struct Entry {
    name: Vec<u8>,
    kind: Kind,
    at: u64,
    size: u64,
}

struct Archive<'a> {
    file: &'a File,
    size: u64,
    at: u64,
    headers: usize,
}

impl Archive<'_> {
    /// The next file or folder.
    fn next(&mut self) -> Result<Option<Entry>> {
        let (mut long_name, mut long_size) = (None, None);
        loop {
            let Some(header) = self.header()? else {
                let whole = long_name.is_none() && long_size.is_none();
                return if whole { Ok(None) } else { Err(bad("it ends after a long name")) };
            };
            let size = header.entry_size().map_err(|_| bad("a size cannot be read"))?;
            match header.entry_type() {
                EntryType::GNULongName => long_name = Some(self.long_name(size)?),
                EntryType::XHeader => {
                    let found = pax(&self.text(size, MAX_PAX)?)?;
                    long_name = found.path.or(long_name);
                    long_size = found.size.or(long_size);
                }
                kind => {
                    let name = long_name.unwrap_or_else(|| header.path_bytes().into_owned());
                    let kind = judge(kind, &header, &name)?;
                    let size = if kind == Kind::Folder { size } else { long_size.unwrap_or(size) };
                    if kind == Kind::Folder && size != 0 {
                        return Err(bad("a folder has content"));
                    }
                    let at = self.content(size)?;
                    return Ok(Some(Entry { name, kind, at, size }));
                }
            }
        }
    }

    fn header(&mut self) -> Result<Option<Header>> {
        if self.at >= self.size {
            return Ok(None);
        }
        self.headers += 1;
        if self.headers > MOST_HEADERS {
            return Err(bad("it has too many headers for its files"));
        }
        let mut block = [0; BLOCK as usize];
        self.exactly(&mut block, self.at)?;
        self.at += BLOCK;
        // A block of zeros ends the archive; what follows is padding.
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // The checksum's own field, bytes 148 to 155, counts as blanks: POSIX, pax, ustar.
        let summed = block.iter().enumerate().map(|(at, byte)| match at {
            148..156 => 32,
            _ => u32::from(*byte),
        });
        if header.cksum().ok() != Some(summed.sum()) {
            return Err(bad("a header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    /// Skips a content; gives where it begins.
    fn content(&mut self, size: u64) -> Result<u64> {
        let at = self.at;
        let end = at.checked_add(size).filter(|end| *end <= self.size).ok_or_else(|| bad("it is cut short"))?;
        self.at = end.checked_next_multiple_of(BLOCK).ok_or_else(|| bad("a size cannot be"))?;
        Ok(at)
    }

    fn text(&mut self, size: u64, most: u64) -> Result<Vec<u8>> {
        if size > most {
            return Err(bad("a name is longer than any file system takes"));
        }
        let at = self.content(size)?;
        let mut text = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.exactly(&mut text, at)?;
        Ok(text)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut name = self.text(size, MAX_NAME as u64 + 1)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn exactly(&self, into: &mut [u8], at: u64) -> Result<()> {
        self.file.read_exact_at(into, at).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => bad("it is cut short"),
            _ => error,
        })
    }
}

#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Reads `LENGTH KEY=VALUE\n` records: POSIX, pax, extended header.
fn pax(text: &[u8]) -> Result<Pax> {
    let (mut found, mut rest) = (Pax::default(), text);
    let broken = || bad("an extended header cannot be read");
    while !rest.is_empty() {
        let blank = rest.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = number(&rest[..blank]).and_then(|length| usize::try_from(length).ok()).ok_or_else(broken)?;
        if length <= blank + 1 || length > rest.len() || rest[length - 1] != b'\n' {
            return Err(broken());
        }
        let record = &rest[blank + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => found.path = Some(value.to_vec()),
            b"size" => found.size = Some(number(value).ok_or_else(broken)?),
            _ if key.starts_with(b"GNU.sparse.") => return Err(bad("a sparse file is in it")),
            // Times, owners and comments change nothing here.
            _ => {}
        }
        rest = &rest[length..];
    }
    Ok(found)
}

fn judge(kind: EntryType, header: &Header, name: &[u8]) -> Result<Kind> {
    let what = match kind {
        EntryType::Regular if name.ends_with(b"/") => return Ok(Kind::Folder),
        EntryType::Directory => return Ok(Kind::Folder),
        EntryType::Regular | EntryType::Continuous => {
            let mode = header.mode().map_err(|_| bad("a mode cannot be read"))?;
            return Ok(if mode & 0o111 != 0 { Kind::Program } else { Kind::File });
        }
        EntryType::Symlink => "a symbolic link".to_owned(),
        EntryType::Link => "a hard link".to_owned(),
        EntryType::Char | EntryType::Block => "a device".to_owned(),
        EntryType::Fifo => "a pipe".to_owned(),
        other => format!("an entry of type {:?}", char::from(other.as_byte())),
    };
    Err(bad(&format!("{what} is in it; only files and folders are taken")))
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

fn bad(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}
