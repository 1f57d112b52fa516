//! What keeps an open task waiting beside the nodes: other tasks, its own failures, and until when.
//!
//! Start at [`Engine::first_waiting`].
//!
//! Invariant: nothing here changes anything.

use crate::Engine;
use crate::spans;
use crate::state::Task;
use hivemind_model::after::When;
use hivemind_model::rows::{Element, ElementPhase};
use hivemind_model::{ElementRef, TaskId, Timestamp};
use std::fmt;

/// Most tasks that are named as those for which another waits.
pub const MOST_BLOCKERS: usize = 16;

/// An open task for which another one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockedBy {
    /// Which.
    pub task: TaskId,
    /// What must become of it.
    pub when: When,
    /// Each element waits for that of the same index only.
    pub each: bool,
    /// How many of its elements have become that.
    pub done: u32,
    /// How many elements it has.
    pub elements: u32,
}

impl fmt::Display for BlockedBy {
    /// As in `task_12 to complete (3 of 10 elements have)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, done, elements, .. } = self;
        if self.each {
            f.write_str("the element of the same index of ")?;
        }
        match self.when {
            When::Success => write!(f, "{task} to complete")?,
            When::End => write!(f, "{task} to end")?,
        }
        if *elements > 1 { write!(f, " ({done} of {elements} elements have)") } else { Ok(()) }
    }
}

/// The first element of a task that waits; one that may be placed comes before those that are blocked.
pub(crate) struct FirstWaiting<'a> {
    pub(crate) at: ElementRef,
    pub(crate) element: &'a Element,
    pub(crate) not_before: Timestamp,
    /// True where an open task blocks it.
    pub(crate) is_blocked: bool,
    /// How many elements of the task are blocked.
    pub(crate) blocked: u64,
}

impl Engine {
    pub(crate) fn first_waiting<'a>(&self, task: &'a Task) -> Option<FirstWaiting<'a>> {
        if task.waiting == 0 {
            return None;
        }
        let waits = |element: &Element| matches!(element.phase, ElementPhase::Waiting { .. });
        let (mut found, mut blocked, mut is_blocked) = (None, 0, false);
        if !task.is_free() {
            let waiting = task.spans_where(task.ranges(), waits);
            let free = self.unblocked(task, waiting.clone());
            blocked = spans::count(&waiting) - spans::count(&free);
            is_blocked = free.is_empty();
            found = free.first().or(waiting.first()).map(|(first, _)| *first);
        }
        let index = match found {
            Some(index) => index,
            None => task.runs(task.ranges()).find(|(_, _, element)| waits(element)).map(|(first, _, _)| first)?,
        };
        let element = task.element(index)?;
        let ElementPhase::Waiting { not_before } = element.phase else { return None };
        let at = ElementRef { task: task.row.progress.id, index };
        Some(FirstWaiting { at, element, not_before, is_blocked, blocked })
    }

    /// The open tasks for which a task waits, no more than [`MOST_BLOCKERS`].
    pub(crate) fn blocked_by(&self, task: &Task) -> Vec<BlockedBy> {
        let open = task.row.spec.after.tasks.iter().filter_map(|dependency| {
            let other = self.tasks.get(&dependency.task)?;
            let ended = other.row.progress.ended;
            let done = match dependency.when {
                When::Success => ended.completed,
                When::End => ended.total(),
            };
            let (when, each, elements) = (dependency.when, dependency.each, other.elements.len());
            Some(BlockedBy { task: dependency.task, when, each, done, elements })
        });
        open.take(MOST_BLOCKERS).collect()
    }

    /// When something of a task is given up next because its requester waits no longer.
    pub(crate) fn gives_up_at(&self, task: &Task) -> Option<Timestamp> {
        task.bounds().map(|(at, _, _)| at).min()
    }

    /// In one sentence, for which tasks one waits.
    pub(crate) fn blocked_reason(&self, task: &Task) -> String {
        let all = u64::from(task.blockers.whole) + u64::from(task.blockers.each);
        let first = self.blocked_by(task).first().map(ToString::to_string).unwrap_or_default();
        match all {
            0 | 1 => format!("waits for {first}"),
            2 => format!("waits for {first}, and for 1 more task"),
            more => format!("waits for {first}, and for {} more tasks", more - 1),
        }
    }

    /// In one sentence, why an element that failed is not tried right now.
    pub(crate) fn pause_reason(&self, task: &Task, element: &Element) -> String {
        let (most, retries) = (self.policy.max_infrastructure_failures, task.row.spec.retries);
        let Element { faults, failures, .. } = element;
        match (faults, failures) {
            (_, 0) => {
                format!("it failed {faults} of {most} times through no fault of its own, and is tried again shortly")
            }
            (0, _) => format!("it failed, retry {failures} of {retries} comes shortly"),
            (_, _) => format!(
                "it failed {faults} of {most} times through no fault of its own and {failures} times by its own doing ({retries} retries), and is tried again shortly"
            ),
        }
    }

    /// What is to be added to the reason why a task waits where it is given up some day.
    pub(crate) fn until_when(&self, task: &Task) -> String {
        let left = self.gives_up_at(task).map(|at| at.since(self.seen_at));
        left.map(|left| format!("; it is given up in {} s", left.0.div_ceil(1000))).unwrap_or_default()
    }
}
