//! What the machines have together, and what of it attempts were promised.
//!
//! Invariant: a node counts once, and only while it is linked.

use super::{Board, Inner};
use hivemind_model::rows::StandingRow;
use hivemind_model::{Bytes, MilliCores, NodeId, Resources, TaskId, UserId};

/// Nodes that are looked at before others have the board in between.
const AT_ONCE: usize = 1000;

/// What the attempts on a node use together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reserved {
    /// How many there are.
    pub(crate) attempts: i32,
    /// What was promised to them.
    pub(crate) resources: Resources,
}

/// What linked nodes have together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Machines {
    /// How many nodes are enrolled.
    pub(crate) enrolled: usize,
    /// What those that are linked offer.
    pub(crate) capacity: Resources,
    /// What of it is promised to attempts.
    pub(crate) used: Resources,
}

impl Board {
    /// What the nodes of `linked` have together. Looks at every one of them, some at a time.
    pub(crate) fn machines(&self, linked: &[NodeId]) -> Machines {
        let mut all = Machines { enrolled: self.inner.read().nodes.len(), ..Machines::default() };
        let add = |sum: Resources, more: &Resources| sum.checked_add(more).unwrap_or(sum);
        for some in linked.chunks(AT_ONCE) {
            let inner = self.inner.read();
            for id in some {
                let Some(row) = inner.nodes.get(id) else { continue };
                let reserved = inner.reserved.get(id).map(|reserved| reserved.resources).unwrap_or_default();
                // A node may offer less than it has promised; it cannot use more than it offers.
                let used = saturating_sub(row.capacity, saturating_sub(row.capacity, reserved));
                all.capacity = add(all.capacity, &row.capacity);
                all.used = add(all.used, &used);
            }
        }
        all
    }

    /// Every node with its owner, by id.
    pub(crate) fn owners(&self) -> Vec<(NodeId, UserId)> {
        let inner = self.inner.read();
        let mut all: Vec<(NodeId, UserId)> = inner.nodes.values().map(|row| (row.id, row.owner)).collect();
        drop(inner);
        all.sort_unstable();
        all
    }

    /// What a node has done; `None` where it did nothing yet.
    pub(crate) fn standing(&self, node: NodeId) -> Option<StandingRow> {
        self.inner.read().standings.get(&node).copied()
    }

    /// The nodes that have live attempts.
    pub(crate) fn busy_nodes(&self) -> Vec<NodeId> {
        let inner = self.inner.read();
        inner.reserved.iter().filter(|(_, reserved)| reserved.attempts > 0).map(|(node, _)| *node).collect()
    }

    /// What the attempts on a node use.
    pub(crate) fn reserved(&self, node: NodeId) -> Reserved {
        self.inner.read().reserved.get(&node).copied().unwrap_or_default()
    }
}

impl Inner {
    pub(super) fn reserve(&mut self, node: NodeId, task: TaskId, by: i32) {
        let need = self.tasks.get(&task).map(|task| task.spec.resources).unwrap_or_default();
        let reserved = self.reserved.entry(node).or_default();
        reserved.attempts += by;
        let now = reserved.resources;
        reserved.resources = if by > 0 { now.checked_add(&need).unwrap_or(now) } else { saturating_sub(now, need) };
        if reserved.attempts <= 0 {
            self.reserved.remove(&node);
        }
    }
}

/// What is left after `take`, not below zero in any quantity.
pub(crate) fn saturating_sub(from: Resources, take: Resources) -> Resources {
    Resources {
        cpu: MilliCores(from.cpu.0.saturating_sub(take.cpu.0)),
        memory: Bytes(from.memory.0.saturating_sub(take.memory.0)),
        disk: Bytes(from.disk.0.saturating_sub(take.disk.0)),
        gpus: from.gpus.saturating_sub(take.gpus),
    }
}
