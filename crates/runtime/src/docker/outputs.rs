//! What a task left of what is to be kept, on its way out.
//!
//! Start at [`collect`]. Where the agent holds the task's disk itself, it is read there; else the daemon is
//! asked for an archive of each output. What the daemon gives is not passed on: it is packed again by the
//! rules of [`crate::collect`].
//!
//! Invariant: nothing is unpacked on this machine, and no link is followed.

use super::daemon;
use super::volume::Volume;
use crate::archive::Kind;
use crate::collect::{Collected, Kept};
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use hivemind_model::state::Outcome;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Pieces of the daemon's stream waiting to be packed.
const WAITING_PIECES: usize = 8;
/// Longest path of an entry that is looked at.
const MOST_PATH_BYTES: usize = 8192;

/// What is collected, and into what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Relative to /task.
    pub(super) outputs: &'a [String],
    /// Most bytes.
    pub(super) limit: u64,
    /// Where the archive is written.
    pub(super) scratch: &'a Path,
}

/// Packs what is wanted of the container `name`, in which nothing runs any more.
pub(super) async fn collect(
    docker: &Docker,
    name: &str,
    volume: &Volume,
    wanted: Wanted<'_>,
) -> Result<Collected, Outcome> {
    let Wanted { outputs, limit, scratch } = wanted;
    if outputs.is_empty() || outputs.iter().all(|output| volume.lacks(output)) && crate::collect::is_usual(outputs) {
        return Ok(Collected::default());
    }
    let failed = |error: io::Error| daemon::io_fault("the outputs could not be collected", &error);
    if let Some(held) = volume.held() {
        let (outputs, scratch) = (outputs.to_vec(), scratch.to_owned());
        let work = move || crate::collect::collect(held.as_fd(), &outputs, limit, &scratch);
        return tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(failed);
    }
    let mut kept = Kept::new(outputs, limit, scratch).map_err(failed)?;
    for output in outputs {
        kept = one(docker, name, output, kept).await?;
        if kept.is_full() {
            break;
        }
    }
    kept.finish().map_err(failed)
}

/// Adds what lies at `output`, by the daemon's archive of it.
async fn one(docker: &Docker, name: &str, output: &str, mut kept: Kept) -> Result<Kept, Outcome> {
    let options = DownloadFromContainerOptionsBuilder::default().path(&format!("/task/{output}")).build();
    let mut stream = docker.download_from_container(name, Some(options));
    let first = match stream.next().await {
        Some(Ok(first)) => first,
        Some(Err(error)) if !daemon::is_absent(&error) => {
            return Err(daemon::fault("the outputs could not be read", &error));
        }
        None | Some(Err(_)) => {
            kept.missing(output);
            return Ok(kept);
        }
    };
    let (pieces, packed) = mpsc::channel(WAITING_PIECES);
    let output = PathBuf::from(output);
    let packing =
        tokio::task::spawn_blocking(move || repack(Pieces { from: packed, held: Bytes::new() }, &output, kept));
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

/// Reads the daemon's archive of what lies at `output` and adds it to what is kept.
fn repack(from: impl Read, output: &Path, mut kept: Kept) -> io::Result<Kept> {
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let raw = entry.path_bytes().into_owned();
        let path = if kind.is_file() || kind.is_dir() { path_of(&raw, output) } else { None };
        let Some(path) = path else {
            kept.skip(&raw);
            continue;
        };
        let kind = if kind.is_dir() { Kind::Folder } else { Kind::of_file(entry.header().mode()?) };
        let size = entry.size();
        kept.add(&path, kind, size, &mut entry)?;
        if kept.is_full() {
            break;
        }
    }
    Ok(kept)
}

/// The path under /task of an entry of the archive of `output`: such an archive names it by its last part.
/// `None` where the entry leads elsewhere.
fn path_of(raw: &[u8], output: &Path) -> Option<PathBuf> {
    let mut parts = raw.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    if raw.starts_with(b"/") || raw.len() > MOST_PATH_BYTES || parts.next() != output.file_name().map(OsStr::as_bytes) {
        return None;
    }
    let mut path = output.to_owned();
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
