//! Why something waits, in words for its requester.
//!
//! Invariant: names no node and no other user's work.

use crate::NodeView;
use crate::plan::largest;
use hivemind_model::Resources;
use std::fmt;

/// Why an element has no node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyWaiting {
    /// No node is linked and takes work.
    NoNode,
    /// No node offers as much, whether it is busy or not.
    TooBig {
        /// What is needed.
        need: Resources,
        /// The most of each quantity that some node offers; not all of it need be on one node.
        most: Resources,
    },
    /// All nodes that are big enough are busy.
    AllBusy {
        /// How many are big enough.
        big_enough: usize,
    },
    /// A node has room: it is about to be placed.
    Next,
}

/// Says why an element that needs `need` waits, given every linked node that takes work, full or not.
#[must_use]
pub fn explain(nodes: impl IntoIterator<Item = NodeView>, need: &Resources) -> WhyWaiting {
    let (mut linked, mut big_enough, mut room) = (false, 0, false);
    let mut most = Resources::default();
    for node in nodes {
        linked = true;
        most = largest(&most, &node.capacity);
        big_enough += usize::from(node.capacity.covers(need));
        room |= node.free.covers(need);
    }
    match (linked, big_enough, room) {
        (false, _, _) => WhyWaiting::NoNode,
        (true, _, true) => WhyWaiting::Next,
        (true, 0, false) => WhyWaiting::TooBig { need: *need, most },
        (true, big_enough, false) => WhyWaiting::AllBusy { big_enough },
    }
}

impl fmt::Display for WhyWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode => f.write_str("no node is linked; the task starts when one joins"),
            Self::TooBig { need, most } => {
                let quantities = [
                    (need.cpu > most.cpu, need.cpu.to_string(), most.cpu.to_string()),
                    (need.memory > most.memory, format!("{} memory", need.memory), most.memory.to_string()),
                    (need.disk > most.disk, format!("{} disk", need.disk), most.disk.to_string()),
                    (
                        need.gpus > most.gpus,
                        format!("{} GPU{}", need.gpus, if need.gpus == 1 { "" } else { "s" }),
                        most.gpus.to_string(),
                    ),
                ];
                let missing = quantities.into_iter().filter(|(missing, _, _)| *missing);
                let parts: Vec<String> =
                    missing.map(|(_, need, most)| format!("it needs {need}, the largest has {most}")).collect();
                match parts.is_empty() {
                    true => write!(
                        f,
                        "no node is big enough: it needs {need} on one node; ask for less or wait for a larger node"
                    ),
                    false => {
                        write!(f, "no node is big enough: {}; ask for less or wait for a larger node", parts.join(", "))
                    }
                }
            }
            Self::AllBusy { big_enough: 1 } => f.write_str("the only node that is big enough is busy"),
            Self::AllBusy { big_enough } => write!(f, "all {big_enough} nodes that are big enough are busy"),
            Self::Next => f.write_str("it is next to be placed"),
        }
    }
}
