//! Chooses nodes for waiting work, with reasons.
//!
//! Start at [`plan()`]: filter, score, take. [`explain`] says why something still waits.
//!
//! Invariant: pure; equal inputs give equal plans. A plan is a proposal: nothing is reserved here.

mod explain;
mod plan;
mod score;

pub use explain::{Prospects, WhyWaiting, explain, prospects};
pub use plan::plan;

use hivemind_model::spec::Need;
use hivemind_model::{ElementRef, Level, NodeId, Resources};
use std::cmp::Reverse;

/// A node that takes work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Which.
    pub id: NodeId,
    /// What it offers altogether.
    pub capacity: Resources,
    /// What nobody has reserved.
    pub free: Resources,
    /// What it has reached by being there.
    pub level: Level,
}

impl NodeView {
    /// True where an idle node of this kind could run it.
    #[must_use]
    pub fn could_run(&self, need: &Need) -> bool {
        self.level >= need.level && self.capacity.covers(&need.resources)
    }

    /// True where it has room for it now.
    #[must_use]
    pub fn has_room(&self, need: &Need) -> bool {
        self.level >= need.level && self.free.covers(&need.resources)
    }
}

/// The place of an element in the queue; the smallest is served first: higher priority, then
/// earlier submission, then lower index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    urgency: Reverse<u8>,
    element: ElementRef,
}

impl Rank {
    /// The rank of `element` at `priority` (10 is the most urgent).
    #[must_use]
    pub const fn new(priority: u8, element: ElementRef) -> Self {
        Self { urgency: Reverse(priority), element }
    }

    /// Whose rank it is.
    #[must_use]
    pub const fn element(&self) -> ElementRef {
        self.element
    }
}

/// An element that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// Its place.
    pub rank: Rank,
    /// The nodes where it failed through no fault of its own, one entry per failure; others are preferred.
    pub failed_on: &'a [NodeId],
}

/// Elements that need the same, in order of rank.
pub struct Line<'a> {
    /// What each of them needs.
    pub need: Need,
    /// The rank of the first.
    pub head: Rank,
    /// All of them, first to last.
    pub waiting: Box<dyn Iterator<Item = Waiting<'a>> + 'a>,
}

/// The waiting work as its keeper has it. Nothing is copied for a pass, and a pass takes from
/// these iterators only what it looks at.
pub trait Queue {
    /// Every line with at least one element, in order of head, from the first whose head is not
    /// before `from` (`None`: from the very first).
    fn lines(&self, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_>;
}

/// What a plan is made from.
pub struct Snapshot<'a> {
    /// Nodes with something free, by id.
    pub nodes: Vec<NodeView>,
    /// What waits.
    pub queue: &'a dyn Queue,
    /// Where the pass before stopped looking, if it did not see everything.
    pub resume: Option<Rank>,
}

/// One line of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// What.
    pub element: ElementRef,
    /// Where.
    pub node: NodeId,
}

/// A proposal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of rank in which they were chosen.
    pub placements: Vec<Placement>,
    /// Where to go on: the pass reached one of its bounds before it had looked at everything.
    pub resume: Option<Rank>,
}

/// Bounds of one pass. They keep a pass short, not work waiting: the next pass goes on where
/// this one stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most placements.
    pub placements: usize,
    /// Most lines looked at from the front, and as many again from where the pass before stopped.
    pub lines: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { placements: 8192, lines: 2048 }
    }
}
