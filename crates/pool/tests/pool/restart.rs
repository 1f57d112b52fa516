//! What survives the end of the process.

use crate::support::{PASSWORD, TestPool, change_row, config, within};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn tasks_balances_and_tokens_survive_a_restart() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = ada.submit("one").await;
    let funds = ada.funds().await;
    let pool = pool.restart().await;
    let again = crate::support::User { channel: pool.channel().await, token: ada.token.clone() };
    assert_eq!(again.funds().await, funds);
    assert_eq!(again.status(&task).await.status, "pending");
    assert!(pool.login("ada", PASSWORD).await.funds().await == funds);
}

#[tokio::test]
async fn secrets_are_for_their_owner_only() {
    let pool = TestPool::start().await;
    for file in ["operator.password", "keys/jwt.pem", "keys/ca.key", "pool.db"] {
        let mode = std::fs::metadata(pool.data().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
}

#[tokio::test]
async fn a_crash_before_the_operators_account_is_healed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("operator.password"), "left by a crash\n").unwrap();
    let config = hivemind_pool::PoolConfig {
        data: dir.path().to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        names: Vec::new(),
        policy: hivemind_model::Policy::default(),
        reflection: false,
    };
    let handle = within(hivemind_pool::start(config)).await.unwrap();
    let pool = TestPool { handle, dir: tempfile::tempdir().unwrap() };
    pool.login("operator", "left by a crash").await;
}

#[tokio::test]
async fn two_pools_do_not_share_a_folder() {
    let pool = TestPool::start().await;
    let config = hivemind_pool::PoolConfig {
        data: pool.data(),
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        names: Vec::new(),
        policy: hivemind_model::Policy::default(),
        reflection: false,
    };
    let error = within(hivemind_pool::start(config)).await.err().unwrap();
    assert!(error.to_string().contains("in use by another pool"), "{error:#}");
}

#[tokio::test]
async fn a_pool_does_not_start_where_the_clock_is_far_behind_its_own() {
    let pool = TestPool::start().await;
    let data = pool.data();
    within(pool.handle.shutdown()).await.unwrap();
    change_row(&data, "UPDATE clock SET awake_at = awake_at + 3600000").await;
    let error = within(hivemind_pool::start(config(&data, hivemind_model::Policy::default()))).await.err().unwrap();
    assert!(error.to_string().contains("set the clock right"), "{error:#}");
    change_row(&data, "UPDATE clock SET awake_at = awake_at - 3540000").await;
    let handle = within(hivemind_pool::start(config(&data, hivemind_model::Policy::default()))).await.unwrap();
    // A minute behind, time stands still, and the pool works.
    let pool = TestPool { handle, dir: pool.dir };
    assert_eq!(pool.user("ada").await.funds().await, (150_000_000, 0));
}
