//! What a node's results were accepted on lately, so that it can be looked at again when it is caught.
//!
//! Invariant: bounded; what is older than the ring is not looked at again.

use hivemind_model::ElementRef;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Elements that are remembered of each node.
pub const MOST_RECENT: usize = 64;

/// An element that was accepted with a vote of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Which.
    pub element: ElementRef,
    /// Equal votes beyond those that the rule asks of nodes of which nothing is known
    /// ([`Decision::spare`](crate::Decision::spare)): with at least one it stands without this node.
    pub spare: u8,
}

/// The last elements that were accepted with a vote of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(VecDeque<Accepted>);

impl Recent {
    /// Remembers one more; the oldest goes where there are [`MOST_RECENT`].
    pub fn push(&mut self, accepted: Accepted) {
        self.0.retain(|other| other.element != accepted.element);
        if self.0.len() >= MOST_RECENT {
            self.0.pop_front();
        }
        self.0.push_back(accepted);
    }

    /// Takes out the elements that do not stand without this node, newest first: they are to be opened
    /// again, its vote struck, and decided anew.
    pub fn recheck(&mut self) -> Vec<ElementRef> {
        std::mem::take(&mut self.0).iter().rev().filter(|one| one.spare == 0).map(|one| one.element).collect()
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::TaskId;

    fn accepted(task: u64, spare: u8) -> Accepted {
        Accepted { element: ElementRef::only(TaskId(task)), spare }
    }

    #[test]
    fn the_newest_that_need_the_node_are_looked_at_again_once() {
        let mut recent = Recent::default();
        for (task, spare) in [(1, 0), (2, 1), (3, 0), (1, 0), (4, 2)] {
            recent.push(accepted(task, spare));
        }
        let tasks: Vec<u64> = recent.recheck().iter().map(|element| element.task.0).collect();
        assert_eq!(tasks, [1, 3]);
        assert!(recent.is_empty() && recent.recheck().is_empty());
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut recent = Recent::default();
        (0..1000).for_each(|task| recent.push(accepted(task, 0)));
        assert_eq!(recent.len(), MOST_RECENT);
        assert_eq!(recent.recheck().first().map(|element| element.task), Some(TaskId(999)));
    }
}
