//! Results that wait for the pool's acknowledgement, durable on this machine's disk.
//!
//! One thread owns the database. Whatever has come in while it was writing goes into the next
//! commit together, so that a thousand results cost one flush of the disk; removals are in no
//! hurry and ride along. Start at [`Spool::open`].
//!
//! Invariant: [`Event::Spooled`] is said only of what a durable commit holds.

use crate::event::Event;
use crate::job::Signal;
use hivemind_model::AttemptRef;
use hivemind_model::rows::Report;
use hivemind_proto::{convert, worker as wire};
use prost::Message;
use redb::{Database, ReadableTable, TableDefinition};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// (task, index, number) to an encoded `AttemptFinished`.
const REPORTS: TableDefinition<(u64, u32, u32), &[u8]> = TableDefinition::new("reports");

/// Most entries of one commit.
const MAX_BATCH: usize = 4096;

/// Removals alone wait for this many, or for [`IDLE`] without a word.
const LAZY_REMOVALS: usize = 512;

/// See [`LAZY_REMOVALS`].
const IDLE: Duration = Duration::from_millis(250);

/// Longest wait of a result that is in no hurry for others that share its flush of the disk.
const LINGER: Duration = Duration::from_millis(5);

/// Memory the database may use for its pages, in bytes.
const CACHE_BYTES: usize = 4 << 20;

/// A spool that does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// The database refused.
    #[error("the spool of results does not work; check that the disk has room and that the folder is this user's")]
    Database(#[source] Box<redb::Error>),
    /// An entry that this release did not write.
    #[error(
        "the spool of results holds an entry of {attempt} that cannot be read ({why}); move the file spool.redb away to start without the results in it"
    )]
    Entry {
        /// Whose.
        attempt: String,
        /// What is wrong.
        why: String,
    },
    /// The thread could not be started.
    #[error("no thread for the spool of results")]
    Thread(#[source] std::io::Error),
}

macro_rules! from_redb {
    ($($kind:ty),+) => {
        $(impl From<$kind> for SpoolError {
            fn from(error: $kind) -> Self {
                Self::Database(Box::new(error.into()))
            }
        })+
    };
}
from_redb!(redb::DatabaseError, redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

/// What is on disk at the start.
pub(crate) type Ended = Vec<(AttemptRef, Arc<Report>)>;

/// How soon a result must be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hurry {
    /// The machine has nothing else to do until the pool has heard of it.
    Now,
    /// It has: within [`LINGER`].
    Soon,
}

#[derive(Debug)]
enum Order {
    Put(AttemptRef, Arc<Report>, Hurry),
    Remove(AttemptRef),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Spool {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Spool {
    /// Opens or makes the database at `path`, reads what is in it, and starts its thread, which
    /// answers into `signals`.
    ///
    /// # Errors
    /// Where the file cannot be opened (another process has it, the disk refuses), or holds
    /// something else.
    pub(crate) fn open(path: &Path, signals: UnboundedSender<Signal>) -> Result<(Self, Ended), SpoolError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let ended = load(&database)?;
        let (orders, inbox) = channel();
        let writer = Writer { database, signals, batch: Vec::new(), due: None };
        let thread = std::thread::Builder::new()
            .name("hivemind-spool".into())
            .spawn(move || writer.run(&inbox))
            .map_err(SpoolError::Thread)?;
        Ok((Self { orders: Some(orders), thread: Some(thread) }, ended))
    }

    /// Makes a report durable; the answer comes as a signal.
    pub(crate) fn put(&self, attempt: AttemptRef, report: Arc<Report>, hurry: Hurry) {
        self.order(Order::Put(attempt, report, hurry));
    }

    /// Removes a report, soon.
    pub(crate) fn remove(&self, attempt: AttemptRef) {
        self.order(Order::Remove(attempt));
    }

    /// As many orders wait as there are attempts on this machine, at most twice.
    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders
            && orders.send(order).is_err()
        {
            // The thread ends only when this end is dropped, or by a panic, which is reported there.
            tracing::error!("the thread of the spool of results is gone");
        }
    }
}

impl Drop for Spool {
    /// Writes what waits and closes the database.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the spool of results panicked");
        }
    }
}

fn load(database: &Database) -> Result<Ended, SpoolError> {
    let transaction = database.begin_write()?;
    let mut ended = Vec::new();
    {
        let table = transaction.open_table(REPORTS)?;
        for row in table.iter()? {
            let (key, value) = row?;
            let bad = |why: String| SpoolError::Entry { attempt: format!("{:?}", key.value()), why };
            let message = wire::AttemptFinished::decode(value.value()).map_err(|e| bad(e.to_string()))?;
            let (attempt, report) = convert::report(&message).map_err(|e| bad(e.to_string()))?;
            ended.push((attempt, Arc::new(report)));
        }
    }
    transaction.commit()?;
    Ok(ended)
}

struct Writer {
    database: Database,
    signals: UnboundedSender<Signal>,
    batch: Vec<Order>,
    /// When the batch is written; `None`: removals alone.
    due: Option<Instant>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let patience = self.due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            match inbox.recv_timeout(patience) {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => {
                    if self.batch.is_empty() {
                        // Nothing to do for a while: wait without waking.
                        match inbox.recv() {
                            Ok(order) => self.take(order),
                            Err(_) => return,
                        }
                    } else {
                        self.commit();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.commit();
                    return;
                }
            }
            while self.batch.len() < MAX_BATCH
                && let Ok(order) = inbox.try_recv()
            {
                self.take(order);
            }
            let is_due = self.due.is_some_and(|due| due <= Instant::now());
            if is_due || self.batch.len() >= LAZY_REMOVALS {
                self.commit();
            }
        }
    }

    fn take(&mut self, order: Order) {
        let now = Instant::now();
        let due = match order {
            Order::Put(_, _, Hurry::Now) => Some(now),
            Order::Put(_, _, Hurry::Soon) => Some(now + LINGER),
            Order::Remove(_) => None,
        };
        self.due = self.due.into_iter().chain(due).min();
        self.batch.push(order);
    }

    /// Writes the batch; a failure is told to those who wait, never repeated.
    fn commit(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let result = self.write();
        if let Err(error) = &result {
            tracing::error!(error = error as &dyn std::error::Error, "results could not be stored");
        }
        let events = self.batch.drain(..).filter_map(|order| match order {
            Order::Put(attempt, ..) => {
                Some(if result.is_ok() { Event::Spooled { attempt } } else { Event::SpoolFailed { attempt } })
            }
            Order::Remove(_) => None,
        });
        for event in events {
            // Nobody listens while the worker ends; what is durable is found at its next start.
            let _unheard = self.signals.send(Signal::Event(event));
        }
        self.due = None;
    }

    fn write(&self) -> Result<(), SpoolError> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(REPORTS)?;
            for order in &self.batch {
                match order {
                    Order::Put(attempt, report, _) => {
                        let value = convert::attempt_finished(*attempt, report).encode_to_vec();
                        table.insert(key(*attempt), value.as_slice())?;
                    }
                    Order::Remove(attempt) => {
                        table.remove(key(*attempt))?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn key(attempt: AttemptRef) -> (u64, u32, u32) {
    (attempt.element.task.0, attempt.element.index, attempt.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::attempt::no_fault;
    use hivemind_model::{ElementRef, TaskId};
    use tokio::sync::mpsc::unbounded_channel;

    fn attempt(task: u64) -> AttemptRef {
        ElementRef::only(TaskId(task)).attempt(2)
    }

    #[test]
    fn what_was_put_and_not_removed_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.redb");
        let report = Arc::new(no_fault("test"));
        let (signals, mut heard) = unbounded_channel();
        let (spool, ended) = Spool::open(&path, signals.clone()).unwrap();
        assert!(ended.is_empty());
        for task in 0..100 {
            let hurry = if task % 2 == 0 { Hurry::Soon } else { Hurry::Now };
            spool.put(attempt(task), Arc::clone(&report), hurry);
        }
        for task in 0..100 {
            match heard.blocking_recv() {
                Some(Signal::Event(event)) => assert_eq!(event, Event::Spooled { attempt: attempt(task) }),
                _ => panic!("no answer"),
            }
        }
        for task in 1..100 {
            spool.remove(attempt(task));
        }
        drop(spool);
        let (_spool, ended) = Spool::open(&path, signals).unwrap();
        assert_eq!(ended, vec![(attempt(0), report)]);
    }

    #[test]
    fn one_file_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.redb");
        let (signals, _heard) = unbounded_channel();
        let _first = Spool::open(&path, signals.clone()).unwrap();
        assert!(matches!(Spool::open(&path, signals), Err(SpoolError::Database(_))));
    }
}
