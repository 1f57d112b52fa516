//! The guarded economy: invitations, free credit that buys tasks only, and what an operator alone may do.

use crate::support::{TestPool, User, register, within};
use hivemind_model::economy::Mode;
use hivemind_model::{Millis, Policy};
use hivemind_pool::Tuning;
use hivemind_proto::v1::*;
use tonic::{Code, Status};

async fn guarded(signups_per_address: u32) -> TestPool {
    let mut policy = Policy::default();
    policy.economy.mode = Mode::Guarded;
    policy.economy.guard.vesting = Millis::from_secs(3600);
    policy.economy.guard.signups_per_address = signups_per_address;
    TestPool::start_with(policy, Tuning::default()).await
}

async fn invite(user: &User, uses: i32, valid_seconds: i64) -> Result<CreateInvitationResponse, Status> {
    let request = CreateInvitationRequest { token: user.token.clone(), uses, valid_seconds };
    within(user.auth().create_invitation(request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_account_takes_an_invitation() {
    let pool = guarded(100).await;
    let (channel, operator) = (pool.channel().await, pool.operator().await);
    let code = invite(&operator, 2, 0).await.unwrap().invitation;
    for (name, typed) in [("ada", code.clone()), ("bob", code.to_uppercase().replace('-', " "))] {
        for (given, what) in [("", "none"), ("wrong-code", "a wrong one"), (&*"x".repeat(1000), "a long one")] {
            let answer = register(&channel, name, given).await;
            assert!(!answer.success && answer.message.contains("invitation"), "{what}: {}", answer.message);
        }
        let answer = register(&channel, name, &typed).await;
        assert!(answer.success, "{}", answer.message);
    }
    let answer = register(&channel, "eve", &code).await;
    assert!(!answer.success && answer.message.starts_with("E_INVITATION: "), "used up: {}", answer.message);
    let info = within(operator.pool().info(operator.bearing(InfoRequest::default()))).await.unwrap().into_inner();
    assert_eq!((info.economy.as_str(), info.invitation_needed, info.listens_outside), ("guarded", true, false));
}

#[tokio::test]
async fn only_operators_invite_and_within_bounds() {
    let pool = TestPool::start().await;
    let (ada, operator) = (pool.user("ada").await, pool.operator().await);
    assert_eq!(invite(&ada, 1, 1).await.unwrap_err().code(), Code::PermissionDenied);
    for (uses, seconds, field) in [
        (-1, 0, "uses"),
        (1001, 0, "uses"),
        (1, -1, "valid_seconds"),
        (1, 31_536_001, "valid_seconds"),
        (1, i64::MAX, "valid_seconds"),
    ] {
        let status = invite(&operator, uses, seconds).await.unwrap_err();
        assert!(status.message().starts_with(&format!("E_INVALID: {field}")), "{status}");
    }
    let (first, second) = (invite(&operator, 0, 0).await.unwrap(), invite(&operator, 1000, 31_536_000).await.unwrap());
    assert_ne!(first.invitation, second.invitation);
    assert!(second.expires_at_unix_ms > first.expires_at_unix_ms);
    let info = within(ada.pool().info(ada.bearing(InfoRequest::default()))).await.unwrap().into_inner();
    assert_eq!((info.economy.as_str(), info.invitation_needed), ("open", false));
    assert_eq!((info.reward_period_ms, info.meter_interval_ms), (3_600_000, 10_000));
}

#[tokio::test]
async fn one_address_makes_few_accounts() {
    let pool = guarded(2).await;
    let (channel, operator) = (pool.channel().await, pool.operator().await);
    let code = invite(&operator, 10, 0).await.unwrap().invitation;
    for name in ["ada", "bob"] {
        assert!(register(&channel, name, &code).await.success, "the operator's account is not counted");
    }
    let answer = register(&channel, "eve", &code).await;
    assert!(!answer.success && answer.message.starts_with("E_BUSY: "), "{}", answer.message);
}

#[tokio::test]
async fn free_credit_buys_tasks_only() {
    let pool = guarded(100).await;
    let (channel, operator) = (pool.channel().await, pool.operator().await);
    let code = invite(&operator, 10, 0).await.unwrap().invitation;
    for name in ["ada", "bob"] {
        assert!(register(&channel, name, &code).await.success);
    }
    let (ada, bob) =
        (pool.login("ada", crate::support::PASSWORD).await, pool.login("bob", crate::support::PASSWORD).await);
    let balance = ada.balance().await;
    assert_eq!((balance.balance_micro, balance.transferable_micro), (150_000_000, 0));
    let answer = ada.pay("bob", 1, 0, "").await;
    assert!(!answer.success && answer.message.starts_with("E_INSUFFICIENT_CPT: amount"), "{}", answer.message);
    let project = RegisterProjectRequest {
        token: bob.token.clone(),
        name: "tool".into(),
        repository: "https://example.org/tool".into(),
    };
    within(bob.projects().register_project(project)).await.unwrap();
    let tip = TipRequest { token: ada.token.clone(), project: "tool".into(), amount: 1, ..TipRequest::default() };
    let answer = within(ada.projects().tip(tip)).await.unwrap().into_inner();
    assert!(!answer.success && answer.message.starts_with("E_INSUFFICIENT_CPT: amount"), "{}", answer.message);
    ada.submit("one").await;
    assert!(ada.funds().await.1 > 0);
}
