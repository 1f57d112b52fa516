//! Contents on their way: inputs from the pool, output archives to it. Each try goes on where the one before
//! it broke.
//!
//! They have a connection of their own, so that a heartbeat never waits behind one, and at most
//! [`MAX_TRANSFERS`] go at the same time. Start at [`Transfer::store`].
//!
//! Invariant: one try each; trying again is decided by the agent and by the cache.

use crate::cache::{FetchError, Pieces, Source};
use crate::event::Upload;
use crate::membership::Membership;
use futures::Stream;
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::{AttemptRef, Code};
use hivemind_proto::convert::bounded;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{FetchInputRequest, OutputChunk, OutputOffsetRequest};
use parking_lot::Mutex;
use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::transport::Channel;

/// Transfers at the same time; more wait.
const MAX_TRANSFERS: usize = 4;

/// Bytes of one piece.
const PIECE_BYTES: usize = 256 << 10;

/// What the pool has of smaller archives is not asked: sending them is as quick.
const ASKED_ABOVE: u64 = 4 * PIECE_BYTES as u64;

/// Silence after which a transfer has failed.
const STALL: Duration = Duration::from_secs(30);

/// Slowest upload that is not given up, in bytes per second.
const SLOWEST: u64 = 16 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Transfer {
    membership: Arc<Membership>,
    channel: tokio::sync::Mutex<Option<Channel>>,
    permits: Semaphore,
}

/// What the pool's status means for one who wants to go on.
enum Verdict {
    Stale(String),
    Refused(String),
    Transient(String),
}

impl Transfer {
    /// No connection yet.
    pub(crate) fn new(membership: Arc<Membership>) -> Self {
        Self { membership, channel: tokio::sync::Mutex::new(None), permits: Semaphore::new(MAX_TRANSFERS) }
    }

    /// Stores the archive at `path`.
    pub(crate) async fn store(&self, attempt: AttemptRef, blob: BlobRef, path: &Path) -> Upload {
        let Ok(_permit) = self.permits.acquire().await else { return later("the worker ends") };
        let mut client = match self.client().await {
            Ok(client) => client,
            Err(reason) => return Upload::Later { reason },
        };
        let offset = match self.offset(&mut client, attempt, blob).await {
            Ok(offset) => offset,
            Err(verdict) => return verdict.into(),
        };
        let file = match open_at(path, offset).await {
            Ok(file) => file,
            Err(e) => return Upload::Refused { reason: format!("it cannot be read: {e}") },
        };
        let fault = Arc::new(Mutex::new(None));
        let pieces = pieces(attempt, blob, offset, file, Arc::clone(&fault));
        let patience = STALL + Duration::from_secs(blob.size.0 / SLOWEST);
        let answer = tokio::time::timeout(patience, client.store_output(pieces)).await;
        if let Some(reason) = fault.lock().take() {
            return Upload::Refused { reason };
        }
        match answer {
            Ok(Ok(stored)) if stored.get_ref().digest == blob.digest.to_string() => Upload::Stored,
            Ok(Ok(stored)) => {
                later(&format!("the pool stored {} where {} was sent", bounded(&stored.get_ref().digest), blob.digest))
            }
            // What was there of it was spoilt, and is gone now.
            Ok(Err(status)) if offset > 0 && code_of(&status) == Some(Code::Invalid) => later(status.message()),
            Ok(Err(status)) => self.judge(&status).await.into(),
            Err(_) => {
                self.disconnect().await;
                later("the pool took it too slowly")
            }
        }
    }

    /// How much of an archive the pool has; what fits into a few pieces is not asked about.
    async fn offset(
        &self,
        client: &mut WorkerServiceClient<Channel>,
        attempt: AttemptRef,
        blob: BlobRef,
    ) -> Result<u64, Verdict> {
        if blob.size.0 <= ASKED_ABOVE {
            return Ok(0);
        }
        let request = OutputOffsetRequest { attempt: Some(attempt.into()), digest: blob.digest.to_string() };
        match tokio::time::timeout(STALL, client.output_offset(request)).await {
            // More than the whole is none of it.
            Ok(Ok(answer)) => Ok(Some(answer.get_ref().received).filter(|got| *got <= blob.size.0).unwrap_or(0)),
            Ok(Err(status)) => Err(self.judge(&status).await),
            Err(_) => {
                self.disconnect().await;
                Err(Verdict::Transient(format!("the pool said nothing for {} s", STALL.as_secs())))
            }
        }
    }

    async fn client(&self) -> Result<WorkerServiceClient<Channel>, String> {
        let mut channel = self.channel.lock().await;
        let channel = match &*channel {
            Some(open) => open.clone(),
            None => {
                let open = hivemind_client::connect(&self.membership.target()).await.map_err(|e| e.to_string())?;
                channel.insert(open).clone()
            }
        };
        Ok(WorkerServiceClient::new(channel))
    }

    async fn disconnect(&self) {
        *self.channel.lock().await = None;
    }

    async fn judge(&self, status: &Status) -> Verdict {
        let said = bounded(status.message());
        match code_of(status) {
            Some(Code::Stale | Code::NotFound) => Verdict::Stale(said),
            Some(Code::Busy) => Verdict::Transient(said),
            Some(_) => Verdict::Refused(said),
            None => {
                // Whatever broke the call, the next one gets a new connection.
                self.disconnect().await;
                Verdict::Transient(format!("{:?}: {said}", status.code()))
            }
        }
    }
}

impl Source for Transfer {
    async fn fetch(
        &self,
        attempt: AttemptRef,
        digest: Digest,
        offset: u64,
        pieces: &mut Pieces<'_>,
    ) -> Result<(), FetchError> {
        let ended = |_| FetchError::Final("the worker ends".into());
        let _permit = self.permits.acquire().await.map_err(ended)?;
        let mut client = self.client().await.map_err(FetchError::Transient)?;
        let request = FetchInputRequest { attempt: Some(attempt.into()), digest: digest.to_string(), offset };
        let stalled = || FetchError::Transient(format!("the pool sent nothing for {} s", STALL.as_secs()));
        let mut stream = match tokio::time::timeout(STALL, client.fetch_input(request)).await {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return Err(self.judge(&status).await.into()),
            Err(_) => return Err(stalled()),
        };
        loop {
            match tokio::time::timeout(STALL, stream.message()).await {
                Ok(Ok(Some(chunk))) => pieces(&chunk.data)?,
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(status)) => return Err(self.judge(&status).await.into()),
                Err(_) => return Err(stalled()),
            }
        }
    }
}

impl From<Verdict> for Upload {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Stale(_) => Self::Unwanted,
            Verdict::Refused(reason) => Self::Refused { reason },
            Verdict::Transient(reason) => Self::Later { reason },
        }
    }
}

impl From<Verdict> for FetchError {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Stale(why) | Verdict::Refused(why) => Self::Final(why),
            Verdict::Transient(why) => Self::Transient(why),
        }
    }
}

/// The stable code in a status, if the pool gave one.
pub(crate) fn code_of(status: &Status) -> Option<Code> {
    let word = status.message().split(':').next().unwrap_or_default();
    Code::ALL.iter().copied().find(|code| code.as_str() == word)
}

fn later(reason: &str) -> Upload {
    Upload::Later { reason: reason.to_owned() }
}

async fn open_at(path: &Path, offset: u64) -> std::io::Result<File> {
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    Ok(file)
}

/// The archive from `offset` on as messages; a file that cannot be read ends them early and is told in `fault`.
fn pieces(
    attempt: AttemptRef,
    blob: BlobRef,
    offset: u64,
    file: File,
    fault: Arc<Mutex<Option<String>>>,
) -> impl Stream<Item = OutputChunk> + Send + 'static {
    let first = OutputChunk {
        attempt: Some(attempt.into()),
        size: blob.size.0,
        digest: blob.digest.to_string(),
        offset,
        ..OutputChunk::default()
    };
    futures::stream::unfold((Some(first), file), move |(first, mut file)| {
        let fault = Arc::clone(&fault);
        async move {
            if let Some(first) = first {
                return Some((first, (None, file)));
            }
            let mut data = Vec::with_capacity(PIECE_BYTES);
            match (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut data).await {
                Ok(0) => None,
                Ok(_) => Some((OutputChunk { data: data.into(), ..OutputChunk::default() }, (None, file))),
                Err(e) => {
                    *fault.lock() = Some(format!("it cannot be read: {e}"));
                    None
                }
            }
        }
    })
}
