//! The entries of a tar stream, strictly: what two readers could understand in two ways is refused.
//!
//! Start at [`Scanner::next`]. It reads the header of `ustar`, its extensions by GNU (long names) and POSIX (pax),
//! and nothing else.
//!
//! Invariant: at most [`MOST_EXTENSION`] bytes are held for an entry, whatever its header says.

use super::refusal::{Refusal, shown};
use std::io::{self, Read};

const BLOCK: usize = 512;
/// Longest extension of an entry: paths are shorter, extended attributes seldom longer.
const MOST_EXTENSION: u64 = 1 << 20;
/// Most bytes of zeros after the end; programs fill up their last record.
const MOST_PADDING: u64 = 1 << 20;

/// A stream that can leave out what nobody looks at.
pub(super) trait Source: Read {
    /// Leaves out `count` bytes.
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    HardLink,
    Device,
    Sparse,
    Other(u8),
}

/// The head of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) kind: Kind,
    /// Bytes of content that follow.
    pub(super) size: u64,
    /// Where they begin in the stream.
    pub(super) offset: u64,
}

/// Goes from entry to entry.
#[derive(Debug)]
pub(super) struct Scanner<S> {
    from: S,
    at: u64,
    /// Content and filling of the present entry that has not been read.
    content: u64,
    filling: u64,
}

/// What stood before an entry to say more of it than its header can.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl<S: Source> Scanner<S> {
    pub(super) fn new(from: S) -> Self {
        Self { from, at: 0, content: 0, filling: 0 }
    }

    /// Where the entries come from.
    pub(super) fn source(&self) -> &S {
        &self.from
    }

    /// The next entry; `None` at the end, after which nothing but zeros stand.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Refusal> {
        let mut extension = Extension::default();
        let mut is_extended = false;
        loop {
            self.leave_out()?;
            let Some(header) = self.header()? else {
                return if is_extended { Err(Refusal::Truncated("an entry's extension")) } else { self.end() };
            };
            let size = number(&header[124..136]).ok_or(Refusal::NotTar("a header has no size"))?;
            match header[156] {
                b'L' => set(&mut extension.path, terminated(self.extension(size)?)?)?,
                b'K' => set(&mut extension.target, terminated(self.extension(size)?)?)?,
                b'x' => pax(&self.extension(size)?, &mut extension)?,
                b'g' => global(&self.extension(size)?)?,
                kind => return self.entry(&header, kind, size, extension).map(Some),
            }
            is_extended = true;
        }
    }

    /// Reads the content of the present entry, whole.
    pub(super) fn read(&mut self, into: &mut Vec<u8>) -> Result<(), Refusal> {
        let count = self.content;
        let read = (&mut self.from).take(count).read_to_end(into).map_err(Refusal::Io)? as u64;
        (self.at, self.content) = (self.at + read, self.content - read);
        if read < count { Err(Refusal::Truncated("a file")) } else { Ok(()) }
    }

    fn entry(&mut self, header: &[u8; BLOCK], kind: u8, size: u64, extension: Extension) -> Result<Entry, Refusal> {
        let path = extension.path.unwrap_or_else(|| name_of(header));
        if path.is_empty() || path.contains(&0) {
            return Err(Refusal::Path { path: shown(&path), why: "is empty or has a zero in it" });
        }
        let kind = match kind {
            _ if extension.is_sparse => Kind::Sparse,
            // Before there were kinds, a folder was what ended in a slash.
            0 | b'0' | b'7' if path.ends_with(b"/") => Kind::Folder,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Link,
            b'3' | b'4' | b'6' => Kind::Device,
            b'5' => Kind::Folder,
            b'S' => Kind::Sparse,
            other => Kind::Other(other),
        };
        let size = match extension.size {
            Some(extended) if size != 0 && size != extended => {
                return Err(Refusal::TwoSizes { path: shown(&path), first: size, second: extended });
            }
            Some(extended) => extended,
            None => size,
        };
        // Some readers take content after links and folders, some do not: those see a header in it.
        if size > 0 && !matches!(kind, Kind::File | Kind::Sparse) {
            return Err(Refusal::TwoSizes { path: shown(&path), first: 0, second: size });
        }
        let target = extension.target.unwrap_or_else(|| until_zero(&header[157..257]));
        self.begin(size);
        Ok(Entry { path, target, kind, size, offset: self.at })
    }

    /// What comes next are `size` bytes and what fills their last block.
    fn begin(&mut self, size: u64) {
        let block = BLOCK as u64;
        (self.content, self.filling) = (size, (block - size % block) % block);
    }

    fn leave_out(&mut self) -> Result<(), Refusal> {
        let count = self.content.checked_add(self.filling).ok_or(Refusal::NotTar("a size has no end"))?;
        if count > 0 {
            self.from.skip(count).map_err(|error| cut(error, "a file"))?;
            self.at += count;
            (self.content, self.filling) = (0, 0);
        }
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        if size > MOST_EXTENSION {
            return Err(Refusal::Extension("longer than 1 MiB"));
        }
        self.begin(size);
        let mut content = Vec::new();
        self.read(&mut content)?;
        Ok(content)
    }

    /// A block that is not all zeros, checked by its sum.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, Refusal> {
        let mut block = [0; BLOCK];
        self.from.read_exact(&mut block).map_err(|error| cut(error, "a header"))?;
        self.at += BLOCK as u64;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let named = number(&block[148..156]).ok_or(Refusal::NotTar("a header has no sum"))?;
        let sum = |value: fn(u8) -> i64| -> i64 {
            let counted =
                block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
            counted.map(value).sum()
        };
        // Old programs added the bytes up with their signs.
        let sums = [sum(i64::from), sum(|byte| i64::from(byte.cast_signed()))];
        if i64::try_from(named).is_ok_and(|named| sums.contains(&named)) {
            return Ok(Some(block));
        }
        Err(Refusal::NotTar("a header's sum is wrong"))
    }

    /// After the first block of zeros nothing may follow but more of them.
    fn end(&mut self) -> Result<Option<Entry>, Refusal> {
        let (mut piece, mut total) = ([0; 8192], 0);
        loop {
            let count = self.from.read(&mut piece).map_err(|error| cut(error, "its end"))?;
            if count == 0 {
                return Ok(None);
            }
            total += count as u64;
            if total > MOST_PADDING || piece[..count].iter().any(|byte| *byte != 0) {
                return Err(Refusal::AfterEnd);
            }
        }
    }
}

/// What an error while reading means: an end that is too early has a name of its own.
pub(super) fn cut(error: io::Error, during: &'static str) -> Refusal {
    if error.kind() == io::ErrorKind::UnexpectedEof { Refusal::Truncated(during) } else { Refusal::Io(error) }
}

fn set(place: &mut Option<Vec<u8>>, value: Vec<u8>) -> Result<(), Refusal> {
    match place {
        Some(first) => Err(Refusal::TwoNames(shown(first))),
        None => {
            *place = Some(value);
            Ok(())
        }
    }
}

/// A name of GNU's: ends at its only zero, which is its last byte.
fn terminated(mut name: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    while name.last() == Some(&0) {
        name.pop();
    }
    if name.is_empty() || name.contains(&0) {
        return Err(Refusal::Extension("a name that is empty or goes on after its end"));
    }
    Ok(name)
}

/// Key and value.
type Record<'a> = (&'a [u8], &'a [u8]);

/// Reads records of the form `LENGTH KEY=VALUE\n`.
fn records(mut text: &[u8]) -> Result<Vec<Record<'_>>, Refusal> {
    const BAD: Refusal = Refusal::Extension("not in the form that POSIX gives");
    let mut found = Vec::new();
    while !text.is_empty() {
        let space = text.iter().take(20).position(|byte| *byte == b' ').ok_or(BAD)?;
        let length: usize =
            std::str::from_utf8(&text[..space]).ok().and_then(|digits| digits.parse().ok()).ok_or(BAD)?;
        if length <= space + 1 || length > text.len() || text[length - 1] != b'\n' {
            return Err(BAD);
        }
        let record = &text[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
        found.push((&record[..equals], &record[equals + 1..]));
        text = &text[length..];
    }
    Ok(found)
}

fn pax(content: &[u8], extension: &mut Extension) -> Result<(), Refusal> {
    for (key, value) in records(content)? {
        match key {
            b"path" => set(&mut extension.path, value.to_vec())?,
            b"linkpath" => set(&mut extension.target, value.to_vec())?,
            b"size" => {
                let size =
                    std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let size =
                    size.and_then(|text| text.parse().ok()).ok_or(Refusal::Extension("a size that is no number"))?;
                if extension.size.is_some_and(|first| first != size) {
                    let first = extension.size.unwrap_or_default();
                    let path = shown(extension.path.as_deref().unwrap_or_default());
                    return Err(Refusal::TwoSizes { path, first, second: size });
                }
                extension.size = Some(size);
            }
            key if key.starts_with(b"GNU.sparse") || key == b"SCHILY.realsize" => extension.is_sparse = true,
            _ => {}
        }
    }
    Ok(())
}

/// What is said of all entries that follow may be a remark, and no more.
fn global(content: &[u8]) -> Result<(), Refusal> {
    let renames = |key: &[u8]| matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse");
    if records(content)?.iter().any(|(key, _)| renames(key)) {
        return Err(Refusal::Extension("one that names or sizes all entries alike"));
    }
    Ok(())
}

fn until_zero(field: &[u8]) -> Vec<u8> {
    field.iter().copied().take_while(|byte| *byte != 0).collect()
}

fn name_of(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_zero(&header[..100]);
    // GNU's own form has times where POSIX has the beginning of a long path.
    let prefix = if &header[257..263] == b"ustar\0" { until_zero(&header[345..500]) } else { Vec::new() };
    if prefix.is_empty() { name } else { [prefix, name].join(&b'/') }
}

/// Octal digits, or, where the first bit says so, bytes of a large number. `None` where it is neither.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let mut bytes = field.iter().copied();
        let first = bytes.next()?;
        return bytes
            .try_fold(u64::from(first & 0x7f), |sum, byte| (sum >> 56 == 0).then(|| sum << 8 | u64::from(byte)));
    }
    let digits: Vec<u8> =
        field.iter().copied().skip_while(|byte| *byte == b' ').take_while(|byte| *byte != 0 && *byte != b' ').collect();
    digits.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}
