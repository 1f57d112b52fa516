//! Transfers, balances and the audit.

use crate::support::{TestPool, change_row, within};
use hivemind_pool::Tuning;
use hivemind_proto::v1::{AuditRequest, TransferManyRequest, TransferRequest, TrialBalanceRequest};
use std::path::PathBuf;
use tonic::Code;

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
        ("bob", 9_223_372_036_854, 775_807, "", "E_INSUFFICIENT_CPT:"),
        ("bob", 9_223_372_036_854, 775_808, "", "E_INVALID: amount:"),
    ] {
        let answer = ada.pay(to, amount, micro, id).await;
        assert!(!answer.success && answer.message.starts_with(expected), "{to} {amount} {micro}: {}", answer.message);
    }
    assert_eq!(ada.funds().await, (150_000_000, 0));
}

#[tokio::test]
async fn one_transfer_id_has_one_effect() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let first = ada.pay("bob", 10, 500_000, "rent").await;
    assert!(first.success, "{}", first.message);
    assert_eq!((first.new_balance, first.new_balance_micro), (139, 139_500_000));
    assert_eq!(ada.pay("bob", 10, 500_000, "rent").await, first);
    let other = ada.pay("bob", 11, 0, "rent").await;
    assert!(!other.success && other.message.starts_with("E_ID_REUSED:"), "{}", other.message);
    assert!(bob.pay("ada", 1, 0, "rent").await.success, "an id is its user's own");
    assert_eq!(ada.funds().await, (140_500_000, 0));
    assert_eq!(bob.funds().await, (159_500_000, 0));
    let pool = pool.restart().await;
    let ada = pool.login("ada", crate::support::PASSWORD).await;
    assert_eq!(ada.pay("bob", 10, 500_000, "rent").await, first, "the id was forgotten over a restart");
}

#[tokio::test]
async fn the_audit_is_the_operators_and_finds_the_books_balanced() {
    let pool = TestPool::start().await;
    let (ada, operator) = (pool.user("ada").await, pool.operator().await);
    ada.submit("one").await;
    let status = within(ada.pool().audit(AuditRequest { token: ada.token.clone() })).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let audit = operator.audit().await;
    assert!(audit.balanced, "{}", audit.finding);
    assert_eq!(audit.supply_micro, 1_000_000_000_000_000_000);
    assert_eq!(audit.held_micro, ada.funds().await.1);
    assert!(audit.held_micro > 0);
}

#[tokio::test]
async fn many_transfers_have_an_answer_each() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    pool.user("bob").await;
    let many = |transfers: Vec<TransferRequest>| async {
        let request = TransferManyRequest { token: ada.token.clone(), transfers };
        within(ada.money().transfer_many(ada.bearing(request))).await
    };
    let mut transfers: Vec<_> = (0..1000).map(|index| ada.transfer("bob", 0, 1000, &format!("t{index}"))).collect();
    transfers[3].amount = -1;
    transfers[7].to_username = "nobody".into();
    transfers[8].to_username = "ada".into();
    transfers[9] = ada.transfer("bob", 0, 1000, "t0");
    transfers[10] = ada.transfer("bob", 0, 1001, "t0");
    transfers[11].amount = 1000;
    let answers = many(transfers.clone()).await.unwrap().into_inner().transfers;
    let refused: Vec<(usize, &str)> = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| !answer.success)
        .map(|(index, answer)| (index, answer.message.split(':').next().unwrap()))
        .collect();
    let expected =
        [(3, "E_INVALID"), (7, "E_NOT_FOUND"), (8, "E_INVALID"), (10, "E_ID_REUSED"), (11, "E_INSUFFICIENT_CPT")];
    assert_eq!(refused, expected);
    assert_eq!(answers[9], answers[0], "the same id has the same answer");
    assert_eq!(ada.funds().await, (150_000_000 - 994 * 1000, 0));
    assert_eq!(many(transfers).await.unwrap().into_inner().transfers, answers, "a retry moved money");
    assert_eq!(ada.funds().await, (150_000_000 - 994 * 1000, 0));
    let status = many(vec![ada.transfer("bob", 1, 0, ""); 10_001]).await.unwrap_err();
    assert!(status.message().starts_with("E_TOO_LARGE: transfers"), "{status}");
    assert!(pool.operator().await.audit().await.balanced);
}

#[tokio::test]
async fn in_the_open_mode_free_credit_is_money_like_any_other() {
    let pool = TestPool::start().await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    assert!(ada.pay("bob", 50, 0, "").await.success);
    let (a, b) = (ada.balance().await, bob.balance().await);
    assert_eq!((a.balance, a.promo_micro, a.transferable_micro), (100, 100_000_000, 100_000_000));
    assert_eq!((b.balance_micro, b.promo_micro, b.transferable_micro), (200_000_000, 150_000_000, 200_000_000));
    bob.submit("one").await;
    let b = bob.balance().await;
    assert!(b.held_micro > 0 && b.promo_micro == 150_000_000 - b.held_micro, "free credit is held first: {b:?}");
    assert_eq!((b.pending_micro, b.vesting_micro), (0, 0));
}

#[tokio::test]
async fn the_trial_balance_is_the_operators_and_adds_up() {
    let pool = TestPool::start().await;
    let (ada, operator) = (pool.user("ada").await, pool.operator().await);
    ada.submit("one").await;
    pool.user("bob").await;
    assert!(ada.pay("bob", 20, 0, "").await.success);
    let status = within(ada.pool().trial_balance(TrialBalanceRequest { token: ada.token.clone() })).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let request = TrialBalanceRequest { token: operator.token.clone() };
    let balance = within(operator.pool().trial_balance(request)).await.unwrap().into_inner();
    let kinds: Vec<&str> = balance.lines.iter().map(|line| line.kind.as_str()).collect();
    assert_eq!(kinds, ["treasury", "available", "promo", "held", "pending", "owner", "reward", "project"]);
    let of = |kind: &str| balance.lines.iter().find(|line| line.kind == kind).map(|line| line.balance_micro).unwrap();
    assert_eq!(of("available"), 20_000_000);
    assert_eq!(of("held"), ada.funds().await.1);
    assert_eq!(balance.lines.iter().map(|line| line.balance_micro).sum::<i64>(), balance.supply_micro);
    assert_eq!(balance.supply_micro, balance.expected_supply_micro);
    assert_eq!(balance.last_hash.len(), 64);
    let holds: Vec<(i64, i64)> = balance.holds.iter().map(|line| (line.holds, line.amount_micro)).collect();
    assert_eq!(holds, [(1, of("held")), (0, 0), (0, 0), (0, 0)]);
    assert_eq!(operator.audit().await.entries, balance.entries);
}

#[tokio::test]
async fn the_audit_names_the_entry_that_was_changed_in_the_database() {
    for (change, entry) in [
        ("UPDATE journal SET at = at + 1 WHERE seq = 3", 3),
        ("UPDATE journal SET hash = zeroblob(32) WHERE seq = 2", 2),
        ("UPDATE journal SET reason = 'nonsense' WHERE seq = 4", 4),
    ] {
        let pool = TestPool::start().await;
        let ada = pool.user("ada").await;
        pool.user("bob").await;
        for _ in 0..3 {
            assert!(ada.pay("bob", 1, 0, "").await.success);
        }
        let changed = async |data: PathBuf| change_row(&data, change).await;
        let pool = pool.restart_after(Tuning::default(), changed).await;
        let audit = pool.operator().await.audit().await;
        assert!(!audit.balanced && audit.bad_entry == entry, "{change}: {audit:?}");
    }
}

/// In a guarded pool such a change would be worth money: work that it pays for is paid in it.
#[tokio::test]
async fn the_audit_names_a_hold_whose_free_credit_became_money_in_the_database() {
    let pool = TestPool::start().await;
    pool.user("ada").await.submit("one").await;
    let changed = async |data: PathBuf| change_row(&data, "UPDATE holds SET own = promo, promo = 0").await;
    let pool = pool.restart_after(Tuning::default(), changed).await;
    let audit = pool.operator().await.audit().await;
    assert!(!audit.balanced && audit.finding.starts_with("L3: the hold of task_1 is stored as"), "{audit:?}");
}
