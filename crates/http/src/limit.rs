//! How often a peer may ask.
//!
//! Start at [`Limiter::check`].
//!
//! Invariant: what is remembered of peers is bounded; where the memory is full, strangers wait.

use crate::problem::Problem;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

/// Peers that a limiter remembers; above it those at rest are forgotten.
const MOST_KEYS: usize = 100_000;

/// How long a peer waits where the memory is full.
const FULL_WAIT: Duration = Duration::from_secs(60);

/// So many requests in a period, for each key by itself; a key that rests saves up no more than one period's.
pub struct Limiter<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock, StateInformationMiddleware>,
    most: u32,
    whole: Duration,
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for Limiter<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("most", &self.most).finish_non_exhaustive()
    }
}

/// What is left to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests of a period.
    pub limit: u32,
    /// Those that can be made at once now.
    pub remaining: u32,
    /// After how long all of them can be made again.
    pub reset: Duration,
}

impl Allowance {
    /// Tells it in `RateLimit-Limit`, `-Remaining` and `-Reset` (whole seconds).
    pub fn tell(&self, headers: &mut HeaderMap) {
        for (name, value) in [
            ("ratelimit-limit", u64::from(self.limit)),
            ("ratelimit-remaining", u64::from(self.remaining)),
            ("ratelimit-reset", whole_seconds(self.reset)),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
    }
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// `most` requests a minute.
    #[must_use]
    pub fn per_minute(most: NonZeroU32) -> Self {
        Self::new(Quota::per_minute(most), most)
    }

    /// `most` requests a second.
    #[must_use]
    pub fn per_second(most: NonZeroU32) -> Self {
        Self::new(Quota::per_second(most), most)
    }

    fn new(quota: Quota, most: NonZeroU32) -> Self {
        let limiter = RateLimiter::hashmap(quota).with_middleware::<StateInformationMiddleware>();
        Self { limiter, most: most.get(), whole: quota.burst_size_replenished_in() }
    }

    /// Counts one request of `key`.
    ///
    /// # Errors
    /// 429 `E_BUSY` with `Retry-After` where it has made too many, and what is left to it for the headers.
    pub fn check(&self, key: &K) -> Result<Allowance, Refused> {
        if self.limiter.len() >= MOST_KEYS {
            self.limiter.retain_recent();
        }
        let none_left = Allowance { limit: self.most, remaining: 0, reset: self.whole };
        if self.limiter.len() >= MOST_KEYS {
            return Err(Refused::new(none_left, FULL_WAIT));
        }
        match self.limiter.check_key(key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = f64::from(self.most.saturating_sub(remaining)) / f64::from(self.most);
                Ok(Allowance { limit: self.most, remaining, reset: self.whole.mul_f64(used.clamp(0.0, 1.0)) })
            }
            Err(not_until) => Err(Refused::new(none_left, not_until.wait_time_from(DefaultClock::default().now()))),
        }
    }
}

/// A request too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is left: nothing.
    pub allowance: Allowance,
    /// The answer.
    pub problem: Problem,
}

impl Refused {
    fn new(allowance: Allowance, wait: Duration) -> Self {
        let seconds = whole_seconds(wait);
        let detail = format!("too many requests; try again in {seconds} s");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "E_BUSY", detail).retry_after(wait);
        Self { allowance, problem }
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.problem.into_response();
        self.allowance.tell(response.headers_mut());
        response
    }
}

/// `wait` in seconds, rounded up, at least one.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_allowance() {
        let limiter = Limiter::per_minute(NonZeroU32::new(2).unwrap());
        assert_eq!(limiter.check(&"a").unwrap().remaining, 1);
        assert_eq!(limiter.check(&"a").unwrap().remaining, 0);
        let refused = limiter.check(&"a").unwrap_err();
        assert_eq!((refused.problem.status(), refused.allowance.remaining), (StatusCode::TOO_MANY_REQUESTS, 0));
        assert!(limiter.check(&"b").is_ok());
        let mut headers = HeaderMap::new();
        refused.allowance.tell(&mut headers);
        assert_eq!(headers["ratelimit-limit"], "2");
        assert_eq!(headers["ratelimit-remaining"], "0");
    }
}
