//! Every invariant, from scratch.
//!
//! Start at [`Engine::check`]. It believes no counter and no index: each is computed again from
//! the rows. L6 and L7 and T1 are about what is stored and sent; the simulator checks those.
//!
//! Invariant: nothing here changes anything.

use crate::after::{Way, has_failed, is_open};
use crate::copies::Copies;
use crate::spans;
use crate::state::{Blockers, Link, Node, Stage, Task};
use crate::{Engine, Violation};
use hivemind_ledger::Broken;
use hivemind_model::after::When;
use hivemind_model::rows::{Element, ElementPhase, Ended};
use hivemind_model::service::Service;
use hivemind_model::{AttemptRef, Cpt, ElementRef, NodeId, Outcome, Resources, TaskId, TaskState, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

impl From<Broken> for Violation {
    fn from(broken: Broken) -> Self {
        Self { invariant: broken.invariant, detail: broken.detail }
    }
}

/// Refuses unless `holds`.
pub(crate) fn ensure(holds: bool, invariant: &'static str, detail: impl fmt::Display) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation(invariant, detail)) }
}

pub(crate) fn violation(invariant: &'static str, detail: impl fmt::Display) -> Violation {
    Violation { invariant, detail: detail.to_string() }
}

/// When the node's drain is at its deadline.
fn drain_of(node: &Node) -> Option<(Timestamp, NodeId)> {
    match node.row.service {
        Service::Draining { until } => Some((until, node.row.id)),
        Service::InService | Service::Cordoned | Service::Banned { .. } => None,
    }
}

impl Engine {
    /// Checks every invariant from scratch; for tests, the simulator and the start.
    ///
    /// # Errors
    /// The first one that is broken.
    pub fn check(&self) -> Result<(), Violation> {
        self.ledger.check()?;
        self.check_holds()?;
        for task in self.tasks.values() {
            self.check_task(task)?;
        }
        for node in self.nodes.values() {
            self.check_node(node)?;
        }
        self.check_indexes()?;
        self.check_sessions()?;
        self.check_waits()?;
        self.check_backlogs()?;
        self.check_losses()?;
        self.check_queue()
    }

    /// T5, T7: what is queued on nodes is there, waits for room only, and is counted for its requester.
    fn check_backlogs(&self) -> Result<(), Violation> {
        let mut holding: BTreeMap<UserId, u32> = BTreeMap::new();
        let mut queued: BTreeSet<(NodeId, u64, AttemptRef)> = BTreeSet::new();
        for (attempt, live) in &self.live {
            let user = self.tasks.get(&attempt.element.task).map(|task| task.row.user);
            user.into_iter().for_each(|user| *holding.entry(user).or_default() += 1);
            queued.extend((live.stage == Stage::Queued).then_some((live.node, live.order, *attempt)));
        }
        ensure(holding == *self.backlogs.holding(), "T8", "what requesters hold is not what is live")?;
        let (hungry, filled) = self.backlogs.indexes();
        let (mut counted, mut with_room, mut with_some) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (id, node) in &self.nodes {
            counted.extend(node.backlog.iter().map(|(order, attempt)| (*id, *order, *attempt)));
            let room = node.waits(&self.policy.backlog) > 0;
            with_room.extend(room.then_some((node.backlog.len(), *id)));
            with_some.extend((!node.backlog.is_empty()).then_some(*id));
            let idle = self.first_that_fits(*id);
            ensure(idle.is_none(), "T7", format_args!("{idle:?} is queued on {id}, but would fit"))?;
        }
        ensure(counted == queued, "T3", "what is queued on nodes is not what is live and queued")?;
        ensure(
            (hungry, filled) == (&with_room, &with_some),
            "T7",
            "the nodes with room in their backlog, or with something in it, are not those that are listed",
        )
    }

    /// T3, T7: what is unknown, held back, remembered or resting ends some day and belongs to something.
    fn check_losses(&self) -> Result<(), Violation> {
        let unknown: BTreeSet<(Timestamp, AttemptRef)> =
            self.live.iter().filter_map(|(at, live)| Some((live.unknown?.until, *at))).collect();
        ensure(unknown == self.unknown, "T7", "the times of unknown attempts are not those of the live ones")?;
        let rests: BTreeSet<(Timestamp, NodeId)> =
            self.nodes.iter().filter_map(|(id, node)| Some((node.strain.resting_until?, *id))).collect();
        ensure(rests == self.rests, "T7", "the ends of rests are not those of the nodes")?;
        for (id, node) in &self.nodes {
            let offline = node.link == Link::Offline;
            ensure(offline || self.losses.is_expected(*id), "T7", format_args!("{id} is there, but not expected"))?;
            let held = self.losses.held_until(*id).is_some();
            ensure(offline || !held, "T7", format_args!("{id} is linked, but its loss is held back"))?;
        }
        ensure(self.ghosts.agree(), "T3", "the indexes of ghosts do not agree")?;
        for (attempt, node) in self.ghosts.iter() {
            let element = self.tasks.get(&attempt.element.task).and_then(|task| task.element(attempt.element.index));
            let open = element.is_some_and(|element| {
                attempt.number <= element.attempts && !matches!(element.phase, ElementPhase::Ended { .. })
            });
            let known = self.nodes.contains_key(&node) && !self.live.contains_key(&attempt);
            ensure(open && known, "T3", format_args!("{attempt} is the ghost of nothing"))?;
        }
        for at in self.suspects.elements() {
            let phase = self.tasks.get(&at.task).and_then(|task| task.element(at.index)).map(|element| &element.phase);
            let open = matches!(phase, Some(ElementPhase::Waiting { .. } | ElementPhase::Live));
            ensure(open, "T2", format_args!("{at} has ended, but is still watched"))?;
        }
        Ok(())
    }

    /// L3: every open task has one hold, and every hold an open task. L4: paid and held are within the cap.
    fn check_holds(&self) -> Result<(), Violation> {
        for hold in self.ledger.holds() {
            ensure(
                self.tasks.contains_key(&hold.task),
                "L3",
                format_args!("{} has a hold, but is not open", hold.task),
            )?;
        }
        let mut earned: BTreeMap<TaskId, Cpt> = BTreeMap::new();
        for accrual in self.ledger.accruals() {
            let at = accrual.attempt.element;
            let here = self.panels.get(&at).is_some_and(|copies| copies.reported.contains_key(&accrual.attempt));
            let runs = here || self.live.contains_key(&accrual.attempt);
            ensure(runs, "L4", format_args!("{} has earned, but is over", accrual.attempt))?;
            let sum = earned.entry(at.task).or_default();
            *sum = Cpt::from_micro(sum.micro() + accrual.amount.total().micro());
        }
        for (id, task) in &self.tasks {
            let Some(hold) = self.ledger.hold(*id) else {
                return ensure(false, "L3", format_args!("{id} is open, but has no hold"));
            };
            ensure(hold.user == task.row.user, "L3", format_args!("the hold of {id} is of {}", hold.user))?;
            let accrued = earned.get(id).copied().unwrap_or_default();
            let parts = [task.row.progress.cost, hold.left.total(), accrued];
            let together: i128 = parts.iter().map(|part| i128::from(part.micro())).sum();
            ensure(
                together == i128::from(task.row.cap.micro()),
                "L4",
                format_args!("{id}: paid, held and pending are {parts:?}, not the cap of {}", task.row.cap),
            )?;
            ensure(
                self.expiries.contains(&(hold.expires_at, *id)),
                "T7",
                format_args!("the hold of {id} would never expire"),
            )?;
        }
        ensure(self.expiries.len() == self.tasks.len(), "T7", "a hold expires that is not there")?;
        Ok(())
    }

    fn check_task(&self, task: &Task) -> Result<(), Violation> {
        let progress = &task.row.progress;
        let id = progress.id;
        ensure(task.elements.len() == task.row.spec.elements(), "T2", format_args!("{id} has not all elements"))?;
        ensure(task.need == task.row.spec.need(), "T7", format_args!("{id} asks for something else than its spec"))?;
        ensure(
            !progress.state.is_terminal() && progress.ended_at.is_none(),
            "T2",
            format_args!("{id} has ended, but is open"),
        )?;
        let (mut running, mut waiting, mut ended) = (0, 0, Ended::default());
        for (at, element) in task.elements() {
            let live = self.attempt_of(at).and_then(|attempt| Some((attempt, self.live.get(&attempt)?)));
            if let (ElementPhase::Live, Some(copies)) = (&element.phase, self.panels.get(&at)) {
                running += self.check_copies(at, element, copies)?;
                continue;
            }
            match (&element.phase, live) {
                (ElementPhase::Live, Some((attempt, live))) => {
                    ensure(
                        attempt.number <= element.attempts,
                        "T4",
                        format_args!("{at} made {} attempts, but {attempt} is live", element.attempts),
                    )?;
                    running += u32::from(matches!(live.stage, Stage::Running { .. }));
                }
                (ElementPhase::Live, None) => {
                    return ensure(false, "T3", format_args!("{at} is live without an attempt"));
                }
                (ElementPhase::Waiting { .. } | ElementPhase::Ended { .. }, Some(_)) => {
                    return ensure(false, "T3", format_args!("{at} is not live, but has an attempt"));
                }
                (ElementPhase::Ended { outcome }, None) => match outcome {
                    outcome if outcome.is_success() => ended.completed += 1,
                    Outcome::Cancelled => ended.cancelled += 1,
                    _ => ended.failed += 1,
                },
                (ElementPhase::Waiting { .. }, None) => waiting += 1,
            }
            let failed = element.faults.saturating_add(element.failures);
            ensure(failed <= element.attempts, "T4", format_args!("{at} failed more often than it was tried"))?;
            let retries = task.row.spec.retries;
            ensure(
                element.failures <= retries,
                "L4",
                format_args!("{at} was tried again more often than {retries} times"),
            )?;
        }
        ensure(
            (running, waiting, ended) == (task.running, task.waiting, progress.ended),
            "T2",
            format_args!(
                "{id} counts {} running, {} waiting and {:?}, but has {running}, {waiting} and {ended:?}",
                task.running, task.waiting, progress.ended
            ),
        )?;
        ensure(
            progress.state == task.derived_state(),
            "T2",
            format_args!("{id} is {}, but its elements say {}", progress.state, task.derived_state()),
        )
    }

    /// The copies of a live element: what runs, and what is here, sits in its panel. Gives how many run.
    fn check_copies(&self, at: ElementRef, element: &Element, copies: &Copies) -> Result<u32, Violation> {
        let mut running = 0;
        for (attempt, live) in self.live.range(at.attempt(0)..=at.attempt(u32::MAX)) {
            let seated = copies.panel.seats().iter().any(|seat| seat.attempt == *attempt && seat.node == live.node);
            ensure(seated, "T3", format_args!("{attempt} runs, but has no place in its panel"))?;
            ensure(attempt.number <= element.attempts, "T4", format_args!("{attempt} was never counted"))?;
            running += u32::from(matches!(live.stage, Stage::Running { .. }));
        }
        let seats = copies.panel.seats().iter().map(|seat| seat.attempt);
        let votes = copies.panel.votes().iter().map(|vote| vote.attempt);
        for attempt in seats.chain(votes) {
            let known = self.live.contains_key(&attempt) != copies.reported.contains_key(&attempt);
            ensure(known, "T3", format_args!("{attempt} has a place in its panel, but neither runs nor is here"))?;
        }
        Ok(running)
    }

    fn check_node(&self, node: &Node) -> Result<(), Violation> {
        let id = node.row.id;
        let mut reserved = Some(Resources::default());
        for at in &node.live {
            let on_it = self.live.get(at).is_some_and(|live| live.node == id);
            ensure(on_it, "T3", format_args!("{id} counts {at} as its own, which is not live there"))?;
            if self.live.get(at).is_some_and(|live| live.stage == Stage::Queued) {
                continue;
            }
            let need = self.tasks.get(&at.element.task).map(|task| task.row.spec.resources).unwrap_or_default();
            reserved = reserved.and_then(|sum| sum.checked_add(&need));
        }
        ensure(
            reserved == Some(node.reserved),
            "T5",
            format_args!("{id} has {} reserved, but its attempts take {reserved:?}", node.reserved),
        )?;
        ensure(
            node.ceiling.covers(&node.reserved),
            "T5",
            format_args!("{id} has {} reserved of {}", node.reserved, node.ceiling),
        )?;
        let wanted = node.takes_work().then(|| node.view());
        ensure(
            self.fleet.get(id) == wanted.as_ref(),
            "T7",
            format_args!("{id} is {wanted:?} to placement, which has {:?}", self.fleet.get(id)),
        )
    }

    fn check_indexes(&self) -> Result<(), Violation> {
        let mut open: BTreeMap<UserId, (u32, u64)> = BTreeMap::new();
        let mut owned: BTreeMap<UserId, u32> = BTreeMap::new();
        for task in self.tasks.values() {
            let (tasks, elements) = open.entry(task.row.user).or_default();
            (*tasks, *elements) = (*tasks + 1, *elements + u64::from(task.elements.len()));
        }
        self.nodes.values().for_each(|node| *owned.entry(node.row.owner).or_default() += 1);
        for (id, user) in &self.users {
            let counted = (open.remove(id).unwrap_or_default(), owned.remove(id).unwrap_or_default());
            ensure(
                counted == ((user.open_tasks, user.open_elements), user.nodes),
                "T2",
                format_args!("{id} has ((tasks, elements), nodes) {counted:?}, but counts {user:?}"),
            )?;
            ensure(
                self.usernames.get(&user.username.to_ascii_lowercase()) == Some(id),
                "T2",
                format_args!("{id} is not found by its name"),
            )?;
        }
        ensure(open.is_empty() && owned.is_empty(), "T2", "a task or a node belongs to nobody")?;
        let running = self.tasks.values().filter(|task| task.row.progress.state == TaskState::Running).count();
        ensure(
            running == self.running_tasks,
            "T2",
            format_args!("{running} tasks run, but {} are counted", self.running_tasks),
        )?;
        let on_nodes: usize = self.nodes.values().map(|node| node.live.len()).sum();
        ensure(
            on_nodes == self.live.len(),
            "T3",
            format_args!("{} attempts are live, {on_nodes} on nodes", self.live.len()),
        )?;
        let deadlines: BTreeSet<(Timestamp, AttemptRef)> =
            self.live.iter().filter_map(|(at, live)| Some((live.deadline?, *at))).collect();
        ensure(deadlines == self.deadlines, "T7", "the deadlines are not those of the live attempts")?;
        let drains: BTreeSet<(Timestamp, NodeId)> = self.nodes.values().filter_map(drain_of).collect();
        ensure(drains == self.drains, "T7", "the deadlines of drains are not those of the nodes")?;
        let meters: BTreeSet<(Timestamp, AttemptRef)> =
            self.live.iter().filter_map(|(at, live)| Some((live.meter?, *at))).collect();
        ensure(meters == self.meters, "L4", "the meters are not those of the running attempts")?;
        for node in self.nodes.values() {
            let (linked, counted) = (node.linked_session().is_some(), node.standing.alive_since.is_some());
            ensure(linked == counted, "L5", format_args!("{} is alive: {linked}, counted: {counted}", node.row.id))?;
        }
        let next = (
            self.users.last_key_value().map(|(id, _)| id.0),
            self.nodes.last_key_value().map(|(id, _)| id.0),
            self.tasks.last_key_value().map(|(id, _)| id.0),
        );
        let fresh =
            next.0 < Some(self.counters.user) && next.1 < Some(self.counters.node) && next.2 < Some(self.counters.task);
        ensure(fresh, "T4", "an id that was given would be given again")
    }

    /// T7: every waiting element is where it will be found, with the need it has.
    fn check_queue(&self) -> Result<(), Violation> {
        let waiting: usize = self.tasks.values().map(|task| task.waiting as usize).sum();
        let copies = self.panels.values().filter(|copies| copies.wanted > 0).count();
        let waiting = waiting + copies;
        for (at, need) in self.queue.elements() {
            let task = self.tasks.get(&at.task).filter(|task| task.need == *need);
            let phase = task.and_then(|task| task.element(at.index)).map(|element| &element.phase);
            let copy = self.panels.get(&at).is_some_and(|copies| copies.wanted > 0);
            ensure(
                matches!(phase, Some(ElementPhase::Waiting { .. })) || copy,
                "T3",
                format_args!("{at} is queued, but does not wait"),
            )?;
        }
        for (due, at) in self.delayed.keys() {
            let phase = self.tasks.get(&at.task).and_then(|task| task.element(at.index)).map(|element| &element.phase);
            ensure(
                phase == Some(&ElementPhase::Waiting { not_before: *due }),
                "T3",
                format_args!("{at} is to be retried, but does not wait for that"),
            )?;
        }
        let open = self.queue.with_inputs().all(|task| self.tasks.contains_key(&task));
        ensure(open, "T7", "it is remembered what a task reads that has ended")?;
        let queued = self.queue.len() + self.delayed.len();
        let mut blocked = 0;
        for task in self.tasks.values().filter(|task| !task.is_free()) {
            let waiting =
                task.spans_where(task.ranges(), |element| matches!(element.phase, ElementPhase::Waiting { .. }));
            let held = spans::subtract(&waiting, &self.unblocked(task, waiting.clone()));
            for (first, last, element) in task.runs(&held) {
                let id = task.row.progress.id;
                ensure(*element == Element::FRESH, "T7", format_args!("{first} of {id} is blocked, but was tried"))?;
                for index in first..=last {
                    let queued = self.queue.has(task.row.user, task.rank(ElementRef { task: id, index }), &task.need);
                    ensure(!queued, "T7", format_args!("{index} of {id} is blocked, but queued"))?;
                }
            }
            blocked += usize::try_from(spans::count(&held)).unwrap_or(usize::MAX);
        }
        ensure(
            queued + blocked == waiting,
            "T7",
            format_args!("{waiting} elements wait, {queued} are queued and {blocked} blocked"),
        )
    }

    /// T7: what blocks a task is open and finds it again, and what is to be given up is given up in time.
    fn check_waits(&self) -> Result<(), Violation> {
        ensure(self.fallout.is_empty(), "T7", "what follows from a command was not done with it")?;
        let (mut dependants, mut patience) = (BTreeMap::new(), BTreeSet::new());
        for (id, task) in &self.tasks {
            let open = task.row.spec.after.tasks.iter().filter(|after| self.tasks.contains_key(&after.task));
            let mut blockers = Blockers::default();
            for after in open {
                dependants.insert((after.task, Way::of(after), *id), after.when);
                *blockers.of(Way::of(after)) += 1;
                let Some(other) = self.tasks.get(&after.task).filter(|_| after.each && after.when == When::Success)
                else {
                    continue;
                };
                let unmet = task.spans_where(&other.spans_where(task.ranges(), has_failed), is_open);
                ensure(unmet.is_empty(), "T7", format_args!("{id} waits for failed elements of {}", after.task))?;
            }
            ensure(
                blockers == task.blockers,
                "T7",
                format_args!("{id} waits for {blockers:?}, but counts {:?}", task.blockers),
            )?;
            patience.extend(task.bounds());
            let untried = task.is_free() && task.runs(task.ranges()).any(|(_, _, element)| *element == Element::FRESH);
            ensure(
                !untried || task.row.spec.patience.queue.is_some() == task.queue_until.is_some(),
                "T7",
                format_args!("{id} is in the queue, but nobody counts for how long"),
            )?;
            let most = task.max_fails().unwrap_or(u32::MAX);
            ensure(
                task.row.progress.ended.failed <= most,
                "T7",
                format_args!("more than {most} elements of {id} failed, but it is open"),
            )?;
        }
        ensure(dependants == self.dependants, "T7", "what waits for a task is not what its end is told to")?;
        ensure(patience == self.patience, "T7", "the ends of patience are not those of the open tasks")
    }
}
