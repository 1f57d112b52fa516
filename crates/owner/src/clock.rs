//! What time it is, in the two ways that the rules need.
//!
//! Invariant: the only clock that decides; the rules take what it said as an argument.

use jiff::Zoned;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// One moment, by two clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Since the machine was started. It never goes back, and goes on while the machine sleeps.
    pub steady: Duration,
    /// By the owner's clock on the wall, in their time zone.
    pub local: Zoned,
}

impl Moment {
    /// Now, in the time zone of this machine.
    #[must_use]
    pub fn now() -> Self {
        Self { steady: steady(), local: Zoned::now() }
    }
}

/// Since the machine was started, its sleep included.
#[must_use]
pub fn steady() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let first = Moment::now();
        let second = Moment::now();
        assert!(first.steady > Duration::ZERO && first.steady <= second.steady);
    }
}
