//! Quotes: what a task would cost, and who could run it.

use crate::support::{Link, TestPool, User, hello, within};
use hivemind_proto::v1::*;
use tonic::Status;

async fn quote(user: &User, task: SubmitTaskRequest) -> Result<QuoteResponse, Status> {
    let request = QuoteRequest { token: user.token.clone(), task: Some(task), kind: String::new() };
    within(user.tasks().quote(request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn what_is_quoted_is_what_is_held() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let tasks = [
        ada.task("plain"),
        SubmitTaskRequest { max_runtime: 1, required_memory: 7, ..ada.task("small") },
        SubmitTaskRequest { max_runtime: 7777, required_cpu_cores: 3, required_memory: 1234, ..ada.task("odd") },
        SubmitTaskRequest { max_runtime: 0, required_gpus: 1, ..ada.task("gpu") },
    ];
    for task in tasks {
        let before = ada.funds().await;
        let told = quote(&ada, task.clone()).await.unwrap();
        assert_eq!(ada.funds().await, before, "a quote holds nothing");
        let sum: i64 = told.lines.iter().map(|line| line.amount_micro).sum();
        assert_eq!((sum, told.balance_micro), (told.price_cap_micro, before.0));
        let submitted = within(ada.tasks().submit_task(task)).await.unwrap().into_inner();
        assert_eq!(submitted.price_cap_micro, told.price_cap_micro, "{}", submitted.message);
        assert_eq!(ada.funds().await.1 - before.1, told.price_cap_micro);
    }
}

#[tokio::test]
async fn a_quote_is_checked_as_a_submission_is() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let good = ada.task("one");
    for (field, task) in [
        ("docker_image", SubmitTaskRequest { docker_image: String::new(), ..good.clone() }),
        ("max_runtime", SubmitTaskRequest { max_runtime: -1, ..good.clone() }),
        ("max_price_micro", SubmitTaskRequest { max_price_micro: -1, ..good.clone() }),
        ("min_level", SubmitTaskRequest { min_level: "top".into(), ..good.clone() }),
        ("files", SubmitTaskRequest { files: vec!["../a=aGk=".into()], ..good.clone() }),
        ("files", SubmitTaskRequest { files: vec!["a=".into(); 1001], ..good.clone() }),
    ] {
        let status = quote(&ada, task).await.unwrap_err();
        assert!(status.message().contains(&format!(": {field}: ")), "{field}: {status}");
    }
    let request = QuoteRequest { token: ada.token.clone(), task: None, kind: String::new() };
    let status = within(ada.tasks().quote(request)).await.unwrap_err();
    assert!(status.message().starts_with("E_INVALID: docker_image"), "{status}");
}

#[tokio::test]
async fn a_price_above_what_is_wanted_is_refused_and_holds_nothing() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let cap = quote(&ada, ada.task("one")).await.unwrap().price_cap_micro;
    let with = |max_price_micro| SubmitTaskRequest { max_price_micro, ..ada.task("one") };
    let answer = within(ada.tasks().submit_task(with(cap - 1))).await.unwrap().into_inner();
    assert!(!answer.success && answer.message.starts_with("E_MAX_PRICE: "), "{}", answer.message);
    assert_eq!(ada.funds().await, (150_000_000, 0));
    assert_eq!(quote(&ada, with(1)).await.unwrap().price_cap_micro, cap, "a quote tells the price all the same");
    assert!(within(ada.tasks().submit_task(with(cap))).await.unwrap().into_inner().success);
}

/// Runs a task; gives its run time and what it cost.
async fn run(user: &User, link: &mut Link, task: SubmitTaskRequest) -> (i64, i64) {
    let answer = within(user.tasks().submit_task(task)).await.unwrap().into_inner();
    assert!(answer.success, "{}", answer.message);
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.finished(attempt, 0).await;
    assert_eq!(link.acknowledged().await, "");
    let told = user.status(&answer.task_id).await.task.unwrap();
    (told.wall_ms, told.cost_micro)
}

#[tokio::test]
async fn the_expected_price_comes_from_tasks_alike() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let none = quote(&ada, ada.task("one")).await.unwrap();
    assert_eq!((none.expected_micro, none.expected_wall_ms), (none.price_cap_micro, 60_000));
    assert!(none.expected_basis.contains("price cap"), "{}", none.expected_basis);
    assert_eq!((none.nodes_capable, none.nodes_free), (0, 0));
    assert!(none.waiting_reason.contains("no node is linked"), "{}", none.waiting_reason);
    let identity = pool.join(&bob, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let other = SubmitTaskRequest { command: "sleep 9".into(), ..ada.task("other") };
    let ran = run(&ada, &mut link, other).await;
    let image = quote(&ada, ada.task("one")).await.unwrap();
    assert_eq!((image.expected_wall_ms, image.expected_micro), ran);
    assert_eq!(image.expected_basis, "the run time of your newest completed task with this image");
    let mut ran = Vec::new();
    for _ in 0..3 {
        ran.push(run(&ada, &mut link, ada.task("alike")).await);
    }
    ran.sort_unstable();
    let told = quote(&ada, ada.task("one")).await.unwrap();
    assert_eq!((told.expected_wall_ms, told.expected_micro), ran[1]);
    let basis = "the median run time of your 3 newest completed tasks with this image, command and resources";
    assert_eq!(told.expected_basis, basis);
    assert_eq!((told.nodes_capable, told.nodes_free, told.waiting_reason.as_str()), (1, 1, ""));
    let strangers = quote(&bob, bob.task("one")).await.unwrap();
    assert_eq!(strangers.expected_micro, strangers.price_cap_micro, "another user's run times are not read");
    let golden = SubmitTaskRequest { min_level: "gold".into(), ..ada.task("one") };
    let golden = quote(&ada, golden).await.unwrap();
    assert_eq!((golden.nodes_capable, golden.nodes_free), (0, 0));
    assert!(golden.waiting_reason.contains("gold"), "{}", golden.waiting_reason);
}
