//! Content in and out: uploads of inputs, downloads of outputs.
//!
//! Invariant: an upload that does not end leaves nothing that anybody can read, and without an announced
//! digest nothing at all.

use super::elements::{element, element_ref};
use super::kept;
use super::submission::cut;
use super::summary::{accepted, report};
use crate::blobs::{PartName, Sender, blocking};
use crate::shared::Shared;
use crate::status;
use bytes::Bytes;
use futures::stream::BoxStream;
use hivemind_model::rows::{Standing, TaskRow};
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::{Bytes as Size, Code, Rejection, TaskState, UserId};
use hivemind_proto::v1::{
    ContentFound, DownloadChunk, DownloadOutputRequest, FindContentRequest, FindContentResponse, UploadChunk,
    UploadResponse,
};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

/// Bytes in one message.
const CHUNK: usize = 256 << 10;
/// Messages on the way to one reader.
const QUEUE: usize = 4;
/// Most contents that are looked up at once.
const MOST_DIGESTS: usize = 1000;
/// A sender that is silent for longer has gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Stores an upload, and lets its sender use it as an input.
pub(super) async fn upload(
    shared: &Arc<Shared>,
    request: Request<Streaming<UploadChunk>>,
) -> Result<UploadResponse, Status> {
    let (metadata, _, mut chunks) = request.into_parts();
    let Some(first) = next(&mut chunks).await? else {
        shared.caller("", &metadata)?;
        return Err(status::rejected(&Rejection::invalid("size", "no message came; the first one names the size")));
    };
    let caller = shared.caller(&first.token, &metadata)?;
    let limits = &shared.policy.limits;
    let most = limits.max_input_bytes.max(limits.max_image_bytes);
    let size = match u64::try_from(first.size) {
        Ok(size) if size <= most.0 => size,
        Ok(size) => {
            return Err(status::rejected(&Rejection::field(
                Code::TooLarge,
                "size",
                format!("{size} bytes; at most {most} are taken"),
            )));
        }
        Err(_) => return Err(status::rejected(&Rejection::invalid("size", format!("{} is negative", first.size)))),
    };
    let sender = Sender::User(caller.id);
    let begun = match announced(&first.digest, first.offset).map_err(|rejection| status::rejected(&rejection))? {
        None => shared.blobs.writer(sender, size).await,
        Some((digest, offset)) => {
            let name = PartName::of_user(caller.id, &digest);
            shared.blobs.resume(sender, name, BlobRef { digest, size: Size(size) }, offset).await
        }
    };
    let mut blob = begun.map_err(|error| status::blob("size", &error))?;
    let mut chunk = Some(first);
    while let Some(UploadChunk { data, .. }) = chunk {
        if !data.is_empty() {
            blob.write(data).await.map_err(|error| status::blob("data", &error))?;
        }
        chunk = next(&mut chunks).await?;
    }
    let _use = shared.blobs.begin_use();
    let blob = blob.finish().await.map_err(|error| status::blob("size", &error))?;
    shared.blobs.allow(caller.id, blob.digest).await.map_err(|error| status::file("storing content", &error))?;
    Ok(UploadResponse { digest: blob.digest.to_string(), size: first_size(blob.size.0) })
}

/// The digest of the whole and where its data begins, where the sender tells them.
fn announced(digest: &str, offset: i64) -> Result<Option<(Digest, u64)>, Rejection> {
    let from = u64::try_from(offset).map_err(|_| Rejection::invalid("offset", format!("{offset} is negative")))?;
    match (digest, from) {
        ("", 0) => Ok(None),
        ("", _) => Err(Rejection::invalid("digest", "is empty; only an upload that names it can go on")),
        (text, _) => Ok(Some((digest_in("digest", text)?, from))),
    }
}

/// The digest in the field of that name.
pub(super) fn digest_in(field: &str, text: &str) -> Result<Digest, Rejection> {
    text.parse().map_err(|bad| Rejection::invalid(field, format!("`{}`: {bad}", cut(text))))
}

/// Which contents the caller may use, and how much of others is here of their uploads that broke off.
pub(super) async fn find(
    shared: &Shared,
    user: UserId,
    request: FindContentRequest,
) -> Result<FindContentResponse, Status> {
    let asked = request.digests.len();
    if asked > MOST_DIGESTS {
        let why = format!("{asked} digests; at most {MOST_DIGESTS} are looked up at once");
        return Err(status::rejected(&Rejection::field(Code::TooLarge, "digests", why)));
    }
    let mut contents = Vec::with_capacity(asked);
    for text in request.digests {
        let digest = digest_in("digests", &text).map_err(|rejection| status::rejected(&rejection))?;
        let cannot = |error: io::Error| status::file("looking for content", &error);
        let complete = shared.blobs.size_for(user, digest).await.map_err(cannot)?.is_some();
        let received = match complete {
            true => 0,
            false => shared.blobs.received(PartName::of_user(user, &digest)).await.map_err(cannot)?,
        };
        contents.push(ContentFound { digest: text, complete, received: first_size(received) });
    }
    Ok(FindContentResponse { contents })
}

/// The next message of a sender; one that is silent for too long has gone.
pub(super) async fn next<T>(messages: &mut Streaming<T>) -> Result<Option<T>, Status> {
    match tokio::time::timeout(SILENCE, messages.message()).await {
        Ok(message) => message,
        Err(_) => {
            let why = "E_TIMED_OUT: nothing came for a minute; nothing was stored; send it again, or go on with what \
                       is here where its digest was told";
            Err(Status::deadline_exceeded(why))
        }
    }
}

/// The output archive of a completed element.
pub(super) struct Output {
    /// The element, for people.
    pub(super) what: String,
    /// What it is.
    pub(super) blob: BlobRef,
    /// Where it is read.
    pub(super) file: File,
}

/// Opens the output archive of a completed element of a task of the caller.
pub(super) async fn open(shared: &Shared, row: &TaskRow, index: u32) -> Result<Output, Status> {
    let refuse = |rejection: Rejection| Err(status::rejected(&rejection));
    let at = match element_ref(row, index) {
        Ok(at) => at,
        Err(rejection) => return refuse(rejection),
    };
    let (what, completed, state) = match row.spec.array {
        Some(_) => {
            let standing = Standing::of(&element(shared, row, at).await?.phase);
            (at.to_string(), standing == Standing::Completed, standing.as_str())
        }
        None => {
            let state = row.progress.state;
            (at.task.to_string(), state == TaskState::Completed, state.as_str())
        }
    };
    if !completed {
        return refuse(Rejection::new(Code::Conflict, format!("{what} is {state}; only what completed has output")));
    }
    let attempts = shared.store.attempts(row.source(at)).await.map_err(|error| status::store(&error))?;
    let Some(blob) = accepted(&attempts).and_then(report).and_then(|report| report.output) else {
        return refuse(Rejection::new(Code::NotFound, format!("{what} left no files")));
    };
    let file = shared.blobs.read(blob.digest).await.map_err(|error| status::file("reading the output", &error))?;
    let Some(file) = file else {
        if let Some(over) = kept::was_kept(shared, row, &format!("the output of {what}")) {
            return refuse(over);
        }
        tracing::error!(element = %at, digest = %blob.digest, "a stored output is missing");
        return Err(Status::data_loss(format!(
            "E_INTERNAL: the output of {what} is missing in the pool; its operator finds the digest in the log"
        )));
    };
    Ok(Output { what, blob, file })
}

/// Sends the output archive of a completed element of a task of the caller.
pub(super) async fn download(
    shared: &Arc<Shared>,
    row: &TaskRow,
    request: &DownloadOutputRequest,
) -> Result<BoxStream<'static, Result<DownloadChunk, Status>>, Status> {
    let Output { what: _, blob, file } = open(shared, row, request.element).await?;
    let offset = request.offset;
    let Some(offset) = u64::try_from(offset).ok().filter(|offset| *offset <= blob.size.0) else {
        return Err(status::rejected(&Rejection::invalid(
            "offset",
            format!("{offset} is outside 0 to {}, the size of the archive", blob.size.0),
        )));
    };
    let head = DownloadChunk { size: first_size(blob.size.0), digest: blob.digest.to_string(), data: Bytes::new() };
    Ok(stream(shared, head, file, offset, u64::MAX))
}

/// Sends `head`, then `most` bytes of `file` from `offset`, or what there is of them.
pub(super) fn stream(
    shared: &Shared,
    head: DownloadChunk,
    file: File,
    offset: u64,
    most: u64,
) -> BoxStream<'static, Result<DownloadChunk, Status>> {
    let (out, stream) = mpsc::channel(QUEUE);
    let closing = shared.closing.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = closing.cancelled() => {}
            () = send_head_and_file(out, head, file, offset, most) => {}
        }
    });
    Box::pin(ReceiverStream::new(stream))
}

async fn send_head_and_file(
    out: mpsc::Sender<Result<DownloadChunk, Status>>,
    head: DownloadChunk,
    file: File,
    offset: u64,
    most: u64,
) {
    if out.send(Ok(head)).await.is_err() {
        return;
    }
    send_file(file, offset, most, |chunk| {
        let out = out.clone();
        async move { out.send(chunk.map(|data| DownloadChunk { data, ..DownloadChunk::default() })).await.is_ok() }
    })
    .await;
}

/// Reads `most` bytes of `file` from `offset`, or what there is of them, and passes them on in chunks, as long as
/// `send` says so.
pub(super) async fn send_file<F: Future<Output = bool>>(
    file: File,
    offset: u64,
    most: u64,
    send: impl Fn(Result<Bytes, Status>) -> F,
) {
    let mut file = file;
    let (mut offset, mut left) = (Some(offset), most);
    while left > 0 {
        let (from, wanted) = (offset.take(), left.min(CHUNK as u64));
        let read = blocking(move || {
            if let Some(from) = from {
                file.seek(SeekFrom::Start(from))?;
            }
            let mut data = Vec::with_capacity(CHUNK);
            file.by_ref().take(wanted).read_to_end(&mut data)?;
            Ok((file, data))
        });
        match read.await {
            Ok((_, data)) if data.is_empty() => return,
            Ok((again, data)) => {
                file = again;
                left = left.saturating_sub(data.len() as u64);
                if !send(Ok(data.into())).await {
                    return;
                }
            }
            Err(error) => {
                // Whether the fault still finds a reader changes nothing here.
                let _heard = send(Err(status::file("reading content", &error))).await;
                return;
            }
        }
    }
}

pub(super) fn first_size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
