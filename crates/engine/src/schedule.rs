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
use hivemind_model::{Effect, Resources, Timestamp, UserId};
use hivemind_placement::{Bounds, Placement, Reservation, Snapshot, Turn, plan};

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
        if self.fleet.is_empty() || self.queue.len() == 0 {
            self.stirred = false;
            self.more_copies = false;
            self.resume = None;
            return;
        }
        if self.shares.rebase(now) {
            for user in self.queue.users() {
                self.queue.move_turn(self.turn(user));
            }
        }
        let whole = self.capacity();
        let cost = |need: &Need| self.shares.advance(dominant_share(&need.resources, &whole), now);
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
        self.reserved = plan.reserved;
        self.more_copies = false;
        for placement in plan.placements {
            self.assign(placement, &whole, now);
        }
        // Freed room stirs, and a further copy; room that was taken does not.
        self.stirred = plan.resume.is_some() || self.more_copies;
    }

    /// The place of a requester among those that have something waiting.
    pub(crate) fn turn(&self, user: UserId) -> Turn {
        Turn { used: self.shares.used(user), user }
    }

    /// Puts what an attempt really used in the place of what its requester was charged for it.
    pub(crate) fn settle_share(&mut self, user: UserId, live: &Live, now: Timestamp) {
        self.shares.settle(user, live.charge, now.since(live.assigned_at), now);
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

    /// Makes the next attempt of a waiting element on a node, unless its room has gone.
    fn assign(&mut self, placement: Placement, whole: &Resources, now: Timestamp) {
        let (at, id) = (placement.element, placement.node);
        let (Some(task), Some(node)) = (self.tasks.get_mut(&at.task), self.nodes.get_mut(&id)) else { return };
        let need = &task.need;
        let Some(session) = node.working_session() else { return };
        if node.spent || !node.free().covers(&need.resources) {
            return;
        }
        // What a node was kept free for is placed beside the queue, and may be in the plan twice: once it has
        // one copy by this plan, the queue has it again for the next, which other owners must get.
        if self.panels.get(&at).is_some_and(|copies| copies.bars(node.row.owner)) {
            return;
        }
        let rank = task.rank(at);
        let user = task.row.user;
        let Some(failed_on) = self.queue.remove(user, rank, need) else { return };
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
        let reserved = node.reserved.checked_add(&resources);
        // The ceiling, not the capacity: a node may offer less of something than it has reserved, and
        // this element need none of it.
        node.reserved = reserved
            .filter(|reserved| node.ceiling.covers(reserved))
            .unwrap_or_else(|| panic!("T5: {at} does not fit on {id}"));
        node.live.insert(attempt);
        let deadline = now.after(spec.max_runtime).after(self.policy.overdue_after);
        self.deadlines.insert((deadline, attempt));
        let live = Live {
            node: id,
            assigned_at: now,
            stage: Stage::Assigned,
            deadline: Some(deadline),
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
    }
}
