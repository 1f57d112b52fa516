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
    Code, Cpt, Effect, ElementRef, Millis, NodeId, Rejection, Reply, TaskId, TaskSpec, TaskState, Timestamp, UserId,
};
use std::sync::Arc;

/// What an ended element costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payment {
    /// Nothing.
    Nothing,
    /// To the owner of the node, for one attempt.
    Price { attempt: u32, payee: UserId, amount: Cpt },
}

impl Engine {
    /// Accepts a task and takes its hold.
    pub(crate) fn submit(
        &mut self,
        user: UserId,
        spec: Arc<TaskSpec>,
        once: Option<Once>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        self.user(user)?;
        self.at_most_once(once, user, "request_id", |engine| {
            let (task, cap) = engine.submit_now(user, spec, now)?;
            Ok((Reply::Submitted { task, cap }, Answer::Submitted { task, cap }))
        })
    }

    fn submit_now(&mut self, user: UserId, spec: Arc<TaskSpec>, now: Timestamp) -> Result<(TaskId, Cpt), Rejection> {
        spec.check(&self.policy)?;
        let most = self.policy.limits.max_open_tasks_per_user;
        if self.user(user)?.open_tasks >= most {
            return Err(Rejection::new(
                Code::Busy,
                format!("you have {most} open tasks, the most that this pool keeps for one user; wait for some to end"),
            ));
        }
        let Some(cap) = self.policy.prices.price(&spec.resources, spec.max_runtime) else {
            return Err(Rejection::field(
                Code::TooLarge,
                "max_runtime",
                "the price of these resources for so long is more money than there is; ask for less",
            ));
        };
        let id = TaskId(self.counters.task);
        self.ledger.open_hold(id, user, cap, now).map_err(|refusal| match refusal {
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
        self.queue.push(task.rank(element), task.row.spec.resources, Vec::new());
        self.stirred = true;
        self.tasks.insert(id, task);
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
            match step(standing, Event::Cancelled) {
                Step::StopPaid | Step::StopUnpaid => self.stop_element(element, now),
                Step::Nothing => {}
                other => unreachable!("T2: cancelling {element} at {standing:?} gives {other:?}"),
            }
        }
        self.restate(id, now);
        Ok(Reply::Done)
    }

    /// Ends one element on its requester's word; a command that ran is paid up to now.
    fn stop_element(&mut self, element: ElementRef, now: Timestamp) {
        let mut payment = Payment::Nothing;
        if let Some(live) = self.live.get(&element) {
            let (node, attempt) = (live.node, element.attempt(live.number));
            let mut metering = Metering::default();
            if let Stage::Running { started_at } = live.stage {
                metering.wall = now.since(started_at).min(self.max_runtime(element.task));
                payment = self.price(element.task, node, attempt.number, metering.wall);
            }
            self.tell_stop(node, attempt);
            self.end_attempt(element, Report { metering, ..bare_report(Outcome::Cancelled) }, payment, now);
        } else {
            self.unqueue(element);
        }
        self.end_element(element, Outcome::Cancelled, payment, now);
    }

    /// Ends an element, and settles its part of the hold; with the last element the hold ends.
    /// The caller calls [`Engine::restate`] afterwards.
    pub(crate) fn end_element(&mut self, at: ElementRef, outcome: Outcome, payment: Payment, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&at.task) else { panic!("T2: {at} ends after its task") };
        let Some(element) = task.element_mut(at.index) else {
            panic!("T2: {at} ends, but its task has no such element")
        };
        assert!(!matches!(element.phase, ElementPhase::Ended { .. }), "T2: {at} ends twice");
        element.phase = ElementPhase::Ended { outcome };
        task.ended += 1;
        let last = task.ended == task.row.progress.elements.len();
        let done = match payment {
            Payment::Nothing if last => self.ledger.release(at.task, now).map(drop),
            Payment::Nothing => Ok(()),
            Payment::Price { attempt, payee, amount } => {
                task.row.progress.cost = task
                    .row
                    .progress
                    .cost
                    .checked_add(amount)
                    .unwrap_or_else(|| panic!("L4: the cost of {} overflows", at.task));
                assert!(task.row.progress.cost <= task.row.cap, "L4: {} costs more than its hold", at.task);
                let paid = Paid { task: at.task, index: at.index, attempt, payee };
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
        let (rank, need) = (task.rank(at), task.row.spec.resources);
        let found = self.delayed.remove(&(not_before, at)).or_else(|| self.queue.remove(rank, need));
        assert!(found.is_some(), "T7: {at} waits, but is in no queue");
    }

    /// What `wall` of an attempt on `node` costs, within the element's part of the hold.
    pub(crate) fn price(&self, id: TaskId, node: NodeId, attempt: u32, wall: Millis) -> Payment {
        let (Some(task), Some(node)) = (self.tasks.get(&id), self.nodes.get(&node)) else {
            panic!("T3: {id} is priced on {node}, and one of them is unknown")
        };
        let cap = task.element_cap();
        // The prices may have risen since the cap was fixed; the requester pays no more than that.
        let amount = self.policy.prices.price(&task.row.spec.resources, wall).map_or(cap, |price| price.min(cap));
        Payment::Price { attempt, payee: node.row.owner, amount }
    }

    pub(crate) fn max_runtime(&self, id: TaskId) -> Millis {
        self.tasks.get(&id).map(|task| task.row.spec.max_runtime).unwrap_or_default()
    }
}

/// A report of an end that no node reported.
pub(crate) fn bare_report(outcome: Outcome) -> Report {
    Report { outcome, metering: Metering::default(), logs: Default::default(), image_id: String::new(), output: None }
}
