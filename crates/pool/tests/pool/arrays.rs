//! Arrays end to end: index and entry, elements and their ends, cancelling and retrying some.

use crate::streams::upload;
use crate::support::{Link, TestPool, User, finished, hello, within};
use hivemind_proto::v1::*;
use hivemind_proto::worker::pool_event::Event as FromPool;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::{Assign, AttemptFinished, AttemptProgress, AttemptRef, Outcome};
use tonic::{Code, Status};

fn array(user: &User, indices: &str) -> SubmitTaskRequest {
    SubmitTaskRequest { array: indices.into(), max_runtime: 1, ..user.task("array") }
}

async fn submit(user: &User, request: SubmitTaskRequest) -> Result<String, String> {
    let answer = within(user.tasks().submit_task(request)).await.unwrap().into_inner();
    if answer.success { Ok(answer.task_id) } else { Err(answer.message) }
}

async fn elements(user: &User, request: ListElementsRequest) -> Result<ListElementsResponse, Status> {
    let request = ListElementsRequest { token: user.token.clone(), ..request };
    within(user.tasks().list_elements(request)).await.map(tonic::Response::into_inner)
}

async fn words(user: &User, task: &str) -> Vec<(u32, String)> {
    let request = ListElementsRequest { task_id: task.into(), ..Default::default() };
    let listed = elements(user, request).await.unwrap().elements;
    listed.into_iter().map(|element| (element.index, element.status)).collect()
}

async fn retry(user: &User, task: &str, elements: &str, id: &str) -> SubmitTaskResponse {
    let request = RetryTaskRequest {
        token: user.token.clone(),
        task_id: task.into(),
        elements: elements.into(),
        request_id: id.into(),
        max_price_micro: 0,
    };
    within(user.tasks().retry_task(request)).await.unwrap().into_inner()
}

async fn cancel(user: &User, task: &str, elements: &str) -> Result<String, Status> {
    let request = CancelTaskRequest { token: user.token.clone(), task_id: task.into(), elements: elements.into() };
    within(user.tasks().cancel_task(request)).await.map(|answer| answer.into_inner().status)
}

async fn counts(user: &User, task: &str) -> (String, ElementCounts) {
    let status = user.status(task).await;
    assert!(status.success, "{}", status.error_message);
    (status.status, status.task.unwrap().elements.unwrap())
}

fn counted(total: u32, completed: u32, failed: u32, cancelled: u32, running: u32) -> ElementCounts {
    ElementCounts { total, completed, failed, cancelled, running }
}

async fn assigned(link: &mut Link) -> Assign {
    match link.next().await.unwrap() {
        FromPool::Assign(assign) => assign,
        other => panic!("expected an Assign, got {other:?}"),
    }
}

fn env(assign: &Assign) -> Vec<(&str, &str)> {
    assign.env.iter().map(|var| (var.name.as_str(), var.value.as_str())).collect()
}

fn exited(attempt: AttemptRef, exit_code: i32) -> FromWorker {
    let kind = hivemind_proto::worker::outcome::Kind::Exited.into();
    let outcome = Some(Outcome { kind, exit_code, reason: String::new() });
    FromWorker::Finished(AttemptFinished { outcome, ..finished(attempt, 0) })
}

#[tokio::test]
async fn each_element_has_its_index_its_entry_and_its_own_end() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let entries_digest = upload(&ada, 17, &["one\ntwo\r\n", "drei ü\n"]).await.unwrap().digest;
    let request = SubmitTaskRequest { entries_digest, ..array(&ada, "1-3") };
    let task = submit(&ada, request).await.unwrap();
    let mut attempts = Vec::new();
    for (index, entry) in [("1", "one"), ("2", "two"), ("3", "drei ü")] {
        let assign = assigned(&mut link).await;
        assert_eq!(env(&assign), [("HIVEMIND_INDEX", index), ("HIVEMIND_ENTRY", entry)]);
        attempts.push(assign.attempt.unwrap());
    }
    assert_eq!(counts(&ada, &task).await, ("pending".into(), counted(3, 0, 0, 0, 0)));
    let refused = retry(&ada, &task, "", "").await;
    assert!(refused.message.starts_with("E_CONFLICT: "), "{}", refused.message);
    link.started(attempts[0]).await;
    link.log(attempts[0], 0, b"hello\n").await;
    link.finished(attempts[0], 6).await;
    assert_eq!(link.acknowledged().await, "");
    link.started(attempts[1]).await;
    link.send(exited(attempts[1], 3)).await;
    assert_eq!(link.acknowledged().await, "");
    assert_eq!(cancel(&ada, &task, "3").await.unwrap(), "cancelled");
    assert_eq!(counts(&ada, &task).await.1, counted(3, 1, 1, 1, 0));
    let told = [(1, "completed".to_owned()), (2, "failed".into()), (3, "cancelled".into())];
    assert_eq!(words(&ada, &task).await, told);
    one_element_is_told(&ada, &task).await;
    retries_take_what_did_not_complete(&ada, &task, &mut link).await;
}

async fn one_element_is_told(ada: &User, task: &str) {
    let status = async |element| {
        let request = TaskStatusRequest { token: ada.token.clone(), task_id: task.into(), element };
        within(ada.tasks().task_status(request)).await.unwrap().into_inner()
    };
    let first = status(Some(1)).await;
    assert_eq!((first.result.as_str(), first.attempts.len(), first.error_message.as_str()), ("hello\n", 1, ""));
    let second = status(Some(2)).await;
    assert!(second.error_message.starts_with("E_EXIT: ") && second.attempts[0].exit_code == Some(3), "{second:?}");
    let all = status(None).await;
    assert_eq!((all.attempts.len(), all.result.as_str(), all.task.unwrap().array.as_str()), (0, "", "1-3"));
    assert!(status(Some(4)).await.error_message.starts_with("E_NOT_FOUND: element: "));
    let follow = |element| {
        let request = FollowLogsRequest {
            token: ada.token.clone(),
            task_id: task.into(),
            follow: true,
            element,
            ..Default::default()
        };
        let mut tasks = ada.tasks();
        async move { within(tasks.follow_logs(request)).await.map(tonic::Response::into_inner) }
    };
    let mut logs = follow(1).await.unwrap();
    assert_eq!(within(logs.message()).await.unwrap().unwrap().data, "hello\n");
    assert!(within(logs.message()).await.unwrap().is_none());
    assert_eq!(follow(0).await.err().map(|status| status.code()), Some(Code::NotFound));
    let output = DownloadOutputRequest { token: ada.token.clone(), task_id: task.into(), offset: 0, element: 2 };
    let refused = within(ada.tasks().download_output(output)).await.err().unwrap();
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains(".2 is failed"), "{refused}");
}

async fn retries_take_what_did_not_complete(ada: &User, task: &str, link: &mut Link) {
    let refused = retry(ada, task, "4", "").await;
    assert!(refused.message.starts_with("E_INVALID: elements: "), "{}", refused.message);
    let again = retry(ada, task, "", "again").await;
    assert!(again.success, "{}", again.message);
    assert_eq!(retry(ada, task, "", "again").await, again, "the same id submits nothing twice");
    assert!(retry(ada, task, "2", "again").await.message.starts_with("E_ID_REUSED: "));
    assert_eq!(ada.status(&again.task_id).await.task.unwrap().array, "2-3");
    let mut attempts = Vec::new();
    for (index, entry) in [("2", "two"), ("3", "drei ü")] {
        let mut next = link.next().await.unwrap();
        while matches!(next, FromPool::Stop(_)) {
            next = link.next().await.unwrap();
        }
        let FromPool::Assign(assign) = next else { panic!("expected an Assign, got {next:?}") };
        assert_eq!(env(&assign), [("HIVEMIND_INDEX", index), ("HIVEMIND_ENTRY", entry)]);
        attempts.push(assign.attempt.unwrap());
    }
    for attempt in attempts {
        link.started(attempt).await;
        link.finished(attempt, 0).await;
        assert_eq!(link.acknowledged().await, "");
    }
    assert_eq!(counts(ada, &again.task_id).await, ("completed".into(), counted(2, 2, 0, 0, 0)));
    let nothing = retry(ada, &again.task_id, "", "").await;
    assert!(nothing.message.starts_with("E_CONFLICT: every element"), "{}", nothing.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_elements_are_listed_in_pages_and_cancelled_in_part() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = submit(&ada, array(&ada, "1-100000")).await.unwrap();
    let request = CancelTaskRequest { token: ada.token.clone(), task_id: task.clone(), elements: "1000-99999".into() };
    within(ada.tasks().cancel_task(request)).await.unwrap();
    assert_eq!(counts(&ada, &task).await, ("running".into(), counted(100_000, 0, 0, 99_000, 0)));
    assert_eq!(ada.status(&task).await.progress, 99);
    let list = |status: &str, elements: &str, page_token: String| ListElementsRequest {
        task_id: task.clone(),
        status: if status.is_empty() { Vec::new() } else { vec![status.into()] },
        elements: elements.into(),
        page_size: 1000,
        page_token,
        ..Default::default()
    };
    let (mut waiting, mut page_token, mut calls) = (Vec::new(), String::new(), 0);
    loop {
        let page = elements(&ada, list("waiting", "", page_token)).await.unwrap();
        waiting.extend(page.elements.into_iter().map(|element| element.index));
        (page_token, calls) = (page.next_page_token, calls + 1);
        if page_token.is_empty() {
            break;
        }
    }
    assert!(waiting.iter().copied().eq((1..=999).chain([100_000])), "{} wait", waiting.len());
    assert!(calls > 1, "one call may not look at every element");
    let named = elements(&ada, list("", "5,70000,100000", String::new())).await.unwrap();
    let named: Vec<(u32, &str)> =
        named.elements.iter().map(|element| (element.index, element.status.as_str())).collect();
    assert_eq!(named, [(5, "waiting"), (70_000, "cancelled"), (100_000, "waiting")]);
    for (field, request) in [
        ("elements", list("", "0", String::new())),
        ("elements", list("", "5-1", String::new())),
        ("status", list("running", "", String::new())),
        ("page_token", list("", "", "x".into())),
        ("page_size", ListElementsRequest { page_size: 1001, ..list("", "", String::new()) }),
    ] {
        let refused = elements(&ada, request).await.unwrap_err();
        assert!(refused.message().starts_with(&format!("E_INVALID: {field}: ")), "{refused}");
    }
    assert!(cancel(&ada, &task, "0-5").await.unwrap_err().message().starts_with("E_INVALID: elements: "));
    assert_eq!(cancel(&ada, &task, "").await.unwrap(), "cancelled");
    assert_eq!(ada.funds().await, (150_000_000, 0));
}

#[tokio::test]
async fn a_watcher_of_an_array_sees_hundredths() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = submit(&ada, array(&ada, "1-10")).await.unwrap();
    let request = WatchTasksRequest { token: ada.token.clone(), task_ids: vec![task.clone()], changes_only: false };
    let mut events = within(ada.tasks().watch_tasks(request)).await.unwrap().into_inner();
    let mut next = async || {
        let event = within(events.message()).await.unwrap().unwrap();
        (event.status, event.progress)
    };
    assert_eq!(next().await, ("pending".into(), 0));
    cancel(&ada, &task, "1-3").await.unwrap();
    while next().await != ("running".into(), 30) {}
    cancel(&ada, &task, "4").await.unwrap();
    while next().await != ("running".into(), 40) {}
}

#[tokio::test]
async fn what_elements_say_is_done_counts_for_the_whole_and_never_falls() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = submit(&ada, array(&ada, "1-4")).await.unwrap();
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let (first, second) = (assigned(&mut link).await, assigned(&mut link).await);
    let say = async |attempt: &Option<AttemptRef>, percent| {
        let attempt = *attempt;
        link.send(FromWorker::Progress(AttemptProgress { attempt, percent, note: String::new() })).await;
    };
    let until = async |wanted: i32| {
        within(async {
            while ada.status(&task).await.progress != wanted {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(ada.status(&task).await.task.unwrap().progress, wanted);
    };
    say(&first.attempt, 50).await;
    until(12).await;
    say(&first.attempt, 10).await;
    say(&second.attempt, 70).await;
    until(30).await;
    // An element that has ended counts whole, whatever it said.
    cancel(&ada, &task, "3-4").await.unwrap();
    until(80).await;
}

#[tokio::test]
async fn an_element_whose_entry_is_lost_does_not_hang() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let digest = upload(&ada, 8, &["one\ntwo\n"]).await.unwrap().digest;
    let request = SubmitTaskRequest { entries_digest: digest.clone(), ..array(&ada, "1-2") };
    let task = submit(&ada, request).await.unwrap();
    let name = digest.trim_start_matches("sha256:");
    std::fs::remove_file(pool.data().join("blobs").join(&name[..2]).join(&name[2..])).unwrap();
    let identity = pool.join(&ada, "one").await;
    let (_link, _) = pool.link(&identity, hello("one")).await;
    let faults = async || {
        let request = ListElementsRequest { task_id: task.clone(), ..Default::default() };
        elements(&ada, request).await.unwrap().elements.iter().map(|element| element.faults).min()
    };
    within(async { while faults().await < Some(1) {} }).await;
    let request = TaskStatusRequest { token: ada.token.clone(), task_id: task.clone(), element: Some(1) };
    let attempts = within(ada.tasks().task_status(request)).await.unwrap().into_inner().attempts;
    assert!(attempts[0].outcome.contains("missing in the pool"), "{}", attempts[0].outcome);
    assert_eq!(attempts[0].cost_micro, 0);
}

#[tokio::test]
async fn every_bad_wish_is_named_and_nothing_is_held() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let two_lines = upload(&ada, 8, &["one\ntwo\n"]).await.unwrap().digest;
    let binary = upload(&ada, 6, &["one\nb\0"]).await.unwrap().digest;
    let of_eve = upload(&eve, 4, &["mine"]).await.unwrap().digest;
    let eves_task = eve.submit("eve's").await;
    let good = array(&ada, "1-3");
    let array = |text: &str| SubmitTaskRequest { array: text.into(), ..good.clone() };
    let entries = |digest: &str| SubmitTaskRequest { entries_digest: digest.into(), ..good.clone() };
    let after = |task_id: &str, when: &str| SubmitTaskRequest {
        after: vec![Dependency { task_id: task_id.into(), when: when.into(), each: false }],
        ..good.clone()
    };
    let known = format!("sha256:{}", "0".repeat(64));
    let cases = [
        ("array", array("5-1")),
        ("array", array(" ")),
        ("array", array("1-5,3-9")),
        ("array", array("1-1000000000")),
        ("array", array("one")),
        ("max_fails", SubmitTaskRequest { array: String::new(), max_fails: Some(1), ..good.clone() }),
        ("entries_digest", SubmitTaskRequest { array: String::new(), ..entries(&two_lines) }),
        ("entries_digest", entries(&two_lines)),
        ("entries_digest", entries(&binary)),
        ("entries_digest", entries(&of_eve)),
        ("entries_digest", entries("sha256:12")),
        ("array", SubmitTaskRequest { array: "0-1".into(), ..entries(&two_lines) }),
        ("labels", SubmitTaskRequest { labels: vec!["berlin".into()], ..good.clone() }),
        ("labels", SubmitTaskRequest { labels: vec!["a=1".into(), "a=2".into()], ..good.clone() }),
        ("min_trust", SubmitTaskRequest { min_trust: "Trusted".into(), ..good.clone() }),
        ("min_isolation", SubmitTaskRequest { min_isolation: "jail".into(), ..good.clone() }),
        ("retries", SubmitTaskRequest { retries: -1, ..good.clone() }),
        ("retries", SubmitTaskRequest { retries: 101, ..good.clone() }),
        ("max_wait_seconds", SubmitTaskRequest { max_wait_seconds: -1, ..good.clone() }),
        ("max_total_seconds", SubmitTaskRequest { max_total_seconds: i64::MAX, ..good.clone() }),
        ("lost_after_seconds", SubmitTaskRequest { lost_after_seconds: -1, ..good.clone() }),
        ("deadline_unix_ms", SubmitTaskRequest { deadline_unix_ms: 1_000_000, ..good.clone() }),
        ("deadline_unix_ms", SubmitTaskRequest { deadline_unix_ms: -1, ..good.clone() }),
        ("unmet", SubmitTaskRequest { unmet: "ignore".into(), ..good.clone() }),
        ("after", after("nonsense", "")),
        ("after", after("task_4711", "")),
        ("after", after(&eves_task, "")),
        ("after", after(&eves_task, "sometimes")),
        ("replicas", SubmitTaskRequest { replicas: 17, ..good.clone() }),
        ("quorum", SubmitTaskRequest { replicas: 2, quorum: 3, ..good.clone() }),
        ("confidence", SubmitTaskRequest { confidence: "1".into(), ..good.clone() }),
        ("confidence", SubmitTaskRequest { confidence: "0.9".into(), replicas: 2, ..good.clone() }),
        ("expect_digest", SubmitTaskRequest { expect_digest: "sha256:1".into(), ..good.clone() }),
        ("expect_digest", SubmitTaskRequest { expect_digest: known, quorum: 1, ..good.clone() }),
        ("compare", SubmitTaskRequest { compare: "roughly".into(), replicas: 2, ..good.clone() }),
        ("compare", SubmitTaskRequest { compare: "numeric".into(), ..good.clone() }),
        ("compare_tolerance", SubmitTaskRequest { compare_tolerance: 0.1, replicas: 2, ..good.clone() }),
        ("compare_argv", SubmitTaskRequest { compare_argv: vec!["diff".into()], replicas: 2, ..good.clone() }),
        ("compare_argv", SubmitTaskRequest { compare: "command".into(), replicas: 2, ..good.clone() }),
    ];
    for (field, request) in cases {
        let why = submit(&ada, request).await.unwrap_err();
        let named = why.split_once(": ").is_some_and(|(_, text)| text.starts_with(&format!("{field}: ")));
        assert!(why.starts_with("E_") && named, "{field}: {why}");
    }
    assert_eq!(ada.funds().await, (150_000_000, 0));
}

#[tokio::test]
async fn what_was_wished_is_told_again() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let (open, ended) = (ada.submit("open").await, ada.submit("ended").await);
    cancel(&ada, &ended, "").await.unwrap();
    let each = submit(&ada, array(&ada, "1-5000")).await.unwrap();
    cancel(&ada, &each, "").await.unwrap();
    let on = |task_id: &str, when: &str| Dependency { task_id: task_id.into(), when: when.into(), each: false };
    let request = SubmitTaskRequest {
        after: vec![on(&open, ""), on(&ended, "end"), Dependency { each: true, ..on(&each, "") }],
        labels: vec!["b=2".into(), "a=1".into()],
        replicas: 3,
        quorum: 2,
        ..array(&ada, "2-4,9")
    };
    let task = submit(&ada, request).await.unwrap();
    let told = ada.status(&task).await.task.unwrap();
    assert_eq!(
        (told.array.as_str(), told.labels, told.elements.unwrap().total),
        ("2-4,9", vec!["a=1".to_owned(), "b=2".into()], 4)
    );
    let told_each = Dependency { each: true, ..on(&each, "success") };
    assert_eq!(told.after, [on(&open, "success"), on(&ended, "end"), told_each]);
    assert_eq!(told.verification, "2 of 3 copies must agree");
}

#[tokio::test]
async fn a_plain_task_is_retried_as_it_was() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("plain").await;
    let assign = assigned(&mut link).await;
    assert_eq!(env(&assign), []);
    link.started(assign.attempt.unwrap()).await;
    link.send(exited(assign.attempt.unwrap(), 1)).await;
    assert_eq!(link.acknowledged().await, "");
    assert!(retry(&eve, &task, "", "").await.message.starts_with("E_NOT_FOUND: "));
    assert!(retry(&ada, &task, "1", "").await.message.starts_with("E_INVALID: elements: "));
    let again = retry(&ada, &task, "", "").await;
    assert!(again.success, "{}", again.message);
    let told = ada.status(&again.task_id).await.task.unwrap();
    assert_eq!((told.task_name.as_str(), told.array.as_str(), told.elements.unwrap().total), ("plain", "", 1));
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.finished(attempt, 0).await;
    assert_eq!(link.acknowledged().await, "");
    assert!(retry(&ada, &again.task_id, "", "").await.message.starts_with("E_CONFLICT: "));
    assert!(retry(&ada, &again.task_id, "0", "").await.success, "named elements are run again, whatever came of them");
}
