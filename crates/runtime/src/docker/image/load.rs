//! Archives that requesters bring, on their way into the daemon.
//!
//! Start at [`Images::load`]. The archive is looked through first, by [`hivemind_image::read`]; then what was found
//! sound is written anew for the daemon, which thus never sees the archive's own folders and names.
//!
//! Invariant: one archive is loaded at a time, and the image that runs is the one whose digest the archive's
//! configuration has.

use super::{Image, Images, daemon, describe, refused};
use crate::{Sink, Stop};
use bollard::models::ImageInspect;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes as Piece;
use futures::StreamExt;
use hivemind_image::read::{self, Limits, Opened, Refusal};
use hivemind_model::spec::Digest;
use hivemind_model::state::Outcome;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Pieces of an archive waiting for the daemon, and their size.
const WAITING_PIECES: usize = 8;
const PIECE_BYTES: usize = 256 << 10;

impl Images {
    /// The image in the archive `file`, whose digest is `digest`: the one that was loaded before, else loaded now.
    ///
    /// A job that is stopped does not wait any more; the loading goes on, for others.
    pub(super) async fn load(
        self: &Arc<Self>,
        digest: Digest,
        file: &Path,
        sink: &dyn Sink,
        stop: &Stop,
    ) -> Result<Image, Outcome> {
        let key = digest.to_string();
        if !crate::selftest::is_own_image(&digest) {
            self.rules.check_name(&key).map_err(refused)?;
        }
        if let Some(found) = self.loaded(&key).await? {
            return describe(found, &self.rules, &key);
        }
        sink.note("loading the image's archive");
        let (this, file) = (self.clone(), file.to_owned());
        let loading = tokio::spawn(async move { this.load_once(&key, file).await });
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Outcome::Cancelled),
            loaded = loading => loaded.unwrap_or_else(|error| {
                Err(Outcome::Infrastructure { reason: format!("the loading of the image failed: {error}") })
            }),
        }
    }

    async fn loaded(&self, key: &str) -> Result<Option<ImageInspect>, Outcome> {
        let Some(id) = self.kept.find(key) else { return Ok(None) };
        let found = self.inspect(&id).await?;
        match &found {
            Some(_) => self.kept.used(key),
            None => self.kept.gone(key),
        }
        Ok(found)
    }

    async fn load_once(self: Arc<Self>, key: &str, file: PathBuf) -> Result<Image, Outcome> {
        let _one = self.loads.lock().await;
        if let Some(found) = self.loaded(key).await? {
            return describe(found, &self.rules, key);
        }
        let limits = Limits {
            archive_bytes: self.rules.max_bytes.0,
            unpacked_bytes: self.rules.max_unpacked.0,
            ..Limits::default()
        };
        let opened = tokio::task::spawn_blocking(move || {
            let mut archive = File::open(&file).map_err(Refusal::Io)?;
            read::open(&mut archive, &limits).map(|opened| (archive, opened))
        });
        let opened = opened.await.unwrap_or_else(|error| Err(Refusal::Io(io::Error::other(error))));
        let (archive, opened) = opened.map_err(judge)?;
        super::check_platform(&opened.config.os, &opened.config.architecture, "the image in the archive")?;
        if let Some(found) = self.inspect(&opened.id).await? {
            // The owner's, or another archive's: not ours to remove.
            return describe(found, &self.rules, key);
        }
        let (bytes, opened) = (opened.unpacked_bytes, Arc::new(opened));
        let named = self.send(archive, opened.clone()).await?;
        let found = self.find_loaded(&opened, named).await?;
        let id = found.id.clone().unwrap_or_default();
        self.kept.fetched(key, &id, found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(bytes));
        self.tidy().await;
        describe(found, &self.rules, key)
    }

    /// Hands the archive to the daemon; gives the id that it says to have made.
    async fn send(&self, mut archive: File, opened: Arc<Opened>) -> Result<Option<String>, Outcome> {
        let (pieces, stream) = mpsc::channel::<io::Result<Piece>>(WAITING_PIECES);
        let writing = tokio::task::spawn_blocking(move || {
            let out = Pieces { out: pieces.clone(), held: Vec::with_capacity(PIECE_BYTES) };
            let written = opened.write_for_docker(&mut archive, out);
            if let Err(error) = &written {
                // Cuts the request short, so that no half of an archive is taken for a whole one.
                let _ = pieces.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
            }
            written
        });
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut lines = std::pin::pin!(self.docker.import_image_stream(options, ReceiverStream::new(stream), None));
        let mut named = None;
        let mut failed = None;
        while let Some(line) = lines.next().await {
            match line {
                Ok(info) => named = info.stream.as_deref().and_then(id_in).or(named),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let written = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        match (failed, written) {
            (None, Ok(())) => Ok(named),
            (Some(error), _) => Err(daemon::fault("the image's archive could not be loaded", &error)),
            (None, Err(error)) => Err(daemon::io_fault("the image's archive could not be read", &error)),
        }
    }

    /// The image by its configuration's digest. Daemons that keep images as containerd does name them otherwise:
    /// there the layers have to be the archive's.
    async fn find_loaded(&self, opened: &Opened, named: Option<String>) -> Result<ImageInspect, Outcome> {
        if let Some(found) = self.inspect(&opened.id).await? {
            return Ok(found);
        }
        if let Some(named) = named
            && let Some(found) = self.inspect(&named).await?
            && found.root_fs.as_ref().and_then(|root| root.layers.as_ref()) == Some(&opened.config.diff_ids)
        {
            return Ok(found);
        }
        let reason = format!("the daemon took the archive and has no image {} now", opened.id);
        Err(Outcome::Infrastructure { reason })
    }
}

/// What a refused archive says about the job. One that is only too large here may be small enough elsewhere.
fn judge(refusal: Refusal) -> Outcome {
    let reason = format!("the image's archive is not taken: {refusal}");
    match refusal {
        Refusal::TooLarge { what: "the archive" | "its content", .. } => Outcome::ImageUnavailable { reason },
        other if other.is_machine() => Outcome::Infrastructure { reason },
        _ => Outcome::BadImage { reason },
    }
}

/// `Loaded image ID: sha256:...`
fn id_in(line: &str) -> Option<String> {
    let id = &line[line.find("sha256:")?..];
    let id = id.split_whitespace().next()?;
    id.parse::<Digest>().ok().map(|digest| digest.to_string())
}

/// The writing end of the stream.
struct Pieces {
    out: mpsc::Sender<io::Result<Piece>>,
    held: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.held, Vec::with_capacity(PIECE_BYTES));
        self.out.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = data.len().min(PIECE_BYTES - self.held.len());
        self.held.extend_from_slice(&data[..count]);
        if self.held.len() == PIECE_BYTES {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() { Ok(()) } else { self.send() }
    }
}
