//! Transfers, balances and the audit.

use crate::support::{TestPool, User, within};
use hivemind_proto::v1::{AuditRequest, TransferRequest, TransferResponse};
use tonic::Code;

async fn pay(from: &User, to: &str, amount: i64, amount_micro: i64, id: &str) -> TransferResponse {
    let request = TransferRequest {
        token: from.token.clone(),
        to_username: to.into(),
        amount,
        transfer_id: id.into(),
        amount_micro,
    };
    within(from.money().transfer(request)).await.unwrap().into_inner()
}

#[tokio::test]
async fn bad_transfers_name_the_field_and_move_nothing() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    pool.user("bob").await;
    for (to, amount, micro, id, expected) in [
        ("bob", -1, 0, "", "E_INVALID: amount:"),
        ("bob", i64::MIN, 0, "", "E_INVALID: amount:"),
        ("bob", i64::MAX, 0, "", "E_INVALID: amount:"),
        ("bob", 0, 0, "", "E_INVALID: amount:"),
        ("bob", 1, -1, "", "E_INVALID: amount_micro:"),
        ("bob", 1, 1_000_000, "", "E_INVALID: amount_micro:"),
        ("bob", 151, 0, "", "E_INSUFFICIENT_CPT:"),
        ("ada", 1, 0, "", "E_INVALID: to_username"),
        ("ADA", 1, 0, "", "E_INVALID: to_username"),
        ("nobody", 1, 0, "", "E_NOT_FOUND:"),
        ("", 1, 0, "", "E_"),
        ("bob", 1, 0, &"x".repeat(129), "E_INVALID: transfer_id:"),
    ] {
        let answer = pay(&ada, to, amount, micro, id).await;
        assert!(!answer.success && answer.message.starts_with(expected), "{to} {amount} {micro}: {}", answer.message);
    }
    assert_eq!(ada.funds().await, (150_000_000, 0));
}

#[tokio::test]
async fn one_transfer_id_has_one_effect() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let first = pay(&ada, "bob", 10, 500_000, "rent").await;
    assert!(first.success, "{}", first.message);
    assert_eq!((first.new_balance, first.new_balance_micro), (139, 139_500_000));
    assert_eq!(pay(&ada, "bob", 10, 500_000, "rent").await, first);
    let other = pay(&ada, "bob", 11, 0, "rent").await;
    assert!(!other.success && other.message.starts_with("E_ID_REUSED:"), "{}", other.message);
    assert!(pay(&bob, "ada", 1, 0, "rent").await.success, "an id is its user's own");
    assert_eq!(ada.funds().await, (140_500_000, 0));
    assert_eq!(bob.funds().await, (159_500_000, 0));
    let pool = pool.restart().await;
    let ada = pool.login("ada", crate::support::PASSWORD).await;
    assert_eq!(pay(&ada, "bob", 10, 500_000, "rent").await, first, "the id was forgotten over a restart");
}

#[tokio::test]
async fn the_audit_is_the_operators_and_finds_the_books_balanced() {
    let pool = TestPool::start().await;
    let (ada, operator) = (pool.user("ada").await, pool.operator().await);
    ada.submit("one").await;
    let status = within(ada.pool().audit(AuditRequest { token: ada.token.clone() })).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let audit =
        within(operator.pool().audit(AuditRequest { token: operator.token.clone() })).await.unwrap().into_inner();
    assert!(audit.balanced, "{}", audit.finding);
    assert_eq!(audit.supply_micro, 1_000_000_000_000_000_000);
    assert_eq!(audit.held_micro, ada.funds().await.1);
    assert!(audit.held_micro > 0);
}
