//! What a module left, on its way into an archive.
//!
//! Start at [`collect`]. What the helper says is believed only where it is a plain path within what is kept,
//! in bounds.
//!
//! Invariant: nothing is unpacked on this machine.

use super::frames::BlockingFrames;
use crate::wire::{Entry, LeftOut, Tell, read_json};
use bytes::{Buf, Bytes};
use hivemind_model::spec::OUTPUT;
use hivemind_runtime::archive::{Kind, Packer};
use std::io::{self, Read};
use std::path::Path;
use tempfile::NamedTempFile;

/// Most entries of an archive.
const MOST_ENTRIES: usize = 100_000;
/// Most bytes of all paths together; they are held in memory while they are sorted.
const MOST_NAME_BYTES: usize = 64 << 20;
/// Longest path.
const MOST_PATH_BYTES: usize = 4096;

/// What is to be kept.
pub(super) struct Wanted {
    pub(super) outputs: Vec<String>,
    /// In bytes, together.
    pub(super) most: u64,
}

/// What came of it.
pub(super) struct Collected {
    /// `None` where there was nothing.
    pub(super) archive: Option<NamedTempFile>,
    pub(super) left_out: LeftOut,
}

impl Wanted {
    /// The path under which `path` is kept; `None` for a folder that is not an entry of its own.
    fn inner<'a>(&self, path: &'a str) -> io::Result<Option<&'a str>> {
        let is_plain = path.len() <= MOST_PATH_BYTES
            && !path.chars().any(char::is_control)
            && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        let within = |output: &String| {
            path.strip_prefix(output.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !is_plain || !self.outputs.iter().any(within) {
            return Err(unsound("a path that is not kept"));
        }
        if self.outputs.len() == 1 && self.outputs.first().is_some_and(|only| only == OUTPUT) {
            return Ok(path.strip_prefix(OUTPUT).and_then(|rest| rest.strip_prefix('/')));
        }
        Ok(Some(path))
    }
}

fn unsound(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the helper tells of {what}"))
}

/// Packs what the helper sends into a file in `scratch`.
pub(super) fn collect(mut frames: BlockingFrames, wanted: &Wanted, scratch: &Path) -> io::Result<Collected> {
    let mut packer = Packer::new(scratch)?;
    let (mut entries, mut names, mut left) = (0, 0, wanted.most);
    loop {
        let (tell, bytes) = frames.next()?;
        match tell {
            Tell::Done => {
                let left_out = read_json(&bytes)?;
                return Ok(Collected { archive: packer.finish()?, left_out });
            }
            Tell::Entry => {
                let entry: Entry = read_json(&bytes)?;
                let size = entry.size.unwrap_or(0);
                left = left.checked_sub(size).ok_or_else(|| unsound("more bytes than the job has disk"))?;
                entries += 1;
                names += entry.path.len();
                if entries > MOST_ENTRIES || names > MOST_NAME_BYTES {
                    return Err(unsound("more entries than an archive has"));
                }
                let kind = if entry.size.is_some() { Kind::File } else { Kind::Folder };
                let mut content = Data { frames: &mut frames, held: Bytes::new(), left: size };
                match wanted.inner(&entry.path)? {
                    Some(path) => packer.add(Path::new(path), kind, size, &mut content)?,
                    None => drop(io::copy(&mut content, &mut io::sink())?),
                }
            }
            Tell::Failed => return Err(io::Error::other(String::from_utf8_lossy(&bytes).into_owned())),
            Tell::Ready
            | Tell::Started
            | Tell::Stdout
            | Tell::Stderr
            | Tell::Progress
            | Tell::Ended
            | Tell::Data
            | Tell::Compiled
            | Tell::Tried => return Err(unsound("something else than outputs")),
        }
    }
}

/// The content of one entry, exactly as long as it was told.
struct Data<'a> {
    frames: &'a mut BlockingFrames,
    held: Bytes,
    left: u64,
}

impl Read for Data<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        if !self.held.has_remaining() {
            let (Tell::Data, bytes) = self.frames.next()? else { return Err(unsound("a file that ends early")) };
            if bytes.is_empty() || bytes.len() as u64 > self.left {
                return Err(unsound("a file of another size"));
            }
            self.held = bytes;
        }
        let read = into.len().min(self.held.len());
        self.held.copy_to_slice(&mut into[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
