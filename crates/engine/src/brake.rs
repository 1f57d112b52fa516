//! Loss of nodes, and the brake on mass loss.
//!
//! A node that was silent for too long is lost, and what it had is tried elsewhere at once. If most of the linked nodes
//! vanish at once, the pool suspects itself first: from then on, for a while, the work of nodes that are lost stays where it
//! is. A node that is back in time goes on as if nothing had been; what is left after that is given up. Start at
//! [`Engine::lost`].
//!
//! What is expected and what is held is derived: after a start every node with attempts is expected.
//!
//! Invariant: an episode of the brake has an end that later losses do not move.

use crate::Engine;
use crate::attempts::Blame;
use crate::meter::MAX_PER_TICK;
use crate::nodes::LinkEvent;
use crate::state::{Link, Stage, Unknown};
use hivemind_model::churn::Brake;
use hivemind_model::{AttemptRef, Millis, NodeId, Rejection, Reply, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Who is there, who was lost lately, and whose work is held back.
#[derive(Debug, Default)]
pub(crate) struct MassLoss {
    /// Nodes that are linked or broke off a moment ago, or have had attempts since before the start.
    expected: BTreeSet<NodeId>,
    /// Nodes that were lost lately, and when.
    lost: BTreeMap<NodeId, Timestamp>,
    /// The same in order of time; what does not agree with `lost` is out of date.
    order: VecDeque<(Timestamp, NodeId)>,
    /// Lost nodes of which nothing is given up yet.
    held: BTreeSet<NodeId>,
    since: Timestamp,
    until: Timestamp,
}

impl MassLoss {
    /// A node is there, or is awaited.
    pub(crate) fn expect(&mut self, id: NodeId) {
        self.expected.insert(id);
        self.lost.remove(&id);
        self.held.remove(&id);
    }

    /// A node is out for good.
    pub(crate) fn forget(&mut self, id: NodeId) {
        self.expected.remove(&id);
        self.held.remove(&id);
    }

    pub(crate) fn is_expected(&self, id: NodeId) -> bool {
        self.expected.contains(&id)
    }

    /// When the work of `id` is given up, where that is held back.
    pub(crate) fn held_until(&self, id: NodeId) -> Option<Timestamp> {
        self.held.contains(&id).then_some(self.until)
    }

    /// True while anything is held back.
    pub(crate) fn brakes(&self) -> bool {
        !self.held.is_empty()
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = NodeId> {
        self.held.iter().copied()
    }

    /// Notes a loss; true where the node's work is to be held back.
    fn note(&mut self, id: NodeId, brake: &Brake, window: Millis, now: Timestamp) -> bool {
        while let Some((at, old)) = self.order.pop_front_if(|(at, _)| at.after(window) < now) {
            if self.lost.get(&old) == Some(&at) {
                self.lost.remove(&old);
            }
        }
        self.expected.remove(&id);
        self.lost.insert(id, now);
        self.order.push_back((now, id));
        if self.held.is_empty() {
            let (lost, all) = (self.lost.len() as u64, (self.lost.len() + self.expected.len()) as u64);
            let most_are_lost = lost * 100 > all * u64::from(brake.share_percent) && lost >= u64::from(brake.least);
            if brake.hold == Millis(0) || !most_are_lost {
                return false;
            }
            (self.since, self.until) = (now, now.after(brake.hold));
        }
        self.held.insert(id);
        true
    }
}

/// That the brake holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrakeView {
    /// Since when.
    pub since: Timestamp,
    /// Then what these nodes had is tried elsewhere.
    pub until: Timestamp,
    /// The nodes that are lost and keep their attempts, by id.
    pub nodes: Vec<NodeId>,
}

impl Engine {
    /// The brake, while it holds: so many nodes vanished at once that the pool, or its network, is the likelier
    /// fault.
    #[must_use]
    pub fn brake(&self) -> Option<BrakeView> {
        let MassLoss { since, until, .. } = self.losses;
        self.losses.brakes().then(|| BrakeView { since, until, nodes: self.losses.held().collect() })
    }

    /// A node was silent for too long: its attempts are tried again elsewhere, at once unless the brake holds.
    pub(crate) fn lost(&mut self, id: NodeId, now: Timestamp) -> Result<Reply, Rejection> {
        let node = self.nodes.get_mut(&id).ok_or_else(|| Rejection::not_found(id))?;
        let is_waited_for = |attempt: &AttemptRef| self.live.get(attempt).is_some_and(|live| live.unknown.is_some());
        let known = self.losses.held_until(id).is_some() || node.live.iter().all(is_waited_for);
        if node.link == Link::Offline && known {
            return Ok(Reply::Done);
        }
        node.row.seen_at = now;
        let window = self.policy.lost_after;
        // Nothing was heard of it for that long before.
        self.move_link(id, LinkEvent::Lost, now.before(window));
        self.touch_node(id);
        if !self.losses.note(id, &self.policy.brake, window, now) {
            self.give_up_lost(id, usize::MAX, now);
        }
        Ok(Reply::Done)
    }

    /// Gives up what lost nodes still have once the brake's time is over, a bounded part of it.
    pub(crate) fn release_brake(&mut self, now: Timestamp) {
        let mut left = MAX_PER_TICK;
        while let Some(id) = self.losses.held.first().copied().filter(|_| left > 0 && self.losses.until <= now) {
            let given_up = self.give_up_lost(id, left, now);
            // A node that had nothing costs one, too.
            left = left.saturating_sub(given_up.max(1));
            if left > 0 {
                self.losses.held.remove(&id);
            }
        }
    }

    /// When the brake's time is over.
    pub(crate) fn brake_ends(&self) -> Option<Timestamp> {
        self.losses.brakes().then_some(self.losses.until)
    }

    /// Gives up attempts of a lost node, at most so many; returns how many. Those whose task waits for them become
    /// unknown instead.
    fn give_up_lost(&mut self, id: NodeId, most: usize, now: Timestamp) -> usize {
        let Some(node) = self.nodes.get(&id) else { return 0 };
        let heard = node.row.seen_at.before(self.policy.lost_after);
        let known = |attempt: &&AttemptRef| self.live.get(attempt).is_some_and(|live| live.unknown.is_none());
        let mut live: Vec<AttemptRef> = node.live.iter().filter(known).copied().collect();
        self.queued_first(&mut live);
        live.truncate(most);
        let count = live.len();
        for attempt in live {
            let Some(stage) = self.live.get(&attempt).map(|live| live.stage) else { continue };
            let blame = self.blame_of_loss(stage, heard);
            let patience = self.tasks.get(&attempt.element.task).and_then(|task| task.row.spec.patience.lost_after);
            match (stage, patience.map(|patience| heard.after(patience))) {
                (Stage::Queued, _) => self.give_up(attempt, "its node was lost", Blame::Nobody, now),
                (Stage::Assigned | Stage::Running { .. }, None) => {
                    self.give_up(attempt, "the node was lost", blame, now);
                }
                (Stage::Assigned | Stage::Running { .. }, Some(until)) if until > now => {
                    self.set_unknown(attempt, Unknown { until, blame });
                }
                (Stage::Assigned | Stage::Running { .. }, Some(_)) => self.bury(attempt, blame, now),
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loses nodes at the given seconds; gives who was held back.
    fn held(nodes: u64, brake: &Brake, losses: &[(u64, i64)]) -> Vec<u64> {
        let mut state = MassLoss::default();
        (1..=nodes).for_each(|node| state.expect(NodeId(node)));
        for (node, second) in losses {
            state.note(NodeId(*node), brake, Millis::from_secs(10), Timestamp(second * 1000));
        }
        state.held().map(|node| node.0).collect()
    }

    #[test]
    fn more_than_half_and_at_least_three_within_the_window() {
        let brake = Brake::default();
        for (nodes, losses, expected) in [
            (1, &[(1, 0)][..], &[][..]),
            (2, &[(1, 0), (2, 0)], &[]),
            (3, &[(1, 0), (2, 0)], &[]),
            (3, &[(1, 0), (2, 0), (3, 0)], &[3]),
            (6, &[(1, 0), (2, 0), (3, 0)], &[]),
            (6, &[(1, 0), (2, 4), (3, 8), (4, 10), (5, 12)], &[4, 5]),
            (6, &[(1, 0), (2, 11), (3, 12), (4, 13)], &[4]),
            (9, &[(1, 0), (2, 20), (3, 40), (4, 60), (5, 80), (6, 100), (7, 120)], &[]),
        ] {
            assert_eq!(held(nodes, &brake, losses), expected, "{nodes} nodes, lost {losses:?}");
        }
        let off = Brake { hold: Millis(0), ..Brake::default() };
        assert_eq!(held(3, &off, &[(1, 0), (2, 0), (3, 0)]), [0; 0]);
    }
}
