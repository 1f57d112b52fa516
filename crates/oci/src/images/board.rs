//! Pulls and loads, shared by all jobs that want the same image.
//!
//! Each runs on its own task for as long as anybody waits for it. Start at [`Board::share`].
//!
//! Invariant: one that nobody waits for ends.

use super::{Image, Trouble};
use hivemind_model::state::Outcome;
use hivemind_runtime::{Sink, Stop};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Shortest time between two notes to one job.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// How far one is.
#[derive(Debug, Clone)]
enum Stage {
    /// A line for people.
    Underway(String),
    Done(Result<Image, Outcome>),
}

type Entries = Arc<Mutex<HashMap<String, watch::Sender<Stage>>>>;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Board(Entries);

/// Where the work says how far it is.
#[derive(Debug, Clone)]
pub(super) struct Progress(watch::Sender<Stage>);

impl Progress {
    /// A line for people.
    pub(super) fn tell(&self, line: String) {
        self.0.send_if_modified(|now| match now {
            Stage::Underway(old) if *old != line => {
                *old = line;
                true
            }
            Stage::Underway(_) | Stage::Done(_) => false,
        });
    }
}

impl Board {
    /// Does `work`, or waits for the same that is under way.
    pub(super) async fn share<F>(
        &self,
        key: &str,
        line: String,
        sink: &dyn Sink,
        stop: &Stop,
        work: impl FnOnce(Progress, Stop) -> F + Send,
    ) -> Result<Image, Outcome>
    where
        F: Future<Output = Result<Image, Trouble>> + Send + 'static,
    {
        let mut stage = self.join(key, line, work);
        let mut told: Option<Instant> = None;
        loop {
            match &*stage.borrow_and_update() {
                Stage::Done(result) => return result.clone(),
                Stage::Underway(line) if told.is_none_or(|at| at.elapsed() >= NOTE_EVERY) => {
                    sink.note(line);
                    told = Some(Instant::now());
                }
                Stage::Underway(_) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Outcome::Cancelled),
                changed = stage.changed() => if changed.is_err() {
                    return Err(Outcome::Infrastructure { reason: format!("{key}: it was interrupted") });
                },
            }
        }
    }

    fn join<F>(&self, key: &str, line: String, work: impl FnOnce(Progress, Stop) -> F) -> watch::Receiver<Stage>
    where
        F: Future<Output = Result<Image, Trouble>> + Send + 'static,
    {
        let mut entries = self.0.lock();
        if let Some(underway) = entries.get(key) {
            return underway.subscribe();
        }
        let (sender, receiver) = watch::channel(Stage::Underway(line));
        entries.insert(key.to_owned(), sender.clone());
        let stop = Stop::new();
        let work = work(Progress(sender.clone()), stop.clone());
        tokio::spawn(drive(self.0.clone(), key.to_owned(), sender, stop, work));
        receiver
    }
}

/// Works until it is done or nobody waits any more.
async fn drive(
    entries: Entries,
    key: String,
    stage: watch::Sender<Stage>,
    stop: Stop,
    work: impl Future<Output = Result<Image, Trouble>>,
) {
    // What runs on a thread of its own sees it.
    let _guard = stop.drop_guard();
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = stage.closed() => {
                // Under the lock nobody can join between the look and the removal.
                let mut entries = entries.lock();
                if stage.receiver_count() == 0 {
                    entries.remove(&key);
                    return;
                }
            }
        }
    };
    entries.lock().remove(&key);
    stage.send_replace(Stage::Done(result.map_err(Trouble::outcome)));
}
