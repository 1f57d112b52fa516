//! What the findings about results do to nodes: trust, tiers, and the daily quota of new nodes.
//!
//! The rules are in the crate `trust`; start at [`Engine::judge_node`].
//!
//! Invariant: a node whose quota is spent gets no work before the next day.

use crate::Engine;
use hivemind_model::rows::TrustRow;
use hivemind_model::{Millis, NodeId, Timestamp, TrustTier};
use hivemind_trust::standing::{after, basis, left, take};
use hivemind_trust::{Basis, Finding};

const DAY: i64 = 24 * 60 * 60 * 1000;

impl Engine {
    /// Notes what was found of one attempt on a node.
    pub(crate) fn judge_node(&mut self, id: NodeId, finding: Finding, now: Timestamp) {
        let policy = self.policy.trust;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let row = after(node.trust, finding, node.row.capacity.cpu, now, &policy);
        if row != node.trust {
            node.trust = row;
            self.touch_trust(id, now);
        }
    }

    /// Notes that a node lost or broke an attempt that it was handed at `assigned_at`.
    ///
    /// What it was handed before its last error does not count a second time: a power cut under fifty elements is one error,
    /// not fifty, which would leave nothing of any trust or quota.
    pub(crate) fn note_error(&mut self, id: NodeId, assigned_at: Timestamp, now: Timestamp) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.strain.erred_at.is_some_and(|at| assigned_at <= at) {
            return;
        }
        node.strain.erred_at = Some(now);
        self.judge_node(id, Finding::Error, now);
    }

    /// What the vote of a node is worth now.
    pub(crate) fn basis(&self, id: NodeId, now: Timestamp) -> Basis {
        let Some(node) = self.nodes.get(&id) else { return Basis::default() };
        let offenders = self.offenders.get(&node.row.owner).into_iter().flatten();
        let rows: Vec<TrustRow> = offenders.filter_map(|id| self.nodes.get(id)).map(|node| node.trust).collect();
        basis(&node.trust, &rows, now, &self.policy.trust)
    }

    /// Counts an attempt that a node was handed against its quota.
    pub(crate) fn take_quota(&mut self, id: NodeId, now: Timestamp) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if left(&node.trust, now).is_none() {
            return;
        }
        // A node without quota is not placeable; where two are placed in one pass, the second goes above by one.
        if let Ok(row) = take(node.trust, now) {
            node.trust = row;
        }
        self.touch_trust(id, now);
    }

    /// Marks the row of trust of a node as changed, and brings what follows from it in line.
    pub(crate) fn touch_trust(&mut self, id: NodeId, now: Timestamp) {
        let tier = self.basis(id, now).tier();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if !std::mem::replace(&mut node.trust_dirty, true) {
            self.pending.trusts.push(id);
        }
        self.set_tier(id, tier, now);
    }

    pub(crate) fn set_tier(&mut self, id: NodeId, tier: TrustTier, now: Timestamp) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let spent = left(&node.trust, now) == Some(0);
        let before = (std::mem::replace(&mut node.tier, tier), std::mem::replace(&mut node.spent, spent));
        match spent {
            true => drop(self.spent.insert(id)),
            false => drop(self.spent.remove(&id)),
        }
        if before != (tier, spent) {
            self.refresh_placeable(id);
        }
    }

    /// Works out the tier of every node, after a restart.
    pub(crate) fn renew_tiers(&mut self) {
        let now = self.seen_at;
        let all: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in all {
            let tier = self.basis(id, now).tier();
            self.set_tier(id, tier, now);
        }
    }

    /// Gives nodes whose quota was spent the quota of a new day.
    pub(crate) fn renew_quotas(&mut self, now: Timestamp) {
        // Within a day a quota grows by findings only, and those look at it themselves.
        let today = now.0.div_euclid(DAY);
        if self.quotas_of == Some(today) {
            return;
        }
        self.quotas_of = Some(today);
        let spent: Vec<NodeId> = self.spent.iter().copied().collect();
        for id in spent {
            let tier = self.basis(id, now).tier();
            self.set_tier(id, tier, now);
        }
    }

    /// When the next day begins, where a node waits for it.
    pub(crate) fn next_quota(&self) -> Option<Timestamp> {
        let since = self.seen_at.0.rem_euclid(DAY);
        (!self.spent.is_empty()).then(|| self.seen_at.after(Millis((DAY - since).unsigned_abs())))
    }
}
