//! Turns at reads that can take long, such as a statement with a filter that few entries meet.
//!
//! A few go on at once, so that short reads (balances, logins) always find a free connection to the
//! store; the others wait in their order. Start at [`Turns::take`].
//!
//! Invariant: no user keeps more than a few of the places in the queue.

use hivemind_model::{Code, Rejection, UserId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Long reads at once: half of the connections that the store has for reads.
const AT_ONCE: usize = 2;
/// Long reads of one user, waiting or going on.
const OF_ONE_USER: u32 = 4;

/// Who reads, and whose turn it is.
pub(crate) struct Turns {
    places: Arc<Semaphore>,
    of_users: Arc<Mutex<BTreeMap<UserId, u32>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), of_users: Arc::default() }
    }
}

impl Turns {
    /// Waits for a turn, which lasts until the answer is dropped.
    ///
    /// # Errors
    /// [`Code::Busy`] where the user has as many in the queue as one may have.
    pub(crate) async fn take(&self, user: UserId) -> Result<Turn, Rejection> {
        let ticket = self.ticket(user)?;
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| Rejection::new(Code::Busy, "the pool is stopping; try again later"))?;
        Ok(Turn { _place: place, _ticket: ticket })
    }

    fn ticket(&self, user: UserId) -> Result<Ticket, Rejection> {
        let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of_users.entry(user).or_default();
        if *count >= OF_ONE_USER {
            let why = format!("{OF_ONE_USER} long reads of yours are going on; wait for one of them to end");
            return Err(Rejection::new(Code::Busy, why));
        }
        *count += 1;
        Ok(Ticket { user, of_users: self.of_users.clone() })
    }
}

/// The right to one long read. It goes where the read goes: a caller who hangs up does not stop what
/// the database has begun, which has to be counted until it is done.
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    _ticket: Ticket,
}

/// A place in the queue.
struct Ticket {
    user: UserId,
    of_users: Arc<Mutex<BTreeMap<UserId, u32>>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of_users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                of_users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn a_user_takes_few_places_and_the_others_still_get_theirs() {
        let turns = Turns::default();
        let (greedy, other) = (UserId(1), UserId(2));
        let going = [turns.take(greedy).await.unwrap(), turns.take(greedy).await.unwrap()];
        let mut waiting = Box::pin(turns.take(greedy));
        assert!(waiting.as_mut().now_or_never().is_none(), "two at once");
        let mut given_up = Box::pin(turns.take(greedy));
        assert!(given_up.as_mut().now_or_never().is_none());
        assert_eq!(turns.take(greedy).await.err().map(|refused| refused.code), Some(Code::Busy), "four in the queue");
        let mut others = Box::pin(turns.take(other));
        assert!(others.as_mut().now_or_never().is_none(), "it waits");
        drop((going, given_up));
        let taken = (waiting.await.unwrap(), others.await.unwrap());
        assert_eq!(turns.of_users.lock().unwrap().len(), 2);
        drop(taken);
        assert!(turns.of_users.lock().unwrap().is_empty(), "nobody is remembered");
    }
}
