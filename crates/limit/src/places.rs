//! How many of something each has at once, and all together.
//!
//! Start at [`Places::take`].
//!
//! Invariant: only those who have a place are remembered.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

#[derive(Debug)]
struct Taken<K> {
    of_each: HashMap<K, usize>,
    all: usize,
}

/// Copies are the same places.
#[derive(Debug)]
pub struct Places<K> {
    of_each: usize,
    all: usize,
    taken: Arc<Mutex<Taken<K>>>,
}

impl<K> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self { of_each: self.of_each, all: self.all, taken: Arc::clone(&self.taken) }
    }
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub struct Place<K: Hash + Eq> {
    key: K,
    taken: Arc<Mutex<Taken<K>>>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Whoever asks has all that one may have.
    OfOne,
    /// All together have all that there are.
    OfAll,
}

impl<K: Hash + Eq + Clone> Places<K> {
    /// So many for each, and so many together.
    #[must_use]
    pub fn new(of_each: usize, all: usize) -> Self {
        Self { of_each, all, taken: Arc::new(Mutex::new(Taken { of_each: HashMap::new(), all: 0 })) }
    }

    /// A place for `key`.
    ///
    /// # Errors
    /// There is none.
    pub fn take(&self, key: &K) -> Result<Place<K>, NoPlace> {
        let mut taken = self.taken.lock();
        if taken.of_each.get(key).is_some_and(|count| *count >= self.of_each) {
            return Err(NoPlace::OfOne);
        }
        if taken.all >= self.all {
            return Err(NoPlace::OfAll);
        }
        taken.all += 1;
        *taken.of_each.entry(key.clone()).or_default() += 1;
        Ok(Place { key: key.clone(), taken: Arc::clone(&self.taken) })
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all -= 1;
        if let Some(count) = taken.of_each.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.of_each.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_places_and_leaves_nothing_behind() {
        let places = Places::new(2, 3);
        let (first, second) = (places.take(&"a").unwrap(), places.take(&"a").unwrap());
        assert_eq!(places.take(&"a").unwrap_err(), NoPlace::OfOne);
        let other = places.clone().take(&"b").unwrap();
        assert_eq!(places.take(&"c").unwrap_err(), NoPlace::OfAll);
        drop(first);
        assert!(places.take(&"c").is_ok() && places.take(&"a").is_ok());
        drop((second, other));
        let taken = places.taken.lock();
        assert!(taken.of_each.is_empty() && taken.all == 0);
    }
}
