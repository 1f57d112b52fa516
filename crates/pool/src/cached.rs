//! An answer that many ask for and that is worked out for all of them at once.
//!
//! Invariant: at most one of its makers works at a time, and no answer is older than it may be when the work begins.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// No more than this part of the time is spent on working an answer out, however often it is asked for.
const SHARE: u32 = 10;

/// See the module.
pub(crate) struct Cached<T> {
    fresh: Duration,
    /// With the moment up to which it is given.
    kept: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Cached<T> {
    /// None yet; each is given for `fresh`, or for ten times as long as it took where that is more.
    pub(crate) fn new(fresh: Duration) -> Self {
        Self { fresh, kept: Mutex::new(None) }
    }

    /// The answer; made by `make` where there is none that is fresh. A fault is not kept.
    pub(crate) async fn get<E>(&self, make: impl AsyncFnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut kept = self.kept.lock().await;
        if let Some((until, answer)) = kept.as_ref()
            && Instant::now() < *until
        {
            return Ok(answer.clone());
        }
        let begun = Instant::now();
        let answer = Arc::new(make().await?);
        let until = begun + self.fresh.max(begun.elapsed() * SHARE);
        *kept = Some((until, answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn many_callers_have_one_answer_and_faults_are_not_kept() {
        let (cached, made) = (Cached::new(Duration::from_secs(3600)), AtomicU32::new(0));
        assert_eq!(cached.get(async || Err::<u32, _>("no")).await, Err("no"));
        let one = || {
            cached.get(async || {
                tokio::task::yield_now().await;
                Ok::<_, &str>(made.fetch_add(1, Ordering::Relaxed))
            })
        };
        let answers = futures::future::join_all((0..10).map(|_| one())).await;
        assert!(answers.iter().all(|answer| answer.as_deref() == Ok(&0)), "{answers:?}");
    }
}
