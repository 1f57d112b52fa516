//! `SubmitTask`, `SubmitTasks` and `RetryTask`: from a message to a command and its answer.
//!
//! Start at [`one`]. A graph of tasks has its own file.
//!
//! Invariant: a refused submission leaves nothing: no task, no hold, no file.

use super::amount::once;
use super::dependencies::{self, Lookup};
use super::elements::{not_all_there, not_completed};
use super::submission::{self, Draft, Refusal, max_price};
use super::{kept, refusal_or_fault, reuse, wishes, wrong_reply};
use crate::shared::Shared;
use crate::status;
use crate::writer::Refused;
use bytes::Bytes;
use hivemind_model::after::After;
use hivemind_model::command::Once;
use hivemind_model::rows::TaskRow;
use hivemind_model::{Code, Command, Indices, Rejection, Reply, TaskSpec, TaskState, Timestamp, UserId};
use hivemind_proto::v1::{RetryTaskRequest, SubmitTaskRequest, SubmitTaskResponse};
use prost::Message;
use std::sync::Arc;
use tonic::Status;

/// Most tasks of one call.
pub(super) const MAX_TASKS: usize = 10_000;

/// Submits one task.
pub(super) async fn one(
    shared: &Shared,
    user: UserId,
    request: SubmitTaskRequest,
) -> Result<SubmitTaskResponse, Status> {
    let _use = shared.blobs.begin_use();
    match draft(shared, &mut Lookup::new(shared, user), user, request).await {
        Ok(command) => submitted(shared.writer.apply(reuse::known(shared, command).await?).await),
        Err(Refusal::Rejected(rejection)) => Ok(refusal(&rejection)),
        Err(Refusal::Fault(fault)) => Err(fault),
    }
}

/// Submits many tasks; one answer each, in order.
pub(super) async fn many(
    shared: &Shared,
    user: UserId,
    requests: Vec<SubmitTaskRequest>,
) -> Result<Vec<SubmitTaskResponse>, Status> {
    if requests.len() > MAX_TASKS {
        return Err(status::rejected(&too_many(requests.len())));
    }
    let _use = shared.blobs.begin_use();
    let mut lookup = Lookup::new(shared, user);
    let (mut commands, mut answers) = (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
    for request in requests {
        match draft(shared, &mut lookup, user, request).await {
            Ok(command) => {
                commands.push(reuse::known(shared, command).await?);
                answers.push(None);
            }
            Err(Refusal::Rejected(rejection)) => answers.push(Some(refusal(&rejection))),
            Err(Refusal::Fault(fault)) => return Err(fault),
        }
    }
    let mut replies = shared.writer.apply_many(commands).await.into_iter();
    let mut tasks = Vec::with_capacity(answers.len());
    for answer in answers {
        tasks.push(match answer {
            Some(refused) => refused,
            None => submitted(replies.next().unwrap_or(Err(Refused::Stopped)))?,
        });
    }
    Ok(tasks)
}

/// The refusal of more tasks than one call takes.
pub(super) fn too_many(tasks: usize) -> Rejection {
    Rejection::field(Code::TooLarge, "tasks", format!("{tasks} tasks; at most {MAX_TASKS} are taken at once"))
}

/// Checks a submission and stores its files; gives the command.
async fn draft(
    shared: &Shared,
    lookup: &mut Lookup<'_>,
    user: UserId,
    mut request: SubmitTaskRequest,
) -> Result<Command, Refusal> {
    let once = submission::request_id(user, &request)?;
    let max_price = max_price(request.max_price_micro)?;
    let tasks = dependencies::read(&std::mem::take(&mut request.after))?;
    let floor = deadline_floor(shared, once.as_ref(), [request.deadline_unix_ms]).await?;
    let Draft { mut spec, contents } = submission::prepare(shared, user, request, floor).await?;
    spec.after.tasks = tasks;
    spec.after.check()?;
    let ended = lookup.find(&spec.after.tasks).await?;
    store(shared, contents).await?;
    Ok(Command::Submit { user, spec: Arc::new(spec), max_price, ended, once })
}

/// Stores the contents that came with a submission.
pub(super) async fn store(shared: &Shared, contents: Vec<Bytes>) -> Result<(), Refusal> {
    for content in contents {
        shared.blobs.put(content).await.map_err(|error| Refusal::Fault(status::blob("files", &error)))?;
    }
    Ok(())
}

/// The moment after which a deadline must be: now, but for a retry of what was submitted in time.
pub(super) async fn deadline_floor(
    shared: &Shared,
    once: Option<&Once>,
    deadlines: impl IntoIterator<Item = i64>,
) -> Result<Timestamp, Refusal> {
    let now = shared.clock.now();
    let passed = deadlines.into_iter().any(|deadline| deadline > 0 && deadline <= now.0);
    let Some(once) = once.filter(|_| passed) else { return Ok(now) };
    let known = shared.store.requests(std::slice::from_ref(&once.key)).await;
    let known = known.map_err(|error| Refusal::Fault(status::store(&error)))?;
    Ok(if known.is_empty() { now } else { Timestamp(0) })
}

/// Submits elements of an ended task again.
pub(super) async fn retry(
    shared: &Shared,
    user: UserId,
    request: RetryTaskRequest,
) -> Result<SubmitTaskResponse, Status> {
    let _use = shared.blobs.begin_use();
    match retried(shared, user, request).await {
        Ok(command) => submitted(shared.writer.apply(command).await),
        Err(Refusal::Rejected(rejection)) => Ok(refusal(&rejection)),
        Err(Refusal::Fault(fault)) => Err(fault),
    }
}

async fn retried(shared: &Shared, user: UserId, request: RetryTaskRequest) -> Result<Command, Refusal> {
    let once = once("request_id", user, &request.request_id, || {
        let body = RetryTaskRequest { token: String::new(), request_id: String::new(), ..request.clone() };
        // Messages of two kinds may have the same bytes.
        [b"RetryTask\0".as_slice(), &body.encode_to_vec()].concat()
    })?;
    let max_price = max_price(request.max_price_micro)?;
    let named = wishes::some_indices("elements", &request.elements)?;
    let row = shared.own_task(user, &request.task_id).await.map_err(Refusal::Fault)??;
    let id = row.progress.id;
    match row.progress.state {
        TaskState::Completed | TaskState::Failed | TaskState::Cancelled => {}
        TaskState::Pending | TaskState::Running => {
            let why = format!("{id} is {}; wait for its end, or cancel it, then retry it", row.progress.state);
            return Err(Rejection::new(Code::Conflict, why).into());
        }
    }
    let all = row.spec.indices();
    let again = match named {
        Some(named) if all.contains_all(&named) => named,
        Some(_) => return Err(not_all_there(&row, &all).into()),
        None => left_over(shared, user, &row).await?,
    };
    kept::check_contents(shared, &row).await?;
    let spec = again_of(&row.spec, again, shared.clock.now());
    Ok(Command::Submit { user, spec: Arc::new(spec), max_price, ended: Vec::new(), once })
}

async fn left_over(shared: &Shared, user: UserId, row: &TaskRow) -> Result<Indices, Refusal> {
    let _turn = shared.turns.take(user).await?;
    let left = not_completed(shared, row).await.map_err(Refusal::Fault)?;
    let left = left.map_err(|_| {
        let why = "those that did not complete lie in too many ranges for one task; name a part of them";
        Rejection::field(Code::TooLarge, "elements", why)
    })?;
    left.ok_or_else(|| {
        let why = format!(
            "every element of {} completed; there is nothing to retry, unless you name elements",
            row.progress.id
        );
        Rejection::new(Code::Conflict, why).into()
    })
}

/// The same task with these elements only. What it waited for is over, and so may its deadline be.
fn again_of(spec: &TaskSpec, elements: Indices, now: Timestamp) -> TaskSpec {
    let mut spec = spec.clone();
    spec.after = After::default();
    spec.patience.deadline = spec.patience.deadline.filter(|deadline| *deadline > now);
    if let Some(array) = &mut spec.array {
        array.indices = elements;
    }
    spec
}

fn submitted(outcome: Result<Reply, Refused>) -> Result<SubmitTaskResponse, Status> {
    match refusal_or_fault(outcome)? {
        Ok(Reply::Submitted { task, cap }) => Ok(SubmitTaskResponse {
            success: true,
            task_id: task.to_string(),
            message: format!("accepted; costs at most {cap}"),
            price_cap_micro: cap.micro(),
        }),
        Ok(other) => Err(wrong_reply(&other)),
        Err(rejection) => Ok(refusal(&rejection)),
    }
}

fn refusal(rejection: &Rejection) -> SubmitTaskResponse {
    SubmitTaskResponse { message: rejection.to_string(), ..SubmitTaskResponse::default() }
}
