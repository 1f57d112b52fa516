//! What lies where in an archive of an image.
//!
//! Start at [`Contents::list`].
//!
//! Invariant: of a content only its place is kept, until it is asked for.

use super::layer::clean;
use super::refusal::{Refusal, shown};
use super::tar::{Kind, Scanner, Source};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Most files in an archive: a few for each layer.
const MOST_ENTRIES: u64 = 4096;
/// Longest manifest, index or configuration.
const MOST_TEXT: u64 = 4 << 20;

/// Where a content lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) size: u64,
    /// The digest that it is named by, where it is.
    pub(super) digest: Option<String>,
}

/// The files of an archive, by their cleaned paths.
#[derive(Debug)]
pub(super) struct Contents {
    files: BTreeMap<Vec<u8>, Place>,
    /// `docker save` writes a layer that comes twice as a link to the first.
    links: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The archive's file, read and skipped through.
struct Seeker<'a> {
    file: BufReader<&'a mut File>,
    at: u64,
    end: u64,
}

impl Read for Seeker<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Source for Seeker<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let to = self.at.checked_add(count).filter(|to| *to <= self.end);
        let to = to.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.file.seek_relative(count.cast_signed())?;
        self.at = to;
        Ok(())
    }
}

/// The bytes of one content.
pub(super) fn section(file: &mut File, offset: u64, size: u64) -> Result<io::Take<&mut File>, Refusal> {
    file.seek(SeekFrom::Start(offset)).map_err(Refusal::Io)?;
    Ok(file.take(size))
}

impl Contents {
    /// Reads the heads of all entries.
    pub(super) fn list(file: &mut File, size: u64) -> Result<Self, Refusal> {
        let mut magic = Vec::with_capacity(4);
        section(file, 0, 4)?.read_to_end(&mut magic).map_err(Refusal::Io)?;
        if magic.starts_with(&[0x1f, 0x8b]) {
            return Err(Refusal::Compression { name: "gzip as a whole" });
        }
        file.rewind().map_err(Refusal::Io)?;
        let mut scanner = Scanner::new(Seeker { file: BufReader::new(file), at: 0, end: size });
        let mut contents = Self { files: BTreeMap::new(), links: BTreeMap::new() };
        let mut count = 0;
        while let Some(entry) = scanner.next()? {
            count += 1;
            if count > MOST_ENTRIES {
                return Err(Refusal::TooMany { what: "files beside each other", found: count, most: MOST_ENTRIES });
            }
            let path = clean(&entry.path)?;
            let is_new = match entry.kind {
                Kind::Folder => true,
                Kind::File => {
                    let place = Place { offset: entry.offset, size: entry.size, digest: named_digest(&path) };
                    contents.files.insert(path.clone(), place).is_none() && !contents.links.contains_key(&path)
                }
                Kind::Link => {
                    let target = resolve(&path, &entry.target)?;
                    contents.links.insert(path.clone(), target).is_none() && !contents.files.contains_key(&path)
                }
                Kind::HardLink => return Err(Refusal::LinkOut { path: shown(&path), target: shown(&entry.target) }),
                Kind::Device => return Err(Refusal::Device(shown(&path))),
                Kind::Sparse => return Err(Refusal::Sparse(shown(&path))),
                Kind::Other(kind) => return Err(Refusal::Kind { path: shown(&path), kind: kind.into() }),
            };
            if !is_new {
                return Err(Refusal::Duplicate(shown(&path)));
            }
        }
        Ok(contents)
    }

    /// Where the file of that name lies; a link is followed once.
    pub(super) fn place(&self, path: &str) -> Option<&Place> {
        let path = clean(path.as_bytes()).ok()?;
        self.files.get(&path).or_else(|| self.files.get(self.links.get(&path)?))
    }

    /// A text, whole.
    pub(super) fn text(&self, file: &mut File, path: &str, what: &'static str) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(place) = self.place(path) else { return Ok(None) };
        if place.size > MOST_TEXT {
            return Err(Refusal::TooLarge { what, found: place.size, most: MOST_TEXT });
        }
        let mut text = Vec::new();
        section(file, place.offset, place.size)?.read_to_end(&mut text).map_err(Refusal::Io)?;
        if (text.len() as u64) < place.size { Err(Refusal::Truncated(what)) } else { Ok(Some(text)) }
    }
}

/// `blobs/sha256/<hex>` and `<hex>.json` say what is in them.
fn named_digest(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let hex = path.strip_prefix("blobs/sha256/").or_else(|| path.strip_suffix(".json"))?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| format!("sha256:{hex}"))
}

/// Where a link in the archive leads: to another file of it.
fn resolve(path: &[u8], target: &[u8]) -> Result<Vec<u8>, Refusal> {
    let out = || Refusal::LinkOut { path: shown(path), target: shown(target) };
    if target.starts_with(b"/") {
        return Err(out());
    }
    let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    parts.pop();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or_else(out)?),
            other => parts.push(other),
        }
    }
    clean(&parts.join(&b'/')).map_err(|_| out())
}
