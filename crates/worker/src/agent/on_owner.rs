//! What the agent does about its owner, who comes first.
//!
//! While the machine is not open, nothing that waits here starts; the pool takes it back by itself. While it is paused
//! every job stands still, and what stood still for too long is given back. A job that stands still needs its lease
//! like any other. Start at [`Agent::on_owner_decides`].
//!
//! Invariant: an owner's decision is never a fault of a task, and nothing starts against it.

use super::attempt::{Attempt, no_fault};
use super::{Agent, Link, OWNER_STOPPED};
use crate::event::{Action, OwnerOrders};
use hivemind_model::{AttemptRef, Resources};
use tokio::time::Instant;

/// What is said of attempts that stood still for too long.
pub(crate) const OWNER_NEEDS: &str = "the owner needs the machine";

/// What is said of attempts that the graphics processor is kept from.
pub(crate) const OWNER_NEEDS_GRAPHICS: &str = "the owner needs the graphics processor";

/// What is said of attempts that the owner's emergency stop ends.
pub(crate) const OWNER_CLEARED: &str = "the owner stopped everything on the machine";

impl Agent {
    /// What stands still is stopped first and told after.
    pub(super) fn on_owner_decides(&mut self, orders: OwnerOrders, now: Instant) -> Vec<Action> {
        let is_news = orders.machine.availability != self.owner.machine.availability;
        self.owner = orders;
        let mut actions = Vec::new();
        for (attempt, entry) in &mut self.attempts {
            let held = self.owner.of(&entry.need).holds();
            if entry.phase.is_working() && entry.held != held {
                entry.held = held;
                actions.push(Action::HoldJob { attempt: *attempt, held });
            }
        }
        if is_news && self.link == Link::Up {
            actions.push(self.tell_owner());
        }
        self.give_back_kept_out(&mut actions);
        self.give_back_held(now, &mut actions);
        actions
    }

    pub(super) fn tell_owner(&self) -> Action {
        Action::SendOwner { availability: self.owner.machine.availability.clone() }
    }

    /// True where the machine takes work, but none with this need.
    pub(super) fn keeps_out(&self, need: &Resources) -> bool {
        self.owner.machine.availability.takes_work() && !self.owner.of(need).availability.takes_work()
    }

    /// What is kept out would hold up the rest of the line, and the pool does not know that it waits for the owner.
    fn give_back_kept_out(&mut self, actions: &mut Vec<Action>) {
        let waiting = self.backlog.values().copied();
        let is_kept_out =
            |attempt: &AttemptRef| self.attempts.get(attempt).is_some_and(|entry| self.keeps_out(&entry.need));
        let kept_out: Vec<AttemptRef> = waiting.filter(is_kept_out).collect();
        for attempt in kept_out {
            actions.push(self.spool(attempt, no_fault(OWNER_NEEDS_GRAPHICS)));
        }
    }

    /// When what stands still is given back.
    pub(super) fn next_give_back(&self) -> Option<Instant> {
        if !self.owner.graphics.holds() && !self.owner.machine.holds() {
            return None;
        }
        let held = self.attempts.values().filter(|entry| entry.stands_still());
        held.filter_map(|entry| self.owner.of(&entry.need).give_back_at).min()
    }

    pub(super) fn give_back_held(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.next_give_back().is_none_or(|at| now < at) {
            return;
        }
        let is_due = |entry: &Attempt| self.owner.of(&entry.need).give_back_at.is_some_and(|at| now >= at);
        let due = self.attempts.iter().filter(|(_, entry)| entry.stands_still() && is_due(entry));
        let due: Vec<AttemptRef> = due.map(|(attempt, _)| *attempt).collect();
        for attempt in due {
            self.stop_and_report(attempt, OWNER_NEEDS, actions);
        }
    }

    /// Everything ends at once; the worker goes on.
    pub(super) fn on_owner_clears(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        self.stop_all(OWNER_CLEARED, &mut actions);
        actions
    }

    pub(super) fn on_owner_drains(&mut self) -> Vec<Action> {
        self.owner_drains = true;
        if self.link == Link::Up { vec![Action::SendDrain] } else { Vec::new() }
    }

    pub(super) fn on_owner_stops(&mut self) -> Vec<Action> {
        self.stopping = true;
        let mut actions = self.on_owner_drains();
        self.stop_all(OWNER_STOPPED, &mut actions);
        actions
    }

    fn stop_all(&mut self, reason: &str, actions: &mut Vec<Action>) {
        let all: Vec<AttemptRef> = self.attempts.keys().copied().collect();
        for attempt in all {
            self.stop_and_report(attempt, reason, actions);
        }
    }
}
