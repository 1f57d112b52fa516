//! A gate that closes at once and opens after a quiet time.
//!
//! Invariant: between two openings lies at least one quiet time.

use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: bool,
    fine_since: Option<Duration>,
}

impl Gate {
    /// One that has to be opened first.
    pub(super) fn closed() -> Self {
        Self { closed: true, fine_since: None }
    }

    /// Closes where it is `bad`; opens where it has been `fine` for `quiet`; else stays. True where it is closed then.
    pub(super) fn step(&mut self, bad: bool, fine: bool, quiet: Duration, now: Duration) -> bool {
        if bad {
            *self = Self::closed();
        } else if fine {
            let since = *self.fine_since.get_or_insert(now);
            self.closed = self.closed && now.saturating_sub(since) < quiet;
        } else {
            self.fine_since = None;
        }
        self.closed
    }
}
