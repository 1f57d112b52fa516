//! Results that are known: where a requester allows it, an equal task's result is taken at once.
//!
//! Start at [`known`]. Two tasks are equal where they have the same digest of everything that could change the result.
//!
//! Invariant: only results of the same user are looked at, so nobody learns what others compute, and no cheat among
//! others can answer.

use super::summary::{accepted, report};
use crate::blobs::blocking;
use crate::shared::Shared;
use crate::status;
use hivemind_model::spec::Digest;
use hivemind_model::{AttemptRef, Command, UserId};
use tonic::Status;

/// The command that takes a known result, in the place of a submission that allows it; else the submission. Its
/// caller holds a [`Use`](crate::blobs::Use) until the command is durable, so that the result stays.
pub(super) async fn known(shared: &Shared, command: Command) -> Result<Command, Status> {
    let Command::Submit { user, spec, max_price, ended, once } = command else { return Ok(command) };
    let key = spec.reuse.filter(|_| spec.after.tasks.is_empty());
    let found = match key {
        Some(key) => result(shared, user, key).await?,
        None => None,
    };
    Ok(match found {
        Some(known) => Command::Reuse { user, spec, known, once },
        None => Command::Submit { user, spec, max_price, ended, once },
    })
}

/// The attempt whose result counts of the newest equal task, where what it left is still here.
async fn result(shared: &Shared, user: UserId, key: Digest) -> Result<Option<AttemptRef>, Status> {
    let Some(row) = shared.store.known(user, key).await.map_err(|error| status::store(&error))? else {
        return Ok(None);
    };
    let attempts = shared.store.attempts(row.source(row.first())).await.map_err(|error| status::store(&error))?;
    let Some(attempt) = accepted(&attempts) else { return Ok(None) };
    let Some(report) = report(attempt).filter(|report| report.outcome.is_success()) else { return Ok(None) };
    if let Some(output) = report.output {
        let size =
            shared.blobs.size(output.digest).await.map_err(|error| status::file("looking for a result", &error))?;
        if size.is_none() {
            return Ok(None);
        }
    }
    let (live, stamp, known) = (shared.live.clone(), shared.blobs.stamp(), attempt.attempt);
    let logs = blocking(move || live.logs.mark(known, stamp)).await;
    let logs = logs.map_err(|error| status::file("looking for a result", &error))?;
    if logs.stdout < report.logs.stdout.0 || logs.stderr < report.logs.stderr.0 {
        return Ok(None);
    }
    Ok(Some(attempt.attempt))
}
