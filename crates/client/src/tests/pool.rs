//! A pool whose every answer is written by the test.

mod auth;
mod economy;
mod whole;

use futures::stream::BoxStream;
use hivemind_model::Timestamp;
use hivemind_pki::{Authority, RotatingCert, server_config};
use hivemind_proto::v1::auth_service_server::AuthServiceServer;
use hivemind_proto::v1::node_service_server::NodeServiceServer;
use hivemind_proto::v1::pool_service_server::PoolServiceServer;
use hivemind_proto::v1::project_service_server::ProjectServiceServer;
use hivemind_proto::v1::task_service_server::{TaskService, TaskServiceServer};
use hivemind_proto::v1::token_service_server::TokenServiceServer;
use hivemind_proto::v1::*;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::io::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// What is said to one request: the items of a stream, or the first as the one answer. Nothing
/// at all to a call with one answer means that it is never answered.
type Said<T> = Vec<Result<T, Status>>;

/// What becomes of a stream once everything is said.
#[derive(Clone, Copy)]
enum After {
    End,
    Hang,
}

/// The answers to one kind of request, in order, and what was asked.
pub(super) struct Script<Q, A> {
    next: Mutex<VecDeque<(Said<A>, After)>>,
    asked: Mutex<Vec<Q>>,
    heard: Notify,
}

impl<Q, A> Default for Script<Q, A> {
    fn default() -> Self {
        Self { next: Mutex::default(), asked: Mutex::default(), heard: Notify::new() }
    }
}

impl<Q: Clone, A> Script<Q, A> {
    pub(super) fn then(&self, said: Said<A>) -> &Self {
        self.next.lock().expect("whole").push_back((said, After::End));
        self
    }

    /// As [`Script::then`], and the stream stays open.
    pub(super) fn then_hang(&self, said: Said<A>) -> &Self {
        self.next.lock().expect("whole").push_back((said, After::Hang));
        self
    }

    pub(super) fn asked(&self) -> Vec<Q> {
        self.asked.lock().expect("whole").clone()
    }

    /// Waits until `count` requests have come.
    pub(super) async fn heard(&self, count: usize) {
        loop {
            let notified = self.heard.notified();
            if self.asked.lock().expect("whole").len() >= count {
                return;
            }
            notified.await;
        }
    }

    fn hear(&self, request: Q) -> (Said<A>, After) {
        self.asked.lock().expect("whole").push(request);
        self.heard.notify_waiters();
        let said = self.next.lock().expect("whole").pop_front();
        said.unwrap_or_else(|| (vec![Err(Status::internal("the test expected no such request"))], After::End))
    }

    async fn one(&self, request: Q) -> Result<Response<A>, Status> {
        match self.hear(request).0.into_iter().next() {
            Some(said) => said.map(Response::new),
            None => std::future::pending().await,
        }
    }

    fn many(&self, request: Q) -> Result<Response<BoxStream<'static, Result<A, Status>>>, Status>
    where
        A: Send + 'static,
    {
        let (said, after) = self.hear(request);
        let said = tokio_stream::iter(said);
        Ok(Response::new(match after {
            After::End => Box::pin(said),
            After::Hang => Box::pin(said.chain(tokio_stream::pending())),
        }))
    }
}

#[derive(Default)]
pub(super) struct Scripts {
    pub(super) open: Script<OpenSessionRequest, SessionResponse>,
    pub(super) refresh: Script<RefreshSessionRequest, SessionResponse>,
    pub(super) end: Script<EndSessionRequest, EndSessionResponse>,
    pub(super) sessions: Script<ListSessionsRequest, ListSessionsResponse>,
    pub(super) key: Script<CreateKeyRequest, CreateKeyResponse>,
    pub(super) keys: Script<ListKeysRequest, ListKeysResponse>,
    pub(super) revoke: Script<RevokeKeyRequest, RevokeKeyResponse>,
    /// What the calls about sessions came with from a gateway.
    pub(super) told: Mutex<Vec<(String, String)>>,
    /// Of the pool as a whole.
    pub(super) whole: whole::Whole,
    pub(super) submit: Script<SubmitTaskRequest, SubmitTaskResponse>,
    pub(super) submits: Script<SubmitTasksRequest, SubmitTasksResponse>,
    pub(super) graph: Script<SubmitGraphRequest, SubmitGraphResponse>,
    pub(super) retry: Script<RetryTaskRequest, SubmitTaskResponse>,
    pub(super) elements: Script<ListElementsRequest, ListElementsResponse>,
    pub(super) cancel: Script<CancelTaskRequest, CancelTaskResponse>,
    pub(super) status: Script<TaskStatusRequest, TaskStatusResponse>,
    pub(super) watch: Script<WatchTasksRequest, TaskEvent>,
    pub(super) logs: Script<FollowLogsRequest, LogChunk>,
    pub(super) download: Script<DownloadOutputRequest, DownloadChunk>,
    pub(super) grid: Script<ElementGridRequest, ElementGridResponse>,
    pub(super) failures: Script<FailureGroupsRequest, FailureGroupsResponse>,
    pub(super) timeline: Script<TimelineRequest, TimelineResponse>,
    pub(super) files: Script<ListFilesRequest, ListFilesResponse>,
    pub(super) file: Script<ReadFileRequest, DownloadChunk>,
    pub(super) upload: Script<(i64, Vec<u8>), ()>,
    /// What there is of contents: bytes of it, or all.
    pub(super) here: Mutex<Vec<(String, Option<i64>)>>,
    pub(super) transfer: Script<TransferRequest, TransferResponse>,
    pub(super) register: Script<RegisterRequest, RegisterResponse>,
    pub(super) invitation: Script<CreateInvitationRequest, CreateInvitationResponse>,
    pub(super) quote: Script<QuoteRequest, QuoteResponse>,
    pub(super) transfers: Script<TransferManyRequest, TransferManyResponse>,
    pub(super) statement: Script<StatementRequest, StatementResponse>,
    pub(super) entries: Script<TaskEntriesRequest, TaskEntriesResponse>,
    pub(super) rewards: Script<ListRewardsRequest, ListRewardsResponse>,
    pub(super) nodes: Script<ListNodesRequest, ListNodesResponse>,
    pub(super) set_node: Script<SetNodeRequest, NodeSummary>,
    pub(super) info: Script<InfoRequest, InfoResponse>,
    pub(super) audit: Script<AuditRequest, AuditResponse>,
    pub(super) trial: Script<TrialBalanceRequest, TrialBalanceResponse>,
    pub(super) project: Script<RegisterProjectRequest, ProjectSummary>,
    pub(super) close: Script<CloseProjectRequest, CollectTipsResponse>,
    pub(super) collect: Script<CollectTipsRequest, CollectTipsResponse>,
    pub(super) projects: Script<ListProjectsRequest, ListProjectsResponse>,
    pub(super) tips: Script<ListTipsRequest, ListTipsResponse>,
    pub(super) tip: Script<TipRequest, TransferResponse>,
}

/// A pool that can be killed and started again at its address.
pub(super) struct Pool {
    pub(super) scripts: Arc<Scripts>,
    address: SocketAddr,
    authority: Authority,
    running: Option<Runtime>,
    _dir: TempDir,
}

impl Pool {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let authority = Authority::open(dir.path(), now()).expect("an authority");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut pool = Self { scripts: Arc::default(), address: nowhere, authority, running: None, _dir: dir };
        pool.serve().await;
        pool
    }

    pub(super) fn server(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(super) fn ca_pem(&self) -> &str {
        self.authority.ca_pem()
    }

    /// Ends the pool as a crash would: every connection with it.
    pub(super) async fn kill(&mut self) {
        if let Some(runtime) = self.running.take() {
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(30))).await;
            ended.expect("shut down");
        }
    }

    /// Serves at the same address as before.
    pub(super) async fn serve(&mut self) {
        let cert = self.authority.issue_server(&["127.0.0.1".to_owned()], now()).expect("a certificate");
        let tls = server_config(&self.authority, Arc::new(RotatingCert::new(cert))).expect("settings");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (wanted, scripts) = (self.address, self.scripts.clone());
        let listening = runtime.spawn(async move { TcpListener::bind(wanted).await });
        let listener = listening.await.expect("bound").expect("a port");
        self.address = listener.local_addr().expect("an address");
        runtime.spawn(run(listener, TlsAcceptor::from(tls), scripts));
        self.running = Some(runtime);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("a clock before the year 9000"))
}

async fn run(listener: TcpListener, tls: TlsAcceptor, scripts: Arc<Scripts>) {
    let (send, receive) = mpsc::channel::<Result<DuplexStream, Error>>(8);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (tls, send) = (tls.clone(), send.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = tls.accept(tcp).await else { return };
                let (near, mut far) = duplex(64 << 10);
                if send.send(Ok(near)).await.is_ok() {
                    // A broken connection is what some tests are about.
                    let _ = copy_bidirectional(&mut stream, &mut far).await;
                }
            });
        }
    });
    let served = tonic::transport::Server::builder()
        .add_service(TaskServiceServer::from_arc(scripts.clone()).max_decoding_message_size(64 << 20))
        .add_service(TokenServiceServer::from_arc(scripts.clone()))
        .add_service(NodeServiceServer::from_arc(scripts.clone()))
        .add_service(PoolServiceServer::from_arc(scripts.clone()))
        .add_service(ProjectServiceServer::from_arc(scripts.clone()))
        .add_service(AuthServiceServer::from_arc(scripts))
        .serve_with_incoming(ReceiverStream::new(receive));
    served.await.expect("served");
}

#[tonic::async_trait]
impl TaskService for Scripts {
    type WatchTasksStream = BoxStream<'static, Result<TaskEvent, Status>>;
    type FollowLogsStream = BoxStream<'static, Result<LogChunk, Status>>;
    type DownloadOutputStream = BoxStream<'static, Result<DownloadChunk, Status>>;
    type ReadFileStream = BoxStream<'static, Result<DownloadChunk, Status>>;

    async fn element_grid(
        &self,
        request: Request<ElementGridRequest>,
    ) -> Result<Response<ElementGridResponse>, Status> {
        self.grid.one(request.into_inner()).await
    }

    async fn failure_groups(
        &self,
        request: Request<FailureGroupsRequest>,
    ) -> Result<Response<FailureGroupsResponse>, Status> {
        self.failures.one(request.into_inner()).await
    }

    async fn timeline(&self, request: Request<TimelineRequest>) -> Result<Response<TimelineResponse>, Status> {
        self.timeline.one(request.into_inner()).await
    }

    async fn list_files(&self, request: Request<ListFilesRequest>) -> Result<Response<ListFilesResponse>, Status> {
        self.files.one(request.into_inner()).await
    }

    async fn read_file(&self, request: Request<ReadFileRequest>) -> Result<Response<Self::ReadFileStream>, Status> {
        self.file.many(request.into_inner())
    }

    async fn submit_task(&self, request: Request<SubmitTaskRequest>) -> Result<Response<SubmitTaskResponse>, Status> {
        self.submit.one(request.into_inner()).await
    }

    async fn submit_tasks(
        &self,
        request: Request<SubmitTasksRequest>,
    ) -> Result<Response<SubmitTasksResponse>, Status> {
        self.submits.one(request.into_inner()).await
    }

    async fn find_content(
        &self,
        request: Request<FindContentRequest>,
    ) -> Result<Response<FindContentResponse>, Status> {
        let here = self.here.lock().expect("whole");
        let found = |digest: String| {
            let whole = here.iter().find(|(known, _)| *known == digest);
            let (complete, received) = whole.map_or((false, 0), |(_, left)| left.map_or((true, 0), |got| (false, got)));
            ContentFound { digest, complete, received }
        };
        Ok(Response::new(FindContentResponse {
            contents: request.into_inner().digests.into_iter().map(found).collect(),
        }))
    }

    async fn quote(&self, request: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        self.quote.one(request.into_inner()).await
    }

    async fn task_status(&self, request: Request<TaskStatusRequest>) -> Result<Response<TaskStatusResponse>, Status> {
        self.status.one(request.into_inner()).await
    }

    async fn explain(&self, _: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        Err(Status::not_found("E_NOT_FOUND: task_9 does not exist, or is not yours"))
    }

    async fn list_tasks(&self, _: Request<ListTasksRequest>) -> Result<Response<ListTasksResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn cancel_task(&self, request: Request<CancelTaskRequest>) -> Result<Response<CancelTaskResponse>, Status> {
        self.cancel.one(request.into_inner()).await
    }

    async fn submit_graph(
        &self,
        request: Request<SubmitGraphRequest>,
    ) -> Result<Response<SubmitGraphResponse>, Status> {
        self.graph.one(request.into_inner()).await
    }

    async fn retry_task(&self, request: Request<RetryTaskRequest>) -> Result<Response<SubmitTaskResponse>, Status> {
        self.retry.one(request.into_inner()).await
    }

    async fn list_elements(
        &self,
        request: Request<ListElementsRequest>,
    ) -> Result<Response<ListElementsResponse>, Status> {
        self.elements.one(request.into_inner()).await
    }

    async fn watch_tasks(
        &self,
        request: Request<WatchTasksRequest>,
    ) -> Result<Response<Self::WatchTasksStream>, Status> {
        self.watch.many(request.into_inner())
    }

    async fn follow_logs(
        &self,
        request: Request<FollowLogsRequest>,
    ) -> Result<Response<Self::FollowLogsStream>, Status> {
        self.logs.many(request.into_inner())
    }

    async fn upload(&self, request: Request<Streaming<UploadChunk>>) -> Result<Response<UploadResponse>, Status> {
        let mut chunks = request.into_inner();
        let head = chunks.next().await.ok_or_else(|| Status::invalid_argument("nothing"))??;
        let mut content = Vec::new();
        while let Some(chunk) = chunks.next().await {
            content.extend_from_slice(&chunk?.data);
        }
        assert_eq!(head.offset + content.len() as i64, head.size);
        if head.offset == 0 {
            assert_eq!(head.digest, format!("sha256:{}", hex::encode(Sha256::digest(&content))));
        }
        self.upload.one((head.offset, content)).await?;
        Ok(Response::new(UploadResponse { digest: head.digest, size: head.size }))
    }

    async fn download_output(
        &self,
        request: Request<DownloadOutputRequest>,
    ) -> Result<Response<Self::DownloadOutputStream>, Status> {
        self.download.many(request.into_inner())
    }
}
