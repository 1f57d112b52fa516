//! What the pool counts of itself, where it happens: commits, hand-outs, nodes that came and went, work that was done.
//!
//! Everything here is a counter or a small table of fixed size, kept beside the writer; the same moments are told to
//! [`crate::meters`] where somebody measures. Start at [`Figures`].
//!
//! Invariant: nothing here is believed by anything that decides.

use crate::cached::Cached;
use crate::meters::Meters;
use hivemind_model::{Millis, TaskState, Timestamp};
use hivemind_proto::v1::{HealthResponse, PublicCountersResponse, QueueResponse};
use parking_lot::Mutex;
use recent::Recent;
use spread::Spread;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

mod recent;
mod spread;

/// Health and queue are worked out that often, at most.
const FRESH: Duration = Duration::from_secs(1);
/// What everybody may know is worked out that often, at most.
const FRESH_FOR_ALL: Duration = Duration::from_secs(10);

/// What has been done in the pool's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Tasks that completed.
    pub(crate) tasks: u64,
    /// Elements that completed.
    pub(crate) elements: u64,
    /// Processor time of ended attempts.
    pub(crate) cpu: Millis,
    /// False while what was done before the start is still being counted.
    pub(crate) is_whole: bool,
}

/// What the last look at the store found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Open tasks in the store that the engine does not know, seen twice.
    pub(crate) tasks_lost: u64,
    /// All balances less the supply, in micro-CPT.
    pub(crate) imbalance_micro: i64,
    /// When that was; `None`: not yet.
    pub(crate) at: Option<Timestamp>,
}

/// See the module.
pub(crate) struct Figures {
    commits: Mutex<Recent<60>>,
    lost: Mutex<Recent<60>>,
    joined: Mutex<Recent<60>>,
    waits: Mutex<Spread>,
    tasks: AtomicU64,
    elements: AtomicU64,
    cpu_ms: AtomicU64,
    is_whole: AtomicBool,
    checked: Mutex<Checked>,
    /// What is told to whoever measures.
    pub(crate) meters: Meters,
    /// The newest answers, for all callers.
    pub(crate) health: Cached<HealthResponse>,
    pub(crate) queue: Cached<QueueResponse>,
    pub(crate) public: Cached<PublicCountersResponse>,
}

impl Default for Figures {
    fn default() -> Self {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        Self {
            commits: Mutex::new(Recent::new(second)),
            lost: Mutex::new(Recent::new(minute)),
            joined: Mutex::new(Recent::new(minute)),
            waits: Mutex::default(),
            tasks: AtomicU64::new(0),
            elements: AtomicU64::new(0),
            cpu_ms: AtomicU64::new(0),
            is_whole: AtomicBool::new(false),
            checked: Mutex::default(),
            meters: Meters::default(),
            health: Cached::new(FRESH),
            queue: Cached::new(FRESH),
            public: Cached::new(FRESH_FOR_ALL),
        }
    }
}

impl Figures {
    /// A batch with so many answers is durable; its commit took `took`.
    pub(crate) fn committed(&self, answers: usize, took: Duration) {
        self.commits.lock().add(1);
        self.meters.committed(answers, took);
    }

    /// A node was silent for too long.
    pub(crate) fn lost_one(&self) {
        self.lost.lock().add(1);
        self.meters.node_lost();
    }

    /// A node came that was not there.
    pub(crate) fn joined_one(&self) {
        self.joined.lock().add(1);
        self.meters.node_joined();
    }

    /// So long did elements wait that were handed out now.
    pub(crate) fn handed_out(&self, waits: &[Millis]) {
        if waits.is_empty() {
            return;
        }
        self.waits.lock().add(waits);
        self.meters.handed_out(waits);
    }

    /// Work that was done since the last time.
    pub(crate) fn done(&self, tasks: &[TaskState], elements: u64, cpu: Millis) {
        let completed = tasks.iter().filter(|state| **state == TaskState::Completed).count();
        self.tasks.fetch_add(u64::try_from(completed).unwrap_or(0), Ordering::Relaxed);
        self.elements.fetch_add(elements, Ordering::Relaxed);
        self.cpu_ms.fetch_add(cpu.0, Ordering::Relaxed);
        self.meters.ended(tasks, elements);
    }

    /// Adds what was done before the start.
    pub(crate) fn add_past(&self, tasks: u64, elements: u64, cpu: Millis) {
        self.tasks.fetch_add(tasks, Ordering::Relaxed);
        self.elements.fetch_add(elements, Ordering::Relaxed);
        self.cpu_ms.fetch_add(cpu.0, Ordering::Relaxed);
    }

    /// All that was done before the start is counted.
    pub(crate) fn past_is_whole(&self) {
        self.is_whole.store(true, Ordering::Relaxed);
    }

    /// What has been done in the pool's life.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            tasks: self.tasks.load(Ordering::Relaxed),
            elements: self.elements.load(Ordering::Relaxed),
            cpu: Millis(self.cpu_ms.load(Ordering::Relaxed)),
            is_whole: self.is_whole.load(Ordering::Relaxed),
        }
    }

    /// Keeps what a look at the store found.
    pub(crate) fn check(&self, found: Checked) {
        *self.checked.lock() = found;
    }

    /// What the last look at the store found.
    pub(crate) fn checked(&self) -> Checked {
        *self.checked.lock()
    }

    /// Commits of the last minute.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.lock().sum()
    }

    /// How often nodes were lost, and how often they came, in the last hour.
    pub(crate) fn comings_and_goings(&self) -> (u64, u64) {
        (self.lost.lock().sum(), self.joined.lock().sum())
    }

    /// The waits below which the half and 99 in 100 of those of the last five minutes are, and how many there were.
    pub(crate) fn waits(&self) -> (Millis, Millis, u64) {
        let waits = self.waits.lock();
        (waits.below(50), waits.below(99), waits.count())
    }
}
