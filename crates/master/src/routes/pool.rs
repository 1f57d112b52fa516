//! The pool as a whole.
//!
//! Invariant: nothing here changes anything.

use crate::app::App;
use crate::caller::{Caller, Peer};
use crate::dto::Page;
use crate::dto::node::{AuditReport, PoolInfo, TrialBalance};
use crate::dto::pool::{JournalEntry, PoolHealth, PublicCounters, Queue};
use crate::extract::{Asked, page_size, words};
use crate::fault::Fault;
use crate::wire::FromWire;
use axum::Json;
use axum::extract::State;
use hivemind_client::v1::ListJournalRequest;
use serde::Deserialize;
use utoipa::IntoParams;

/// The pool in figures: prices, nodes, tasks.
#[utoipa::path(get, path = "/pool", tag = "pool",
    responses((status = 200, description = "The figures", body = PoolInfo)))]
pub(crate) async fn info(caller: Caller) -> Result<Json<PoolInfo>, Fault> {
    Ok(Json(PoolInfo::from_wire(caller.client.info().await?)))
}

/// Replays the whole journal and compares it with the stored balances; may take minutes. Operators only.
#[utoipa::path(get, path = "/pool/audit", tag = "pool",
    responses((status = 200, description = "What was found", body = AuditReport)))]
pub(crate) async fn audit(caller: Caller) -> Result<Json<AuditReport>, Fault> {
    Ok(Json(AuditReport::from_wire(caller.client.audit().await?)))
}

/// What the accounts of each kind have together, and the supply. Operators only.
#[utoipa::path(get, path = "/pool/trial-balance", tag = "pool",
    responses((status = 200, description = "The books", body = TrialBalance)))]
pub(crate) async fn trial_balance(caller: Caller) -> Result<Json<TrialBalance>, Fault> {
    Ok(Json(TrialBalance::from_wire(caller.client.trial_balance().await?)))
}

/// How the pool is: machines, work, money, speed. Operators only.
#[utoipa::path(get, path = "/pool/health", tag = "pool",
    responses((status = 200, description = "No older than a second", body = PoolHealth)))]
pub(crate) async fn health(caller: Caller) -> Result<Json<PoolHealth>, Fault> {
    Ok(Json(PoolHealth::from_wire(caller.client.health().await?)))
}

/// What waits, by the reason why it does and by age. Operators only.
#[utoipa::path(get, path = "/pool/queue", tag = "pool",
    responses((status = 200, description = "No older than a second", body = Queue)))]
pub(crate) async fn queue(caller: Caller) -> Result<Json<Queue>, Fault> {
    Ok(Json(Queue::from_wire(caller.client.queue().await?)))
}

/// Which entries are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct JournalAsked {
    /// Only these, parted by commas: genesis, sign_up, transfer, hold, accrual, return, settlement, release, expiry, reward, vest,
    /// tip, collect.
    #[param(max_length = 200)]
    kind: Option<String>,
    /// Only entries that touch an account of this user.
    #[param(max_length = 64)]
    username: Option<String>,
    /// Items on a page; 100 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// The journal, newest entry first; a page can be short, or empty, while more follow. Operators only.
#[utoipa::path(get, path = "/pool/journal", tag = "pool", params(JournalAsked),
    responses((status = 200, description = "A page of it", body = Page<JournalEntry>)))]
pub(crate) async fn journal(
    caller: Caller,
    Asked(asked): Asked<JournalAsked>,
) -> Result<Json<Page<JournalEntry>>, Fault> {
    let request = ListJournalRequest {
        token: String::new(),
        page_size: page_size(asked.limit)?,
        page_token: asked.cursor.unwrap_or_default(),
        kinds: words(asked.kind.as_deref()),
        username: asked.username.unwrap_or_default(),
    };
    let page = caller.client.journal(request).await?;
    Ok(Json(Page::of(page.entries, page.next_page_token)))
}

/// What everybody may know of the pool, without a login.
#[utoipa::path(get, path = "/public", tag = "pool", security(()),
    responses((status = 200, description = "No older than ten seconds", body = PublicCounters)))]
pub(crate) async fn public(State(app): State<App>, Peer(from): Peer) -> Result<Json<PublicCounters>, Fault> {
    Ok(Json(PublicCounters::from_wire(app.stranger(from).await?.public_counters().await?)))
}
