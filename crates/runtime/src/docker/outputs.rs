//! What a task left under /task/output, on its way out.
//!
//! Start at [`collect`]. What the daemon gives is not passed on: it is packed again, with only
//! regular files and folders with relative paths, in the normal form of [`crate::archive`].
//!
//! Invariant: nothing is unpacked on this machine, and no link is followed.

use super::daemon;
use crate::archive::{Kind, MOST_DEPTH, MOST_ENTRIES, MOST_NAME_BYTES, MOST_PATH_BYTES, Packer};
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use hivemind_model::state::Outcome;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

/// Where a task leaves what is to be kept.
const FOLDER: &str = "/task/output";
/// Pieces of the daemon's stream waiting to be packed.
const WAITING_PIECES: usize = 8;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The archive; `None` where there was nothing.
    pub(super) archive: Option<NamedTempFile>,
    /// What was left out, for people.
    pub(super) remark: Option<String>,
}

/// Packs /task/output of the container `name`, which has ended, into a file in `scratch`.
///
/// More than `limit` bytes (holes of sparse files count) are not taken: the archive is given up
/// and the remark says so.
pub(super) async fn collect(docker: &Docker, name: &str, limit: u64, scratch: &Path) -> Result<Collected, Outcome> {
    let options = DownloadFromContainerOptionsBuilder::default().path(FOLDER).build();
    let mut stream = docker.download_from_container(name, Some(options));
    let first = match stream.next().await {
        None => return Ok(Collected::default()),
        Some(Err(error)) if daemon::is_absent(&error) => return Ok(Collected::default()),
        Some(Err(error)) => return Err(daemon::fault("the outputs could not be read", &error)),
        Some(Ok(first)) => first,
    };
    let (pieces, packed) = mpsc::channel(WAITING_PIECES);
    let scratch = scratch.to_owned();
    let packing =
        tokio::task::spawn_blocking(move || repack(Pieces { from: packed, held: Bytes::new() }, limit, &scratch));
    feed(first, stream, pieces).await;
    let packed = packing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    packed.map_err(|error| daemon::io_fault("the outputs could not be collected", &error))
}

/// Hands the daemon's stream to the packer until either ends.
async fn feed(
    first: Bytes,
    mut stream: impl Stream<Item = Result<Bytes, Error>> + Unpin,
    pieces: mpsc::Sender<io::Result<Bytes>>,
) {
    let mut next = Some(Ok(first));
    while let Some(piece) = next {
        let piece = piece.map_err(|error| io::Error::other(daemon::explain(&error)));
        if pieces.send(piece).await.is_err() {
            return;
        }
        next = stream.next().await;
    }
}

/// The reading end of the stream.
struct Pieces {
    from: mpsc::Receiver<io::Result<Bytes>>,
    held: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.held.has_remaining() {
            match self.from.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.held = piece?,
            }
        }
        let n = into.len().min(self.held.len());
        self.held.copy_to_slice(&mut into[..n]);
        Ok(n)
    }
}

/// What was left out, and the first of it.
#[derive(Debug, Default)]
struct Skipped {
    count: usize,
    first: String,
}

impl Skipped {
    fn add(&mut self, path: &[u8]) {
        if self.count == 0 {
            self.first = String::from_utf8_lossy(path).chars().filter(|c| !c.is_control()).take(100).collect();
        }
        self.count += 1;
    }

    fn remark(&self) -> Option<String> {
        let count = self.count;
        (count > 0).then(|| {
            format!("{count} under {FOLDER} left out (only regular files and folders with plain names are kept), first `{}`", self.first)
        })
    }
}

/// Reads the daemon's archive and writes the one that is kept.
fn repack(from: impl Read, limit: u64, scratch: &Path) -> io::Result<Collected> {
    let mut archive = tar::Archive::new(from);
    let mut packer = Packer::new(scratch)?;
    let (mut skipped, mut entries, mut names, mut bytes) = (Skipped::default(), 0usize, 0usize, 0u64);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let raw = entry.path_bytes().into_owned();
        let Some(path) = inner_path(&raw) else {
            skipped.add(&raw);
            continue;
        };
        let is_root = path.as_os_str().is_empty();
        if !(kind.is_file() || kind.is_dir()) || (is_root && kind.is_file()) {
            skipped.add(&raw);
            continue;
        }
        if is_root {
            continue;
        }
        entries += 1;
        names += raw.len();
        bytes = bytes.saturating_add(entry.size());
        if entries > MOST_ENTRIES || names > MOST_NAME_BYTES || bytes > limit {
            let remark = format!(
                "{FOLDER} was not kept: it has more than {MOST_ENTRIES} entries, {MOST_NAME_BYTES} bytes of names, or {limit} bytes (holes count), which is the task's disk"
            );
            return Ok(Collected { archive: None, remark: Some(remark) });
        }
        let kind = if kind.is_dir() { Kind::Folder } else { Kind::of_file(entry.header().mode()?) };
        let size = entry.size();
        packer.add(&path, kind, size, &mut entry)?;
    }
    Ok(Collected { archive: packer.finish()?, remark: skipped.remark() })
}

/// The path below /task/output, empty for the folder itself; `None` where it leads elsewhere, or
/// where nobody would unpack it: one such name would cost the requester everything beside it.
fn inner_path(raw: &[u8]) -> Option<PathBuf> {
    let mut parts = raw.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    if raw.starts_with(b"/") || parts.next() != Some(b"output") {
        return None;
    }
    if raw.len() > MOST_PATH_BYTES || parts.clone().count() > MOST_DEPTH || raw.iter().any(u8::is_ascii_control) {
        return None;
    }
    let mut path = PathBuf::new();
    for part in parts {
        if part == b".." {
            return None;
        }
        path.push(OsStr::from_bytes(part));
    }
    Some(path)
}

#[cfg(test)]
mod tests;
