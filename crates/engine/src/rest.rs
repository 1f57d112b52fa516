//! Nodes that fail everything rest.
//!
//! After a few failures in a row a node gets no new work for a while, longer with each further failure; one accepted
//! attempt makes it as good as new. Start at [`Engine::note_fault`]. What was handed out before a rest does not count a second
//! time, so that one broken disk under fifty attempts is one rest. Images that cannot be fetched, lost nodes and what people
//! took back do not count. Forgotten at a restart.
//!
//! Invariant: a node that rests is given nothing, and loses nothing but its backlog.

use crate::Engine;
use crate::attempts::{Blame, back_off};
use crate::state::Node;
use hivemind_model::churn::Rest;
use hivemind_model::{AttemptRef, Millis, NodeId, Timestamp};

/// How a node fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Strain {
    /// Failures since the last attempt that was accepted.
    failures: u32,
    /// While it rests: until when.
    pub(crate) resting_until: Option<Timestamp>,
    /// When its last rest began.
    rested_at: Option<Timestamp>,
    /// When an error last lowered its trust.
    pub(crate) erred_at: Option<Timestamp>,
}

impl Engine {
    /// Notes that a node failed an attempt that it was handed at `assigned_at`.
    pub(crate) fn note_fault(&mut self, id: NodeId, assigned_at: Timestamp, now: Timestamp) {
        let Rest { after, first, longest } = self.policy.rest;
        let Some(Node { strain, .. }) = self.nodes.get_mut(&id) else { return };
        let known = strain.resting_until.is_some() || strain.rested_at.is_some_and(|at| assigned_at <= at);
        if known || after == 0 {
            return;
        }
        strain.failures = strain.failures.saturating_add(1);
        if strain.failures < after {
            return;
        }
        let until = now.after(back_off(first, longest, strain.failures - after + 1));
        strain.resting_until = Some(until);
        strain.rested_at = Some(now);
        self.rests.insert((until, id));
        self.return_backlog(id, "its node fails everything and rests", now);
        self.refresh_placeable(id);
    }

    /// Notes that an attempt on a node was accepted, and for how long it ran.
    pub(crate) fn note_accepted(&mut self, id: NodeId, wall: Millis) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.pace.note(wall);
        node.strain.failures = 0;
        if let Some(until) = node.strain.resting_until.take() {
            self.rests.remove(&(until, id));
        }
        self.refresh_placeable(id);
    }

    /// Lets nodes work again that have rested.
    pub(crate) fn end_rests(&mut self, now: Timestamp) {
        while let Some(&(until, id)) = self.rests.first().filter(|(until, _)| *until <= now) {
            self.rests.remove(&(until, id));
            if let Some(node) = self.nodes.get_mut(&id) {
                node.strain.resting_until = None;
            }
            self.refresh_placeable(id);
        }
    }

    /// A node has not ended an attempt long after it had to.
    pub(crate) fn overdue(&mut self, attempt: AttemptRef, now: Timestamp) {
        let Some((node, assigned_at)) = self.live.get(&attempt).map(|live| (live.node, live.assigned_at)) else {
            return;
        };
        let linked = self.is_linked(node);
        self.tell_stop(node, attempt);
        self.give_up(attempt, "the node did not end it long after max_runtime", Blame::Node, now);
        if linked {
            self.note_fault(node, assigned_at, now);
        }
    }

    /// When something is next due for nodes that are lost or fail.
    pub(crate) fn next_failing_due(&self) -> Option<Timestamp> {
        let unknown = self.unknown.first().map(|(until, _)| *until);
        let rest = self.rests.first().map(|(until, _)| *until);
        [self.brake_ends(), unknown, self.ghosts.next_due(), rest].into_iter().flatten().min()
    }
}
