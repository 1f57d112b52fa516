//! Compares the results of copies where equal bytes are not what counts.
//!
//! The engine asks with an effect; the answer goes back to it as a command. Start at [`run`].
//! An answer that is lost with the process is asked for again after the restart.
//!
//! Invariant: only results that the pool received are compared; no more than [`AT_ONCE`] at a time,
//! each of at most [`MAX_RESULT_BYTES`].

mod command;
mod numeric;

use crate::blobs::blocking;
use crate::logs::Stream;
use crate::shared::Shared;
use hivemind_model::rows::{AttemptPhase, AttemptRow, Report};
use hivemind_model::verify::Compare;
use hivemind_model::{AttemptRef, Command, TaskSpec};
use std::io::Read;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Comparisons at a time.
const AT_ONCE: usize = 2;
/// Most of one result that is compared.
const MAX_RESULT_BYTES: u64 = 64 << 20;

/// What is to be compared.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Whose result.
    pub(crate) attempt: AttemptRef,
    /// With those of these, all different from one another.
    pub(crate) with: Vec<AttemptRef>,
    /// How.
    pub(crate) spec: Arc<TaskSpec>,
}

/// The result of one copy.
struct Content {
    attempt: AttemptRef,
    /// A tar archive, or what was written to standard output.
    bytes: Vec<u8>,
    is_archive: bool,
}

/// Why results cannot be compared.
enum Fault {
    /// In words for the requester.
    Told(String),
    /// The pool stops; it is asked for again when it runs.
    Stopping,
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Told(why)
    }
}

/// Answers questions until the pool stops.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut questions: mpsc::UnboundedReceiver<Question>,
    stop: CancellationToken,
) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let question = tokio::select! {
            () = stop.cancelled() => return,
            question = questions.recv() => question,
        };
        let Some(question) = question else { return };
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let (shared, stop) = (shared.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = answer(&shared, &question) => {}
            }
            drop(turn);
        });
    }
}

async fn answer(shared: &Arc<Shared>, question: &Question) {
    let attempt = question.attempt;
    let command = match same(shared, question).await {
        Ok(same_as) => Command::Compared { attempt, same_as },
        Err(Fault::Told(reason)) => Command::Incomparable { attempt, reason },
        Err(Fault::Stopping) => return,
    };
    if let Err(refused) = shared.writer.apply(command).await {
        tracing::warn!(%attempt, %refused, "the outcome of a comparison was not taken; it is made again after a restart");
    }
}

/// The first of the others whose result is the same.
async fn same(shared: &Arc<Shared>, question: &Question) -> Result<Option<AttemptRef>, Fault> {
    let own = content(shared, question.attempt).await?;
    for other in &question.with {
        let other = content(shared, *other).await?;
        let is_same = match &question.spec.verify.compare {
            Compare::Exact => own.bytes == other.bytes,
            Compare::Numeric { tolerance } => {
                let archives = own.is_archive && other.is_archive;
                let (own, theirs, tolerance) = (own.bytes.clone(), other.bytes, *tolerance);
                let compared = blocking(move || Ok(numeric::same(&own, &theirs, archives, tolerance))).await;
                compared.map_err(|error| format!("the pool could not compare two results: {error}"))??
            }
            Compare::Command { argv } => command::same(shared, question, argv, &own, &other).await?,
        };
        if is_same {
            return Ok(Some(other.attempt));
        }
    }
    Ok(None)
}

/// The result of an attempt that was reported.
async fn content(shared: &Shared, attempt: AttemptRef) -> Result<Content, Fault> {
    let rows = shared
        .store
        .attempts(attempt.element)
        .await
        .map_err(|error| format!("the pool cannot read its store: {error}"))?;
    let Some(report) = rows.iter().find(|row| row.attempt == attempt).and_then(report) else {
        return Err(format!("the result of {attempt} is not here any more").into());
    };
    let cannot = |error: std::io::Error| Fault::Told(format!("the pool cannot read the result of {attempt}: {error}"));
    let too_large = || {
        Fault::Told(format!(
            "the result of {attempt} is larger than {MAX_RESULT_BYTES} bytes, the most that is compared; use `exact`"
        ))
    };
    if let Some(blob) = report.output {
        if blob.size.0 > MAX_RESULT_BYTES {
            return Err(too_large());
        }
        let file = shared.blobs.read(blob.digest).await.map_err(cannot)?;
        let Some(file) = file else { return Err(format!("the output of {attempt} is not here any more").into()) };
        let read = blocking(move || {
            let mut bytes = Vec::new();
            file.take(MAX_RESULT_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        return Ok(Content { attempt, bytes: read.await.map_err(cannot)?, is_archive: true });
    }
    if report.logs.stdout.0 > MAX_RESULT_BYTES {
        return Err(too_large());
    }
    let live = shared.live.clone();
    let most = usize::try_from(report.logs.stdout.0).unwrap_or(usize::MAX);
    let bytes = blocking(move || live.logs.read(attempt, Stream::Stdout, 0, most)).await.map_err(cannot)?;
    Ok(Content { attempt, bytes, is_archive: false })
}

fn report(row: &AttemptRow) -> Option<&Report> {
    match &row.phase {
        AttemptPhase::Reported { report, .. } | AttemptPhase::Ended { report, .. } => Some(report),
        AttemptPhase::Assigned | AttemptPhase::Running { .. } => None,
    }
}
