//! `ListRewards`: what nodes were paid for being there, line by line; `OwnStanding`: what one earned.
//!
//! Invariant: a member sees the lines of their own nodes only.

use super::page::{after, cut, size, token};
use crate::shared::Shared;
use crate::status;
use crate::tokens::Caller;
use hivemind_model::rows::{NodeRow, RewardRow, Role};
use hivemind_model::{Millis, NodeId, Rejection, Timestamp};
use hivemind_proto::v1::{ListRewardsRequest, ListRewardsResponse, OwnStandingResponse, RewardLine};
use hivemind_store::RewardFilter;
use tonic::Status;

/// Lines of a caller who names no size.
const DEFAULT_PAGE: u32 = 100;
/// Lines that a node is shown of itself.
const OWN_LINES: u32 = 30;
/// The name of the list in page tokens.
const LIST: &str = "rewards";

/// One page of what the caller's nodes were paid; an operator may name any node.
pub(super) async fn page(
    shared: &Shared,
    caller: &Caller,
    request: &ListRewardsRequest,
) -> Result<ListRewardsResponse, Status> {
    let (mut filter, size) = filter(shared, caller, request).map_err(|rejection| status::rejected(&rejection))?;
    filter.limit = size + 1;
    let mut rows = shared.store.rewards(&filter).await.map_err(|error| status::store(&error))?;
    let more = cut(&mut rows, size);
    let next = rows.last().filter(|_| more).map(|last| token(LIST, [last.from.0.unsigned_abs(), last.node.0]));
    let rewards = rows.iter().map(|row| line(shared, row)).collect();
    Ok(ListRewardsResponse { rewards, next_page_token: next.unwrap_or_default() })
}

/// What one node earned, with its last [`OWN_LINES`] lines; the caller puts its summary in.
pub(super) async fn own(shared: &Shared, node: &NodeRow) -> Result<OwnStandingResponse, Status> {
    let filter =
        RewardFilter { owner: Some(node.owner), node: Some(node.id), limit: OWN_LINES, ..RewardFilter::default() };
    let rows = shared.store.rewards(&filter).await.map_err(|error| status::store(&error))?;
    let income = shared.store.income(node.id, shared.clock.now()).await.map_err(|error| status::store(&error))?;
    Ok(OwnStandingResponse {
        node: None,
        work_today_micro: income.work_today.micro(),
        work_total_micro: income.work.micro(),
        rewards_today_micro: income.rewards_today.micro(),
        rewards_total_micro: income.rewards.micro(),
        rewards: rows.iter().map(|row| line(shared, row)).collect(),
    })
}

fn filter(shared: &Shared, caller: &Caller, request: &ListRewardsRequest) -> Result<(RewardFilter, u32), Rejection> {
    let mut filter = RewardFilter { owner: Some(caller.id), ..RewardFilter::default() };
    if !request.node.is_empty() {
        let node = shared.live.board.node_named(&request.node);
        let theirs = node.filter(|node| match caller.role {
            Role::Operator => true,
            Role::Member => node.owner == caller.id,
        });
        let node = theirs.ok_or_else(|| {
            Rejection::field(hivemind_model::Code::NotFound, "node", "no such node, or it is not yours")
        })?;
        filter.node = Some(node.id);
        filter.owner = Some(node.owner);
    }
    let after = after(LIST, &request.page_token)?;
    filter.after = after.map(|[from, node]| (Timestamp(i64::try_from(from).unwrap_or(i64::MAX)), NodeId(node)));
    Ok((filter, size(request.page_size, DEFAULT_PAGE)?))
}

fn line(shared: &Shared, row: &RewardRow) -> RewardLine {
    RewardLine {
        node: shared.live.board.node_name(row.node),
        from_unix_ms: row.from.0,
        to_unix_ms: row.to.0,
        registered_ms: wire(row.registered),
        alive_ms: wire(row.tally.alive),
        attempts_ended: row.tally.ended,
        attempts_completed: row.tally.completed,
        complex_completed: row.tally.complex,
        base_micro: row.base.micro(),
        performance_micro: row.performance.micro(),
        stability_micro: row.stability.micro(),
        quality_micro: row.quality.micro(),
        level: row.level.as_str().into(),
        multiplier_tenths: row.level.multiplier_tenths(),
        total_micro: row.total.micro(),
    }
}

/// A span as the wire carries it.
pub(super) fn wire(span: Millis) -> i64 {
    i64::try_from(span.0).unwrap_or(i64::MAX)
}
