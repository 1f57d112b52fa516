use super::pool::Pool;
use super::{client, soon, target};
use crate::{Client, ClientError, Submitted, Target, Trust, connect};
use hivemind_model::{Cpt, TaskId};
use hivemind_pki::Authority;
use hivemind_proto::v1::{
    RegisterResponse, SubmitTaskRequest, SubmitTaskResponse, SubmitTasksResponse, TaskStatusResponse, TransferResponse,
};
use std::time::Duration;
use tonic::Status;

fn accepted(task: u64) -> SubmitTaskResponse {
    SubmitTaskResponse {
        success: true,
        task_id: TaskId(task).to_string(),
        message: String::new(),
        price_cap_micro: 625,
    }
}

fn refused(message: &str) -> SubmitTaskResponse {
    SubmitTaskResponse { success: false, message: message.to_owned(), ..SubmitTaskResponse::default() }
}

#[tokio::test]
async fn refusals_keep_their_code_and_field() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.submit.then(vec![Ok(refused("E_INVALID: priority: 11 is outside 1 to 10"))]);
    let error = soon(client.submit(SubmitTaskRequest::default())).await.expect_err("refused");
    assert!(
        matches!(&error, ClientError::Rejected { code, field, message } if code == "E_INVALID" && field == "priority" && message.starts_with("priority: 11")),
        "{error}"
    );
    assert_eq!(error.to_string(), "E_INVALID: priority: 11 is outside 1 to 10");

    pool.scripts.cancel.then(vec![Err(Status::not_found("E_NOT_FOUND: task_9 does not exist, or is not yours"))]);
    let error = soon(client.cancel(TaskId(9))).await.expect_err("refused");
    assert_eq!(error.code(), Some("E_NOT_FOUND"));

    pool.scripts.status.then(vec![Ok(TaskStatusResponse {
        error_message: "E_NOT_FOUND: task_9 does not exist, or is not yours".into(),
        ..TaskStatusResponse::default()
    })]);
    assert_eq!(soon(client.status(TaskId(9))).await.expect_err("refused").code(), Some("E_NOT_FOUND"));

    pool.scripts
        .register
        .then(vec![Ok(RegisterResponse { success: false, message: "E_TAKEN: username: ada is in use".into() })]);
    assert_eq!(soon(client.register("ada", "secret-word", "")).await.expect_err("refused").code(), Some("E_TAKEN"));
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let error = soon(client.list(Default::default())).await.expect_err("not there");
    assert!(matches!(&error, ClientError::Protocol { .. }) && error.to_string().contains("older"), "{error}");
    for said in [
        Ok(refused("no code at all")),
        Ok(SubmitTaskResponse { task_id: "node_1".into(), ..accepted(1) }),
        Err(Status::internal("the disk is full")),
    ] {
        pool.scripts.submit.then(vec![said]);
        let error = soon(client.submit(SubmitTaskRequest::default())).await.expect_err("no answer");
        assert!(matches!(&error, ClientError::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_token_is_sent_and_its_refusal_is_a_login() {
    let pool = Pool::start().await;
    let anonymous = soon(Client::connect(&target(&pool), None)).await.expect("connected");
    let error = soon(anonymous.whoami()).await.expect_err("nobody");
    assert!(matches!(&error, ClientError::Login { .. }) && error.code() == Some("E_TOKEN_EXPIRED"), "{error}");
    assert!(error.to_string().contains("hivemind login"));
    let error = soon(anonymous.login("ada", "wrong")).await.expect_err("wrong");
    assert_eq!(error.code(), Some("E_BAD_CREDENTIALS"));
    let session = soon(anonymous.login("ada", "right")).await.expect("logged in");
    let client = anonymous.with_token(&session.token).expect("a token");
    assert_eq!(soon(client.whoami()).await.expect("known").username, "ada");
    assert!(matches!(anonymous.with_token("two\nlines"), Err(ClientError::Login { .. })));
    assert!(!format!("{session:?} {client:?}").contains("good"));
}

#[tokio::test]
async fn addresses_that_cannot_be_used_are_told() {
    let pool = Pool::start().await;
    for (server, why) in [
        ("http://127.0.0.1:1", "TLS is always on"),
        ("127.0.0.1:1", "not of the form"),
        ("https://", "not of the form"),
        ("https://user@host:1", "nothing more"),
        ("https://host:1/path", "nothing more"),
    ] {
        let error = soon(connect(&Target { server: server.to_owned(), ..target(&pool) })).await.expect_err(server);
        assert!(matches!(&error, ClientError::Invalid { .. }) && error.to_string().contains(why), "{server}: {error}");
    }
}

#[tokio::test]
async fn a_pool_that_is_not_there_or_another_one_is_told() {
    let mut pool = Pool::start().await;
    let elsewhere = tempfile::tempdir().expect("a folder");
    let other = Authority::open(elsewhere.path(), hivemind_model::Timestamp(1_700_000_000_000)).expect("an authority");
    for trust in [Trust::CaPem(other.ca_pem().to_owned()), Trust::CaHash(other.ca_hash())] {
        let error = soon(connect(&Target { trust, ..target(&pool) })).await.expect_err("another pool");
        assert!(matches!(&error, ClientError::Untrusted { .. }), "{error}");
    }
    let running = soon(Client::connect(&target(&pool), None)).await.expect("connected").with_patience(Duration::ZERO);
    pool.kill().await;
    let error = soon(connect(&target(&pool))).await.expect_err("nobody");
    assert!(error.is_unreachable() && error.to_string().contains(&pool.server()), "{error}");
    let error = soon(running.whoami()).await.expect_err("nobody");
    assert!(error.is_unreachable(), "{error}");
}

#[tokio::test]
async fn a_submission_survives_a_restart_under_one_id() {
    let mut pool = Pool::start().await;
    let client = client(&pool).await;
    // The first pool takes the task and dies before it answers.
    pool.scripts.submit.then(vec![]).then(vec![Ok(accepted(7))]);
    let submitting = tokio::spawn(async move { client.submit(SubmitTaskRequest::default()).await });
    soon(pool.scripts.submit.heard(1)).await;
    pool.kill().await;
    pool.serve().await;
    let submitted = soon(submitting).await.expect("joined").expect("accepted");
    assert_eq!(submitted, Submitted { task: TaskId(7), cap: Cpt::from_micro(625) });
    let ids: Vec<String> = pool.scripts.submit.asked().into_iter().map(|request| request.request_id).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1] && !ids[0].is_empty(), "{ids:?}");
}

#[tokio::test]
async fn many_submissions_have_an_answer_each() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts
        .submits
        .then(vec![Ok(SubmitTasksResponse { tasks: vec![accepted(1), refused("E_BUSY: too many open tasks")] })]);
    let own = SubmitTaskRequest { request_id: "mine".into(), ..SubmitTaskRequest::default() };
    let answers = soon(client.submit_many(vec![SubmitTaskRequest::default(), own.clone()])).await;
    assert_eq!(answers[0].as_ref().map(|submitted| submitted.task).ok(), Some(TaskId(1)));
    assert_eq!(answers[1].as_ref().err().and_then(ClientError::code), Some("E_BUSY"));
    let asked = pool.scripts.submits.asked();
    assert!(!asked[0].tasks[0].request_id.is_empty() && asked[0].tasks[1].request_id == "mine");

    pool.scripts.submits.then(vec![Ok(SubmitTasksResponse { tasks: vec![accepted(1)] })]);
    let answers = soon(client.submit_many(vec![own.clone(), own])).await;
    assert!(answers.len() == 2 && answers.iter().all(Result::is_err), "a missing answer is no answer");
    assert!(soon(client.submit_many(Vec::new())).await.is_empty());
}

#[tokio::test]
async fn large_batches_are_split() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let large = || SubmitTaskRequest { files: vec!["x".repeat(7 << 20)], ..SubmitTaskRequest::default() };
    let answer = |tasks: usize| Ok(SubmitTasksResponse { tasks: vec![accepted(1); tasks] });
    pool.scripts.submits.then(vec![answer(2)]).then(vec![answer(1)]);
    let answers = soon(client.submit_many(vec![large(), large(), large()])).await;
    assert!(answers.len() == 3 && answers.iter().all(Result::is_ok));
    assert_eq!(pool.scripts.submits.asked().len(), 2);
}

#[tokio::test]
async fn a_transfer_is_exact_and_keeps_its_id() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let done = TransferResponse { success: true, new_balance_micro: 42, ..TransferResponse::default() };
    pool.scripts.transfer.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(done)]);
    let left = soon(client.transfer("bob", Cpt::from_micro(1_500_000), "")).await.expect("done");
    assert_eq!(left, Cpt::from_micro(42));
    let asked = pool.scripts.transfer.asked();
    assert_eq!((asked[0].amount, asked[0].amount_micro), (1, 500_000));
    assert!(asked.len() == 2 && asked[0] == asked[1] && !asked[0].transfer_id.is_empty());
}
