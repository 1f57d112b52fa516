//! Contents that pass through: from one connection to another, without a file.
//!
//! For whoever stands between the pool and somebody else, such as a gateway. Where a connection breaks, the content
//! breaks, and whoever wants it asks again from where it broke.
//!
//! Invariant: no more of a content is held than one piece of it.

use crate::{Client, ClientError, Events};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use hivemind_model::Bytes as Size;
use hivemind_model::ids::ElementRef;
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_proto::v1::{DownloadOutputRequest, UploadChunk};

const DOWNLOAD: &str = "DownloadOutput";
const UPLOAD: &str = "Upload";

/// An archive that is being read.
pub struct Passing {
    /// The whole of it.
    pub whole: BlobRef,
    /// Its content from where it was asked for, piece by piece; not compared with the digest.
    pub content: Events<Bytes>,
}

impl Client {
    /// The archive (tar) of what a completed element left, from `offset` on.
    ///
    /// # Errors
    /// `E_NOT_FOUND` where there is no such task or it left no files; `E_INVALID` of an offset behind the end.
    pub async fn output_from(&self, element: ElementRef, offset: u64) -> Result<Passing, ClientError> {
        let request = DownloadOutputRequest {
            token: String::new(),
            task_id: element.task.to_string(),
            offset: i64::try_from(offset).unwrap_or(i64::MAX),
            element: element.index,
        };
        let mut chunks = self.opened(DOWNLOAD, self.tasks().download_output(self.stream_request(request))).await?;
        let head = chunks.message().await.map_err(|status| self.fault(DOWNLOAD, &status))?;
        let head = head.ok_or_else(|| ClientError::unreachable(&self.server, "the answer ended before it began"))?;
        let size = u64::try_from(head.size).map_err(|_| ClientError::protocol(DOWNLOAD, "a size below zero"))?;
        let digest = head.digest.parse();
        let digest: Digest =
            digest.map_err(|why: hivemind_model::spec::BadDigest| ClientError::protocol(DOWNLOAD, why.to_string()))?;
        let this = self.clone();
        let rest = chunks.map_err(move |status| this.fault(DOWNLOAD, &status));
        let content = futures::stream::once(async { Ok(head) }).chain(rest).map_ok(|chunk| chunk.data);
        Ok(Passing { whole: BlobRef { digest, size: Size(size) }, content: content.boxed() })
    }

    /// Stores the `size` bytes that `content` gives, for use as a task's input or image. What broke off is not resumed.
    ///
    /// # Errors
    /// `E_TOO_LARGE` where the pool takes no such size; `E_INVALID` where `content` has another.
    pub async fn upload_passing(
        &self,
        size: u64,
        content: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<BlobRef, ClientError> {
        let wire = i64::try_from(size).map_err(|_| ClientError::invalid("the content", "it is too large"))?;
        let head = UploadChunk { size: wire, ..UploadChunk::default() };
        let pieces = content.map(|data| UploadChunk { data, ..UploadChunk::default() });
        let chunks = futures::stream::once(async { head }).chain(pieces);
        let answer = self.answer(UPLOAD, self.tasks().upload(self.stream_request(chunks)).await)?;
        let digest = answer.digest.parse();
        let digest: Digest =
            digest.map_err(|why: hivemind_model::spec::BadDigest| ClientError::protocol(UPLOAD, why.to_string()))?;
        let size = u64::try_from(answer.size).map_err(|_| ClientError::protocol(UPLOAD, "a size below zero"))?;
        Ok(BlobRef { digest, size: Size(size) })
    }
}
