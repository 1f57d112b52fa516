//! `Timeline`: which attempt ran when on which node.
//!
//! Invariant: however many attempts a task had, a bounded number of rows is looked at.

use super::grid::MANY;
use crate::shared::Shared;
use crate::status;
use hivemind_model::rows::{AttemptPhase, AttemptRow, TaskRow};
use hivemind_model::{Outcome, Rejection};
use hivemind_proto::v1::{TimelineBar, TimelineRequest, TimelineResponse};
use tonic::Status;

/// Most attempts of one answer.
const MOST: u32 = 2000;
/// Attempts of a caller who names no limit.
const DEFAULT: u32 = 500;

/// The newest attempts of a task of the caller, by their beginnings.
pub(super) async fn timeline(
    shared: &Shared,
    row: &TaskRow,
    request: &TimelineRequest,
) -> Result<TimelineResponse, Status> {
    let limit = limit(request.limit).map_err(|rejection| status::rejected(&rejection))?;
    let turn = match row.spec.elements() {
        0..=MANY => None,
        _ => Some(shared.turns.take(row.user).await.map_err(|rejection| status::rejected(&rejection))?),
    };
    // Where a task took the result of another, these are the attempts of the other.
    let (store, task) = (shared.store.clone(), row.source(row.first()).task);
    // In a task of its own, so that the turn lasts as long as the read, also where the caller hangs up.
    let read = tokio::spawn(async move {
        let read = store.latest_attempts(task, limit + 1).await;
        drop(turn);
        read
    });
    let rows = read.await.map_err(|error| {
        tracing::error!(%error, "the attempts of a task were not read");
        Status::internal("E_INTERNAL: the pool did not read the attempts; try again, and tell its operator")
    })?;
    let mut rows = rows.map_err(|error| status::store(&error))?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let cut = rows.len() > most;
    rows.truncate(most);
    let mut bars: Vec<TimelineBar> = rows.iter().map(|row| bar(shared, row)).collect();
    bars.sort_by_key(|bar| (bar.from_unix_ms, bar.element, bar.attempt));
    Ok(TimelineResponse { bars, cut, now_unix_ms: shared.clock.now().0 })
}

fn limit(asked: u32) -> Result<u32, Rejection> {
    match asked {
        0 => Ok(DEFAULT),
        1..=MOST => Ok(asked),
        _ => Err(Rejection::invalid("limit", format!("{asked} is outside 1 to {MOST}"))),
    }
}

fn bar(shared: &Shared, row: &AttemptRow) -> TimelineBar {
    let handed_out = row.assigned_at.0;
    let (from, to, outcome) = match &row.phase {
        AttemptPhase::Assigned => (None, 0, "running"),
        AttemptPhase::Running { started_at } => (Some(started_at.0), 0, "running"),
        AttemptPhase::Reported { report, ballot } => {
            (began(ballot.at.0, report.metering.wall.0), ballot.at.0, "running")
        }
        AttemptPhase::Ended { ended_at, report, cost: _ } => {
            (began(ended_at.0, report.metering.wall.0), ended_at.0, word(&report.outcome))
        }
    };
    TimelineBar {
        node: shared.live.board.node_name(row.node),
        element: row.attempt.element.index,
        attempt: row.attempt.number,
        // What ran before it was handed out has a clock of its own.
        from_unix_ms: from.unwrap_or(handed_out).max(handed_out),
        to_unix_ms: to,
        outcome: outcome.into(),
        assigned_at_unix_ms: handed_out,
        preparing: matches!(row.phase, AttemptPhase::Assigned),
        comparing: matches!(row.phase, AttemptPhase::Reported { .. }),
    }
}

/// When a command began that ran for `wall` milliseconds until `end`; `None` where it never did.
fn began(end: i64, wall: u64) -> Option<i64> {
    (wall > 0).then(|| end.saturating_sub_unsigned(wall))
}

/// How an attempt ended, in one word.
const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Exited { code: 0 } => "completed",
        Outcome::Exited { .. }
        | Outcome::OutOfMemory
        | Outcome::TimedOut
        | Outcome::CannotStart { .. }
        | Outcome::BadImage { .. }
        | Outcome::Expired
        | Outcome::OutOfPatience { .. }
        | Outcome::Skipped { .. }
        | Outcome::Disputed { .. } => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::ImageUnavailable { .. } | Outcome::Poison { .. } | Outcome::Infrastructure { .. } => "fault",
    }
}
