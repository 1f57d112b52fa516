//! Removal of what ended.
//!
//! A container that is dead holds nothing but a name and a disk, so its removal goes on behind
//! the back of the next job. Start at [`Cleaner::remove`].
//!
//! Invariant: at most [`MOST_REMOVALS`] run at once, and each gives up after a bounded number of
//! tries, with a line in the log; the sweep at the next start gets what is left.

use super::sweep;
use super::volume::Volume;
use bollard::Docker;
use hivemind_model::AttemptRef;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Removals at once; a job that ends while so many are under way waits.
const MOST_REMOVALS: usize = 8;
/// Tries before one is given up.
const TRIES: u32 = 100;
/// Wait after the first failed try; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait between two tries: what could not be killed without the daemon runs until it
/// answers again, so it is asked for most of an hour.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Removes what ended, and knows what has not.
#[derive(Debug)]
pub(super) struct Cleaner {
    docker: Docker,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    live: Arc<Mutex<HashSet<AttemptRef>>>,
}

/// Keeps an attempt's things from being swept for as long as it lives.
#[derive(Debug)]
pub(super) struct Live {
    attempt: AttemptRef,
    all: Arc<Mutex<HashSet<AttemptRef>>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.all.lock().remove(&self.attempt);
    }
}

/// What an attempt leaves.
#[derive(Debug)]
pub(super) struct Leftovers {
    /// The container, or `None` where none was asked for. It need not exist.
    pub(super) container: Option<String>,
    /// The container that keeps its network. It need not exist.
    pub(super) holder: Option<String>,
    /// Its volume.
    pub(super) volume: Volume,
    /// Ends with the removal.
    pub(super) live: Live,
}

impl Cleaner {
    pub(super) fn new(docker: Docker) -> Self {
        let tasks = TaskTracker::new();
        Self { docker, permits: Arc::new(Semaphore::new(MOST_REMOVALS)), tasks, live: Arc::default() }
    }

    /// Takes note of an attempt; `None` where it is here already.
    pub(super) fn enter(&self, attempt: AttemptRef) -> Option<Live> {
        self.live.lock().insert(attempt).then(|| Live { attempt, all: self.live.clone() })
    }

    /// The attempts that have not been removed.
    pub(super) fn live(&self) -> HashSet<AttemptRef> {
        self.live.lock().clone()
    }

    /// Begins the removal of `leftovers`; waits only where many are under way already.
    pub(super) async fn remove(&self, leftovers: Leftovers) {
        // The semaphore is never closed; without a permit there would only be one bound less.
        let permit = self.permits.clone().acquire_owned().await.ok();
        let docker = self.docker.clone();
        self.tasks.spawn(async move {
            remove_with_retries(&docker, leftovers).await;
            drop(permit);
        });
    }

    /// Waits for the removals under way.
    pub(super) async fn settled(&self) {
        // A closed tracker still takes tasks; closing only lets the wait end.
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn remove_with_retries(docker: &Docker, mut leftovers: Leftovers) {
    let mut wait = FIRST_WAIT;
    for attempt in 1..=TRIES {
        match remove_once(docker, &mut leftovers).await {
            Ok(()) => break,
            Err(error) if attempt == TRIES => {
                tracing::error!(volume = leftovers.volume.source.name, %error, "a container or its disk could not be removed; it is swept at the agent's next start");
            }
            Err(error) => {
                tracing::debug!(volume = leftovers.volume.source.name, %error, attempt, "removing again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
    // Only now may a sweep look at what is left.
    drop(leftovers.live);
}

async fn remove_once(docker: &Docker, leftovers: &mut Leftovers) -> Result<(), String> {
    if let Some(container) = &leftovers.container {
        sweep::remove_container(docker, container).await?;
        if let Some(holder) = &leftovers.holder {
            sweep::remove_container(docker, holder).await?;
        }
        sweep::remove_volume(docker, &leftovers.volume.source.name).await?;
    }
    leftovers.volume.release().await.map_err(|error| error.to_string())
}
