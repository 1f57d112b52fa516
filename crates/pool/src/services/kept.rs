//! What is told of a result, or of an input, that was kept for long enough and is gone.
//!
//! Invariant: what is missing before its time is told as lost, never as gone by rule.

use super::submission::Refusal;
use super::summary::report;
use crate::blobs::blocking;
use crate::shared::Shared;
use crate::status;
use hivemind_model::rows::{AttemptRow, TaskRow};
use hivemind_model::{Code, Millis, Rejection, Timestamp};
use std::io;

/// The refusal of something that an ended task named, where it was kept for long enough; `None` where it
/// should still be there.
pub(super) fn was_kept(shared: &Shared, row: &TaskRow, what: &str) -> Option<Rejection> {
    let until = until(shared, row)?;
    let why = format!("{what} was kept until {}; submit the task again", date(until));
    Some(Rejection::new(Code::NotFound, why))
}

/// Until when what a task left was kept, where that is over.
fn until(shared: &Shared, row: &TaskRow) -> Option<Timestamp> {
    let keep = shared.policy.limits.keep_results;
    let until = row.progress.ended_at.filter(|_| keep != Millis(0))?.after(keep);
    (until < shared.clock.now()).then_some(until)
}

/// What is told in the place of logs of an attempt that are gone; `None` where they are there.
pub(super) async fn logs_gone(shared: &Shared, task: &TaskRow, row: &AttemptRow) -> io::Result<Option<Rejection>> {
    let Some(report) = report(row).filter(|report| report.logs.stdout.0 > 0 || report.logs.stderr.0 > 0) else {
        return Ok(None);
    };
    let Some(over) = was_kept(shared, task, &format!("what {} wrote", row.attempt.element)) else { return Ok(None) };
    let (live, attempt) = (shared.live.clone(), row.attempt);
    let here = blocking(move || live.logs.lengths(attempt)).await?;
    let whole = here.stdout >= report.logs.stdout.0 && here.stderr >= report.logs.stderr.0;
    Ok(if whole { None } else { Some(over) })
}

/// Refuses to run an ended task again whose contents are gone. Those that are there are kept while a use lasts.
pub(super) async fn check_contents(shared: &Shared, row: &TaskRow) -> Result<(), Refusal> {
    for blob in row.spec.contents() {
        let size = shared.blobs.size(blob.digest).await;
        let size = size.map_err(|error| Refusal::Fault(status::file("looking for inputs", &error)))?;
        if size.is_some() {
            continue;
        }
        let path = row.spec.files.iter().find(|file| file.blob == blob).map(|file| format!(" `{}`", file.path));
        let kept = until(shared, row).map(|until| format!(" was kept until {} and", date(until))).unwrap_or_default();
        let why = format!(
            "its input{} ({}){kept} is gone from the pool; send it again and submit the task anew",
            path.unwrap_or_default(),
            blob.digest
        );
        return Err(Rejection::field(Code::NotFound, "task_id", why).into());
    }
    Ok(())
}

/// The day, for people.
fn date(at: Timestamp) -> String {
    let day = jiff::Timestamp::from_millisecond(at.0).map(|at| at.strftime("%Y-%m-%d").to_string());
    day.unwrap_or_else(|_| format!("{} ms", at.0))
}
