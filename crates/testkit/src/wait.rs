//! Waiting for a condition with a deadline, never for a time.

use std::time::{Duration, Instant};

/// Longest wait of a test for anything; a machine under load gets its time.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Polls `condition` until it gives something; fails the test with `what` at [`DEADLINE`].
///
/// # Panics
/// At the deadline.
pub async fn until<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
