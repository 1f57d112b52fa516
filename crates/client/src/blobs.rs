//! Contents: inputs up, outputs down.
//!
//! An upload begins with the digest of the content: what the pool has for its user already is not sent, and
//! what broke off goes on where it broke, also in another process. A download is hashed while it passes and
//! goes on in the same way. What is only sent or fetched is in here; how a file is read is in [`source`].
//!
//! Invariant: no content is held in memory as a whole unless the caller brought it so.

use crate::{Client, ClientError};
use hivemind_model::ids::ElementRef;
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::{Bytes as Size, TaskId};
use hivemind_proto::v1::{DownloadChunk, DownloadOutputRequest, FindContentRequest, UploadChunk};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

mod source;
pub use source::Source;

/// Bytes of content in one message.
const CHUNK: usize = 256 << 10;
/// Messages that wait to be sent.
const QUEUE: usize = 4;
/// How often a content is sent from its beginning because what came was not what was announced.
const WHOLE_TRIES: u32 = 2;

/// What was downloaded.
pub type Downloaded = BlobRef;

/// What was uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// All of it.
    pub blob: BlobRef,
    /// How many bytes of it went over the network; 0 where the pool had it.
    pub sent: u64,
}

impl Client {
    /// Stores a content for use as a task's input or image and tells `progress` how many of how many bytes
    /// the pool has. What is there is not sent again, and what breaks off goes on where it broke, for as long
    /// as somebody answers now and then.
    ///
    /// # Errors
    /// [`ClientError::Io`] where the file cannot be read, [`ClientError::Invalid`] where it changes meanwhile;
    /// `E_TOO_LARGE` where the pool takes no such size; [`ClientError::Protocol`] where the pool stored
    /// something else.
    pub async fn upload(
        &self,
        source: impl Into<Source>,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Uploaded, ClientError> {
        let source = source.into();
        let (mut backoff, mut whole_tries) = (self.backoff(), 0);
        let mut sent = 0;
        let mut blob = source.blob().await?;
        loop {
            let before = sent;
            let error = match self.upload_once(&source, blob, &mut sent, &mut progress).await {
                Ok(()) => return Ok(Uploaded { blob, sent }),
                Err(error) => error,
            };
            if is_other_content(&error) {
                // Either what was here of it was spoilt, or the file has changed: both are found by a second look.
                whole_tries += 1;
                let now = source.blob().await?;
                if whole_tries >= WHOLE_TRIES || now.size != blob.size {
                    return Err(source.changed());
                }
                blob = now;
                continue;
            }
            if sent > before {
                backoff.reset();
            }
            backoff.after(error).await?;
        }
    }

    /// For each of these contents: how many of its bytes the pool has for this user; `None` where it is whole.
    ///
    /// # Errors
    /// `E_TOO_LARGE` for more than 1000.
    pub async fn find_content(&self, digests: &[Digest]) -> Result<Vec<Option<u64>>, ClientError> {
        let what = "FindContent";
        let request =
            FindContentRequest { token: String::new(), digests: digests.iter().map(Digest::to_string).collect() };
        let answer =
            self.repeated(what, async || self.tasks().find_content(self.request(request.clone())).await).await?;
        if answer.contents.len() != digests.len() {
            return Err(ClientError::protocol(what, "the answer is about other contents"));
        }
        let received = |received: i64| u64::try_from(received).unwrap_or(0);
        let found = answer.contents.iter();
        Ok(found.map(|content| (!content.complete).then(|| received(content.received))).collect())
    }

    async fn upload_once(
        &self,
        source: &Source,
        blob: BlobRef,
        sent: &mut u64,
        progress: &mut (impl FnMut(u64, u64) + Send),
    ) -> Result<(), ClientError> {
        let what = "Upload";
        let found = self.find_content(&[blob.digest]).await?;
        let Some(offset) = found.first().copied().flatten() else {
            progress(blob.size.0, blob.size.0);
            return Ok(());
        };
        // More than the whole is none of it.
        let offset = if offset > blob.size.0 { 0 } else { offset };
        let (send, receive) = mpsc::channel(QUEUE);
        let mut tasks = self.tasks();
        let call = async {
            let answer = tasks.upload(self.stream_request(ReceiverStream::new(receive))).await;
            self.answer(what, answer)
        };
        let (answer, fed) = tokio::join!(call, feed(source, blob, offset, send, sent, progress));
        // A fault of this side comes first: the pool's refusal is then only of what was cut short.
        fed?;
        let answer = answer?;
        if answer.digest != blob.digest.to_string() {
            let stored = hivemind_proto::convert::bounded(&answer.digest);
            return Err(ClientError::protocol(
                what,
                format!("the pool stored {stored} where {} was sent", blob.digest),
            ));
        }
        Ok(())
    }

    /// Writes the archive (tar) of a completed task's output files to `to` and tells `progress`
    /// how many of how many bytes are there. A broken connection is made good where it broke.
    /// What was written is of use only once this has returned well: then it has the digest.
    ///
    /// # Errors
    /// `E_NOT_FOUND` where there is no such task or it left no files; [`ClientError::Protocol`]
    /// where the content has another digest than the pool says; [`ClientError::Io`] of `to`.
    pub async fn download(
        &self,
        task: TaskId,
        to: &mut (impl AsyncWrite + Unpin + Send),
        progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Downloaded, ClientError> {
        self.download_of(ElementRef::only(task), to, progress).await
    }

    /// [`Client::download`] of one element of an array.
    ///
    /// # Errors
    /// As of [`Client::download`].
    pub async fn download_of(
        &self,
        element: ElementRef,
        to: &mut (impl AsyncWrite + Unpin + Send),
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Downloaded, ClientError> {
        let mut transfer = Transfer::default();
        self.download_rest(element, &mut transfer, to, &mut progress).await?;
        transfer.verified()
    }

    /// [`Client::download_of`] into a file that may hold the beginning of it from an earlier time; that is not
    /// fetched again. The file holds exactly the archive when this returns well.
    ///
    /// # Errors
    /// As of [`Client::download`].
    pub async fn download_into(
        &self,
        element: ElementRef,
        file: &mut File,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Downloaded, ClientError> {
        let mut transfer = Transfer::default();
        let mut buffer = vec![0; CHUNK];
        file.rewind().await.map_err(write_failed)?;
        loop {
            match file.read(&mut buffer).await.map_err(write_failed)? {
                0 => break,
                got => transfer.found(&buffer[..got]),
            }
        }
        if transfer.done > 0 {
            match self.download_rest(element, &mut transfer, file, &mut progress).await {
                Ok(()) if transfer.is_right() => return transfer.verified(),
                // What was there is not the beginning of it.
                Ok(()) => {}
                Err(error) if is_other_content(&error) => {}
                Err(error) => return Err(error),
            }
            file.set_len(0).await.map_err(write_failed)?;
            file.rewind().await.map_err(write_failed)?;
            transfer = Transfer::default();
        }
        self.download_rest(element, &mut transfer, file, &mut progress).await?;
        transfer.verified()
    }

    async fn download_rest(
        &self,
        element: ElementRef,
        transfer: &mut Transfer,
        to: &mut (impl AsyncWrite + Unpin + Send),
        progress: &mut (impl FnMut(u64, u64) + Send),
    ) -> Result<(), ClientError> {
        let mut backoff = self.backoff();
        loop {
            let before = transfer.done;
            match self.download_from(element, transfer, to, progress).await {
                Ok(()) => break,
                Err(error) => {
                    if transfer.done > before {
                        backoff.reset();
                    }
                    backoff.after(error).await?;
                }
            }
        }
        to.flush().await.map_err(write_failed)
    }

    async fn download_from(
        &self,
        element: ElementRef,
        transfer: &mut Transfer,
        to: &mut (impl AsyncWrite + Unpin + Send),
        progress: &mut (impl FnMut(u64, u64) + Send),
    ) -> Result<(), ClientError> {
        let offset = i64::try_from(transfer.done).unwrap_or(i64::MAX);
        let request = DownloadOutputRequest {
            token: String::new(),
            task_id: element.task.to_string(),
            offset,
            element: element.index,
        };
        let mut chunks = self.opened(DOWNLOAD, self.tasks().download_output(self.stream_request(request))).await?;
        let mut first = true;
        while let Some(chunk) = chunks.message().await.map_err(|status| self.fault(DOWNLOAD, &status))? {
            if std::mem::take(&mut first) {
                transfer.begin(&chunk)?;
            }
            let size = transfer.accept(&chunk.data)?;
            to.write_all(&chunk.data).await.map_err(write_failed)?;
            progress(transfer.done, size);
        }
        if transfer.is_complete() {
            Ok(())
        } else {
            Err(ClientError::unreachable(&self.server, "the content ended before its size was reached"))
        }
    }
}

const DOWNLOAD: &str = "DownloadOutput";

fn write_failed(source: std::io::Error) -> ClientError {
    ClientError::Io { action: "write", path: PathBuf::from("the downloaded archive"), source: Arc::new(source) }
}

/// True where the pool says that what it has is not what this side means.
fn is_other_content(error: &ClientError) -> bool {
    matches!(error, ClientError::Rejected { code, field, .. }
        if code == "E_INVALID" && ["digest", "offset"].contains(&field.as_str()))
}

/// Sends a content from `offset` on, as long as the other side listens.
async fn feed(
    source: &Source,
    blob: BlobRef,
    offset: u64,
    send: mpsc::Sender<UploadChunk>,
    sent: &mut u64,
    progress: &mut (impl FnMut(u64, u64) + Send),
) -> Result<(), ClientError> {
    let size = blob.size.0;
    let wire =
        |number: u64| i64::try_from(number).map_err(|_| ClientError::invalid(source.to_string(), "it is too large"));
    let head = UploadChunk {
        size: wire(size)?,
        digest: blob.digest.to_string(),
        offset: wire(offset)?,
        ..UploadChunk::default()
    };
    if send.send(head).await.is_err() {
        return Ok(());
    }
    let mut from = source.open(offset).await?;
    let mut done = offset;
    progress(done, size);
    loop {
        let mut buffer = Vec::with_capacity(CHUNK);
        let read = (&mut from).take(CHUNK as u64).read_to_end(&mut buffer).await;
        let got = read.map_err(ClientError::io("read", source.path()))? as u64;
        done += got;
        if done > size || (got == 0 && done < size) {
            return Err(source.changed());
        }
        if got == 0 {
            return Ok(());
        }
        if send.send(UploadChunk { data: buffer.into(), ..UploadChunk::default() }).await.is_err() {
            return Ok(());
        }
        *sent += got;
        progress(done, size);
    }
}

/// A download under way.
#[derive(Default)]
struct Transfer {
    hash: Sha256,
    done: u64,
    whole: Option<BlobRef>,
}

impl Transfer {
    /// Counts what was there before.
    fn found(&mut self, data: &[u8]) {
        self.done += data.len() as u64;
        self.hash.update(data);
    }

    /// True where what came is what was told.
    fn is_right(&self) -> bool {
        self.whole.is_some_and(|whole| whole.digest.0 == <[u8; 32]>::from(self.hash.clone().finalize()))
    }

    /// Takes what the first message of a stream says of the whole.
    fn begin(&mut self, chunk: &DownloadChunk) -> Result<(), ClientError> {
        let size = u64::try_from(chunk.size).map_err(|_| ClientError::protocol(DOWNLOAD, "a size below zero"))?;
        let digest = chunk
            .digest
            .parse()
            .map_err(|why: hivemind_model::spec::BadDigest| ClientError::protocol(DOWNLOAD, why.to_string()))?;
        let told = BlobRef { digest, size: Size(size) };
        match self.whole {
            Some(before) if before != told => {
                Err(ClientError::protocol(DOWNLOAD, "the content became another while it was downloaded"))
            }
            _ => {
                self.whole = Some(told);
                Ok(())
            }
        }
    }

    /// Counts and hashes a piece; gives the size of the whole.
    fn accept(&mut self, data: &[u8]) -> Result<u64, ClientError> {
        let size = self.whole.map_or(0, |whole| whole.size.0);
        let done = self.done + data.len() as u64;
        if done > size {
            return Err(ClientError::protocol(DOWNLOAD, "more bytes than the size that was told"));
        }
        self.done = done;
        self.hash.update(data);
        Ok(size)
    }

    fn is_complete(&self) -> bool {
        self.whole.is_some_and(|whole| whole.size.0 == self.done)
    }

    fn verified(self) -> Result<Downloaded, ClientError> {
        let found = Digest(self.hash.finalize().into());
        match self.whole {
            Some(whole) if whole.digest == found => Ok(whole),
            _ => Err(ClientError::protocol(
                DOWNLOAD,
                format!("the content has the digest {found}, which is not the one that was told"),
            )),
        }
    }
}
