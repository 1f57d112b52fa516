use super::pool::Pool;
use super::{client, soon};
use crate::{ClientError, Events, LogPart, LogStream, Until};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hivemind_model::TaskId;
use hivemind_model::ids::ElementRef;
use hivemind_proto::v1::log_chunk::Stream;
use hivemind_proto::v1::{
    DownloadChunk, ElementGridResponse, FailureGroup, FailureGroupsResponse, ListFilesResponse, LogChunk, OutputFile,
    TimelineBar, TimelineResponse,
};
use tonic::Status;

const ELEMENT: ElementRef = ElementRef { task: TaskId(9), index: 7 };

fn lost<T>() -> Result<T, Status> {
    Err(Status::unavailable("the pool is stopping"))
}

#[tokio::test]
async fn what_pages_show_is_asked_again_until_it_is_answered() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let grid = ElementGridResponse { indices: "1-2".into(), states: vec![2, 3].into(), ..Default::default() };
    pool.scripts.grid.then(vec![lost()]).then(vec![Ok(grid.clone())]);
    assert_eq!(soon(client.element_grid(TaskId(9), 5, 100)).await.expect("a grid"), grid);
    let asked = pool.scripts.grid.asked();
    assert_eq!((asked.len(), asked[1].task_id.as_str(), asked[1].first_index, asked[1].limit), (2, "task_9", 5, 100));

    let groups = vec![FailureGroup { signature: "E_EXIT: x".into(), count: 3, ..Default::default() }];
    let failures = FailureGroupsResponse { groups, failed: 3, ..Default::default() };
    pool.scripts.failures.then(vec![lost()]).then(vec![Ok(failures.clone())]);
    assert_eq!(soon(client.failure_groups(TaskId(9))).await.expect("groups"), failures);

    let bars = vec![TimelineBar { node: "lab".into(), ..Default::default() }];
    let timeline = TimelineResponse { bars, cut: true, now_unix_ms: 7 };
    pool.scripts.timeline.then(vec![lost()]).then(vec![Ok(timeline.clone())]);
    assert_eq!(soon(client.timeline(TaskId(9), 50)).await.expect("bars"), timeline);
    assert_eq!(pool.scripts.timeline.asked()[1].limit, 50);

    let files = vec![OutputFile { path: "a".into(), ..Default::default() }];
    let files = ListFilesResponse { files, ..Default::default() };
    pool.scripts.files.then(vec![lost()]).then(vec![Ok(files.clone())]);
    assert_eq!(soon(client.list_files(ELEMENT)).await.expect("files"), files);
    assert_eq!(pool.scripts.files.asked()[1].element, 7);
    pool.scripts.files.then(vec![Err(Status::not_found("E_NOT_FOUND: task_9 left no files"))]);
    assert!(soon(client.list_files(ELEMENT)).await.is_err());
}

fn head(size: i64) -> Result<DownloadChunk, Status> {
    Ok(DownloadChunk { size, digest: format!("sha256:{}", "a".repeat(64)), data: Bytes::new() })
}

fn part(data: &'static str) -> Result<DownloadChunk, Status> {
    Ok(DownloadChunk { data: data.into(), ..DownloadChunk::default() })
}

#[tokio::test]
async fn a_file_is_read_as_far_as_it_was_asked_for() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.file.then(vec![lost()]).then(vec![head(10), part("23"), part("456")]);
    let file = soon(client.read_file(ELEMENT, "a/b", 2, 5)).await.expect("a file");
    assert_eq!((file.size, file.comes), (10, 5));
    assert_eq!(whole(file.content).await.expect("its content"), b"23456");
    let asked = pool.scripts.file.asked();
    assert_eq!((asked[1].path.as_str(), asked[1].offset, asked[1].max_bytes, asked[1].element), ("a/b", 2, 5, 7));

    pool.scripts.file.then(vec![head(10), part("0123456789")]);
    let file = soon(client.read_file(ELEMENT, "a", 0, 0)).await.expect("a file");
    assert_eq!((file.comes, whole(file.content).await.expect("its content").len()), (10, 10));
}

/// Puts the parts of a content together.
async fn whole(content: Events<Bytes>) -> Result<Vec<u8>, ClientError> {
    let parts: Vec<Bytes> = soon(content.try_collect()).await?;
    Ok(parts.concat())
}

#[tokio::test]
async fn a_file_that_comes_short_or_long_is_an_error() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.file.then(vec![head(10), part("0123")]);
    let mut file = soon(client.read_file(ELEMENT, "a", 0, 0)).await.expect("a file");
    assert_eq!(soon(file.content.next()).await.expect("a part").expect("well"), "0123");
    let error = soon(file.content.next()).await.expect("an end").expect_err("short");
    assert!(error.is_unreachable(), "{error}");
    assert!(soon(file.content.next()).await.is_none());

    for said in [vec![head(3), part("0123")], vec![head(-1)], vec![Ok(DownloadChunk::default())]] {
        pool.scripts.file.then(said);
        let error = match soon(client.read_file(ELEMENT, "a", 0, 0)).await {
            Ok(file) => whole(file.content).await.expect_err("too long"),
            Err(error) => error,
        };
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    }
    pool.scripts.file.then(vec![Err(Status::not_found("E_NOT_FOUND: path: task_9 left no file `a`"))]);
    let error = soon(client.read_file(ELEMENT, "a", 0, 0)).await.err().expect("refused");
    assert!(matches!(&error, ClientError::Rejected { field, .. } if field == "path"), "{error}");
}

#[tokio::test]
async fn a_tail_goes_on_where_it_broke_and_a_new_attempt_begins_at_its_beginning() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let chunk = |attempt, offset, data: &'static str| {
        Ok(LogChunk { stream: Stream::Stdout.into(), offset, data: data.into(), attempt })
    };
    pool.scripts.logs.then(vec![chunk(1, 100, "abc"), lost()]).then(vec![chunk(1, 103, "d"), chunk(2, 0, "new")]);
    let parts = client.follow_logs_tail(ELEMENT, Until::End, 3);
    let parts: Vec<LogPart> = soon(parts.try_collect()).await.expect("logs");
    let told: Vec<_> = parts.iter().map(|part| (part.attempt, part.offset, part.data.as_ref())).collect();
    assert_eq!(told, [(1, 100, &b"abc"[..]), (1, 103, b"d"), (2, 0, b"new")]);
    assert!(parts.iter().all(|part| part.stream == LogStream::Stdout));
    let asked = pool.scripts.logs.asked();
    assert_eq!((asked[0].tail_bytes, asked[0].stdout_offset, asked[0].element), (3, 0, 7));
    assert_eq!((asked[1].tail_bytes, asked[1].stdout_offset, asked[1].stderr_offset), (3, 103, 0));
}
