//! A pool that does what a test says: real TLS, real certificates, no engine.
//!
//! Start at [`ScriptedPool::start`]; each link that a worker opens comes out of
//! [`ScriptedPool::link`].

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use futures::{Stream, StreamExt};
use hivemind_model::spec::{BlobRef, Digest, InputFile, TaskSpec};
use hivemind_model::{
    AttemptRef, Bytes, ElementRef, Isolation, Labels, MilliCores, Millis, NodeId, Resources, TaskId, Timestamp,
};
use hivemind_pki::{Authority, RotatingCert, server_config};
use hivemind_proto::worker as wire;
use hivemind_proto::worker::pool_event::Event as Say;
use hivemind_proto::worker::worker_event::Event as Heard;
use hivemind_proto::worker::worker_service_server::{WorkerService, WorkerServiceServer};
use hivemind_runtime::Offer;
use hivemind_runtime::fake::{FakeConfig, FakeRuntime};
use hivemind_worker::{WorkerConfig, WorkerHandle};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

/// Longest wait for anything, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub const NODE: NodeId = NodeId(7);

pub fn now() -> Timestamp {
    Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}

pub fn att(task: u64) -> AttemptRef {
    ElementRef::only(TaskId(task)).attempt(1)
}

/// Four cores.
pub fn capacity() -> Resources {
    Resources { cpu: MilliCores::from_cores(4), memory: Bytes::from_gib(4), disk: Bytes::from_gib(4), gpus: 0 }
}

pub fn digest(content: &[u8]) -> Digest {
    Digest(Sha256::digest(content).into())
}

/// A hand-out of one core.
pub fn assign(task: u64, command: &str, inputs: &[(&str, &[u8])]) -> Say {
    assign_with(task, command, inputs, &[])
}

/// As [`assign`], with an environment.
pub fn assign_with(task: u64, command: &str, inputs: &[(&str, &[u8])], env: &[(&str, &str)]) -> Say {
    let file = |(path, content): &(&str, &[u8])| InputFile {
        path: (*path).into(),
        blob: BlobRef { digest: digest(content), size: Bytes(content.len() as u64) },
    };
    let spec = TaskSpec {
        image: "image".into(),
        command: command.split(' ').map(str::to_owned).collect(),
        files: inputs.iter().map(file).collect(),
        priority: 5,
        max_runtime: Millis::from_secs(3600),
        resources: Resources {
            cpu: MilliCores::from_cores(1),
            memory: Bytes::from_mib(64),
            disk: Bytes::from_mib(64),
            gpus: 0,
        },
        ..TaskSpec::default()
    };
    let env = env.iter().map(|(name, value)| wire::EnvVar { name: (*name).into(), value: (*value).into() }).collect();
    Say::Assign(wire::Assign { attempt: Some(att(task).into()), spec: Some((&spec).into()), env })
}

pub fn ack(task: u64) -> Say {
    Say::FinishedAck(wire::FinishedAck { attempt: Some(att(task).into()), refusal: String::new() })
}

/// What the pool's services share.
#[derive(Debug)]
pub struct Shared {
    pub authority: Authority,
    links: mpsc::UnboundedSender<PoolLink>,
    used_tokens: Mutex<BTreeSet<String>>,
    /// What inputs there are; the key need not be the digest of the value.
    pub inputs: Mutex<HashMap<String, Vec<u8>>>,
    pub outputs: Mutex<HashMap<u64, Vec<u8>>>,
    /// Uploads to be broken off.
    pub broken_uploads: Mutex<u32>,
    /// When certificates are said to be signed.
    pub signed_at: Mutex<Timestamp>,
    /// Answers a Link with this instead.
    pub refuse_links: Mutex<Option<Status>>,
}

pub struct ScriptedPool {
    pub shared: Arc<Shared>,
    pub server: String,
    links: mpsc::UnboundedReceiver<PoolLink>,
    tokens: u32,
    accepting: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Drop for ScriptedPool {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl ScriptedPool {
    pub async fn start() -> Self {
        hivemind_pki::install_provider();
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), now()).unwrap();
        let certificate = authority.issue_server(&["127.0.0.1".into()], now()).unwrap();
        let tls = TlsAcceptor::from(server_config(&authority, Arc::new(RotatingCert::new(certificate))).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("https://{}", listener.local_addr().unwrap());
        let (links_out, links) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            authority,
            links: links_out,
            used_tokens: Mutex::default(),
            inputs: Mutex::default(),
            outputs: Mutex::default(),
            broken_uploads: Mutex::default(),
            signed_at: Mutex::new(now()),
            refuse_links: Mutex::default(),
        });
        let (connections, incoming) = mpsc::channel::<std::io::Result<Encrypted>>(16);
        let service = WorkerServiceServer::new(Service(Arc::clone(&shared)));
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(tokio_stream::wrappers::ReceiverStream::new(incoming));
        let accepting = tokio::spawn(async move {
            let accept = async {
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    // A peer that gives up in the handshake is its own business.
                    if let Ok(stream) = tls.accept(tcp).await {
                        connections.send(Ok(Encrypted(stream))).await.unwrap();
                    }
                }
            };
            tokio::select! { () = accept => {}, served = serving => served.unwrap() }
        });
        Self { shared, server, links, tokens: 0, accepting, _dir: dir }
    }

    /// A new join token.
    pub fn token(&mut self) -> String {
        self.tokens += 1;
        let exp = now().0 / 1000 + 900;
        let claims = serde_json::json!({"typ": "join", "exp": exp, "srv": self.server, "ca": hex::encode(self.shared.authority.ca_hash()), "jti": self.tokens});
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    /// The next link that a worker opens, not yet welcomed.
    pub async fn link(&mut self) -> PoolLink {
        tokio::time::timeout(DEADLINE, self.links.recv()).await.expect("a link in time").unwrap()
    }

    /// The next link, welcomed with a lease that outlasts any test.
    pub async fn welcomed(&mut self) -> PoolLink {
        let mut link = self.link().await;
        link.welcome(3_000_000, &[], &[]).await;
        link
    }

    /// A worker that joins with a new token.
    pub async fn worker(&mut self, data: &Path) -> (WorkerHandle, Arc<FakeRuntime>) {
        let token = self.token();
        let (config, fake) = config(data, Some(token));
        (hivemind_worker::start(config).await.unwrap(), fake)
    }
}

pub fn config(data: &Path, join: Option<String>) -> (WorkerConfig, Arc<FakeRuntime>) {
    let fake = Arc::new(FakeRuntime::new(FakeConfig { isolation: Isolation::Rootless, ..FakeConfig::default() }));
    let offer = Offer { capacity: capacity(), gpu_info: String::new() };
    let config = WorkerConfig {
        data: data.to_owned(),
        join,
        server: None,
        name: Some("tester".into()),
        offer,
        labels: Labels::parse(&["location=berlin", "arch=arm64"]).unwrap(),
        egress: hivemind_model::EgressPolicy::None,
        share: None,
        machine: data.join("no machine"),
        runtime: fake.clone(),
    };
    (config, fake)
}

/// Starts a worker on a folder whose former worker was dropped a moment ago.
pub async fn restart(data: &Path) -> (WorkerHandle, Arc<FakeRuntime>) {
    let until = tokio::time::Instant::now() + DEADLINE;
    loop {
        let (config, fake) = config(data, None);
        match hivemind_worker::start(config).await {
            Ok(worker) => return (worker, fake),
            Err(why) if tokio::time::Instant::now() < until && why.to_string().contains("another worker") => {
                tokio::task::yield_now().await
            }
            Err(why) => panic!("{why:#}"),
        }
    }
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// The pool's end of one link.
#[derive(Debug)]
pub struct PoolLink {
    pub hello: wire::Hello,
    pub node: Option<NodeId>,
    incoming: mpsc::UnboundedReceiver<wire::WorkerEvent>,
    out: mpsc::Sender<Result<wire::PoolMessage, Status>>,
    /// Whether heartbeats are answered.
    pub answers: bool,
    /// What the owner let the machine do, as it was told.
    pub owner: Vec<String>,
}

impl PoolLink {
    pub fn holds(&self) -> Vec<u64> {
        self.hello.holds.iter().map(|attempt| attempt.task).collect()
    }

    pub async fn say(&mut self, event: Say) {
        let message = wire::PoolMessage { events: vec![wire::PoolEvent { event: Some(event) }] };
        self.out.send(Ok(message)).await.expect("the worker listens");
    }

    pub async fn welcome(&mut self, lease_ms: u64, stale: &[u64], logs: &[(u64, u64)]) {
        let logs = logs.iter().map(|(task, stdout)| wire::LogPosition {
            attempt: Some(att(*task).into()),
            stdout_bytes: *stdout,
            stderr_bytes: 0,
        });
        let welcome = wire::Welcome {
            lease_ms,
            heartbeat_every_ms: 20,
            stale: stale.iter().map(|task| att(*task).into()).collect(),
            logs: logs.collect(),
        };
        self.say(Say::Welcome(welcome)).await;
    }

    /// The next event that is neither a heartbeat, which is answered, nor news of the owner, which are kept. `None` where
    /// the worker is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            match self.hear().await? {
                Heard::Heartbeat(_) | Heard::Owner(_) => {}
                other => return Some(other),
            }
        }
    }

    /// Waits until the owner lets the machine do this.
    pub async fn owner_says(&mut self, state: &str) {
        while self.owner.last().map(String::as_str) != Some(state) {
            self.hear().await.expect("the worker is gone");
        }
    }

    async fn hear(&mut self) -> Option<Heard> {
        let event = tokio::time::timeout(DEADLINE, self.incoming.recv()).await.expect("an event in time")?;
        let event = event.event.unwrap();
        match &event {
            Heard::Heartbeat(beat) if self.answers => {
                let event = Some(Say::Beat(wire::HeartbeatAck { sequence: beat.sequence }));
                // What a worker that is gone said before is still heard.
                let _gone =
                    self.out.send(Ok(wire::PoolMessage { events: vec![wire::PoolEvent { event }] })).await.is_err();
            }
            Heard::Owner(state) => self.owner.push(state.state.clone()),
            _other => {}
        }
        Some(event)
    }

    pub async fn started(&mut self) -> u64 {
        match self.next().await {
            Some(Heard::Started(started)) => started.attempt.unwrap().task,
            other => panic!("expected a start, not {other:?}"),
        }
    }

    /// The next end of an attempt, with the log bytes that came before it.
    pub async fn finished(&mut self) -> (wire::AttemptFinished, Vec<wire::LogData>) {
        let mut logs = Vec::new();
        loop {
            match self.next().await {
                Some(Heard::Finished(finished)) => return (finished, logs),
                Some(Heard::Log(log)) => logs.push(log),
                Some(Heard::Started(_) | Heard::Progress(_) | Heard::Drain(_)) => {}
                other => panic!("expected an end, not {other:?}"),
            }
        }
    }

    /// Reads until the worker is gone and fails where it tells of an end.
    pub async fn nothing_finished(&mut self) {
        while let Some(event) = self.next().await {
            assert!(!matches!(event, Heard::Finished(_)), "{event:?}");
        }
    }
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl WorkerService for Service {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<wire::PoolMessage, Status>> + Send>>;
    type FetchInputStream = Pin<Box<dyn Stream<Item = Result<wire::InputChunk, Status>> + Send>>;

    async fn enroll(&self, request: Request<wire::EnrollRequest>) -> Result<Response<wire::EnrollResponse>, Status> {
        let request = request.into_inner();
        if !self.0.used_tokens.lock().insert(request.join_token) {
            return Err(Status::failed_precondition("E_TOKEN_USED: the join token was used before"));
        }
        let certificate_pem = self.0.authority.sign_node(&request.csr_pem, NODE, *self.0.signed_at.lock()).unwrap();
        Ok(Response::new(wire::EnrollResponse {
            node_id: NODE.to_string(),
            certificate_pem,
            ca_pem: self.0.authority.ca_pem().into(),
        }))
    }

    async fn link(
        &self,
        request: Request<Streaming<wire::WorkerMessage>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        if let Some(status) = self.0.refuse_links.lock().clone() {
            return Err(status);
        }
        let node = request.extensions().get::<Option<NodeId>>().copied().flatten();
        let mut messages = request.into_inner();
        let (out, outgoing) = mpsc::channel(16);
        let (events, incoming) = mpsc::unbounded_channel();
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let Ok(Some(first)) = messages.message().await else { return };
            let mut first = first.events.into_iter();
            let Some(Heard::Hello(hello)) = first.next().and_then(|event| event.event) else { panic!("no hello") };
            shared.links.send(PoolLink { hello, node, incoming, out, answers: true, owner: Vec::new() }).unwrap();
            while let Ok(Some(message)) = messages.message().await {
                for event in message.events {
                    // A test that drops its link hears no more.
                    if events.send(event).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(tokio_stream::wrappers::ReceiverStream::new(outgoing).boxed()))
    }

    async fn fetch_input(
        &self,
        request: Request<wire::FetchInputRequest>,
    ) -> Result<Response<Self::FetchInputStream>, Status> {
        let content = self.0.inputs.lock().get(&request.get_ref().digest).cloned();
        let content = content.ok_or_else(|| Status::not_found("E_NOT_FOUND: no such input"))?;
        let chunks: Vec<_> =
            content.chunks(1000).map(|data| Ok(wire::InputChunk { data: data.to_vec().into() })).collect();
        Ok(Response::new(futures::stream::iter(chunks).boxed()))
    }

    async fn output_offset(
        &self,
        _: Request<hivemind_proto::worker::OutputOffsetRequest>,
    ) -> Result<Response<hivemind_proto::worker::OutputOffsetResponse>, Status> {
        Ok(Response::new(hivemind_proto::worker::OutputOffsetResponse { received: 0 }))
    }

    async fn store_output(
        &self,
        request: Request<Streaming<wire::OutputChunk>>,
    ) -> Result<Response<wire::StoreOutputResponse>, Status> {
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.unwrap();
        {
            let mut broken = self.0.broken_uploads.lock();
            if *broken > 0 {
                *broken -= 1;
                return Err(Status::unavailable("the disk is slow today"));
            }
        }
        let mut content = first.data.to_vec();
        while let Some(chunk) = chunks.message().await? {
            content.extend_from_slice(&chunk.data);
        }
        assert_eq!(content.len() as u64, first.size);
        let digest = digest(&content).to_string();
        self.0.outputs.lock().insert(first.attempt.unwrap().task, content);
        Ok(Response::new(wire::StoreOutputResponse { digest }))
    }
}

struct Encrypted(TlsStream<TcpStream>);

impl Connected for Encrypted {
    type ConnectInfo = Option<NodeId>;

    fn connect_info(&self) -> Option<NodeId> {
        self.0.get_ref().1.peer_certificates().and_then(|chain| hivemind_pki::node_of(chain.first()?))
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
