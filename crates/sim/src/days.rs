//! Days of a whole pool in seconds: thousands of nodes that come and go, people who submit, cheats.
//!
//! The very same engine as in a pool decides everything; around it stand machines with their habits,
//! requesters with mixed work, and owners whose nodes lie. Start at [`run`]; what happens when is in
//! [`world`], what is counted in [`tally`]. [`two`] is a small scenario of its own about fairness.
//!
//! Invariant: no clock, no threads, no randomness but the seed: the same seed gives the same report.

mod chance;
mod churn;
mod demand;
mod machine;
mod measure;
mod people;
mod report;
mod tally;
mod truth;
mod two;
mod world;

pub use report::{Caught, CoreTime, Report, Results, Waits};
pub use truth::Kind;
pub use two::{TwoUsers, two_users};

use crate::{Failure, guarded_run};
use hivemind_model::verify::{Doubt, Rule};
use world::World;

/// What a run is given.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Machines; their owners have one to five each.
    pub nodes: u32,
    /// People who submit.
    pub requesters: u32,
    /// Hours that are measured.
    pub hours: u64,
    /// Hours before that, in which the pool fills.
    pub warm_up: u64,
    /// Work that is submitted, in percent of what the machines can do.
    pub load: u64,
    /// Submissions whose results are verified, in percent.
    pub verified: u64,
    /// How.
    pub rule: Rule,
    /// Owners whose nodes lie, in percent.
    pub cheats: u64,
    /// How they lie.
    pub kind: Kind,
    /// Every invariant is checked from scratch after so many hours, and at the end.
    pub check_every: u64,
}

impl Config {
    /// Three days of 2,000 nodes without cheats.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            nodes: 2000,
            requesters: 50,
            hours: 72,
            warm_up: 12,
            load: 70,
            verified: 30,
            rule: Rule::Confidence { doubt: Doubt(1000) },
            cheats: 0,
            kind: Kind::Colluding,
            check_every: 6,
        }
    }
}

/// Runs one pool through all its hours.
///
/// # Errors
/// The first promise that did not hold.
pub fn run(config: Config) -> Result<Report, Failure> {
    guarded_run(config.seed, || {
        let mut world = World::new(config);
        world.live().map_err(|violation| Failure {
            seed: config.seed,
            at: world.now,
            invariant: violation.invariant.into(),
            detail: violation.detail,
        })
    })
}

#[cfg(test)]
mod tests;
