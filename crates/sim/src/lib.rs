//! Seeded simulator of the whole pool.
//!
//! It drives the real engine, and models all that stands around it: the writer with its group
//! commits and a store that loses its tail, links that break, workers with leases and spools,
//! clients that retry, machines that die. Start at [`run`]; what happens is in [`world`].
//!
//! Invariant: no clock, no threads, no randomness but the seed: the same seed gives the same run.

mod begin;
mod client;
pub mod days;
pub mod economy;
mod faults;
mod policy;
mod pool;
mod proof;
mod rng;
mod stored;
mod worker;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// What a run is given.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Events with faults; then the faults stop and everything must come to its end.
    pub steps: u64,
    /// Print what happens.
    pub trace: bool,
    /// Break a rule on purpose, to see that it is noticed.
    pub sabotage: Sabotage,
}

impl Config {
    /// A run of `seed` as it is run by default.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, steps: 800, trace: false, sabotage: Sabotage::None }
    }
}

/// A rule that is broken on purpose, outside of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    None,
    /// The pool forges the number of a stale result into the current one.
    ForgeStaleResults,
    /// The pool answers before what it answers is durable.
    AnswerEarly,
    /// Workers go on when their lease has run out.
    IgnoreLeases,
    /// The pool makes a fresh client-made id of each one that it gets.
    ForgetRequestIds,
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Over everything that happened; equal for equal runs.
    pub trace_hash: u64,
    /// Events.
    pub events: u64,
    /// Tasks that were accepted.
    pub tasks: usize,
    /// Attempts that were made.
    pub attempts: usize,
    /// How often the pool was killed.
    pub pool_kills: u64,
    /// How often a machine was killed.
    pub worker_kills: u64,
    /// How often a link was broken.
    pub link_breaks: u64,
    /// Batches that were lost because they were not durable.
    pub lost_batches: u64,
    /// How often a node was declared lost.
    pub lost_nodes: u64,
    /// Messages about attempts that were not the current one.
    pub stale_messages: u64,
    /// Journal entries of running attempts.
    pub accruals: u64,
    /// Attempts whose accruals went back.
    pub returns: u64,
    /// Holds that expired.
    pub expiries: u64,
    /// Rewards that were paid.
    pub rewards: u64,
    /// Restarts of the pool while attempts had earned something.
    pub accruals_recovered: u64,
}

impl Summary {
    /// Adds the counts of another run; the hashes are mixed.
    pub fn add(&mut self, other: &Self) {
        self.trace_hash = self.trace_hash.rotate_left(1) ^ other.trace_hash;
        self.events += other.events;
        self.tasks += other.tasks;
        self.attempts += other.attempts;
        self.pool_kills += other.pool_kills;
        self.worker_kills += other.worker_kills;
        self.link_breaks += other.link_breaks;
        self.lost_batches += other.lost_batches;
        self.lost_nodes += other.lost_nodes;
        self.stale_messages += other.stale_messages;
        self.accruals += other.accruals;
        self.returns += other.returns;
        self.expiries += other.expiries;
        self.rewards += other.rewards;
        self.accruals_recovered += other.accruals_recovered;
    }
}

/// A promise that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed that replays it.
    pub seed: u64,
    /// Simulated milliseconds from the start.
    pub at: u64,
    /// Which promise: `L1` to `T8`, `guard` of the guarded mode, or `bug` where the engine stopped itself.
    pub invariant: String,
    /// What was found.
    pub detail: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {} at {} ms: {}: {}", self.seed, self.at, self.invariant, self.detail)
    }
}

impl std::error::Error for Failure {}

/// Runs one seed to its end.
///
/// # Errors
/// The first promise that did not hold.
pub fn run(config: Config) -> Result<Summary, Failure> {
    guarded_run(config.seed, || World::new(config).run())
}

/// What `run` comes to; where the engine stops itself, that is a failure too.
fn guarded_run<T>(seed: u64, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Failure {
            seed,
            at: 0,
            invariant: "bug".into(),
            detail: text.unwrap_or_else(|| "the engine stopped itself".into()),
        })
    })
}

#[cfg(test)]
mod tests;
