//! How often somebody may do something: so many times at once, and as many again in every minute. And how much of something
//! somebody may hold at once.
//!
//! Start at [`Limiter::take`] and [`Places::take`]. A limiter is the generic cell rate algorithm (ITU-T I.371, annex A), with a bound on how many are
//! remembered.
//!
//! Invariant: who is known is not held up by how many others there are.

mod places;

use parking_lot::Mutex;
pub use places::{NoPlace, Place, Places};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Those that a limiter remembers; where it is full, strangers wait until some are at rest.
const MOST_KEYS: usize = 100_000;
/// The time in which all that was used comes back.
const WINDOW: Duration = Duration::from_secs(60);
/// How often those at rest are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What is left to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Most at once.
    pub most: u32,
    /// How many of them are left now.
    pub remaining: u32,
    /// After how long all of them are there again.
    pub reset: Duration,
}

/// That was one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// What is left: nothing.
    pub allowance: Allowance,
    /// After how long the next one may come.
    pub wait: Duration,
}

struct Inner<K> {
    /// When everything that somebody used will have come back.
    whole_at: HashMap<K, Instant>,
    swept_at: Option<Instant>,
}

/// See the module.
pub struct Limiter<K> {
    most: NonZeroU32,
    most_keys: usize,
    inner: Mutex<Inner<K>>,
}

impl<K> fmt::Debug for Limiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("most", &self.most).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// So many in a minute, of each.
    #[must_use]
    pub fn per_minute(most: NonZeroU32) -> Self {
        Self::with_room(most, MOST_KEYS)
    }

    fn with_room(most: NonZeroU32, most_keys: usize) -> Self {
        let inner = Inner { whole_at: HashMap::new(), swept_at: None };
        Self { most, most_keys, inner: Mutex::new(inner) }
    }

    /// Takes one of what `key` may do; tells what is left.
    ///
    /// # Errors
    /// There is none left, or so many others are remembered that there is no room for one more.
    pub fn take(&self, key: &K) -> Result<Allowance, TooMany> {
        self.take_at(key, Instant::now())
    }

    /// Refuses where [`Limiter::take`] would for want of any left, and takes nothing; who is not known has everything left.
    ///
    /// # Errors
    /// There is none left.
    pub fn look(&self, key: &K) -> Result<(), TooMany> {
        let now = Instant::now();
        let whole_at = self.inner.lock().whole_at.get(key).copied();
        whole_at.map_or(Ok(()), |whole_at| self.next(whole_at, now).map(drop))
    }

    fn take_at(&self, key: &K, now: Instant) -> Result<Allowance, TooMany> {
        let mut inner = self.inner.lock();
        let known = inner.whole_at.get(key).copied();
        if known.is_none() && !inner.has_room(self.most_keys, now) {
            return Err(self.too_many(WINDOW, WINDOW));
        }
        let next = self.next(known.unwrap_or(now), now)?;
        inner.whole_at.insert(key.clone(), next);
        let reset = next.duration_since(now);
        // What is coming back in parts counts once it is whole.
        let used = reset.as_nanos().div_ceil(self.step().as_nanos().max(1));
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        Ok(Allowance { most: self.most.get(), remaining: self.most.get().saturating_sub(used), reset })
    }

    /// The time in which one comes back.
    fn step(&self) -> Duration {
        WINDOW / self.most.get()
    }

    /// When everything will have come back after one more.
    fn next(&self, whole_at: Instant, now: Instant) -> Result<Instant, TooMany> {
        let next = whole_at.max(now) + self.step();
        let reset = next.duration_since(now);
        match reset.checked_sub(WINDOW) {
            None | Some(Duration::ZERO) => Ok(next),
            Some(wait) => Err(self.too_many(wait, whole_at.duration_since(now))),
        }
    }

    fn too_many(&self, wait: Duration, reset: Duration) -> TooMany {
        TooMany { allowance: Allowance { most: self.most.get(), remaining: 0, reset }, wait }
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
            let takes = |key: u32, at: Instant| limiter.take_at(&key, at).is_ok();
            assert!((0..most).all(|_| takes(1, now)), "{most}");
            assert!(!takes(1, now) && takes(2, now), "{most}");
            let one_later = now + WINDOW / most;
            assert!(takes(1, one_later) && !takes(1, one_later), "{most}");
            let all_later = one_later + WINDOW;
            assert!((0..most).all(|_| takes(1, all_later)) && !takes(1, all_later), "{most}");
        }
    }

    #[test]
    fn what_is_left_is_told() {
        let (limiter, now) = (limiter(3, 9), Instant::now());
        let told = |at: Instant| limiter.take_at(&1, at).map(|left| (left.remaining, left.reset.as_secs()));
        assert_eq!([told(now), told(now), told(now)], [Ok((2, 20)), Ok((1, 40)), Ok((0, 60))]);
        let refused = limiter.take_at(&1, now + Duration::from_secs(5)).unwrap_err();
        assert_eq!((refused.wait.as_secs(), refused.allowance.remaining), (15, 0));
        assert_eq!((refused.allowance.most, refused.allowance.reset.as_secs()), (3, 55));
        assert_eq!(told(now + Duration::from_secs(30)), Ok((0, 50)), "one and a half came back");
    }

    #[test]
    fn a_look_takes_nothing() {
        let limiter = limiter(1, 9);
        assert!((0..9).all(|_| limiter.look(&1).is_ok()));
        limiter.take(&1).unwrap();
        assert!(limiter.look(&1).is_err() && limiter.take(&1).is_err());
    }

    #[test]
    fn where_it_is_full_strangers_wait_and_nobody_who_is_known() {
        let (limiter, now) = (limiter(2, 2), Instant::now());
        let takes = |key: u32, at: Instant| limiter.take_at(&key, at).is_ok();
        assert!(takes(1, now) && takes(2, now));
        assert!(!takes(3, now) && takes(1, now), "1 has one left");
        // 2 is at rest, but it was looked a moment ago.
        let soon = now + SWEEP_EVERY / 2;
        limiter.inner.lock().whole_at.insert(2, soon);
        assert!(!takes(3, soon));
        let later = now + SWEEP_EVERY;
        assert!(takes(3, later) && !takes(2, later), "3 has the place of 2");
    }
}
