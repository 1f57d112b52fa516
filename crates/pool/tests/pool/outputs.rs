//! The files of an output one by one.

use crate::support::{Link, TestPool, User, finished, hello, within};
use hivemind_proto::v1::*;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{AttemptFinished, OutputChunk};
use tonic::{Code, Status};

/// A picture as the demo makes it.
fn picture() -> Vec<u8> {
    let mut picture = b"P6\n640 480\n255\n".to_vec();
    picture.extend((0..640 * 480 * 3).map(|place| (place % 251) as u8));
    picture
}

fn archive(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        header.set_entry_type(if name.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Submits a task, which completes and leaves this.
async fn left(user: &User, link: &mut Link, output: Vec<u8>) -> String {
    let task = user.submit("files").await;
    let attempt = link.assigned().await;
    let size = output.len() as u64;
    let mut chunks: Vec<OutputChunk> =
        output.chunks(256 << 10).map(|data| OutputChunk { data: data.to_vec().into(), ..Default::default() }).collect();
    chunks[0].attempt = Some(attempt);
    chunks[0].size = size;
    let mut calls = WorkerServiceClient::new(link.channel.clone());
    let stored = within(calls.store_output(tokio_stream::iter(chunks))).await.unwrap().into_inner();
    link.started(attempt).await;
    let report = AttemptFinished { output_digest: stored.digest, output_bytes: size, ..finished(attempt, 0) };
    link.send(FromWorker::Finished(report)).await;
    assert_eq!(link.acknowledged().await, "");
    task
}

async fn list(user: &User, task: &str) -> Result<ListFilesResponse, Status> {
    let request = ListFilesRequest { token: user.token.clone(), task_id: task.into(), element: 0 };
    within(user.tasks().list_files(request)).await.map(tonic::Response::into_inner)
}

/// Reads a file: the size that is told, and what comes.
async fn read(user: &User, request: ReadFileRequest) -> Result<(i64, Vec<u8>), Status> {
    let request = ReadFileRequest { token: user.token.clone(), ..request };
    let mut chunks = within(user.tasks().read_file(request)).await?.into_inner();
    let first = within(chunks.message()).await?.unwrap();
    assert!(first.digest.starts_with("sha256:") && first.data.is_empty());
    let mut content = Vec::new();
    while let Some(chunk) = within(chunks.message()).await? {
        content.extend_from_slice(&chunk.data);
    }
    Ok((first.size, content))
}

fn file(task: &str, path: &str, offset: i64, max_bytes: i64) -> ReadFileRequest {
    ReadFileRequest { task_id: task.into(), path: path.into(), offset, max_bytes, ..Default::default() }
}

#[tokio::test]
async fn files_are_listed_and_read_one_by_one() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    let (picture, long) = (picture(), format!("{}/{}", "d".repeat(120), "ä".repeat(90)));
    let task = left(
        &ada,
        &mut link,
        archive(&[
            ("logs/", 0o755, b""),
            ("logs/<script>alert(1)</script>.txt", 0o644, b"one\n"),
            ("picture.ppm", 0o644, &picture),
            ("run me", 0o755, b"#!/bin/sh\n"),
            (&long, 0o644, b"long"),
            ("line\nbreak \u{202e}txt.exe", 0o644, b"odd"),
            ("empty", 0o644, b""),
        ]),
    )
    .await;
    let told = list(&ada, &task).await.unwrap();
    let files: Vec<_> =
        told.files.iter().map(|file| (file.path.as_str(), file.size, file.is_folder, file.is_executable)).collect();
    let size = picture.len() as i64;
    let odd = "line\\u{a}break \\u{202e}txt.exe";
    assert_eq!(
        files,
        [
            ("logs", 0, true, false),
            ("logs/<script>alert(1)</script>.txt", 4, false, false),
            ("picture.ppm", size, false, false),
            ("run me", 10, false, true),
            (long.as_str(), 4, false, false),
            (odd, 3, false, false),
            ("empty", 0, false, false),
        ]
    );
    assert!(!told.cut && told.digest.starts_with("sha256:") && told.size > size);
    assert_eq!(read(&ada, file(&task, "picture.ppm", 0, 0)).await.unwrap(), (size, picture.clone()));
    assert_eq!(read(&ada, file(&task, odd, 0, 0)).await.unwrap(), (3, b"odd".to_vec()));
    assert_eq!(read(&ada, file(&task, &long, 0, 1 << 30)).await.unwrap(), (4, b"long".to_vec()));
    assert_eq!(read(&ada, file(&task, "empty", 0, 1)).await.unwrap(), (0, Vec::new()));
    for (offset, most) in [(0, 1), (0, size), (15, 300_000), (size - 1, 9), (size, 9)] {
        let (from, to) = (offset as usize, (offset + most).min(size) as usize);
        let part = read(&ada, file(&task, "picture.ppm", offset, most)).await.unwrap();
        assert!(part == (size, picture[from..to].to_vec()), "{offset}, {most}");
    }
    refusals(&ada, &task, size).await;
}

async fn refusals(ada: &User, task: &str, size: i64) {
    for (wanted, request) in [
        ("E_NOT_FOUND: path: ", file(task, "nothing", 0, 0)),
        ("E_NOT_FOUND: path: ", file(task, "", 0, 0)),
        ("E_NOT_FOUND: path: ", file(task, "./picture.ppm", 0, 0)),
        ("E_NOT_FOUND: path: ", file(task, "../../../../etc/passwd", 0, 0)),
        ("E_NOT_FOUND: path: ", file(task, "/etc/passwd", 0, 0)),
        ("E_NOT_FOUND: path: ", file(task, &"x".repeat(50_000), 0, 0)),
        ("E_INVALID: path: ", file(task, "logs", 0, 0)),
        ("E_INVALID: max_bytes: ", file(task, "empty", 0, -1)),
        ("E_INVALID: max_bytes: ", file(task, "empty", 0, (1 << 30) + 1)),
        ("E_INVALID: offset: ", file(task, "picture.ppm", -1, 0)),
        ("E_INVALID: offset: ", file(task, "picture.ppm", size + 1, 0)),
        ("E_NOT_FOUND: element: ", ReadFileRequest { element: 1, ..file(task, "empty", 0, 0) }),
    ] {
        let refused = read(ada, request).await.unwrap_err();
        assert!(refused.message().starts_with(wanted), "{wanted}: {refused}");
    }
}

#[tokio::test]
async fn what_is_no_archive_of_plain_files_is_told_so_and_can_be_downloaded() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    let mut linked = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    linked.append_link(&mut header, "passwd", "/etc/passwd").unwrap();
    for bad in [b"archive".to_vec(), linked.into_inner().unwrap()] {
        let task = left(&ada, &mut link, bad).await;
        let refused = list(&ada, &task).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().starts_with("E_CONFLICT: what task_"), "{refused}");
        let refused = read(&ada, file(&task, "passwd", 0, 0)).await.unwrap_err();
        assert!(refused.message().starts_with("E_CONFLICT: "), "{refused}");
    }
    let waits = ada.submit("waits").await;
    let refused = list(&ada, &waits).await.unwrap_err();
    assert!(refused.message().contains("only what completed has output"), "{refused}");
}

#[tokio::test]
async fn a_result_that_another_task_left_has_its_files() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    let nothing = left(&ada, &mut link, archive(&[])).await;
    assert_eq!(list(&ada, &nothing).await.unwrap().files, []);
    let task = ada.submit("none").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.finished(attempt, 0).await;
    assert_eq!(link.acknowledged().await, "");
    let refused = list(&ada, &task).await.unwrap_err();
    assert!(refused.message().ends_with("left no files"), "{refused}");
}
