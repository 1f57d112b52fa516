//! Elements that bring nodes down.
//!
//! An element that failed through the infrastructure on several different nodes is tried no further: where each of them
//! reported the failure itself, or was lost soon after the command had started, the element is the likelier cause. Start at
//! [`Engine::suspect`].
//!
//! An image that cannot be fetched does not count, nor what people took from its node, nor what happens while the
//! [brake](crate::brake) holds. Forgotten at a restart; the bound on all failures of an element is not.
//!
//! Invariant: fewer nodes are kept for an element than the policy takes for poison.

use crate::Engine;
use crate::attempts::Blame;
use crate::state::{Link, Stage};
use hivemind_model::service::Service;
use hivemind_model::state::Outcome;
use hivemind_model::{ElementRef, Millis, NodeId, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A node that was last heard of within this time after the command started may have been brought down by it.
const SOON: Millis = Millis::from_secs(60);

/// The nodes on which elements failed in a way that may be their own fault.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    of: BTreeMap<ElementRef, BTreeSet<NodeId>>,
}

impl Suspects {
    /// Notes a node; how many different ones it are now.
    fn note(&mut self, at: ElementRef, node: NodeId) -> usize {
        let nodes = self.of.entry(at).or_default();
        nodes.insert(node);
        nodes.len()
    }

    /// It was not this node's end after all.
    pub(crate) fn clear(&mut self, at: ElementRef, node: NodeId) {
        if let Some(nodes) = self.of.get_mut(&at) {
            nodes.remove(&node);
            if nodes.is_empty() {
                self.of.remove(&at);
            }
        }
    }

    pub(crate) fn forget(&mut self, at: ElementRef) {
        self.of.remove(&at);
    }

    pub(crate) fn of_task(&self, task: TaskId) -> Vec<ElementRef> {
        let (first, last) = (ElementRef { task, index: 0 }, ElementRef { task, index: u32::MAX });
        self.of.range(first..=last).map(|(at, _)| *at).collect()
    }

    /// Every element of which something is kept.
    pub(crate) fn elements(&self) -> impl Iterator<Item = ElementRef> {
        self.of.keys().copied()
    }
}

/// The end of an element that failed on so many nodes.
pub(crate) fn poison(last: &Outcome, nodes: usize) -> Outcome {
    let last = match last {
        Outcome::Infrastructure { reason } => reason.clone(),
        other => other.explain(),
    };
    let reason = format!(
        "it failed on {nodes} different nodes, or brought them down, and is not tried on more; the last time: {last}"
    );
    Outcome::Poison { reason }
}

impl Engine {
    /// Whose failure it is that a node reports.
    pub(crate) fn blame_of_report(&self, id: NodeId, outcome: &Outcome) -> Blame {
        let Some(node) = self.nodes.get(&id) else { return Blame::Node };
        let works_on = match (node.link, &node.row.service) {
            (Link::Up { .. }, Service::InService) => true,
            // People wind it down, and what it has with it.
            (Link::Up { .. }, Service::Cordoned | Service::Draining { .. } | Service::Banned { .. })
            | (Link::Offline | Link::Away | Link::Draining { .. }, _) => false,
        };
        match outcome {
            Outcome::Infrastructure { .. } if works_on => Blame::Suspect,
            Outcome::Infrastructure { .. }
            | Outcome::Exited { .. }
            | Outcome::OutOfMemory
            | Outcome::TimedOut
            | Outcome::CannotStart { .. }
            | Outcome::BadImage { .. }
            | Outcome::ImageUnavailable { .. }
            | Outcome::Cancelled
            | Outcome::Expired
            | Outcome::OutOfPatience { .. }
            | Outcome::Skipped { .. }
            | Outcome::Poison { .. }
            | Outcome::Disputed { .. } => Blame::Node,
        }
    }

    /// Whose failure it is that an attempt at `stage` went with a node that was last heard of at `heard`.
    pub(crate) fn blame_of_loss(&self, stage: Stage, heard: Timestamp) -> Blame {
        match stage {
            Stage::Running { started_at } if heard.since(started_at) <= SOON && !self.losses.brakes() => Blame::Suspect,
            Stage::Running { .. } | Stage::Queued | Stage::Assigned => Blame::Node,
        }
    }

    /// Notes on which node an element failed, if that may be its own fault. `Some`: on so many that it is.
    pub(crate) fn suspect(&mut self, at: ElementRef, node: NodeId, blame: Blame) -> Option<usize> {
        match blame {
            Blame::Suspect if !self.losses.brakes() => {
                let nodes = self.suspects.note(at, node);
                (nodes >= self.policy.poison_nodes as usize).then_some(nodes)
            }
            Blame::Suspect | Blame::Node | Blame::Nobody => None,
        }
    }
}
