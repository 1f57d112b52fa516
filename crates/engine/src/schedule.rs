//! From plan to fact.
//!
//! Start at [`Engine::schedule`].
//!
//! Invariant: a placement becomes an attempt only if the node still has room (T5), and the
//! attempt's row is in the same batch as the effect that hands it out (T4).

use crate::Engine;
use crate::life::{Event, Standing, Step, step};
use crate::shares::dominant_share;
use crate::state::{Live, Stage};
use hivemind_model::rows::ElementPhase;
use hivemind_model::spec::Need;
use hivemind_model::verify::{MAX_REPLICAS, Rule};
use hivemind_model::{AttemptRef, Effect, Millis, NodeId, Resources, Timestamp, UserId};
use hivemind_placement::{Bounds, Placement, Reservation, Snapshot, Turn, plan};

/// Where on its node a placement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// Into free room.
    Room,
    /// Into its backlog.
    Backlog,
}

impl Engine {
    /// Places what waits, once per batch, after its commands. Costs nothing where nothing that
    /// bears on placement has changed.
    pub fn schedule(&mut self, now: Timestamp) {
        let now = now.max(self.seen_at);
        self.pass(now);
        // The copies of one element are placed one after the other.
        for _ in 1..MAX_REPLICAS {
            if !self.more_copies {
                break;
            }
            self.pass(now);
        }
    }

    fn pass(&mut self, now: Timestamp) {
        if !self.stirred {
            return;
        }
        let nothing_waits = self.queue.len() == 0 && self.backlogs.is_empty();
        if nothing_waits || (self.placeable.is_empty() && !self.backlogs.has_room()) {
            (self.stirred, self.more_copies, self.resume) = (false, false, None);
            return;
        }
        if self.shares.rebase(now) {
            for user in self.queue.users() {
                self.queue.move_turn(self.turn(user));
            }
        }
        self.more_copies = false;
        let whole = self.capacity();
        let mut more = self.place(&whole, now);
        // What is left fits nowhere: room goes to what is queued elsewhere, then the rest is queued.
        if !more && !self.placeable.is_empty() && !self.backlogs.is_empty() && self.level_backlogs(now) {
            more = self.place(&whole, now);
        }
        self.keep_room_for_large(now);
        if !more && self.backlogs.has_room() {
            more = self.fill_backlogs(&whole, now);
        }
        // Freed room stirs, and a further copy; room that was taken does not.
        self.stirred = more || self.more_copies;
    }

    /// Makes one plan and follows it; true where it did not see everything.
    fn place(&mut self, whole: &Resources, now: Timestamp) -> bool {
        if self.placeable.is_empty() || self.queue.len() == 0 {
            self.resume = None;
            if self.queue.len() == 0 {
                self.reserved = None;
            }
            return false;
        }
        let cost = |need: &Need| self.shares.advance(dominant_share(&need.resources, whole), now);
        let snapshot = Snapshot {
            fleet: &self.fleet,
            queue: &self.queue,
            cost: &cost,
            reserve_before: now.before(self.policy.scheduling.reserve_after),
            reserved: self.reserved.clone().filter(|kept| self.is_kept(kept)),
            resume: self.resume,
        };
        let plan = plan(&snapshot, Bounds::default(), self.passes);
        self.passes += 1;
        self.resume = plan.resume;
        let before = std::mem::replace(&mut self.reserved, plan.reserved).map(|kept| kept.node);
        let proposed = plan.placements.len();
        let assigned = plan.placements.into_iter().filter(|it| self.assign(*it, Seat::Room, whole, now)).count();
        // What was refused waits still, and there may be room for it elsewhere.
        let refused = (1..proposed).contains(&assigned);
        let returned = self.keep_free(before, now);
        returned || refused || self.resume.is_some()
    }

    /// A node that is kept free has no backlog; true where it had one.
    fn keep_free(&mut self, before: Option<NodeId>, now: Timestamp) -> bool {
        let kept = self.reserved.as_ref().map(|kept| kept.node);
        let queued = kept.and_then(|id| self.nodes.get(&id)).is_some_and(|node| !node.backlog.is_empty());
        if let Some(id) = kept {
            self.return_backlog(id, "its node is kept free for something large", now);
        }
        if let Some(id) = before.filter(|_| before != kept) {
            self.promote(id, now);
        }
        queued
    }

    /// The place of a requester among those that have something waiting.
    pub(crate) fn turn(&self, user: UserId) -> Turn {
        Turn { used: self.shares.used(user), user }
    }

    /// Puts what an attempt really used in the place of what its requester was charged for it.
    pub(crate) fn settle_share(&mut self, attempt: AttemptRef, live: &Live, now: Timestamp) {
        let Some(user) = self.tasks.get(&attempt.element.task).map(|task| task.row.user) else { return };
        let held = match live.stage {
            Stage::Queued => Millis(0),
            Stage::Assigned | Stage::Running { .. } => now.since(live.reserved_at),
        };
        self.shares.settle(user, live.charge, held, now);
        self.pending.usages.insert(user);
        self.queue.move_turn(self.turn(user));
    }

    /// True where what a node is kept free for still waits, and may run there.
    fn is_kept(&self, kept: &Reservation) -> bool {
        let owner = self.nodes.get(&kept.node).map(|node| node.row.owner);
        let barred = self.barred(kept.rank.element());
        self.queue.has(kept.user, kept.rank, &kept.need) && owner.is_some_and(|owner| !barred.contains(&owner))
    }

    /// What all linked nodes offer together.
    fn capacity(&mut self) -> Resources {
        let nodes = &self.nodes;
        *self.whole.get_or_insert_with(|| {
            let linked = nodes.values().filter(|node| node.linked_session().is_some());
            linked.fold(Resources::default(), |sum, node| sum.checked_add(&node.row.capacity).unwrap_or(sum))
        })
    }

    /// Makes the next attempt of a waiting element on a node; false where its room has gone, or where the node's owner
    /// has got a copy of the element since that was planned.
    pub(crate) fn assign(&mut self, placement: Placement, seat: Seat, whole: &Resources, now: Timestamp) -> bool {
        let (at, id) = (placement.element, placement.node);
        let (Some(task), Some(node)) = (self.tasks.get_mut(&at.task), self.nodes.get_mut(&id)) else { return false };
        let need = &task.need;
        let Some(session) = node.working_session() else { return false };
        let takes = match seat {
            Seat::Room => !node.spent && node.free().covers(&need.resources),
            Seat::Backlog => node.waits(&self.policy.backlog) > 0 && node.view().could_run(need),
        };
        if !takes {
            return false;
        }
        // What a node was kept free for is placed beside the queue, and may be in the plan twice: once it has
        // one copy by this plan, the queue has it again for the next, which other owners must get.
        if self.panels.get(&at).is_some_and(|copies| copies.bars(node.row.owner)) {
            return false;
        }
        let rank = task.rank(at);
        let user = task.row.user;
        let Some(failed_on) = self.queue.remove(user, rank, need) else { return false };
        let resources = need.resources;
        let charge = self.shares.charge(user, dominant_share(&resources, whole), now);
        self.pending.usages.insert(user);
        self.queue.move_turn(Turn { used: self.shares.used(user), user });
        assert!(step(Standing::Waiting, Event::Placed) == Step::Assign, "T3: a waiting element cannot be assigned");
        let spec = task.row.spec.clone();
        let Some(element) = task.element_mut(at.index) else {
            panic!("T3: {at} is placed, but its task has no such element")
        };
        let (waits, verified) =
            (matches!(element.phase, ElementPhase::Waiting { .. }), spec.verify.rule != Rule::First);
        assert!(waits || verified, "T3: {at} is placed while it does not wait");
        let Some(number) = element.attempts.checked_add(1) else { panic!("T4: {at} has used up its attempt numbers") };
        element.attempts = number;
        element.phase = ElementPhase::Live;
        task.waiting -= u32::from(waits);
        let attempt = at.attempt(number);
        node.live.insert(attempt);
        let order = self.backlogs.next_order();
        let (stage, deadline) = match seat {
            Seat::Room => {
                node.reserve(attempt, &resources);
                (Stage::Assigned, now.after(spec.max_runtime).after(self.policy.overdue_after))
            }
            Seat::Backlog => {
                node.backlog.insert((order, attempt));
                (Stage::Queued, self.queued_until(now))
            }
        };
        self.deadlines.insert((deadline, attempt));
        self.hold_one_more(user);
        let live = Live {
            node: id,
            assigned_at: now,
            stage,
            order,
            begun: false,
            reserved_at: now,
            unknown: None,
            deadline: Some(deadline),
            stood: Millis(0),
            meter: None,
            charge,
            failed_on,
            dirty: false,
        };
        assert!(self.live.insert(attempt, live).is_none(), "T3: {attempt} lives twice");
        self.touch_live(attempt);
        self.list_task(at.task);
        self.refresh_room(id);
        self.take_quota(id, now);
        self.pending.effects.push(Effect::Assign { node: id, session, attempt, spec });
        if verified {
            self.seat(attempt, id, now);
        }
        if seat == Seat::Backlog {
            self.promote(id, now);
        }
        true
    }
}
