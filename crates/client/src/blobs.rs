//! Contents: inputs up, outputs down.
//!
//! Both ways the content is hashed on this side while it passes, and compared with what the pool
//! says. A broken download goes on where it broke; a broken upload begins anew.
//!
//! Invariant: no content is held in memory as a whole unless the caller brought it so.

use crate::{Client, ClientError};
use bytes::Bytes;
use hivemind_model::ids::ElementRef;
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::{Bytes as Size, TaskId};
use hivemind_proto::v1::{DownloadChunk, DownloadOutputRequest, UploadChunk};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes of content in one message.
const CHUNK: usize = 256 << 10;
/// Messages that wait to be sent.
const QUEUE: usize = 4;

/// Where a content to upload is.
#[derive(Debug, Clone)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// Here.
    Bytes(Bytes),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// What was downloaded.
pub type Downloaded = BlobRef;

impl Client {
    /// Stores a content for use as a task's input and tells `progress` how many of how many bytes
    /// are on their way. Repeated from the start while nobody answers; content that is there is
    /// stored once.
    ///
    /// # Errors
    /// [`ClientError::Io`] where the file cannot be read; `E_TOO_LARGE` where the pool takes no
    /// such size; [`ClientError::Protocol`] where the pool stored something else.
    pub async fn upload(
        &self,
        source: impl Into<Source>,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<BlobRef, ClientError> {
        let source = source.into();
        let mut backoff = self.backoff();
        loop {
            match self.upload_once(&source, &mut progress).await {
                Ok(blob) => return Ok(blob),
                Err(error) => backoff.after(error).await?,
            }
        }
    }

    async fn upload_once(
        &self,
        source: &Source,
        progress: &mut (impl FnMut(u64, u64) + Send),
    ) -> Result<BlobRef, ClientError> {
        let what = "Upload";
        let (send, receive) = mpsc::channel(QUEUE);
        let mut tasks = self.tasks();
        let call = async {
            let answer = tasks.upload(self.stream_request(ReceiverStream::new(receive))).await;
            self.answer(what, answer)
        };
        let feed = async {
            match source {
                Source::Bytes(bytes) => {
                    feed(&mut bytes.as_ref(), bytes.len() as u64, Path::new("the given bytes"), send, progress).await
                }
                Source::File(path) => {
                    let file = tokio::fs::File::open(path).await.map_err(ClientError::io("open", path))?;
                    let about = file.metadata().await.map_err(ClientError::io("look at", path))?;
                    if !about.is_file() {
                        return Err(ClientError::invalid(format!("`{}`", path.display()), "it is not a regular file"));
                    }
                    feed(&mut { file }, about.len(), path, send, progress).await
                }
            }
        };
        let (answer, fed) = tokio::join!(call, feed);
        // A fault of this side comes first: the pool's refusal is then only of what was cut short.
        let sent = fed?;
        let answer = answer?;
        let sent =
            sent.ok_or_else(|| ClientError::protocol(what, "the pool answered before it had the whole content"))?;
        if answer.digest != sent.digest.to_string() {
            return Err(ClientError::protocol(
                what,
                format!(
                    "the pool stored {} where {} was sent",
                    hivemind_proto::convert::bounded(&answer.digest),
                    sent.digest
                ),
            ));
        }
        Ok(sent)
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
        let mut transfer = Transfer { hash: Sha256::new(), done: 0, whole: None };
        let mut backoff = self.backoff();
        loop {
            let before = transfer.done;
            match self.download_from(element, &mut transfer, to, &mut progress).await {
                Ok(()) => break,
                Err(error) => {
                    if transfer.done > before {
                        backoff.reset();
                    }
                    backoff.after(error).await?;
                }
            }
        }
        to.flush().await.map_err(write_failed)?;
        transfer.verified()
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

/// Sends a whole content; `None` where the other side stopped listening.
async fn feed(
    from: &mut (impl AsyncRead + Unpin + Send),
    size: u64,
    path: &Path,
    send: mpsc::Sender<UploadChunk>,
    progress: &mut (impl FnMut(u64, u64) + Send),
) -> Result<Option<BlobRef>, ClientError> {
    let wire_size =
        i64::try_from(size).map_err(|_| ClientError::invalid(format!("`{}`", path.display()), "it is too large"))?;
    let head = UploadChunk { token: String::new(), size: wire_size, data: Bytes::new(), ..UploadChunk::default() };
    if send.send(head).await.is_err() {
        return Ok(None);
    }
    let (mut hash, mut done) = (Sha256::new(), 0u64);
    loop {
        let mut buffer = Vec::with_capacity(CHUNK);
        let got = from.take(CHUNK as u64).read_to_end(&mut buffer).await.map_err(ClientError::io("read", path))?;
        done += got as u64;
        if done > size || (got == 0 && done < size) {
            return Err(ClientError::invalid(
                format!("`{}`", path.display()),
                "it changed while it was read; try again once it is at rest",
            ));
        }
        if got == 0 {
            return Ok(Some(BlobRef { digest: Digest(hash.finalize().into()), size: Size(size) }));
        }
        hash.update(&buffer);
        if send.send(UploadChunk { data: buffer.into(), ..UploadChunk::default() }).await.is_err() {
            return Ok(None);
        }
        progress(done, size);
    }
}

/// A download under way.
struct Transfer {
    hash: Sha256,
    done: u64,
    whole: Option<BlobRef>,
}

impl Transfer {
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
