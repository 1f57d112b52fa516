//! `TaskStatus` and `ListTasks`: where tasks stand.
//!
//! Invariant: nothing is changed, and an array costs no more than its summary, however many elements it has.

use super::elements::{element, element_ref};
use super::page::{after, cut, size, token};
use super::{kept, summary, watch};
use crate::logs::Stream;
use crate::shared::Shared;
use crate::status;
use hivemind_model::rows::{AttemptRow, ElementPhase, TaskRow};
use hivemind_model::{Cpt, ElementRef, Outcome, Rejection, TaskId, TaskState, UserId};
use hivemind_proto::v1::{ListTasksRequest, ListTasksResponse, TaskStatusRequest, TaskStatusResponse};
use hivemind_store::TaskFilter;
use prost::Message;
use std::collections::HashMap;
use tonic::Status;

mod search;

/// Standard output that `TaskStatus` shows.
const RESULT_BYTES: usize = 1 << 20;
/// The name of the list in page tokens.
const LIST: &str = "before";
/// Page of a caller who names no size.
const DEFAULT_PAGE: u32 = 50;
/// A page ends early above this: clients take 4 MiB in one message.
const PAGE_BYTES: usize = 2 << 20;
/// Pending tasks of one page whose reason is asked for: each costs the writer a look at the nodes.
const MAX_REASONS: usize = 20;

/// Where a task, or one of its elements, stands.
pub(super) async fn task_status(
    shared: &Shared,
    user: UserId,
    request: &TaskStatusRequest,
) -> Result<TaskStatusResponse, Status> {
    let refused =
        |rejection: Rejection| TaskStatusResponse { error_message: rejection.to_string(), ..Default::default() };
    let row = match shared.own_task(user, &request.task_id).await? {
        Ok(row) => row,
        Err(rejection) => return Ok(refused(rejection)),
    };
    let of = match (request.element, &row.spec.array) {
        (Some(index), _) => match element_ref(&row, index) {
            Ok(at) => Some(at),
            Err(rejection) => return Ok(refused(rejection)),
        },
        (None, Some(_)) => None,
        (None, None) => Some(row.first()),
    };
    let one = of_element(shared, &row, of).await?;
    let waiting = waiting_reasons(shared, std::slice::from_ref(&row)).await.remove(&row.progress.id);
    let accrued = accrued(shared, std::slice::from_ref(&row)).await?.remove(&row.progress.id).unwrap_or_default();
    let newest = one.attempts.last().filter(|_| row.spec.array.is_none());
    Ok(TaskStatusResponse {
        success: true,
        status: row.progress.state.as_str().into(),
        result: one.result,
        error_message: one.error.unwrap_or_else(|| summary::error_message(&row)),
        progress: watch::progress(shared, row.progress.id, row.progress.state).0,
        task: Some(summary::task(shared, &row, newest, waiting, accrued)),
        attempts: one.attempts.iter().map(|attempt| summary::attempt(shared, attempt)).collect(),
    })
}

/// What is told of the one element that was asked for.
#[derive(Default)]
struct Told {
    attempts: Vec<AttemptRow>,
    result: String,
    /// Of an element of an array; of a plain task the task says it.
    error: Option<String>,
}

async fn of_element(shared: &Shared, row: &TaskRow, of: Option<ElementRef>) -> Result<Told, Status> {
    let Some(at) = of else { return Ok(Told::default()) };
    let (completed, error) = if row.spec.array.is_some() {
        match element(shared, row, at).await?.phase {
            ElementPhase::Ended { outcome } => (outcome.is_success(), Some(Outcome::explain(&outcome))),
            ElementPhase::Waiting { .. } | ElementPhase::Live => (false, Some(String::new())),
        }
    } else {
        (row.progress.state == TaskState::Completed, None)
    };
    let attempts = shared.store.attempts(row.source(at)).await.map_err(|error| status::store(&error))?;
    let result = match summary::accepted(&attempts).filter(|_| completed) {
        Some(attempt) => {
            let gone = kept::logs_gone(shared, row, attempt).await;
            match gone.map_err(|error| status::file("reading the output", &error))? {
                Some(over) => format!("[{}]\n", over.text),
                None => result(shared, attempt).await?,
            }
        }
        None => String::new(),
    };
    Ok(Told { attempts, result, error })
}

/// A page of the user's tasks, newest first.
pub(super) async fn list(
    shared: &Shared,
    user: UserId,
    request: &ListTasksRequest,
) -> Result<ListTasksResponse, Status> {
    let (filter, size) = filter(request).map_err(|rejection| status::rejected(&rejection))?;
    let (rows, looked_at) = match search::Search::read(&request.q).map_err(|rejection| status::rejected(&rejection))? {
        Some(search) => search.page(shared, user, filter).await?,
        None => {
            let mut rows = shared.store.tasks(user, &filter).await.map_err(|error| status::store(&error))?;
            let more = cut(&mut rows, size);
            let last = rows.last().map(|row| row.progress.id).filter(|_| more);
            (rows, last)
        }
    };
    // Of an array no single attempt says anything.
    let plain = rows.iter().filter(|row| row.spec.array.is_none()).map(|row| row.source(row.first()));
    let plain: Vec<ElementRef> = plain.collect();
    let newest = shared.store.newest_attempts(&plain).await.map_err(|error| status::store(&error))?;
    let newest: HashMap<ElementRef, &AttemptRow> = newest.iter().map(|row| (row.attempt.element, row)).collect();
    let mut reasons = waiting_reasons(shared, &rows).await;
    let accrued = accrued(shared, &rows).await?;
    let (mut tasks, mut bytes) = (Vec::with_capacity(rows.len()), 0);
    for row in &rows {
        let id = row.progress.id;
        let accrued = accrued.get(&id).copied().unwrap_or_default();
        let task =
            summary::task(shared, row, newest.get(&row.source(row.first())).copied(), reasons.remove(&id), accrued);
        bytes += task.encoded_len();
        tasks.push(task);
        if bytes > PAGE_BYTES {
            break;
        }
    }
    let last = if tasks.len() < rows.len() { tasks.len().checked_sub(1).and_then(|last| rows.get(last)) } else { None };
    let last = last.map(|row| row.progress.id).or(looked_at);
    let next_page_token = last.map(|last| token(LIST, [last.0])).unwrap_or_default();
    Ok(ListTasksResponse { tasks, next_page_token })
}

/// What is read, one row more than the page that is wanted, and the size of that page.
fn filter(request: &ListTasksRequest) -> Result<(TaskFilter, u32), Rejection> {
    let state = |word: &String| {
        TaskState::parse(word)
            .ok_or_else(|| Rejection::invalid("status", "is none of pending, running, completed, failed, cancelled"))
    };
    if request.status.len() > TaskState::ALL.len() {
        return Err(Rejection::invalid("status", "names more states than there are"));
    }
    let states = request.status.iter().map(state).collect::<Result<_, _>>()?;
    let size = size(request.page_size, DEFAULT_PAGE)?;
    let before = after(LIST, &request.page_token)?.map(|[id]| TaskId(id));
    Ok((TaskFilter { states, before, limit: size + 1 }, size))
}

async fn waiting_reasons(shared: &Shared, rows: &[TaskRow]) -> HashMap<TaskId, String> {
    let pending: Vec<TaskId> = rows
        .iter()
        .filter(|row| row.progress.state == TaskState::Pending)
        .map(|row| row.progress.id)
        .take(MAX_REASONS)
        .collect();
    if pending.is_empty() {
        return HashMap::new();
    }
    let reasons = shared.writer.waiting_reasons(pending.clone()).await;
    pending.into_iter().zip(reasons).filter_map(|(id, reason)| Some((id, reason?))).collect()
}

/// What the running attempts of each of these tasks have earned so far.
async fn accrued(shared: &Shared, rows: &[TaskRow]) -> Result<HashMap<TaskId, Cpt>, Status> {
    let open = rows.iter().filter(|row| !row.progress.state.is_terminal());
    let open: Vec<TaskId> = open.map(|row| row.progress.id).collect();
    let mut accrued: HashMap<TaskId, Cpt> = HashMap::new();
    if open.is_empty() {
        return Ok(accrued);
    }
    for accrual in shared.store.accruals(&open).await.map_err(|error| status::store(&error))? {
        let sum = accrued.entry(accrual.attempt.element.task).or_default();
        // Parts of one hold fit in 64 bits together.
        *sum = Cpt::from_micro(sum.micro() + accrual.amount.total().micro());
    }
    Ok(accrued)
}

/// The beginning of what the attempt wrote to standard output.
async fn result(shared: &Shared, row: &AttemptRow) -> Result<String, Status> {
    let (live, attempt) = (shared.live.clone(), row.attempt);
    let read = crate::blobs::blocking(move || live.logs.read(attempt, Stream::Stdout, 0, RESULT_BYTES + 1)).await;
    let mut bytes = read.map_err(|error| status::file("reading the output", &error))?;
    let cut = bytes.len() > RESULT_BYTES;
    bytes.truncate(RESULT_BYTES);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if cut {
        text.push_str("\n[cut at 1 MiB; FollowLogs gives the whole]\n");
    }
    Ok(text)
}
