//! What nodes are handed in advance.
//!
//! A node whose latest attempts were short gets a few more than it has room for, so that the next one starts without a round
//! trip. They are live and queued: they reserve nothing (T5), are due to nobody's deadline yet and stand in the
//! share of their requester. When room frees on the node the first of them get it, before placement sees it; the worker
//! does the same by itself, and where both differ its word that a command runs goes before the engine's guess.
//! Start at [`Engine::promote`].
//!
//! What is queued can be taken back: when another node has room and nothing else waits for it, when the node stops taking
//! work, when it has waited there for long, and when a requester who has nothing running waits. That is nobody's failure.
//!
//! A row does not say that an attempt is queued. After a start those that are handed out and do not run get room in
//! the order in which they were handed out, as long as it lasts.
//!
//! Invariant: the first of a backlog does not fit on its node.

use crate::Engine;
use crate::attempts::Blame;
use crate::copies::Copies;
use crate::schedule::Seat;
use crate::state::{Live, Node, Stage};
use hivemind_model::churn::Backlog;
use hivemind_model::spec::Need;
use hivemind_model::{AttemptRef, ElementRef, Millis, NodeId, Resources, Timestamp, UserId};
use hivemind_placement::{NodeView, Placement, Queue as _, Rank, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Walls of attempts that the pace of a node is the mean of.
const PACE: usize = 16;
/// What is queued goes back after so many times what is short.
const LONG_WAIT: u64 = 8;
/// Most attempts that one pass queues.
const MOST_QUEUED: usize = 8192;
/// Most lines of the queue that one pass looks at for backlogs.
const MOST_LINES: usize = 4096;
/// Most nodes that are looked at for one element, or for a move of what is queued.
const MOST_NODES: usize = 64;

/// How short the latest accepted attempts of a node were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    walls: [u32; PACE],
    next: usize,
    len: usize,
}

impl Pace {
    pub(crate) fn note(&mut self, wall: Millis) {
        if let Some(place) = self.walls.get_mut(self.next) {
            *place = u32::try_from(wall.0).unwrap_or(u32::MAX);
        }
        self.next = (self.next + 1) % PACE;
        self.len = (self.len + 1).min(PACE);
    }

    /// `None` where there was none yet.
    fn mean(&self) -> Option<Millis> {
        let sum: u64 = self.walls.iter().take(self.len).map(|wall| u64::from(*wall)).sum();
        sum.checked_div(self.len as u64).map(Millis)
    }
}

/// Where there is room in a backlog, and who holds what.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    /// Nodes with room in their backlog, by how long it is.
    hungry: BTreeSet<(usize, NodeId)>,
    /// Nodes with something in their backlog.
    filled: BTreeSet<NodeId>,
    /// Where the pass before stopped to look at them.
    seen: Option<NodeId>,
    /// Live attempts of each requester.
    holding: BTreeMap<UserId, u32>,
    /// Attempts handed out since the start.
    handed: u64,
}

impl Backlogs {
    /// The place of the next attempt that is handed out.
    pub(crate) fn next_order(&mut self) -> u64 {
        self.handed += 1;
        self.handed
    }

    pub(crate) fn holding(&self) -> &BTreeMap<UserId, u32> {
        &self.holding
    }

    pub(crate) fn indexes(&self) -> (&BTreeSet<(usize, NodeId)>, &BTreeSet<NodeId>) {
        (&self.hungry, &self.filled)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.hungry.is_empty()
    }
}

impl Node {
    /// How many more attempts it takes beyond its room.
    pub(crate) fn waits(&self, policy: &Backlog) -> usize {
        self.depth(policy).saturating_sub(self.backlog.len())
    }

    /// How many attempts it takes beyond its room.
    fn depth(&self, policy: &Backlog) -> usize {
        let mean = self.pace.mean().filter(|mean| *mean < policy.short);
        let (Some(mean), true) = (mean, self.takes_work()) else { return 0 };
        if policy.depth_per_core == 0 {
            return 0;
        }
        // Walls are whole milliseconds: what took less counts as one.
        let lasting = policy.ahead.0 / mean.0.max(1);
        let per_core = u64::from(policy.depth_per_core).max(lasting);
        let cores = u64::from(self.row.capacity.cpu.0.div_ceil(1000));
        cores.saturating_mul(per_core).min(policy.most.into()) as usize
    }
}

impl Engine {
    /// Brings the indexes of backlogs in line with one node.
    pub(crate) fn refresh_backlog(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let hungry = (node.waits(&self.policy.backlog) > 0).then_some(node.backlog.len());
        let before = std::mem::replace(&mut node.hungry, hungry);
        if before != hungry {
            before.map(|len| self.backlogs.hungry.remove(&(len, id)));
            self.backlogs.hungry.extend(hungry.map(|len| (len, id)));
        }
        self.stirred |= hungry.is_some() && self.queue.len() > 0;
        match node.backlog.is_empty() {
            true => self.backlogs.filled.remove(&id),
            false => self.backlogs.filled.insert(id),
        };
    }

    /// Whether some node has more to do than it can do at once, so that nothing stands still while its word waits.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        !self.backlogs.is_empty()
    }

    pub(crate) fn hold_one_more(&mut self, user: UserId) {
        *self.backlogs.holding.entry(user).or_default() += 1;
    }

    pub(crate) fn hold_one_less(&mut self, user: UserId) {
        let Some(count) = self.backlogs.holding.get_mut(&user) else { panic!("T3: {user} holds nothing to lose") };
        *count -= 1;
        if *count == 0 {
            self.backlogs.holding.remove(&user);
        }
    }

    /// When what is queued from now on goes back.
    pub(crate) fn queued_until(&self, now: Timestamp) -> Timestamp {
        now.after(Millis(self.policy.backlog.short.0.saturating_mul(LONG_WAIT)))
    }

    /// Gives the room that is free on a node to the first of its backlog that fit.
    pub(crate) fn promote(&mut self, id: NodeId, now: Timestamp) {
        while let Some(attempt) = self.first_that_fits(id) {
            self.take_room(attempt, now);
        }
    }

    /// The first of a node's backlog, where it fits there; not on a node that is kept free for something else.
    pub(crate) fn first_that_fits(&self, id: NodeId) -> Option<AttemptRef> {
        let node = self.nodes.get(&id).filter(|_| !self.is_kept_free(id))?;
        let (_, attempt) = *node.backlog.first()?;
        node.free().covers(&self.need_of(attempt)).then_some(attempt)
    }

    fn is_kept_free(&self, id: NodeId) -> bool {
        self.reserved.as_ref().is_some_and(|kept| kept.node == id)
    }

    /// True where a node is kept free for the element: it gets room there and no place in a backlog.
    fn has_kept_node(&self, rank: Rank) -> bool {
        self.reserved.as_ref().is_some_and(|kept| kept.rank == rank)
    }

    fn need_of(&self, attempt: AttemptRef) -> Resources {
        self.tasks.get(&attempt.element.task).map(|task| task.row.spec.resources).unwrap_or_default()
    }

    /// Gives a queued attempt its room, which must be there. What its node has begun already runs from now on.
    fn take_room(&mut self, attempt: AttemptRef, now: Timestamp) {
        self.move_in(attempt, Node::reserve, now);
        if self.live.get(&attempt).is_some_and(|live| live.begun) {
            self.run(attempt, now);
        }
    }

    fn move_in(&mut self, attempt: AttemptRef, reserve: fn(&mut Node, AttemptRef, &Resources), now: Timestamp) {
        let need = self.need_of(attempt);
        let deadline = now.after(self.max_runtime(attempt.element.task)).after(self.policy.overdue_after);
        let Some(live) = self.live.get_mut(&attempt) else { return };
        live.stage = Stage::Assigned;
        live.reserved_at = now;
        if let Some(before) = live.deadline.replace(deadline) {
            self.deadlines.remove(&(before, attempt));
        }
        self.deadlines.insert((deadline, attempt));
        let (id, order) = (live.node, live.order);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.backlog.remove(&(order, attempt));
            reserve(node, attempt, &need);
        }
        self.refresh_room(id);
    }

    /// The node has begun a queued attempt: it takes the room that it needs from those that are handed out and do not run
    /// yet, newest first. Where even that is not enough the end of another is still on its way, which a node tells only once it
    /// is on its disk: then the attempt runs as soon as it has that room here, too.
    pub(crate) fn begin_queued(&mut self, attempt: AttemptRef, now: Timestamp) {
        let need = self.need_of(attempt);
        let Some(live) = self.live.get_mut(&attempt) else { return };
        live.begun = true;
        let id = live.node;
        while !self.nodes.get(&id).is_some_and(|node| node.free().covers(&need)) {
            // What gave way in vain has its room again.
            let Some(newest) = self.newest_assigned(id) else { return self.promote(id, now) };
            self.give_way(newest, now);
        }
        self.take_room(attempt, now);
        self.promote(id, now);
    }

    /// The node has ended a queued attempt: that had its room there, and gives it back at once.
    pub(crate) fn end_queued(&mut self, attempt: AttemptRef, now: Timestamp) {
        self.move_in(attempt, Node::reserve_anyway, now);
    }

    fn newest_assigned(&self, id: NodeId) -> Option<AttemptRef> {
        let live = |attempt: &AttemptRef| self.live.get(attempt).filter(|live| live.stage == Stage::Assigned);
        let node = self.nodes.get(&id)?;
        let assigned = node.live.iter().filter_map(|attempt| Some((live(attempt)?.order, *attempt)));
        assigned.max().map(|(_, attempt)| attempt)
    }

    /// Takes its room from an attempt that does not run yet: it is queued again.
    fn give_way(&mut self, attempt: AttemptRef, now: Timestamp) {
        let (need, until) = (self.need_of(attempt), self.queued_until(now));
        let Some(live) = self.live.get_mut(&attempt) else { return };
        live.stage = Stage::Queued;
        if let Some(before) = live.deadline.replace(until) {
            self.deadlines.remove(&(before, attempt));
        }
        self.deadlines.insert((until, attempt));
        let (id, order) = (live.node, live.order);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.release(attempt, &need);
            node.backlog.insert((order, attempt));
        }
        self.refresh_room(id);
    }

    /// Takes a queued attempt back from its node.
    fn put_back(&mut self, attempt: AttemptRef, reason: &str, now: Timestamp) {
        if let Some(node) = self.live.get(&attempt).map(|live| live.node) {
            self.tell_stop(node, attempt);
        }
        self.give_up(attempt, reason, Blame::Nobody, now);
    }

    /// A queued attempt was not begun for long: what runs on its node is not short any more. While the brake holds
    /// its node's work it stays.
    pub(crate) fn queued_too_long(&mut self, attempt: AttemptRef, now: Timestamp) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        match self.losses.held_until(live.node).filter(|until| *until > now) {
            Some(until) => {
                if let Some(before) = live.deadline.replace(until) {
                    self.deadlines.remove(&(before, attempt));
                }
                self.deadlines.insert((until, attempt));
            }
            None => {
                let id = live.node;
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.pace = Pace::default();
                }
                self.put_back(attempt, "it waited too long in the backlog of its node", now);
                self.refresh_placeable(id);
            }
        }
    }

    /// Sorts what is to be given up: what is queued goes before the room of the rest is free, so that it is not promoted.
    pub(crate) fn queued_first(&self, attempts: &mut [AttemptRef]) {
        attempts.sort_by_key(|attempt| self.live.get(attempt).is_none_or(|live| live.stage != Stage::Queued));
    }

    /// Takes everything back that is queued on a node.
    pub(crate) fn return_backlog(&mut self, id: NodeId, reason: &str, now: Timestamp) {
        let queued: Vec<AttemptRef> =
            self.nodes.get(&id).into_iter().flat_map(|node| node.backlog.iter().rev().map(|(_, it)| *it)).collect();
        for attempt in queued {
            self.put_back(attempt, reason, now);
        }
    }

    /// Queues what found no room, in the order of turns; true where a bound cut it short.
    pub(crate) fn fill_backlogs(&mut self, whole: &Resources, now: Timestamp) -> bool {
        self.let_first_in(whole, now);
        let (mut hopeless, mut lines) = (BTreeSet::new(), MOST_LINES);
        for _ in 0..MOST_QUEUED {
            let Some(placement) = self.next_for_backlog(&mut hopeless, &mut lines) else { return false };
            if !self.assign(placement, Seat::Backlog, whole, now) {
                return false;
            }
        }
        true
    }

    /// The requester whose turn it is holds nothing: clears one backlog, so that the next room there is theirs.
    fn let_first_in(&mut self, whole: &Resources, now: Timestamp) {
        let Some(user) = self.queue.turns(None).next().map(|turn| turn.user) else { return };
        if self.backlogs.holding.contains_key(&user) {
            return;
        }
        let Some((element, need)) = self.head_of(user) else { return };
        let full = self.backlogs.filled.iter().take(MOST_NODES);
        let chosen = full.copied().find(|id| {
            let node = self.nodes.get(id).filter(|node| node.depth(&self.policy.backlog) > 0);
            node.is_some_and(|node| node.view().could_run(&need)) && !self.is_kept_free(*id)
        });
        if let Some(node) = chosen {
            self.return_backlog(node, "somebody who has nothing running comes first", now);
            self.assign(Placement { element, node, backlog: true }, Seat::Backlog, whole, now);
        }
    }

    fn head_of(&self, user: UserId) -> Option<(ElementRef, Need)> {
        let mut line = self.queue.lines(user, None).next()?;
        let free = |first: &Waiting<'_>| first.not_owners.is_empty() && !self.has_kept_node(first.rank);
        let first = line.waiting.next().filter(free)?;
        Some((first.rank.element(), line.need))
    }

    fn next_for_backlog(&self, hopeless: &mut BTreeSet<Need>, lines: &mut usize) -> Option<Placement> {
        for turn in self.queue.turns(None) {
            for mut line in self.queue.lines(turn.user, None) {
                *lines = lines.checked_sub(1)?;
                if hopeless.contains(&line.need) {
                    continue;
                }
                let Some(first) = line.waiting.find(|first| !self.has_kept_node(first.rank)) else { continue };
                let takes = |id: &NodeId| {
                    let node = self.nodes.get(id).filter(|node| !first.not_owners.contains(&node.row.owner));
                    node.is_some_and(|node| node.view().could_run(&line.need)) && !self.is_kept_free(*id)
                };
                let mut nodes = self.backlogs.hungry.iter().take(MOST_NODES).map(|(_, id)| *id).filter(takes);
                let any = nodes.clone().next();
                match nodes.find(|id| !first.failed_on.contains(id)).or(any) {
                    Some(node) => return Some(Placement { element: first.rank.element(), node, backlog: true }),
                    None if !first.not_owners.is_empty() => {}
                    None => drop(hopeless.insert(line.need.clone())),
                }
            }
        }
        None
    }

    /// Takes back what is queued where another node has room for it; true where there was any.
    pub(crate) fn level_backlogs(&mut self, now: Timestamp) -> bool {
        let from = self.backlogs.seen.unwrap_or(NodeId(0));
        let around = |set: &BTreeSet<NodeId>| -> Vec<NodeId> {
            let after = set.range((Bound::Excluded(from), Bound::Unbounded));
            after.chain(set.range(..=from)).take(MOST_NODES).copied().collect()
        };
        let (full, roomy) = (around(&self.backlogs.filled), around(&self.placeable));
        let mut views: Vec<NodeView> = roomy
            .into_iter()
            .filter(|id| !self.is_kept_free(*id))
            .filter_map(|id| self.nodes.get(&id))
            .map(Node::view)
            .collect();
        let mut moved = Vec::new();
        for id in &full {
            let Some(node) = self.nodes.get(id).filter(|node| node.linked_session().is_some()) else { continue };
            // The last one first: it would wait longest.
            for (_, attempt) in node.backlog.iter().rev() {
                if self.live.get(attempt).is_some_and(|live| live.begun) {
                    continue;
                }
                let Some(need) = self.tasks.get(&attempt.element.task).map(|task| &task.need) else { continue };
                let mut roomy = views.iter_mut().filter(|view| view.id != *id && view.has_room(need)).peekable();
                if roomy.peek().is_none() {
                    break;
                }
                // Not for a node that will not get it: it would come back to this backlog, and so on for ever.
                let Some(view) = roomy.find(|view| self.may_move(*attempt, node, view.id)) else { continue };
                let Some(free) = view.free.checked_sub(&need.resources) else { break };
                view.free = free;
                moved.push(*attempt);
            }
        }
        self.backlogs.seen = full.last().copied();
        let any = !moved.is_empty();
        for attempt in moved {
            self.put_back(attempt, "another node has room for it", now);
        }
        any
    }

    /// True where an attempt that waits on `from` would be placed on `to` if it were taken back.
    fn may_move(&self, attempt: AttemptRef, from: &Node, to: NodeId) -> bool {
        let Some(owner) = self.nodes.get(&to).map(|node| node.row.owner) else { return false };
        let barred = |copies: &Copies| owner != from.row.owner && copies.bars(owner);
        let failed = |live: &Live| live.failed_on.contains(&to);
        !self.panels.get(&attempt.element).is_some_and(barred) && !self.live.get(&attempt).is_some_and(failed)
    }

    /// Gives what was handed out and does not run its room after a start, in the order in which it was handed out, as
    /// long as it lasts; the rest is queued.
    pub(crate) fn restore_assigned(&mut self, attempt: AttemptRef) {
        let need = self.need_of(attempt);
        let Some(Live { node, order, stage, .. }) = self.live.get_mut(&attempt) else { return };
        let Some(node) = self.nodes.get_mut(node) else { return };
        if node.backlog.is_empty() && node.free().covers(&need) {
            node.reserve(attempt, &need);
        } else {
            *stage = Stage::Queued;
            node.backlog.insert((*order, attempt));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_the_mean_of_the_latest() {
        let mut pace = Pace::default();
        assert_eq!(pace.mean(), None);
        pace.note(Millis(3_600_000));
        pace.note(Millis(0));
        assert_eq!(pace.mean(), Some(Millis(1_800_000)));
        (0..15).for_each(|_| pace.note(Millis(16)));
        assert_eq!(pace.mean(), Some(Millis(15)));
        pace.note(Millis(u64::MAX));
        assert_eq!(pace.mean(), Some(Millis((u64::from(u32::MAX) + 15 * 16) / 16)));
    }
}
