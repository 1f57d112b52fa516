//! `Explain`: why a task waits, where it runs or how it ended, and what would make it run.
//!
//! What is open is told by the engine, what has ended by the store. Start at [`explain`].
//!
//! Invariant: only the caller's own task; no other user's work and no node that does not run it is named.

mod waiting;

use super::summary;
use super::token::spendable;
use crate::shared::Shared;
use crate::status;
use hivemind_engine::{BlockedBy, Explanation, LinkState, WhereItRuns, WhyItWaits};
use hivemind_model::rows::{Report, TaskRow};
use hivemind_model::{Bytes, Cpt, ElementRef, Millis, Outcome, TaskState, UserId};
use hivemind_placement::{Ask, Change, Remedy, Standing};
use hivemind_proto::v1;
use hivemind_proto::v1::{ExplainResponse, QueuePlace, RunPlace};
use tonic::Status;

/// Explains the task that `user` names.
pub(super) async fn explain(shared: &Shared, user: UserId, task_id: &str) -> Result<ExplainResponse, Status> {
    let own = async || {
        let row = shared.own_task(user, task_id).await?;
        row.map_err(|rejection| status::rejected(&rejection))
    };
    let mut row = own().await?;
    let mut open = None;
    if !row.progress.state.is_terminal() {
        open = shared.writer.explain(row.progress.id).await.map_err(|refused| status::refused(&refused))?;
        if open.is_none() {
            // It ended in between.
            row = own().await?;
        }
    }
    let funds = shared.store.funds(user).await.map_err(|error| status::store(&error))?;
    let common = ExplainResponse {
        task_id: row.progress.id.to_string(),
        status: row.progress.state.as_str().into(),
        submitted_at_unix_ms: row.submitted_at.0,
        ended_at_unix_ms: row.progress.ended_at.map_or(0, |at| at.0),
        price_cap_micro: row.cap.micro(),
        cost_micro: row.progress.cost.micro(),
        balance_micro: spendable(&funds).micro(),
        held_micro: funds.held.micro(),
        ..ExplainResponse::default()
    };
    match open {
        Some(open) => Ok(of_open(shared, &row, &open, common)),
        None => of_ended(shared, &row, spendable(&funds), common).await,
    }
}

/// Where an open task stands: what waits of it goes before what runs.
fn of_open(shared: &Shared, row: &TaskRow, open: &Explanation, common: ExplainResponse) -> ExplainResponse {
    let told = ExplainResponse { hold_expires_at_unix_ms: open.expires_at.map_or(0, |at| at.0), ..common };
    let told = match &open.first_live {
        Some(live) => of_live(shared, row, live, told),
        None => ExplainResponse { reason: waiting::UNDECIDED.into(), advice: waiting::OTHERS.into(), ..told },
    };
    match &open.first_waiting {
        Some(waits) => of_waiting(waits, &open.blocked_by, told),
        None => told,
    }
}

fn of_waiting(waits: &WhyItWaits, blocked_by: &[BlockedBy], told: ExplainResponse) -> ExplainResponse {
    let nodes = &waits.constraints;
    let (reason, advice) = waiting::told(waits, blocked_by);
    let changes = match &nodes.remedy {
        Remedy::Change(changes) => changes.iter().map(change).collect(),
        Remedy::Next { .. } | Remedy::Wait { .. } | Remedy::NoNode | Remedy::Nothing => Vec::new(),
    };
    ExplainResponse {
        reason,
        advice,
        nodes_linked: count(nodes.linked),
        nodes_capable: count(nodes.capable),
        nodes_free: count(nodes.room),
        constraints: nodes.standings.iter().map(constraint).collect(),
        changes,
        place: waits.place.map(|place| QueuePlace {
            requesters_before: count(place.requesters_before),
            own_before: count(place.own_before),
        }),
        node_reserved: waits.node_reserved,
        faults: waits.faults.map(|faults| v1::Faults {
            count: faults.count,
            most: faults.most,
            not_before_unix_ms: faults.not_before.map_or(0, |at| at.0),
        }),
        ..told
    }
}

fn of_live(shared: &Shared, row: &TaskRow, live: &WhereItRuns, told: ExplainResponse) -> ExplainResponse {
    let node = shared.live.board.node_name(live.node);
    let number = live.attempt.number;
    let suspended = shared.monitor.attempt(live.node, live.attempt).is_some_and(|usage| usage.suspended);
    let doing = match (live.started_at, live.queued) {
        (Some(_), _) if suspended => "stands still",
        (Some(_), _) => "runs",
        (None, true) => "waits until there is room",
        (None, false) => "is being prepared",
    };
    let owner = if suspended { ", whose owner needs the machine; it is not charged meanwhile" } else { "" };
    let link = match live.link {
        _ if live.kept.is_some() => "",
        LinkState::Online | LinkState::Draining => "",
        LinkState::Away | LinkState::Offline => {
            "; its link is broken, and unless it comes back another node gets the task"
        }
    };
    let element = live.attempt.element;
    // What was told of the preparation is over when the command runs.
    let note = shared.live.board.live(element).filter(|_| live.started_at.is_none());
    let note = note.map(|live| live.note.to_string()).unwrap_or_default();
    let of = row.spec.array.as_ref().map(|_| format!(" of element {}", element.index)).unwrap_or_default();
    let kept = live.kept.map(|(why, _)| waiting::kept(why)).unwrap_or_default();
    ExplainResponse {
        reason: format!("attempt {number}{of} {doing} on node {node}{owner}{link}{kept}"),
        run: Some(RunPlace {
            node,
            link: link_word(live.link).into(),
            attempt: number,
            assigned_at_unix_ms: live.assigned_at.0,
            started_at_unix_ms: live.started_at.map_or(0, |at| at.0),
            note,
        }),
        ..told
    }
}

fn link_word(link: LinkState) -> &'static str {
    match link {
        LinkState::Offline => "offline",
        LinkState::Away => "away",
        LinkState::Online => "online",
        LinkState::Draining => "draining",
    }
}

fn constraint(standing: &Standing) -> v1::Constraint {
    let text = |ask: &Option<Ask>| ask.as_ref().map(|ask| ask.to_string()).unwrap_or_default();
    let amount = |ask: &Option<Ask>| ask.as_ref().map_or(0, |ask| wire(ask.amount()));
    v1::Constraint {
        name: standing.constraint.as_str().into(),
        asked: text(&standing.asked),
        asked_amount: amount(&standing.asked),
        nodes_too_small: count(standing.too_small),
        nodes_busy: count(standing.busy),
        largest: text(&standing.largest),
        largest_amount: amount(&standing.largest),
    }
}

fn change(change: &Change) -> v1::AskChange {
    let Change { from, to } = change;
    v1::AskChange {
        name: from.constraint().as_str().into(),
        from: from.to_string(),
        to: to.to_string(),
        from_amount: wire(from.amount()),
        to_amount: wire(to.amount()),
    }
}

/// How a task ended, and what to do where that was no success.
async fn of_ended(
    shared: &Shared,
    row: &TaskRow,
    balance: Cpt,
    common: ExplainResponse,
) -> Result<ExplainResponse, Status> {
    // Of an array no single attempt says anything.
    let only: Vec<ElementRef> = row.spec.array.is_none().then(|| row.first()).into_iter().collect();
    let newest = shared.store.newest_attempts(&only).await.map_err(|error| status::store(&error))?;
    let report = newest.first().and_then(summary::report);
    let (reason, advice) = match row.progress.state {
        TaskState::Completed => (format!("it completed, for {}", row.progress.cost), String::new()),
        TaskState::Failed | TaskState::Cancelled => {
            let advice = row.progress.failure.as_ref().map(|outcome| again(outcome, row, report)).unwrap_or_default();
            (summary::error_message(row), afford(advice, row.cap, balance))
        }
        // The engine is done with it, and its last batch is being written.
        TaskState::Pending | TaskState::Running => ("it is just ending".into(), "ask again".into()),
    };
    Ok(ExplainResponse { reason, advice, ..common })
}

/// What the requester can do after such an end; empty: nothing.
fn again(outcome: &Outcome, row: &TaskRow, report: Option<&Report>) -> String {
    let spec = &row.spec;
    match outcome {
        Outcome::Exited { code: 0 } | Outcome::Cancelled => String::new(),
        Outcome::Exited { .. } => "look at what it wrote in its logs; it is not tried again by itself".into(),
        Outcome::OutOfMemory => {
            let peak = report.map_or(Bytes(0), |report| report.metering.peak_memory);
            let used = if peak.0 > 0 { format!(" (it had used {peak})") } else { String::new() };
            let more = Bytes(spec.resources.memory.0.saturating_mul(2));
            format!("submit it again with more memory than {}{used}, such as {more}", spec.resources.memory)
        }
        Outcome::TimedOut => {
            let more = Millis(spec.max_runtime.0.saturating_mul(2)).secs();
            format!(
                "submit it again with a max_runtime above {} s, such as {more} s, or split it",
                spec.max_runtime.secs()
            )
        }
        Outcome::CannotStart { .. } => {
            "check that the program is in the image and may be executed; words after the image are the command".into()
        }
        Outcome::BadImage { .. } => {
            "check the image's name and tag; a private image cannot be pulled by other people's machines".into()
        }
        Outcome::ImageUnavailable { .. } => {
            "check the image's name; nothing was paid; submit it again once its registry answers".into()
        }
        Outcome::Expired => "submit it again, asking for less so that a node is found sooner".into(),
        Outcome::OutOfPatience { .. } => {
            "submit it again with more time, or ask for less so that a node is found sooner".into()
        }
        Outcome::Skipped { .. } => "see why what it waited for did not complete".into(),
        Outcome::Poison { .. } => "see what its attempts did to their nodes; nothing was paid".into(),
        Outcome::Disputed { .. } => {
            "make its output the same on every machine (no times, no random numbers), or compare with a tolerance"
                .into()
        }
        Outcome::Infrastructure { .. } => "nothing was paid; submit it again".into(),
    }
}

/// Adds that there is too little left to submit it again.
fn afford(advice: String, cap: Cpt, balance: Cpt) -> String {
    match advice.is_empty() || balance >= cap {
        true => advice,
        false => format!("{advice}; your balance of {balance} is below its price cap of {cap}"),
    }
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn wire(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
