//! The pool's clock: wall time that never goes backwards.
//!
//! Every command is applied at a time from here. When the machine's clock is set back, the
//! pool's time stands still until the machine has caught up, and the log says so once. A pool does
//! not start on a machine whose clock is far behind what the pool has seen: see [`Clock::resume`].
//!
//! Invariant: the only place in this crate that reads the wall clock.

use hivemind_model::{Millis, Timestamp};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far the machine's clock may be behind the pool's time at a start.
const MAX_BEHIND: Millis = Millis::from_secs(300);
/// A step back of the machine's clock that is worth a line in the log.
const NOTED_STEP: Millis = Millis::from_secs(5);

/// The machine's clock is too far behind for the pool to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock of this machine is {} s behind the time at which the pool was last running: until it had caught up, no lease, hold or reward would come to its end; set the clock right and start again; where it is right, the pool ran with a clock that was ahead: wait, or restore a backup from before that (pool: {}, machine: {}, in milliseconds since 1970)",
    behind.secs(), pool.0, machine.0
)]
pub(crate) struct ClockBehind {
    /// By how much.
    behind: Millis,
    /// The newest time in the store.
    pool: Timestamp,
    /// What the machine says.
    machine: Timestamp,
}

/// Monotone wall time.
#[derive(Debug)]
pub(crate) struct Clock {
    newest: AtomicI64,
    /// True while the machine's clock is behind and that was told.
    told: AtomicBool,
}

impl Clock {
    /// A clock that never tells less than `floor`.
    pub(crate) fn from(floor: Timestamp) -> Self {
        Self { newest: AtomicI64::new(floor.0), told: AtomicBool::new(false) }
    }

    /// The clock of a pool that has been running: it never tells less than `floor`, the newest time
    /// in the store.
    ///
    /// # Errors
    /// The machine's clock is more than five minutes behind that.
    pub(crate) fn resume(floor: Timestamp) -> Result<Self, ClockBehind> {
        let machine = wall();
        let behind = floor.since(machine);
        if behind > MAX_BEHIND {
            return Err(ClockBehind { behind, pool: floor, machine });
        }
        Ok(Self::from(floor))
    }

    /// Now, never less than what was told before.
    pub(crate) fn now(&self) -> Timestamp {
        let machine = wall();
        let (now, jumped) = self.tell(machine);
        if jumped {
            tracing::error!(
                behind_ms = now.since(machine).0,
                "the clock of this machine was set back; the pool's time stands still until it has caught up: leases, holds and rewards wait; set the clock right"
            );
        }
        now
    }

    /// The pool's time where the machine's clock says `machine`, and whether a jump back is new.
    fn tell(&self, machine: Timestamp) -> (Timestamp, bool) {
        let now = Timestamp(self.newest.fetch_max(machine.0, Ordering::AcqRel)).max(machine);
        let behind = now.since(machine);
        let told = self.told.load(Ordering::Relaxed);
        if behind > NOTED_STEP {
            return (now, !told && !self.told.swap(true, Ordering::Relaxed));
        }
        // Only a machine that has caught up can jump again.
        if told && behind == Millis(0) {
            self.told.store(false, Ordering::Relaxed);
        }
        (now, false)
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
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

    #[test]
    fn a_jump_back_is_told_once_until_the_machine_has_caught_up() {
        let clock = Clock::from(Timestamp(0));
        for (machine, now, jumped) in [
            (100_000, 100_000, false),
            (96_000, 100_000, false),
            (94_000, 100_000, true),
            (94_001, 100_000, false),
            (10_000, 100_000, false),
            (99_999, 100_000, false),
            (100_001, 100_001, false),
            (50_000, 100_001, true),
            (50_001, 100_001, false),
        ] {
            assert_eq!(clock.tell(Timestamp(machine)), (Timestamp(now), jumped), "at {machine}");
        }
    }

    #[test]
    fn a_pool_does_not_start_far_in_its_own_past() {
        let now = wall();
        assert!(Clock::resume(now.after(Millis::from_secs(60))).is_ok());
        let error = Clock::resume(now.after(Millis::from_secs(3600))).unwrap_err();
        assert!(error.behind > Millis::from_secs(3500) && error.to_string().contains("set the clock right"), "{error}");
    }
}
