//! Who was seen lately.
//!
//! Invariant: what is remembered is bounded.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::hash::Hash;

/// Those that are remembered.
const MOST_KEYS: usize = 100_000;

/// The last of many, a bounded number of them: those that came long ago are forgotten first.
pub(crate) struct Lately<K>(Mutex<[HashSet<K>; 2]>);

impl<K: Hash + Eq> Default for Lately<K> {
    fn default() -> Self {
        Self(Mutex::new([HashSet::new(), HashSet::new()]))
    }
}

impl<K: Hash + Eq> Lately<K> {
    /// Remembers one.
    pub(crate) fn note(&self, key: K) {
        let mut both = self.0.lock();
        let [new, old] = &mut *both;
        if new.len() >= MOST_KEYS / 2 {
            *old = std::mem::take(new);
        }
        new.insert(key);
    }

    /// Whether it came, and was not forgotten.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.0.lock().iter().any(|part| part.contains(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_long_ago_is_forgotten_first() {
        let lately = Lately::default();
        (0..MOST_KEYS).for_each(|key| lately.note(key));
        assert!(lately.has(&0) && lately.has(&(MOST_KEYS - 1)));
        lately.note(MOST_KEYS);
        assert!(!lately.has(&0) && lately.has(&MOST_KEYS) && lately.has(&(MOST_KEYS / 2)));
    }
}
