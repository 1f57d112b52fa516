//! The pool as one deterministic state machine.
//!
//! `apply(command, now) -> changes + effects + reply`. Start at [`Engine::apply`].
//!
//! Invariant: no clock, no randomness, no I/O, no async; equal commands give equal states.

use hivemind_ledger::{LedgerChanges, LedgerImage};
use hivemind_model::rows::{Recovered, RowChanges};
use hivemind_model::{Command, Effect, Policy, Rejection, Reply, Timestamp};

/// Everything one batch changed, to be written in one transaction.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// Rows.
    pub rows: RowChanges,
    /// Books.
    pub ledger: LedgerChanges,
    /// To be sent once the rest is durable, in order.
    pub effects: Vec<Effect>,
}

/// The state of a pool.
pub struct Engine {}

/// The stored state cannot be true.
#[derive(Debug, thiserror::Error)]
#[error("the stored state breaks {invariant}: {detail}")]
pub struct Violation {
    /// Which invariant, `L1` to `T8`.
    pub invariant: &'static str,
    /// What was found.
    pub detail: String,
}

impl Engine {
    /// Founds a pool: the whole supply in the treasury.
    pub fn found(policy: Policy, now: Timestamp) -> Self { let _ = (policy, now); Self {} }
    /// Goes on from what was stored. Every node is offline until it connects.
    ///
    /// # Errors
    /// The first invariant that the stored state breaks.
    pub fn restore(policy: Policy, rows: Recovered, books: LedgerImage) -> Result<Self, Violation> { let _ = (policy, rows, books); Ok(Self {}) }
    /// Applies one command.
    ///
    /// # Errors
    /// The refusal; nothing has changed (but a remembered client-made id).
    pub fn apply(&mut self, command: Command, now: Timestamp) -> Result<Reply, Rejection> { let _ = (command, now); Ok(Reply::Done) }
    /// Places what waits, once per batch, after its commands.
    pub fn schedule(&mut self, now: Timestamp) { let _ = now; }
    /// What has changed since the last call, one row per key.
    pub fn take_batch(&mut self) -> Batch { Batch::default() }
    /// Checks every invariant from scratch; for tests and the simulator.
    ///
    /// # Errors
    /// The first one that is broken.
    pub fn check(&self) -> Result<(), Violation> { Ok(()) }
    /// When a [`Command::Tick`] next has something to do; `None` where nothing is due.
    pub fn next_due(&self) -> Option<Timestamp> { None }
    /// Why the task waits, in one sentence; `None` where it does not.
    pub fn waiting_reason(&self, task: hivemind_model::TaskId) -> Option<String> { let _ = task; None }
}
