//! What of the preferences holds by itself: the part of the machine that tasks get, and what is kept of their inputs.
//!
//! Start at [`Limits::apply`].
//!
//! Invariant: a limit is never larger than the preferences that were applied last say.

use crate::cache::InputCache;
use crate::share::HeldShare;
use hivemind_model::Bytes;
use hivemind_owner::{Ours, Preferences};
use std::sync::Arc;
use std::time::Duration;

/// Between two looks whether others have changed the share's limits.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Limits {
    /// `None` where nothing real is used.
    pub share: Option<HeldShare>,
    /// Inputs of tasks.
    pub cache: Arc<InputCache>,
    /// How much is kept of them where the preferences do not say.
    pub usual: Bytes,
}

/// When the share was looked at last.
#[derive(Debug, Default)]
pub(super) struct Kept {
    at: Option<Duration>,
    working: bool,
}

impl Limits {
    /// Sets them by `preferences`.
    pub(super) fn apply(&self, preferences: &Preferences) {
        if let Some(share) = &self.share {
            share.set(&preferences.shares);
        }
        self.cache.limit(preferences.cache.limit_bytes().map_or(self.usual, Bytes));
    }

    /// Looks at the share where that is due: once in a while, and where work has just begun, because whoever makes the
    /// first group in it may write values of their own.
    pub(super) fn keep(&self, kept: &mut Kept, working: bool, now: Duration) {
        let is_due = kept.at.is_none_or(|at| now.saturating_sub(at) >= KEEP_EVERY) || (working && !kept.working);
        kept.working = working;
        if let (true, Some(share)) = (is_due, &self.share) {
            kept.at = Some(now);
            share.keep();
        }
    }

    /// `told`, with what the share knows better: it counts everything in it, at once.
    pub(super) fn ours(&self, told: Ours) -> Ours {
        let Some(share) = &self.share else { return told };
        // What no group counts is only told; neither of them ever falls.
        let cpu = share.cpu_used().max(told.cpu);
        Ours { cpu, cgroup: share.name().unwrap_or_default().to_owned(), ..told }
    }

    /// What is wrong with the share.
    pub(super) fn fault(&self) -> Option<String> {
        self.share.as_ref().and_then(HeldShare::fault)
    }
}
