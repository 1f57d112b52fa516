//! Looks at the whole store, in pages and beside everything else: what was done before the start, and whether what is
//! stored is what the scheduler and the books say.
//!
//! Start at [`check`] for the second, at [`count_past`] for the first.
//!
//! Invariant: nothing here repairs anything; what is found is told.

use crate::figures::Checked;
use crate::shared::Shared;
use crate::writer::Refused;
use hivemind_ledger::SUPPLY;
use hivemind_model::{TaskId, UserId};
use hivemind_store::StoreError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Tasks of the past in one page.
const PAST_PAGE: u32 = 2000;
/// Open tasks in one page; the scheduler is asked for so many at once.
const OPEN_PAGE: u32 = 2000;
/// Missing tasks that are remembered for the second look.
const MOST_MISSING: usize = 100_000;
/// After a page that could not be read.
const AGAIN: Duration = Duration::from_secs(60);
/// A check may take this part of the time at most.
const SHARE: u32 = 20;

/// Adds up what was done before the start.
pub(crate) async fn count_past(shared: Arc<Shared>, stop: CancellationToken) {
    let mut after = TaskId(0);
    loop {
        let read = tokio::select! {
            () = stop.cancelled() => return,
            read = shared.store.past(after, shared.started_at, PAST_PAGE) => read,
        };
        let figures = &shared.live.figures;
        match read {
            Ok(past) => {
                figures.add_past(past.tasks_completed, past.elements_completed, past.cpu);
                match past.last {
                    Some(last) => after = last,
                    None => return figures.past_is_whole(),
                }
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::warn!(%error, "what was done before the start cannot be counted; it is tried again in a minute");
                if sleep(AGAIN, &stop).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Compares the open tasks in the store with those of the engine, and the balances with the supply, every `every`.
pub(crate) async fn check(shared: Arc<Shared>, every: Duration, stop: CancellationToken) {
    let mut missing = BTreeSet::new();
    loop {
        let begun = Instant::now();
        let found = tokio::select! {
            () = stop.cancelled() => return,
            found = look(&shared, &mut missing) => found,
        };
        match found {
            Ok(found) => tell(&shared, found),
            Err(Failed::Stopped) => return,
            Err(Failed::Store(error)) => tracing::warn!(%error, "the store could not be checked; it is tried again"),
        }
        if sleep(every.max(begun.elapsed() * SHARE), &stop).await.is_err() {
            return;
        }
    }
}

async fn sleep(time: Duration, stop: &CancellationToken) -> Result<(), ()> {
    tokio::select! {
        () = stop.cancelled() => Err(()),
        () = tokio::time::sleep(time) => Ok(()),
    }
}

fn tell(shared: &Shared, found: Checked) {
    let before = shared.live.figures.checked();
    if found.tasks_lost > 0 && found.tasks_lost != before.tasks_lost {
        tracing::error!(
            tasks = found.tasks_lost,
            "tasks that are open in the store are not known to the scheduler, which is a bug; start the pool again, it takes them up from the store"
        );
    }
    if found.imbalance_micro != 0 && found.imbalance_micro != before.imbalance_micro {
        tracing::error!(
            micro_cpt = found.imbalance_micro,
            "the stored balances do not sum to the supply; run an audit"
        );
    }
    shared.live.figures.check(found);
}

enum Failed {
    /// The pool has stopped.
    Stopped,
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// One look. A task is lost where two looks in a row find it open in the store and not in the engine: in one alone, its
/// end may just be being written. `missing` are those of the look before.
async fn look(shared: &Shared, missing: &mut BTreeSet<TaskId>) -> Result<Checked, Failed> {
    let supply = shared.store.supply().await?;
    let imbalance_micro = supply.micro().saturating_sub(SUPPLY.micro());
    let (mut after, mut now) = ((UserId(0), TaskId(0)), BTreeSet::new());
    loop {
        let page = shared.store.open_task_ids(after, OPEN_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = *last;
        let tasks = page.into_iter().map(|(_, task)| task).collect();
        let unknown = shared.writer.not_open(tasks).await.map_err(|refused| match refused {
            Refused::Stopped | Refused::Rejected(_) | Refused::Store(_) | Refused::DiskFull | Refused::LookUpAgain => {
                Failed::Stopped
            }
        })?;
        let room = MOST_MISSING.saturating_sub(now.len());
        now.extend(unknown.into_iter().take(room));
    }
    let lost = now.intersection(missing).count();
    *missing = now;
    Ok(Checked { tasks_lost: u64::try_from(lost).unwrap_or(u64::MAX), imbalance_micro, at: Some(shared.clock.now()) })
}
