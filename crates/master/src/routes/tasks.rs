//! Tasks and their elements, as they stand.
//!
//! Invariant: nothing here changes anything.

use crate::caller::Caller;
use crate::dto::Page;
use crate::dto::explain::Explanation;
use crate::dto::money::Entries;
use crate::dto::task::{ElementSummary, TaskStatus, TaskSummary};
use crate::extract::{Asked, At, page_size, task as task_id, words};
use crate::fault::Fault;
use crate::wire::FromWire;
use axum::Json;
use hivemind_client::v1::{ListElementsRequest, ListTasksRequest};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which tasks are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TasksAsked {
    /// Only these, parted by commas: pending, running, completed, failed, cancelled.
    #[param(max_length = 64)]
    status: Option<String>,
    /// Only tasks whose name or image contains this; a page may then be short, or empty, and still name a next one.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Items on a page; 50 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// Lists the caller's tasks, newest first.
#[utoipa::path(get, path = "/tasks", tag = "tasks", params(TasksAsked),
    responses((status = 200, description = "A page of them", body = Page<TaskSummary>)))]
pub(crate) async fn list_tasks(
    caller: Caller,
    Asked(asked): Asked<TasksAsked>,
) -> Result<Json<Page<TaskSummary>>, Fault> {
    let request = ListTasksRequest {
        token: String::new(),
        status: words(asked.status.as_deref()),
        page_size: page_size(asked.limit)?,
        page_token: asked.cursor.unwrap_or_default(),
        q: asked.q.unwrap_or_default(),
    };
    let page = caller.client.list(request).await?;
    Ok(Json(Page::of(page.tasks, page.next_page_token)))
}

/// Tells where a task stands, with its result and its attempts.
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64)),
    responses((status = 200, description = "Where it stands", body = TaskStatus)))]
pub(crate) async fn task(caller: Caller, At(id): At<String>) -> Result<Json<TaskStatus>, Fault> {
    Ok(Json(TaskStatus::from_wire(caller.client.status(task_id(&id)?).await?)))
}

/// Tells why a task waits, where it runs or how it ended, and the cheapest change that would make it run.
#[utoipa::path(get, path = "/tasks/{id}/explain", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64)),
    responses((status = 200, description = "Why it stands where it stands", body = Explanation)))]
pub(crate) async fn explain(caller: Caller, At(id): At<String>) -> Result<Json<Explanation>, Fault> {
    Ok(Json(Explanation::from_wire(caller.client.explain(task_id(&id)?).await?)))
}

/// Which elements are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ElementsAsked {
    /// Indices, such as `1-10,20`; all where it is left out.
    #[param(max_length = 4096)]
    elements: Option<String>,
    /// Only these, parted by commas: waiting, live, completed, failed, cancelled.
    #[param(max_length = 64)]
    status: Option<String>,
    /// Items on a page; 100 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// Lists the elements of a task, by index.
#[utoipa::path(get, path = "/tasks/{id}/elements", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), ElementsAsked),
    responses((status = 200, description = "A page of them", body = Page<ElementSummary>)))]
pub(crate) async fn elements(
    caller: Caller,
    At(id): At<String>,
    Asked(asked): Asked<ElementsAsked>,
) -> Result<Json<Page<ElementSummary>>, Fault> {
    let request = ListElementsRequest {
        token: String::new(),
        task_id: task_id(&id)?.to_string(),
        elements: asked.elements.unwrap_or_default(),
        status: words(asked.status.as_deref()),
        page_size: page_size(asked.limit)?,
        page_token: asked.cursor.unwrap_or_default(),
    };
    let page = caller.client.list_elements(request).await?;
    Ok(Json(Page::of(page.elements, page.next_page_token)))
}

/// Tells where a task stands, with the result, the error and the attempts of one of its elements.
#[utoipa::path(get, path = "/tasks/{id}/elements/{index}", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64),
        ("index" = u32, Path, description = "Index of the element")),
    responses((status = 200, description = "Where it stands", body = TaskStatus)))]
pub(crate) async fn element(caller: Caller, At((id, index)): At<(String, u32)>) -> Result<Json<TaskStatus>, Fault> {
    Ok(Json(TaskStatus::from_wire(caller.client.status_of(task_id(&id)?, index).await?)))
}

/// Every journal entry about a task, oldest first.
#[utoipa::path(get, path = "/tasks/{id}/entries", tag = "wallet",
    params(("id" = String, Path, description = "Id of the task", max_length = 64)),
    responses((status = 200, description = "What was set aside, earned, paid and given back", body = Entries)))]
pub(crate) async fn entries(caller: Caller, At(id): At<String>) -> Result<Json<Entries>, Fault> {
    Ok(Json(Entries::from_wire(caller.client.task_entries(task_id(&id)?).await?)))
}
