//! Handing in tasks, ending them, trying again.
//!
//! Invariant: what is submitted under one key is submitted once.

use crate::caller::{Caller, Known};
use crate::dto::explain::QuoteAnswer;
use crate::dto::submit::{
    CancelTask, GraphSubmitted, GraphTaskId, Quote, RetryTask, SubmitGraph, SubmitTask, Submitted,
};
use crate::dto::task::TaskState;
use crate::dto::{Amount, Micro};
use crate::extract::{At, Body, MaybeBody, Once, task as task_id};
use crate::fault::Fault;
use crate::routes::IdempotencyKey;
use crate::wire::{FromWire, ToWire};
use axum::Json;
use hivemind_client::Again;
use hivemind_client::v1::{SubmitGraphRequest, SubmitTaskRequest};
use hivemind_model::Cpt;
use http::StatusCode;

/// Accepts a task and takes the hold; it is never lost once this answers.
#[utoipa::path(post, path = "/tasks", tag = "tasks", params(IdempotencyKey), request_body = SubmitTask,
    responses((status = 201, description = "It is accepted", body = Submitted)))]
pub(crate) async fn submit_task(
    Known { caller, .. }: Known,
    Once(request_id): Once,
    Body(asked): Body<SubmitTask>,
) -> Result<(StatusCode, Json<Submitted>), Fault> {
    let request = SubmitTaskRequest { request_id, ..asked.to_wire() };
    Ok((StatusCode::CREATED, Json(caller.client.submit(request).await?.into())))
}

/// Accepts tasks that wait for one another: all of them, or none.
#[utoipa::path(post, path = "/graphs", tag = "tasks", params(IdempotencyKey), request_body = SubmitGraph,
    responses((status = 201, description = "All are accepted", body = GraphSubmitted)))]
pub(crate) async fn submit_graph(
    Known { caller, .. }: Known,
    Once(request_id): Once,
    Body(asked): Body<SubmitGraph>,
) -> Result<(StatusCode, Json<GraphSubmitted>), Fault> {
    let request = SubmitGraphRequest { request_id, ..asked.to_wire() };
    let graph = caller.client.submit_graph(request).await?;
    let tasks = graph.tasks.into_iter().map(|(name, told)| GraphTaskId {
        name,
        task_id: told.task.to_string(),
        price_cap_micro: Micro(told.cap.micro()),
    });
    let told = GraphSubmitted { tasks: tasks.collect(), price_cap_micro: Micro(graph.cap.micro()) };
    Ok((StatusCode::CREATED, Json(told)))
}

/// Tells what a task would cost and who could run it; submits nothing.
#[utoipa::path(post, path = "/quote", tag = "tasks", request_body = Quote,
    responses((status = 200, description = "The price and the machines", body = QuoteAnswer)))]
pub(crate) async fn quote(Known { caller, .. }: Known, Body(asked): Body<Quote>) -> Result<Json<QuoteAnswer>, Fault> {
    let answer = caller.client.quote_of(asked.task.to_wire(), &asked.kind).await?;
    Ok(Json(QuoteAnswer::from_wire(answer)))
}

/// Ends a task, or some of its elements, that have not ended. Ending what has ended again changes nothing.
#[utoipa::path(post, path = "/tasks/{id}/cancel", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64)),
    request_body(content = Option<CancelTask>, description = "Nothing: all of it"),
    responses((status = 200, description = "Where it stands now", body = TaskState)))]
pub(crate) async fn cancel_task(
    caller: Caller,
    At(id): At<String>,
    MaybeBody(asked): MaybeBody<CancelTask>,
) -> Result<Json<TaskState>, Fault> {
    let task = task_id(&id)?;
    let state = match asked.elements.as_str() {
        "" => caller.client.cancel(task).await?,
        elements => caller.client.cancel_elements(task, elements).await?,
    };
    Ok(Json(TaskState { status: state.as_str().to_owned() }))
}

/// Submits the failed, or the named, elements of an ended task again, as a new task.
#[utoipa::path(post, path = "/tasks/{id}/retry", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), IdempotencyKey),
    request_body(content = Option<RetryTask>, description = "Nothing: what did not complete"),
    responses((status = 201, description = "The new task is accepted", body = Submitted)))]
pub(crate) async fn retry_task(
    caller: Caller,
    At(id): At<String>,
    Once(request_id): Once,
    MaybeBody(asked): MaybeBody<RetryTask>,
) -> Result<(StatusCode, Json<Submitted>), Fault> {
    let Amount(most) = asked.max_price_micro;
    let max_price = (most != 0).then(|| Cpt::from_micro(most));
    let again = Again { elements: asked.elements, max_price, request_id };
    Ok((StatusCode::CREATED, Json(caller.client.retry(task_id(&id)?, again).await?.into())))
}
