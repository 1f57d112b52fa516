//! What happens to the agent, and what it wants done.
//!
//! Start at [`Event`], then [`Action`]; [`crate::agent`] turns one into the other.
//!
//! Invariant: plain data; no channel, no file, no clock is in here.

use hivemind_model::rows::Report;
use hivemind_model::spec::{BlobRef, InputFile, TaskSpec};
use hivemind_model::{AttemptRef, Availability, Resources};
use hivemind_proto::convert::LogPosition;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What became of a try to store an output archive in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Upload {
    /// The pool has it.
    Stored,
    /// The way there failed; to be tried again.
    Later {
        /// What happened.
        reason: String,
    },
    /// The pool says that the attempt is not its own any more.
    Unwanted,
    /// The pool will never take it, or it cannot be read here.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What the pool wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Work {
    /// The task; elements of one array that wait together share it.
    pub spec: Arc<TaskSpec>,
    /// What this element of it finds in its environment.
    pub env: Vec<(String, String)>,
}

impl Work {
    /// Bytes of the task's texts.
    pub(crate) fn spec_bytes(&self) -> usize {
        let TaskSpec { name, image, command, files, .. } = &*self.spec;
        let command: usize = command.iter().map(|word| size_of::<String>() + word.len()).sum();
        let files: usize = files.iter().map(|file| size_of::<InputFile>() + file.path.len()).sum();
        size_of::<TaskSpec>() + name.len() + image.len() + command + files
    }

    /// Bytes of the environment.
    pub(crate) fn env_bytes(&self) -> usize {
        self.env.iter().map(|(name, value)| size_of::<(String, String)>() + name.len() + value.len()).sum()
    }
}

/// A chain of digests that the pool takes the time of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Benchmark {
    /// The pool's number for it.
    pub nonce: u64,
    /// Where the chain begins.
    pub seed: Vec<u8>,
    /// How long it is.
    pub rounds: u32,
}

/// What the owner's rules let this machine do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnerOrders {
    /// The whole of it; the pool is told this.
    pub machine: Ordered,
    /// What uses a graphics processor; never more than the whole does.
    pub graphics: Ordered,
    /// Names of images, or beginnings of names (`python:*`), that may be run; none: all.
    pub images: Vec<String>,
}

/// What the owner's rules let a part of the machine do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ordered {
    /// What.
    pub availability: Availability,
    /// When what stands still is given back; `None`: it is not.
    pub give_back_at: Option<Instant>,
}

impl OwnerOrders {
    /// Those for a job that was promised `need`.
    pub(crate) fn of(&self, need: &Resources) -> &Ordered {
        if need.gpus > 0 { &self.graphics } else { &self.machine }
    }

    /// True where an image of this name may be run.
    pub(crate) fn allows_image(&self, name: &str) -> bool {
        let fits = |allowed: &String| match allowed.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == allowed,
        };
        self.images.is_empty() || self.images.iter().any(fits)
    }
}

impl Ordered {
    /// True where jobs are to stand still.
    pub(crate) fn holds(&self) -> bool {
        match self.availability {
            Availability::Open | Availability::Finishing { .. } => false,
            Availability::Paused { .. } => true,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A link is open; the pool waits for a Hello.
    LinkOpened,
    /// There is no link any more.
    LinkLost,
    /// The pool answered the Hello.
    Welcome {
        /// How long a lease runs after the sending of the heartbeat that extends it.
        lease: Duration,
        /// How often to send heartbeats.
        heartbeat_every: Duration,
        /// To be stopped and forgotten.
        stale: Vec<AttemptRef>,
        /// What the pool has of the streams of what was kept.
        logs: Vec<LogPosition>,
    },
    /// The pool heard a heartbeat.
    HeartbeatAck {
        /// Which.
        sequence: u64,
    },
    /// The pool hands out an attempt.
    Assign {
        /// Which.
        attempt: AttemptRef,
        /// What to do.
        work: Work,
    },
    /// The pool hands out an attempt in a form that no pool of this release uses.
    BadAssign {
        /// Which.
        attempt: AttemptRef,
        /// What is wrong with it.
        reason: String,
    },
    /// The pool wants nothing more of an attempt.
    Stop {
        /// Which.
        attempt: AttemptRef,
    },
    /// The pool misses log bytes.
    LogResend {
        /// From where.
        position: LogPosition,
    },
    /// The pool has settled the end of an attempt, or refused it for good.
    FinishedAck {
        /// Which.
        attempt: AttemptRef,
        /// Empty where it was accepted.
        refusal: String,
    },
    /// The pool signed a new certificate.
    Certificate {
        /// Leaf, then CA.
        pem: String,
    },
    /// The operator wants this node to take no more work.
    Drain,
    /// The pool wants to know how fast this machine is.
    Benchmark {
        /// What to compute.
        ask: Benchmark,
    },
    /// What it asked for is computed.
    Measured {
        /// Under which number it asked.
        nonce: u64,
        /// What came out.
        digest: [u8; 32],
    },
    /// All inputs of a job lie here; the runtime has it now.
    Prepared {
        /// Which.
        attempt: AttemptRef,
    },
    /// A job's command runs.
    Started {
        /// Which.
        attempt: AttemptRef,
    },
    /// A job has something to tell people.
    Note {
        /// Which.
        attempt: AttemptRef,
        /// What.
        text: String,
    },
    /// A command says how much of its work is done.
    Progress {
        /// Which.
        attempt: AttemptRef,
        /// 0 to 100.
        percent: u8,
    },
    /// Nothing of a job runs any more; its streams and its output lie on disk.
    Ended {
        /// Which.
        attempt: AttemptRef,
        /// How.
        report: Box<Report>,
    },
    /// A report is durable.
    Spooled {
        /// Whose.
        attempt: AttemptRef,
    },
    /// A report could not be made durable; it is sent all the same.
    SpoolFailed {
        /// Whose.
        attempt: AttemptRef,
    },
    /// A try to store an output ended.
    Uploaded {
        /// Whose.
        attempt: AttemptRef,
        /// How.
        result: Upload,
    },
    /// What an attempt wrote cannot be read back from this disk.
    LogsLost {
        /// Whose.
        attempt: AttemptRef,
    },
    /// What the owner's rules let the machine do from now on.
    OwnerDecides {
        /// What.
        orders: OwnerOrders,
    },
    /// The owner wants everything ended at once; the worker itself goes on.
    OwnerClears,
    /// The owner wants no more work here.
    OwnerDrains,
    /// The owner stops the worker.
    OwnerStops,
    /// The machine was suspended while the monotonic clock stood still.
    Slept {
        /// For how long.
        span: Duration,
    },
    /// A deadline of [`crate::agent::Agent::next_deadline`] may have come.
    Tick,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Open the conversation.
    SendHello {
        /// Running here, or ended and not acknowledged.
        holds: Vec<AttemptRef>,
    },
    /// Send a heartbeat before anything else that waits.
    SendHeartbeat {
        /// Its number.
        sequence: u64,
        /// Attempts that occupy this machine.
        active: u32,
    },
    /// Tell that a command runs.
    SendStarted {
        /// Which.
        attempt: AttemptRef,
    },
    /// Tell how far an attempt is.
    SendProgress {
        /// Which.
        attempt: AttemptRef,
        /// 0 to 100; never falls.
        percent: u8,
        /// What happens, for people; empty: nothing to say.
        note: String,
    },
    /// Tell what the owner lets the machine do.
    SendOwner {
        /// What.
        availability: Availability,
    },
    /// Tell that an attempt is over, once all its log bytes are sent.
    SendFinished {
        /// Which.
        attempt: AttemptRef,
        /// How.
        report: Arc<Report>,
    },
    /// Ask for no more work.
    SendDrain,
    /// Fetch the inputs and run.
    StartJob {
        /// Which.
        attempt: AttemptRef,
        /// What.
        work: Arc<Work>,
    },
    /// Compute what the pool asked for.
    Measure {
        /// What.
        ask: Benchmark,
    },
    /// Leave that.
    AbortMeasure,
    /// Answer what the pool asked for.
    SendMeasured {
        /// Under which number it asked.
        nonce: u64,
        /// What came out.
        digest: [u8; 32],
    },
    /// Let a job stand still, or go on.
    HoldJob {
        /// Which.
        attempt: AttemptRef,
        /// True where it is to stand still.
        held: bool,
    },
    /// Kill.
    StopJob {
        /// Which.
        attempt: AttemptRef,
    },
    /// Make a report durable.
    Spool {
        /// Whose.
        attempt: AttemptRef,
        /// What.
        report: Arc<Report>,
    },
    /// Remove everything kept for an attempt: report, streams, output, transfers under way.
    Forget {
        /// Which.
        attempt: AttemptRef,
    },
    /// Send the streams from here on.
    RewindLogs {
        /// From where.
        position: LogPosition,
    },
    /// Store an output archive in the pool.
    StoreOutput {
        /// Whose.
        attempt: AttemptRef,
        /// What the pool must find in it.
        blob: BlobRef,
    },
    /// Keep a new certificate.
    KeepCertificate {
        /// Leaf, then CA.
        pem: String,
    },
    /// Close the link and open another.
    Reconnect {
        /// For people.
        why: String,
    },
    /// Say something in the log that an owner should see.
    Warn {
        /// What.
        text: String,
    },
}

/// What the agent must know of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// What attempts may use together.
    pub capacity: Resources,
}
