//! Machines.
//!
//! Invariant: a join token is told once, to whoever made it.

use crate::caller::Caller;
use crate::dto::Page;
use crate::dto::node::{JoinToken, MakeJoinToken, NodeHistory, NodeSummary, SetNode};
use crate::extract::{Asked, At, Body, MaybeBody, Unkeyed, page_size};
use crate::fault::Fault;
use crate::wire::{FromWire, ToWire};
use axum::Json;
use hivemind_client::v1::{ListNodesRequest, NodeHistoryRequest, SetNodeRequest};
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;
use utoipa::IntoParams;

/// Which nodes are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodesAsked {
    /// Operators: every node, not only one's own.
    all: Option<bool>,
    /// Items on a page; 100 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// Lists nodes, by name.
#[utoipa::path(get, path = "/nodes", tag = "nodes", params(NodesAsked),
    responses((status = 200, description = "A page of them", body = Page<NodeSummary>)))]
pub(crate) async fn list_nodes(
    caller: Caller,
    Asked(asked): Asked<NodesAsked>,
) -> Result<Json<Page<NodeSummary>>, Fault> {
    let (page_size, page_token) = (page_size(asked.limit)?, asked.cursor.unwrap_or_default());
    let all = asked.all.unwrap_or(false);
    let page = caller.client.nodes_page(ListNodesRequest { token: String::new(), all, page_size, page_token }).await?;
    Ok(Json(Page::of(page.nodes, page.next_page_token)))
}

/// Which part of the past.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryAsked {
    /// First moment, in milliseconds since 1970; an hour ago where it is left out.
    #[param(minimum = 0)]
    from: Option<i64>,
    /// Last moment; now where it is left out.
    #[param(minimum = 0)]
    to: Option<i64>,
    /// At most so many, each the mean of its part of the time; 120 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    points: Option<i32>,
}

/// What a node did over time, for charts.
#[utoipa::path(get, path = "/nodes/{name}/history", tag = "nodes",
    params(("name" = String, Path, description = "Name of the node", max_length = 64), HistoryAsked),
    responses((status = 200, description = "Its samples", body = NodeHistory)))]
pub(crate) async fn node_history(
    caller: Caller,
    At(node_id): At<String>,
    Asked(asked): Asked<HistoryAsked>,
) -> Result<Json<NodeHistory>, Fault> {
    let request = NodeHistoryRequest {
        token: String::new(),
        node_id,
        from_unix_ms: asked.from.unwrap_or(0),
        to_unix_ms: asked.to.unwrap_or(0),
        points: asked.points.unwrap_or(0),
    };
    Ok(Json(NodeHistory::from_wire(caller.client.node_history(request).await?)))
}

/// Decides whether a node gets work. One's own nodes may be cordoned and drained; operators: all, and ban them.
#[utoipa::path(post, path = "/nodes/{name}/service", tag = "nodes",
    params(("name" = String, Path, description = "Name of the node", max_length = 64)), request_body = SetNode,
    responses((status = 200, description = "How it stands now", body = NodeSummary)))]
pub(crate) async fn set_node(
    caller: Caller,
    At(node_id): At<String>,
    Body(asked): Body<SetNode>,
) -> Result<Json<NodeSummary>, Fault> {
    let request = SetNodeRequest { node_id, ..asked.to_wire() };
    Ok(Json(NodeSummary::from_wire(caller.client.set_node_request(request).await?)))
}

/// Makes a one-time token with which a machine joins as the caller's.
#[utoipa::path(post, path = "/nodes/join-tokens", tag = "nodes",
    request_body(content = Option<MakeJoinToken>, description = "Nothing: valid for 900 s"),
    responses((status = 201, description = "The token; it is told this once", body = JoinToken)))]
pub(crate) async fn create_join_token(
    _: Unkeyed,
    caller: Caller,
    MaybeBody(asked): MaybeBody<MakeJoinToken>,
) -> Result<(StatusCode, Json<JoinToken>), Fault> {
    let seconds = u64::try_from(asked.valid_seconds).map_err(|_below| Fault::invalid("valid_seconds", "1 to 900"))?;
    let made = caller.client.create_join_token(Duration::from_secs(seconds)).await?;
    let told = JoinToken { join_token: made.token, expires_at_unix_ms: made.expires_at.0 };
    Ok((StatusCode::CREATED, Json(told)))
}
