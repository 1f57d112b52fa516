//! Uploads and watchers.

use crate::support::{TestPool, User, within};
use hivemind_proto::v1::*;
use std::path::Path;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

pub(crate) async fn upload(user: &User, size: i64, parts: &[&'static str]) -> Result<UploadResponse, Status> {
    let mut chunks =
        vec![UploadChunk { token: user.token.clone(), size, data: Default::default(), ..UploadChunk::default() }];
    chunks.extend(parts.iter().map(|part| UploadChunk { data: (*part).into(), ..UploadChunk::default() }));
    within(user.tasks().upload(tokio_stream::iter(chunks))).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_upload_is_an_input_of_its_user_only() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let digest = upload(&ada, 5, &["he", "llo"]).await.unwrap().digest;
    let with_input = |user: &User| SubmitTaskRequest {
        inputs: vec![InputFile { path: "in.txt".into(), digest: digest.clone() }],
        ..user.task("in")
    };
    assert!(within(ada.tasks().submit_task(with_input(&ada))).await.unwrap().into_inner().success);
    let answer = within(eve.tasks().submit_task(with_input(&eve))).await.unwrap().into_inner();
    assert!(answer.message.starts_with("E_NOT_FOUND: inputs: "), "{}", answer.message);
}

#[tokio::test]
async fn bad_uploads_are_refused_and_leave_nothing() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    for (size, parts, field, code) in [
        (-1, &["x"][..], "size", Code::InvalidArgument),
        (i64::MAX, &["x"], "size", Code::ResourceExhausted),
        (1, &["xy"], "data", Code::InvalidArgument),
        (3, &["xy"], "size", Code::InvalidArgument),
    ] {
        let status = upload(&ada, size, parts).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(&format!(": {field}: ")), "{status}");
    }
    assert_eq!(entries(&pool.data().join("blobs/tmp")), 0);
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let tmp = pool.data().join("blobs/tmp");
    let (sender, receiver) = mpsc::channel(4);
    let mut tasks = ada.tasks();
    let call = tokio::spawn(async move { tasks.upload(ReceiverStream::new(receiver)).await });
    sender
        .send(UploadChunk { token: ada.token.clone(), size: 100, data: "half".into(), ..UploadChunk::default() })
        .await
        .unwrap();
    let until = |count: usize| {
        let tmp = tmp.clone();
        within(async move {
            while entries(&tmp) != count {
                tokio::task::yield_now().await;
            }
        })
    };
    until(1).await;
    call.abort();
    drop(sender);
    until(0).await;
}

#[tokio::test]
async fn a_watcher_sees_the_state_and_every_change_and_the_end() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = ada.submit("one").await;
    let request = WatchTasksRequest { token: ada.token.clone(), task_ids: vec![task.clone()], changes_only: false };
    let mut events = within(ada.tasks().watch_tasks(request)).await.unwrap().into_inner();
    assert_eq!(within(events.message()).await.unwrap().unwrap().status, "pending");
    within(ada.tasks().cancel_task(CancelTaskRequest {
        token: ada.token.clone(),
        task_id: task,
        ..Default::default()
    }))
    .await
    .unwrap();
    assert_eq!(within(events.message()).await.unwrap().unwrap().status, "cancelled");
    assert!(within(events.message()).await.unwrap().is_none());
}
