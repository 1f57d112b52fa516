//! What the agent does about its own jobs, their reports and their outputs.
//!
//! Start at [`Agent::on_ended`].
//!
//! Invariant: a report leaves this machine only after the attempt to make it durable.

use super::attempt::{Afterwards, Output, Phase, no_fault};
use super::{Agent, Link, MAX_UPLOAD_RETRY, UPLOAD_RETRY};
use crate::event::{Action, Upload};
use hivemind_model::rows::Report;
use hivemind_model::{AttemptRef, Outcome};
use std::sync::Arc;
use tokio::time::Instant;

impl Agent {
    pub(super) fn on_prepared(&mut self, attempt: AttemptRef) -> Vec<Action> {
        match self.attempts.get(&attempt).map(|entry| &entry.phase) {
            Some(Phase::Fetching) => self.set_phase(attempt, Phase::Preparing),
            Some(
                Phase::Waiting { .. }
                | Phase::Preparing
                | Phase::Running
                | Phase::Stopping(_)
                | Phase::Spooling { .. }
                | Phase::Delivering { .. },
            )
            | None => {}
        }
        Vec::new()
    }

    pub(super) fn on_started(&mut self, attempt: AttemptRef) -> Vec<Action> {
        match self.attempts.get(&attempt).map(|entry| &entry.phase) {
            Some(Phase::Fetching | Phase::Preparing) => {
                self.set_phase(attempt, Phase::Running);
                // What was told of the preparation is over with it.
                if let Some(entry) = self.attempts.get_mut(&attempt) {
                    entry.news.forget_note();
                }
            }
            Some(
                Phase::Waiting { .. }
                | Phase::Running
                | Phase::Stopping(_)
                | Phase::Spooling { .. }
                | Phase::Delivering { .. },
            )
            | None => {
                return Vec::new();
            }
        }
        if self.link == Link::Up { vec![Action::SendStarted { attempt }] } else { Vec::new() }
    }

    pub(super) fn on_ended(&mut self, attempt: AttemptRef, report: Report) -> Vec<Action> {
        let mut actions = Vec::new();
        match self.attempts.get(&attempt).map(|entry| &entry.phase) {
            Some(Phase::Fetching | Phase::Preparing | Phase::Running) => {
                actions.extend(self.last_news(attempt));
                actions.push(self.spool(attempt, report));
            }
            Some(Phase::Stopping(Afterwards::Report { reason })) => {
                let report = Report { outcome: no_fault(reason).outcome, output: None, ..report };
                actions.push(self.spool(attempt, report));
            }
            Some(Phase::Stopping(Afterwards::Discard)) => {
                self.remove(attempt);
                actions.push(Action::Forget { attempt });
            }
            // A job ends once; these have none.
            Some(Phase::Waiting { .. } | Phase::Spooling { .. } | Phase::Delivering { .. }) | None => {}
        }
        actions
    }

    pub(super) fn on_spooled(&mut self, attempt: AttemptRef) -> Vec<Action> {
        let Some(Phase::Spooling { report }) = self.attempts.get(&attempt).map(|entry| &entry.phase) else {
            return Vec::new();
        };
        let output = if report.output.is_some() { Output::Here } else { Output::Done };
        let report = Arc::clone(report);
        self.set_phase(attempt, Phase::Delivering { report, output, sent: false });
        self.deliver(attempt).into_iter().collect()
    }

    /// With a spool that does not work, a result lives only as long as this process: it is
    /// delivered all the same, but no more work is taken.
    pub(super) fn on_spool_failed(&mut self, attempt: AttemptRef) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.owner_drains {
            let text = "results cannot be stored on this machine's disk, so it takes no more work; free some space and start the worker again";
            actions.push(Action::Warn { text: text.to_owned() });
            actions.extend(self.on_owner_drains());
        }
        actions.extend(self.on_spooled(attempt));
        actions
    }

    pub(super) fn on_uploaded(&mut self, attempt: AttemptRef, result: Upload, now: Instant) -> Vec<Action> {
        let Some(entry) = self.attempts.get_mut(&attempt) else { return Vec::new() };
        let Phase::Delivering { output, .. } = &mut entry.phase else { return Vec::new() };
        if *output != Output::Moving {
            return Vec::new();
        }
        match result {
            Upload::Stored => {
                *output = Output::Done;
                self.deliver(attempt).into_iter().collect()
            }
            Upload::Later { reason } => {
                let wait = UPLOAD_RETRY.saturating_mul(1 << entry.failed_uploads.min(10)).min(MAX_UPLOAD_RETRY);
                entry.failed_uploads = entry.failed_uploads.saturating_add(1);
                let at = now + wait;
                *output = Output::RetryAt(at);
                self.next_retry = Some(self.next_retry.map_or(at, |next| next.min(at)));
                vec![Action::Warn {
                    text: format!(
                        "the output of {attempt} could not be stored, next try in {} ms: {reason}",
                        wait.as_millis()
                    ),
                }]
            }
            Upload::Unwanted => self.discard(attempt),
            Upload::Refused { reason } => {
                vec![self.replace(attempt, &format!("the output could not be stored: {reason}"))]
            }
        }
    }

    /// The result cannot be had: it is replaced by a report that says so. The streams stay.
    fn replace(&mut self, attempt: AttemptRef, reason: &str) -> Action {
        let old = self.attempts.get(&attempt).map(|entry| &entry.phase);
        let report = match old {
            Some(Phase::Delivering { report, .. } | Phase::Spooling { report }) => {
                let outcome: Outcome = no_fault(reason).outcome;
                Report { outcome, output: None, ..Report::clone(report) }
            }
            Some(Phase::Waiting { .. } | Phase::Fetching | Phase::Preparing | Phase::Running | Phase::Stopping(_))
            | None => no_fault(reason),
        };
        self.spool(attempt, report)
    }

    /// The work counts all the same; its report is made again without the streams.
    pub(super) fn on_logs_lost(&mut self, attempt: AttemptRef) -> Vec<Action> {
        let Some(entry) = self.attempts.get_mut(&attempt) else { return Vec::new() };
        entry.logs_lost = true;
        match &entry.phase {
            Phase::Spooling { report } | Phase::Delivering { report, .. } => {
                let report = Report::clone(report);
                vec![self.spool(attempt, report)]
            }
            Phase::Waiting { .. } | Phase::Fetching | Phase::Preparing | Phase::Running | Phase::Stopping(_) => {
                Vec::new()
            }
        }
    }

    pub(super) fn retry_uploads(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for (attempt, entry) in &mut self.attempts {
            let Phase::Delivering { output, .. } = &mut entry.phase else { continue };
            let Output::RetryAt(at) = *output else { continue };
            if now >= at {
                *output = Output::Here;
                due.push(*attempt);
            } else {
                next = Some(next.map_or(at, |known| known.min(at)));
            }
        }
        self.next_retry = next;
        for attempt in due {
            actions.extend(self.deliver(attempt));
        }
    }
}
