//! What a user has, what moved, and moving it.
//!
//! Invariant: money moves once under one key.

use crate::caller::Caller;
use crate::dto::money::{Balance, Left, RewardLine, StatementLine, Transfer};
use crate::dto::{Micro, Page};
use crate::extract::{Asked, Body, Once, page_size, words};
use crate::fault::Fault;
use crate::routes::IdempotencyKey;
use axum::Json;
use hivemind_client::v1::{ListRewardsRequest, StatementRequest};
use hivemind_model::Cpt;
use serde::Deserialize;
use utoipa::IntoParams;

/// What the caller has.
#[utoipa::path(get, path = "/wallet", tag = "wallet",
    responses((status = 200, description = "What there is, by what it can be used for", body = Balance)))]
pub(crate) async fn wallet(caller: Caller) -> Result<Json<Balance>, Fault> {
    Ok(Json(caller.client.balance().await?.into()))
}

/// Which movements are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatementAsked {
    /// Only these, parted by commas: sign_up, transfer, hold, accrual, return, settlement, release, expiry, reward, vest, tip, collect.
    #[param(max_length = 200)]
    kind: Option<String>,
    /// Only these, parted by commas: available, promo, held, pending, owner, reward.
    #[param(max_length = 200)]
    account: Option<String>,
    /// Only entries about this task.
    #[param(max_length = 64)]
    task_id: Option<String>,
    /// First moment, in milliseconds since 1970.
    #[param(minimum = 0)]
    from: Option<i64>,
    /// First moment that is not shown any more.
    #[param(minimum = 0)]
    to: Option<i64>,
    /// Journal entries on a page; 100 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// Every movement on the caller's accounts, newest first, each with the balance after it.
#[utoipa::path(get, path = "/wallet/statement", tag = "wallet", params(StatementAsked),
    responses((status = 200, description = "A page of them", body = Page<StatementLine>)))]
pub(crate) async fn statement(
    caller: Caller,
    Asked(asked): Asked<StatementAsked>,
) -> Result<Json<Page<StatementLine>>, Fault> {
    let request = StatementRequest {
        token: String::new(),
        from_unix_ms: asked.from.unwrap_or(0),
        to_unix_ms: asked.to.unwrap_or(0),
        kinds: words(asked.kind.as_deref()),
        accounts: words(asked.account.as_deref()),
        task_id: asked.task_id.unwrap_or_default(),
        page_size: page_size(asked.limit)?,
        page_token: asked.cursor.unwrap_or_default(),
    };
    let page = caller.client.statement(request).await?;
    Ok(Json(Page::of(page.lines, page.next_page_token)))
}

/// Moves CPT to another user.
#[utoipa::path(post, path = "/wallet/transfers", tag = "wallet", params(IdempotencyKey), request_body = Transfer,
    responses((status = 200, description = "It is moved", body = Left)))]
pub(crate) async fn transfer(
    caller: Caller,
    Once(transfer_id): Once,
    Body(asked): Body<Transfer>,
) -> Result<Json<Left>, Fault> {
    let amount = Cpt::from_micro(asked.amount_micro.0);
    let left = caller.client.transfer(&asked.to_username, amount, &transfer_id).await?;
    Ok(Json(Left { new_balance_micro: Micro(left.micro()) }))
}

/// Which rewards are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RewardsAsked {
    /// Only this node's.
    #[param(max_length = 64)]
    node: Option<String>,
    /// Items on a page; 100 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// What the caller's nodes were rewarded, newest period first.
#[utoipa::path(get, path = "/rewards", tag = "wallet", params(RewardsAsked),
    responses((status = 200, description = "A page of them", body = Page<RewardLine>)))]
pub(crate) async fn rewards(
    caller: Caller,
    Asked(asked): Asked<RewardsAsked>,
) -> Result<Json<Page<RewardLine>>, Fault> {
    let request = ListRewardsRequest {
        token: String::new(),
        node: asked.node.unwrap_or_default(),
        page_size: page_size(asked.limit)?,
        page_token: asked.cursor.unwrap_or_default(),
    };
    let page = caller.client.rewards(request).await?;
    Ok(Json(Page::of(page.rewards, page.next_page_token)))
}
