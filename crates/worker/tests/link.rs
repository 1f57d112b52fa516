//! A worker with a pool that does what a test says, over real TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub, dead_code, reason = "tests")]

mod support;

use hivemind_proto::worker as wire;
use hivemind_proto::worker::outcome::Kind;
use hivemind_proto::worker::pool_event::Event as Say;
use hivemind_proto::worker::worker_event::Event as Heard;
use hivemind_worker::control::{Answer, Part, Request, ask};
use support::*;

fn data() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn kind(finished: &wire::AttemptFinished) -> (Kind, String) {
    let outcome = finished.outcome.as_ref().unwrap();
    (outcome.kind(), outcome.reason.clone())
}

fn files(data: &tempfile::TempDir, folder: &str) -> usize {
    std::fs::read_dir(data.path().join("worker").join(folder)).unwrap().count()
}

fn bytes(logs: &[wire::LogData], stderr: bool) -> Vec<u8> {
    let mut all = Vec::new();
    for log in logs.iter().filter(|log| log.stderr == stderr) {
        assert_eq!(log.offset, all.len() as u64, "logs come without gaps");
        all.extend_from_slice(&log.data);
    }
    all
}

#[tokio::test]
async fn a_worker_joins_runs_reports_and_forgets() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, _) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    assert_eq!((link.node, link.holds(), worker.node()), (Some(NODE), vec![], NODE));
    let offer = link.hello.offer.clone().unwrap();
    assert_eq!((offer.name.as_str(), offer.cpu_millicores, offer.runtime.as_str()), ("tester", 4000, "fake"));
    assert_eq!(
        (offer.labels, offer.isolation.as_str()),
        (vec!["arch=arm64".into(), "location=berlin".into()], "rootless")
    );
    worker.linked().await;
    link.say(assign(1, "echo hello world", &[])).await;
    assert_eq!(link.started().await, 1);
    let (finished, logs) = link.finished().await;
    assert_eq!(kind(&finished), (Kind::Exited, String::new()));
    assert_eq!((finished.stdout_bytes, finished.stderr_bytes, finished.logs_cut), (12, 0, false));
    assert_eq!(bytes(&logs, false), b"hello world\n");
    assert_eq!(files(&data, "logs"), 1);
    link.say(ack(1)).await;
    until("the worker forgets", || worker.status().attempts == 0 && files(&data, "logs") == 0).await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_link_disturbs_no_job_and_its_end_is_reported_once() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, fake) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    link.say(assign(1, "sleep 300", &[])).await;
    assert_eq!(link.started().await, 1);
    drop(link);
    let mut link = pool.link().await;
    assert_eq!((link.holds(), fake.running() <= 1), (vec![1], true));
    link.welcome(3_000_000, &[], &[]).await;
    let (finished, _) = link.finished().await;
    assert_eq!(kind(&finished), (Kind::Exited, String::new()));
    link.say(ack(1)).await;
    until("the worker forgets", || worker.status().attempts == 0).await;
    let leaving = tokio::spawn(worker.stop());
    link.nothing_finished().await;
    leaving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_silent_pool_ends_the_lease_and_the_jobs_with_it() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, fake) = pool.worker(data.path()).await;
    let mut link = pool.link().await;
    link.answers = false;
    link.welcome(500, &[], &[]).await;
    link.say(assign(1, "sleep 3000000", &[])).await;
    assert_eq!(link.started().await, 1);
    // The pool says nothing any more; further links are not welcomed either.
    until("the job is stopped", || fake.running() == 0).await;
    let left = worker.status().lease_left();
    assert!(left.is_some(), "{left:?}");
    drop(link);
    until("nothing is left but what may be told", || worker.status().jobs == 0).await;
}

#[tokio::test]
async fn what_is_stale_is_stopped_and_not_reported() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, fake) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    link.say(assign(1, "sleep 3000000", &[])).await;
    assert_eq!(link.started().await, 1);
    drop(link);
    let mut link = pool.link().await;
    link.welcome(3_000_000, &[1], &[]).await;
    until("the job is gone", || fake.running() == 0 && worker.status().attempts == 0).await;
    // The same by a Stop.
    link.say(assign(2, "sleep 3000000", &[])).await;
    assert_eq!(link.started().await, 2);
    link.say(Say::Stop(wire::Stop { attempt: Some(att(2).into()) })).await;
    until("the job is gone", || fake.running() == 0 && worker.status().attempts == 0).await;
    let leaving = tokio::spawn(worker.stop());
    link.nothing_finished().await;
    leaving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_result_survives_the_worker_and_a_job_does_not() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, _) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    link.say(assign(1, "echo kept", &[])).await;
    let (first, _) = link.finished().await;
    link.say(assign(2, "sleep 3000000", &[])).await;
    assert_eq!(link.started().await, 2);
    drop(worker);
    link.nothing_finished().await;
    let (worker, fake) = restart(data.path()).await;
    let mut link = pool.link().await;
    assert_eq!((link.holds(), fake.running()), (vec![1], 0));
    link.welcome(3_000_000, &[], &[(1, 2)]).await;
    let Some(Heard::Log(log)) = link.next().await else { panic!("no log") };
    assert_eq!((log.offset, &log.data[..]), (2, &b"pt\n"[..]));
    let (again, _) = link.finished().await;
    assert_eq!(again, first);
    link.say(ack(1)).await;
    until("the worker forgets", || worker.status().attempts == 0).await;
    worker.stop().await.unwrap();
    let (_worker, _) = restart(data.path()).await;
    assert_eq!(pool.link().await.holds(), Vec::<u64>::new());
}

#[tokio::test]
async fn missing_log_bytes_are_sent_again_before_the_end_is_repeated() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (_worker, _) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    link.say(assign(1, "echo 0123456789", &[])).await;
    let (first, _) = link.finished().await;
    let position = wire::LogPosition { attempt: Some(att(1).into()), stdout_bytes: 7, stderr_bytes: 0 };
    link.say(Say::LogResend(wire::LogResend { position: Some(position) })).await;
    let (again, logs) = link.finished().await;
    assert_eq!(again, first);
    assert_eq!((logs.len(), logs[0].offset, &logs[0].data[..]), (1, 7, &b"789\n"[..]));
}

#[tokio::test]
async fn much_output_is_cut_and_arrives_whole_up_to_there() {
    const LIMIT: usize = 16 << 20;
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (_worker, _) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    link.say(assign(1, &format!("spew {}", LIMIT + 1), &[])).await;
    let (finished, logs) = link.finished().await;
    assert_eq!((finished.stdout_bytes, finished.logs_cut), (LIMIT as u64, true));
    assert_eq!(bytes(&logs, false).len(), LIMIT);
}

#[tokio::test]
async fn inputs_are_fetched_and_what_is_not_what_it_should_be_is_refused() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (_worker, _) = pool.worker(data.path()).await;
    let good = vec![b'g'; 5000];
    pool.shared.inputs.lock().insert(digest(&good).to_string(), good.clone());
    pool.shared.inputs.lock().insert(digest(b"what was asked").to_string(), b"what was given".to_vec());
    let mut link = pool.welcomed().await;
    link.say(assign(1, "cat in/put", &[("in/put", &good)])).await;
    let (finished, logs) = link.finished().await;
    assert_eq!((kind(&finished).0, bytes(&logs, false)), (Kind::Exited, good));
    for (task, content, why) in [(2, &b"what was asked"[..], "digest"), (3, b"never seen", "E_NOT_FOUND")] {
        link.say(assign(task, "cat x", &[("x", content)])).await;
        let (finished, _) = link.finished().await;
        let (kind, reason) = kind(&finished);
        assert!(kind == Kind::Infrastructure && reason.contains(why), "{kind:?} {reason}");
    }
}

#[tokio::test]
async fn an_output_is_in_the_pool_before_the_end_is_told() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, _) = pool.worker(data.path()).await;
    *pool.shared.broken_uploads.lock() = 2;
    let mut link = pool.welcomed().await;
    link.say(assign(1, "produce a.txt content", &[])).await;
    let (finished, _) = link.finished().await;
    let stored = pool.shared.outputs.lock().get(&1).cloned().unwrap();
    assert_eq!((finished.output_digest, finished.output_bytes), (digest(&stored).to_string(), stored.len() as u64));
    assert_eq!(files(&data, "outputs"), 1);
    link.say(ack(1)).await;
    until("the worker forgets", || worker.status().attempts == 0 && files(&data, "outputs") == 0).await;
}

#[tokio::test]
async fn more_than_fits_waits_for_its_turn_and_can_be_taken_back() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, fake) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    for task in 1..=7 {
        link.say(assign(task, "sleep 3000000", &[])).await;
    }
    for _ in 1..=4 {
        assert!((1..=4).contains(&link.started().await));
    }
    until("the rest waits", || worker.status().backlog == 3).await;
    // What waits is held like what runs.
    drop(link);
    let mut link = pool.link().await;
    assert_eq!(link.holds(), [1, 2, 3, 4, 5, 6, 7]);
    link.welcome(3_000_000, &[6], &[]).await;
    for _ in 1..=4 {
        assert!((1..=4).contains(&link.started().await));
    }
    link.say(Say::Stop(wire::Stop { attempt: Some(att(5).into()) })).await;
    until("two were dropped without a start", || worker.status().attempts == 5 && fake.running() == 4).await;
    link.say(Say::Stop(wire::Stop { attempt: Some(att(2).into()) })).await;
    assert_eq!(link.started().await, 7);
    let leaving = tokio::spawn(worker.stop());
    let mut ended = Vec::new();
    for _ in 0..4 {
        let task = link.finished().await.0.attempt.unwrap().task;
        ended.push(task);
        link.say(ack(task)).await;
    }
    ended.sort_unstable();
    assert_eq!(ended, [1, 3, 4, 7]);
    leaving.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_the_pool_sets_is_in_the_environment_and_what_it_may_not_set_ends_the_attempt() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (_worker, _) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    let entry = "two  spaces, 'quotes\" and \u{1f41d}";
    let env = [("HIVEMIND_INDEX", "7"), ("HIVEMIND_ENTRY", entry)];
    for (task, name, value) in [(1, "INDEX", "7"), (2, "ENTRY", entry)] {
        link.say(assign_with(task, &format!("env HIVEMIND_{name}"), &[], &env)).await;
        let (_, logs) = link.finished().await;
        assert_eq!(String::from_utf8(bytes(&logs, false)).unwrap(), format!("{value}\n"));
    }
    for (task, env) in [(3, ("LD_PRELOAD", "/x")), (4, ("HIVEMIND_ENTRY", "a\0b"))] {
        link.say(assign_with(task, "true", &[], &[env])).await;
        let (finished, _) = link.finished().await;
        let (kind, reason) = kind(&finished);
        assert!(kind == Kind::Infrastructure && reason.contains("env."), "{kind:?} {reason}");
    }
}

#[tokio::test]
async fn an_owner_who_stops_reports_what_ran() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, fake) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    link.say(assign(1, "sleep 3000000", &[])).await;
    assert_eq!(link.started().await, 1);
    worker.drain().await;
    assert!(matches!(link.next().await, Some(Heard::Drain(_))));
    let leaving = tokio::spawn(worker.stop());
    let (finished, _) = link.finished().await;
    assert_eq!(kind(&finished), (Kind::Infrastructure, "the owner stopped the worker".into()));
    link.say(ack(1)).await;
    leaving.await.unwrap().unwrap();
    assert_eq!(fake.running(), 0);
}

#[tokio::test]
async fn a_line_of_a_command_becomes_its_progress_and_stays_in_the_log() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (_worker, _) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    for (task, command) in [(1, "echo HIVEMIND_PROGRESS 42"), (2, "warn HIVEMIND_PROGRESS 42")] {
        link.say(assign(task, command, &[])).await;
        assert_eq!(link.started().await, task);
        let mut progress = None;
        let (finished, logs) = loop {
            match link.next().await.unwrap() {
                Heard::Progress(told) => progress = Some(told.percent),
                Heard::Log(log) => {
                    let (finished, more) = link.finished().await;
                    break (finished, [vec![log], more].concat());
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((progress, kind(&finished).0), (Some(42), Kind::Exited));
        assert_eq!(bytes(&logs, task == 2), b"HIVEMIND_PROGRESS 42\n");
    }
}

#[tokio::test]
async fn the_owner_pauses_and_goes_on_and_the_pool_is_told() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (worker, fake) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    link.say(assign(1, "sleep 3000000", &[])).await;
    assert_eq!(link.started().await, 1);
    let owner = async |request: Request| match ask(data.path(), &request).await.unwrap() {
        Answer::Status(overview) => *overview,
        other => panic!("{other:?}"),
    };
    let part = Part::Machine;
    let paused = owner(Request::Pause { part, for_ms: None }).await;
    assert_eq!((paused.state.as_str(), paused.running.len()), ("paused", 1));
    let running = &paused.running[0];
    assert_eq!((running.attempt.as_str(), running.image.as_str(), running.paused), ("att_1.0.1", "image", true));
    link.say(assign(2, "sleep 3000000", &[])).await;
    until("the second waits", || worker.status().backlog == 1).await;
    assert_eq!(fake.running(), 1);
    assert!(!owner(Request::Start { part }).await.running[0].paused);
    assert_eq!(link.started().await, 2);
    let stopped = owner(Request::StopNow).await;
    assert_eq!((stopped.state.as_str(), stopped.running.len(), fake.running()), ("paused", 0, 0));
    for _ in 0..2 {
        let (finished, _) = link.finished().await;
        assert_eq!(kind(&finished), (Kind::Infrastructure, "the owner stopped everything on the machine".into()));
        link.say(ack(finished.attempt.unwrap().task)).await;
    }
    until("all is told", || worker.status().attempts == 0).await;
    // The choice lasts beyond this process, and is told over the next link.
    worker.stop().await.unwrap();
    assert!(!data.path().join("worker/control.sock").exists());
    let (_worker, _) = restart(data.path()).await;
    let mut again = pool.welcomed().await;
    again.owner_says("paused").await;
    assert_eq!(link.owner, ["open", "paused", "open", "paused"]);
}

#[tokio::test]
async fn the_pool_learns_how_fast_the_machine_is() {
    let (data, mut pool) = (data(), ScriptedPool::start().await);
    let (_worker, _) = pool.worker(data.path()).await;
    let mut link = pool.welcomed().await;
    let ask = wire::Benchmark { nonce: 77, seed: b"seed".to_vec().into(), rounds: 2 };
    link.say(Say::Benchmark(ask)).await;
    let Some(Heard::Benchmark(done)) = link.next().await else { panic!("no answer") };
    let first = digest(b"seed");
    assert_eq!((done.nonce, &done.digest[..]), (77, &digest(&first.0).0[..]));
}
