//! Open-source projects and their tips.
//!
//! Invariant: a tip is given once under one key.

use crate::caller::Caller;
use crate::dto::money::{Collected, Left, ProjectSummary, RegisterProject, Tip, TipSummary};
use crate::dto::{Micro, Page};
use crate::extract::{Asked, At, Body, Once, Unkeyed, page_size};
use crate::fault::Fault;
use crate::routes::IdempotencyKey;
use crate::wire::FromWire;
use axum::Json;
use hivemind_client::v1::{ListProjectsRequest, ListTipsRequest};
use hivemind_model::Cpt;
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageAsked {
    /// Items on a page; 100 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// Lists the projects, in the order of registration.
#[utoipa::path(get, path = "/projects", tag = "projects", params(PageAsked),
    responses((status = 200, description = "A page of them", body = Page<ProjectSummary>)))]
pub(crate) async fn list_projects(
    caller: Caller,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<ProjectSummary>>, Fault> {
    let (page_size, page_token) = (page_size(asked.limit)?, asked.cursor.unwrap_or_default());
    let page = caller.client.projects(ListProjectsRequest { token: String::new(), page_size, page_token }).await?;
    Ok(Json(Page::of(page.projects, page.next_page_token)))
}

/// Registers a project of the caller.
#[utoipa::path(post, path = "/projects", tag = "projects", request_body = RegisterProject,
    responses((status = 201, description = "It is registered", body = ProjectSummary)))]
pub(crate) async fn register_project(
    _: Unkeyed,
    caller: Caller,
    Body(asked): Body<RegisterProject>,
) -> Result<(StatusCode, Json<ProjectSummary>), Fault> {
    let project = caller.client.register_project(&asked.name, &asked.repository).await?;
    Ok((StatusCode::CREATED, Json(ProjectSummary::from_wire(project))))
}

/// Lists the tips of a project, newest first.
#[utoipa::path(get, path = "/projects/{name}/tips", tag = "projects",
    params(("name" = String, Path, description = "Name of the project", max_length = 64), PageAsked),
    responses((status = 200, description = "A page of them", body = Page<TipSummary>)))]
pub(crate) async fn list_tips(
    caller: Caller,
    At(project): At<String>,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<TipSummary>>, Fault> {
    let (page_size, page_token) = (page_size(asked.limit)?, asked.cursor.unwrap_or_default());
    let request = ListTipsRequest { token: String::new(), project, page_size, page_token };
    let page = caller.client.tips(request).await?;
    Ok(Json(Page::of(page.tips, page.next_page_token)))
}

/// Gives CPT to a project.
#[utoipa::path(post, path = "/projects/{name}/tips", tag = "projects",
    params(("name" = String, Path, description = "Name of the project", max_length = 64), IdempotencyKey),
    request_body = Tip, responses((status = 200, description = "It is given", body = Left)))]
pub(crate) async fn tip(
    caller: Caller,
    At(project): At<String>,
    Once(tip_id): Once,
    Body(asked): Body<Tip>,
) -> Result<Json<Left>, Fault> {
    let amount = Cpt::from_micro(asked.amount_micro.0);
    let left = caller.client.tip(&project, amount, &asked.message, &tip_id).await?;
    Ok(Json(Left { new_balance_micro: Micro(left.micro()) }))
}

/// Gives what was tipped to a project of the caller and not collected to the caller.
#[utoipa::path(post, path = "/projects/{name}/collect", tag = "projects",
    params(("name" = String, Path, description = "Name of the project", max_length = 64)),
    responses((status = 200, description = "What the caller got", body = Collected)))]
pub(crate) async fn collect_tips(
    _: Unkeyed,
    caller: Caller,
    At(project): At<String>,
) -> Result<Json<Collected>, Fault> {
    let amount = caller.client.collect_tips(&project).await?;
    Ok(Json(Collected { amount_micro: Micro(amount.micro()) }))
}

/// Lets a project of the caller take no more tips, for good; gives what was not collected to the caller.
#[utoipa::path(post, path = "/projects/{name}/close", tag = "projects",
    params(("name" = String, Path, description = "Name of the project", max_length = 64)),
    responses((status = 200, description = "What the caller got", body = Collected)))]
pub(crate) async fn close_project(
    _: Unkeyed,
    caller: Caller,
    At(project): At<String>,
) -> Result<Json<Collected>, Fault> {
    let amount = caller.client.close_project(&project).await?;
    Ok(Json(Collected { amount_micro: Micro(amount.micro()) }))
}
