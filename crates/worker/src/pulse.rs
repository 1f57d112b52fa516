//! Tells systemd that the worker's loop goes round.
//!
//! Start at [`Pulse::beat`].
//!
//! Invariant: only the loop itself beats, so that one that is stuck is noticed.

use hivemind_owner::service::Notifier;
use std::time::Duration;
use tokio::time::Instant;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Who is told, and how often; `None` where nobody waits.
    heard: Option<(Notifier, Duration)>,
    next: Option<Instant>,
    failed: bool,
}

impl Pulse {
    /// As systemd wants it, where it started this process.
    pub(crate) fn from_environment() -> Self {
        match Notifier::from_environment() {
            Ok(notifier) => Self::of(notifier),
            Err(why) => {
                tracing::warn!("systemd cannot be told that the worker is alive: {why}");
                Self::default()
            }
        }
    }

    fn of(notifier: Notifier) -> Self {
        let every = notifier.alive_every();
        Self { heard: every.map(|every| (notifier, every)), ..Self::default() }
    }

    /// Says that the loop goes round, where that is due; gives when it is due next.
    pub(crate) fn beat(&mut self, now: Instant) -> Option<Instant> {
        let (notifier, every) = self.heard.as_ref()?;
        if self.next.is_none_or(|at| now >= at) {
            let told = notifier.alive();
            if let (Err(why), false) = (&told, self.failed) {
                tracing::warn!("systemd does not hear that the worker is alive: {why}");
            }
            self.failed = told.is_err();
            self.next = Some(now + *every);
        }
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_worker_that_systemd_did_not_start() {
        assert_eq!(Pulse::default().beat(Instant::now()), None);
    }
}
