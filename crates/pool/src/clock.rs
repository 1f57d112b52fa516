//! The pool's clock: wall time that never goes backwards.
//!
//! Every command is applied at a time from here. When the machine's clock is set back, the
//! pool's time stands still until the machine has caught up.
//!
//! Invariant: the only place in this crate that reads the wall clock.

use hivemind_model::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Monotone wall time.
#[derive(Debug)]
pub(crate) struct Clock {
    newest: AtomicI64,
}

impl Clock {
    /// A clock that never tells less than `floor`, the newest time in the store.
    pub(crate) fn from(floor: Timestamp) -> Self {
        Self { newest: AtomicI64::new(floor.0) }
    }

    /// Now, never less than what was told before.
    pub(crate) fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.newest.fetch_max(wall, Ordering::AcqRel).max(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_rather_than_going_back() {
        let future = Timestamp(i64::MAX - 1);
        let clock = Clock::from(future);
        assert_eq!(clock.now(), future);
        let clock = Clock::from(Timestamp(0));
        let first = clock.now();
        assert!(clock.now() >= first && first.0 > 0);
    }
}
