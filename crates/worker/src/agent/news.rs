//! What an attempt tells while it runs: how much is done, and what happens.
//!
//! However often a command speaks, the pool hears of it at most once in [`PAUSE`]; what came in between is told with
//! the last of it. Start at [`Agent::on_progress`].
//!
//! Invariant: the percentage of an attempt never falls, and the last one is told before its end.

use super::{Agent, Link};
use crate::event::Action;
use hivemind_model::AttemptRef;
use std::time::Duration;
use tokio::time::Instant;

/// Between two messages about one attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct News {
    percent: u8,
    note: String,
    /// True where the pool was not told what is here.
    unsent: bool,
    /// When it may be told again.
    next_at: Option<Instant>,
    /// True while the attempt is in the line of those whose news wait.
    queued: bool,
}

impl News {
    /// How much is done, 0 to 100.
    pub(crate) fn percent(&self) -> u8 {
        self.percent
    }

    /// What was to be told of the preparation has no meaning any more.
    pub(super) fn forget_note(&mut self) {
        self.note.clear();
    }

    fn is_empty(&self) -> bool {
        self.percent == 0 && self.note.is_empty()
    }

    fn told(&mut self, attempt: AttemptRef, now: Instant) -> Action {
        self.unsent = false;
        self.next_at = Some(now + PAUSE);
        Action::SendProgress { attempt, percent: self.percent, note: self.note.clone() }
    }
}

impl Agent {
    pub(super) fn on_note(&mut self, attempt: AttemptRef, text: String, now: Instant) -> Vec<Action> {
        let Some(entry) = self.attempts.get_mut(&attempt).filter(|entry| entry.phase.is_working()) else {
            return Vec::new();
        };
        entry.news.note = text;
        entry.news.unsent = true;
        self.tell_news(attempt, now).into_iter().collect()
    }

    /// A command that takes something back is not believed.
    pub(super) fn on_progress(&mut self, attempt: AttemptRef, percent: u8, now: Instant) -> Vec<Action> {
        let Some(entry) = self.attempts.get_mut(&attempt).filter(|entry| entry.phase.is_working()) else {
            return Vec::new();
        };
        let percent = percent.min(100);
        if percent <= entry.news.percent {
            return Vec::new();
        }
        entry.news.percent = percent;
        entry.news.unsent = true;
        self.tell_news(attempt, now).into_iter().collect()
    }

    /// Tells what is new of an attempt, now or as soon as that may be.
    fn tell_news(&mut self, attempt: AttemptRef, now: Instant) -> Option<Action> {
        if self.link != Link::Up {
            return None;
        }
        let news = &mut self.attempts.get_mut(&attempt)?.news;
        match news.next_at.filter(|at| now < *at) {
            None => Some(news.told(attempt, now)),
            Some(at) => {
                if !news.queued {
                    news.queued = true;
                    self.late_news.insert((at, attempt));
                }
                None
            }
        }
    }

    /// A pool that has just answered knows nothing of what was told over other links.
    pub(super) fn repeat_news(&mut self, attempt: AttemptRef, now: Instant) -> Option<Action> {
        let news = &mut self.attempts.get_mut(&attempt)?.news;
        (!news.is_empty()).then(|| news.told(attempt, now))
    }

    /// What was not told yet of an attempt that is over.
    pub(super) fn last_news(&mut self, attempt: AttemptRef) -> Option<Action> {
        let news = &mut self.attempts.get_mut(&attempt)?.news;
        if self.link != Link::Up || !news.unsent {
            return None;
        }
        news.unsent = false;
        Some(Action::SendProgress { attempt, percent: news.percent, note: news.note.clone() })
    }

    /// When news that wait may be told.
    pub(super) fn next_news(&self) -> Option<Instant> {
        self.late_news.first().map(|(at, _)| *at)
    }

    /// Tells the news whose time has come. Those of an attempt that is over were told before its end.
    pub(super) fn tell_late_news(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some((at, attempt)) = self.late_news.first().copied()
            && now >= at
        {
            self.late_news.pop_first();
            let is_up = self.link == Link::Up;
            let Some(entry) = self.attempts.get_mut(&attempt) else { continue };
            entry.news.queued = false;
            if is_up && entry.news.unsent && entry.phase.is_working() {
                actions.push(entry.news.told(attempt, now));
            }
        }
    }
}
