//! How the worker is doing, for the command line and for tests.
//!
//! Start at [`Status`].
//!
//! Invariant: a copy; reading it stops nothing.

use hivemind_model::Availability;
use serde::{Deserialize, Serialize};
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
    /// What the owner lets the machine do.
    pub availability: Availability,
    /// Attempts that occupy the machine.
    pub jobs: u32,
    /// Those of them that have a graphics processor.
    pub gpu_jobs: u32,
    /// Processor time that attempts have used; `None` where their runtime does not tell.
    pub cpu_used: Option<Duration>,
    /// Attempts that were handed out and wait for their turn.
    pub backlog: usize,
    /// Everything here, with the results that wait for the pool's acknowledgement.
    pub attempts: usize,
    /// Why the last link was lost, or what else went wrong last; `None` where nothing did.
    pub last_error: Option<String>,
    pub(crate) lease_until: Option<Instant>,
    pub(crate) reap_at: Option<Instant>,
}

/// An attempt that occupies the machine, as its owner may see it: not what it computes, nor for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Which.
    pub attempt: String,
    /// What holds its program: a name, or the digest of a content.
    pub image: String,
    /// When its preparation began.
    pub since_unix_ms: i64,
    /// Processor time so far.
    pub cpu_ms: u64,
    /// Memory now.
    pub memory_bytes: u64,
    /// Bytes under `/task` now; zero where that is not known.
    pub disk_bytes: u64,
    /// True where it stands still.
    pub paused: bool,
    /// How much it says is done, 0 to 100.
    pub progress_percent: u8,
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
