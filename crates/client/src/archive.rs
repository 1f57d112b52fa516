//! Reading a tar archive that a stranger made.
//!
//! Only what an output may hold is read: regular files and folders, with long names in the GNU
//! and the POSIX form. Anything else refuses the whole archive.
//!
//! Invariant: nothing in an archive decides how much memory is taken.

use std::io::{Error, ErrorKind, Read, Result};
use tar::{EntryType, Header};

const BLOCK: u64 = 512;
/// Longest name, and longest record that may hold one, in bytes.
const MAX_NAME: u64 = 4096;
const MAX_PAX: u64 = 64 << 10;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    ExecutableFile,
    Folder,
}

/// One file or folder; the content of a file follows in the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) path: Vec<u8>,
    pub(crate) size: u64,
}

/// The entries of an archive, in order.
pub(crate) struct Entries<R> {
    from: R,
    /// Bytes of the current entry's content that were not read yet, and of its padding.
    left: u64,
    padding: u64,
}

impl<R: Read> Entries<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, left: 0, padding: 0 }
    }

    /// The next file or folder, once the content of the one before was read or is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let (mut long_name, mut long_size) = (None, None);
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return if long_name.is_none() && long_size.is_none() {
                    Ok(None)
                } else {
                    Err(bad("it ends after a long name"))
                };
            };
            let size = header.entry_size()?;
            match header.entry_type() {
                EntryType::GNULongName => long_name = Some(self.long_name(size)?),
                EntryType::XHeader => {
                    let found = self.pax(size)?;
                    long_name = found.path.or(long_name);
                    long_size = found.size.or(long_size);
                }
                kind => {
                    let path = long_name.unwrap_or_else(|| header.path_bytes().into_owned());
                    let kind = judge(kind, &header, &path)?;
                    let size = if kind == Kind::Folder { size } else { long_size.unwrap_or(size) };
                    if kind == Kind::Folder && size != 0 {
                        return Err(bad("a folder with content"));
                    }
                    self.expect(size)?;
                    return Ok(Some(Entry { kind, path, size }));
                }
            }
        }
    }

    /// The content of the current entry.
    pub(crate) fn content(&mut self) -> impl Read {
        Content { entries: self }
    }

    fn header(&mut self) -> Result<Option<Header>> {
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.from.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(bad("it is cut short")),
                n => filled += n,
            }
        }
        // A block of zeros ends the archive; what follows is padding.
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // The checksum's own field, bytes 148 to 155, counts as blanks: POSIX, pax, ustar.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        if header.cksum()? != sum {
            return Err(bad("a header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    fn expect(&mut self, size: u64) -> Result<()> {
        let padded = size.checked_next_multiple_of(BLOCK).ok_or_else(|| bad("a size that cannot be"))?;
        self.left = size;
        self.padding = padded - size;
        Ok(())
    }

    fn skip(&mut self) -> Result<()> {
        let rest = self.left + self.padding;
        let skipped = std::io::copy(&mut (&mut self.from).take(rest), &mut std::io::sink())?;
        if skipped < rest {
            return Err(bad("it is cut short"));
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    fn text(&mut self, size: u64, most: u64) -> Result<Vec<u8>> {
        if size > most {
            return Err(bad("a name is longer than any file system takes"));
        }
        self.expect(size)?;
        let mut text = Vec::new();
        self.content().read_to_end(&mut text)?;
        if text.len() as u64 != size { Err(bad("it is cut short")) } else { Ok(text) }
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut name = self.text(size, MAX_NAME + 1)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// Reads `LENGTH KEY=VALUE\n` records: POSIX, pax, extended header.
    fn pax(&mut self, size: u64) -> Result<Pax> {
        let text = self.text(size, MAX_PAX)?;
        let mut found = Pax::default();
        let mut rest = text.as_slice();
        let broken = || bad("an extended header cannot be read");
        while !rest.is_empty() {
            let blank = rest.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
            let length: usize = number(&rest[..blank]).and_then(|n| usize::try_from(n).ok()).ok_or_else(broken)?;
            if length <= blank + 1 || length > rest.len() || rest[length - 1] != b'\n' {
                return Err(broken());
            }
            let record = &rest[blank + 1..length - 1];
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" if value.len() as u64 <= MAX_NAME => found.path = Some(value.to_vec()),
                b"path" => return Err(bad("a name is longer than any file system takes")),
                b"size" => found.size = Some(number(value).ok_or_else(broken)?),
                _ if key.starts_with(b"GNU.sparse.") => return Err(bad("a sparse file")),
                // Times, owners and comments change nothing here.
                _ => {}
            }
            rest = &rest[length..];
        }
        Ok(found)
    }
}

#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

struct Content<'a, R> {
    entries: &'a mut Entries<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = usize::try_from(self.entries.left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.entries.from.read(&mut buffer[..most])?;
        if got == 0 && most > 0 {
            return Err(bad("it is cut short"));
        }
        self.entries.left -= got as u64;
        Ok(got)
    }
}

fn judge(kind: EntryType, header: &Header, path: &[u8]) -> Result<Kind> {
    let refuse = |what: &str| Err(bad(&format!("`{}` is {what}; only files and folders are taken", shown(path))));
    match kind {
        EntryType::Regular if path.ends_with(b"/") => Ok(Kind::Folder),
        EntryType::Regular | EntryType::Continuous if header.mode()? & 0o111 != 0 => Ok(Kind::ExecutableFile),
        EntryType::Regular | EntryType::Continuous => Ok(Kind::File),
        EntryType::Directory => Ok(Kind::Folder),
        EntryType::Symlink => refuse("a symbolic link"),
        EntryType::Link => refuse("a hard link"),
        EntryType::Char | EntryType::Block => refuse("a device"),
        EntryType::Fifo => refuse("a pipe"),
        other => refuse(&format!("an entry of type {:?}", char::from(other.as_byte()))),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// A path for people, whatever it holds.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(120).map(|c| if c.is_control() { '?' } else { c }).collect()
}

pub(crate) fn bad(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}
