//! Who may send how much: tokens are judged before messages are read, and lists before they are made.

use crate::support::{TestPool, User, within};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hivemind_pool::{Strangers, Tuning};
use hivemind_proto::v1::*;
use tonic::{Code, Status};

fn too_large(status: &Status, says: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().starts_with("E_TOO_LARGE: ") && status.message().contains(says), "{status}");
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_before_anything_is_read() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    for token in ["x".to_owned(), format!("hm_1_{}", "00".repeat(32)), format!("{}x", ada.token)] {
        let nobody = User { channel: ada.channel.clone(), token };
        // No message ever comes.
        let upload = nobody.bearing(tokio_stream::pending::<UploadChunk>());
        let status = within(nobody.tasks().upload(upload)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(status.message().starts_with("E_UNAUTHENTICATED: "), "{status}");
        // Whoever wants to become somebody may show what they were before.
        let login = LoginRequest { username: "ada".into(), password: crate::support::PASSWORD.into() };
        assert!(within(nobody.auth().login(nobody.bearing(login))).await.unwrap().into_inner().success);
    }
}

#[tokio::test]
async fn large_messages_need_the_token_in_the_metadata() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let file = |bytes| vec![format!("a={}", STANDARD.encode(vec![7; bytes]))];
    let (small, large) = (file(30 << 10), file(100 << 10));
    let task = |files: &Vec<String>| SubmitTaskRequest { files: files.clone(), ..ada.task("one") };
    assert!(within(ada.tasks().submit_task(task(&small))).await.unwrap().into_inner().success);
    too_large(&within(ada.tasks().submit_task(task(&large))).await.unwrap_err(), "`authorization: Bearer TOKEN`");
    let known = ada.bearing(task(&large));
    assert!(within(ada.tasks().submit_task(known)).await.unwrap().into_inner().success);
    let transfers = vec![ada.transfer("nobody", 1, 0, ""); 1000];
    let many = TransferManyRequest { token: ada.token.clone(), transfers };
    too_large(&within(ada.money().transfer_many(many.clone())).await.unwrap_err(), "`authorization: Bearer TOKEN`");
    let answers = within(ada.money().transfer_many(ada.bearing(many))).await.unwrap().into_inner();
    assert_eq!(answers.transfers.len(), 1000);
}

#[tokio::test]
async fn long_lists_of_nothing_are_refused_before_they_are_made() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let graph =
        |tasks| SubmitGraphRequest { tasks: vec![GraphTask::default(); tasks], ..SubmitGraphRequest::default() };
    let status = within(ada.tasks().submit_graph(ada.bearing(graph(150_000)))).await.unwrap_err();
    too_large(&status, "more entries than the pool takes");
    // A few too many are counted as tasks.
    let status = within(ada.tasks().submit_graph(ada.bearing(graph(10_001)))).await.unwrap_err();
    too_large(&status, "10001 tasks");
    let transfers = vec![TransferRequest::default(); 1 << 20];
    let many = TransferManyRequest { transfers, ..TransferManyRequest::default() };
    too_large(&within(ada.money().transfer_many(ada.bearing(many))).await.unwrap_err(), "more entries");
}

/// A login whose message never comes.
async fn silent(channel: tonic::transport::Channel) -> Status {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = hivemind_proto::codec::Codec::<LoginRequest, LoginResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/hivemind.v1.AuthService/Login");
    let nothing = tonic::Request::new(tokio_stream::pending::<LoginRequest>());
    client.client_streaming(nothing, path, codec).await.map(drop).unwrap_err()
}

async fn pool_with(strangers: Strangers) -> TestPool {
    TestPool::start_with(hivemind_model::Policy::default(), Tuning { strangers, ..Tuning::default() }).await
}

#[tokio::test]
async fn strangers_who_say_nothing_are_few() {
    let pool = pool_with(Strangers { of_one: 3, ..Strangers::default() }).await;
    let ada = pool.user("ada").await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        calls.spawn(silent(pool.channel().await));
    }
    let refused = within(calls.join_next()).await.unwrap().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().starts_with("E_BUSY: "), "{refused}");
    // Who shows a token is none of them.
    assert!(within(ada.auth().who_am_i(ada.bearing(WhoAmIRequest::default()))).await.is_ok());
    calls.shutdown().await;
    // What they held is given back, a moment after the pool has heard of it.
    let login = || LoginRequest { username: "ada".into(), password: crate::support::PASSWORD.into() };
    within(async { while ada.auth().login(login()).await.is_err() {} }).await;
}

#[tokio::test]
async fn strangers_who_say_nothing_are_not_waited_for() {
    let pool = pool_with(Strangers { patience: std::time::Duration::from_millis(100), ..Strangers::default() }).await;
    let late = within(silent(pool.channel().await)).await;
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
}
