//! Tells watchers what happened to the tasks of one user.
//!
//! One bounded channel per watching user: a pool with many users and few watchers pays for the
//! watchers only. A watcher that is too slow is told so and reads the state anew.
//!
//! Invariant: an event is a hint to look; the state itself is read from the board or the store.

use hivemind_model::{ElementRef, TaskId, TaskState, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::broadcast;

/// Events that may wait for one user's slowest watcher.
const WAITING_EVENTS: usize = 4096;
/// Users with a channel above which those without a watcher lose theirs.
const SWEEP_ABOVE: usize = 256;

/// Something happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Its state changed.
    Moved(TaskId, TaskState),
    /// An attempt of the element was handed out, started or ended.
    Attempt(ElementRef),
    /// The node of an element told its progress.
    Progress(ElementRef),
}

/// See the module.
#[derive(Default)]
pub(crate) struct Hub {
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    watched: HashMap<UserId, broadcast::Sender<Event>>,
    /// How many there were after the last sweep.
    swept: usize,
}

impl Hub {
    /// Events of one user's tasks from now on.
    pub(crate) fn subscribe(&self, user: UserId) -> broadcast::Receiver<Event> {
        let mut users = self.users.lock();
        // A channel is large, and a user may never have another event.
        if users.watched.len() > SWEEP_ABOVE.max(2 * users.swept) {
            users.watched.retain(|_, sender| sender.receiver_count() > 0);
            users.swept = users.watched.len();
        }
        users.watched.entry(user).or_insert_with(|| broadcast::channel(WAITING_EVENTS).0).subscribe()
    }

    /// Tells the watchers of `user`, if there are any.
    pub(crate) fn publish(&self, user: UserId, event: Event) {
        let mut users = self.users.lock();
        if let Some(sender) = users.watched.get(&user)
            && sender.send(event).is_err()
        {
            users.watched.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_who_watched_once_are_forgotten() {
        let hub = Hub::default();
        let stays = hub.subscribe(UserId(0));
        for user in 1..10_000 {
            drop(hub.subscribe(UserId(user)));
        }
        assert!(hub.users.lock().watched.len() <= SWEEP_ABOVE + 1);
        hub.publish(UserId(0), Event::Attempt(ElementRef::only(TaskId(1))));
        assert_eq!(stays.len(), 1);
    }
}
