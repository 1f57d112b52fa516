//! A task as pages draw it.
//!
//! Invariant: nothing here changes anything.

use crate::caller::Caller;
use crate::dto::picture::{FailureGroups, Grid, Timeline};
use crate::extract::{Asked, At, task as task_id};
use crate::fault::Fault;
use crate::wire::FromWire;
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which elements are drawn.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct GridAsked {
    /// Elements with smaller indices are left out.
    first_index: Option<u32>,
    /// At most so many elements; 1,000,000 where it is left out.
    #[param(minimum = 1, maximum = 1_000_000)]
    limit: Option<u32>,
}

/// Tells where every element of a task stands, in one digit each.
#[utoipa::path(get, path = "/tasks/{id}/grid", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), GridAsked),
    responses((status = 200, description = "Where they stand", body = Grid)))]
pub(crate) async fn grid(
    caller: Caller,
    At(id): At<String>,
    Asked(asked): Asked<GridAsked>,
) -> Result<Json<Grid>, Fault> {
    let limit = at_most(asked.limit, 1_000_000)?;
    let answer = caller.client.element_grid(task_id(&id)?, asked.first_index.unwrap_or(0), limit).await?;
    Ok(Json(Grid {
        indices: answer.indices,
        states: answer.states.iter().map(|state| char::from(b'0'.saturating_add(*state).min(b'9'))).collect(),
        next_index: answer.next_index,
        total: answer.total,
        status: answer.status,
    }))
}

/// The failed elements of a task, those together that failed alike; the largest groups first.
#[utoipa::path(get, path = "/tasks/{id}/failures", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64)),
    responses((status = 200, description = "At most 100 groups", body = FailureGroups)))]
pub(crate) async fn failures(caller: Caller, At(id): At<String>) -> Result<Json<FailureGroups>, Fault> {
    Ok(Json(FailureGroups::from_wire(caller.client.failure_groups(task_id(&id)?).await?)))
}

/// How many attempts are told.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimelineAsked {
    /// At most so many attempts; 500 where it is left out.
    #[param(minimum = 1, maximum = 2000)]
    limit: Option<u32>,
}

/// The newest attempts of a task, with the nodes they ran on and when.
#[utoipa::path(get, path = "/tasks/{id}/timeline", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), TimelineAsked),
    responses((status = 200, description = "One bar for each", body = Timeline)))]
pub(crate) async fn timeline(
    caller: Caller,
    At(id): At<String>,
    Asked(asked): Asked<TimelineAsked>,
) -> Result<Json<Timeline>, Fault> {
    let limit = at_most(asked.limit, 2000)?;
    Ok(Json(Timeline::from_wire(caller.client.timeline(task_id(&id)?, limit).await?)))
}

fn at_most(limit: Option<u32>, most: u32) -> Result<u32, Fault> {
    match limit {
        None => Ok(0),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(Fault::invalid("limit", format!("1 to {most}"))),
    }
}
