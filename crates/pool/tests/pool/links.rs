//! The worker link, driven by hand.

use crate::support::{TestPool, finished, hello, within};
use hivemind_model::{Millis, NodeId, Policy, Timestamp};
use hivemind_pool::Tuning;
use hivemind_proto::v1::{DownloadOutputRequest, FollowLogsRequest, SubmitTaskRequest, UploadChunk};
use hivemind_proto::worker::pool_event::Event as FromPool;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{AttemptFinished, AttemptRef, FetchInputRequest, Hello, OutputChunk, RenewRequest};
use tonic::Code;

#[tokio::test]
async fn a_task_goes_out_runs_and_is_paid() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let identity = pool.join(&bob, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.log(attempt, 0, b"hello\n").await;
    link.finished(attempt, 6).await;
    assert_eq!(link.acknowledged().await, "");
    let status = ada.status(&task).await;
    assert_eq!((status.status.as_str(), status.result.as_str(), status.progress), ("completed", "hello\n", 100));
    assert_eq!(status.attempts.len(), 1);
    let cost = status.task.unwrap().cost_micro;
    assert!(cost > 0);
    assert_eq!(ada.funds().await, (150_000_000 - cost, 0));
    assert_eq!(bob.funds().await, (150_000_000 + cost, 0));
    // The same end again, as after a lost acknowledgement: refused for good, paid once.
    link.finished(attempt, 6).await;
    assert!(link.acknowledged().await.starts_with("E_STALE_ATTEMPT: "));
    assert_eq!(bob.funds().await, (150_000_000 + cost, 0));
}

#[tokio::test]
async fn an_end_is_taken_only_with_all_its_output() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.log(attempt, 0, b"abc").await;
    link.log(attempt, 5, b"fg").await;
    let resend_from = |event| match event {
        FromPool::LogResend(resend) => resend.position.unwrap().stdout_bytes,
        other => panic!("expected a LogResend, got {other:?}"),
    };
    assert_eq!(resend_from(link.next().await.unwrap()), 3);
    link.finished(attempt, 7).await;
    assert_eq!(resend_from(link.next().await.unwrap()), 3);
    assert_ne!(ada.status(&task).await.status, "completed");
    link.log(attempt, 2, b"cdefg").await;
    link.finished(attempt, 7).await;
    assert_eq!(link.acknowledged().await, "");
    assert_eq!(ada.status(&task).await.result, "abcdefg");
}

#[tokio::test]
async fn a_node_speaks_only_for_itself() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let (mine, other) = (pool.join(&ada, "mine").await, pool.join(&bob, "other").await);
    let mut claimed = pool.raw_link(&other, hello("mine")).await.unwrap();
    let status = claimed.next().await.unwrap_err();
    assert!(
        status.code() == Code::PermissionDenied && status.message().starts_with("E_FORBIDDEN: offer.name"),
        "{status}"
    );
    let (mut link, _) = pool.link(&mine, hello("mine")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    let (mut thief, welcome) = pool.link(&other, Hello { holds: vec![attempt], ..hello("other") }).await;
    assert_eq!(welcome.stale, [attempt]);
    thief.log(attempt, 0, b"lies").await;
    assert!(matches!(thief.next().await.unwrap(), FromPool::Stop(stop) if stop.attempt == Some(attempt)));
    thief.finished(attempt, 0).await;
    assert!(thief.acknowledged().await.starts_with("E_STALE_ATTEMPT: "));
    let fetched = within(WorkerServiceClient::new(thief.channel.clone()).fetch_input(FetchInputRequest {
        attempt: Some(attempt),
        digest: format!("sha256:{}", "0".repeat(64)),
        ..FetchInputRequest::default()
    }))
    .await;
    assert_eq!(fetched.unwrap_err().code(), Code::Aborted);
    let output = OutputChunk { attempt: Some(attempt), size: 1, data: "x".into(), ..OutputChunk::default() };
    let stored =
        within(WorkerServiceClient::new(thief.channel.clone()).store_output(tokio_stream::iter([output]))).await;
    assert_eq!(stored.unwrap_err().code(), Code::Aborted);
    link.finished(attempt, 0).await;
    assert_eq!(link.acknowledged().await, "");
    assert_eq!((ada.status(&task).await.status.as_str(), bob.funds().await), ("completed", (150_000_000, 0)));
}

#[tokio::test]
async fn inputs_come_and_outputs_go_through_the_pool() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let request = SubmitTaskRequest { files: vec!["in/a.txt=aGVsbG8=".into()], ..ada.task("files") };
    let task = within(ada.tasks().submit_task(request)).await.unwrap().into_inner().task_id;
    let FromPool::Assign(assign) = link.next().await.unwrap() else { panic!("expected an Assign") };
    let (attempt, spec) = (assign.attempt.unwrap(), assign.spec.unwrap());
    assert_eq!((spec.files[0].path.as_str(), spec.files[0].size), ("in/a.txt", 5));
    let mut calls = WorkerServiceClient::new(link.channel.clone());
    let mut input = within(calls.fetch_input(FetchInputRequest {
        attempt: Some(attempt),
        digest: spec.files[0].digest.clone(),
        ..FetchInputRequest::default()
    }))
    .await
    .unwrap()
    .into_inner();
    assert_eq!(within(input.message()).await.unwrap().unwrap().data, "hello");
    let foreign = FetchInputRequest {
        attempt: Some(attempt),
        digest: format!("sha256:{}", "0".repeat(64)),
        ..FetchInputRequest::default()
    };
    assert_eq!(within(calls.fetch_input(foreign)).await.unwrap_err().code(), Code::NotFound);
    let chunks = [
        OutputChunk { attempt: Some(attempt), size: 6, data: "out".into(), ..OutputChunk::default() },
        OutputChunk { data: "put".into(), ..OutputChunk::default() },
    ];
    let digest = within(calls.store_output(tokio_stream::iter(chunks))).await.unwrap().into_inner().digest;
    link.started(attempt).await;
    let end = AttemptFinished { output_digest: digest.clone(), output_bytes: 6, ..finished(attempt, 0) };
    link.send(FromWorker::Finished(end)).await;
    assert_eq!(link.acknowledged().await, "");
    let download = |offset| DownloadOutputRequest {
        token: ada.token.clone(),
        task_id: task.clone(),
        offset,
        ..Default::default()
    };
    let mut archive = within(ada.tasks().download_output(download(2))).await.unwrap().into_inner();
    let head = within(archive.message()).await.unwrap().unwrap();
    assert_eq!((head.size, head.digest), (6, digest));
    assert_eq!(within(archive.message()).await.unwrap().unwrap().data, "tput");
    assert!(within(archive.message()).await.unwrap().is_none());
    let status = within(ada.tasks().download_output(download(7))).await.unwrap_err();
    assert!(status.message().starts_with("E_INVALID: offset"), "{status}");
}

#[tokio::test]
async fn an_end_without_its_archive_is_the_nodes_failure() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let identity = pool.join(&bob, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    let end = AttemptFinished {
        output_digest: format!("sha256:{}", "0".repeat(64)),
        output_bytes: 6,
        ..finished(attempt, 0)
    };
    link.send(FromWorker::Finished(end)).await;
    assert_eq!(link.acknowledged().await, "");
    assert!(!["completed", "failed"].contains(&ada.status(&task).await.status.as_str()));
    assert_eq!(bob.funds().await, (150_000_000, 0));
    let again = link.assigned().await;
    assert_eq!(again, AttemptRef { number: 2, ..attempt });
}

#[tokio::test]
async fn a_broken_link_loses_nothing() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.log(attempt, 0, b"abc").await;
    link.beat(1).await;
    assert!(matches!(link.next().await.unwrap(), FromPool::Beat(ack) if ack.sequence == 1));
    drop(link);
    let pool = pool.restart().await;
    let (mut link, welcome) = pool.link(&identity, Hello { holds: vec![attempt], ..hello("one") }).await;
    assert!(welcome.stale.is_empty(), "{:?}", welcome.stale);
    assert_eq!((welcome.logs[0].attempt, welcome.logs[0].stdout_bytes), (Some(attempt), 3));
    link.log(attempt, 3, b"def").await;
    link.finished(attempt, 6).await;
    assert_eq!(link.acknowledged().await, "");
    let ada = pool.login("ada", crate::support::PASSWORD).await;
    let status = ada.status(&task).await;
    assert_eq!((status.status.as_str(), status.result.as_str(), status.attempts.len()), ("completed", "abcdef", 1));
}

#[tokio::test]
async fn a_silent_node_loses_its_attempt_to_another() {
    let policy = Policy { heartbeat_every: Millis(50), lost_after: Millis(300), ..Policy::default() };
    let pool = TestPool::start_with(policy, Tuning::default()).await;
    let ada = pool.user("ada").await;
    let (first, second) = (pool.join(&ada, "one").await, pool.join(&ada, "two").await);
    let (mut silent, _) = pool.link(&first, hello("one")).await;
    let task = ada.submit("one").await;
    let attempt = silent.assigned().await;
    let ended = silent.next().await.unwrap_err();
    assert_eq!(ended.code(), Code::Aborted, "{ended}");
    let (mut link, _) = pool.link(&second, hello("two")).await;
    let beating = async {
        let again = link.assigned().await;
        assert_eq!(again, AttemptRef { number: 2, ..attempt });
    };
    beating.await;
    let (mut back, welcome) = pool.link(&first, Hello { holds: vec![attempt], ..hello("one") }).await;
    assert_eq!(welcome.stale, [attempt]);
    back.finished(attempt, 0).await;
    assert!(back.acknowledged().await.starts_with("E_STALE_ATTEMPT: "));
    assert_ne!(ada.status(&task).await.status, "completed");
}

#[tokio::test]
async fn a_follower_sees_output_as_it_comes() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = ada.submit("one").await;
    let request = FollowLogsRequest { token: ada.token.clone(), task_id: task, follow: true, ..Default::default() };
    let mut logs = within(ada.tasks().follow_logs(request)).await.unwrap().into_inner();
    let attempt = link.assigned().await;
    link.started(attempt).await;
    link.log(attempt, 0, b"one\n").await;
    let chunk = within(logs.message()).await.unwrap().unwrap();
    assert_eq!((chunk.offset, &chunk.data[..], chunk.attempt), (0, &b"one\n"[..], 1));
    link.log(attempt, 4, b"two\n").await;
    let chunk = within(logs.message()).await.unwrap().unwrap();
    assert_eq!((chunk.offset, &chunk.data[..]), (4, &b"two\n"[..]));
    link.finished(attempt, 8).await;
    assert_eq!(link.acknowledged().await, "");
    assert!(within(logs.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn certificates_are_renewed_over_the_link() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let identity = pool.join(&ada, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let key = hivemind_pki::NodeKey::generate().unwrap();
    link.send(FromWorker::Renew(RenewRequest { csr_pem: key.csr_pem().unwrap() })).await;
    let FromPool::Certificate(certificate) = link.next().await.unwrap() else { panic!("expected a certificate") };
    let renewed = hivemind_pki::NodeIdentity { chain_pem: certificate.certificate_pem, key_pem: key.pem().to_owned() };
    let (_link, _) = pool.link(&renewed, hello("one")).await;
    assert_eq!(link.next().await.unwrap_err().code(), Code::Aborted, "the older link was not closed");
}

#[tokio::test]
async fn what_belongs_to_others_is_no_output() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let chunk = UploadChunk { token: ada.token.clone(), size: 6, data: "secret".into(), ..UploadChunk::default() };
    let secret = within(ada.tasks().upload(tokio_stream::iter([chunk]))).await.unwrap().into_inner().digest;
    let identity = pool.join(&eve, "one").await;
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let task = eve.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    let end = AttemptFinished { output_digest: secret, output_bytes: 6, ..finished(attempt, 0) };
    link.send(FromWorker::Finished(end)).await;
    assert_eq!(link.acknowledged().await, "");
    assert_ne!(eve.status(&task).await.status, "completed");
    let download = DownloadOutputRequest { token: eve.token.clone(), task_id: task, offset: 0, ..Default::default() };
    assert!(within(eve.tasks().download_output(download)).await.is_err());
}

#[tokio::test]
async fn a_link_ends_with_its_certificate() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    pool.join(&ada, "one").await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp(i64::try_from(since.as_millis()).unwrap());
    let authority = hivemind_pki::Authority::open(&pool.data(), now).unwrap();
    let soon = Timestamp(now.0 - i64::try_from(hivemind_pki::NODE_LIFE.0).unwrap() + 6000);
    let key = hivemind_pki::NodeKey::generate().unwrap();
    let chain_pem = authority.sign_node(&key.csr_pem().unwrap(), NodeId(1), soon).unwrap();
    let identity = hivemind_pki::NodeIdentity { chain_pem, key_pem: key.pem().to_owned() };
    let (mut link, _) = pool.link(&identity, hello("one")).await;
    let ended = link.next().await.unwrap_err();
    assert!(ended.code() == Code::Aborted && ended.message().contains("certificate"), "{ended}");
    let input = FetchInputRequest {
        attempt: Some(AttemptRef { task: 1, index: 0, number: 1 }),
        digest: format!("sha256:{}", "0".repeat(64)),
        ..FetchInputRequest::default()
    };
    let refused = within(WorkerServiceClient::new(link.channel.clone()).fetch_input(input)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
}
