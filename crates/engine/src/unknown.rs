//! Attempts of which nothing is known because their node is lost.
//!
//! A task may say that it waits for its attempts for longer than the pool waits for nodes. Then such an attempt is first
//! *unknown*: it stays where it is and earns nothing, and goes on if its node comes back with it. When its time is over the
//! element is tried elsewhere, but the attempt is remembered as a *ghost*: it is not live, its row is not ended, and if its
//! node still comes back with it, the better copy is kept. Start at [`Engine::set_unknown`], [`Engine::bury`] and
//! [`Engine::meet_ghosts`].
//!
//! An element has one ghost at most. It ends with its element, with the loss of the replacement, or when its time
//! ([`Policy::remember_lost`](hivemind_model::Policy::remember_lost)) is over. After a start the time begins again: a row that
//! has not ended, of an element that waits or has a newer live attempt, is a ghost. An attempt that was unknown is live and
//! becomes unknown again if its node is declared lost.
//!
//! Invariant: a ghost reserves nothing, earns nothing and has no result accepted unless it is live again (T3).

use crate::Engine;
use crate::attempts::{Blame, Failure, Pause};
use crate::meter::MAX_PER_TICK;
use crate::state::{Live, Stage, Unknown};
use crate::tasks::{Payment, bare_report};
use hivemind_model::rows::{AttemptPhase, AttemptRow, ElementPhase};
use hivemind_model::state::Outcome;
use hivemind_model::{AttemptRef, Cpt, ElementRef, NodeId, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Why a ghost's attempt ended.
const WAS_LOST: &str = "the node was lost";

/// An attempt that was given up with its node and may come back with it.
#[derive(Debug)]
struct Ghost {
    number: u32,
    live: Live,
    /// When it was given up.
    since: Timestamp,
    /// When it is forgotten.
    until: Timestamp,
}

/// Every ghost.
#[derive(Debug, Default)]
pub(crate) struct Ghosts {
    of: BTreeMap<ElementRef, Ghost>,
    on: BTreeSet<(NodeId, ElementRef)>,
    times: BTreeSet<(Timestamp, ElementRef)>,
}

impl Ghosts {
    fn insert(&mut self, at: ElementRef, ghost: Ghost) {
        self.on.insert((ghost.live.node, at));
        self.times.insert((ghost.until, at));
        let twice = self.of.insert(at, ghost).is_some();
        assert!(!twice, "T3: {at} has two ghosts");
    }

    fn remove(&mut self, at: ElementRef) -> Option<Ghost> {
        let ghost = self.of.remove(&at)?;
        self.on.remove(&(ghost.live.node, at));
        self.times.remove(&(ghost.until, at));
        Some(ghost)
    }

    pub(crate) fn has(&self, at: ElementRef) -> bool {
        self.of.contains_key(&at)
    }

    /// The attempt, where it is a ghost.
    pub(crate) fn live_mut(&mut self, attempt: AttemptRef) -> Option<&mut Live> {
        self.of.get_mut(&attempt.element).filter(|ghost| ghost.number == attempt.number).map(|ghost| &mut ghost.live)
    }

    fn on(&self, node: NodeId) -> Vec<ElementRef> {
        let (first, last) =
            (ElementRef { task: TaskId(0), index: 0 }, ElementRef { task: TaskId(u64::MAX), index: u32::MAX });
        self.on.range((node, first)..=(node, last)).map(|(_, at)| *at).collect()
    }

    fn of_task(&self, task: TaskId) -> Vec<ElementRef> {
        let (first, last) = (ElementRef { task, index: 0 }, ElementRef { task, index: u32::MAX });
        self.of.range(first..=last).map(|(at, _)| *at).collect()
    }

    /// Every ghost with its node.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (AttemptRef, NodeId)> {
        self.of.iter().map(|(at, ghost)| (at.attempt(ghost.number), ghost.live.node))
    }

    /// True where its indexes agree.
    pub(crate) fn agree(&self) -> bool {
        let on = self.of.iter().map(|(at, ghost)| (ghost.live.node, *at)).collect::<BTreeSet<_>>();
        let times = self.of.iter().map(|(at, ghost)| (ghost.until, *at)).collect::<BTreeSet<_>>();
        (on, times) == (self.on.clone(), self.times.clone())
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.times.first().map(|(until, _)| *until)
    }
}

/// True where an attempt that came back is to go on in the place of its replacement: it runs, and the replacement does
/// not yet, or has run for less than half as long, or is itself unknown.
fn is_better(old: &Live, new: &Live, now: Timestamp) -> bool {
    let ran = |live: &Live| match live.stage {
        Stage::Running { started_at } => Some(now.since(started_at).0),
        Stage::Queued | Stage::Assigned => None,
    };
    match (ran(old), ran(new)) {
        _ if new.unknown.is_some() => true,
        (None, _) => false,
        (Some(_), None) => true,
        (Some(old), Some(new)) => new.saturating_mul(2) < old,
    }
}

impl Engine {
    /// Lets an attempt of a lost node be, for as long as its task waits.
    pub(crate) fn set_unknown(&mut self, attempt: AttemptRef, unknown: Unknown) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        live.unknown = Some(unknown);
        if let Some(next) = live.meter.take() {
            self.meters.remove(&(next, attempt));
        }
        self.unknown.insert((unknown.until, attempt));
    }

    /// The node of a live attempt is back with it.
    pub(crate) fn set_known(&mut self, attempt: AttemptRef) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        let Some(unknown) = live.unknown.take() else { return };
        self.unknown.remove(&(unknown.until, attempt));
        if let Stage::Running { started_at } = live.stage {
            self.meter_from(attempt, started_at);
        }
    }

    /// Tries elements elsewhere whose tasks have waited long enough for a lost node.
    pub(crate) fn end_unknown(&mut self, now: Timestamp) {
        for _ in 0..MAX_PER_TICK {
            let Some(&(_, attempt)) = self.unknown.first().filter(|(until, _)| *until <= now) else { return };
            let blame = self.live.get(&attempt).and_then(|live| live.unknown).map_or(Blame::Node, |it| it.blame);
            self.bury(attempt, blame, now);
        }
    }

    /// Tries the element of an attempt on a lost node elsewhere; the attempt becomes its ghost.
    pub(crate) fn bury(&mut self, attempt: AttemptRef, blame: Blame, now: Timestamp) {
        let at = attempt.element;
        self.end_ghost(at, now);
        let mut live = self.take_off(attempt, now);
        (live.unknown, live.meter) = (None, None);
        self.ledger.return_accrual(attempt, now);
        let failure = Failure {
            node: live.node,
            assigned_at: live.assigned_at,
            failed_on: live.failed_on.clone(),
            outcome: Outcome::Infrastructure { reason: WAS_LOST.into() },
            blame,
            pause: Pause::None,
        };
        let until = now.after(self.policy.remember_lost);
        self.ghosts.insert(at, Ghost { number: attempt.number, live, since: now, until });
        self.try_elsewhere(at, failure, now);
        self.restate(at.task, now);
    }

    /// A row that was live when the pool stopped, of an element that waits or was tried again since.
    pub(crate) fn restore_ghost(&mut self, attempt: AttemptRef, live: Live) {
        let until = self.seen_at.after(self.policy.remember_lost);
        let since = self.seen_at;
        self.ghosts.insert(attempt.element, Ghost { number: attempt.number, live, since, until });
    }

    /// A node is back with the attempts `holds`: decides what becomes of those of its own that are ghosts.
    pub(crate) fn meet_ghosts(&mut self, node: NodeId, holds: &[AttemptRef], now: Timestamp) {
        let ghosts = self.ghosts.on(node);
        if ghosts.is_empty() {
            return;
        }
        let holds: BTreeSet<AttemptRef> = holds.iter().copied().collect();
        for at in ghosts {
            let Some(ghost) = self.ghosts.of.get(&at) else { continue };
            let replacement = self.attempt_of(at);
            let beaten = replacement
                .and_then(|attempt| self.live.get(&attempt))
                .is_none_or(|new| is_better(&ghost.live, new, now));
            if beaten && holds.contains(&at.attempt(ghost.number)) {
                self.revive(at, replacement, now);
            } else {
                self.end_ghost(at, now);
            }
        }
    }

    /// Makes a ghost the current attempt of its element again, in the place of its replacement.
    fn revive(&mut self, at: ElementRef, replacement: Option<AttemptRef>, now: Timestamp) {
        let Some(Ghost { number, mut live, .. }) = self.ghosts.remove(at) else { return };
        let attempt = at.attempt(number);
        match replacement {
            Some(new) => {
                if let Some(node) = self.live.get(&new).map(|live| live.node) {
                    self.tell_stop(node, new);
                }
                let reason = format!("attempt {number} came back with its node, and had run for longer");
                self.end_attempt(new, bare_report(Outcome::Infrastructure { reason }), Payment::Nothing, now);
            }
            None => self.unqueue(at),
        }
        let deadline = live.assigned_at.after(self.max_runtime(at.task)).max(now).after(self.policy.overdue_after);
        let Some(task) = self.tasks.get_mut(&at.task) else { panic!("T2: {at} has a ghost after its task") };
        task.running += u32::from(matches!(live.stage, Stage::Running { .. }));
        task.waiting -= u32::from(replacement.is_none());
        let (user, need) = (task.row.user, task.row.spec.resources);
        if let Some(element) = task.element_mut(at.index) {
            element.phase = ElementPhase::Live;
            // That it was given up was no failure after all.
            element.faults = element.faults.saturating_sub(1);
        }
        self.suspects.clear(at, live.node);
        if let Some(node) = self.nodes.get_mut(&live.node) {
            node.live.insert(attempt);
            let reserved = node.reserved.checked_add(&need);
            node.reserved = reserved.unwrap_or_else(|| panic!("T5: {attempt} does not fit on {} any more", live.node));
            // It is there whatever the node offers by now.
            node.refresh_ceiling();
        }
        self.hold_one_more(user);
        self.deadlines.insert((deadline, attempt));
        live.deadline = Some(deadline);
        let (node, stage) = (live.node, live.stage);
        assert!(self.live.insert(attempt, live).is_none(), "T3: {attempt} lives twice");
        if let Stage::Running { started_at } = stage {
            self.meter_from(attempt, started_at);
        }
        self.list_task(at.task);
        self.refresh_placeable(node);
        self.restate(at.task, now);
    }

    /// Ends a ghost for good.
    fn end_ghost(&mut self, at: ElementRef, now: Timestamp) {
        let Some(Ghost { number, live, since, .. }) = self.ghosts.remove(at) else { return };
        let attempt = at.attempt(number);
        self.settle_share(attempt, &live, since);
        let report = bare_report(Outcome::Infrastructure { reason: WAS_LOST.into() });
        let phase = AttemptPhase::Ended { ended_at: now, report, cost: Cpt::ZERO };
        self.pending.attempts.push(AttemptRow { attempt, node: live.node, assigned_at: live.assigned_at, phase });
    }

    /// Forgets ghosts whose time is over.
    pub(crate) fn forget_ghosts(&mut self, now: Timestamp) {
        for _ in 0..MAX_PER_TICK {
            let Some(&(_, at)) = self.ghosts.times.first().filter(|(until, _)| *until <= now) else { return };
            self.end_ghost(at, now);
        }
    }

    /// Forgets every ghost on a node that is not awaited any more.
    pub(crate) fn forget_ghosts_on(&mut self, node: NodeId, now: Timestamp) {
        self.ghosts.on(node).into_iter().for_each(|at| self.end_ghost(at, now));
    }

    /// Forgets what only an element that has not ended needs.
    pub(crate) fn forget_element(&mut self, at: ElementRef, now: Timestamp) {
        self.end_ghost(at, now);
        self.suspects.forget(at);
    }

    /// As [`Engine::forget_element`], for every element of a task that has ended.
    pub(crate) fn forget_ended(&mut self, id: TaskId, now: Timestamp) {
        let mut elements = self.ghosts.of_task(id);
        elements.extend(self.suspects.of_task(id));
        for at in elements {
            let phase = self.tasks.get(&id).and_then(|task| task.element(at.index)).map(|element| &element.phase);
            if matches!(phase, Some(ElementPhase::Ended { .. })) {
                self.forget_element(at, now);
            }
        }
    }
}
