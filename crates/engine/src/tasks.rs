//! Tasks: accepted with a hold, ended once.
//!
//! Start at [`Engine::submit`]; [`Engine::end_element`] is the only place where an element ends and
//! where its hold is settled or released.
//!
//! Invariant: a task whose elements have all ended is not in memory after the command that ended it.

use crate::Engine;
use crate::life::{Event, Standing, Step, step};
use crate::state::{Stage, Task};
use hivemind_ledger::{Paid, Refusal};
use hivemind_model::command::Once;
use hivemind_model::rows::{Answer, Element, ElementPhase, Report, TaskProgress, TaskRow};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{
    AttemptRef, Code, Cpt, Effect, ElementRef, Millis, NodeId, Rejection, Reply, TaskId, TaskSpec, TaskState,
    Timestamp, UserId,
};
use std::sync::Arc;

/// What an ended element costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payment {
    /// Nothing.
    Nothing,
    /// To the owner of the node, for one attempt.
    Price { paid: Paid, amount: Cpt },
}

/// What a requester hands in, and the most they would pay.
pub(crate) struct Offer {
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) max_price: Option<Cpt>,
}

impl Engine {
    /// Accepts a task and takes its hold.
    pub(crate) fn submit(
        &mut self,
        user: UserId,
        offer: Offer,
        once: Option<Once>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        self.user(user)?;
        self.at_most_once(once, user, "request_id", |engine| {
            let (task, cap) = engine.submit_now(user, offer, now)?;
            Ok((Reply::Submitted { task, cap }, Answer::Submitted { task, cap }))
        })
    }

    fn submit_now(&mut self, user: UserId, offer: Offer, now: Timestamp) -> Result<(TaskId, Cpt), Rejection> {
        let Offer { spec, max_price } = offer;
        spec.check(&self.policy)?;
        let most = self.policy.limits.max_open_tasks_per_user;
        if self.user(user)?.open_tasks >= most {
            return Err(Rejection::new(
                Code::Busy,
                format!("you have {most} open tasks, the most that this pool keeps for one user; wait for some to end"),
            ));
        }
        let cap = self.policy.cap(&spec)?;
        if let Some(most) = max_price.filter(|most| cap > *most) {
            return Err(Rejection::field(
                Code::MaxPrice,
                "max_price_micro",
                format!(
                    "it can cost {cap}, more than your bound of {most}; raise it, or lower max_runtime or the resources"
                ),
            ));
        }
        let id = TaskId(self.counters.task);
        let expires_at = now.after(self.policy.economy.hold_lifetime).after(spec.max_runtime);
        self.ledger.open_hold(id, user, cap, expires_at, now).map_err(|refusal| match refusal {
            Refusal::Insufficient { needed, available } => Rejection::new(
                Code::InsufficientCpt,
                format!("needs {needed} (the price cap), {available} is available; lower max_runtime or the resources, or wait for open tasks to end"),
            ),
            other => panic!("L3: a hold for the new {id} is refused: {other}"),
        })?;
        self.counters.task += 1;
        self.pending.counters_moved = true;
        let waiting = Element {
            attempts: 0,
            faults: 0,
            image_faults: 0,
            phase: ElementPhase::Waiting { not_before: Timestamp(0) },
        };
        let progress =
            TaskProgress { id, state: TaskState::Pending, ended_at: None, cost: Cpt::ZERO, elements: vec![waiting] };
        let task = Task {
            row: TaskRow { user, spec, submitted_at: now, cap, progress },
            running: 0,
            ended: 0,
            stored: false,
            dirty: false,
        };
        let element = ElementRef::only(id);
        self.queue.push(self.turn(user), task.rank(element), task.need(), Vec::new());
        self.stirred = true;
        self.tasks.insert(id, task);
        self.expiries.insert((expires_at, id));
        self.touch_task(id);
        if let Some(user) = self.users.get_mut(&user) {
            user.open_tasks += 1;
        }
        Ok((id, cap))
    }

    /// Ends a task on its requester's word. A task that has ended stays as it is.
    pub(crate) fn cancel(&mut self, user: UserId, id: TaskId, now: Timestamp) -> Result<Reply, Rejection> {
        let Some(task) = self.tasks.get(&id) else {
            return if self.recent.user(id) == Some(user) { Ok(Reply::Done) } else { Err(Rejection::not_found(id)) };
        };
        if task.row.user != user {
            return Err(Rejection::not_found(id));
        }
        self.stop_task(id, &Outcome::Cancelled, now);
        Ok(Reply::Done)
    }

    /// Ends every element of a task that has not ended, as cancelled or expired.
    pub(crate) fn stop_task(&mut self, id: TaskId, outcome: &Outcome, now: Timestamp) {
        let Some(task) = self.tasks.get(&id) else { panic!("T2: {id} is stopped after it has ended") };
        let elements = (0u32..).zip(&task.row.progress.elements);
        let standings: Vec<(ElementRef, Standing)> = elements
            .map(|(index, element)| {
                let at = ElementRef { task: id, index };
                let standing = match element.phase {
                    ElementPhase::Waiting { .. } => Standing::Waiting,
                    ElementPhase::Live => self.live.get(&at).map_or(Standing::Past, |live| live.standing()),
                    ElementPhase::Ended { .. } => Standing::Past,
                };
                (at, standing)
            })
            .collect();
        for (element, standing) in standings {
            match step(standing, Event::Stopped) {
                Step::StopPaid | Step::StopUnpaid => self.stop_element(element, outcome, now),
                Step::Nothing => {}
                other => unreachable!("T2: stopping {element} at {standing:?} gives {other:?}"),
            }
        }
        self.restate(id, now);
    }

    /// Ends one element as cancelled or expired; a command that ran is paid up to now.
    fn stop_element(&mut self, element: ElementRef, outcome: &Outcome, now: Timestamp) {
        let mut payment = Payment::Nothing;
        if let Some(live) = self.live.get(&element) {
            let (node, attempt) = (live.node, element.attempt(live.number));
            let mut metering = Metering::default();
            if let Stage::Running { started_at } = live.stage {
                metering.wall = now.since(started_at).min(self.max_runtime(element.task));
                payment = self.price(attempt, node, metering.wall, now);
            }
            self.tell_stop(node, attempt);
            let report = Report { metering, ..bare_report(outcome.clone()) };
            if payment != Payment::Nothing {
                self.record_accepted(attempt, node, &report);
            }
            self.end_attempt(element, report, payment, now);
        } else {
            self.unqueue(element);
        }
        self.end_element(element, outcome.clone(), payment, now);
    }

    /// Ends an element, and settles its part of the hold; with the last element the hold ends.
    /// The caller calls [`Engine::restate`] afterwards.
    pub(crate) fn end_element(&mut self, at: ElementRef, outcome: Outcome, payment: Payment, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&at.task) else { panic!("T2: {at} ends after its task") };
        let Some(element) = task.element_mut(at.index) else {
            panic!("T2: {at} ends, but its task has no such element")
        };
        assert!(!matches!(element.phase, ElementPhase::Ended { .. }), "T2: {at} ends twice");
        let expired = outcome == Outcome::Expired;
        element.phase = ElementPhase::Ended { outcome };
        task.ended += 1;
        let last = task.ended == task.row.progress.elements.len();
        if let Some(hold) = self.ledger.hold(at.task).filter(|_| last) {
            self.expiries.remove(&(hold.expires_at, at.task));
        }
        let done = match payment {
            Payment::Nothing if last && expired => self.ledger.expire(at.task, now).map(drop),
            Payment::Nothing if last => self.ledger.release(at.task, now).map(drop),
            Payment::Nothing => Ok(()),
            Payment::Price { paid, amount } => {
                task.row.progress.cost = task
                    .row
                    .progress
                    .cost
                    .checked_add(amount)
                    .unwrap_or_else(|| panic!("L4: the cost of {} overflows", at.task));
                assert!(task.row.progress.cost <= task.row.cap, "L4: {} costs more than its hold", at.task);
                if last {
                    self.ledger.settle_and_close(paid, amount, now).map(drop)
                } else {
                    self.ledger.settle(paid, amount, now)
                }
            }
        };
        done.unwrap_or_else(|refusal| panic!("L4: the books refuse the end of {at}: {refusal}"));
        self.touch_task(at.task);
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
        self.pending.effects.push(Effect::TaskMoved { user, task: id, state: after });
        if !after.is_terminal() {
            self.touch_task(id);
            return;
        }
        task.row.progress.ended_at = Some(now);
        self.pending.ended_tasks.extend(self.tasks.remove(&id));
        self.recent.push(id, user);
        if let Some(user) = self.users.get_mut(&user) {
            user.open_tasks -= 1;
        }
    }

    /// Takes a waiting element out of the queue, or out of those that wait for their next try.
    pub(crate) fn unqueue(&mut self, at: ElementRef) {
        let Some(task) = self.tasks.get(&at.task) else { return };
        let Some(ElementPhase::Waiting { not_before }) = task.element(at.index).map(|element| element.phase.clone())
        else {
            return;
        };
        let (user, rank, need) = (task.row.user, task.rank(at), task.need());
        let found = self.delayed.remove(&(not_before, at)).or_else(|| self.queue.remove(user, rank, need));
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
    /// element's part of the hold.
    pub(crate) fn price_of(&self, id: TaskId, node: NodeId, wall: Millis) -> (UserId, Cpt) {
        let (Some(task), Some(node)) = (self.tasks.get(&id), self.nodes.get(&node)) else {
            panic!("T3: {id} is priced on {node}, and one of them is unknown")
        };
        let cap = task.element_cap();
        // The prices may have risen since the cap was fixed; the requester pays no more than that.
        let amount = self.policy.prices.price(&task.row.spec.resources, wall).map_or(cap, |price| price.min(cap));
        (node.row.owner, amount)
    }

    pub(crate) fn max_runtime(&self, id: TaskId) -> Millis {
        self.tasks.get(&id).map(|task| task.row.spec.max_runtime).unwrap_or_default()
    }
}

/// A report of an end that no node reported.
pub(crate) fn bare_report(outcome: Outcome) -> Report {
    Report { outcome, metering: Metering::default(), logs: Default::default(), image_id: String::new(), output: None }
}
