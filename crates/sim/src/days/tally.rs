//! What is counted.
//!
//! Start at [`Tally`]. What an attempt used is known to its machine, what became of it to the pool; either
//! may come first.
//!
//! Invariant: counts only; nothing that happens depends on them.

use hivemind_model::{AttemptRef, Code};
use std::collections::{BTreeMap, BTreeSet};

/// What became of the core time of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// The accepted result of an element, and true.
    Useful,
    /// Accepted, but a lie.
    Wrong,
    /// A copy that agreed with what was accepted.
    Copy,
    /// A lie that was not accepted.
    Cheated,
    /// A true result that was not accepted.
    Disagreed,
    /// Lost with its machine.
    Lost,
    /// Stopped, as it was not needed any more.
    Stopped,
}

#[derive(Debug, Clone, Copy)]
enum Half {
    Spent(u64),
    Ended(Fate),
}

/// Elements by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) accepted: u64,
    /// Of these, lies, as the requester has them when the task has ended.
    pub(super) wrong: u64,
    /// Lies that were accepted at first, also those that were found later.
    pub(super) wrong_at_first: u64,
    /// Of the accepted, with an exit code that is not zero.
    pub(super) failed: u64,
    pub(super) disputed: u64,
    /// Given up through no fault of the task.
    pub(super) given_up: u64,
    /// Attempts of all these.
    pub(super) attempts: u64,
    /// Decided again, as a cheat had had a part in them.
    pub(super) rechecked: u64,
}

/// A first start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) requester: usize,
    pub(super) cores: u32,
    pub(super) millis: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) commands: u64,
    pub(super) entries: u64,
    pub(super) checks: u64,
    pub(super) refusals: BTreeMap<Code, u64>,
    pub(super) lost_nodes: u64,
    pub(super) lost_jobs: u64,
    pub(super) tasks: u64,
    /// Attempts of open tasks that lied.
    pub(super) lies: BTreeSet<AttemptRef>,
    halves: BTreeMap<AttemptRef, Half>,
    /// Where core time is counted from now on.
    pub(super) counts: bool,
    pub(super) core_time: BTreeMap<Fate, u128>,
    pub(super) offered: u128,
    pub(super) busy: u128,
    pub(super) waits: Vec<Wait>,
    /// By whether they are verified, submitted in the warm-up and after.
    pub(super) warm: [Ends; 2],
    pub(super) measured: [Ends; 2],
    /// Machines of honest owners of which a wrong result was found.
    pub(super) blamed: BTreeSet<usize>,
}

impl Tally {
    /// What an attempt used, as its machine knows when it is over there.
    pub(super) fn spent(&mut self, attempt: AttemptRef, core_time: u64) {
        match self.halves.get(&attempt).copied() {
            Some(Half::Ended(fate)) => self.closes(attempt, fate, core_time),
            Some(Half::Spent(_)) | None => drop(self.halves.insert(attempt, Half::Spent(core_time))),
        }
    }

    /// What became of an attempt, as the pool decided.
    pub(super) fn ended(&mut self, attempt: AttemptRef, fate: Fate) {
        match self.halves.get(&attempt).copied() {
            Some(Half::Spent(core_time)) => self.closes(attempt, fate, core_time),
            Some(Half::Ended(_)) | None => drop(self.halves.insert(attempt, Half::Ended(fate))),
        }
    }

    fn closes(&mut self, attempt: AttemptRef, fate: Fate, core_time: u64) {
        self.halves.remove(&attempt);
        if self.counts {
            *self.core_time.entry(fate).or_default() += u128::from(core_time);
        }
    }
}
