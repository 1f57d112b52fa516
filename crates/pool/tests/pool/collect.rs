//! Results that equal tasks take, and what goes once it was kept for long enough.

use crate::streams::upload;
use crate::support::{Link, TestPool, User, finished, hello, within};
use hivemind_model::{Millis, Policy};
use hivemind_pool::Tuning;
use hivemind_proto::v1::*;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{AttemptRef, OutputChunk};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tonic::Status;

fn reusing(user: &User, input: &str) -> SubmitTaskRequest {
    let inputs = vec![InputFile { path: "in.txt".into(), digest: input.into() }];
    let docker_image = format!("bb@sha256:{}", "a".repeat(64));
    SubmitTaskRequest { docker_image, inputs, reuse: true, ..user.task("r") }
}

async fn submit(user: &User, request: SubmitTaskRequest) -> String {
    let answer = within(user.tasks().submit_task(request)).await.unwrap().into_inner();
    assert!(answer.success, "{}", answer.message);
    answer.task_id
}

/// Runs an attempt to its end: it writes "hi" and leaves an archive.
async fn complete(link: &mut Link, attempt: AttemptRef) {
    let chunk = OutputChunk { attempt: Some(attempt), size: 7, data: "archive".into(), ..OutputChunk::default() };
    let mut calls = WorkerServiceClient::new(link.channel.clone());
    let stored = within(calls.store_output(tokio_stream::iter([chunk]))).await.unwrap().into_inner();
    link.started(attempt).await;
    link.log(attempt, 0, b"hi").await;
    let report = hivemind_proto::worker::AttemptFinished {
        output_digest: stored.digest,
        output_bytes: 7,
        ..finished(attempt, 2)
    };
    link.send(FromWorker::Finished(report)).await;
    assert_eq!(link.acknowledged().await, "");
}

async fn download(user: &User, task: &str) -> Result<String, Status> {
    let request =
        DownloadOutputRequest { token: user.token.clone(), task_id: task.into(), ..DownloadOutputRequest::default() };
    let mut chunks = within(user.tasks().download_output(request)).await?.into_inner();
    let mut content = Vec::new();
    while let Some(chunk) = within(chunks.message()).await? {
        content.extend_from_slice(&chunk.data);
    }
    Ok(String::from_utf8(content).unwrap())
}

async fn logs(user: &User, task: &str) -> Result<String, Status> {
    let request = FollowLogsRequest { token: user.token.clone(), task_id: task.into(), ..Default::default() };
    let mut chunks = within(user.tasks().follow_logs(request)).await?.into_inner();
    let mut content = Vec::new();
    while let Some(chunk) = within(chunks.message()).await? {
        content.extend_from_slice(&chunk.data);
    }
    Ok(String::from_utf8(content).unwrap())
}

#[tokio::test]
async fn an_equal_task_has_the_known_result_at_once_and_for_nothing() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let input = upload(&ada, 5, &["hello"]).await.unwrap().digest;
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    let first = submit(&ada, reusing(&ada, &input)).await;
    let attempt = link.assigned().await;
    complete(&mut link, attempt).await;
    let (funds, original) = (ada.funds().await, ada.status(&first).await);
    assert_eq!((original.status.as_str(), original.result.as_str()), ("completed", "hi"));
    let again = submit(&ada, SubmitTaskRequest { task_name: "other".into(), ..reusing(&ada, &input) }).await;
    let status = ada.status(&again).await;
    assert_eq!((status.status.as_str(), status.result.as_str()), ("completed", "hi"));
    let shown = status.task.unwrap();
    assert_eq!((shown.reused_from.as_str(), shown.cost_micro), (first.as_str(), 0));
    assert_eq!(ada.funds().await, funds);
    assert_eq!(download(&ada, &again).await.unwrap(), "archive");
    assert_eq!(logs(&ada, &again).await.unwrap(), "hi");
    // Whatever could change the result makes another task, and so does another user.
    upload(&eve, 5, &["hello"]).await.unwrap();
    let other = upload(&ada, 5, &["hullo"]).await.unwrap().digest;
    for (user, request) in [
        (&eve, reusing(&eve, &input)),
        (&ada, reusing(&ada, &other)),
        (&ada, SubmitTaskRequest { command: "echo ho".into(), ..reusing(&ada, &input) }),
        (&ada, SubmitTaskRequest { max_runtime: 61, ..reusing(&ada, &input) }),
        (&ada, SubmitTaskRequest { reuse: false, ..reusing(&ada, &input) }),
    ] {
        let task = submit(user, request).await;
        let status = user.status(&task).await;
        assert_eq!((status.task.unwrap().reused_from.as_str(), status.result.as_str()), ("", ""));
    }
    let tagged = SubmitTaskRequest { docker_image: "bb:1".into(), ..reusing(&ada, &input) };
    let answer = within(ada.tasks().submit_task(tagged)).await.unwrap().into_inner();
    assert!(answer.message.starts_with("E_INVALID: reuse: "), "{}", answer.message);
}

#[tokio::test]
async fn what_was_kept_for_long_enough_goes_and_says_so() {
    let mut policy = Policy::default();
    policy.limits.keep_results = Millis(1);
    let often = Duration::from_millis(20);
    let tuning = Tuning { collect_every: often, unnamed_for: Duration::ZERO, ..Tuning::default() };
    let pool = TestPool::start_with(policy, tuning).await;
    let ada = pool.user("ada").await;
    let input = upload(&ada, 5, &["hello"]).await.unwrap().digest;
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    // Its input came with it, so that nothing but the task names it.
    let request = SubmitTaskRequest { files: vec!["inline.txt=aGk=".into()], ..reusing(&ada, &input) };
    let first = submit(&ada, request.clone()).await;
    let attempt = link.assigned().await;
    complete(&mut link, attempt).await;
    let status = within(async {
        loop {
            match (download(&ada, &first).await, logs(&ada, &first).await) {
                (Err(output), Err(logs)) => break [output, logs],
                (Ok(_), _) | (_, Ok(_)) => tokio::task::yield_now().await,
            }
        }
    });
    for status in status.await {
        assert!(status.message().starts_with("E_NOT_FOUND: ") && status.message().contains(" was kept until "));
    }
    assert!(ada.status(&first).await.result.contains(" was kept until "));
    // What its user sent is theirs for longer; what came with the task is not.
    let retry = RetryTaskRequest { token: ada.token.clone(), task_id: first.clone(), ..Default::default() };
    let named = RetryTaskRequest { elements: "0".into(), ..retry };
    let name = hex::encode(Sha256::digest("hi"));
    let content = pool.data().join("blobs").join(&name[..2]).join(&name[2..]);
    within(async {
        while content.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let refused = within(ada.tasks().retry_task(named)).await.unwrap().into_inner().message;
    assert!(refused.contains("`inline.txt`"), "{refused}");
    assert!(refused.starts_with("E_NOT_FOUND: task_id: ") && refused.contains("is gone from the pool"), "{refused}");
    // An equal task runs anew, with what it needs.
    let again = submit(&ada, request).await;
    assert_eq!(ada.status(&again).await.task.unwrap().reused_from, "");
}
