//! What leaves the engine: sent only after the batch that caused it is durable.
//!
//! Invariant: losing an effect never loses a fact; the other side asks again when it reconnects.

use crate::ids::{AttemptRef, NodeId, TaskId, UserId};
use crate::spec::TaskSpec;
use crate::state::TaskState;
use std::sync::Arc;

/// Something to tell the outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Give an attempt to a node.
    Assign {
        /// To whom.
        node: NodeId,
        /// Over which of its links.
        session: u64,
        /// What.
        attempt: AttemptRef,
        /// What to do.
        spec: Arc<TaskSpec>,
    },
    /// Stop an attempt and forget it.
    Stop {
        /// To whom.
        node: NodeId,
        /// Over which of its links.
        session: u64,
        /// What.
        attempt: AttemptRef,
    },
    /// Compare the result of an attempt with those of others; [`Command::Compared`](crate::Command::Compared)
    /// answers.
    Compare {
        /// Whose result.
        attempt: AttemptRef,
        /// The others, all different from one another.
        with: Vec<AttemptRef>,
        /// What they did, and how they are compared.
        spec: Arc<TaskSpec>,
    },
    /// Close a link; nothing more is sent over it.
    Unlink {
        /// Whose.
        node: NodeId,
        /// Which of its links.
        session: u64,
    },
    /// A task moved, or another hundredth of an array's elements ended.
    TaskMoved {
        /// Whose.
        user: UserId,
        /// Which.
        task: TaskId,
        /// Where it stands now.
        state: TaskState,
        /// Ended elements, in hundredths of all.
        percent: u8,
    },
}
