//! How the worker is doing, for the command line and for tests.
//!
//! Start at [`Status`].
//!
//! Invariant: a copy; reading it stops nothing.

use std::time::Duration;
use tokio::time::Instant;

/// A look at the worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// True while the pool answers over the link.
    pub linked: bool,
    /// How often the pool has answered a new link.
    pub welcomes: u64,
    /// True where no more work is wanted.
    pub draining: bool,
    /// Attempts that occupy the machine.
    pub jobs: u32,
    /// Attempts that were handed out and wait for their turn.
    pub backlog: usize,
    /// Everything here, with the results that wait for the pool's acknowledgement.
    pub attempts: usize,
    /// Why the last link was lost, or what else went wrong last; `None` where nothing did.
    pub last_error: Option<String>,
    pub(crate) lease_until: Option<Instant>,
    pub(crate) reap_at: Option<Instant>,
}

impl Status {
    /// What is left of the lease; zero where it has ended, `None` where there never was one.
    #[must_use]
    pub fn lease_left(&self) -> Option<Duration> {
        self.lease_until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// After how long whoever watches this process must end what it runs, should it stand still
    /// until then: shortly before the lease ends. `None` where there never was a lease.
    #[must_use]
    pub fn reap_after(&self) -> Option<Duration> {
        self.reap_at.map(|at| at.saturating_duration_since(Instant::now()))
    }
}
