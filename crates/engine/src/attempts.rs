//! Attempts: handed out, running, over.
//!
//! Start at [`Engine::finished`]. [`Engine::end_attempt`] is the only place where an attempt ends and its
//! reservation is given back; [`Engine::retry`] and [`Engine::fail_paid`] are the only ones where an element gets
//! another try.
//!
//! Invariant: a report of an attempt that is not the current one on that node changes nothing.

use crate::Engine;
use crate::life::{Event, Standing, Step, Verdict, step, verdict};
use crate::poison::poison;
use crate::standing::Record;
use crate::state::{Live, Stage};
use crate::tasks::{Payment, bare_report};
use hivemind_model::economy::{Economy, Mode};
use hivemind_model::rows::{AttemptPhase, AttemptRow, ElementPhase, Report};
use hivemind_model::state::Outcome;
use hivemind_model::{AttemptRef, Code, Cpt, Effect, ElementRef, Millis, NodeId, Policy, Rejection, Reply, Timestamp};
use hivemind_placement::Turn;
use hivemind_trust::Finding;

/// Longest text from a node that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 2048;

/// When an element that failed gets its next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    None,
    Growing,
}

/// How an attempt failed through no fault of the task.
pub(crate) struct Failure {
    /// Where.
    pub(crate) node: NodeId,
    /// When the attempt was handed out.
    pub(crate) assigned_at: Timestamp,
    /// Where those before failed.
    pub(crate) failed_on: Vec<NodeId>,
    /// How.
    pub(crate) outcome: Outcome,
    /// Whose failure it is.
    pub(crate) blame: Blame,
    /// How long until the next try.
    pub(crate) pause: Pause,
}

/// Whose failure it is that an attempt came to nothing; never the task's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The node's: on its record, and one of the tries that the element has.
    Node,
    /// As the node's, and perhaps the element's own: it may be [poison](crate::poison).
    Suspect,
    /// Nobody's: people took the attempt from its node.
    Nobody,
}

impl Live {
    pub(crate) fn standing(&self) -> Standing {
        match self.stage {
            Stage::Queued => Standing::Queued,
            Stage::Assigned => Standing::Assigned,
            Stage::Running { .. } => Standing::Running,
        }
    }
}

impl Engine {
    /// Notes that an attempt's command runs.
    pub(crate) fn started(&mut self, node: NodeId, attempt: AttemptRef, now: Timestamp) -> Result<Reply, Rejection> {
        let standing = self.standing(node, attempt);
        match step(standing, Event::Started) {
            Step::Run => {
                self.run(attempt, now);
                Ok(Reply::Done)
            }
            Step::TakeRoom => {
                self.begin_queued(attempt, now);
                Ok(Reply::Done)
            }
            Step::Nothing => Ok(Reply::Done),
            Step::Stale => Err(stale(attempt)),
            other => unreachable!("T3: {attempt} started at {standing:?} gives {other:?}"),
        }
    }

    /// The command of an attempt that has room runs.
    pub(crate) fn run(&mut self, attempt: AttemptRef, now: Timestamp) {
        if let Some(live) = self.live.get_mut(&attempt) {
            live.stage = Stage::Running { started_at: now };
            live.stood = Millis(0);
        }
        if let Some(task) = self.tasks.get_mut(&attempt.element.task) {
            task.running += 1;
        }
        self.meter_from(attempt, now);
        self.touch_live(attempt);
        self.restate(attempt.element.task, now);
    }

    /// Takes the end of an attempt as its node reports it.
    pub(crate) fn finished(
        &mut self,
        node: NodeId,
        attempt: AttemptRef,
        report: Report,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let element = attempt.element;
        let standing = self.standing(node, attempt);
        // That there is no such image is one node's word: of copies it is compared with others'.
        let verdict = match verdict(&report.outcome) {
            Verdict::Unpaid if self.is_verified(element.task) => Verdict::Fault,
            verdict => verdict,
        };
        match step(standing, Event::Reported(verdict)) {
            Step::EndPaid => {
                let report = self.bounded(attempt, report, now);
                self.note_cached(node, element);
                self.note_run(node, element, report.metering.wall, report.outcome.is_success());
                if self.is_verified(element.task) {
                    self.vote(attempt, node, report, now);
                    self.restate(element.task, now);
                    return Ok(Reply::Done);
                }
                self.judge_node(node, Finding::Completed, now);
                let payment = self.price(attempt, node, report.metering.wall, now);
                let outcome = report.outcome.clone();
                self.record_accepted(attempt, node, &report);
                self.note_accepted(node, report.metering.wall);
                self.end_attempt(attempt, report, payment, now);
                self.end_element(element, outcome, payment, now);
            }
            Step::RetryPaid => {
                let report = self.bounded(attempt, report, now);
                self.fail_paid(attempt, node, report, now);
            }
            Step::EndUnpaid => {
                let report = self.bounded(attempt, report, now);
                let outcome = report.outcome.clone();
                self.end_attempt(attempt, report, Payment::Nothing, now);
                self.end_element(element, outcome, Payment::Nothing, now);
            }
            Step::RetryLater => {
                let mut report = self.bounded(attempt, report, now);
                let blame = self.blame_of_report(node, &report.outcome);
                if report.outcome == Outcome::Cancelled {
                    report.outcome = Outcome::Infrastructure { reason: "the owner of the node stopped it".into() };
                }
                let assigned_at = self.live.get(&attempt).map_or(now, |live| live.assigned_at);
                self.retry(attempt, report, blame, Pause::Growing, now);
                match blame {
                    Blame::Suspect => self.note_fault(node, assigned_at, now),
                    Blame::Node | Blame::Nobody => {}
                }
            }
            Step::TakeRoom => {
                self.end_queued(attempt, now);
                return self.finished(node, attempt, report, now);
            }
            Step::Stale => return Err(stale(attempt)),
            other => unreachable!("T3: {attempt} ended at {standing:?} gives {other:?}"),
        }
        self.restate(element.task, now);
        Ok(Reply::Done)
    }

    /// Gives up a live attempt through no fault of the task; the element is tried again at once.
    pub(crate) fn give_up(&mut self, attempt: AttemptRef, reason: &str, blame: Blame, now: Timestamp) {
        let standing = self.live.get(&attempt).map_or(Standing::Past, Live::standing);
        let report = bare_report(Outcome::Infrastructure { reason: reason.into() });
        match step(standing, Event::GivenUp) {
            Step::RetryNow => match blame {
                Blame::Node | Blame::Suspect => self.retry(attempt, report, blame, Pause::None, now),
                Blame::Nobody => self.requeue(attempt, report, now),
            },
            Step::PutBack => self.requeue(attempt, report, now),
            other => unreachable!("T3: giving up {attempt} at {standing:?} gives {other:?}"),
        }
        self.restate(attempt.element.task, now);
    }

    /// Ends an attempt unpaid and queues its element again, as if it had not been tried.
    fn requeue(&mut self, attempt: AttemptRef, report: Report, now: Timestamp) {
        let Live { failed_on, node, .. } = self.end_attempt(attempt, report, Payment::Nothing, now);
        if self.panels.contains_key(&attempt.element) {
            self.leave(attempt, node, false);
            return self.judge(vec![attempt.element], now);
        }
        self.queue_again(attempt.element, failed_on);
    }

    /// Ends an attempt unpaid and queues its element again, unless it has failed too often.
    fn retry(&mut self, attempt: AttemptRef, report: Report, blame: Blame, pause: Pause, now: Timestamp) {
        let outcome = report.outcome.clone();
        let Live { node, assigned_at, failed_on, .. } = self.end_attempt(attempt, report, Payment::Nothing, now);
        self.leave(attempt, node, true);
        self.try_elsewhere(attempt.element, Failure { node, assigned_at, failed_on, outcome, blame, pause }, now);
    }

    /// Queues an element again whose attempt has failed, unless that was one failure too many.
    pub(crate) fn try_elsewhere(&mut self, at: ElementRef, failure: Failure, now: Timestamp) {
        let Failure { node, assigned_at, mut failed_on, outcome, blame, pause } = failure;
        // Who names an image that nobody has must not spoil the record of those who look for it.
        if !matches!(outcome, Outcome::ImageUnavailable { .. }) {
            self.record(node, Record::Failed);
            self.note_error(node, assigned_at, now);
            self.note_failure(node);
        }
        let suspects = self.suspect(at, node, blame);
        let Policy { max_infrastructure_failures, max_image_failures, retry_delay, max_retry_delay, .. } = self.policy;
        let verified = self.is_verified(at.task);
        let Some(task) = self.tasks.get_mut(&at.task) else { panic!("T2: {at} is retried after its task") };
        let Some(element) = task.element_mut(at.index) else {
            panic!("T2: {at} is retried, but its task has no such element")
        };
        element.faults += 1;
        element.image_faults += u32::from(matches!(outcome, Outcome::ImageUnavailable { .. }));
        let (faults, image_faults) = (element.faults, element.image_faults);
        if let Some(nodes) = suspects {
            self.end_for_good(at, poison(&outcome, nodes), now);
            return;
        }
        if faults >= max_infrastructure_failures || image_faults >= max_image_failures {
            self.end_for_good(at, exhausted(outcome, faults), now);
            return;
        }
        failed_on.push(node);
        if verified {
            self.list_task(at.task);
            return self.judge(vec![at], now);
        }
        match pause {
            Pause::None => self.queue_again(at, failed_on),
            Pause::Growing => {
                let not_before = now.after(back_off(retry_delay, max_retry_delay, faults));
                element.phase = ElementPhase::Waiting { not_before };
                task.waiting += 1;
                self.delayed.insert((not_before, at), failed_on);
                self.list_task(at.task);
            }
        }
    }

    /// Lets an element without an attempt be placed at once.
    pub(crate) fn queue_again(&mut self, at: ElementRef, failed_on: Vec<NodeId>) {
        let Some(task) = self.tasks.get_mut(&at.task) else { panic!("T2: {at} is tried again after its task") };
        let (user, rank) = (task.row.user, task.rank(at));
        let Some(element) = task.element_mut(at.index) else {
            panic!("T2: {at} is tried again, but its task has no such element")
        };
        element.phase = ElementPhase::Waiting { not_before: Timestamp(0) };
        task.waiting += 1;
        let turn = Turn { used: self.shares.used(user), user };
        self.queue.push(turn, rank, &task.need, failed_on);
        self.stirred = true;
        self.list_task(at.task);
    }

    /// Ends a live attempt: its row is final and its reservation is free.
    pub(crate) fn end_attempt(
        &mut self,
        attempt: AttemptRef,
        report: Report,
        payment: Payment,
        now: Timestamp,
    ) -> Live {
        let live = self.take_off(attempt, now);
        self.settle_share(attempt, &live, now);
        let cost = match payment {
            Payment::Nothing => {
                self.ledger.return_accrual(attempt, now);
                Cpt::ZERO
            }
            Payment::Price { amount, .. } => amount,
        };
        let phase = AttemptPhase::Ended { ended_at: now, report, cost };
        self.pending.attempts.push(AttemptRow { attempt, node: live.node, assigned_at: live.assigned_at, phase });
        live
    }

    /// Takes a live attempt from its node: what it had reserved is free, for the node's backlog first.
    pub(crate) fn take_off(&mut self, attempt: AttemptRef, now: Timestamp) -> Live {
        let Some(live) = self.live.remove(&attempt) else { panic!("T3: {attempt} ends, but does not live") };
        if let Some(deadline) = live.deadline {
            self.deadlines.remove(&(deadline, attempt));
        }
        self.stop_meter(attempt, &live);
        if let Some(unknown) = live.unknown {
            self.unknown.remove(&(unknown.until, attempt));
        }
        let mut need = None;
        if let Some(task) = self.tasks.get_mut(&attempt.element.task) {
            task.running -= u32::from(live.standing() == Standing::Running);
            need = Some(task.row.spec.resources);
            let user = task.row.user;
            self.hold_one_less(user);
        }
        if let (Some(node), Some(need)) = (self.nodes.get_mut(&live.node), need) {
            node.live.remove(&attempt);
            match live.stage {
                Stage::Queued => drop(node.backlog.remove(&(live.order, attempt))),
                Stage::Assigned | Stage::Running { .. } => node.release(attempt, &need),
            }
        }
        self.promote(live.node, now);
        self.refresh_room(live.node);
        live
    }

    /// Notes for its node that an attempt is accepted. In the guarded mode only work that the
    /// money of another person pays for is a merit.
    pub(crate) fn record_accepted(&mut self, attempt: AttemptRef, node: NodeId, report: &Report) {
        let Some(task) = self.tasks.get(&attempt.element.task) else { return };
        let Some(owner) = self.nodes.get(&node).map(|node| node.row.owner) else { return };
        let Economy { mode, rewards, .. } = &self.policy.economy;
        let merit = match mode {
            Mode::Open => true,
            Mode::Guarded => !self.is_same_person(task.row.user, owner) && !self.ledger.has_promo(attempt),
        };
        if !merit {
            return;
        }
        let need = task.row.spec.resources;
        let long = report.metering.wall >= rewards.complex_runtime;
        let large = need.cpu >= rewards.complex_cores || need.gpus > 0;
        self.record(node, Record::Completed { complex: report.outcome.is_success() && (long || large) });
    }

    /// Tells a linked node to stop an attempt; one that is not linked learns it when it is back.
    pub(crate) fn tell_stop(&mut self, node: NodeId, attempt: AttemptRef) {
        if let Some(session) = self.nodes.get(&node).and_then(|node| node.linked_session()) {
            self.pending.effects.push(Effect::Stop { node, session, attempt });
        }
    }

    fn standing(&self, node: NodeId, attempt: AttemptRef) -> Standing {
        match self.live.get(&attempt) {
            Some(live) if live.node == node => live.standing(),
            Some(_) | None => Standing::Past,
        }
    }

    /// A report as far as it is believed: no more time than the pool's own clock saw since it
    /// handed the attempt out, nor than the task may run; texts of bounded length.
    fn bounded(&self, attempt: AttemptRef, mut report: Report, now: Timestamp) -> Report {
        let seen = self.live.get(&attempt).map(|live| self.ran(attempt, live.assigned_at, now)).unwrap_or_default();
        report.metering.wall = report.metering.wall.min(seen);
        cut(&mut report.image_id);
        match &mut report.outcome {
            Outcome::CannotStart { reason }
            | Outcome::BadImage { reason }
            | Outcome::ImageUnavailable { reason }
            | Outcome::OutOfPatience { reason }
            | Outcome::Skipped { reason }
            | Outcome::Poison { reason }
            | Outcome::Disputed { reason }
            | Outcome::Infrastructure { reason } => cut(reason),
            Outcome::Exited { .. }
            | Outcome::OutOfMemory
            | Outcome::TimedOut
            | Outcome::Cancelled
            | Outcome::Expired => {}
        }
        report
    }
}

/// The outcome of an element whose last fault was one too many.
fn exhausted(last: Outcome, faults: u32) -> Outcome {
    let told = |last: &str| {
        format!("failed {faults} times through no fault of the task, and is not tried again; the last time: {last}")
    };
    match last {
        Outcome::ImageUnavailable { reason } => Outcome::ImageUnavailable { reason: told(&reason) },
        Outcome::Infrastructure { reason } => Outcome::Infrastructure { reason: told(&reason) },
        other => Outcome::Infrastructure { reason: told(&other.explain()) },
    }
}

fn stale(attempt: AttemptRef) -> Rejection {
    Rejection::new(
        Code::Stale,
        format!("{attempt} is not, or no longer, the current attempt on this node; stop it and forget it"),
    )
}

pub(crate) fn cut(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        let end = text.floor_char_boundary(MAX_TEXT_BYTES);
        text.truncate(end);
    }
}

/// `delay` after the first failure, doubled with each further one, at most `max_delay`.
pub(crate) fn back_off(delay: Millis, max_delay: Millis, faults: u32) -> Millis {
    let factor = 1u64.checked_shl(faults.saturating_sub(1)).unwrap_or(u64::MAX);
    Millis(delay.0.saturating_mul(factor)).min(max_delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let pauses = [1, 2, 3, 8, 9, 64, 65, u32::MAX].map(|faults| back_off(Millis(500), Millis(60_000), faults).0);
        assert_eq!(pauses, [500, 1000, 2000, 60_000, 60_000, 60_000, 60_000, 60_000]);
    }
}
