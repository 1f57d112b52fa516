//! The pool as a whole: health, queue, what changes, the journal, and what strangers may know.

use crate::support::{DEADLINE, Link, TestPool, User, finished, hello, within};
use hivemind_pool::{Instruments, Rates, Tuning};
use hivemind_proto::v1::pool_event::Event;
use hivemind_proto::v1::pool_service_client::PoolServiceClient;
use hivemind_proto::v1::*;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::{Code, Status, Streaming};

async fn health(user: &User) -> Result<HealthResponse, Status> {
    within(user.pool().health(HealthRequest { token: user.token.clone() })).await.map(tonic::Response::into_inner)
}

async fn queue(user: &User) -> Result<QueueResponse, Status> {
    within(user.pool().queue(QueueRequest { token: user.token.clone() })).await.map(tonic::Response::into_inner)
}

async fn watch(user: &User) -> Result<Streaming<PoolEvent>, Status> {
    let request = WatchPoolRequest { token: user.token.clone() };
    within(user.pool().watch_pool(request)).await.map(tonic::Response::into_inner)
}

async fn journal(user: &User, request: ListJournalRequest) -> Result<ListJournalResponse, Status> {
    let request = ListJournalRequest { token: user.token.clone(), ..request };
    within(user.pool().list_journal(request)).await.map(tonic::Response::into_inner)
}

/// Every entry, newest first, read in pages of that size.
async fn whole(user: &User, page_size: i32, request: ListJournalRequest) -> Vec<JournalEntry> {
    let (mut entries, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = journal(user, ListJournalRequest { page_size, page_token, ..request.clone() }).await.unwrap();
        entries.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return entries;
        }
    }
}

/// Asks again until the answer is as wanted.
async fn until<T>(mut ask: impl AsyncFnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    within(async {
        loop {
            let answer = ask().await;
            if wanted(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// The next event that is as wanted; all before it must be allowed.
async fn event(events: &mut Streaming<PoolEvent>, wanted: impl Fn(&Event) -> bool) -> Event {
    within(async {
        loop {
            let event = events.message().await.unwrap().expect("the stream goes on").event.unwrap();
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

fn is_node(name: &str, wanted: impl Fn(&NodeSummary) -> bool) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Node(node) if node.node_id == name && wanted(node))
}

/// Runs one task of `user` on the node to its end.
async fn run(user: &User, link: &mut Link) -> String {
    let task = user.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.send(FromWorker::Finished(finished(attempt, 0))).await;
    assert_eq!(link.acknowledged().await, "");
    task
}

#[tokio::test]
async fn the_pool_as_a_whole_is_the_operators_to_see() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    for status in [
        health(&ada).await.unwrap_err(),
        queue(&ada).await.unwrap_err(),
        journal(&ada, ListJournalRequest::default()).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    let nobody = User { token: String::new(), ..ada };
    for status in [
        health(&nobody).await.unwrap_err(),
        queue(&nobody).await.unwrap_err(),
        journal(&nobody, ListJournalRequest::default()).await.unwrap_err(),
        watch(&nobody).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    }
}

#[tokio::test]
async fn health_follows_machines_and_work() {
    let pool = TestPool::start().await;
    let (operator, ada) = (pool.operator().await, pool.user("ada").await);
    let empty = health(&operator).await.unwrap();
    assert_eq!((empty.nodes_online, empty.nodes_total, empty.elements_waiting), (0, 0, 0));
    assert_eq!((empty.oldest_waiting_ms, empty.oldest_waiting_task.as_str(), empty.brake_on), (0, "", false));
    assert!(empty.started_at_unix_ms > 0 && !empty.version.is_empty() && empty.disk_free_bytes > 0);
    let identity = pool.join(&ada, "lab").await;
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    let large = SubmitTaskRequest { required_cpu_cores: 64, ..ada.task("large") };
    let large = within(ada.tasks().submit_task(large)).await.unwrap().into_inner().task_id;
    let running = until(
        async || health(&operator).await.unwrap(),
        |health| health.attempts_running == 1 && health.elements_waiting == 1,
    )
    .await;
    assert_eq!((running.nodes_online, running.nodes_total, running.nodes_joined_last_hour), (1, 1, 1));
    assert_eq!((running.tasks_running, running.tasks_pending), (1, 1), "{task} runs");
    assert_eq!((running.cpu_millicores_total, running.cpu_millicores_used), (4000, 1000));
    assert_eq!((running.memory_mb_total, running.memory_mb_used), (8192, 512));
    assert_eq!((running.oldest_waiting_task, running.schedule_latency_count), (large, 1));
    assert!(running.commits_per_second > 0.0 && running.schedule_latency_p99_ms >= running.schedule_latency_p50_ms);
    let checked = until(async || health(&operator).await.unwrap(), |health| health.checked_at_unix_ms > 0).await;
    assert_eq!((checked.tasks_lost, checked.ledger_imbalance_micro), (0, 0));
}

#[tokio::test]
async fn what_waits_is_told_by_reason_and_age() {
    let pool = TestPool::start().await;
    let (operator, ada) = (pool.operator().await, pool.user("ada").await);
    let identity = pool.join(&ada, "lab").await;
    let (_link, _) = pool.link(&identity, hello("lab")).await;
    let large = |array: &str, after: Vec<Dependency>| SubmitTaskRequest {
        required_cpu_cores: 64,
        array: array.into(),
        after,
        ..ada.task("large")
    };
    let first = within(ada.tasks().submit_task(large("1-5", Vec::new()))).await.unwrap().into_inner().task_id;
    within(ada.tasks().submit_task(large("", Vec::new()))).await.unwrap();
    let on = Dependency { task_id: first.clone(), ..Dependency::default() };
    within(ada.tasks().submit_task(large("1-3", vec![on]))).await.unwrap();
    let told = until(async || queue(&operator).await.unwrap(), |queue| queue.elements == 9).await;
    assert_eq!(told.tasks, 3);
    let shown: Vec<(&str, i64, i64)> =
        told.groups.iter().map(|group| (group.kind.as_str(), group.tasks, group.elements)).collect();
    assert_eq!(shown, [("too_big", 2, 6), ("blocked", 1, 3)]);
    assert!(told.groups[0].reason.contains("64"), "{}", told.groups[0].reason);
    assert_eq!(told.groups[0].example_task_id, first, "the oldest");
    assert_eq!(told.ages.len(), 6);
    assert_eq!((told.ages[0].age.as_str(), told.ages[0].elements), ("under 1 minute", 9));
}

#[tokio::test]
async fn a_member_watches_their_own_things_only() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let mine = pool.join(&ada, "mine").await;
    let other = pool.join(&bob, "other").await;
    let mut events = watch(&ada).await.unwrap();
    let mut seen = Vec::new();
    let first = event(&mut events, |event| matches!(event, Event::Begins(_))).await;
    assert_eq!(first, Event::Begins(WatchBegins {}));
    assert!(matches!(event(&mut events, |_| true).await, Event::Balance(balance) if balance == ada.balance().await));
    assert!(is_node("mine", |node| node.state == "offline")(&event(&mut events, |_| true).await));
    // Bob's machine comes first, so that it would be told first.
    let (_other, _) = pool.link(&other, hello("other")).await;
    let (_mine, _) = pool.link(&mine, hello("mine")).await;
    within(async {
        loop {
            let event = events.message().await.unwrap().unwrap().event.unwrap();
            let is_it = is_node("mine", |node| node.state == "online")(&event);
            seen.push(event);
            if is_it {
                break;
            }
        }
    })
    .await;
    assert!(ada.pay("bob", 1, 0, "").await.success);
    let paid = ada.balance().await;
    within(async {
        loop {
            let event = events.message().await.unwrap().unwrap().event.unwrap();
            seen.push(event);
            if seen.last() == Some(&Event::Balance(paid.clone())) {
                break;
            }
        }
    })
    .await;
    for event in seen {
        match event {
            Event::Node(node) => assert_eq!((node.node_id.as_str(), node.owner.as_str()), ("mine", "ada")),
            Event::Balance(_) => {}
            other => panic!("{other:?} is none of a member's"),
        }
    }
}

#[tokio::test]
async fn an_operator_watches_everything_and_the_end_of_the_pool() {
    let pool = TestPool::start().await;
    let (operator, ada) = (pool.operator().await, pool.user("ada").await);
    let identity = pool.join(&ada, "lab").await;
    let mut events = watch(&operator).await.unwrap();
    event(&mut events, is_node("lab", |node| node.state == "offline")).await;
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    event(&mut events, is_node("lab", |node| node.state == "online")).await;
    ada.submit("one").await;
    let attempt = link.assigned().await;
    event(&mut events, is_node("lab", |node| node.active_attempts == 1)).await;
    link.started(attempt).await;
    event(&mut events, |event| matches!(event, Event::Health(health) if health.attempts_running == 1)).await;
    link.beat(1).await;
    event(&mut events, is_node("lab", |node| node.cpu_usage == 12.5)).await;
    drop(link);
    event(&mut events, is_node("lab", |node| node.state != "online")).await;
    let stopped = tokio::spawn(pool.handle.shutdown());
    let end = within(async {
        loop {
            match events.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a word"),
                Err(status) => return status,
            }
        }
    })
    .await;
    assert!(end.code() == Code::Unavailable && end.message().contains("stopping"), "{end}");
    within(stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_watches_without_end() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let mut open = Vec::new();
    let refused = loop {
        match watch(&ada).await {
            Ok(events) => open.push(events),
            Err(status) => break status,
        }
    };
    assert!(refused.code() == Code::ResourceExhausted && refused.message().contains("E_BUSY"), "{refused}");
    assert_eq!(open.len(), 64);
    // Others are served still, and a place is free again once a call has ended.
    let bob = pool.user("bob").await;
    watch(&bob).await.unwrap();
    open.pop();
    until(async || watch(&ada).await, Result::is_ok).await.unwrap();
}

#[tokio::test]
async fn the_journal_in_pages_is_the_whole_journal() {
    let pool = TestPool::start().await;
    let (operator, ada, bob) = (pool.operator().await, pool.user("ada").await, pool.user("bob").await);
    let identity = pool.join(&bob, "lab").await;
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    let task = run(&ada, &mut link).await;
    for micro in 1..=5 {
        assert!(ada.pay("bob", 1, micro, "").await.success);
    }
    let all = whole(&operator, 1000, ListJournalRequest::default()).await;
    for size in [1, 2, 3] {
        assert_eq!(whole(&operator, size, ListJournalRequest::default()).await, all, "pages of {size}");
    }
    let numbers: Vec<i64> = all.iter().map(|entry| entry.entry).collect();
    assert_eq!(numbers, (1..=numbers[0]).rev().collect::<Vec<_>>(), "newest first, without gaps");
    let genesis = all.last().unwrap();
    assert_eq!((genesis.kind.as_str(), genesis.note.as_str()), ("genesis", "all the money there is"));
    for entry in &all[..all.len() - 1] {
        assert_eq!(entry.postings.iter().map(|posting| posting.amount_micro).sum::<i64>(), 0, "{entry:?}");
        assert!(entry.hash.len() == 64 && !entry.note.is_empty() && !entry.postings.is_empty(), "{entry:?}");
    }
    assert_eq!(all[0].note, "transfer from ada to bob");
    let holders: Vec<&str> = all[0].postings.iter().map(|posting| posting.holder.as_str()).collect();
    assert!(holders.contains(&"ada") && holders.contains(&"bob"), "{holders:?}");
    let trial = within(operator.pool().trial_balance(TrialBalanceRequest { token: operator.token.clone() })).await;
    assert_eq!(all[0].hash, trial.unwrap().into_inner().last_hash);
    assert!(all.iter().any(|entry| entry.task_id == task));
    // By kind and by user, in pages.
    let of = |kinds: &[&str], username: &str| ListJournalRequest {
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        username: username.into(),
        ..ListJournalRequest::default()
    };
    let kept =
        |kept: &dyn Fn(&JournalEntry) -> bool| all.iter().filter(|entry| kept(entry)).cloned().collect::<Vec<_>>();
    let is = |entry: &JournalEntry, kinds: &[&str]| kinds.contains(&entry.kind.as_str());
    let touches = |entry: &JournalEntry, name: &str| entry.postings.iter().any(|posting| posting.holder == name);
    for size in [1, 2, 1000] {
        let transfers = whole(&operator, size, of(&["transfer"], "")).await;
        assert_eq!(transfers, kept(&|entry| is(entry, &["transfer"])));
        assert_eq!(transfers.len(), 5);
        let two = whole(&operator, size, of(&["genesis", "hold"], "")).await;
        assert_eq!(two, kept(&|entry| is(entry, &["genesis", "hold"])));
        let hers = whole(&operator, size, of(&[], "Ada")).await;
        assert_eq!(hers, kept(&|entry| touches(entry, "ada")));
        let both = whole(&operator, size, of(&["transfer"], "operator")).await;
        assert_eq!(both, []);
    }
}

#[tokio::test]
async fn a_journal_that_is_not_one_is_refused_by_field() {
    let pool = TestPool::start().await;
    let operator = pool.operator().await;
    let page = |request| journal(&operator, request);
    for (request, field, code) in [
        (ListJournalRequest { page_size: -1, ..Default::default() }, "page_size", Code::InvalidArgument),
        (ListJournalRequest { page_size: 1001, ..Default::default() }, "page_size", Code::InvalidArgument),
        (ListJournalRequest { page_token: "x".into(), ..Default::default() }, "page_token", Code::InvalidArgument),
        (ListJournalRequest { kinds: vec!["gift".into()], ..Default::default() }, "kinds", Code::InvalidArgument),
        (ListJournalRequest { kinds: vec!["hold".into(); 99], ..Default::default() }, "kinds", Code::InvalidArgument),
        (ListJournalRequest { username: "nobody".into(), ..Default::default() }, "username", Code::NotFound),
    ] {
        let status = page(request).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(&format!(": {field}: ")), "{status}");
    }
}

async fn counters(pool: &TestPool) -> Result<PublicCountersResponse, Status> {
    let mut calls = PoolServiceClient::new(pool.channel().await);
    within(calls.public_counters(PublicCountersRequest {})).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn strangers_see_figures_and_no_names_and_the_past_counts() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "lab").await;
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    run(&ada, &mut link).await;
    let done = counters(&pool).await.unwrap();
    assert_eq!((done.tasks_completed, done.elements_completed, done.users), (1, 1, 2));
    assert_eq!((done.nodes_online, done.cores_online, done.cpu_hours), (1, 4, 0));
    drop(link);
    // What was done before a restart is counted from the store.
    let tuning = Tuning::default();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut pool = pool;
    loop {
        pool = pool.restart_with(tuning.clone()).await;
        let again = counters(&pool).await.unwrap();
        if !again.counting {
            assert_eq!((again.tasks_completed, again.elements_completed, again.users), (1, 1, 2));
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the past is never counted");
    }
}

#[tokio::test]
async fn strangers_do_not_ask_without_end() {
    let rates = Rates { looks_per_address: NonZeroU32::MIN.saturating_add(2), ..Rates::default() };
    let pool = TestPool::start_with(hivemind_model::Policy::default(), Tuning { rates, ..Tuning::default() }).await;
    for _ in 0..3 {
        counters(&pool).await.unwrap();
    }
    let refused = counters(&pool).await.unwrap_err();
    assert!(refused.code() == Code::ResourceExhausted && refused.message().contains("E_BUSY"), "{refused}");
}

#[tokio::test]
async fn money_that_nobody_booked_and_a_task_that_nobody_knows_are_found() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let large = SubmitTaskRequest { required_cpu_cores: 64, ..ada.task("large") };
    within(ada.tasks().submit_task(large)).await.unwrap();
    let pool = pool.restart_with(Tuning { check_every: Duration::from_millis(1), ..Tuning::default() }).await;
    let operator = pool.operator().await;
    let fine = until(async || health(&operator).await.unwrap(), |health| health.checked_at_unix_ms > 0).await;
    assert_eq!((fine.tasks_lost, fine.ledger_imbalance_micro), (0, 0));
    // Behind the running pool's back.
    crate::support::change_row(&pool.data(), "UPDATE accounts SET balance = balance + 7 WHERE kind = 'treasury'").await;
    let lost =
        "INSERT INTO tasks SELECT id + 1000, user_id, state, submitted_at, ended_at, cap, cost, completed, failed,
                cancelled, failure, reused, reuse, spec FROM tasks";
    crate::support::change_row(&pool.data(), lost).await;
    let found = until(async || health(&operator).await.unwrap(), |health| health.tasks_lost > 0).await;
    assert_eq!((found.tasks_lost, found.ledger_imbalance_micro), (1, 7));
}

/// Instruments that a test can read.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Kept {
    fn figure(&self, name: &str, labels: &[(&'static str, String)]) -> Arc<AtomicU64> {
        let name = labels.iter().fold(name.to_owned(), |name, (label, value)| format!("{name} {label}={value}"));
        self.0.lock().unwrap().entry(name).or_default().clone()
    }

    fn read(&self, name: &str) -> Option<u64> {
        self.0.lock().unwrap().get(name).map(|figure| figure.load(Ordering::Relaxed))
    }

    /// Gauges are kept as the bits of a number.
    fn gauged(&self, name: &str) -> Option<f64> {
        self.read(name).map(f64::from_bits)
    }
}

impl Instruments for Kept {
    fn gauge(&self, name: &'static str, _: &'static str, labels: &[(&'static str, String)]) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.figure(name, labels))
    }
    fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> metrics::Counter {
        assert!(name.starts_with("hivemind_pool_") && name.ends_with("_total") && help.ends_with('.'), "{name}");
        metrics::Counter::from_arc(self.figure(name, labels))
    }
    fn histogram(&self, name: &'static str, _: &'static str, _: &[(&'static str, String)]) -> metrics::Histogram {
        assert!(name.starts_with("hivemind_pool_") && name.ends_with("_seconds"), "{name}");
        metrics::Histogram::noop()
    }
}

#[tokio::test]
async fn what_happens_is_measured_once_somebody_does() {
    let pool = TestPool::start().await;
    let (operator, ada) = (pool.operator().await, pool.user("ada").await);
    within(pool.handle.probe().collect()).await.unwrap();
    let kept = Kept::default();
    pool.handle.measure(kept.clone());
    let refused = crate::support::log_in(&ada.channel, "ada", "another one").await;
    assert!(!refused.success);
    let session = OpenSessionRequest { username: "ada".into(), password: "another one".into(), about: String::new() };
    let refused = within(ada.auth().open_session(session)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(health(&ada).await.unwrap_err().code(), Code::PermissionDenied);
    let identity = pool.join(&ada, "lab").await;
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    run(&ada, &mut link).await;
    crate::streams::upload(&ada, 5, &["he", "llo"]).await.unwrap();
    health(&operator).await.unwrap();
    within(pool.handle.probe().collect()).await.unwrap();
    for (name, count) in [
        ("hivemind_pool_logins_refused_total", 2),
        ("hivemind_pool_nodes_joined_total", 1),
        ("hivemind_pool_tasks_ended_total state=completed", 1),
        ("hivemind_pool_tasks_ended_total state=failed", 0),
        ("hivemind_pool_elements_completed_total", 1),
        ("hivemind_pool_blob_received_bytes_total", 5),
        ("hivemind_pool_rpcs_total method=PoolService/Health code=permission_denied", 1),
        ("hivemind_pool_rpcs_total method=PoolService/Health code=ok", 1),
    ] {
        assert_eq!(kept.read(name), Some(count), "{name}");
    }
    assert!(kept.read("hivemind_pool_commits_total") > Some(0));
    assert!(kept.read("hivemind_pool_link_messages_total direction=received") > Some(0));
    assert_eq!(kept.gauged("hivemind_pool_nodes state=online"), Some(1.0));
    assert!(kept.gauged("hivemind_pool_disk_free_bytes") > Some(0.0));
    // The first instruments stay.
    let other = Kept::default();
    pool.handle.measure(other.clone());
    within(pool.handle.probe().collect()).await.unwrap();
    assert!(other.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_pool_says_whether_it_takes_work() {
    let pool = TestPool::start().await;
    assert_eq!(pool.handle.probe().ready(), Ok(()));
    let full = Tuning { command_reserve: hivemind_model::Bytes(u64::MAX), ..Tuning::default() };
    let pool = pool.restart_with(full).await;
    assert_eq!(pool.handle.probe().ready(), Err("the pool's disk is full"));
}
