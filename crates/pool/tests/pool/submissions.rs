//! Submissions: bad input of every kind, files, and other people's tasks.

use crate::support::{PASSWORD, TestPool, within};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hivemind_model::{Bytes, Policy};
use hivemind_pool::Tuning;
use hivemind_proto::v1::*;
use std::path::Path;
use tonic::Code;

fn files_below(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn every_bad_field_is_named_and_nothing_is_held() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let good = ada.task("one");
    let file = |text: &str| SubmitTaskRequest { files: vec![text.into()], ..good.clone() };
    let input = |digest: &str| SubmitTaskRequest {
        inputs: vec![InputFile { path: "a".into(), digest: digest.into() }],
        ..good.clone()
    };
    let cases = [
        ("task_name", SubmitTaskRequest { task_name: "x".repeat(201), ..good.clone() }),
        ("task_name", SubmitTaskRequest { task_name: "a\u{2066}b".into(), ..good.clone() }),
        ("task_name", SubmitTaskRequest { task_name: "a\nb".into(), ..good.clone() }),
        ("docker_image", SubmitTaskRequest { docker_image: String::new(), ..good.clone() }),
        ("docker_image", SubmitTaskRequest { docker_image: "not an image".into(), ..good.clone() }),
        ("command", SubmitTaskRequest { command: "echo 'open".into(), ..good.clone() }),
        ("command", SubmitTaskRequest { command: "''".into(), ..good.clone() }),
        ("argv", SubmitTaskRequest { argv: vec!["echo".into()], ..good.clone() }),
        ("priority", SubmitTaskRequest { priority: 11, ..good.clone() }),
        ("priority", SubmitTaskRequest { priority: -1, ..good.clone() }),
        ("max_runtime", SubmitTaskRequest { max_runtime: -1, ..good.clone() }),
        ("max_runtime", SubmitTaskRequest { max_runtime: i64::MAX, ..good.clone() }),
        ("required_memory", SubmitTaskRequest { required_memory: -1, ..good.clone() }),
        ("required_memory", SubmitTaskRequest { required_memory: 1, ..good.clone() }),
        ("required_memory", SubmitTaskRequest { required_memory: i64::MAX, ..good.clone() }),
        ("required_cpu_cores", SubmitTaskRequest { required_cpu_cores: -1, ..good.clone() }),
        ("required_cpu_cores", SubmitTaskRequest { required_cpu_cores: i32::MAX, ..good.clone() }),
        ("required_disk_mb", SubmitTaskRequest { required_disk_mb: -5, ..good.clone() }),
        ("required_gpus", SubmitTaskRequest { required_gpus: -1, ..good.clone() }),
        ("required_gpus", SubmitTaskRequest { required_gpus: 65, ..good.clone() }),
        ("request_id", SubmitTaskRequest { request_id: "x".repeat(129), ..good.clone() }),
        ("files", file("no equals sign")),
        ("files", file("a=not base64!")),
        ("files", file("../a=aGk=")),
        ("files", file("/etc/passwd=aGk=")),
        ("files", file("=aGk=")),
        ("files", SubmitTaskRequest { files: vec!["a=aGk=".into(), "a=aGk=".into()], ..good.clone() }),
        ("files", SubmitTaskRequest { files: (0..1001).map(|index| format!("f{index}=")).collect(), ..good.clone() }),
        ("max_price_micro", SubmitTaskRequest { max_price_micro: -1, ..good.clone() }),
        ("min_level", SubmitTaskRequest { min_level: "Gold".into(), ..good.clone() }),
        ("min_level", SubmitTaskRequest { min_level: "emperor".into(), ..good.clone() }),
        ("inputs", input("sha256:12")),
        ("inputs", input(&format!("sha256:{}", "0".repeat(64)))),
    ];
    for (field, request) in cases {
        let answer = within(ada.tasks().submit_task(request)).await.unwrap().into_inner();
        let named = answer
            .message
            .split_once(": ")
            .is_some_and(|(code, text)| code.starts_with("E_") && text.starts_with(field));
        assert!(!answer.success && named, "{field}: {}", answer.message);
    }
    assert_eq!(ada.funds().await, (150_000_000, 0));
    assert_eq!(files_below(&pool.data().join("blobs")), 0, "a refused submission left files");
}

#[tokio::test]
async fn too_little_money_says_what_is_needed_and_what_is_there() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let request = SubmitTaskRequest { max_runtime: 30 * 24 * 3600, required_cpu_cores: 64, ..ada.task("dear") };
    let answer = within(ada.tasks().submit_task(request)).await.unwrap().into_inner();
    assert!(
        answer.message.starts_with("E_INSUFFICIENT_CPT: ") && answer.message.contains("150.00 CPT"),
        "{}",
        answer.message
    );
}

#[tokio::test]
async fn large_files_are_refused_with_the_way_out() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let nine =
        SubmitTaskRequest { files: vec![format!("a={}", STANDARD.encode(vec![7; 9 << 20]))], ..ada.task("nine") };
    let answer = within(ada.tasks().submit_task(ada.bearing(nine))).await.unwrap().into_inner();
    assert!(
        answer.message.starts_with("E_TOO_LARGE: files: ") && answer.message.contains("Upload"),
        "{}",
        answer.message
    );
    let hundred = SubmitTaskRequest { files: vec![format!("a={}", "A".repeat(100 << 20))], ..ada.task("hundred") };
    let status = within(ada.tasks().submit_task(ada.bearing(hundred))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(
        status.message().starts_with("E_TOO_LARGE: ") && status.message().contains("Upload"),
        "{}",
        status.message()
    );
    assert!(ada.status(&ada.submit("after").await).await.success, "the connection is of no use any more");
}

#[tokio::test]
async fn many_submissions_have_an_answer_each() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let mut tasks: Vec<_> = (0..20).map(|index| ada.task(&format!("t{index}"))).collect();
    tasks[7].docker_image = String::new();
    let answers = within(ada.tasks().submit_tasks(SubmitTasksRequest { token: ada.token.clone(), tasks }))
        .await
        .unwrap()
        .into_inner()
        .tasks;
    let refused: Vec<usize> =
        answers.iter().enumerate().filter(|(_, answer)| !answer.success).map(|(index, _)| index).collect();
    assert_eq!(refused, [7]);
    let request = |page_token: String| ListTasksRequest {
        token: ada.token.clone(),
        status: vec!["pending".into()],
        page_size: 10,
        page_token,
        q: String::new(),
    };
    let first = within(ada.tasks().list_tasks(request(String::new()))).await.unwrap().into_inner();
    let second = within(ada.tasks().list_tasks(request(first.next_page_token.clone()))).await.unwrap().into_inner();
    assert_eq!((first.tasks.len(), second.tasks.len(), second.next_page_token.as_str()), (10, 9, ""));
    assert_eq!(first.tasks[0].task_name, "t19");
    for bad in ["x", "YmVmb3JlOi0x", "!"] {
        let status = within(ada.tasks().list_tasks(request(bad.into()))).await.unwrap_err();
        assert!(
            status.code() == Code::InvalidArgument && status.message().starts_with("E_INVALID: page_token"),
            "{status}"
        );
    }
}

#[tokio::test]
async fn one_request_id_submits_one_task() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let request = SubmitTaskRequest { request_id: "once".into(), files: vec!["a=aGk=".into()], ..ada.task("one") };
    let first = within(ada.tasks().submit_task(request.clone())).await.unwrap().into_inner();
    assert_eq!(within(ada.tasks().submit_task(request.clone())).await.unwrap().into_inner(), first);
    let other =
        within(ada.tasks().submit_task(SubmitTaskRequest { priority: 9, ..request })).await.unwrap().into_inner();
    assert!(other.message.starts_with("E_ID_REUSED: "), "{}", other.message);
}

#[tokio::test]
async fn another_users_task_does_not_exist() {
    let pool = TestPool::start().await;
    let (ada, eve, operator) = (pool.user("ada").await, pool.user("eve").await, pool.operator().await);
    let task = ada.submit("secret").await;
    for stranger in [eve, operator] {
        let (token, id) = (stranger.token.clone(), task.clone());
        let seen = stranger.status(&task).await;
        let never = stranger.status("task_99").await;
        assert_eq!(seen.error_message.replace(&task, "task_99"), never.error_message);
        assert!(!seen.success && seen.error_message.starts_with("E_NOT_FOUND: "), "{}", seen.error_message);
        let codes = [
            within(stranger.tasks().cancel_task(CancelTaskRequest {
                token: token.clone(),
                task_id: id.clone(),
                ..Default::default()
            }))
            .await
            .err(),
            within(stranger.tasks().watch_tasks(WatchTasksRequest {
                token: token.clone(),
                task_ids: vec![id.clone()],
                changes_only: false,
            }))
            .await
            .err(),
            within(stranger.tasks().explain(ExplainRequest { token: token.clone(), task_id: id.clone() })).await.err(),
            within(stranger.tasks().list_elements(ListElementsRequest {
                token: token.clone(),
                task_id: id.clone(),
                ..Default::default()
            }))
            .await
            .err(),
            within(stranger.tasks().follow_logs(FollowLogsRequest {
                token: token.clone(),
                task_id: id.clone(),
                ..FollowLogsRequest::default()
            }))
            .await
            .err(),
            within(stranger.tasks().download_output(DownloadOutputRequest {
                token: token.clone(),
                task_id: id,
                offset: 0,
                ..Default::default()
            }))
            .await
            .err(),
        ];
        assert!(codes.into_iter().all(|status| status.is_some_and(|status| status.code() == Code::NotFound)));
        let list = within(stranger.tasks().list_tasks(ListTasksRequest { token, ..ListTasksRequest::default() }))
            .await
            .unwrap()
            .into_inner();
        assert!(list.tasks.is_empty());
    }
    assert_eq!(ada.status(&task).await.status, "pending");
}

#[tokio::test]
async fn a_cancelled_task_gives_its_hold_back() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = ada.submit("one").await;
    assert!(ada.funds().await.1 > 0);
    for _ in 0..2 {
        let request = CancelTaskRequest { token: ada.token.clone(), task_id: task.clone(), ..Default::default() };
        assert_eq!(within(ada.tasks().cancel_task(request)).await.unwrap().into_inner().status, "cancelled");
    }
    assert_eq!(ada.funds().await, (150_000_000, 0));
    let bad = within(ada.tasks().cancel_task(CancelTaskRequest {
        token: ada.token.clone(),
        task_id: "task_x".into(),
        ..Default::default()
    }))
    .await
    .unwrap_err();
    assert!(bad.code() == Code::InvalidArgument && bad.message().starts_with("E_INVALID: task_id"), "{bad}");
}

#[tokio::test]
async fn a_full_disk_is_told_and_takes_nothing() {
    let tuning = Tuning { disk_reserve: Bytes(u64::MAX), ..Tuning::default() };
    let pool = TestPool::start_with(Policy::default(), tuning).await;
    let ada = pool.user("ada").await;
    let request = SubmitTaskRequest { files: vec!["a=aGk=".into()], ..ada.task("one") };
    let upload = UploadChunk { token: ada.token.clone(), size: 2, data: "hi".into(), ..UploadChunk::default() };
    let refusals = [
        within(ada.tasks().submit_task(request)).await.err().unwrap(),
        within(ada.tasks().upload(tokio_stream::iter([upload]))).await.err().unwrap(),
    ];
    for status in refusals {
        assert!(status.code() == Code::ResourceExhausted && status.message().starts_with("E_DISK_FULL: "), "{status}");
    }
    assert_eq!(ada.funds().await, (150_000_000, 0));
    assert_eq!(files_below(&pool.data().join("blobs")), 0);
    ada.submit("without files").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_new_begins_and_nobody_is_cut_off() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let open = ada.submit("open").await;
    let tuning = Tuning { command_reserve: Bytes(u64::MAX), ..Tuning::default() };
    let pool = pool.restart_with(tuning).await;
    let ada = pool.login("ada", PASSWORD).await;
    let refused = within(ada.tasks().submit_task(ada.task("new"))).await.err().unwrap();
    assert!(refused.code() == Code::ResourceExhausted && refused.message().starts_with("E_DISK_FULL: "), "{refused}");
    let cancel = CancelTaskRequest { token: ada.token.clone(), task_id: open, ..Default::default() };
    within(ada.tasks().cancel_task(cancel)).await.expect("what ends is always taken");
    assert_eq!(ada.funds().await, (150_000_000, 0));
}
