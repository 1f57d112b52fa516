//! Tells watchers what happened to the tasks of one user.
//!
//! One bounded channel per watching user: a pool with many users and few watchers pays for the
//! watchers only. A watcher that is too slow is told so and reads the state anew.
//!
//! Invariant: an event is a hint to look; the state itself is read from the board or the store.

use hivemind_model::{TaskId, TaskState, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::broadcast;

/// Events that may wait for one user's slowest watcher.
const WAITING_EVENTS: usize = 4096;

/// Something happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Its state changed.
    Moved(TaskId, TaskState),
    /// An attempt was handed out, started or ended.
    Attempt(TaskId),
    /// Its node told its progress.
    Progress(TaskId),
}

/// See the module.
#[derive(Default)]
pub(crate) struct Hub {
    users: Mutex<HashMap<UserId, broadcast::Sender<Event>>>,
}

impl Hub {
    /// Events of one user's tasks from now on.
    pub(crate) fn subscribe(&self, user: UserId) -> broadcast::Receiver<Event> {
        self.users.lock().entry(user).or_insert_with(|| broadcast::channel(WAITING_EVENTS).0).subscribe()
    }

    /// Tells the watchers of `user`, if there are any.
    pub(crate) fn publish(&self, user: UserId, event: Event) {
        let mut users = self.users.lock();
        if let Some(sender) = users.get(&user)
            && sender.send(event).is_err()
        {
            users.remove(&user);
        }
    }
}
