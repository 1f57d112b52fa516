//! The owner's page of a worker with a real pool, asked as browsers do: bytes over TCP.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use futures::FutureExt;
use hivemind_client::{Client, Target};
use hivemind_model::{Bytes, MilliCores, Millis, Policy, Resources};
use hivemind_pki::Trust;
use hivemind_pool::{PoolConfig, PoolHandle};
use hivemind_proto::v1::SubmitTaskRequest;
use hivemind_runtime::Offer;
use hivemind_runtime::fake::{FakeConfig, FakeRuntime};
use hivemind_worker::page::{Page, PageError, PageOptions, Promised, SelfTest, Tested};
use hivemind_worker::{WorkerConfig, WorkerHandle};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const DEADLINE: Duration = Duration::from_secs(60);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it did not come in time")
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

struct Rig {
    _data: tempfile::TempDir,
    pool: PoolHandle,
    worker: WorkerHandle,
    page: Page,
    /// Attacks go on where there is a permit.
    attack: Arc<Semaphore>,
}

async fn rig() -> Rig {
    let data = tempfile::tempdir().unwrap();
    let policy = Policy { heartbeat_every: Millis(100), ..Policy::default() };
    let (listen, names) = (any_port(), Vec::new());
    let config =
        PoolConfig { data: data.path().join("pool"), listen, advertise: None, names, policy, reflection: false };
    let pool = within(hivemind_pool::start(config)).await.unwrap();
    let join = pool.operator_join_token().await.unwrap();
    let worker = worker(data.path(), join).await;
    let attack = Arc::new(Semaphore::new(0));
    let options =
        PageOptions { address: any_port(), hosts: Vec::new(), selftest: Some(fake_attack(Arc::clone(&attack))) };
    let page = worker.serve_page(options).await.unwrap();
    Rig { _data: data, pool, worker, page, attack }
}

async fn worker(data: &Path, join: String) -> WorkerHandle {
    let capacity =
        Resources { cpu: MilliCores::from_cores(8), memory: Bytes::from_gib(8), disk: Bytes::from_gib(16), gpus: 0 };
    let config = WorkerConfig {
        egress: hivemind_model::EgressPolicy::None,
        share: None,
        machine: data.join("no machine"),
        data: data.to_owned(),
        join: Some(join),
        server: None,
        name: Some("machine".into()),
        offer: Offer { capacity, gpu_info: String::new() },
        labels: hivemind_model::Labels::default(),
        runtime: Arc::new(FakeRuntime::new(FakeConfig::default())),
    };
    let worker = within(hivemind_worker::start(config)).await.unwrap();
    within(worker.linked()).await;
    worker
}

fn fake_attack(go_on: Arc<Semaphore>) -> SelfTest {
    Arc::new(move |tell| {
        let go_on = Arc::clone(&go_on);
        let attack = async move {
            let line = Promised {
                promise: "network".into(),
                title: "no network".into(),
                required: true,
                verdict: "pass".into(),
                detail: "1 attack".into(),
                fix: String::new(),
            };
            tell.send(line.clone()).await.map_err(|why| why.to_string())?;
            go_on.acquire().await.map_err(|why| why.to_string())?.forget();
            Ok(Tested { at_unix_ms: 5, runtime: "fake".into(), holds: true, promises: vec![line] })
        };
        attack.boxed()
    })
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

/// A browser with what it keeps.
#[derive(Default, Clone)]
struct Browser {
    more: Vec<String>,
}

impl Browser {
    async fn ask(&self, rig: &Rig, line: &str, body: Option<Value>) -> Answer {
        let mut stream = TcpStream::connect(rig.page.url().strip_prefix("http://").unwrap()).await.unwrap();
        let mut text = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for header in &self.more {
            text.push_str(&format!("{header}\r\n"));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        if !body.is_empty() {
            text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        text.push_str(&format!("\r\n{body}"));
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, rig: &Rig, path: &str) -> Value {
        let answer = self.ask(rig, &format!("GET /api/v1/worker/{path}"), None).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    async fn post(&self, rig: &Rig, path: &str, body: Option<Value>) -> Answer {
        self.ask(rig, &format!("POST /api/v1/worker/{path}"), body).await
    }

    async fn logged_in(rig: &Rig) -> Self {
        let token = rig.page.login_url().split_once("#token=").unwrap().1;
        let answer = Self::default().post(rig, "login", Some(json!({"token": token}))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.head.contains("httponly; samesite=strict"), "{answer:?}");
        let cookie = answer.head.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
        let csrf = answer.json()["csrf_token"].as_str().unwrap().to_owned();
        Self { more: vec![format!("Cookie: {cookie}"), format!("X-CSRF-Token: {csrf}")] }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_heard_without_the_secret() {
    let rig = rig().await;
    for (line, status) in [
        ("GET /api/v1/worker/now", 401),
        ("GET /api/v1/worker/events", 401),
        ("POST /api/v1/worker/stop-now", 401),
        ("PUT /api/v1/worker/preferences", 401),
        ("GET /api/v1/worker/nothing", 404),
        ("GET /", 200),
        ("GET /livez", 200),
        ("GET /readyz", 200),
    ] {
        assert_eq!(Browser::default().ask(&rig, line, None).await.status, status, "{line}");
    }
    let wrong = Browser::default().post(&rig, "login", Some(json!({"token": "0".repeat(64)}))).await;
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (401, Some("E_BAD_CREDENTIALS")));
    let owner = Browser::logged_in(&rig).await;
    let forged = Browser { more: vec![owner.more[0].clone()] };
    let refused = forged.post(&rig, "pause", None).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("E_CSRF")));
    let mut foreign = owner.clone();
    foreign.more.push("Origin: http://evil.example".into());
    assert_eq!(foreign.post(&rig, "pause", None).await.status, 403);
    assert_eq!(owner.get(&rig, "now").await["overview"]["mode"], "start", "nothing was done");
    assert_eq!(owner.post(&rig, "logout", None).await.status, 204);
    assert_eq!(owner.ask(&rig, "GET /api/v1/worker/now", None).await.status, 401);
    rig.end().await;
}

impl Rig {
    async fn end(self) {
        within(self.page.stop()).await;
        within(self.worker.stop()).await.unwrap();
        within(self.pool.shutdown()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_steers_their_machine() {
    let rig = rig().await;
    let owner = Browser::logged_in(&rig).await;
    let now = owner.get(&rig, "now").await;
    assert_eq!((&now["sentence"], &now["overview"]["linked"]), (&json!("Ready, waiting for tasks"), &json!(true)));
    assert_eq!(now["overview"]["page"], Value::Null, "the secret is not copied around");
    let paused = owner.post(&rig, "pause", Some(json!({"for_ms": 60_000}))).await;
    assert_eq!((paused.status, paused.json()["overview"]["mode"].as_str()), (200, Some("pause")));
    let gpu = owner.post(&rig, "finish", Some(json!({"part": "gpu"}))).await.json();
    assert_eq!(gpu["overview"]["mode"], "pause", "{gpu}");
    assert_eq!(owner.post(&rig, "start", None).await.json()["overview"]["state"], "open");
    assert_eq!(owner.post(&rig, "stop-now", None).await.json()["overview"]["state"], "paused");
    for (path, body, status) in [
        ("pause", json!({"for_ms": 0}), 400),
        ("pause", json!({"for_ms": -1}), 422),
        ("start", json!({"for_ms": 1}), 400),
        ("pause", json!({"part": "all"}), 422),
        ("pause", json!({"else": 1}), 422),
    ] {
        let refused = owner.post(&rig, path, Some(body.clone())).await;
        assert_eq!(refused.status, status, "{body}: {refused:?}");
        assert!(refused.head.contains("application/problem+json"), "{refused:?}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preferences_are_checked_as_in_their_file() {
    let rig = rig().await;
    let owner = Browser::logged_in(&rig).await;
    let put = async |value: &Value| owner.ask(&rig, "PUT /api/v1/worker/preferences", Some(value.clone())).await;
    let mut wanted = owner.get(&rig, "preferences").await;
    assert_eq!((&wanted["heat"]["stop_celsius"], &wanted["shares"]["memory_percent"]), (&Value::Null, &json!(90)));
    wanted["shares"]["cpu_percent"] = json!(40);
    wanted["hours"]["monday"] = json!(["22:00-06:00"]);
    let taken = put(&wanted).await;
    assert_eq!((taken.status, taken.json()), (200, wanted.clone()));
    assert_eq!(owner.get(&rig, "preferences").await, wanted);
    let mut bad = wanted.clone();
    bad["shares"]["cpu_percent"] = json!(0);
    let refused = put(&bad).await;
    assert_eq!((refused.status, refused.json()["field"].as_str()), (400, Some("shares.cpu_percent")));
    let mut unknown = wanted.clone();
    unknown["shares"]["all"] = json!(1);
    assert_eq!(put(&unknown).await.status, 422);
    assert_eq!(owner.get(&rig, "preferences").await, wanted);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attack_is_followed_and_kept() {
    let rig = rig().await;
    let owner = Browser::logged_in(&rig).await;
    let before = owner.get(&rig, "safety").await;
    assert_eq!((&before["isolation"], &before["selftest"]["last"]), (&json!("basic"), &Value::Null));
    let mut stream = TcpStream::connect(rig.page.url().strip_prefix("http://").unwrap()).await.unwrap();
    let follow = format!("GET /api/v1/worker/events HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", owner.more[0]);
    stream.write_all(follow.as_bytes()).await.unwrap();
    let mut got = String::new();
    let mut until = async |wanted: &str| {
        while !got.contains(wanted) {
            let mut part = [0; 4096];
            let read = within(stream.read(&mut part)).await.unwrap();
            assert!(read > 0, "it ended before {wanted}: {got}");
            got.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
    };
    until("event: now\ndata: {").await;
    assert_eq!(owner.post(&rig, "selftest", None).await.status, 202);
    until("\"line\":{\"promise\":\"network\"").await;
    assert_eq!(owner.post(&rig, "selftest", None).await.status, 409, "one at a time");
    assert_eq!(owner.get(&rig, "now").await["selftest_running"], true);
    rig.attack.add_permits(1);
    until("\"holds\":true").await;
    let safety = owner.get(&rig, "safety").await;
    assert_eq!((&safety["selftest"]["running"], &safety["selftest"]["last"]["holds"]), (&json!(false), &json!(true)));
    until("\"selftest_running\":false").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_tells_what_the_machine_earned() {
    let rig = rig().await;
    let target = Target {
        server: format!("https://{}", rig.pool.grpc_addr()),
        trust: Trust::CaPem(rig.pool.ca_pem().to_owned()),
        identity: None,
    };
    let alice = Client::connect(&target, None).await.unwrap();
    alice.register("alice", "correct horse battery", "alice@example.org").await.unwrap();
    let session = alice.login("alice", "correct horse battery").await.unwrap();
    let alice = alice.with_token(&session.token).unwrap();
    let task = SubmitTaskRequest {
        task_name: "t".into(),
        docker_image: "image".into(),
        command: "sleep 500".into(),
        max_runtime: 60,
        required_memory: 64,
        ..SubmitTaskRequest::default()
    };
    let submitted = alice.submit(task).await.unwrap();
    within(alice.wait(&[submitted.task])).await.unwrap();
    let cost = alice.status(submitted.task).await.unwrap().task.unwrap().cost_micro;
    assert!(alice.own_standing().await.is_err(), "a user is no node");
    let owner = Browser::logged_in(&rig).await;
    let earned = owner.get(&rig, "earnings").await;
    assert!(cost > 0, "the task was free");
    assert_eq!((&earned["level"], &earned["work_total_micro"]), (&json!("none"), &json!(cost.to_string())));
    let total: i64 = earned["earned_total_micro"].as_str().unwrap().parse().unwrap();
    assert!(total >= cost, "{earned}");
    assert_eq!(owner.get(&rig, "safety").await["images_run"][0]["image"], "image");
    assert!(earned["next_level_ms"].as_i64().unwrap() > 0 && earned["rewards"].is_array(), "{earned}");
    let past = owner.get(&rig, "history?minutes=5&points=10").await;
    assert!(past["samples"].is_array());
    for query in ["minutes=0", "minutes=1441", "points=0", "points=1001", "points=x", "else=1"] {
        let refused = owner.ask(&rig, &format!("GET /api/v1/worker/history?{query}"), None).await;
        assert_eq!(refused.status, 400, "{query}: {refused:?}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_those_of_the_worker() {
    let rig = rig().await;
    let figures = Browser::default().ask(&rig, "GET /metrics", None).await.body;
    for line in [
        "# TYPE hivemind_worker_attempts_ended_total counter",
        "hivemind_worker_attempts_ended_total{outcome=\"completed\"} 0",
        "hivemind_worker_link_up 1",
        "hivemind_worker_available{state=\"open\"} 1",
        "hivemind_build_info{role=\"worker\"",
    ] {
        assert!(figures.contains(line), "no {line} in {figures}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_can_reach_needs_a_name() {
    let rig = rig().await;
    let open = PageOptions { address: "0.0.0.0:0".parse().unwrap(), hosts: Vec::new(), selftest: None };
    assert!(matches!(rig.worker.serve_page(open.clone()).await, Err(PageError::Exposed(_))));
    let taken = PageOptions { address: rig.page.url()[7..].parse().unwrap(), ..open.clone() };
    assert!(matches!(rig.worker.serve_page(taken).await, Err(PageError::Address { .. })));
    let twice = PageOptions { address: any_port(), ..open };
    assert!(matches!(rig.worker.serve_page(twice).await, Err(PageError::Twice(_))));
    let mut stream = TcpStream::connect(rig.page.url().strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    rig.end().await;
}
