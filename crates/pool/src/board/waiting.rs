//! What waits: tasks of which an element is neither handed out nor ended, the oldest first.
//!
//! It is kept up with every batch, so that the oldest and the number of all are known at once; whoever wants more walks
//! the line in pieces ([`Board::waiting`]), each of which keeps the board for a moment only.
//!
//! Invariant: an element is counted while nothing of it is handed out and no result of it is being compared.

use super::{Board, Inner};
use hivemind_model::rows::AttemptRow;
use hivemind_model::{ElementRef, TaskId, TaskSpec, Timestamp};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Tasks for which others wait that are looked at in one piece.
const MOST_LOOKED_AT: usize = 20_000;

/// What waits of each task, by when the task was accepted.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    tasks: BTreeMap<(Timestamp, TaskId), u64>,
    elements: u64,
}

/// A task of which something waits.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Which.
    pub(crate) task: TaskId,
    /// When it was accepted.
    pub(crate) since: Timestamp,
    /// How many of its elements wait.
    pub(crate) elements: u64,
    /// What is asked for.
    pub(crate) spec: Arc<TaskSpec>,
    /// True where a task for which it waits is open.
    pub(crate) is_blocked: bool,
}

impl Waiting {
    /// Says how many elements of a task wait now; `before` is what was said last.
    pub(super) fn put(&mut self, since: Timestamp, task: TaskId, before: u64, now: u64) {
        self.elements = (self.elements + now).saturating_sub(before);
        match now {
            0 => drop(self.tasks.remove(&(since, task))),
            1.. => drop(self.tasks.insert((since, task), now)),
        }
    }
}

impl Board {
    /// How many elements wait, and the oldest task of which one does.
    pub(crate) fn waiting_now(&self) -> (u64, Option<(Timestamp, TaskId)>) {
        let inner = self.inner.read();
        (inner.waiting.elements, inner.waiting.tasks.keys().next().copied())
    }

    /// The next tasks of which something waits, the oldest first, at most `most`; fewer where they name many others.
    pub(crate) fn waiting(&self, after: Option<(Timestamp, TaskId)>, most: usize) -> Vec<Line> {
        let inner = self.inner.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut lines, mut looked_at) = (Vec::new(), 0);
        for (&(since, task), &elements) in inner.waiting.tasks.range((from, Bound::Unbounded)) {
            if lines.len() >= most || looked_at >= MOST_LOOKED_AT {
                break;
            }
            let Some(open) = inner.tasks.get(&task) else { continue };
            let others = &open.spec.after.tasks;
            looked_at += others.len();
            let is_blocked = others.iter().any(|other| inner.tasks.contains_key(&other.task));
            lines.push(Line { task, since, elements, spec: open.spec.clone(), is_blocked });
        }
        lines
    }
}

impl Inner {
    /// True where an attempt of the element is handed out, or a result of it is being compared.
    pub(super) fn is_out(&self, element: ElementRef) -> bool {
        let of_it = element.attempt(0)..=element.attempt(u32::MAX);
        self.live.range(of_it.clone()).next().is_some()
            || (!self.compared.is_empty() && self.compared.range(of_it).next().is_some())
    }

    /// Notes that an attempt of the element came or went.
    pub(super) fn note_out(&mut self, element: ElementRef, was_out: bool) {
        let is_out = self.is_out(element);
        if was_out == is_out {
            return;
        }
        if let Some(task) = self.tasks.get_mut(&element.task) {
            task.out = (task.out + u64::from(is_out)).saturating_sub(u64::from(was_out));
            self.moved.push(element.task);
        }
    }

    /// Notes how long an element waited that was handed out for the first time.
    pub(super) fn note_wait(&mut self, row: &AttemptRow) {
        let Some(task) = self.tasks.get(&row.attempt.element.task) else { return };
        if row.attempt.number == 1 && task.spec.after.tasks.is_empty() {
            self.followed.waits.push(row.assigned_at.since(task.submitted_at));
        }
    }

    /// Brings the line of what waits up to date with what moved in a batch.
    pub(super) fn settle(&mut self) {
        let mut moved = std::mem::take(&mut self.moved);
        for id in moved.drain(..) {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let open = u64::from(task.spec.elements()).saturating_sub(u64::from(task.ended.total()));
            let now = open.saturating_sub(task.out);
            let before = std::mem::replace(&mut task.waiting, now);
            if before != now {
                self.waiting.put(task.submitted_at, id, before, now);
            }
        }
        self.moved = moved;
    }
}

#[cfg(test)]
mod tests;
