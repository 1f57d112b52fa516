//! How long a command has run, times of standing still apart.
//!
//! Invariant: no clock is read here; the time is given.

use hivemind_model::units::Millis;
use std::time::Duration;
use tokio::time::Instant;

/// The time of one command.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    limit: Duration,
    /// Sum of the times of standing still that are over.
    still: Duration,
    /// Since when it stands still.
    since: Option<Instant>,
    ended: Option<Instant>,
}

impl Clock {
    /// Of a command that began at `now` and may run for `limit`.
    pub(crate) fn started(now: Instant, limit: Millis) -> Self {
        // Thirty years is for ever, and what `sleep_until` itself uses for it.
        let for_ever = Duration::from_secs(30 * 365 * 24 * 3600);
        let limit = Duration::from_millis(limit.0).min(for_ever);
        Self { started: now, limit, still: Duration::ZERO, since: None, ended: None }
    }

    /// True while it stands still.
    pub(crate) fn is_still(&self) -> bool {
        self.since.is_some()
    }

    /// Takes note that it stands still, or goes on.
    pub(crate) fn set_still(&mut self, still: bool, now: Instant) {
        match (self.since, still) {
            (None, true) => self.since = Some(now),
            (Some(since), false) => {
                self.still += now.saturating_duration_since(since);
                self.since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// When its time is over, should it not stand still until then.
    pub(crate) fn deadline(&self) -> Instant {
        self.started + self.limit + self.still
    }

    /// Takes note that it has ended.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.set_still(false, now);
        self.ended = Some(now);
    }

    /// How long it stood still; what is not over yet apart.
    pub(crate) fn still(&self) -> Duration {
        self.still
    }

    /// How long it has run.
    pub(crate) fn ran(&self, now: Instant) -> Duration {
        let now = self.ended.unwrap_or(now);
        let open = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        now.saturating_duration_since(self.started).saturating_sub(self.still + open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_pass_for_what_stands_still() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut clock = Clock::started(begin, Millis(1000));
        clock.set_still(true, at(400));
        assert_eq!(clock.ran(at(60_400)), Duration::from_millis(400));
        clock.set_still(true, at(50_000));
        clock.set_still(false, at(60_400));
        assert_eq!(clock.deadline(), at(61_000));
        clock.stop(at(60_700));
        assert_eq!((clock.ran(at(99_000)), clock.still()), (Duration::from_millis(700), Duration::from_secs(60)));
        assert!(Clock::started(begin, Millis(u64::MAX)).deadline() > at(1 << 32));
    }
}
