//! What this worker did since it began: counts, and the images that it ran lately.
//!
//! Start at [`Diary::began`] and [`Diary::ended`].
//!
//! Invariant: nothing decides by it, and it does not grow.

use crate::event::Upload;
use hivemind_model::Outcome;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;

/// Images that are remembered.
const MOST_IMAGES: usize = 50;

/// Longest name of one that is kept, in characters.
const MAX_NAME: usize = 512;

/// An image, or the content of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Its name, or its digest.
    pub image: String,
    /// Attempts that began with it.
    pub attempts: u64,
    /// When the last of them began.
    pub last_unix_ms: i64,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Ended by what was not the task's fault.
    pub faults: u64,
    pub uploads_stored: u64,
    pub uploads_failed: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Diary(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    counts: Counts,
    /// The newest first.
    images: VecDeque<Ran>,
}

impl Diary {
    /// An attempt with `image` began.
    pub(crate) fn began(&self, image: &str, at_unix_ms: i64) {
        let image: String = image.chars().take(MAX_NAME).collect();
        let images = &mut self.0.lock().images;
        let known = images.iter().position(|ran| ran.image == image).and_then(|place| images.remove(place));
        let attempts = known.map_or(0, |ran| ran.attempts) + 1;
        images.push_front(Ran { image, attempts, last_unix_ms: at_unix_ms });
        images.truncate(MOST_IMAGES);
    }

    /// An attempt ended so.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        let counts = &mut self.0.lock().counts;
        match outcome {
            Outcome::Exited { code: 0 } => counts.completed += 1,
            Outcome::Exited { .. }
            | Outcome::OutOfMemory
            | Outcome::TimedOut
            | Outcome::CannotStart { .. }
            | Outcome::BadImage { .. } => counts.failed += 1,
            Outcome::Cancelled | Outcome::Expired | Outcome::OutOfPatience { .. } | Outcome::Skipped { .. } => {
                counts.cancelled += 1;
            }
            Outcome::ImageUnavailable { .. }
            | Outcome::Poison { .. }
            | Outcome::Disputed { .. }
            | Outcome::Infrastructure { .. } => counts.faults += 1,
        }
    }

    /// The try to give an output to the pool ended so.
    pub(crate) fn uploaded(&self, result: &Upload) {
        let counts = &mut self.0.lock().counts;
        match result {
            Upload::Stored => counts.uploads_stored += 1,
            Upload::Later { .. } | Upload::Refused { .. } => counts.uploads_failed += 1,
            // Nobody waits for it any more.
            Upload::Unwanted => {}
        }
    }

    /// How many of what so far.
    pub(crate) fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    /// The images that began last, the newest first.
    pub(crate) fn images(&self) -> Vec<Ran> {
        self.0.lock().images.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_images_are_kept() {
        let diary = Diary::default();
        for at in 0..200 {
            diary.began(&format!("i{}", at % 100), at);
        }
        diary.began("i60", 200);
        let images = diary.images();
        assert_eq!(images.len(), MOST_IMAGES);
        assert_eq!(images[0], Ran { image: "i60".into(), attempts: 2, last_unix_ms: 200 });
        diary.began(&"x".repeat(2000), 201);
        assert_eq!(diary.images()[0].image.len(), MAX_NAME);
    }

    #[test]
    fn every_end_is_counted_once() {
        let diary = Diary::default();
        for outcome in [
            Outcome::Exited { code: 0 },
            Outcome::Exited { code: 1 },
            Outcome::OutOfMemory,
            Outcome::Cancelled,
            Outcome::Infrastructure { reason: "x".into() },
        ] {
            diary.ended(&outcome);
        }
        let Counts { completed, failed, cancelled, faults, .. } = diary.counts();
        assert_eq!((completed, failed, cancelled, faults), (1, 2, 1, 1));
    }
}
