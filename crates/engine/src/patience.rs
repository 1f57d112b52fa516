//! How long requesters wait.
//!
//! Start at [`Engine::lose_patience`]. A task has up to two moments at which its requester gives up: one for all of it
//! that has not ended (`total` and `deadline`), and one for those of its elements that were never handed out (`queue`).
//! The latter counts from the moment from which nothing that the task waits for is open; as that is not stored, a start
//! of the pool begins it anew for tasks that wait for others.
//!
//! Invariant: a task is given up no sooner than it asked for.

use crate::Engine;
use crate::meter::MAX_PER_TICK;
use crate::state::Task;
use hivemind_model::rows::{Element, TaskRow};
use hivemind_model::spec::Patience;
use hivemind_model::state::Outcome;
use hivemind_model::{Millis, TaskId, Timestamp};

/// What is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    /// What was never handed out.
    Queue,
    /// What has not ended.
    All,
}

/// The moment at which a requester gives up what has not ended, and why then; `None` where never.
pub(crate) fn all_until(row: &TaskRow) -> Option<(Timestamp, String)> {
    let Patience { total, deadline, queue: _, lost_after: _ } = row.spec.patience;
    let total = total.map(|total| {
        let why = format!(
            "it had not ended {} after it was submitted, as long as max_total_seconds allows; raise that, or ask for less so that nodes are found sooner",
            seconds(total)
        );
        (row.submitted_at.after(total), why)
    });
    let deadline = deadline.map(|deadline| {
        let why = format!(
            "it had not ended by its deadline (deadline_unix_ms {}); set a later one, or ask for less so that nodes are found sooner",
            deadline.0
        );
        (deadline, why)
    });
    total.into_iter().chain(deadline).min_by_key(|(at, _)| *at)
}

fn seconds(span: Millis) -> String {
    match span.0 % 1000 {
        0 => format!("{} s", span.secs()),
        rest => format!("{}.{rest:03} s", span.secs()),
    }
}

impl Task {
    /// Every moment at which something of it is given up.
    pub(crate) fn bounds(&self) -> impl Iterator<Item = (Timestamp, TaskId, Bound)> {
        let id = self.row.progress.id;
        let queue = self.queue_until.map(|at| (at, id, Bound::Queue));
        let all = all_until(&self.row).map(|(at, _)| (at, id, Bound::All));
        queue.into_iter().chain(all)
    }

    /// True where nothing that it waits for is open.
    pub(crate) fn is_free(&self) -> bool {
        self.blockers.whole == 0 && self.blockers.each == 0
    }
}

impl Engine {
    /// Begins to watch how long a new task is waited for.
    pub(crate) fn watch_patience(&mut self, id: TaskId, now: Timestamp) {
        if let Some(task) = self.tasks.get(&id)
            && let Some((at, _)) = all_until(&task.row)
        {
            self.patience.insert((at, id, Bound::All));
        }
        self.begin_to_queue(id, now);
    }

    /// Begins to count how long a task queues, where nothing blocks it any more.
    pub(crate) fn begin_to_queue(&mut self, id: TaskId, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.is_free() && task.queue_until.is_none()) else {
            return;
        };
        if let Some(queue) = task.row.spec.patience.queue {
            let at = now.after(queue);
            task.queue_until = Some(at);
            self.patience.insert((at, id, Bound::Queue));
        }
    }

    /// As [`Engine::watch_patience`], of a task that was stored.
    pub(crate) fn watch_restored(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let untried = task.runs(task.ranges()).any(|(_, _, element)| *element == Element::FRESH);
        let since = if task.row.spec.after.tasks.is_empty() { task.row.submitted_at } else { self.seen_at };
        self.patience.extend(all_until(&task.row).map(|(at, _)| (at, id, Bound::All)));
        if untried {
            self.begin_to_queue(id, since);
        }
    }

    /// Forgets how long a task that has ended was to be waited for.
    pub(crate) fn forget_patience(&mut self, task: &Task) {
        for bound in task.bounds() {
            self.patience.remove(&bound);
        }
    }

    /// Gives up what requesters wait for no longer.
    pub(crate) fn lose_patience(&mut self, now: Timestamp) {
        for _ in 0..MAX_PER_TICK {
            let Some(&(at, id, bound)) = self.patience.first().filter(|(at, _, _)| *at <= now) else { return };
            self.patience.remove(&(at, id, bound));
            match bound {
                Bound::Queue => self.give_up_untried(id, now),
                Bound::All => {
                    let why = self.tasks.get(&id).and_then(|task| all_until(&task.row));
                    let Some((_, reason)) = why else { panic!("T7: {id} is given up, but has no bound") };
                    self.stop_task(id, &Outcome::OutOfPatience { reason }, now);
                }
            }
        }
    }

    /// Gives up the elements of a task that were never handed out.
    fn give_up_untried(&mut self, id: TaskId, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id) else { panic!("T7: {id} is given up after it ended") };
        task.queue_until = None;
        let waited = task.row.spec.patience.queue.unwrap_or_default();
        let all = task.ranges().to_vec();
        let reason = format!(
            "no node had room for it within {}, as long as max_wait_seconds allows; raise that, or ask for less",
            seconds(waited)
        );
        self.end_waiting(id, &all, |element| element.attempts == 0, &Outcome::OutOfPatience { reason }, now);
        self.restate(id, now);
    }
}
