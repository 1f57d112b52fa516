//! Chooses nodes for waiting work, with reasons.
//!
//! Start at [`plan()`]: whose turn, filter, score, take. Its nodes are a [`Fleet`], which their keeper holds between passes.
//! [`explain`] says why something still waits, [`constraints()`] what each node lacks and what would have to be asked for
//! instead.
//!
//! Invariant: pure; equal inputs give equal plans. A plan is a proposal: nothing is reserved here.

mod constraints;
mod explain;
mod fleet;
mod index;
mod node;
mod plan;
mod score;

pub use constraints::{Ask, Change, Constraint, Constraints, Remedy, Standing, constraints};
pub use explain::{Prospects, WhyWaiting, explain, prospects};
pub use fleet::Fleet;
pub use node::{Keys, MAX_KEYS, NodeView, PER_MILLE};
pub use plan::plan;

use hivemind_model::spec::Need;
use hivemind_model::{ElementRef, MilliCores, Millis, NodeId, Resources, Timestamp, UserId};

/// Head start of each level of priority over the level below: a task of priority 10 that was handed
/// in nine hours ago and one of priority 1 of now come at the same time.
pub const LEAD_PER_PRIORITY: Millis = Millis::from_secs(3600);

/// The place of an element among those of its requester; the smallest is served first.
///
/// It is the time of submission, put forward by an hour for each level of priority: so what is
/// urgent goes first, and what is old enough goes before it. Nothing starves, and no rank ever changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    due: Timestamp,
    element: ElementRef,
    since: Timestamp,
}

impl Rank {
    /// The rank of `element` at `priority` (10 is the most urgent), handed in at `since`.
    #[must_use]
    pub const fn new(priority: u8, since: Timestamp, element: ElementRef) -> Self {
        Self { due: since.before(Millis(LEAD_PER_PRIORITY.0 * priority as u64)), element, since }
    }

    /// The rank of another element of the same task.
    #[must_use]
    pub const fn of(self, index: u32) -> Self {
        Self { element: ElementRef { task: self.element.task, index }, ..self }
    }

    /// Whose rank it is.
    #[must_use]
    pub const fn element(&self) -> ElementRef {
        self.element
    }

    /// When it was handed in.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }
}

/// The place of a requester among all that have something waiting: who has used less comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// What they have used, as the queue's keeper weighs it.
    pub used: u128,
    /// Who.
    pub user: UserId,
}

/// Where a pass stopped looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// At whom.
    pub turn: Turn,
    /// At which of their elements.
    pub rank: Rank,
}

/// A node that is kept free for an element that has waited for long and needs much of it. Its keeper hands it to the next
/// pass as long as the element waits and the node's owner is not one that the element must not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Whose element.
    pub user: UserId,
    /// Which.
    pub rank: Rank,
    /// What it needs.
    pub need: Need,
    /// Where.
    pub node: NodeId,
}

/// Something that an element reads, which some nodes may have already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// The same for the same content.
    pub key: u64,
    /// How much it is.
    pub bytes: u64,
}

/// An element that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// Its place.
    pub rank: Rank,
    /// The nodes where it failed through no fault of its own, one entry per failure; others are preferred.
    pub failed_on: &'a [NodeId],
    /// Whose nodes it is never placed on: those who have a copy of it already.
    pub not_owners: &'a [UserId],
    /// What it reads, where a node that has it is worth looking for.
    pub inputs: &'a [Input],
}

impl Waiting<'_> {
    /// One that may run everywhere.
    #[must_use]
    pub const fn anywhere(rank: Rank) -> Self {
        Self { rank, failed_on: &[], not_owners: &[], inputs: &[] }
    }
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
    /// Everybody who has something waiting, by turn, from the first that is not before `from` (`None`: from the
    /// very first).
    fn turns(&self, from: Option<Turn>) -> Box<dyn Iterator<Item = Turn> + '_>;

    /// Every line of a user with at least one element, in order of head, from the first whose head is
    /// not before `from` (`None`: from the very first).
    fn lines(&self, user: UserId, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_>;

    /// No element needs less than this of anything. The closer, the sooner a pass sees that a full pool has room for none.
    fn least(&self) -> Resources {
        Resources { cpu: MilliCores(1), ..Resources::default() }
    }
}

/// What a plan is made from.
pub struct Snapshot<'a> {
    /// Every node that takes work, full or not.
    pub fleet: &'a Fleet,
    /// What waits.
    pub queue: &'a dyn Queue,
    /// What a placement adds to what its requester has used.
    pub cost: &'a dyn Fn(&Need) -> u128,
    /// Elements handed in at this time or earlier get a node reserved if none has room for them.
    pub reserve_before: Timestamp,
    /// The reservation of the pass before, where its element still waits.
    pub reserved: Option<Reservation>,
    /// Where the pass before stopped looking, if it did not see everything.
    pub resume: Option<Cursor>,
}

/// One line of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// What.
    pub element: ElementRef,
    /// Where.
    pub node: NodeId,
    /// True where the node has no room for it yet: it goes to those that wait there.
    pub backlog: bool,
}

/// A proposal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they were chosen.
    pub placements: Vec<Placement>,
    /// The node to keep free until the next pass.
    pub reserved: Option<Reservation>,
    /// Where to go on: the pass reached one of its bounds before it had looked at everything.
    pub resume: Option<Cursor>,
}

/// Bounds of one pass. They keep a pass short, not work waiting: the next pass goes on where
/// this one stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most placements.
    pub placements: usize,
    /// Most lines looked at from the front, and as many again from where the pass before stopped. An element that is
    /// passed over, as all that have room are of owners that it must not have, counts as a line.
    pub lines: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { placements: 8192, lines: 2048 }
    }
}
