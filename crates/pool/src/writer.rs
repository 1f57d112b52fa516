//! The one writer: every change of the pool's state passes here, in order, in durable batches.
//!
//! Requests wait in a bounded queue. The writer takes what is there, applies it to the engine,
//! and hands the changes of the whole batch to one `commit`. While that commit runs, the next
//! batch is applied. Answers and effects leave only after their batch is durable, in order.
//! Start at [`Loop::run`]; callers use [`Writer`].
//!
//! A commit that fails, or a panic in the engine, ends the writer: nothing of that batch is
//! answered, and the pool has to start again from the store. An idle writer commits a lone request
//! at once, a busy one makes larger batches by itself. Only the words of nodes that have more to do
//! wait for others, for [`LINGER`]: nobody stands still for them, and each commit is a flush of the disk.
//!
//! Invariant: no answer and no effect leaves before its batch is durable; nothing else in this
//! crate changes the engine.

use crate::clock::Clock;
use crate::disk::Disk;
use hivemind_engine::{Engine, Explanation, NodeMerit};
use hivemind_ledger::LedgerChanges;
use hivemind_model::rows::RowChanges;
use hivemind_model::spec::Need;
use hivemind_model::{Command, Effect, NodeId, Reply, TaskId};
use hivemind_placement::{Fleet, Prospects};
use hivemind_store::{Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod handle;
pub(crate) use handle::{Refused, Writer};

/// Most requests in one batch.
const MAX_BATCH: usize = 4096;
/// Requests that may wait; senders of more wait for room.
const QUEUE: usize = 2 * MAX_BATCH;
/// Longest wait for others of a batch that nobody waits for.
const LINGER: Duration = Duration::from_millis(5);
/// Longest sleep of an idle writer with something due, so that a jump of the clock is noticed.
const LONGEST_SLEEP_MS: u64 = 60_000;
/// Sleep after a tick that had nothing to do although it was due.
const IDLE_TICK_MS: u64 = 100;
/// A lookup of a client-made id is trusted while fewer than this many such ids were applied
/// since; the engine remembers more than that by itself.
const LOOKUP_HORIZON: u64 = 32_768;

/// A batch that is durable.
pub(crate) struct Durable {
    /// What changed beside the books.
    pub(crate) rows: RowChanges,
    /// What changed in the books.
    pub(crate) ledger: LedgerChanges,
    /// What is to be sent.
    pub(crate) effects: Vec<Effect>,
    /// How many commands it answers.
    pub(crate) answers: usize,
    /// How long its commit took; `None` where there was nothing to commit.
    pub(crate) took: Option<Duration>,
}

/// Where a durable batch goes: live tables, worker links, watchers.
pub(crate) trait Outlet: Send + Sync + 'static {
    /// Called once per batch, in order, after it is durable. Must not block.
    fn durable(&self, batch: Durable);
}

/// Why the writer, and with it the pool, stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriterFailure {
    /// The store did not take a batch. Nothing of it was acknowledged.
    #[error(
        "the pool stopped: a batch could not be made durable; nothing of it was acknowledged; see to the database's disk, then start the pool again, it recovers from what is stored"
    )]
    Commit(#[source] StoreError),
    /// A bug: the engine or the store panicked.
    #[error(
        "the pool stopped: {part} panicked, which is a bug; nothing of the open batch was acknowledged; start the pool again, it recovers from what is stored"
    )]
    Panicked {
        /// Which part.
        part: &'static str,
    },
}

type Answer = (oneshot::Sender<Result<Reply, Refused>>, Result<Reply, Refused>);

// Nearly every request is the large one: a box would cost an allocation each.
#[allow(clippy::large_enum_variant)]
enum Request {
    Apply { command: Command, looked_up_at: u64, reply: oneshot::Sender<Result<Reply, Refused>> },
    WhyWaiting { tasks: Vec<TaskId>, reply: oneshot::Sender<Vec<Option<String>>> },
    Prospects { need: Need, reply: oneshot::Sender<Prospects> },
    Explain { task: TaskId, reply: oneshot::Sender<Option<Explanation>> },
    Merits { nodes: Vec<NodeId>, reply: oneshot::Sender<Vec<NodeMerit>> },
    Brakes { reply: oneshot::Sender<bool> },
    Fleet { reply: oneshot::Sender<(Fleet, usize)> },
    NotOpen { tasks: Vec<TaskId>, reply: oneshot::Sender<Vec<TaskId>> },
}

/// What was committed, and how long that took.
struct Written {
    rows: RowChanges,
    ledger: LedgerChanges,
    took: Duration,
}

struct Committing {
    done: JoinHandle<Result<Written, StoreError>>,
    effects: Vec<Effect>,
    answers: Vec<Answer>,
}

/// Starts the writer. It ends after `stop` fired and everything taken was made durable.
pub(crate) fn spawn(
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    outlet: Arc<dyn Outlet>,
    disk: Disk,
    stop: CancellationToken,
) -> (Writer, JoinHandle<Result<(), WriterFailure>>) {
    let (sender, requests) = mpsc::channel(QUEUE);
    let ids_applied = Arc::new(AtomicU64::new(0));
    let writer = Writer::new(sender, store.clone(), ids_applied.clone(), disk);
    let state = Loop {
        engine,
        store,
        clock,
        outlet,
        requests,
        ids_applied,
        answers: Vec::new(),
        dirty: true,
        linger_until: None,
        committing: None,
        idle_tick: false,
    };
    (writer, tokio::spawn(state.run(stop)))
}

struct Loop {
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    outlet: Arc<dyn Outlet>,
    requests: mpsc::Receiver<Request>,
    ids_applied: Arc<AtomicU64>,
    /// Answers of the batch that is being applied.
    answers: Vec<Answer>,
    /// Whether something was applied, or is due, since the last hand-over.
    dirty: bool,
    /// When the batch that is being applied goes to the store, where it may wait; `None`: at once.
    linger_until: Option<Instant>,
    committing: Option<Committing>,
    idle_tick: bool,
}

impl Loop {
    async fn run(mut self, stop: CancellationToken) -> Result<(), WriterFailure> {
        let mut taken = Vec::with_capacity(MAX_BATCH);
        let mut open = true;
        loop {
            let lingers = open.then(|| self.lingers()).flatten();
            if self.committing.is_none() && self.dirty && lingers.is_none() {
                self.hand_over();
                continue;
            }
            if !open && self.committing.is_none() {
                return Ok(());
            }
            let room = MAX_BATCH.saturating_sub(self.answers.len());
            let sleep = if self.committing.is_none() && open { lingers.or_else(|| self.until_due()) } else { None };
            let next = tokio::select! {
                biased;
                () = stop.cancelled(), if open && !self.requests.is_closed() => Next::Close,
                done = finished(&mut self.committing) => Next::Committed(done),
                count = self.requests.recv_many(&mut taken, room.max(1)), if open && room > 0 => Next::Taken(count),
                () = sleep_for(sleep) => Next::Due,
            };
            match next {
                Next::Close => self.requests.close(),
                Next::Committed(done) => self.deliver(done)?,
                Next::Taken(count) => {
                    open = count > 0;
                    taken.drain(..).for_each(|request| self.take(request));
                }
                Next::Due => {
                    self.dirty = true;
                    self.linger_until = None;
                }
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Apply { command, looked_up_at, reply } => {
                self.linger_until = match (is_word_of_node(&command), self.dirty) {
                    (true, false) => Some(Instant::now() + LINGER),
                    (true, true) => self.linger_until,
                    (false, _) => None,
                };
                let answer = self.apply(command, looked_up_at);
                self.answers.push((reply, answer));
                self.dirty = true;
            }
            Request::WhyWaiting { tasks, reply } => {
                let reasons = tasks.into_iter().map(|task| self.engine.waiting_reason(task)).collect();
                // The asker may have gone; then nobody wants the reasons.
                let _gone = reply.send(reasons);
            }
            Request::Prospects { need, reply } => {
                // As above.
                let _gone = reply.send(self.engine.prospects(&need));
            }
            Request::Explain { task, reply } => {
                // As above.
                let _gone = reply.send(self.engine.explain(task));
            }
            Request::Merits { nodes, reply } => {
                // As above.
                let _gone = reply.send(self.engine.merits(&nodes));
            }
            Request::Brakes { reply } => {
                // As above.
                let _gone = reply.send(self.engine.brake().is_some());
            }
            Request::Fleet { reply } => {
                // As above.
                let _gone = reply.send(self.engine.fleet());
            }
            Request::NotOpen { tasks, reply } => {
                // As above.
                let _gone = reply.send(self.engine.not_open(&tasks));
            }
        }
    }

    fn apply(&mut self, command: Command, looked_up_at: u64) -> Result<Reply, Refused> {
        if command.once().is_some() {
            let applied = self.ids_applied.load(Ordering::Acquire);
            if applied.saturating_sub(looked_up_at) > LOOKUP_HORIZON {
                return Err(Refused::LookUpAgain);
            }
            self.ids_applied.store(applied + 1, Ordering::Release);
        }
        self.engine.apply(command, self.clock.now()).map_err(Refused::Rejected)
    }

    /// For how long the batch still waits for others; `None`: not any more.
    fn lingers(&self) -> Option<Duration> {
        let until =
            self.linger_until.filter(|_| self.dirty && self.answers.len() < MAX_BATCH && self.engine.has_backlog())?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Closes the batch and starts its commit. Called only while no commit runs.
    fn hand_over(&mut self) {
        self.dirty = false;
        self.linger_until = None;
        let now = self.clock.now();
        let due = self.engine.next_due().is_some_and(|due| due <= now);
        if due && let Err(rejection) = self.engine.apply(Command::Tick, now) {
            tracing::error!(%rejection, "the engine refused a tick");
        }
        self.engine.schedule(now);
        let batch = self.engine.take_batch();
        let answers = std::mem::take(&mut self.answers);
        let unchanged = batch.rows == RowChanges::default() && batch.ledger == LedgerChanges::default();
        self.idle_tick = due && unchanged && answers.is_empty();
        if unchanged {
            self.publish(batch.rows, batch.ledger, batch.effects, (answers, None));
            return;
        }
        let store = self.store.clone();
        let (rows, ledger) = (batch.rows, batch.ledger);
        let done = tokio::spawn(async move {
            let begun = Instant::now();
            store.commit(&rows, &ledger).await?;
            Ok(Written { rows, ledger, took: begun.elapsed() })
        });
        self.committing = Some(Committing { done, effects: batch.effects, answers });
    }

    fn deliver(&mut self, (done, effects, answers): Committed) -> Result<(), WriterFailure> {
        match done {
            Ok(Ok(Written { rows, ledger, took })) => {
                self.publish(rows, ledger, effects, (answers, Some(took)));
                Ok(())
            }
            Ok(Err(error)) => Err(WriterFailure::Commit(error)),
            Err(_) => Err(WriterFailure::Panicked { part: "the store" }),
        }
    }

    fn publish(
        &self,
        rows: RowChanges,
        ledger: LedgerChanges,
        effects: Vec<Effect>,
        (answers, took): (Vec<Answer>, Option<Duration>),
    ) {
        self.outlet.durable(Durable { rows, ledger, effects, answers: answers.len(), took });
        for (reply, answer) in answers {
            // A caller that has gone does not undo what is durable.
            let _gone = reply.send(answer);
        }
    }

    /// How long to sleep until something is due; `None` where nothing is.
    fn until_due(&self) -> Option<Duration> {
        let due = self.engine.next_due()?;
        let least = if self.idle_tick { IDLE_TICK_MS } else { 1 };
        Some(Duration::from_millis(due.since(self.clock.now()).0.clamp(least, LONGEST_SLEEP_MS)))
    }
}

/// Whether a command is what a node said of its work: whom it is about sees it a moment later, and nobody waits for the
/// answer but the link, which goes on meanwhile.
fn is_word_of_node(command: &Command) -> bool {
    matches!(command, Command::Started { .. } | Command::Finished { .. })
}

/// What the writer does next; one at a time, so its size does not matter.
#[allow(clippy::large_enum_variant)]
enum Next {
    Close,
    Committed(Committed),
    Taken(usize),
    Due,
}

async fn sleep_for(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

type Committed = (Result<Result<Written, StoreError>, tokio::task::JoinError>, Vec<Effect>, Vec<Answer>);

/// Waits for the running commit and takes it out; never ends where none runs.
async fn finished(committing: &mut Option<Committing>) -> Committed {
    let Some(running) = committing.as_mut() else { return std::future::pending().await };
    let done = (&mut running.done).await;
    let (effects, answers) = committing.take().map(|batch| (batch.effects, batch.answers)).unwrap_or_default();
    (done, effects, answers)
}

#[cfg(test)]
mod tests;
