//! How fast something may go.
//!
//! Start at [`Bucket::wait`]. What is spent may exceed what is there; the debt is paid before more is given. So a
//! long time's mean is the rate, and no reservation has to be given back.
//!
//! Invariant: no clock here; the time is an argument.

use std::time::Duration;
use tokio::time::Instant;

/// A bucket that fills at a steady rate.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    most: f64,
    there: f64,
    since: Instant,
}

impl Bucket {
    /// Full at `now`. Holds a quarter of a second's worth, and `least` at least.
    pub(crate) fn new(per_second: u64, least: u64, now: Instant) -> Self {
        // Exact up to 2^53, which no network reaches.
        #[allow(clippy::cast_precision_loss, reason = "a rate need not be exact beyond 2^53")]
        let (per_second, least) = (per_second.max(1) as f64, least as f64);
        let most = (per_second / 4.0).max(least);
        Self { per_second, most, there: most, since: now }
    }

    /// How long to wait until something is there; `None` where something is.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.since);
        self.there = (self.there + passed.as_secs_f64() * self.per_second).min(self.most);
        self.since = now;
        // A millisecond is the finest that the timers have.
        let missing = (1.0 - self.there) / self.per_second;
        (missing > 0.0).then(|| Duration::from_secs_f64(missing.clamp(0.001, 60.0)))
    }

    /// Takes `amount`, though less may be there.
    pub(crate) fn spend(&mut self, amount: usize) {
        #[allow(clippy::cast_precision_loss, reason = "amounts are buffers' sizes")]
        let amount = amount as f64;
        self.there -= amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_time_s_mean_is_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, 10, start);
        let (mut now, mut spent) = (start, 0);
        while now - start < Duration::from_secs(100) {
            match bucket.wait(now) {
                Some(wait) => now += wait,
                None => {
                    bucket.spend(100);
                    spent += 100;
                }
            }
        }
        assert!((100_000..=100_400).contains(&spent), "{spent}");
    }

    #[test]
    fn what_was_not_used_is_not_kept_for_ever() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, 10, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(bucket.wait(later), None);
        bucket.spend(250);
        assert!(bucket.wait(later).is_some());
        assert!(Bucket::new(0, 1, start).wait(later).is_none(), "no rate is so low that nothing ever passes");
    }
}
