//! What a task waits for: other tasks of the same requester.
//!
//! Invariant: a task names only tasks that were there before it, so that there is no cycle; a graph
//! that is submitted whole is put into such an order first.

use crate::ids::TaskId;
use crate::rejection::{Code, Rejection};
use serde::{Deserialize, Serialize};

/// Most tasks that one task waits for.
pub const MAX_DEPENDENCIES: usize = 1000;

/// What must have become of a task that is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// It completed.
    #[default]
    Success,
    /// It ended, however.
    End,
}

/// One task that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Which.
    pub task: TaskId,
    /// What must have become of it.
    pub when: When,
    /// Each element waits only for the element of the same index.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub each: bool,
}

/// What becomes of a task whose dependency did not complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmet {
    /// The elements that waited for it are skipped; the others go on.
    #[default]
    Skip,
    /// The whole task is cancelled.
    Cancel,
}

/// All that a task waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// All of them.
    pub tasks: Vec<Dependency>,
    /// Where one of them does not become what it must.
    pub unmet: Unmet,
}

impl After {
    /// Checks number and uniqueness.
    ///
    /// # Errors
    /// [`Code::TooLarge`] or [`Code::Invalid`] of `after`.
    pub fn check(&self) -> Result<(), Rejection> {
        if self.tasks.len() > MAX_DEPENDENCIES {
            return Err(Rejection::field(
                Code::TooLarge,
                "after",
                format!("{} dependencies; at most {MAX_DEPENDENCIES} are taken", self.tasks.len()),
            ));
        }
        let mut ids: Vec<TaskId> = self.tasks.iter().map(|dependency| dependency.task).collect();
        ids.sort_unstable();
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Rejection::invalid("after", format!("{} is named twice", pair[0]))),
            None => Ok(()),
        }
    }
}
