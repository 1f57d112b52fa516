//! How many contents may be on their way at once.
//!
//! A sender that stalls keeps a place until it is given up, so nobody has more than a few, and
//! users, of whom anybody can be many, cannot keep nodes from bringing results.
//!
//! Invariant: a place is given back when it is dropped, and at no other time.

use hivemind_model::{NodeId, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Contents of all users together.
const MOST_OF_USERS: usize = 128;
/// Contents of all nodes together.
const MOST_OF_NODES: usize = 512;
/// Contents of one sender.
pub(super) const MOST_OF_ONE: usize = 8;

/// Who sends content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// A user, an input.
    User(UserId),
    /// A node, an output.
    Node(NodeId),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<HashMap<Sender, usize>>,
}

/// The right to send one content.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    sender: Sender,
}

impl Places {
    /// A place for `sender`; `None` where there is none.
    pub(super) fn take(self: &Arc<Self>, sender: Sender) -> Option<Place> {
        let mut taken = self.taken.lock();
        let is_user = |sender: &Sender| matches!(sender, Sender::User(_));
        let most = if is_user(&sender) { MOST_OF_USERS } else { MOST_OF_NODES };
        let of_kind: usize =
            taken.iter().filter(|(other, _)| is_user(other) == is_user(&sender)).map(|(_, count)| *count).sum();
        let count = taken.entry(sender).or_default();
        if *count >= MOST_OF_ONE || of_kind >= most {
            if *count == 0 {
                taken.remove(&sender);
            }
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), sender })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(count) = taken.get_mut(&self.sender) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_one_sender_nor_all_users_take_every_place() {
        let places = Arc::new(Places::default());
        let mut held: Vec<Place> = (0..1000).filter_map(|_| places.take(Sender::User(UserId(1)))).collect();
        assert_eq!(held.len(), MOST_OF_ONE);
        held.extend((0..1000).filter_map(|user| places.take(Sender::User(UserId(user)))));
        assert_eq!(held.len(), MOST_OF_USERS);
        assert!(places.take(Sender::Node(NodeId(1))).is_some());
        drop(held);
        assert!(places.take(Sender::User(UserId(1))).is_some());
        assert!(places.taken.lock().is_empty(), "a sender without a place is remembered");
    }
}
