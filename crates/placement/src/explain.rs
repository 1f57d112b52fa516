//! Why something waits, in words for its requester.
//!
//! Invariant: names no node and no other user's work.

use crate::NodeView;
use crate::index::largest;
use hivemind_model::spec::Need;
use hivemind_model::{Egress, Endpoint, Isolation, Kind, Label, Labels, Level, Resources, TrustTier};
use std::borrow::Borrow;
use std::fmt;

/// Why an element has no node.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// No node that is big enough has all the labels.
    NoLabels {
        /// What is needed.
        need: Labels,
    },
    /// No node that is big enough runs such programs.
    NoKind {
        /// What is needed.
        need: Kind,
    },
    /// No node that would do so far has an owner who lets it reach all that it asks for.
    NoNetwork {
        /// What is needed.
        need: Egress,
    },
    /// No node that is big enough and has the labels isolates as well.
    IsolationTooLow {
        /// What is needed.
        need: Isolation,
        /// The highest of those nodes.
        highest: Isolation,
    },
    /// No node that would do otherwise has earned as much trust.
    TrustTooLow {
        /// What is needed.
        need: TrustTier,
        /// The highest of those nodes.
        highest: TrustTier,
    },
    /// No node that would do otherwise has reached the level.
    LevelTooLow {
        /// What is needed.
        need: Level,
        /// The highest of those nodes.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospects {
    /// How many could run it if they were idle.
    pub capable: usize,
    /// How many of them have room now.
    pub free: usize,
    /// What it would wait for.
    pub why: WhyWaiting,
}

/// The highest of what is told of nodes, if any is.
struct Highest<T>(Option<T>);

impl<T: Ord> Highest<T> {
    /// True where it is what is needed.
    fn see(&mut self, value: T, need: &T) -> bool {
        let enough = value >= *need;
        self.0 = self.0.take().max(Some(value));
        enough
    }

    /// The highest, where all are too low.
    fn too_low(self, need: &T) -> Option<T> {
        self.0.filter(|highest| highest < need)
    }
}

/// Says what an element with this need can hope for, given every linked node that takes work, full or not.
#[must_use]
pub fn prospects<N: Borrow<NodeView>>(nodes: impl IntoIterator<Item = N>, need: &Need) -> Prospects {
    let (mut linked, mut capable, mut free) = (false, 0, 0);
    let mut most = Resources::default();
    let (mut big_enough, mut of_kind, mut labelled, mut connected) = (false, false, false, false);
    // Each of those that have come through what stands before it.
    let (mut isolation, mut trust, mut level) = (Highest(None), Highest(None), Highest(None));
    for node in nodes {
        let node = node.borrow();
        linked = true;
        most = largest(&most, &node.capacity);
        let big = node.capacity.covers(&need.resources);
        let runs_it = big && node.kinds.has(need.kind);
        let has_labels = runs_it && node.labels.covers(&need.labels);
        let has_network = has_labels && node.egress.allows(&need.egress);
        big_enough |= big;
        of_kind |= runs_it;
        labelled |= has_labels;
        connected |= has_network;
        let suits = has_network
            && isolation.see(node.isolation, &need.isolation)
            && trust.see(node.trust, &need.trust)
            && level.see(node.level, &need.level);
        capable += usize::from(suits);
        free += usize::from(node.has_room(need));
    }
    let why = if !linked {
        WhyWaiting::NoNode
    } else if free > 0 {
        WhyWaiting::Next
    } else if !big_enough {
        WhyWaiting::TooBig { need: need.resources, most }
    } else if !of_kind {
        WhyWaiting::NoKind { need: need.kind }
    } else if !labelled {
        WhyWaiting::NoLabels { need: need.labels.clone() }
    } else if !connected {
        WhyWaiting::NoNetwork { need: need.egress.clone() }
    } else if let Some(highest) = isolation.too_low(&need.isolation) {
        WhyWaiting::IsolationTooLow { need: need.isolation, highest }
    } else if let Some(highest) = trust.too_low(&need.trust) {
        WhyWaiting::TrustTooLow { need: need.trust, highest }
    } else if let Some(highest) = level.too_low(&need.level) {
        WhyWaiting::LevelTooLow { need: need.level, highest }
    } else {
        WhyWaiting::AllBusy { big_enough: capable }
    };
    Prospects { capable, free, why }
}

/// Says why an element with this need waits, given every linked node that takes work, full or not.
#[must_use]
pub fn explain<N: Borrow<NodeView>>(nodes: impl IntoIterator<Item = N>, need: &Need) -> WhyWaiting {
    prospects(nodes, need).why
}

impl WhyWaiting {
    /// One word for it, for those who group by it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoNode => "no_node",
            Self::TooBig { .. } => "too_big",
            Self::NoLabels { .. } => "no_labels",
            Self::NoKind { .. } => "no_kind",
            Self::NoNetwork { .. } => "no_network",
            Self::IsolationTooLow { .. } => "isolation_too_low",
            Self::TrustTooLow { .. } => "trust_too_low",
            Self::LevelTooLow { .. } => "level_too_low",
            Self::AllBusy { .. } => "all_busy",
            Self::Next => "next",
        }
    }
}

impl fmt::Display for WhyWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode => f.write_str("no node is linked and takes work; the task starts when one does"),
            Self::TooBig { need, most } => too_big(f, need, most),
            Self::NoLabels { need } => {
                let labels: Vec<String> = need.as_slice().iter().map(Label::to_string).collect();
                let word = if labels.len() == 1 { "label" } else { "labels" };
                write!(
                    f,
                    "it needs a node with the {word} {}, and none that is big enough has that; drop --label or wait for one",
                    labels.join(" and ")
                )
            }
            Self::NoKind { need } => {
                let what = match need {
                    Kind::Container => "containers",
                    Kind::Wasm => "WebAssembly modules",
                };
                write!(f, "it needs a node that runs {what}, and none that is big enough does; wait for one")
            }
            Self::NoNetwork { need } => {
                let hosts: Vec<String> = need.as_slice().iter().map(Endpoint::to_string).collect();
                write!(
                    f,
                    "it needs a node whose owner lets it reach {}, and none that would do otherwise has one; drop --network or wait for one",
                    hosts.join(" and ")
                )
            }
            Self::IsolationTooLow { need, highest } => write!(
                f,
                "it needs a node of isolation {need}, the best that would do otherwise is {highest}; ask for less or wait for one"
            ),
            Self::TrustTooLow { need, highest } => write!(
                f,
                "it needs a node of trust {need}, the best that would do otherwise is {highest}; ask for less or wait for one"
            ),
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

fn too_big(f: &mut fmt::Formatter<'_>, need: &Resources, most: &Resources) -> fmt::Result {
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
        true => write!(f, "no node is big enough: it needs {need} on one node; ask for less or wait for a larger node"),
        false => {
            write!(f, "no node is big enough: {}; ask for less or wait for a larger node", parts.join(", "))
        }
    }
}
