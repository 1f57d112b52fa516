//! How long something has stood still, and when it is given back.
//!
//! Invariant: what was to be given back stays so until work may go on.

use hivemind_model::Availability;
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Standstill(Option<Pause>);

#[derive(Debug)]
struct Pause {
    /// Something ran when it began, and has not been given back.
    work: bool,
    give_back_at: Duration,
}

impl Standstill {
    /// Whether work stands still at `now` that may still go on; `None` where there is no pause.
    pub(super) fn holds(&self, now: Duration) -> Option<bool> {
        self.0.as_ref().map(|pause| pause.work && now < pause.give_back_at)
    }

    /// Follows `availability`; gives when what stands still is given back.
    pub(super) fn step(
        &mut self,
        availability: &Availability,
        working: bool,
        hopeless: bool,
        bound: Duration,
        now: Duration,
    ) -> Option<Duration> {
        match availability {
            Availability::Open | Availability::Finishing { .. } => self.0 = None,
            Availability::Paused { .. } => {
                let pause = self.0.get_or_insert(Pause { work: working, give_back_at: now.saturating_add(bound) });
                // It may have ended, or been cancelled, meanwhile; and what was being prepared may have begun.
                pause.work = working;
                if hopeless {
                    pause.give_back_at = pause.give_back_at.min(now);
                }
            }
        }
        self.0.as_ref().map(|pause| pause.give_back_at)
    }
}
