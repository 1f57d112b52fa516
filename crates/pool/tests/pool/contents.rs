//! Uploads that go on where they broke, contents of others, images that were pushed.

use crate::streams::upload;
use crate::support::{TestPool, User, hello, within};
use hivemind_proto::v1::*;
use hivemind_proto::worker::pool_event::Event as FromPool;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{FetchInputRequest, OutputChunk, OutputOffsetRequest};
use sha2::{Digest, Sha256};
use std::path::Path;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

fn content() -> Vec<u8> {
    (0..300_000u32).map(|n| (n % 251) as u8).collect()
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// Sends `data` as what follows `offset` of a content of that size and digest.
async fn send(user: &User, whole: (&str, usize), offset: usize, data: &[u8]) -> Result<UploadResponse, Status> {
    let (digest, size) = (whole.0.to_owned(), whole.1 as i64);
    let head = UploadChunk { token: user.token.clone(), size, digest, offset: offset as i64, ..UploadChunk::default() };
    let pieces = data.chunks(7000).map(|piece| UploadChunk { data: piece.to_vec().into(), ..UploadChunk::default() });
    let chunks: Vec<UploadChunk> = std::iter::once(head).chain(pieces).collect();
    within(user.tasks().upload(tokio_stream::iter(chunks))).await.map(tonic::Response::into_inner)
}

/// Whether all of a content is there, else how much.
async fn found(user: &User, digest: &str) -> (bool, i64) {
    let request = FindContentRequest { token: user.token.clone(), digests: vec![digest.into()] };
    let found = within(user.tasks().find_content(request)).await.unwrap().into_inner().contents.remove(0);
    (found.complete, found.received)
}

fn files_below(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn an_upload_goes_on_wherever_it_was_cut() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    for cut in [1, 6999, 7000, 150_001, 299_999] {
        let whole = [&(cut as u32).to_le_bytes()[..], &content()].concat();
        let (name, size) = (digest(&whole), whole.len());
        let status = send(&ada, (&name, size), 0, &whole[..cut]).await.unwrap_err();
        assert!(status.message().contains("of the announced"), "{status}");
        assert_eq!(found(&ada, &name).await, (false, cut as i64));
        assert_eq!(found(&eve, &name).await, (false, 0), "a part of another user shows");
        let behind = send(&ada, (&name, size), cut + 1, &whole[cut + 1..]).await.unwrap_err();
        assert!(behind.message().starts_with("E_INVALID: offset: "), "{behind}");
        // Going on before the end of what is here drops the rest of it.
        let from = cut / 2;
        let stored = send(&ada, (&name, size), from, &whole[from..]).await.unwrap();
        assert_eq!((stored.digest.as_str(), stored.size), (name.as_str(), size as i64));
        assert_eq!((found(&ada, &name).await, found(&eve, &name).await), ((true, 0), (false, 0)));
    }
    assert_eq!(files_below(&pool.data().join("blobs/partial")), 0);
}

#[tokio::test]
async fn a_part_outlives_the_pool_and_what_is_not_what_was_announced_does_not() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let whole = content();
    let name = digest(&whole);
    send(&ada, (&name, whole.len()), 0, &whole[..100_000]).await.unwrap_err();
    let pool = pool.restart().await;
    let ada = pool.login("ada", crate::support::PASSWORD).await;
    assert_eq!(found(&ada, &name).await, (false, 100_000));
    let mut wrong = whole[100_000..].to_vec();
    wrong[5] ^= 1;
    let status = send(&ada, (&name, whole.len()), 100_000, &wrong).await.unwrap_err();
    assert!(status.message().starts_with("E_INVALID: digest: what came has the digest"), "{status}");
    assert_eq!(found(&ada, &name).await, (false, 0));
    assert_eq!(files_below(&pool.data().join("blobs")), 0);
    for (bad, field) in [("sha256:1", "digest"), ("", "digest")] {
        let status = send(&ada, (bad, 5), 1, b"ello").await.unwrap_err();
        assert!(status.message().starts_with(&format!("E_INVALID: {field}: ")), "{status}");
    }
}

#[tokio::test]
async fn a_call_that_hangs_gives_way_to_the_one_that_goes_on() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let whole = content();
    let name = digest(&whole);
    let (sender, receiver) = mpsc::channel(4);
    let mut tasks = ada.tasks();
    let hanging = tokio::spawn(async move { tasks.upload(ReceiverStream::new(receiver)).await });
    let (token, size) = (ada.token.clone(), whole.len() as i64);
    let head = UploadChunk { token, size, digest: name.clone(), data: whole[..9].to_vec().into(), offset: 0 };
    sender.send(head).await.unwrap();
    within(async {
        while found(&ada, &name).await.1 != 9 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    send(&ada, (&name, whole.len()), 9, &whole[9..]).await.unwrap();
    // What the other still sends changes nothing any more.
    sender.send(UploadChunk { data: "xxx".into(), ..UploadChunk::default() }).await.unwrap();
    let status = within(hanging).await.unwrap().unwrap_err();
    assert!(status.message().starts_with("E_BUSY: "), "{status}");
    assert_eq!(found(&ada, &name).await, (true, 0));
}

#[tokio::test]
async fn a_pushed_image_is_its_owners_and_its_first_bytes_say_what_it_is() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let module = upload(&ada, 8, &["\0asm\x01\0\0\0"]).await.unwrap().digest;
    let text = upload(&ada, 5, &["hello"]).await.unwrap().digest;
    let with = |user: &User, image: &str| SubmitTaskRequest { docker_image: image.into(), ..user.task("m") };
    let nothing = format!("sha256:{}", "0".repeat(64));
    for (user, image, why) in [
        (&eve, module.as_str(), "E_NOT_FOUND: docker_image: "),
        (&ada, &nothing, "E_NOT_FOUND: docker_image: "),
        (&ada, &text, "E_INVALID: docker_image: the content is neither"),
        (&ada, "sha256:12", "E_INVALID: docker_image: "),
    ] {
        let answer = within(user.tasks().submit_task(with(user, image))).await.unwrap().into_inner();
        assert!(answer.message.starts_with(why), "{image}: {}", answer.message);
    }
    let quote = |user: &User, image: &str, kind: &str| {
        let task = with(user, image);
        let request = QuoteRequest { token: user.token.clone(), task: Some(task), kind: kind.into() };
        let mut tasks = user.tasks();
        async move { within(tasks.quote(request)).await.map(tonic::Response::into_inner) }
    };
    // A plan of what is not pushed yet believes what is said of it.
    assert!(quote(&eve, &module, "wasm").await.is_ok());
    assert!(quote(&eve, &module, "zip").await.unwrap_err().message().starts_with("E_INVALID: kind: "));
    let answer = within(ada.tasks().submit_task(with(&ada, &module))).await.unwrap().into_inner();
    let shown = ada.status(&answer.task_id).await.task.unwrap();
    assert_eq!((shown.kind.as_str(), shown.docker_image.as_str()), ("wasm", module.as_str()));
    // Its node gets the content, from any place on.
    let identity = pool.join(&ada, "one").await;
    let mut hello = hello("one");
    hello.offer.as_mut().unwrap().kinds = vec!["container".into(), "wasm".into()];
    let (mut link, _) = pool.link(&identity, hello).await;
    let FromPool::Assign(assign) = link.next().await.unwrap() else { panic!("expected an Assign") };
    let spec = assign.spec.unwrap();
    assert_eq!((spec.kind.as_str(), spec.image_content.unwrap().size), ("wasm", 8));
    let request = FetchInputRequest { attempt: assign.attempt, digest: module, offset: 1 };
    let mut calls = WorkerServiceClient::new(link.channel.clone());
    let mut got = within(calls.fetch_input(request)).await.unwrap().into_inner();
    assert_eq!(within(got.message()).await.unwrap().unwrap().data, "asm\x01\0\0\0");
}

#[tokio::test]
async fn wishes_about_network_and_outputs_are_kept_and_bad_ones_named() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let asked = SubmitTaskRequest {
        network: vec!["Data.Example.NET:443".into()],
        outputs: vec!["model".into(), "log.txt".into()],
        ..ada.task("n")
    };
    let answer = within(ada.tasks().submit_task(asked.clone())).await.unwrap().into_inner();
    assert!(answer.success, "{}", answer.message);
    let shown = ada.status(&answer.task_id).await.task.unwrap();
    assert_eq!(
        (shown.kind.as_str(), shown.network.as_slice()),
        ("container", &["data.example.net:443".to_owned()][..])
    );
    let reuse = |image: &str| SubmitTaskRequest { docker_image: image.into(), reuse: true, ..ada.task("r") };
    let named = format!("bb@sha256:{}", "a".repeat(64));
    for (request, why) in [
        (SubmitTaskRequest { network: vec!["host".into()], ..asked.clone() }, "E_INVALID: network: "),
        (SubmitTaskRequest { outputs: vec!["/etc".into()], ..asked.clone() }, "E_INVALID: outputs: "),
        (SubmitTaskRequest { outputs: vec!["a".into(), "a/b".into()], ..asked.clone() }, "E_INVALID: outputs: "),
        (SubmitTaskRequest { warm: true, ..asked.clone() }, "E_INVALID: warm: "),
        (reuse("bb:1"), "E_INVALID: reuse: "),
        (SubmitTaskRequest { network: vec!["a.org:1".into()], ..reuse(&named) }, "E_INVALID: reuse: "),
    ] {
        let answer = within(ada.tasks().submit_task(request)).await.unwrap().into_inner();
        assert!(answer.message.starts_with(why), "{why}: {}", answer.message);
    }
    assert!(within(ada.tasks().submit_task(reuse(&named))).await.unwrap().into_inner().success);
}

#[tokio::test]
async fn an_output_goes_on_where_it_broke_and_only_for_its_node_and_attempt() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let (one, two) = (pool.join(&ada, "one").await, pool.join(&bob, "two").await);
    let (mut link, _) = pool.link(&one, hello("one")).await;
    ada.submit("t").await;
    let attempt = link.assigned().await;
    let (thief, _) = pool.link(&two, hello("two")).await;
    let whole = content();
    let name = digest(&whole);
    let chunk = |offset: usize, end: usize| OutputChunk {
        attempt: Some(attempt),
        size: whole.len() as u64,
        digest: name.clone(),
        offset: offset as u64,
        data: whole[offset..end].to_vec().into(),
    };
    let mut calls = WorkerServiceClient::new(link.channel.clone());
    let mut others = WorkerServiceClient::new(thief.channel.clone());
    let asked = OutputOffsetRequest { attempt: Some(attempt), digest: name.clone() };
    within(calls.store_output(tokio_stream::iter([chunk(0, 1234)]))).await.unwrap_err();
    assert_eq!(within(calls.output_offset(asked.clone())).await.unwrap().into_inner().received, 1234);
    assert_eq!(within(others.output_offset(asked.clone())).await.unwrap_err().code(), Code::Aborted);
    let stored = within(calls.store_output(tokio_stream::iter([chunk(1234, whole.len())]))).await.unwrap();
    assert_eq!(stored.into_inner().digest, name);
    // The answer may get lost: nothing is sent again.
    assert_eq!(within(calls.output_offset(asked)).await.unwrap().into_inner().received, whole.len() as u64);
    let again = within(calls.store_output(tokio_stream::iter([chunk(whole.len(), whole.len())]))).await.unwrap();
    assert_eq!(again.into_inner().digest, name);
}
