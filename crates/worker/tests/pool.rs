//! A worker with a real pool and a real client, from the join token to the settled task.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use hivemind_client::{Client, Target};
use hivemind_model::{Bytes, MilliCores, Millis, Policy, Resources, TaskState};
use hivemind_pki::Trust;
use hivemind_pool::{PoolConfig, PoolHandle};
use hivemind_proto::v1::{InputFile, SubmitTaskRequest};
use hivemind_runtime::Offer;
use hivemind_runtime::fake::{FakeConfig, FakeRuntime};
use hivemind_testkit::port::steady_address;
use hivemind_worker::{WorkerConfig, WorkerHandle};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it did not come in time")
}

async fn pool(data: &Path, listen: SocketAddr) -> PoolHandle {
    let policy = Policy { heartbeat_every: Millis(100), ..Policy::default() };
    let config =
        PoolConfig { data: data.join("pool"), listen, advertise: None, names: Vec::new(), policy, reflection: false };
    within(hivemind_pool::start(config)).await.unwrap()
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn worker(data: &Path, join: Option<String>) -> WorkerHandle {
    let capacity =
        Resources { cpu: MilliCores::from_cores(8), memory: Bytes::from_gib(8), disk: Bytes::from_gib(16), gpus: 0 };
    let config = WorkerConfig {
        egress: hivemind_model::EgressPolicy::None,
        share: None,
        machine: data.join("no machine"),
        data: data.to_owned(),
        join,
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

async fn user(pool: &PoolHandle) -> Client {
    let target = Target {
        server: format!("https://{}", pool.grpc_addr()),
        trust: Trust::CaPem(pool.ca_pem().to_owned()),
        identity: None,
    };
    let client = Client::connect(&target, None).await.unwrap();
    client.register("alice", "correct horse battery", "alice@example.org").await.unwrap();
    let session = client.login("alice", "correct horse battery").await.unwrap();
    client.with_token(&session.token).unwrap()
}

fn task(command: &str) -> SubmitTaskRequest {
    SubmitTaskRequest {
        task_name: "t".into(),
        docker_image: "image".into(),
        command: command.into(),
        max_runtime: 60,
        required_memory: 64,
        ..SubmitTaskRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_run_end_to_end() {
    let data = tempfile::tempdir().unwrap();
    let pool = pool(data.path(), any_port()).await;
    let worker = worker(data.path(), Some(pool.operator_join_token().await.unwrap())).await;
    let alice = user(&pool).await;
    let input = alice.upload(vec![b'x'; 100_000], |_, _| ()).await.unwrap();
    let with_input = SubmitTaskRequest {
        inputs: vec![InputFile { path: "in.txt".into(), digest: input.blob.digest.to_string() }],
        ..task("cat in.txt")
    };
    let cases = [
        (task("echo hello"), TaskState::Completed, "hello\n".to_owned()),
        (task("exit 3"), TaskState::Failed, String::new()),
        (task("produce a.txt content"), TaskState::Completed, String::new()),
        (with_input, TaskState::Completed, "x".repeat(100_000)),
    ];
    for (request, state, result) in cases {
        let command = request.command.clone();
        let submitted = alice.submit(request).await.unwrap();
        assert_eq!(within(alice.wait(&[submitted.task])).await.unwrap(), [(submitted.task, state)], "{command}");
        let status = alice.status(submitted.task).await.unwrap();
        assert_eq!(status.result, result, "{command}");
        if command.starts_with("produce") {
            let mut archive = Vec::new();
            within(alice.download(submitted.task, &mut archive, |_, _| ())).await.unwrap();
            assert!(archive.windows(7).any(|bytes| bytes == b"content"));
        }
    }
    within(worker.until(|status| status.attempts == 0)).await;
    within(worker.stop()).await.unwrap();
    within(pool.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_pool_disturbs_no_task() {
    let data = tempfile::tempdir().unwrap();
    let first = pool(data.path(), steady_address()).await;
    let address = first.grpc_addr();
    let worker = worker(data.path(), Some(first.operator_join_token().await.unwrap())).await;
    let alice = user(&first).await;
    let mut requests = vec![task("sleep 1500"), task("echo kept")];
    requests.extend((0..50).map(|_| task("true")));
    let submitted: Vec<_> = alice.submit_many(requests).await.into_iter().map(|answer| answer.unwrap().task).collect();
    within(worker.until(|status| status.jobs > 0)).await;
    within(first.shutdown()).await.unwrap();
    within(worker.until(|status| !status.linked)).await;
    let again = pool(data.path(), address).await;
    within(worker.until(|status| status.welcomes == 2)).await;
    let ended = within(alice.wait(&submitted)).await.unwrap();
    assert!(ended.iter().all(|(_, state)| *state == TaskState::Completed), "{ended:?}");
    let running = submitted[0];
    assert_eq!(alice.status(running).await.unwrap().attempts.len(), 1, "what ran went on");
    for task in submitted {
        // One that was handed out while the pool went down may never have reached the worker.
        let attempts = alice.status(task).await.unwrap().attempts;
        let done = attempts.iter().filter(|attempt| attempt.outcome.is_empty()).count();
        assert_eq!(done, 1, "{task} ran more than once: {attempts:?}");
    }
    within(worker.stop()).await.unwrap();
    within(again.shutdown()).await.unwrap();
}
