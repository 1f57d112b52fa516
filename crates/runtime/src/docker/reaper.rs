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

use super::{check_instance, daemon, sweep};
use crate::volume::Abandoned;
use futures::future::BoxFuture;
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

/// Blocks until `stdin` ends, then kills and removes everything that `instance` left: containers,
/// volumes, and in the folder `state` the images of its disks with their devices. Whenever a lease
/// ends before, it kills and removes the containers and volumes.
///
/// Ignores the signals that end an agent, which usually reach its helper too.
///
/// # Errors
/// A sentence for people where the daemon did not answer for ten minutes, or `instance` is no
/// label.
pub async fn reap(
    instance: &str,
    state: &Path,
    socket: Option<&str>,
    stdin: impl AsyncRead + Unpin,
) -> Result<Reaped, String> {
    check_instance(instance)?;
    let _deaf = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let abandoned = Abandoned::watch(state);
    if attend(instance, socket, Ear::new(stdin)).await == Word::GoodBye {
        return Ok(Reaped::Dismissed);
    }
    let disks = abandoned.find();
    let removed = remove(instance, socket, now()).await?;
    disks.remove().await?;
    Ok(Reaped::Removed(removed))
}

/// Listens to the agent until its last word, and cleans up whenever its lease has ended.
async fn attend(instance: &str, socket: Option<&str>, mut ear: Ear<impl AsyncRead + Unpin>) -> Word {
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
                removal = Some(Box::pin(remove(instance, socket, now())));
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

/// Kills and removes what `instance` made up to the second `until`; how many containers.
async fn remove(instance: &str, socket: Option<&str>, until: i64) -> Result<usize, String> {
    let mut last = String::new();
    for round in 0..TRIES {
        if round > 0 {
            tokio::time::sleep(TRY_EVERY).await;
        }
        let swept = match daemon::connect(socket).await {
            Ok(docker) => sweep::containers(&docker, instance, sweep::Which::MadeUntil(until)).await,
            Err(error) => Err(error),
        };
        match swept {
            Ok(count) => return Ok(count),
            Err(error) => last = error,
        }
    }
    Err(format!("containers without a lease may still run: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dismissed_reaper_asks_no_daemon() {
        let state = Path::new("/nowhere");
        assert_eq!(reap("i", state, Some("/nowhere.sock"), &b"q"[..]).await, Ok(Reaped::Dismissed));
        let words = &b"lease 60000\nlease 60000\nq"[..];
        assert_eq!(reap("i", state, Some("/nowhere.sock"), words).await, Ok(Reaped::Dismissed));
        assert!(reap("not a label", state, Some("/nowhere.sock"), &b"q"[..]).await.is_err());
    }
}
