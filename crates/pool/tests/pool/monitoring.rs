//! What machines do, as their owners see it: speed, history, availability, and what attempts use.

use crate::support::{Link, TestPool, User, hello, within};
use hivemind_proto::v1::{ExplainRequest, ExplainResponse, ListNodesRequest, NodeHistoryRequest, NodeSummary};
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::{AttemptRef, AttemptUsage, BenchmarkDone, Heartbeat, MachineUsage, OwnerState};
use sha2::{Digest, Sha256};
use tonic::Code;

async fn node(user: &User) -> NodeSummary {
    let request = ListNodesRequest { token: user.token.clone(), all: false, ..ListNodesRequest::default() };
    within(user.nodes().list_nodes(request)).await.unwrap().into_inner().nodes.remove(0)
}

async fn explain(user: &User, task: &str) -> ExplainResponse {
    let request = ExplainRequest { token: user.token.clone(), task_id: task.into() };
    within(user.tasks().explain(request)).await.unwrap().into_inner()
}

/// Sends a heartbeat and waits for the answer: what was sent before it has been taken in.
async fn settle(link: &mut Link) {
    link.send(FromWorker::Heartbeat(Heartbeat { sequence: 77, ..Heartbeat::default() })).await;
    while !matches!(link.next().await.unwrap(), hivemind_proto::worker::pool_event::Event::Beat(beat) if beat.sequence == 77)
    {
    }
}

async fn until(user: &User, wanted: impl Fn(&NodeSummary) -> bool) -> NodeSummary {
    within(async {
        loop {
            let node = node(user).await;
            if wanted(&node) {
                return node;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_new_machine_is_measured_by_the_pool() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    while link.asked.is_none() {
        settle(&mut link).await;
    }
    let asked = link.asked.take().unwrap();
    assert_eq!(node(&ada).await.speed, 0.0, "nothing is known yet");
    // An answer to another question says nothing, and uses the question up.
    let digest = (0..asked.rounds).fold(asked.seed.to_vec(), |digest, _| Sha256::digest(digest).to_vec());
    link.send(FromWorker::Benchmark(BenchmarkDone { nonce: asked.nonce, digest: digest.into() })).await;
    let measured = until(&ada, |node| node.speed > 0.0).await;
    assert_eq!((measured.speed, measured.speed_in_tasks), (1.0, 0.0), "alone it is the mean");
    // On the next link nothing is asked again.
    drop(link);
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    settle(&mut link).await;
    assert!(link.asked.is_none());
}

#[tokio::test]
async fn a_wrong_answer_is_no_measure() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let nobody_asked = BenchmarkDone { nonce: 0, digest: vec![0; 32].into() };
    link.send(FromWorker::Benchmark(nobody_asked)).await;
    while link.asked.is_none() {
        settle(&mut link).await;
    }
    let asked = link.asked.take().unwrap();
    link.send(FromWorker::Benchmark(BenchmarkDone { nonce: asked.nonce, digest: asked.seed.clone() })).await;
    settle(&mut link).await;
    assert_eq!(node(&ada).await.speed, 0.0);
}

#[tokio::test]
async fn owners_see_what_their_machine_did_and_others_do_not() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let machine =
        MachineUsage { temperature_celsius: 61.5, received_bytes_per_second: 2048, ..MachineUsage::default() };
    let beat = Heartbeat { cpu_usage: 40.0, memory_usage: 20.0, machine: Some(machine), ..Heartbeat::default() };
    link.send(FromWorker::Heartbeat(beat)).await;
    settle(&mut link).await;
    assert_eq!(node(&ada).await.temperature_celsius, 61.5);
    let history = async |user: &User, from, to, points| {
        let request = NodeHistoryRequest {
            token: user.token.clone(),
            node_id: "one".into(),
            from_unix_ms: from,
            to_unix_ms: to,
            points,
        };
        within(user.nodes().node_history(request)).await.map(|answer| answer.into_inner().samples)
    };
    // The half minute of the sample may not be over: the middle of it is still to come.
    let soon = node(&ada).await.seen_at_unix_ms + 60_000;
    let samples = history(&ada, 0, soon, 0).await.unwrap();
    let told: Vec<_> = samples
        .iter()
        .map(|s| (s.cpu_usage, s.memory_usage, s.received_bytes_per_second, s.temperature_celsius))
        .collect();
    assert_eq!(told, [(40.0, 20.0, 2048, 61.5)]);
    for (user, from, to, points, wanted) in [
        (&eve, 0, soon, 0, Code::NotFound),
        (&ada, soon, soon, 0, Code::InvalidArgument),
        (&ada, -1, soon, 0, Code::InvalidArgument),
        (&ada, 0, soon, 1001, Code::InvalidArgument),
        (&ada, 0, soon, -1, Code::InvalidArgument),
    ] {
        assert_eq!(history(user, from, to, points).await.unwrap_err().code(), wanted, "{from} {to} {points}");
    }
}

#[tokio::test]
async fn what_an_owner_decides_is_shown_and_holds_work_back() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    assert_eq!(node(&ada).await.available, "open");
    let state =
        |state: &str, reason: &str| FromWorker::Owner(OwnerState { state: state.into(), reason: reason.into() });
    link.send(state("paused", "somebody uses\nthe machine")).await;
    let paused = until(&ada, |node| node.available == "paused").await;
    assert!(paused.available_reason.starts_with("somebody uses"));
    let task = ada.submit("later").await;
    settle(&mut link).await;
    assert_eq!(ada.status(&task).await.status, "pending");
    // Its requester hears of the owner's rules, and is not told to ask for less.
    let told = explain(&ada, &task).await;
    assert!(told.reason.contains("1 take nothing new by their owners' rules"), "{}", told.reason);
    assert_eq!(told.advice, "wait, or let another machine join");
    link.send(state("open", "")).await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.send(state("gone", "")).await;
    assert_eq!(link.next().await.unwrap_err().code(), Code::InvalidArgument, "no release says so");
}

#[tokio::test]
async fn a_running_attempt_shows_what_it_uses() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    let usage = AttemptUsage {
        attempt: Some(attempt),
        memory_bytes: 5 << 20,
        disk_bytes: 4096,
        suspended: true,
        ..AttemptUsage::default()
    };
    let foreign = AttemptUsage { attempt: Some(AttemptRef { task: 99, ..attempt }), ..usage };
    let attempts = vec![usage, foreign];
    link.send(FromWorker::Heartbeat(Heartbeat { attempts, active_attempts: 1, ..Heartbeat::default() })).await;
    settle(&mut link).await;
    let shown = ada.status(&task).await.attempts.remove(0);
    assert_eq!((shown.memory_bytes, shown.disk_bytes, shown.suspended), (5 << 20, 4096, true));
    let told = explain(&ada, &task).await;
    assert!(told.reason.starts_with("attempt 1 stands still on node one, whose owner needs"), "{}", told.reason);
    assert_eq!(told.run.map(|run| run.note), Some(String::new()));
    link.finished(attempt, 0).await;
    assert_eq!(link.acknowledged().await, "");
    let shown = ada.status(&task).await.attempts.remove(0);
    assert_eq!((shown.memory_bytes, shown.suspended), (0, false), "what has ended uses nothing");
}
