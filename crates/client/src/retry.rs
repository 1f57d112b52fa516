//! Waiting between tries.
//!
//! Invariant: every wait is bounded, and no two clients wait in step.

use crate::ClientError;
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Doubling waits with jitter, given up after a time without success.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    patience: Duration,
    give_up: Option<Instant>,
}

impl Backoff {
    /// Gives up once `patience` has passed since the first failure in a row.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { next: FIRST, patience, give_up: None }
    }

    /// Something worked: failures are counted anew.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
        self.give_up = None;
    }

    /// Waits after `error`, or gives it back where it will not pass by itself or has lasted too long.
    pub(crate) async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_unreachable() {
            return Err(error);
        }
        let now = Instant::now();
        let give_up = *self.give_up.get_or_insert(now + self.patience);
        if now >= give_up {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        let jittered = self.next.mul_f64(rand::random_range(0.5..1.0));
        tokio::time::sleep(jittered.min(give_up - now)).await;
        self.next = (self.next * 2).min(LONGEST);
        Ok(())
    }
}
