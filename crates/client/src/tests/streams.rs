use super::pool::Pool;
use super::{client, soon};
use crate::{ClientError, LogPart, LogStream, Until};
use bytes::Bytes;
use futures::StreamExt;
use hivemind_model::{TaskId, TaskState};
use hivemind_proto::v1::log_chunk::Stream as WireStream;
use hivemind_proto::v1::{LogChunk, TaskEvent, TaskStatusResponse, TaskSummary};
use tonic::Status;

fn event(task: u64, status: &str) -> Result<TaskEvent, Status> {
    Ok(TaskEvent { task_id: TaskId(task).to_string(), status: status.to_owned(), progress: 0, note: String::new() })
}

fn lost<T>() -> Result<T, Status> {
    Err(Status::unavailable("the pool is stopping"))
}

#[tokio::test]
async fn waiting_goes_on_where_the_stream_broke() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts
        .watch
        .then(vec![event(1, "running"), event(2, "completed"), lost()])
        .then(vec![event(1, "running")])
        .then(vec![event(1, "failed")]);
    let mut seen = 0;
    let ended = soon(client.wait_with(&[TaskId(1), TaskId(2), TaskId(1)], |_| seen += 1)).await.expect("ended");
    assert_eq!(
        ended,
        vec![(TaskId(1), TaskState::Failed), (TaskId(2), TaskState::Completed), (TaskId(1), TaskState::Failed)]
    );
    assert_eq!(seen, 4);
    let asked: Vec<Vec<String>> = pool.scripts.watch.asked().into_iter().map(|request| request.task_ids).collect();
    assert_eq!(asked, [vec!["task_1", "task_2"], vec!["task_1"], vec!["task_1"]]);
}

#[tokio::test]
async fn waiting_survives_a_pool_killed_in_mid_stream() {
    let mut pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.watch.then_hang(vec![event(1, "running")]).then(vec![event(1, "completed")]);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let waiting =
        tokio::spawn(
            async move { client.wait_with(&[TaskId(1)], |event| drop(tell.send(event.status.clone()))).await },
        );
    assert_eq!(soon(told.recv()).await.as_deref(), Some("running"));
    pool.kill().await;
    pool.serve().await;
    assert_eq!(soon(waiting).await.expect("joined").expect("ended"), vec![(TaskId(1), TaskState::Completed)]);
}

#[tokio::test]
async fn waiting_ends_at_a_refusal() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.watch.then(vec![Err(Status::not_found("E_NOT_FOUND: task_1 does not exist, or is not yours"))]);
    let error = soon(client.wait(&[TaskId(1)])).await.expect_err("refused");
    assert_eq!(error.code(), Some("E_NOT_FOUND"));
    pool.scripts.watch.then(vec![event(1, "dancing")]);
    let error = soon(client.wait(&[TaskId(1)])).await.expect_err("no state");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    assert_eq!(soon(client.wait(&[])).await.expect("nothing to wait for"), vec![]);
}

fn chunk(attempt: u32, offset: i64, data: &'static str) -> Result<LogChunk, Status> {
    Ok(LogChunk { stream: WireStream::Stdout.into(), offset, data: Bytes::from_static(data.as_bytes()), attempt })
}

fn part(attempt: u32, offset: u64, data: &'static str) -> LogPart {
    LogPart { attempt, stream: LogStream::Stdout, offset, data: Bytes::from_static(data.as_bytes()) }
}

fn attempts(count: u32) -> Result<TaskStatusResponse, Status> {
    let task = TaskSummary { attempts: count, ..TaskSummary::default() };
    Ok(TaskStatusResponse { success: true, task: Some(task), ..TaskStatusResponse::default() })
}

async fn all_logs(client: &crate::Client) -> Vec<Result<LogPart, ClientError>> {
    soon(client.follow_logs(TaskId(1), Until::End).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn logs_go_on_where_the_stream_broke() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.logs.then(vec![chunk(1, 0, "one "), lost()]).then(vec![chunk(1, 4, "two")]);
    let parts: Vec<LogPart> = all_logs(&client).await.into_iter().map(|part| part.expect("a part")).collect();
    assert_eq!(parts, vec![part(1, 0, "one "), part(1, 4, "two")]);
    let offsets: Vec<(i64, bool)> =
        pool.scripts.logs.asked().iter().map(|request| (request.stdout_offset, request.follow)).collect();
    assert_eq!(offsets, [(0, true), (4, true)]);
}

#[tokio::test]
async fn a_new_attempt_is_read_from_its_start() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    // While the connection was lost a second attempt began: its bytes come from the old offset on.
    pool.scripts.logs.then(vec![chunk(1, 0, "first"), lost()]).then(vec![chunk(2, 5, "d all")]).then(vec![chunk(
        2,
        0,
        "second all",
    )]);
    let parts: Vec<LogPart> = all_logs(&client).await.into_iter().map(|part| part.expect("a part")).collect();
    assert_eq!(parts, vec![part(1, 0, "first"), part(2, 0, "second all")]);
}

#[tokio::test]
async fn a_new_attempt_that_wrote_less_is_read_too() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.logs.then(vec![chunk(1, 0, "first"), lost()]).then(vec![]).then(vec![chunk(2, 0, "2nd")]);
    pool.scripts.status.then(vec![attempts(2)]);
    let parts: Vec<LogPart> = all_logs(&client).await.into_iter().map(|part| part.expect("a part")).collect();
    assert_eq!(parts, vec![part(1, 0, "first"), part(2, 0, "2nd")]);
}

#[tokio::test]
async fn a_broken_stream_with_nothing_new_ends_well() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.logs.then(vec![chunk(1, 0, "all"), lost()]).then(vec![]);
    pool.scripts.status.then(vec![attempts(1)]);
    assert_eq!(all_logs(&client).await.len(), 1);
    pool.scripts.logs.then(vec![Err(Status::not_found("E_NOT_FOUND: task_1 does not exist, or is not yours"))]);
    let told = all_logs(&client).await;
    assert!(matches!(told.as_slice(), [Err(error)] if error.code() == Some("E_NOT_FOUND")), "{told:?}");
}
