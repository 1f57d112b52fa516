//! Tasks: accepted with a hold, ended once.
//!
//! Start at [`Engine::submit`]; [`Engine::end_element`] is the only place where an element ends and
//! where its hold is settled or released.
//!
//! Invariant: a task whose elements have all ended is not in memory after the command that ended it.

use crate::Engine;
use crate::life::{Event, Standing, Step, step};
use crate::state::{Stage, Task};
use hivemind_ledger::Paid;
use hivemind_model::command::{EndedTask, GraphTask, Once};
use hivemind_model::rows::{Answer, ElementPhase, Ended, Report, TaskProgress, TaskRow};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{
    AttemptRef, Code, Cpt, Effect, ElementRef, Indices, Millis, NodeId, Rejection, Reply, TaskId, TaskSpec, TaskState,
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
    pub(crate) ended: Vec<EndedTask>,
}

/// As [`Offer`], of tasks that wait for one another.
pub(crate) struct Graph {
    pub(crate) tasks: Vec<GraphTask>,
    pub(crate) max_price: Option<Cpt>,
    pub(crate) ended: Vec<EndedTask>,
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
            let Offer { spec, max_price, ended } = offer;
            let graph = Graph { tasks: vec![GraphTask { spec, after: Vec::new() }], max_price, ended };
            let accepted = engine.submit_now(user, graph, now)?;
            let [(task, cap)] = accepted[..] else { panic!("T1: one task was submitted, {} accepted", accepted.len()) };
            Ok((Reply::Submitted { task, cap }, Answer::Submitted { task, cap }))
        })
    }

    /// Accepts tasks that wait for one another and takes their holds: all of them, or none.
    pub(crate) fn submit_graph(
        &mut self,
        user: UserId,
        graph: Graph,
        once: Option<Once>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        self.user(user)?;
        self.at_most_once(once, user, "request_id", |engine| {
            let tasks = engine.submit_now(user, graph, now)?;
            Ok((Reply::SubmittedGraph { tasks: tasks.clone() }, Answer::SubmittedGraph { tasks }))
        })
    }

    fn submit_now(&mut self, user: UserId, graph: Graph, now: Timestamp) -> Result<Vec<(TaskId, Cpt)>, Rejection> {
        let caps = self.check_graph(user, &graph)?;
        let mut accepted: Vec<(TaskId, Cpt)> = Vec::with_capacity(caps.len());
        for (task, cap) in graph.tasks.into_iter().zip(caps) {
            let id = self.accept(user, task.spec, cap, now);
            accepted.push((id, cap));
        }
        Ok(accepted)
    }

    /// Everything for which a submission is refused; gives the price caps.
    fn check_graph(&self, user: UserId, graph: &Graph) -> Result<Vec<Cpt>, Rejection> {
        let limits = &self.policy.limits;
        let (most, most_elements) = (limits.max_open_tasks_per_user, limits.max_open_elements_per_user);
        let known = self.user(user)?;
        let new = u32::try_from(graph.tasks.len()).unwrap_or(u32::MAX);
        if known.open_tasks.saturating_add(new) > most {
            return Err(Rejection::new(
                Code::Busy,
                format!(
                    "you would have more than {most} open tasks, the most that this pool keeps for one user; wait for some to end"
                ),
            ));
        }
        let mut caps = Vec::with_capacity(graph.tasks.len());
        let (mut total, mut elements) = (Cpt::ZERO, known.open_elements);
        for task in &graph.tasks {
            task.spec.check(&self.policy)?;
            let cap = self.policy.cap(&task.spec)?;
            elements = elements.saturating_add(task.spec.elements().into());
            total = total.checked_add(cap).ok_or_else(|| {
                Rejection::new(Code::TooLarge, "all together could cost more money than there is; submit it in parts")
            })?;
            caps.push(cap);
        }
        if elements > most_elements {
            return Err(Rejection::new(
                Code::Busy,
                format!(
                    "you would have more than {most_elements} elements in open tasks, the most that this pool keeps for one user; wait for some to end"
                ),
            ));
        }
        if let Some(bound) = graph.max_price.filter(|most| total > *most) {
            return Err(Rejection::field(
                Code::MaxPrice,
                "max_price_micro",
                format!(
                    "it can cost {total}, more than your bound of {bound}; raise it, or lower max_runtime, the resources or the number of elements"
                ),
            ));
        }
        let available = self.ledger.spendable(user);
        if total > available {
            return Err(Rejection::new(
                Code::InsufficientCpt,
                format!(
                    "needs {total} (the price cap), {available} is available; lower max_runtime or the resources, or wait for open tasks to end"
                ),
            ));
        }
        Ok(caps)
    }

    /// Takes in a task that was checked.
    fn accept(&mut self, user: UserId, spec: Arc<TaskSpec>, cap: Cpt, now: Timestamp) -> TaskId {
        let id = TaskId(self.counters.task);
        let expires_at = now.after(self.policy.economy.hold_lifetime).after(spec.max_runtime);
        self.ledger
            .open_hold(id, user, cap, expires_at, now)
            .unwrap_or_else(|refusal| panic!("L3: a hold for the new {id} is refused: {refusal}"));
        self.counters.task += 1;
        self.pending.counters_moved = true;
        let progress = TaskProgress {
            id,
            state: TaskState::Pending,
            ended_at: None,
            cost: Cpt::ZERO,
            ended: Ended::default(),
            failure: None,
        };
        let task = Task::new(TaskRow { user, spec, submitted_at: now, cap, progress });
        let turn = self.turn(user);
        for (first, last) in task.ranges() {
            let first = task.rank(ElementRef { task: id, index: *first });
            self.queue.push_run(turn, first, *last, &task.need);
        }
        self.stirred = true;
        if let Some(user) = self.users.get_mut(&user) {
            user.open_tasks += 1;
            user.open_elements += u64::from(task.elements.len());
        }
        self.tasks.insert(id, task);
        self.expiries.insert((expires_at, id));
        self.touch_task(id);
        id
    }

    /// Ends a task, or some of its elements, on its requester's word. What has ended stays as it is.
    pub(crate) fn cancel(
        &mut self,
        user: UserId,
        id: TaskId,
        elements: Option<&Indices>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let Some(task) = self.tasks.get(&id) else {
            return if self.recent.user(id) == Some(user) { Ok(Reply::Done) } else { Err(Rejection::not_found(id)) };
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
        for index in wanted.iter() {
            let at = ElementRef { task: id, index };
            let open = self.tasks.get(&id).and_then(|task| task.element(index)).map(|element| &element.phase);
            match open {
                Some(ElementPhase::Waiting { .. } | ElementPhase::Live) => {
                    self.stop_element(at, &Outcome::Cancelled, now);
                }
                Some(ElementPhase::Ended { .. }) | None => {}
            }
        }
        self.restate(id, now);
        Ok(Reply::Done)
    }

    /// Ends every element of a task that has not ended, in the same way.
    pub(crate) fn stop_task(&mut self, id: TaskId, outcome: &Outcome, now: Timestamp) {
        for attempt in self.attempts_of(id) {
            self.stop_element(attempt.element, outcome, now);
        }
        self.end_waiting(id, outcome, now);
        self.restate(id, now);
    }

    /// Every live attempt of a task.
    fn attempts_of(&self, task: TaskId) -> Vec<AttemptRef> {
        let first = ElementRef { task, index: 0 }.attempt(0);
        let last = ElementRef { task, index: u32::MAX }.attempt(u32::MAX);
        self.live.range(first..=last).map(|(attempt, _)| *attempt).collect()
    }

    /// Ends every element of a task that waits. The caller calls [`Engine::restate`] afterwards.
    fn end_waiting(&mut self, id: TaskId, outcome: &Outcome, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.waiting > 0) else { return };
        let (first, last) = (ElementRef { task: id, index: 0 }, ElementRef { task: id, index: u32::MAX });
        self.queue.remove_task(task.row.user, task.rank(first)..=task.rank(last), &task.need);
        let due: Vec<(Timestamp, ElementRef)> = task
            .elements()
            .filter_map(|(at, element)| match element.phase {
                ElementPhase::Waiting { not_before } if not_before > Timestamp(0) => Some((not_before, at)),
                ElementPhase::Waiting { .. } | ElementPhase::Live | ElementPhase::Ended { .. } => None,
            })
            .collect();
        for key in due {
            self.delayed.remove(&key);
        }
        let ended = task.elements.end_waiting(outcome);
        assert!(ended == task.waiting, "T2: {ended} elements of {id} waited, {} are counted", task.waiting);
        task.waiting = 0;
        self.forget_ended(id, now);
        self.note_ended(id, outcome, ended, Payment::Nothing, now);
    }

    /// Ends one element that has not ended; a command that ran is paid up to now.
    fn stop_element(&mut self, at: ElementRef, outcome: &Outcome, now: Timestamp) {
        let found = self.attempt_of(at).and_then(|attempt| Some((attempt, self.live.get(&attempt)?)));
        let Some((attempt, live)) = found else {
            assert!(
                step(Standing::Waiting, Event::Stopped) == Step::StopUnpaid,
                "T2: {at} waits and cannot be stopped"
            );
            self.unqueue(at);
            self.end_element(at, outcome.clone(), Payment::Nothing, now);
            return;
        };
        let (node, stage) = (live.node, live.stage);
        let mut payment = Payment::Nothing;
        let mut metering = Metering::default();
        match (step(live.standing(), Event::Stopped), stage) {
            (Step::StopPaid, Stage::Running { started_at }) => {
                metering.wall = now.since(started_at).min(self.max_runtime(at.task));
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
    }

    /// Counts `count` elements of a task that ended alike, and settles; with the last the hold ends.
    fn note_ended(&mut self, id: TaskId, outcome: &Outcome, count: u32, payment: Payment, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id) else { panic!("T2: elements of {id} end after it") };
        let before = task.percent();
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
    fn settle(&mut self, id: TaskId, payment: Payment, last: Option<&Outcome>, now: Timestamp) {
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
        self.pending.ended_tasks.extend(self.tasks.remove(&id));
        self.recent.push(id, user);
        if let Some(user) = self.users.get_mut(&user) {
            user.open_tasks -= 1;
            user.open_elements -= elements;
        }
    }

    /// Takes a waiting element out of the queue, or out of those that wait for their next try.
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
