//! The last will of an agent that was killed or stands still.
//!
//! The agent starts a helper process with a pipe as its standard input, and holds the other end.
//! Through it the helper hears of every lease that the agent gets. When the agent ends, however it
//! ends, the kernel closes the pipe; when the agent stands still (SIGSTOP, a debugger, a machine
//! that swaps), the last lease that was told ends. Either way the helper kills and removes what
//! the agent left. Start at [`pipe::spawn_reaper`] on the agent's side and at [`reap`] on the
//! helper's.
//!
//! Invariant: the helper does nothing as long as the agent lives and has a lease, and ends soon
//! after it.

use crate::volume::Abandoned;
use async_trait::async_trait;
use futures::future::{BoxFuture, join_all};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncRead;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

mod pipe;

use pipe::{Ear, Word};
pub use pipe::{LeasePen, Reaper, spawn_reaper};

/// Tries before the helper gives up; the sweep at the agent's next start is left then.
const TRIES: u32 = 600;
/// Wait between two tries.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// How the helper's life went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// The agent ended in an orderly way; nothing was touched then.
    Dismissed,
    /// The agent was killed; so many containers were removed then.
    Removed(usize),
}

/// What the containers of one runtime leave when their agent is gone.
#[async_trait]
pub trait Leftovers: Send + Sync {
    /// The folder in which the agent keeps its disks.
    fn state(&self) -> &Path;

    /// A removal begins: what is made from now on is a successor's. Blocks for a moment at most.
    fn begin(&self);

    /// Kills and removes what there was when it began, which was at the second `until` since 1970. Gives how many
    /// containers there were. Asked again where it fails.
    ///
    /// # Errors
    /// For people: what could not be removed.
    async fn remove(&self, until: i64) -> Result<usize, String>;
}

/// Blocks until `stdin` ends, then kills and removes everything that is left of each runtime of `all`:
/// containers, volumes, and the images of disks with their devices. Whenever a lease ends before, it kills and
/// removes the containers and volumes. One runtime that does not answer does not hold up another.
///
/// Ignores the signals that end an agent, which usually reach its helper too.
///
/// # Errors
/// A sentence for people where something could not be removed for ten minutes.
pub async fn reap(all: &[Box<dyn Leftovers>], stdin: impl AsyncRead + Unpin) -> Result<Reaped, String> {
    let _deaf = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let abandoned: Vec<Abandoned> = all.iter().map(|left| Abandoned::watch(left.state())).collect();
    if attend(all, Ear::new(stdin)).await == Word::GoodBye {
        return Ok(Reaped::Dismissed);
    }
    let disks: Vec<_> = abandoned.iter().map(Abandoned::find).collect();
    let removed = remove(all, now()).await?;
    for disks in disks {
        disks.remove().await?;
    }
    Ok(Reaped::Removed(removed))
}

/// Listens to the agent until its last word, and cleans up whenever its lease has ended.
async fn attend(all: &[Box<dyn Leftovers>], mut ear: Ear<impl AsyncRead + Unpin>) -> Word {
    let mut lease_ends: Option<Instant> = None;
    let mut removal: Option<BoxFuture<'_, Result<usize, String>>> = None;
    loop {
        tokio::select! {
            biased;
            word = ear.next() => match word {
                Word::Lease(span) => lease_ends = Some(Instant::now() + span),
                last @ (Word::GoodBye | Word::Silence) => return last,
            },
            () = until(lease_ends) => {
                lease_ends = None;
                removal = Some(Box::pin(remove(all, now())));
            }
            removed = done(&mut removal) => {
                removal = None;
                match removed {
                    Ok(0) => {}
                    Ok(count) => tracing::warn!(count, "the worker's lease ended while it stood still; removed its containers"),
                    Err(why) => tracing::error!("the worker's lease ended while it stood still: {why}"),
                }
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn done<T>(work: &mut Option<BoxFuture<'_, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// The second since 1970; what a successor of the agent makes after it is not touched.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(i64::MAX, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Kills and removes what was made up to the second `until`; how many containers.
async fn remove(all: &[Box<dyn Leftovers>], until: i64) -> Result<usize, String> {
    let (mut count, mut stuck) = (0, Vec::new());
    for removed in join_all(all.iter().map(|left| persist(&**left, until))).await {
        match removed {
            Ok(more) => count += more,
            Err(why) => stuck.push(why),
        }
    }
    if stuck.is_empty() {
        Ok(count)
    } else {
        Err(format!("containers without a lease may still run: {}", stuck.join("; ")))
    }
}

/// Tries until it is done, or for ten minutes.
async fn persist(left: &dyn Leftovers, until: i64) -> Result<usize, String> {
    left.begin();
    let mut last = String::new();
    for round in 0..TRIES {
        if round > 0 {
            tokio::time::sleep(TRY_EVERY).await;
        }
        match left.remove(until).await {
            Ok(count) => return Ok(count),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncWriteExt;
    use tokio::sync::Notify;

    /// Counts; fails as often as it is told to.
    #[derive(Default)]
    struct Counted {
        asked: AtomicUsize,
        failing: usize,
        more: Notify,
    }

    struct Left(Arc<Counted>);

    #[async_trait]
    impl Leftovers for Left {
        fn state(&self) -> &Path {
            Path::new("/nowhere")
        }

        fn begin(&self) {}

        async fn remove(&self, _: i64) -> Result<usize, String> {
            let before = self.0.asked.fetch_add(1, Ordering::SeqCst);
            self.0.more.notify_one();
            if before < self.0.failing { Err("not yet".into()) } else { Ok(1) }
        }
    }

    fn two(failing: usize) -> ([Arc<Counted>; 2], Vec<Box<dyn Leftovers>>) {
        let counted = [0, failing].map(|failing| Arc::new(Counted { failing, ..Counted::default() }));
        let all = counted.iter().map(|one| Box::new(Left(one.clone())) as Box<dyn Leftovers>).collect();
        (counted, all)
    }

    fn asked(counted: &[Arc<Counted>; 2]) -> [usize; 2] {
        [0, 1].map(|at| counted[at].asked.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_dismissed_reaper_removes_nothing() {
        for words in [&b"q"[..], b"lease 60000\nlease 60000\nq"] {
            let (counted, all) = two(0);
            assert_eq!(reap(&all, words).await, Ok(Reaped::Dismissed));
            assert_eq!(asked(&counted), [0, 0]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_agent_every_runtime_is_cleaned_up_and_none_waits_for_another() {
        let (counted, all) = two(3);
        assert_eq!(reap(&all, &b""[..]).await, Ok(Reaped::Removed(2)));
        assert_eq!(asked(&counted), [1, 4]);
        let (counted, all) = two(usize::MAX);
        let why = reap(&all, &b""[..]).await.expect_err("it fails for ever");
        assert!(why.contains("may still run: not yet"), "{why}");
        assert_eq!(asked(&counted), [1, 600]);
    }

    #[tokio::test]
    async fn the_end_of_a_lease_cleans_up_and_the_agent_goes_on() {
        let (counted, all) = two(0);
        let (mut agent, helper) = tokio::io::duplex(64);
        let reaping = tokio::spawn(async move { reap(&all, helper).await });
        agent.write_all(b"lease 600000\nlease 0\n").await.expect("told");
        counted[0].more.notified().await;
        counted[1].more.notified().await;
        agent.write_all(b"lease 600000\nq").await.expect("told");
        assert_eq!(reaping.await.expect("ended"), Ok(Reaped::Dismissed));
        assert_eq!(asked(&counted), [1, 1]);
    }
}
