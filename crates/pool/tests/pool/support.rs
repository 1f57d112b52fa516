//! The shared fixture: a pool in a folder of its own, its users, and workers driven by hand.

use hivemind_client::Target;
use hivemind_model::Policy;
use hivemind_pki::{NodeIdentity, NodeKey, Trust};
use hivemind_pool::{PoolConfig, PoolHandle, Tuning};
use hivemind_proto::v1::auth_service_client::AuthServiceClient;
use hivemind_proto::v1::node_service_client::NodeServiceClient;
use hivemind_proto::v1::pool_service_client::PoolServiceClient;
use hivemind_proto::v1::project_service_client::ProjectServiceClient;
use hivemind_proto::v1::task_service_client::TaskServiceClient;
use hivemind_proto::v1::token_service_client::TokenServiceClient;
use hivemind_proto::v1::{
    AuditRequest, AuditResponse, BalanceRequest, BalanceResponse, CreateJoinTokenRequest, LoginRequest, LoginResponse,
    RegisterRequest, RegisterResponse, SubmitTaskRequest, TaskStatusRequest, TaskStatusResponse, TransferRequest,
    TransferResponse,
};
use hivemind_proto::worker::pool_event::Event as FromPool;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{
    AttemptFinished, AttemptRef, AttemptStarted, Benchmark, EnrollRequest, EnrollResponse, Heartbeat, Hello, LogData,
    NodeOffer, Outcome, PoolMessage, Welcome, WorkerEvent, WorkerMessage,
};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// Whatever is waited for comes within this, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Waits for `future`, with the deadline.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it did not come in time")
}

/// A running pool.
pub(crate) struct TestPool {
    pub(crate) handle: PoolHandle,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn config(data: &Path, policy: Policy) -> PoolConfig {
    PoolConfig {
        data: data.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        names: Vec::new(),
        policy,
        reflection: false,
    }
}

impl TestPool {
    pub(crate) async fn start() -> Self {
        Self::start_with(Policy::default(), Tuning::default()).await
    }

    pub(crate) async fn start_with(policy: Policy, tuning: Tuning) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let handle = within(hivemind_pool::start_with(config(&dir.path().join("pool"), policy), tuning)).await.unwrap();
        Self { handle, dir }
    }

    /// Stops the pool and starts it again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(Tuning::default()).await
    }

    /// As [`TestPool::restart`], with other bounds.
    pub(crate) async fn restart_with(self, tuning: Tuning) -> Self {
        self.restart_after(tuning, async |_| ()).await
    }

    /// As [`TestPool::restart_with`], with `change` made to the data folder while the pool is down.
    pub(crate) async fn restart_after(self, tuning: Tuning, change: impl AsyncFnOnce(PathBuf)) -> Self {
        within(self.handle.shutdown()).await.unwrap();
        let data = self.dir.path().join("pool");
        change(data.clone()).await;
        let handle = within(hivemind_pool::start_with(config(&data, Policy::default()), tuning)).await.unwrap();
        Self { handle, dir: self.dir }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("pool")
    }

    pub(crate) fn target(&self, identity: Option<NodeIdentity>) -> Target {
        Target {
            server: format!("https://{}", self.handle.grpc_addr()),
            trust: Trust::CaPem(self.handle.ca_pem().to_owned()),
            identity,
        }
    }

    pub(crate) async fn channel(&self) -> Channel {
        within(hivemind_client::connect(&self.target(None))).await.unwrap()
    }

    /// Registers and logs in.
    pub(crate) async fn user(&self, name: &str) -> User {
        let channel = self.channel().await;
        let registered = register(&channel, name, "").await;
        assert!(registered.success, "{}", registered.message);
        self.login(name, PASSWORD).await
    }

    pub(crate) async fn login(&self, name: &str, password: &str) -> User {
        let channel = self.channel().await;
        let answer = log_in(&channel, name, password).await;
        assert!(answer.success, "{}", answer.message);
        User { channel, token: answer.token }
    }

    pub(crate) async fn operator(&self) -> User {
        let password = std::fs::read_to_string(self.data().join("operator.password")).unwrap();
        self.login("operator", password.trim()).await
    }

    /// Joins a machine as `owner`'s.
    pub(crate) async fn join(&self, owner: &User, name: &str) -> NodeIdentity {
        let token = owner.join_token().await;
        let (key, answer) = self.enroll(&token, name).await;
        NodeIdentity { chain_pem: answer.unwrap().certificate_pem, key_pem: key.pem().to_owned() }
    }

    pub(crate) async fn enroll(&self, token: &str, name: &str) -> (NodeKey, Result<EnrollResponse, Status>) {
        let key = NodeKey::generate().unwrap();
        let request =
            EnrollRequest { join_token: token.into(), csr_pem: key.csr_pem().unwrap(), offer: Some(offer(name)) };
        let answer = within(WorkerServiceClient::new(self.channel().await).enroll(request)).await;
        (key, answer.map(tonic::Response::into_inner))
    }

    /// Links a joined machine; gives the link and the Welcome.
    pub(crate) async fn link(&self, identity: &NodeIdentity, hello: Hello) -> (Link, Welcome) {
        let mut link = self.raw_link(identity, hello).await.unwrap();
        match link.next().await.unwrap() {
            FromPool::Welcome(welcome) => (link, welcome),
            other => panic!("expected a Welcome, got {other:?}"),
        }
    }

    pub(crate) async fn raw_link(&self, identity: &NodeIdentity, hello: Hello) -> Result<Link, Status> {
        let channel = within(hivemind_client::connect(&self.target(Some(identity.clone())))).await.unwrap();
        let (sender, receiver) = mpsc::channel(64);
        let link = Link { sender, channel: channel.clone(), messages: None, waiting: VecDeque::new(), asked: None };
        link.send(FromWorker::Hello(hello)).await;
        let messages =
            within(WorkerServiceClient::new(channel).link(ReceiverStream::new(receiver))).await?.into_inner();
        Ok(Link { messages: Some(messages), ..link })
    }
}

/// Changes one row of the database of a pool that does not run, as one would who does not ask it.
pub(crate) async fn change_row(data: &Path, sql: &'static str) {
    use sqlx::Connection;
    let path = format!("sqlite://{}", data.join("pool.db").display());
    let mut database = sqlx::SqliteConnection::connect(&path).await.unwrap();
    sqlx::query("DROP TRIGGER IF EXISTS journal_keeps_what_it_has").execute(&mut database).await.unwrap();
    let done = sqlx::query(sql).execute(&mut database).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
    database.close().await.unwrap();
}

pub(crate) async fn register(channel: &Channel, name: &str, invitation: &str) -> RegisterResponse {
    let request = RegisterRequest {
        username: name.into(),
        password: PASSWORD.into(),
        email: format!("{name}@example.org"),
        invitation: invitation.into(),
    };
    within(AuthServiceClient::new(channel.clone()).register(request)).await.unwrap().into_inner()
}

pub(crate) async fn log_in(channel: &Channel, name: &str, password: &str) -> LoginResponse {
    let request = LoginRequest { username: name.into(), password: password.into() };
    within(AuthServiceClient::new(channel.clone()).login(request)).await.unwrap().into_inner()
}

pub(crate) fn offer(name: &str) -> NodeOffer {
    NodeOffer {
        name: name.into(),
        cpu_millicores: 4000,
        memory_bytes: 8 << 30,
        disk_bytes: 64 << 30,
        gpus: 0,
        gpu_info: String::new(),
        runtime: "fake".into(),
        version: "0.1.0".into(),
        ..NodeOffer::default()
    }
}

pub(crate) fn hello(name: &str) -> Hello {
    Hello { offer: Some(offer(name)), holds: Vec::new() }
}

/// A logged-in user.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) channel: Channel,
    pub(crate) token: String,
}

impl User {
    pub(crate) fn tasks(&self) -> TaskServiceClient<Channel> {
        TaskServiceClient::new(self.channel.clone())
    }

    pub(crate) fn money(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }

    pub(crate) fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone())
    }

    pub(crate) fn pool(&self) -> PoolServiceClient<Channel> {
        PoolServiceClient::new(self.channel.clone())
    }

    pub(crate) fn projects(&self) -> ProjectServiceClient<Channel> {
        ProjectServiceClient::new(self.channel.clone())
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    /// A request with the user's token as metadata.
    pub(crate) fn bearing<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        request
    }

    pub(crate) async fn join_token(&self) -> String {
        let request = CreateJoinTokenRequest { token: self.token.clone(), valid_seconds: 60 };
        within(self.nodes().create_join_token(request)).await.unwrap().into_inner().join_token
    }

    pub(crate) fn task(&self, name: &str) -> SubmitTaskRequest {
        SubmitTaskRequest {
            token: self.token.clone(),
            task_name: name.into(),
            docker_image: "bb:1".into(),
            command: "echo hi".into(),
            max_runtime: 60,
            ..SubmitTaskRequest::default()
        }
    }

    pub(crate) async fn submit(&self, name: &str) -> String {
        let answer = within(self.tasks().submit_task(self.task(name))).await.unwrap().into_inner();
        assert!(answer.success, "{}", answer.message);
        answer.task_id
    }

    pub(crate) async fn status(&self, task: &str) -> TaskStatusResponse {
        let request = TaskStatusRequest { token: self.token.clone(), task_id: task.into(), element: None };
        within(self.tasks().task_status(request)).await.unwrap().into_inner()
    }

    pub(crate) async fn balance(&self) -> BalanceResponse {
        within(self.money().balance(BalanceRequest { token: self.token.clone() })).await.unwrap().into_inner()
    }

    /// What can be spent and what is held, in micro-CPT.
    pub(crate) async fn funds(&self) -> (i64, i64) {
        let answer = self.balance().await;
        (answer.balance_micro, answer.held_micro)
    }

    pub(crate) fn transfer(&self, to: &str, amount: i64, amount_micro: i64, id: &str) -> TransferRequest {
        let (token, to_username, transfer_id) = (self.token.clone(), to.into(), id.into());
        TransferRequest { token, to_username, amount, transfer_id, amount_micro }
    }

    pub(crate) async fn pay(&self, to: &str, amount: i64, amount_micro: i64, id: &str) -> TransferResponse {
        within(self.money().transfer(self.transfer(to, amount, amount_micro, id))).await.unwrap().into_inner()
    }

    pub(crate) async fn audit(&self) -> AuditResponse {
        within(self.pool().audit(AuditRequest { token: self.token.clone() })).await.unwrap().into_inner()
    }
}

/// A worker's link, driven by a test.
pub(crate) struct Link {
    sender: mpsc::Sender<WorkerMessage>,
    pub(crate) channel: Channel,
    messages: Option<Streaming<PoolMessage>>,
    waiting: VecDeque<FromPool>,
    /// What the pool asked of the machine's speed, once it did.
    pub(crate) asked: Option<Benchmark>,
}

impl Link {
    pub(crate) async fn send(&self, event: FromWorker) {
        let message = WorkerMessage { events: vec![WorkerEvent { event: Some(event) }] };
        within(self.sender.send(message)).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Result<FromPool, Status> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            let message = within(self.messages.as_mut().unwrap().message()).await?;
            let message = message.ok_or_else(|| Status::cancelled("the link ended"))?;
            for event in message.events.into_iter().filter_map(|event| event.event) {
                // It comes at a moment of its own, and most tests are about something else.
                match event {
                    FromPool::Benchmark(asked) => self.asked = Some(asked),
                    other => self.waiting.push_back(other),
                }
            }
        }
    }

    pub(crate) async fn assigned(&mut self) -> AttemptRef {
        match self.next().await.unwrap() {
            FromPool::Assign(assign) => assign.attempt.unwrap(),
            other => panic!("expected an Assign, got {other:?}"),
        }
    }

    /// The refusal in the next acknowledgement; empty where the end was accepted.
    pub(crate) async fn acknowledged(&mut self) -> String {
        loop {
            match self.next().await.unwrap() {
                FromPool::FinishedAck(ack) => return ack.refusal,
                FromPool::Beat(_) => {}
                other => panic!("expected a FinishedAck, got {other:?}"),
            }
        }
    }

    pub(crate) async fn started(&self, attempt: AttemptRef) {
        self.send(FromWorker::Started(AttemptStarted { attempt: Some(attempt) })).await;
    }

    pub(crate) async fn log(&self, attempt: AttemptRef, offset: u64, data: &'static [u8]) {
        self.send(FromWorker::Log(LogData { attempt: Some(attempt), stderr: false, offset, data: data.into() })).await;
    }

    pub(crate) async fn finished(&self, attempt: AttemptRef, stdout_bytes: u64) {
        self.send(FromWorker::Finished(finished(attempt, stdout_bytes))).await;
    }

    pub(crate) async fn beat(&self, sequence: u64) {
        let beat = Heartbeat {
            sequence,
            cpu_usage: 12.5,
            memory_usage: 30.0,
            disk_usage: 5.0,
            gpu_usage: 0.0,
            active_attempts: 0,
            ..Heartbeat::default()
        };
        self.send(FromWorker::Heartbeat(beat)).await;
    }
}

pub(crate) fn finished(attempt: AttemptRef, stdout_bytes: u64) -> AttemptFinished {
    AttemptFinished {
        attempt: Some(attempt),
        outcome: Some(Outcome {
            kind: hivemind_proto::worker::outcome::Kind::Exited.into(),
            exit_code: 0,
            reason: String::new(),
        }),
        wall_ms: 1000,
        cpu_ms: 900,
        peak_memory_bytes: 1 << 20,
        stdout_bytes,
        image_id: "sha256:1".into(),
        ..AttemptFinished::default()
    }
}
