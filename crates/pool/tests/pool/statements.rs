//! Statements: pages, filters, and the entries of a task.

use crate::support::{TestPool, User, finished, hello, within};
use hivemind_proto::v1::*;
use hivemind_proto::worker::worker_event::Event;
use tonic::{Code, Status};

async fn page(user: &User, request: StatementRequest) -> Result<StatementResponse, Status> {
    let request = StatementRequest { token: user.token.clone(), ..request };
    within(user.money().statement(request)).await.map(tonic::Response::into_inner)
}

/// Every line, newest first, read in pages of that size.
async fn whole(user: &User, page_size: i32, request: StatementRequest) -> Vec<StatementLine> {
    let (mut lines, mut page_token) = (Vec::new(), String::new());
    loop {
        let answer = page(user, StatementRequest { page_size, page_token, ..request.clone() }).await.unwrap();
        lines.extend(answer.lines);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return lines;
        }
    }
}

async fn entries(user: &User, task_id: &str) -> Result<TaskEntriesResponse, Status> {
    let request = TaskEntriesRequest { token: user.token.clone(), task_id: task_id.into() };
    within(user.money().task_entries(request)).await.map(tonic::Response::into_inner)
}

/// Ada's task runs on Bob's node; Ada pays Bob and cancels another task. Gives the task that ran.
async fn history(pool: &TestPool, ada: &User, bob: &User) -> String {
    let identity = pool.join(bob, "lab").await;
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.send(Event::Finished(finished(attempt, 0))).await;
    assert_eq!(link.acknowledged().await, "");
    for micro in 1..=5 {
        assert!(ada.pay("bob", 1, micro, "").await.success);
    }
    assert!(bob.pay("ada", 2, 0, "").await.success);
    let large = SubmitTaskRequest { required_cpu_cores: 64, ..ada.task("large") };
    let large = within(ada.tasks().submit_task(large)).await.unwrap().into_inner().task_id;
    within(ada.tasks().cancel_task(CancelTaskRequest {
        token: ada.token.clone(),
        task_id: large,
        ..Default::default()
    }))
    .await
    .unwrap();
    task
}

#[tokio::test]
async fn a_statement_in_pages_is_the_whole_statement_and_adds_up() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let task = history(&pool, &ada, &bob).await;
    for user in [&ada, &bob] {
        let all = whole(user, 1000, StatementRequest::default()).await;
        for size in [1, 2, 3] {
            assert_eq!(whole(user, size, StatementRequest::default()).await, all, "pages of {size}");
        }
        let order: Vec<i64> = all.iter().map(|line| line.entry).collect();
        assert!(order.windows(2).all(|pair| pair[0] >= pair[1]), "newest first: {order:?}");
        // Read backwards, every balance is the one before plus the amount; at the end it is what there is.
        let mut balances = std::collections::BTreeMap::new();
        for line in all.iter().rev() {
            let balance = balances.entry(line.account.clone()).or_insert(0);
            *balance += line.amount_micro;
            assert_eq!(*balance, line.balance_micro, "{line:?}");
        }
        let funds = user.balance().await;
        let have = |account: &str| balances.get(account).copied().unwrap_or_default();
        assert_eq!(have("available") + have("promo"), funds.balance_micro);
        assert_eq!((have("promo"), have("held"), have("pending")), (funds.promo_micro, funds.held_micro, 0));
    }
    let bobs = whole(&bob, 100, StatementRequest { task_id: task.clone(), ..StatementRequest::default() }).await;
    assert!(!bobs.is_empty() && bobs.iter().all(|line| line.counterparty == "ada" && line.holder == "bob"), "{bobs:?}");
}

#[tokio::test]
async fn filters_choose_what_the_journal_has() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let task = history(&pool, &ada, &bob).await;
    let all = whole(&ada, 1000, StatementRequest::default()).await;
    let check = async |request: StatementRequest, wanted: &dyn Fn(&StatementLine) -> bool| {
        let expected: Vec<StatementLine> = all.iter().filter(|line| wanted(line)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "the filter tells nothing: {request:?}");
        assert_eq!(whole(&ada, 2, request.clone()).await, expected, "{request:?}");
    };
    let kinds = |words: &[&str]| StatementRequest {
        kinds: words.iter().map(ToString::to_string).collect(),
        ..StatementRequest::default()
    };
    check(kinds(&["transfer"]), &|line| line.kind == "transfer").await;
    check(kinds(&["release", "sign_up"]), &|line| line.kind == "release" || line.kind == "sign_up").await;
    let accounts = StatementRequest { accounts: vec!["held".into()], ..StatementRequest::default() };
    check(accounts, &|line| line.account == "held").await;
    let about = StatementRequest { task_id: task.clone(), ..StatementRequest::default() };
    check(about, &|line| line.task_id == task).await;
    let (first, last) = (all.last().unwrap().at_unix_ms, all[0].at_unix_ms);
    let late = StatementRequest { from_unix_ms: last, ..StatementRequest::default() };
    let expected: Vec<_> = all.iter().filter(|line| line.at_unix_ms >= last).cloned().collect();
    assert_eq!(whole(&ada, 100, late).await, expected);
    let early = StatementRequest { to_unix_ms: first, ..StatementRequest::default() };
    assert!(whole(&ada, 100, early).await.is_empty(), "the end is not shown any more");
}

#[tokio::test]
async fn bad_statements_name_the_field() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let none = StatementRequest::default();
    for (field, request) in [
        ("from_unix_ms", StatementRequest { from_unix_ms: 2, to_unix_ms: 1, ..none.clone() }),
        ("from_unix_ms", StatementRequest { from_unix_ms: -1, ..none.clone() }),
        ("to_unix_ms", StatementRequest { to_unix_ms: i64::MIN, ..none.clone() }),
        ("kinds", StatementRequest { kinds: vec!["genesis".into()], ..none.clone() }),
        ("kinds", StatementRequest { kinds: vec!["Transfer".into()], ..none.clone() }),
        ("kinds", StatementRequest { kinds: vec!["hold".into(); 13], ..none.clone() }),
        ("accounts", StatementRequest { accounts: vec!["treasury".into()], ..none.clone() }),
        ("accounts", StatementRequest { accounts: vec!["project".into()], ..none.clone() }),
        ("task_id", StatementRequest { task_id: "task_x".into(), ..none.clone() }),
        ("page_size", StatementRequest { page_size: -1, ..none.clone() }),
        ("page_size", StatementRequest { page_size: 1001, ..none.clone() }),
        ("page_token", StatementRequest { page_token: "x".into(), ..none.clone() }),
        ("page_token", StatementRequest { page_token: "YmVmb3JlOjE".into(), ..none.clone() }),
    ] {
        let status = page(&ada, request).await.unwrap_err();
        let named = status.message().starts_with(&format!("E_INVALID: {field}"));
        assert!(status.code() == Code::InvalidArgument && named, "{field}: {status}");
    }
    let nobodys = StatementRequest { task_id: format!("task_{}", u64::MAX), ..none };
    assert!(page(&ada, nobodys).await.unwrap().lines.is_empty());
}

#[tokio::test]
async fn the_entries_of_a_task_are_its_requesters_only() {
    let pool = TestPool::start().await;
    let (ada, bob, operator) = (pool.user("ada").await, pool.user("bob").await, pool.operator().await);
    let task = history(&pool, &ada, &bob).await;
    let told = entries(&ada, &task).await.unwrap();
    assert!(!told.cut);
    let kinds: Vec<&str> = told.lines.iter().map(|line| line.kind.as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"hold"), Some(&"settlement")));
    assert!(told.lines.iter().any(|line| line.holder == "bob" && line.account == "available"), "{told:?}");
    let numbers: Vec<i64> = told.lines.iter().map(|line| line.entry).collect();
    for entry in &numbers {
        let sides = told.lines.iter().filter(|line| line.entry == *entry);
        assert_eq!(sides.map(|line| line.amount_micro).sum::<i64>(), 0, "every side of entry {entry} is there");
    }
    for stranger in [bob, operator] {
        let status = entries(&stranger, &task).await.unwrap_err();
        let never = entries(&stranger, "task_99").await.unwrap_err();
        assert_eq!(status.message().replace(&task, "task_99"), never.message());
        assert_eq!(status.code(), Code::NotFound);
    }
    assert_eq!(entries(&ada, "x").await.unwrap_err().code(), Code::InvalidArgument);
}
