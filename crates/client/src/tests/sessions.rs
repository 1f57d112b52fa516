//! Sessions and API keys.

use super::pool::Pool;
use super::{client, soon};
use hivemind_proto::v1::{
    CreateKeyResponse, EndSessionResponse, KeySummary, ListKeysResponse, ListSessionsResponse, RevokeKeyResponse,
    SessionResponse, SessionSummary,
};
use std::time::Duration;
use tonic::Status;

fn opened(refresh_token: &str) -> SessionResponse {
    SessionResponse {
        access_token: "access-word".into(),
        access_expires_at_unix_ms: 5,
        refresh_token: refresh_token.into(),
        refresh_expires_at_unix_ms: 9,
        session_id: "sess_1".into(),
        username: "ada".into(),
        user_id: "user_2".into(),
        role: "member".into(),
    }
}

#[tokio::test]
async fn sessions_are_opened_once_and_refreshed_until_somebody_answers() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    pool.scripts.open.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(opened("first-word"))]);
    let error = soon(client.open_session("ada", "secret", "Firefox")).await.expect_err("each call opens another");
    assert!(error.is_unreachable(), "{error}");
    let session = soon(client.open_session("ada", "secret", "Firefox")).await.expect("opened");
    assert_eq!((session.refresh_token.as_str(), session.refresh_expires_at.0), ("first-word", 9));
    let shown = format!("{session:?}");
    assert!(shown.contains("sess_1") && !shown.contains("-word"), "{shown}");

    pool.scripts.refresh.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(opened("second-word"))]);
    let next = soon(client.refresh_session("first-word")).await.expect("refreshed");
    assert_eq!(next.refresh_token, "second-word");
    assert_eq!(pool.scripts.refresh.asked().len(), 2);

    let one = SessionSummary { session_id: "sess_1".into(), current: true, ..SessionSummary::default() };
    pool.scripts.sessions.then(vec![Ok(ListSessionsResponse { sessions: vec![one.clone()] })]);
    assert_eq!(soon(client.sessions()).await.expect("listed"), [one]);
    pool.scripts.end.then(vec![Ok(EndSessionResponse {})]);
    soon(client.end_session("sess_1")).await.expect("ended");
    assert_eq!(pool.scripts.end.asked()[0].session_id, "sess_1");
}

#[tokio::test]
async fn keys_are_made_once_listed_and_revoked() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let made = CreateKeyResponse { key_id: "hm_3".into(), key: "hm_3_word".into(), ..CreateKeyResponse::default() };
    pool.scripts.key.then(vec![Err(Status::unavailable("starting"))]).then(vec![Ok(made)]);
    let scopes = ["tasks:read".to_owned()];
    let day = Duration::from_secs(86_400);
    let error = soon(client.create_key("ci", &scopes, day)).await.expect_err("each call makes another");
    assert!(error.is_unreachable(), "{error}");
    let key = soon(client.create_key("ci", &scopes, day)).await.expect("made");
    assert_eq!((key.key_id.as_str(), key.key.as_str()), ("hm_3", "hm_3_word"));
    assert!(!format!("{key:?}").contains("word"));
    let asked = pool.scripts.key.asked().remove(1);
    assert_eq!((asked.name.as_str(), asked.scopes, asked.valid_seconds), ("ci", scopes.to_vec(), 86_400));

    let one = KeySummary { key_id: "hm_3".into(), ..KeySummary::default() };
    pool.scripts.keys.then(vec![Ok(ListKeysResponse { keys: vec![one.clone()] })]);
    assert_eq!(soon(client.keys()).await.expect("listed"), [one]);
    pool.scripts.revoke.then(vec![Err(Status::not_found("E_NOT_FOUND: hm_4 does not exist, or is not yours"))]);
    assert_eq!(soon(client.revoke_key("hm_4")).await.expect_err("not there").code(), Some("E_NOT_FOUND"));
    pool.scripts.revoke.then(vec![Ok(RevokeKeyResponse {})]);
    soon(client.revoke_key("hm_3")).await.expect("revoked");
}

#[tokio::test]
async fn a_gateway_says_for_whom_it_speaks() {
    let pool = Pool::start().await;
    let client = client(&pool).await;
    let gateway = client.for_browser("gate-word\n", [203, 0, 113, 9].into()).expect("it can be one");
    assert!(!format!("{gateway:?}").contains("gate-word"));
    for client in [&gateway, &client] {
        pool.scripts.open.then(vec![Ok(opened("word"))]);
        soon(client.open_session("ada", "secret", "")).await.expect("opened");
    }
    let told = pool.scripts.told.lock().expect("whole").clone();
    assert_eq!(told, [("gate-word".into(), "203.0.113.9".into()), (String::new(), String::new())]);
    assert!(client.for_browser("a\nb", [127, 0, 0, 1].into()).is_err());
}
