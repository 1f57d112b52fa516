//! Tasks that ended lately: for questions that come late, and for tasks that wait for them.
//!
//! Whoever submits a task that waits for others asks the store for those that have ended. What ends between that look
//! and the submission is known here. Start at [`Recent::push`].
//!
//! Invariant: bounded by the number of tasks and by the number of ranges that they take together.

use crate::after::has_failed;
use crate::spans::Spans;
use crate::state::Task;
use hivemind_model::array::MAX_RANGES;
use hivemind_model::{TaskId, TaskState, UserId};
use std::collections::{BTreeMap, VecDeque};

/// How many ended tasks are kept.
const RECENT: usize = 65_536;
/// How many ranges of indices are kept of all of them together.
const RECENT_RANGES: usize = 1 << 20;

/// Which elements of an ended task did not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    None,
    All,
    Some(Box<[(u32, u32)]>),
    /// More ranges of them than are kept.
    TooMany,
}

/// A task that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) user: UserId,
    /// Of its indices.
    pub(crate) ranges: Box<[(u32, u32)]>,
    pub(crate) failed: Failed,
}

impl Past {
    /// What is to be remembered of a task all of whose elements have ended.
    pub(crate) fn of(task: &Task) -> Self {
        let failed = match task.row.progress.state {
            TaskState::Completed => Failed::None,
            TaskState::Pending | TaskState::Running | TaskState::Failed | TaskState::Cancelled => {
                let failed: Spans = task.spans_where(task.ranges(), has_failed);
                match failed.len() {
                    _ if failed == task.ranges() => Failed::All,
                    0..=MAX_RANGES => Failed::Some(failed.into()),
                    _ => Failed::TooMany,
                }
            }
        };
        Self { user: task.row.user, ranges: task.ranges().into(), failed }
    }

    fn weight(&self) -> usize {
        let failed = match &self.failed {
            Failed::Some(spans) => spans.len(),
            Failed::None | Failed::All | Failed::TooMany => 0,
        };
        self.ranges.len() + failed
    }
}

/// The tasks that ended lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    tasks: BTreeMap<TaskId, Past>,
    order: VecDeque<TaskId>,
    weight: usize,
}

impl Recent {
    pub(crate) fn push(&mut self, id: TaskId, past: Past) {
        self.weight += past.weight();
        self.tasks.insert(id, past);
        self.order.push_back(id);
        while self.order.len() > RECENT || (self.weight > RECENT_RANGES && self.order.len() > 1) {
            let Some(oldest) = self.order.pop_front() else { return };
            self.weight -= self.tasks.remove(&oldest).map_or(0, |past| past.weight());
        }
    }

    pub(crate) fn get(&self, id: TaskId) -> Option<&Past> {
        self.tasks.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut recent = Recent::default();
        let wide = |ranges: usize| Past {
            user: UserId(1),
            ranges: vec![(0, 0); ranges].into(),
            failed: Failed::Some(vec![(0, 0); 1].into()),
        };
        for id in 1..=3 {
            recent.push(TaskId(id), wide(RECENT_RANGES / 2 - 1));
        }
        assert_eq!((recent.get(TaskId(1)), recent.weight), (None, RECENT_RANGES));
        recent.push(TaskId(4), wide(2 * RECENT_RANGES));
        assert!(recent.get(TaskId(4)).is_some(), "the newest is kept however wide it is");
        assert_eq!((recent.order.len(), recent.weight), (1, 2 * RECENT_RANGES + 1));
    }
}
