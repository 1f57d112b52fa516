//! Contents, logs and outputs that nothing names any more are removed from the disk.
//!
//! A pass goes over everything, step by step: it marks the contents that have a name, then removes those without a
//! mark, then the logs of tasks that ended long ago. Why that is safe is told in `blobs/sweep.rs`. A pass
//! that fails, or ends with the pool, has only removed what it may; the next one begins anew. Start at [`pass`].
//!
//! What counts as a name: the right of a user (for `limits.keep_content` after its last use), an output that is
//! not reported yet, a task that is open, and a task that ended less than `limits.keep_results` ago: its
//! inputs, its outputs, and those of the task whose result it took.
//!
//! Invariant: nothing is decided by the age of a content alone; nothing waits for a pass.

use crate::blobs::{Freed, Pass, blocking};
use crate::logs::named;
use crate::shared::Shared;
use anyhow::Context;
use hivemind_model::rows::{AttemptPhase, TaskRow};
use hivemind_model::spec::Digest;
use hivemind_model::{AttemptRef, ElementRef, Millis, TaskId, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

mod walk;
pub(crate) use walk::Walk;

/// Rows that one step reads.
const ROWS: u32 = 256;
/// A step is followed by a rest of so many times its own length.
const REST: u32 = 9;
/// Longest such rest.
const MAX_REST: Duration = Duration::from_secs(2);
/// Submissions that take longer than this put a pass off.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// How often and how eagerly is collected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Time between two passes.
    pub(crate) every: Duration,
    /// What has no name stays for so long nevertheless.
    pub(crate) unnamed_for: Duration,
}

/// What one pass removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Collected {
    rights: Freed,
    contents: Freed,
    logs: Freed,
}

/// Why a pass did not go to its end.
enum Ended {
    Stopping,
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Collects until the pool stops.
pub(crate) async fn run(shared: Arc<Shared>, pace: Pace, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pace.every) => {}
        }
        let sweep = Sweep { shared: &shared, pace, stop: &stop };
        match sweep.pass().await {
            Ok(collected) if collected == Collected::default() => {}
            Ok(Collected { rights, contents, logs }) => tracing::info!(
                rights = rights.files,
                contents = contents.files,
                content_bytes = contents.bytes,
                logs = logs.files,
                log_bytes = logs.bytes,
                "removed what was kept for long enough"
            ),
            Err(Ended::Stopping) => return,
            Err(Ended::Failed(error)) => tracing::error!(
                error = format!("{error:#}"),
                "what nobody needs could not be removed; nothing is lost, and it is tried again"
            ),
        }
    }
}

/// The time that is kept, where it is not for ever.
fn bounded(keep: Millis) -> Option<Duration> {
    (keep != Millis(0)).then(|| Duration::from_millis(keep.0))
}

struct Sweep<'a> {
    shared: &'a Arc<Shared>,
    pace: Pace,
    stop: &'a CancellationToken,
}

impl Sweep<'_> {
    /// Marks what has a name, then removes what has none.
    async fn pass(&self) -> Result<Collected, Ended> {
        let limits = &self.shared.policy.limits;
        let blobs = &self.shared.blobs;
        let begun = tokio::time::timeout(MAX_WAIT, blobs.begin_pass()).await;
        let pass = begun.context("a submission has not ended for ten minutes")?;
        // What ended at this moment or later is kept.
        let kept_from = match limits.keep_results {
            Millis(0) => Timestamp(i64::MIN),
            keep => self.shared.clock.now().before(keep),
        };
        let rights = self.check_rights(bounded(limits.keep_content)).await?;
        self.check_notes().await?;
        self.mark_open().await?;
        self.mark_ended(kept_from).await?;
        let contents = self.remove_contents(pass).await?;
        let logs = match limits.keep_results {
            Millis(0) => Freed::default(),
            _ => self.remove_logs(pass, kept_from).await?,
        };
        Ok(Collected { rights, contents, logs })
    }

    async fn check_rights(&self, keep: Option<Duration>) -> Result<Freed, Ended> {
        const DOING: &str = "marking what users sent";
        let blobs = &self.shared.blobs;
        let (mut files, mut freed) = (Files::of(blobs.rights().context(DOING)?), Freed::default());
        while let Some(some) = files.next().await.context(DOING)? {
            freed.add(blobs.check_rights(some, keep).await.context(DOING)?);
            self.rest(files.begun).await?;
        }
        Ok(freed)
    }

    async fn check_notes(&self) -> Result<(), Ended> {
        const DOING: &str = "marking what nodes sent";
        let blobs = &self.shared.blobs;
        let mut files = Files::of(blobs.notes().context(DOING)?);
        while let Some(some) = files.next().await.context(DOING)? {
            let live = self.shared.live.clone();
            blobs.check_notes(some, move |attempt| live.board.is_live(attempt)).await.context(DOING)?;
            self.rest(files.begun).await?;
        }
        Ok(())
    }

    async fn remove_contents(&self, pass: Pass) -> Result<Freed, Ended> {
        const DOING: &str = "removing contents";
        let blobs = &self.shared.blobs;
        let (mut files, mut freed) = (Files::of(blobs.all().context(DOING)?), Freed::default());
        while let Some(some) = files.next().await.context(DOING)? {
            freed.add(blobs.remove_unmarked(some, pass, self.pace.unnamed_for).await.context(DOING)?);
            self.rest(files.begun).await?;
        }
        Ok(freed)
    }

    /// Marks what open tasks name.
    async fn mark_open(&self) -> Result<(), Ended> {
        let mut after = (UserId(0), TaskId(0));
        loop {
            let begun = Instant::now();
            let rows = self.shared.store.open_tasks(after, ROWS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = (last.user, last.progress.id);
            self.mark_tasks(&rows).await?;
            self.rest(begun).await?;
        }
    }

    /// Marks what tasks name that ended at `from` or later. What ends while this goes on was open a moment ago, or is
    /// newer than the pass.
    async fn mark_ended(&self, from: Timestamp) -> Result<(), Ended> {
        let until = self.shared.clock.now();
        let mut after = (from, TaskId(0));
        loop {
            let begun = Instant::now();
            let mut rows = self.shared.store.ended_tasks(after, ROWS).await?;
            rows.retain(|row| row.progress.ended_at.is_some_and(|ended_at| ended_at <= until));
            let Some((last, ended_at)) = rows.last().and_then(|row| Some((row, row.progress.ended_at?))) else {
                return Ok(());
            };
            after = (ended_at, last.progress.id);
            self.mark_tasks(&rows).await?;
            self.rest(begun).await?;
        }
    }

    async fn mark_tasks(&self, rows: &[TaskRow]) -> Result<(), Ended> {
        let inputs: BTreeSet<Digest> =
            rows.iter().flat_map(|row| row.spec.contents()).map(|blob| blob.digest).collect();
        self.shared.blobs.mark(inputs).await.context("marking inputs")?;
        for row in rows {
            match row.progress.reused {
                Some(known) => self.mark_known(known).await?,
                None => self.mark_outputs(row.progress.id).await?,
            }
        }
        Ok(())
    }

    /// Marks everything that attempts of a task left.
    async fn mark_outputs(&self, task: TaskId) -> Result<(), Ended> {
        let mut after = (0, 0);
        loop {
            let begun = Instant::now();
            let rows = self.shared.store.reported(task, after, ROWS).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = (last.attempt.element.index, last.attempt.number);
            let outputs: BTreeSet<Digest> = rows.iter().filter_map(|row| output(&row.phase)).collect();
            if !outputs.is_empty() {
                self.shared.blobs.mark(outputs).await.context("marking outputs")?;
            }
            if rows.len() < ROWS as usize {
                return Ok(());
            }
            self.rest(begun).await?;
        }
    }

    /// Marks the result that another task took.
    async fn mark_known(&self, known: AttemptRef) -> Result<(), Ended> {
        let AttemptRef { element: ElementRef { task, index }, number } = known;
        let rows = self.shared.store.reported(task, (index, number.saturating_sub(1)), 1).await?;
        let outputs = rows.iter().filter(|row| row.attempt == known).filter_map(|row| output(&row.phase)).collect();
        self.shared.blobs.mark(outputs).await.context("marking outputs")?;
        let (live, since) = (self.shared.live.clone(), self.shared.blobs.stamp());
        blocking(move || live.logs.mark(known, since).map(drop)).await.context("marking logs")?;
        Ok(())
    }

    /// Removes logs of tasks that ended before `kept_from` and that no kept task took.
    async fn remove_logs(&self, pass: Pass, kept_from: Timestamp) -> Result<Freed, Ended> {
        const DOING: &str = "removing logs";
        let live = &self.shared.live;
        let (mut files, mut freed) = (Files::of(live.logs.all().context(DOING)?), Freed::default());
        while let Some(some) = files.next().await.context(DOING)? {
            let old = self.old_logs(some, kept_from).await?;
            let live = live.clone();
            let removed = blocking(move || live.logs.remove_unmarked(&old, pass.since)).await;
            freed.add(removed.context(DOING)?);
            self.rest(files.begun).await?;
        }
        Ok(freed)
    }

    async fn old_logs(&self, files: Vec<PathBuf>, kept_from: Timestamp) -> Result<Vec<PathBuf>, Ended> {
        let mut of: BTreeMap<TaskId, Vec<PathBuf>> = BTreeMap::new();
        for path in files {
            if let Some(attempt) = named(&path) {
                of.entry(attempt.element.task).or_default().push(path);
            }
        }
        let tasks: Vec<TaskId> = of.keys().copied().collect();
        // A task that the store does not know, of a store that was restored for one, keeps its logs.
        let ends = self.shared.store.ends(&tasks).await?;
        let old = ends.into_iter().filter(|(_, ended_at)| *ended_at < kept_from);
        Ok(old.filter_map(|(task, _)| of.remove(&task)).flatten().collect())
    }

    /// Leaves the disk and the store to others for a while.
    async fn rest(&self, begun: Instant) -> Result<(), Ended> {
        let rest = begun.elapsed().saturating_mul(REST).min(MAX_REST);
        tokio::select! {
            () = self.stop.cancelled() => Err(Ended::Stopping),
            () = tokio::time::sleep(rest) => Ok(()),
        }
    }
}

/// The steps of a walk.
struct Files {
    /// `None` after a failed step.
    walk: Option<Walk>,
    /// When the step began that goes on.
    begun: Instant,
}

impl Files {
    fn of(walk: Walk) -> Self {
        Self { walk: Some(walk), begun: Instant::now() }
    }

    async fn next(&mut self) -> io::Result<Option<Vec<PathBuf>>> {
        self.begun = Instant::now();
        let Some(mut walk) = self.walk.take() else { return Ok(None) };
        let (walk, files) = blocking(move || walk.step().map(|files| (walk, files))).await?;
        self.walk = Some(walk);
        Ok(files)
    }
}

/// The archive that an attempt left.
fn output(phase: &AttemptPhase) -> Option<Digest> {
    match phase {
        AttemptPhase::Assigned | AttemptPhase::Running { .. } => None,
        AttemptPhase::Reported { report, .. } | AttemptPhase::Ended { report, .. } => {
            report.output.map(|output| output.digest)
        }
    }
}
