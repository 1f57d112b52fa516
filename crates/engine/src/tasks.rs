//! How tasks and their elements end, once each.
//!
//! Start at [`Engine::stop_task`]; [`Engine::end_element`] and [`Engine::end_waiting`] are the only places where
//! elements end and where their hold is settled or released.
//!
//! Invariant: a task whose elements have all ended is not in memory after the command that ended it.

use crate::Engine;
use crate::after::Fallout;
use crate::copies::Unjudged;
use crate::life::{Event, Standing, Step, step};
use crate::recent::Past;
use crate::spans::{self, Spans};
use crate::state::Stage;
use hivemind_ledger::Paid;
use hivemind_model::rows::{Element, ElementPhase, Report};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{
    AttemptRef, Cpt, Effect, ElementRef, Indices, Millis, NodeId, Rejection, Reply, TaskId, TaskState, Timestamp,
    UserId,
};
use std::collections::BTreeSet;

/// What an ended element costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payment {
    /// Nothing.
    Nothing,
    /// To the owner of the node, for one attempt.
    Price { paid: Paid, amount: Cpt },
}

impl Engine {
    /// Ends a task, or some of its elements, on its requester's word. What has ended stays as it is.
    pub(crate) fn cancel(
        &mut self,
        user: UserId,
        id: TaskId,
        elements: Option<&Indices>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let Some(task) = self.tasks.get(&id) else {
            let ended = self.recent.get(id).is_some_and(|past| past.user == user);
            return if ended { Ok(Reply::Done) } else { Err(Rejection::not_found(id)) };
        };
        if task.row.user != user {
            return Err(Rejection::not_found(id));
        }
        let Some(wanted) = elements else {
            self.stop_task(id, &Outcome::Cancelled, now);
            return Ok(Reply::Done);
        };
        let all = task.row.spec.indices();
        if !all.contains_all(wanted) {
            return Err(Rejection::invalid(
                "elements",
                format!("names an index that {id} does not have; it has {}", shown(&all)),
            ));
        }
        for at in self.live_elements(id).into_iter().filter(|at| wanted.contains(at.index)) {
            self.stop_live(at, &Outcome::Cancelled, now);
        }
        self.end_waiting(id, wanted.ranges(), |_| true, &Outcome::Cancelled, now);
        self.restate(id, now);
        Ok(Reply::Done)
    }

    /// Ends every element of a task that has not ended, in the same way.
    pub(crate) fn stop_task(&mut self, id: TaskId, outcome: &Outcome, now: Timestamp) {
        for at in self.live_elements(id) {
            self.stop_live(at, outcome, now);
        }
        let all = self.tasks.get(&id).map(|task| task.ranges().to_vec()).unwrap_or_default();
        self.end_waiting(id, &all, |_| true, outcome, now);
        self.restate(id, now);
    }

    /// Ends a live element; what ran is paid up to now.
    fn stop_live(&mut self, at: ElementRef, outcome: &Outcome, now: Timestamp) {
        match self.attempt_of(at).filter(|_| !self.panels.contains_key(&at)) {
            Some(attempt) => self.stop_attempt(attempt, outcome, now),
            None => self.end_copies(at, outcome.clone(), Unjudged::Paid, now),
        }
    }

    /// Every live element of a task.
    fn live_elements(&self, task: TaskId) -> BTreeSet<ElementRef> {
        let (first, last) = (ElementRef { task, index: 0 }, ElementRef { task, index: u32::MAX });
        let running = self.live.range(first.attempt(0)..=last.attempt(u32::MAX)).map(|(attempt, _)| attempt.element);
        running.chain(self.panels.range(first..=last).map(|(at, _)| *at)).collect()
    }

    /// Ends the elements of a task at `spans` that wait and are as `which` says, all in the same way. The caller calls
    /// [`Engine::restate`] afterwards.
    pub(crate) fn end_waiting(
        &mut self,
        id: TaskId,
        spans: &[(u32, u32)],
        which: impl Fn(&Element) -> bool,
        outcome: &Outcome,
        now: Timestamp,
    ) {
        assert!(step(Standing::Waiting, Event::Stopped) == Step::StopUnpaid, "T2: what waits cannot be stopped");
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.waiting > 0) else { return };
        let (mut ended, mut due) = (Spans::new(), Vec::new());
        for (first, last, element) in task.runs(spans).filter(|(_, _, element)| which(element)) {
            let ElementPhase::Waiting { not_before } = element.phase else { continue };
            spans::push(&mut ended, first, last);
            if not_before > Timestamp(0) {
                due.extend((first..=last).map(|index| (not_before, ElementRef { task: id, index })));
            }
        }
        if ended.is_empty() {
            return;
        }
        for key in due {
            self.delayed.remove(&key);
        }
        for (first, last) in &ended {
            let first = task.rank(ElementRef { task: id, index: *first });
            self.queue.remove_span(task.row.user, first, *last, &task.need);
        }
        task.end_spans(&ended, outcome);
        let count = u32::try_from(spans::count(&ended)).unwrap_or(u32::MAX);
        task.waiting -= count;
        self.forget_ended(id, now);
        self.note_ended(id, outcome, count, Payment::Nothing, now);
        self.note_elements(id, &ended, false);
    }

    /// Ends a live attempt and its element; a command that ran is paid up to now.
    fn stop_attempt(&mut self, attempt: AttemptRef, outcome: &Outcome, now: Timestamp) {
        let at = attempt.element;
        let Some(live) = self.live.get(&attempt) else { panic!("T3: {attempt} is stopped, but does not live") };
        let (node, stage) = (live.node, live.stage);
        let mut payment = Payment::Nothing;
        let mut metering = Metering::default();
        match (step(live.standing(), Event::Stopped), stage) {
            (Step::StopPaid, Stage::Running { started_at }) => {
                metering.wall = self.ran(attempt, started_at, now);
                payment = self.price(attempt, node, metering.wall, now);
            }
            (Step::StopUnpaid, Stage::Queued | Stage::Assigned) => {}
            (other, stage) => unreachable!("T2: stopping {attempt} at {stage:?} gives {other:?}"),
        }
        self.tell_stop(node, attempt);
        let report = Report { metering, ..bare_report(outcome.clone()) };
        if payment != Payment::Nothing {
            self.record_accepted(attempt, node, &report);
        }
        self.end_attempt(attempt, report, payment, now);
        self.end_element(at, outcome.clone(), payment, now);
    }

    /// The live attempt of an element, if it has one.
    pub(crate) fn attempt_of(&self, at: ElementRef) -> Option<AttemptRef> {
        self.live.range(at.attempt(0)..=at.attempt(u32::MAX)).next().map(|(attempt, _)| *attempt)
    }

    /// Ends one element, and settles its part of the hold; with the last element the hold ends.
    /// The caller calls [`Engine::restate`] afterwards.
    pub(crate) fn end_element(&mut self, at: ElementRef, outcome: Outcome, payment: Payment, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&at.task) else { panic!("T2: {at} ends after its task") };
        let Some(element) = task.element_mut(at.index) else {
            panic!("T2: {at} ends, but its task has no such element")
        };
        let waited = matches!(element.phase, ElementPhase::Waiting { .. });
        assert!(!matches!(element.phase, ElementPhase::Ended { .. }), "T2: {at} ends twice");
        element.phase = ElementPhase::Ended { outcome: outcome.clone() };
        task.waiting -= u32::from(waited);
        self.forget_element(at, now);
        self.note_ended(at.task, &outcome, 1, payment, now);
        self.note_elements(at.task, &[(at.index, at.index)], outcome.is_success());
    }

    /// Counts `count` elements of a task that ended alike, and settles; with the last the hold ends.
    fn note_ended(&mut self, id: TaskId, outcome: &Outcome, count: u32, payment: Payment, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id) else { panic!("T2: elements of {id} end after it") };
        let before = task.percent();
        let failed_before = task.row.progress.ended.failed;
        let progress = &mut task.row.progress;
        match outcome {
            outcome if outcome.is_success() => progress.ended.completed += count,
            Outcome::Cancelled => progress.ended.cancelled += count,
            _ => progress.ended.failed += count,
        }
        if !outcome.is_success() && progress.failure.is_none() {
            progress.failure = Some(outcome.clone());
        }
        let last = progress.ended.total() == task.elements.len();
        let failed = progress.ended.failed;
        if task.max_fails().is_some_and(|most| failed_before <= most && most < failed) {
            self.fallout.push_back(Fallout::TooManyFailed { task: id });
        }
        if !last && task.percent() > before {
            let (user, state, percent) = (task.row.user, task.row.progress.state, task.percent());
            self.pending.effects.push(Effect::TaskMoved { user, task: id, state, percent });
        }
        if let Some(hold) = self.ledger.hold(id).filter(|_| last) {
            self.expiries.remove(&(hold.expires_at, id));
        }
        self.settle(id, payment, last.then_some(outcome), now);
        self.touch_task(id);
    }

    /// Settles for an accepted attempt; where `last` says how the last element ended, the hold ends.
    pub(crate) fn settle(&mut self, id: TaskId, payment: Payment, last: Option<&Outcome>, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id) else { panic!("T2: {id} is paid for after it ended") };
        let done = match (payment, last) {
            (Payment::Nothing, None) => Ok(()),
            (Payment::Nothing, Some(Outcome::Expired)) => self.ledger.expire(id, now).map(drop),
            (Payment::Nothing, Some(_)) => self.ledger.release(id, now).map(drop),
            (Payment::Price { paid, amount }, last) => {
                let cost = task.row.progress.cost.checked_add(amount);
                task.row.progress.cost = cost.unwrap_or_else(|| panic!("L4: the cost of {id} overflows"));
                assert!(task.row.progress.cost <= task.row.cap, "L4: {id} costs more than its hold");
                match last {
                    Some(_) => self.ledger.settle_and_close(paid, amount, now).map(drop),
                    None => self.ledger.settle(paid, amount, now),
                }
            }
        };
        done.unwrap_or_else(|refusal| panic!("L4: the books refuse what {id} is to pay: {refusal}"));
    }

    /// Brings a task's state in line with its elements; a task that has ended leaves memory.
    pub(crate) fn restate(&mut self, id: TaskId, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let (before, after) = (task.row.progress.state, task.derived_state());
        if before == after {
            return;
        }
        assert!(!before.is_terminal(), "T2: {id} was {before} and would be {after}");
        task.row.progress.state = after;
        let user = task.row.user;
        self.running_tasks -= usize::from(before == TaskState::Running);
        self.running_tasks += usize::from(after == TaskState::Running);
        let percent = task.percent();
        self.pending.effects.push(Effect::TaskMoved { user, task: id, state: after, percent });
        if !after.is_terminal() {
            self.touch_task(id);
            return;
        }
        task.row.progress.ended_at = Some(now);
        let elements = u64::from(task.elements.len());
        if let Some(task) = self.tasks.remove(&id) {
            self.queue.forget_inputs(id);
            self.recent.push(id, Past::of(&task));
            self.unlink_dependencies(&task);
            self.forget_patience(&task);
            self.note_task(id, after);
            self.pending.ended_tasks.push(task);
        }
        if let Some(user) = self.users.get_mut(&user) {
            user.open_tasks -= 1;
            user.open_elements -= elements;
        }
    }

    /// Takes a waiting element that was tried before out of the queue, or out of those that wait for their next try.
    pub(crate) fn unqueue(&mut self, at: ElementRef) {
        let Some(task) = self.tasks.get(&at.task) else { return };
        let Some(ElementPhase::Waiting { not_before }) = task.element(at.index).map(|element| element.phase.clone())
        else {
            return;
        };
        let (user, rank) = (task.row.user, task.rank(at));
        let found = self.delayed.remove(&(not_before, at)).or_else(|| self.queue.remove(user, rank, &task.need));
        assert!(found.is_some(), "T7: {at} waits, but is in no queue");
    }

    /// The payment for `wall` of an attempt on `node`, within the element's part of the hold.
    pub(crate) fn price(&self, attempt: AttemptRef, node: NodeId, wall: Millis, now: Timestamp) -> Payment {
        let (payee, amount) = self.price_of(attempt.element.task, node, wall);
        let requester = self.tasks.get(&attempt.element.task).map_or(payee, |task| task.row.user);
        let terms = self.terms(requester, payee, now);
        Payment::Price { paid: Paid { attempt, payee, terms }, amount }
    }

    /// Who is paid for work on `node`, and what `wall` of a task's element costs there, within the
    /// attempt's part of the hold.
    pub(crate) fn price_of(&self, id: TaskId, node: NodeId, wall: Millis) -> (UserId, Cpt) {
        let (Some(task), Some(node)) = (self.tasks.get(&id), self.nodes.get(&node)) else {
            panic!("T3: {id} is priced on {node}, and one of them is unknown")
        };
        let cap = task.attempt_cap();
        // The prices may have risen since the cap was fixed; the requester pays no more than that.
        let amount = self.policy.prices.price(&task.row.spec.resources, wall).map_or(cap, |price| price.min(cap));
        (node.row.owner, amount)
    }

    pub(crate) fn max_runtime(&self, id: TaskId) -> Millis {
        self.tasks.get(&id).map(|task| task.row.spec.max_runtime).unwrap_or_default()
    }
}

/// A set of indices, for people.
fn shown(indices: &Indices) -> String {
    let mut text = indices.to_string();
    if text.len() > 100 {
        text.truncate(100);
        text.push_str("...");
    }
    text
}

/// A report of an end that no node reported.
pub(crate) fn bare_report(outcome: Outcome) -> Report {
    Report {
        outcome,
        metering: Metering::default(),
        logs: Default::default(),
        image_id: String::new(),
        output: None,
        digest: None,
    }
}
