//! Tasks as pages show them: all elements at once, failures by what they have in common, attempts by node, and the
//! files of an output one by one.
//!
//! Invariant: nothing here changes anything, so every call is repeated while nobody answers.

use crate::{Client, ClientError, Events};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hivemind_model::TaskId;
use hivemind_model::ids::ElementRef;
use hivemind_model::spec::Digest;
use hivemind_proto::v1::{
    DownloadChunk, ElementGridRequest, ElementGridResponse, FailureGroupsRequest, FailureGroupsResponse,
    ListFilesRequest, ListFilesResponse, ReadFileRequest, TimelineRequest, TimelineResponse,
};

const READ_FILE: &str = "ReadFile";

/// A file of an output that is being read.
pub struct FileContent {
    /// Bytes of the whole file.
    pub size: u64,
    /// The archive that it is in; with its path it names the content for ever.
    pub archive: Digest,
    /// Bytes that come.
    pub comes: u64,
    /// The content, from where it was asked for. It ends with an error where less comes than was told; read on from
    /// what is there then.
    pub content: Events<Bytes>,
}

impl Client {
    /// Where the elements of a task stand, one byte for each (0 waiting, 1 live, 2 completed, 3 failed, 4 cancelled),
    /// from the index `first_index` on; at most `limit` of them, 1 to 1,000,000 (0: 1,000,000).
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else; `E_INVALID` of a limit.
    pub async fn element_grid(
        &self,
        task: TaskId,
        first_index: u32,
        limit: u32,
    ) -> Result<ElementGridResponse, ClientError> {
        let request = ElementGridRequest { token: String::new(), task_id: task.to_string(), first_index, limit };
        self.repeated("ElementGrid", async || self.tasks().element_grid(self.request(request.clone())).await).await
    }

    /// The failed elements of a task, those together that failed alike; the largest groups first, at most 100.
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else.
    pub async fn failure_groups(&self, task: TaskId) -> Result<FailureGroupsResponse, ClientError> {
        let request = FailureGroupsRequest { token: String::new(), task_id: task.to_string() };
        self.repeated("FailureGroups", async || self.tasks().failure_groups(self.request(request.clone())).await).await
    }

    /// The newest attempts of a task, with the nodes they ran on and when; at most `limit`, 1 to 2000 (0: 500).
    ///
    /// # Errors
    /// `E_NOT_FOUND` alike for a task that never was and one of somebody else; `E_INVALID` of a limit.
    pub async fn timeline(&self, task: TaskId, limit: u32) -> Result<TimelineResponse, ClientError> {
        let request = TimelineRequest { token: String::new(), task_id: task.to_string(), limit };
        self.repeated("Timeline", async || self.tasks().timeline(self.request(request.clone())).await).await
    }

    /// The files that a completed element left (of a plain task, its only one); at most 10,000.
    ///
    /// # Errors
    /// `E_NOT_FOUND` where there is no such task or it left no files; `E_CONFLICT` where it has not completed, or
    /// left what is no archive of plain files.
    pub async fn list_files(&self, element: ElementRef) -> Result<ListFilesResponse, ClientError> {
        let request =
            ListFilesRequest { token: String::new(), task_id: element.task.to_string(), element: element.index };
        self.repeated("ListFiles", async || self.tasks().list_files(self.request(request.clone())).await).await
    }

    /// One of the files that a completed element left, by its path as [`Client::list_files`] tells it, from `offset`
    /// on; at most `max_bytes` of it, 1 to 1 GiB (0: 16 MiB).
    ///
    /// # Errors
    /// As of [`Client::list_files`]; `E_NOT_FOUND` where there is no such file; `E_INVALID` of a folder, an offset
    /// behind its end, or a bound.
    pub async fn read_file(
        &self,
        element: ElementRef,
        path: &str,
        offset: u64,
        max_bytes: u64,
    ) -> Result<FileContent, ClientError> {
        let wire = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let request = ReadFileRequest {
            token: String::new(),
            task_id: element.task.to_string(),
            element: element.index,
            path: path.to_owned(),
            max_bytes: wire(max_bytes),
            offset: wire(offset),
        };
        let mut backoff = self.backoff();
        loop {
            match self.read_file_once(&request).await {
                Ok(content) => return Ok(content),
                Err(error) => backoff.after(error).await?,
            }
        }
    }

    async fn read_file_once(&self, request: &ReadFileRequest) -> Result<FileContent, ClientError> {
        let mut chunks = self.opened(READ_FILE, self.tasks().read_file(self.stream_request(request.clone()))).await?;
        let head = chunks.message().await.map_err(|status| self.fault(READ_FILE, &status))?;
        let head = head.ok_or_else(|| ClientError::unreachable(&self.server, "the answer ended before it began"))?;
        let size = u64::try_from(head.size).map_err(|_| ClientError::protocol(READ_FILE, "a size below zero"))?;
        let archive = head.digest.parse();
        let archive: Digest = archive
            .map_err(|why: hivemind_model::spec::BadDigest| ClientError::protocol(READ_FILE, why.to_string()))?;
        let most = match request.max_bytes {
            0 => DEFAULT_BYTES,
            most => u64::try_from(most).unwrap_or(0),
        };
        let offset = u64::try_from(request.offset).unwrap_or(u64::MAX);
        let comes = size.saturating_sub(offset).min(most);
        let this = self.clone();
        let rest = chunks.map_err(move |status| this.fault(READ_FILE, &status));
        let all = futures::stream::once(async { Ok(head) }).chain(rest);
        let whole = Whole { left: comes, server: self.server.to_string() };
        Ok(FileContent { size, archive, comes, content: whole.of(all) })
    }
}

/// What is sent where no bound is named.
const DEFAULT_BYTES: u64 = 16 << 20;

/// Counts what comes.
struct Whole {
    left: u64,
    server: String,
}

impl Whole {
    /// The data of `chunks`, which must be as many bytes as were told, no more and no fewer.
    fn of(
        self,
        chunks: impl futures::Stream<Item = Result<DownloadChunk, ClientError>> + Send + 'static,
    ) -> Events<Bytes> {
        let state = (self, Box::pin(chunks), false);
        let stream = futures::stream::try_unfold(state, |(mut whole, mut chunks, ended)| async move {
            if ended {
                return Ok(None);
            }
            loop {
                match chunks.next().await.transpose()? {
                    Some(chunk) if chunk.data.is_empty() => {}
                    Some(chunk) => {
                        let left = whole.left.checked_sub(chunk.data.len() as u64);
                        whole.left =
                            left.ok_or_else(|| ClientError::protocol(READ_FILE, "more bytes than the size told"))?;
                        return Ok(Some((chunk.data, (whole, chunks, false))));
                    }
                    None if whole.left == 0 => return Ok(None),
                    None => {
                        let why = "the content ended before its size was reached";
                        return Err(ClientError::unreachable(&whole.server, why));
                    }
                }
            }
        });
        stream.boxed()
    }
}
