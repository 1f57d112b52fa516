//! How many streams somebody has open.
//!
//! Start at [`Streams::take`].
//!
//! Invariant: only who has a stream is remembered.

use crate::caller::Owner;
use crate::fault::Fault;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Streams of one owner at once.
const MOST: usize = 32;

/// Copies are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<Owner, usize>>>);

/// An open stream; over when dropped.
#[derive(Debug)]
pub(crate) struct Open {
    streams: Streams,
    owner: Owner,
}

impl Streams {
    /// One more stream of `owner`.
    ///
    /// # Errors
    /// 429 where they have as many as they may.
    pub(crate) fn take(&self, owner: Owner) -> Result<Open, Fault> {
        let mut open = self.0.lock();
        let count = open.entry(owner.clone()).or_default();
        if *count >= MOST {
            return Err(Fault::busy(format!("{MOST} logs are followed already; close some and try again")));
        }
        *count += 1;
        Ok(Open { streams: self.clone(), owner })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        if let Some(count) = open.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_their_own_streams_and_leaves_nothing_behind() {
        let streams = Streams::default();
        let owner = |name: &str| Owner::User(name.to_owned());
        let all: Vec<Open> = (0..MOST).map(|_| streams.take(owner("ada")).unwrap()).collect();
        assert_eq!(streams.take(owner("ada")).unwrap_err().0.code(), "E_BUSY");
        assert!(streams.take(owner("bob")).is_ok());
        drop(all);
        assert!(streams.0.lock().is_empty());
        assert!(streams.take(owner("ada")).is_ok());
    }
}
