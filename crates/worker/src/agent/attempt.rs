//! One attempt on this machine, and where it stands.
//!
//! Start at [`Phase`].
//!
//! Invariant: a phase says what is true now; what to do about an event is in [`super`].

use super::news::News;
use crate::event::Work;
use hivemind_model::rows::Report;
use hivemind_model::{Outcome, Resources};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest reason that goes into a report, in characters.
const MAX_REASON_CHARS: usize = 1000;

/// Where an attempt stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    /// Assigned, and in the backlog until there is room for it.
    Waiting {
        /// What to do then.
        work: Arc<Work>,
        /// Its place in the line; lower ones start first.
        place: u64,
        /// What it adds to the memory that the backlog takes, about.
        bytes: usize,
    },
    /// The job fetches its inputs.
    Fetching,
    /// The runtime has the job: image, volume, container.
    Preparing,
    /// The command runs.
    Running,
    /// The job was told to stop, and has not yet ended.
    Stopping(Afterwards),
    /// Ended; the report is being made durable.
    Spooling {
        /// How it ended.
        report: Arc<Report>,
    },
    /// Ended and on disk; the pool has not acknowledged it.
    Delivering {
        /// How it ended.
        report: Arc<Report>,
        /// Whether the pool has the output archive.
        output: Output,
        /// True where the report was sent over the link that is up.
        sent: bool,
    },
}

/// What becomes of a job that was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// Nobody wants it: everything of it is removed.
    Discard,
    /// The pool is told that it was not the task's fault.
    Report {
        /// Why it was stopped.
        reason: String,
    },
}

/// Where the output archive of an ended attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// In the pool, or there is none.
    Done,
    /// Here, and nobody carries it.
    Here,
    /// On its way.
    Moving,
    /// Here; the last try failed.
    RetryAt(Instant),
}

/// An attempt with what it occupies while it may run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    /// Reserved for it.
    pub need: Resources,
    /// Where it stands.
    pub phase: Phase,
    /// True where what it wrote cannot be read back; the report then claims no bytes.
    pub logs_lost: bool,
    /// How long it may run after the pool was last heard, where that is longer than the lease.
    pub grace: Duration,
    /// Failed tries to store its output.
    pub failed_uploads: u32,
    /// True where its job was told to stand still.
    pub held: bool,
    /// What it tells while it runs.
    pub news: News,
}

impl Attempt {
    /// In `phase`, with nothing to tell yet.
    pub(crate) fn new(need: Resources, grace: Duration, phase: Phase) -> Self {
        Self { need, phase, logs_lost: false, grace, failed_uploads: 0, held: false, news: News::default() }
    }

    /// True where a job that works was told to stand still.
    pub(crate) fn stands_still(&self) -> bool {
        self.held && self.phase.is_working()
    }
}

impl Phase {
    /// True where a job occupies the machine.
    pub(crate) fn is_occupying(&self) -> bool {
        match self {
            Self::Fetching | Self::Preparing | Self::Running | Self::Stopping(_) => true,
            Self::Waiting { .. } | Self::Spooling { .. } | Self::Delivering { .. } => false,
        }
    }

    /// True where the lease must be live.
    pub(crate) fn needs_lease(&self) -> bool {
        match self {
            Self::Waiting { .. } | Self::Fetching | Self::Preparing | Self::Running => true,
            Self::Stopping(_) | Self::Spooling { .. } | Self::Delivering { .. } => false,
        }
    }

    /// True where a job works towards a result that is wanted.
    pub(crate) fn is_working(&self) -> bool {
        match self {
            Self::Fetching | Self::Preparing | Self::Running => true,
            Self::Waiting { .. } | Self::Stopping(_) | Self::Spooling { .. } | Self::Delivering { .. } => false,
        }
    }

    /// True where the pool is told that the attempt is here.
    pub(crate) fn is_held(&self) -> bool {
        !matches!(self, Self::Stopping(Afterwards::Discard))
    }
}

/// The report of an attempt that did not run, or whose run does not count, through no fault
/// of the task.
pub(crate) fn no_fault(reason: &str) -> Report {
    Report {
        outcome: Outcome::Infrastructure { reason: reason.chars().take(MAX_REASON_CHARS).collect() },
        metering: hivemind_model::Metering::default(),
        logs: hivemind_model::rows::LogLengths::default(),
        image_id: String::new(),
        output: None,
        digest: None,
    }
}
