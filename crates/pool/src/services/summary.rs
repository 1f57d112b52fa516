//! Rows as the messages that people read.
//!
//! Invariant: no text of a worker reaches a requester but through here.

use super::node::wire_mib;
use super::{dependencies, wishes};
use crate::shared::Shared;
use hivemind_model::rows::{AttemptPhase, AttemptRow, Report, TaskRow};
use hivemind_model::{Cpt, Level, Outcome, TaskState};
use hivemind_proto::v1::{AttemptSummary, ElementCounts, TaskSummary};

/// A task, with its newest attempt where there is one, and what its running attempts have earned.
pub(super) fn task(
    shared: &Shared,
    row: &TaskRow,
    newest: Option<&AttemptRow>,
    waiting_reason: Option<String>,
    accrued: Cpt,
) -> TaskSummary {
    let (spec, progress) = (&row.spec, &row.progress);
    let ended = newest.and_then(report);
    let attempts = newest.map_or(0, |newest| newest.attempt.number);
    TaskSummary {
        task_id: progress.id.to_string(),
        task_name: spec.name.clone(),
        docker_image: spec.image.clone(),
        argv: spec.command.clone(),
        status: progress.state.as_str().into(),
        priority: spec.priority.into(),
        submitted_at_unix_ms: row.submitted_at.0,
        ended_at_unix_ms: progress.ended_at.map_or(0, |at| at.0),
        price_cap_micro: row.cap.micro(),
        cost_micro: progress.cost.micro(),
        node: newest.map(|attempt| shared.live.board.node_name(attempt.node)).unwrap_or_default(),
        attempts,
        error_message: error_message(row),
        max_runtime_seconds: i64::try_from(spec.max_runtime.secs()).unwrap_or(i64::MAX),
        required_memory_mb: wire_mib(spec.resources.memory),
        required_cpu_millicores: i32::try_from(spec.resources.cpu.0).unwrap_or(i32::MAX),
        required_disk_mb: wire_mib(spec.resources.disk),
        exit_code: ended.and_then(|report| exit_code(&report.outcome)),
        has_output: progress.state == TaskState::Completed && ended.is_some_and(|report| report.output.is_some()),
        wall_ms: ended.map_or(0, |report| millis(report.metering.wall.0)),
        waiting_reason: waiting_reason.unwrap_or_default(),
        accrued_micro: accrued.micro(),
        min_level: level(spec.min_level),
        array: spec.array.as_ref().map(|array| array.indices.to_string()).unwrap_or_default(),
        elements: Some(counts(shared, row)),
        after: spec.after.tasks.iter().map(dependencies::wire).collect(),
        verification: wishes::in_words(&spec.verify),
        labels: spec.labels.as_slice().iter().map(ToString::to_string).collect(),
        network: spec.egress.as_slice().iter().map(ToString::to_string).collect(),
        kind: spec.kind.as_str().into(),
        reused_from: progress.reused.map(|known| known.element.task.to_string()).unwrap_or_default(),
        progress: super::watch::progress(shared, progress.id, progress.state).0,
    }
}

/// How many elements of a task stand where.
fn counts(shared: &Shared, row: &TaskRow) -> ElementCounts {
    let ended = row.progress.ended;
    let running = match row.progress.state {
        TaskState::Pending | TaskState::Running => {
            shared.live.board.task(row.progress.id).map_or(0, |open| open.running)
        }
        TaskState::Completed | TaskState::Failed | TaskState::Cancelled => 0,
    };
    ElementCounts {
        total: row.spec.elements(),
        completed: ended.completed,
        failed: ended.failed,
        cancelled: ended.cancelled,
        running,
    }
}

/// The level that a task asks for; empty where it asks for none.
fn level(level: Level) -> String {
    if level == Level::None { String::new() } else { level.as_str().into() }
}

/// One attempt.
pub(super) fn attempt(shared: &Shared, row: &AttemptRow) -> AttemptSummary {
    let report = report(row);
    let (state, started_at, ended_at, cost) = match &row.phase {
        AttemptPhase::Assigned => ("assigned", 0, 0, 0),
        AttemptPhase::Running { started_at } => ("running", started_at.0, 0, 0),
        AttemptPhase::Reported { ballot, .. } => ("compared", 0, ballot.at.0, 0),
        AttemptPhase::Ended { ended_at, cost, report } => {
            let began = if report.metering.wall.0 == 0 {
                0
            } else {
                ended_at.0.saturating_sub_unsigned(report.metering.wall.0)
            };
            ("ended", began, ended_at.0, cost.micro())
        }
    };
    let live = shared.live.board.live_attempt(row.attempt);
    let usage = live.as_ref().and_then(|_| shared.monitor.attempt(row.node, row.attempt)).unwrap_or_default();
    AttemptSummary {
        attempt_id: row.attempt.to_string(),
        node: shared.live.board.node_name(row.node),
        state: state.into(),
        assigned_at_unix_ms: row.assigned_at.0,
        started_at_unix_ms: started_at,
        ended_at_unix_ms: ended_at,
        outcome: report.map(|report| report.outcome.explain()).unwrap_or_default(),
        exit_code: report.and_then(|report| exit_code(&report.outcome)),
        cost_micro: cost,
        wall_ms: report.map_or(0, |report| millis(report.metering.wall.0)),
        cpu_ms: report.map_or(0, |report| millis(report.metering.cpu.0)),
        peak_memory_bytes: report.map_or(0, |report| millis(report.metering.peak_memory.0)),
        image_id: report.map(|report| report.image_id.clone()).unwrap_or_default(),
        stdout_bytes: report.map_or(0, |report| millis(report.logs.stdout.0)),
        stderr_bytes: report.map_or(0, |report| millis(report.logs.stderr.0)),
        logs_cut: report.is_some_and(|report| report.logs.cut),
        progress: i32::from(live.map_or(0, |live| live.percent)),
        memory_bytes: millis(usage.memory_bytes),
        disk_bytes: millis(usage.disk_bytes),
        received_bytes: millis(usage.received_bytes),
        sent_bytes: millis(usage.sent_bytes),
        suspended: usage.suspended,
    }
}

/// Why a task did not complete; empty where it did, or is open.
pub(super) fn error_message(row: &TaskRow) -> String {
    match row.progress.state {
        TaskState::Failed | TaskState::Cancelled => {
            row.progress.failure.as_ref().map(Outcome::explain).unwrap_or_default()
        }
        TaskState::Pending | TaskState::Running | TaskState::Completed => String::new(),
    }
}

/// The attempt of a completed element whose result counts: the newest that succeeded.
pub(super) fn accepted(attempts: &[AttemptRow]) -> Option<&AttemptRow> {
    let succeeded = |row: &&AttemptRow| report(row).is_some_and(|report| report.outcome.is_success());
    attempts.iter().rev().find(succeeded).or(attempts.last())
}

/// The report of an attempt that has ended.
pub(super) fn report(row: &AttemptRow) -> Option<&Report> {
    match &row.phase {
        AttemptPhase::Ended { report, .. } => Some(report),
        // What is being compared is nobody's result yet.
        AttemptPhase::Assigned | AttemptPhase::Running { .. } | AttemptPhase::Reported { .. } => None,
    }
}

/// The exit code, where the command ended by itself.
pub(super) fn exit_code(outcome: &Outcome) -> Option<i32> {
    match outcome {
        Outcome::Exited { code } => Some(*code),
        Outcome::OutOfMemory
        | Outcome::TimedOut
        | Outcome::CannotStart { .. }
        | Outcome::BadImage { .. }
        | Outcome::ImageUnavailable { .. }
        | Outcome::Cancelled
        | Outcome::Expired
        | Outcome::OutOfPatience { .. }
        | Outcome::Skipped { .. }
        | Outcome::Poison { .. }
        | Outcome::Disputed { .. }
        | Outcome::Infrastructure { .. } => None,
    }
}

fn millis(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
