//! Joining a pool, staying in it, and being refused.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub, dead_code, reason = "tests")]

mod support;

use hivemind_model::Timestamp;
use hivemind_proto::worker as wire;
use hivemind_proto::worker::pool_event::Event as Say;
use hivemind_proto::worker::worker_event::Event as Heard;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::*;
use tonic::Status;

const HOUR: i64 = 3_600_000;

async fn refused(data: &Path, join: Option<String>) -> String {
    match hivemind_worker::start(config(data, join).0).await {
        Ok(_) => panic!("it started"),
        Err(why) => format!("{why:#}"),
    }
}

#[tokio::test]
async fn a_token_enrols_once_and_the_membership_stays() {
    let (data, other, mut pool) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedPool::start().await);
    let why = refused(data.path(), None).await;
    assert!(why.contains("--join"), "{why}");
    let token = pool.token();
    let worker = hivemind_worker::start(config(data.path(), Some(token.clone())).0).await.unwrap();
    let why = refused(other.path(), Some(token)).await;
    assert!(why.contains("E_TOKEN_USED") && why.contains("make a new one"), "{why}");
    for file in ["identity.pem", "pool.toml", "ca.pem"] {
        let mode = std::fs::metadata(data.path().join("worker").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
    assert!(!data.path().join("worker/pending.key").exists());
    worker.stop().await.unwrap();
    // With a token of the same pool, and with none.
    let again = hivemind_worker::start(config(data.path(), Some(pool.token())).0).await.unwrap();
    assert_eq!((again.node(), again.name()), (NODE, "tester"));
    again.stop().await.unwrap();
    restart(data.path()).await.0.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_of_another_pool_is_refused_and_the_folder_is_named() {
    let (data, mut pool, mut other) =
        (tempfile::tempdir().unwrap(), ScriptedPool::start().await, ScriptedPool::start().await);
    pool.worker(data.path()).await.0.stop().await.unwrap();
    let why = refused(data.path(), Some(other.token())).await;
    assert!(why.contains("another pool") && why.contains(data.path().to_str().unwrap()), "{why}");
}

#[tokio::test]
async fn one_folder_has_one_worker() {
    let (data, mut pool) = (tempfile::tempdir().unwrap(), ScriptedPool::start().await);
    let (_worker, _) = pool.worker(data.path()).await;
    let why = refused(data.path(), None).await;
    assert!(why.contains("another worker runs on"), "{why}");
}

#[tokio::test]
async fn a_pool_that_is_not_the_tokens_gets_nothing() {
    let (data, pool, mut other) =
        (tempfile::tempdir().unwrap(), ScriptedPool::start().await, ScriptedPool::start().await);
    let (mut config, _) = config(data.path(), Some(other.token()));
    config.server = Some(pool.server.clone());
    let why = hivemind_worker::start(config).await.map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("did not prove"), "{why}");
}

#[tokio::test]
async fn a_refused_node_ends_and_says_why() {
    let (data, mut pool) = (tempfile::tempdir().unwrap(), ScriptedPool::start().await);
    *pool.shared.refuse_links.lock() = Some(Status::not_found("E_NOT_FOUND: node_7 does not exist"));
    let (mut worker, _) = pool.worker(data.path()).await;
    let why = worker.stopped().await.unwrap_err().to_string();
    assert!(why.contains("node_7 does not exist"), "{why}");
    assert!(worker.stopped().await.is_ok());
}

#[tokio::test]
async fn trouble_on_the_way_is_tried_again() {
    let (data, mut pool) = (tempfile::tempdir().unwrap(), ScriptedPool::start().await);
    *pool.shared.refuse_links.lock() = Some(Status::unavailable("starting"));
    let (worker, _) = pool.worker(data.path()).await;
    until("it has failed once", || worker.status().last_error.is_some()).await;
    *pool.shared.refuse_links.lock() = None;
    let _link = pool.welcomed().await;
    worker.linked().await;
}

#[tokio::test]
async fn a_certificate_past_two_thirds_of_its_life_is_renewed_over_the_link() {
    let (data, mut pool) = (tempfile::tempdir().unwrap(), ScriptedPool::start().await);
    *pool.shared.signed_at.lock() = Timestamp(now().0 - 20 * HOUR);
    let (worker, _) = pool.worker(data.path()).await;
    let file = data.path().join("worker/identity.pem");
    let before = std::fs::read_to_string(&file).unwrap();
    let mut link = pool.welcomed().await;
    let Some(Heard::Renew(renew)) = link.next().await else { panic!("no request") };
    let certificate_pem = pool.shared.authority.sign_node(&renew.csr_pem, NODE, now()).unwrap();
    link.say(Say::Certificate(wire::Certificate { certificate_pem: certificate_pem.clone() })).await;
    until("the pair is stored", || std::fs::read_to_string(&file).unwrap() != before).await;
    let after = std::fs::read_to_string(&file).unwrap();
    assert!(after.contains(certificate_pem.trim()) && after.contains("PRIVATE KEY"));
    drop(link);
    assert_eq!(pool.welcomed().await.node, Some(NODE));
    worker.linked().await;
}

#[tokio::test]
async fn a_certificate_that_has_ended_needs_a_new_token() {
    let (data, mut pool) = (tempfile::tempdir().unwrap(), ScriptedPool::start().await);
    *pool.shared.signed_at.lock() = Timestamp(now().0 - 48 * HOUR);
    let (mut worker, _) = pool.worker(data.path()).await;
    let why = worker.stopped().await.unwrap_err().to_string();
    assert!(why.contains("has ended"), "{why}");
    let why = refused(data.path(), None).await;
    assert!(why.contains("ended while it was offline"), "{why}");
    *pool.shared.signed_at.lock() = now();
    let (worker, _) = pool.worker(data.path()).await;
    let _link = pool.welcomed().await;
    worker.linked().await;
}
