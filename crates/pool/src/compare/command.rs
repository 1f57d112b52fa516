//! A requester's own command decides whether two results are the same: a task of theirs, in the
//! image of the task that is verified.
//!
//! Start at [`same`].
//!
//! Invariant: a comparison is submitted once, however often it is asked for: its id follows from what is compared.

use super::{Content, Fault, Question};
use crate::hub::Event;
use crate::shared::Shared;
use bytes::Bytes;
use hivemind_model::command::Once;
use hivemind_model::rows::{RequestKey, TaskRow};
use hivemind_model::spec::InputFile;
use hivemind_model::verify::Verification;
use hivemind_model::{AttemptRef, Command, Outcome, Reply, TaskId, TaskSpec, TaskState, UserId};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Runs the command on both results. Exit code 0: the same; 1: not.
///
/// # Errors
/// It cannot be submitted or run, or ends with another code.
pub(super) async fn same(
    shared: &Arc<Shared>,
    question: &Question,
    argv: &[String],
    own: &Content,
    other: &Content,
) -> Result<bool, Fault> {
    let Some(user) = shared.live.board.user_of(question.attempt.element.task) else {
        return Err(format!("{} has ended", question.attempt.element.task).into());
    };
    let naming = shared.blobs.begin_use();
    let mut files = Vec::with_capacity(2);
    for (folder, content) in [("a", other), ("b", own)] {
        let name = if content.is_archive { "output.tar" } else { "stdout" };
        let stored = shared.blobs.put(Bytes::from(content.bytes.clone())).await;
        let blob = stored.map_err(|error| format!("the pool cannot keep a result to compare it: {error}"))?;
        files.push(InputFile { path: format!("{folder}/{name}"), blob });
    }
    let spec = TaskSpec {
        name: format!("compare {} {}", other.attempt, own.attempt),
        command: argv.to_vec(),
        files,
        array: None,
        after: Default::default(),
        retries: 0,
        verify: Verification::default(),
        ..TaskSpec::clone(&question.spec)
    };
    // Events are subscribed to before the task is there, so that none is missed.
    let events = shared.live.hub.subscribe(user);
    let task = submit(shared, user, spec, own.attempt, other.attempt).await?;
    drop(naming);
    verdict(&ended(shared, user, task, events).await?)
}

async fn submit(
    shared: &Arc<Shared>,
    user: UserId,
    spec: TaskSpec,
    own: AttemptRef,
    other: AttemptRef,
) -> Result<TaskId, Fault> {
    let key = RequestKey { user, id: format!("compare {other} {own}") };
    let body = Sha256::digest(key.id.as_bytes()).into();
    let once = Some(Once { key, body, stored: None });
    let submit = Command::Submit { user, spec: Arc::new(spec), max_price: None, ended: Vec::new(), once };
    match shared.writer.apply(submit).await {
        Ok(Reply::Submitted { task, .. }) => Ok(task),
        Ok(other) => Err(format!("the pool answered a submission with {other:?}, which is a bug").into()),
        Err(crate::writer::Refused::Rejected(rejection)) => {
            Err(format!("the compare command could not be submitted: {rejection}").into())
        }
        Err(_) => Err(Fault::Stopping),
    }
}

/// Waits for the end of the comparison.
async fn ended(
    shared: &Arc<Shared>,
    user: UserId,
    task: TaskId,
    mut events: tokio::sync::broadcast::Receiver<Event>,
) -> Result<TaskRow, Fault> {
    loop {
        let row = shared.store.task(task).await.map_err(|error| format!("the pool cannot read its store: {error}"))?;
        match row {
            Some(row) if row.progress.state.is_terminal() => return Ok(row),
            Some(_) | None => {}
        }
        loop {
            match events.recv().await {
                Ok(Event::Moved(moved, state)) if moved == task && state.is_terminal() => break,
                Ok(Event::Moved(..) | Event::Attempt(_) | Event::Progress(_)) => {}
                // Its end may be among what was missed.
                Err(RecvError::Lagged(_)) => {
                    events = events.resubscribe();
                    break;
                }
                Err(RecvError::Closed) => {
                    events = shared.live.hub.subscribe(user);
                    break;
                }
            }
        }
    }
}

fn verdict(row: &TaskRow) -> Result<bool, Fault> {
    let id = row.progress.id;
    match (row.progress.state, &row.progress.failure) {
        (TaskState::Completed, _) => Ok(true),
        (TaskState::Failed, Some(Outcome::Exited { code: 1 })) => Ok(false),
        (_, Some(outcome)) => {
            Err(format!("the compare command must end with 0 (the same) or 1 (not); {id}: {}", outcome.explain())
                .into())
        }
        (_, None) => Err(format!("the compare command did not end ({id})").into()),
    }
}
