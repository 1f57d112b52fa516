//! How often somebody may do something: so many times at once, and as many again in every minute.
//!
//! Start at [`Limiter::check`].
//!
//! Invariant: who is known is not held up by how many others there are.

use hivemind_model::{Code, Rejection};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Those that a limiter remembers; where it is full, strangers wait until some are at rest.
const MOST_KEYS: usize = 100_000;
/// The time in which all that was used comes back.
const WINDOW: Duration = Duration::from_secs(60);
/// How often those at rest are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

struct Inner<K> {
    /// When everything that somebody used will have come back.
    whole_at: HashMap<K, Instant>,
    swept_at: Option<Instant>,
}

/// See the module.
pub(crate) struct Limiter<K> {
    /// The time in which one use comes back.
    step: Duration,
    most_keys: usize,
    inner: Mutex<Inner<K>>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// So many in a minute, of each.
    pub(crate) fn per_minute(most: NonZeroU32) -> Self {
        Self::with_room(most, MOST_KEYS)
    }

    fn with_room(most: NonZeroU32, most_keys: usize) -> Self {
        let inner = Inner { whole_at: HashMap::new(), swept_at: None };
        Self { step: WINDOW / most.get(), most_keys, inner: Mutex::new(inner) }
    }

    /// Takes one of what `key` may do; `what` says of what there were too many.
    ///
    /// # Errors
    /// There is none left, or too many others are remembered.
    pub(crate) fn check(&self, key: &K, what: &str) -> Result<(), Rejection> {
        if self.take(key, Instant::now()) { Ok(()) } else { Err(too_many(what)) }
    }

    /// Refuses where [`Limiter::check`] would, and takes nothing; who is not known has everything left.
    pub(crate) fn look(&self, key: &K, what: &str) -> Result<(), Rejection> {
        let now = Instant::now();
        let whole_at = self.inner.lock().whole_at.get(key).copied();
        let fits = whole_at.is_none_or(|whole_at| self.next(whole_at, now).is_some());
        if fits { Ok(()) } else { Err(too_many(what)) }
    }

    fn take(&self, key: &K, now: Instant) -> bool {
        let mut inner = self.inner.lock();
        let known = inner.whole_at.get(key).copied();
        if known.is_none() && !inner.has_room(self.most_keys, now) {
            return false;
        }
        let Some(next) = self.next(known.unwrap_or(now), now) else { return false };
        inner.whole_at.insert(key.clone(), next);
        true
    }

    /// When everything will have come back after one more use; `None` where that is one too many.
    fn next(&self, whole_at: Instant, now: Instant) -> Option<Instant> {
        let next = whole_at.max(now) + self.step;
        (next.duration_since(now) <= WINDOW).then_some(next)
    }
}

impl<K: Hash + Eq> Inner<K> {
    fn has_room(&mut self, most: usize, now: Instant) -> bool {
        let is_due = self.swept_at.is_none_or(|swept_at| now.duration_since(swept_at) >= SWEEP_EVERY);
        if self.whole_at.len() >= most && is_due {
            self.whole_at.retain(|_, whole_at| *whole_at > now);
            self.swept_at = Some(now);
        }
        self.whole_at.len() < most
    }
}

fn too_many(what: &str) -> Rejection {
    Rejection::new(Code::Busy, format!("too many {what}; wait a minute and try again"))
}

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

    fn limiter(most: u32, keys: usize) -> Limiter<u32> {
        Limiter::with_room(NonZeroU32::new(most).unwrap(), keys)
    }

    #[test]
    fn so_many_at_once_and_as_many_again_in_a_minute() {
        for most in [1, 7, 20, 600] {
            let (limiter, now) = (limiter(most, 9), Instant::now());
            assert!((0..most).all(|_| limiter.take(&1, now)), "{most}");
            assert!(!limiter.take(&1, now) && limiter.take(&2, now), "{most}");
            let one_later = now + WINDOW / most;
            assert!(limiter.take(&1, one_later) && !limiter.take(&1, one_later), "{most}");
            let all_later = one_later + WINDOW;
            assert!((0..most).all(|_| limiter.take(&1, all_later)) && !limiter.take(&1, all_later), "{most}");
        }
    }

    #[test]
    fn a_look_takes_nothing() {
        let limiter = limiter(1, 9);
        assert!((0..9).all(|_| limiter.look(&1, "looks").is_ok()));
        limiter.check(&1, "looks").unwrap();
        assert_eq!(limiter.look(&1, "looks").unwrap_err().code, Code::Busy);
        assert_eq!(limiter.check(&1, "looks").unwrap_err().code, Code::Busy);
    }

    #[test]
    fn where_it_is_full_strangers_wait_and_nobody_who_is_known() {
        let (limiter, now) = (limiter(2, 2), Instant::now());
        assert!(limiter.take(&1, now) && limiter.take(&2, now));
        assert!(!limiter.take(&3, now) && limiter.take(&1, now), "1 has one left");
        // 2 is at rest, but it was looked a moment ago.
        let soon = now + SWEEP_EVERY / 2;
        limiter.inner.lock().whole_at.insert(2, soon);
        assert!(!limiter.take(&3, soon));
        let later = now + SWEEP_EVERY;
        assert!(limiter.take(&3, later) && !limiter.take(&2, later), "3 has the place of 2");
    }

    #[test]
    fn what_came_long_ago_is_forgotten_first() {
        let lately = Lately::default();
        (0..MOST_KEYS).for_each(|key| lately.note(key));
        assert!(lately.has(&0) && lately.has(&(MOST_KEYS - 1)));
        lately.note(MOST_KEYS);
        assert!(!lately.has(&0) && lately.has(&MOST_KEYS) && lately.has(&(MOST_KEYS / 2)));
    }
}
