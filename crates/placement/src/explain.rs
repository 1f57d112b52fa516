//! Why something waits, in words for its requester.
//!
//! Invariant: names no node and no other user's work.

use crate::NodeView;
use crate::plan::largest;
use hivemind_model::spec::Need;
use hivemind_model::{Level, Resources};
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
    /// No node that is big enough has reached the level.
    LevelTooLow {
        /// What is needed.
        need: Level,
        /// The highest of the nodes that are big enough.
        highest: Level,
    },
    /// All nodes that are big enough are busy.
    AllBusy {
        /// How many are big enough.
        big_enough: usize,
    },
    /// A node has room: it is about to be placed.
    Next,
}

/// What the linked nodes could do for an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prospects {
    /// How many could run it if they were idle.
    pub capable: usize,
    /// How many of them have room now.
    pub free: usize,
    /// What it would wait for.
    pub why: WhyWaiting,
}

/// Says what an element with this need can hope for, given every linked node that takes work, full or not.
#[must_use]
pub fn prospects(nodes: impl IntoIterator<Item = NodeView>, need: &Need) -> Prospects {
    let (mut linked, mut capable, mut free, mut big_enough) = (false, 0, 0, false);
    let (mut most, mut highest) = (Resources::default(), Level::None);
    for node in nodes {
        linked = true;
        most = largest(&most, &node.capacity);
        if node.capacity.covers(&need.resources) {
            big_enough = true;
            highest = highest.max(node.level);
        }
        capable += usize::from(node.could_run(need));
        free += usize::from(node.has_room(need));
    }
    let why = match (linked, big_enough, capable, free) {
        (false, _, _, _) => WhyWaiting::NoNode,
        (true, _, _, 1..) => WhyWaiting::Next,
        (true, false, _, 0) => WhyWaiting::TooBig { need: need.resources, most },
        (true, true, 0, 0) => WhyWaiting::LevelTooLow { need: need.level, highest },
        (true, true, capable @ 1.., 0) => WhyWaiting::AllBusy { big_enough: capable },
    };
    Prospects { capable, free, why }
}

/// Says why an element with this need waits, given every linked node that takes work, full or not.
#[must_use]
pub fn explain(nodes: impl IntoIterator<Item = NodeView>, need: &Need) -> WhyWaiting {
    prospects(nodes, need).why
}

impl fmt::Display for WhyWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode => f.write_str("no node is linked and takes work; the task starts when one does"),
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
            Self::LevelTooLow { need, highest: Level::None } => write!(
                f,
                "it needs a node of level {need}, and none that is big enough has any level; ask for less or wait for one"
            ),
            Self::LevelTooLow { need, highest } => write!(
                f,
                "it needs a node of level {need}, the best that is big enough is {highest}; ask for less or wait for one"
            ),
            Self::AllBusy { big_enough: 1 } => f.write_str("the only node that is big enough is busy"),
            Self::AllBusy { big_enough } => write!(f, "all {big_enough} nodes that are big enough are busy"),
            Self::Next => f.write_str("it is next to be placed"),
        }
    }
}
