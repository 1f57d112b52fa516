//! Life of a task: pending, running, then exactly one of completed, failed, cancelled.
//!
//! Invariant: a terminal state is never left (T2).

use crate::units::{Bytes, Millis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a task stands, as its requester sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Accepted and waiting for a node, or handed out and not yet started.
    Pending,
    /// At least one element runs.
    Running,
    /// Ended with exit code 0.
    Completed,
    /// Ended otherwise.
    Failed,
    /// Ended on the requester's word.
    Cancelled,
}

impl TaskState {
    /// Every state, in the order of life.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// True for the three that are never left.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads [`TaskState::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one attempt ended.
///
/// The first four are the task's own doing: paid, final. [`Outcome::Infrastructure`] is not:
/// unpaid, and tried again elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The command ended by itself.
    Exited {
        /// Its exit code; 128 + n where signal n ended it.
        code: i32,
    },
    /// Killed: it took more memory than it asked for.
    OutOfMemory,
    /// Killed: it ran for longer than `max_runtime`.
    TimedOut,
    /// The image has no such command, or may not execute it.
    CannotStart {
        /// What the runtime said.
        reason: String,
    },
    /// The image does not exist, may not be read, or has another digest than asked for.
    /// Final, unpaid.
    BadImage {
        /// What the registry or the runtime said.
        reason: String,
    },
    /// The image could not be fetched: no way to its registry from that machine. Unpaid, and
    /// tried again elsewhere a few times.
    ImageUnavailable {
        /// What the registry or the runtime said.
        reason: String,
    },
    /// Stopped on the pool's word (the requester cancelled). Paid up to there.
    Cancelled,
    /// It waited for longer than its hold lasts, or was still being tried then. Paid up to there.
    Expired,
    /// The requester's own patience was over: it waited too long for a node, or had not ended at its deadline.
    /// Paid up to there.
    OutOfPatience {
        /// Which bound.
        reason: String,
    },
    /// Never run, or run no further: what it waited for did not complete, or too many of its array failed.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It brought down, or could not be run by, so many different nodes that no further one is tried. Unpaid.
    Poison {
        /// What happened, the last time.
        reason: String,
    },
    /// Its copies gave different results, and no group of them became credible. Unpaid.
    Disputed {
        /// How the copies differ.
        reason: String,
    },
    /// The machine, its owner, or the way to it failed. Unpaid.
    Infrastructure {
        /// What went wrong.
        reason: String,
    },
}

impl Outcome {
    /// True for exit code 0.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Exited { code: 0 })
    }

    /// A sentence for people; empty for a success.
    #[must_use]
    pub fn explain(&self) -> String {
        match self {
            Self::Exited { code: 0 } => String::new(),
            Self::Exited { code } => format!("E_EXIT: the command ended with exit code {code}"),
            Self::OutOfMemory => "E_OUT_OF_MEMORY: the task used more memory than required_memory; ask for more".into(),
            Self::TimedOut => "E_TIMED_OUT: the task ran for longer than max_runtime; ask for more or split it".into(),
            Self::CannotStart { reason } => format!("E_CANNOT_START: command could not be started: {reason}"),
            Self::BadImage { reason } => format!("E_BAD_IMAGE: docker_image: {reason}"),
            Self::ImageUnavailable { reason } => format!("E_IMAGE_UNAVAILABLE: docker_image: {reason}"),
            Self::Cancelled => "E_CANCELLED: cancelled by its requester".into(),
            Self::Expired => "E_EXPIRED: it had not ended when its hold expired; submit it again, or ask for less so that a node is found sooner".into(),
            Self::OutOfPatience { reason } => format!("E_OUT_OF_PATIENCE: {reason}"),
            Self::Skipped { reason } => format!("E_SKIPPED: {reason}"),
            Self::Poison { reason } => format!("E_POISON: {reason}"),
            Self::Disputed { reason } => format!("E_DISPUTED: {reason}"),
            Self::Infrastructure { reason } => format!("E_INFRASTRUCTURE: {reason}"),
        }
    }
}

/// What an attempt used, as the runtime measured it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metering {
    /// Time from start to end of the command.
    pub wall: Millis,
    /// Processor time, user and system.
    pub cpu: Millis,
    /// Highest memory use.
    pub peak_memory: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.as_str()), Some(state));
        }
        assert_eq!(TaskState::parse("Completed"), None);
    }
}
