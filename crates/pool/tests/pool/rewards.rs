//! Rewards, levels and pending earnings, as owners see them.

use crate::support::{TestPool, User, hello, within};
use hivemind_model::{Millis, Policy};
use hivemind_pool::Tuning;
use hivemind_proto::v1::*;
use tonic::{Code, Status};

async fn rewards(user: &User, node: &str, page_size: i32, page_token: &str) -> Result<ListRewardsResponse, Status> {
    let (token, node, page_token) = (user.token.clone(), node.into(), page_token.into());
    let request = ListRewardsRequest { token, node, page_size, page_token };
    within(user.nodes().list_rewards(request)).await.map(tonic::Response::into_inner)
}

async fn node(user: &User) -> NodeSummary {
    let request = ListNodesRequest { token: user.token.clone(), all: false, ..ListNodesRequest::default() };
    within(user.nodes().list_nodes(request)).await.unwrap().into_inner().nodes.remove(0)
}

#[tokio::test]
async fn a_node_that_is_there_is_rewarded_line_by_line() {
    let mut policy = Policy::default();
    policy.economy.rewards.period = Millis(1000);
    let pool = TestPool::start_with(policy, Tuning::default()).await;
    let (ada, eve, operator) = (pool.user("ada").await, pool.user("eve").await, pool.operator().await);
    let identity = pool.join(&ada, "lab").await;
    let (link, _) = pool.link(&identity, hello("lab")).await;
    let mut sequence = 0;
    let lines = within(async {
        loop {
            sequence += 1;
            link.beat(sequence).await;
            let lines = rewards(&ada, "lab", 1000, "").await.unwrap().rewards;
            if lines.iter().filter(|line| line.total_micro > 0).count() >= 3 {
                return lines;
            }
        }
    })
    .await;
    for line in &lines {
        let parts = line.base_micro + line.performance_micro + line.stability_micro + line.quality_micro;
        assert_eq!(line.total_micro, parts * i64::from(line.multiplier_tenths) / 10, "{line:?}");
        assert!(line.node == "lab" && line.level == "none" && line.alive_ms <= line.to_unix_ms - line.from_unix_ms);
    }
    assert!(lines.windows(2).all(|pair| pair[0].from_unix_ms > pair[1].from_unix_ms), "newest first");
    let first = rewards(&ada, "", 1, "").await.unwrap();
    let second = rewards(&ada, "", 1, &first.next_page_token).await.unwrap();
    assert!(first.rewards[0].from_unix_ms > second.rewards[0].from_unix_ms);
    assert!(rewards(&eve, "", 0, "").await.unwrap().rewards.is_empty());
    for name in ["lab", "nowhere"] {
        let status = rewards(&eve, name, 0, "").await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::NotFound, "E_NOT_FOUND: node: no such node, or it is not yours")
        );
    }
    assert!(!rewards(&operator, "lab", 0, "").await.unwrap().rewards.is_empty(), "an operator may name any node");
    assert!(rewards(&operator, "", 0, "").await.unwrap().rewards.is_empty(), "unnamed, they are one's own");
    for (size, token, field) in [(-1, "", "page_size"), (1001, "", "page_size"), (1, "x", "page_token")] {
        let status = rewards(&ada, "", size, token).await.unwrap_err();
        assert!(status.message().starts_with(&format!("E_INVALID: {field}")), "{status}");
    }
    let lab = node(&ada).await;
    assert!(lab.runtime_ms > 0 && lab.level == "none", "{lab:?}");
    assert!(lab.next_level_ms > 0 && lab.next_level_ms + lab.runtime_ms >= 100 * 3_600_000, "{lab:?}");
    let me = within(ada.auth().who_am_i(ada.bearing(WhoAmIRequest::default()))).await.unwrap().into_inner();
    assert_eq!((me.level.as_str(), me.beta, me.vote), ("none", false, false));
    assert!(operator.audit().await.balanced);
}

#[tokio::test]
async fn what_runs_shows_what_it_has_earned_so_far() {
    let mut policy = Policy::default();
    policy.economy.meter_every = Millis(100);
    let pool = TestPool::start_with(policy, Tuning::default()).await;
    let (ada, bob) = (pool.user("ada").await, pool.user("bob").await);
    let identity = pool.join(&bob, "lab").await;
    let (mut link, _) = pool.link(&identity, hello("lab")).await;
    let task = ada.submit("one").await;
    let attempt = link.assigned().await;
    link.started(attempt).await;
    let mut sequence = 0;
    within(async {
        while bob.balance().await.pending_micro == 0 {
            sequence += 1;
            link.beat(sequence).await;
        }
    })
    .await;
    assert!(ada.status(&task).await.task.unwrap().accrued_micro > 0);
    assert!(node(&bob).await.pending_micro > 0);
    let before = bob.balance().await;
    link.finished(attempt, 0).await;
    assert_eq!(link.acknowledged().await, "");
    let after = bob.balance().await;
    assert_eq!(after.pending_micro, 0);
    assert!(after.balance_micro > before.balance_micro, "{after:?}");
    let summary = ada.status(&task).await.task.unwrap();
    assert_eq!((summary.accrued_micro, ada.funds().await.1), (0, 0));
    assert_eq!(summary.cost_micro, after.balance_micro - before.balance_micro);
}
