//! Holds: money set aside before work starts.
//!
//! A hold opens when a task is admitted and ends exactly once (L3): by the settlement of the
//! task's last element, or by a release.
//!
//! Invariant: no clock here; what ends a hold arrives as a call.

use hivemind_model::{Cpt, TaskId, UserId};
use serde::{Deserialize, Serialize};

/// Money set aside for one open task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// For which task.
    pub task: TaskId,
    /// Whose money.
    pub user: UserId,
    /// What is still set aside.
    pub left: Cpt,
}
