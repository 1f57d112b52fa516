//! A command while it runs: its output, its end, the stop, the pause, the end of its time.
//!
//! Start at [`Attempt::follow`].
//!
//! Invariant: what was stopped here has ended when this returns, or an error says that it has not.

use crate::cgroup::Group;
use crate::clock::Clock;
use crate::helper::spec::{End, Order, Report};
use crate::launch::{Container, Streams};
use crate::run::Attempt;
use crate::watch;
use hivemind_runtime::volume::Unnamed;
use hivemind_runtime::way::{Way, tell};
use hivemind_runtime::{Sink, Stream};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// Longest wait for the end to show after a kill.
pub(crate) const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the rest of the output of a command that has ended.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// Most output taken at once.
const PIECE_BYTES: usize = 32 << 10;

/// Who ended the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Itself,
    /// We, because the job was stopped.
    Stop,
    /// We, because its time was over.
    Time,
}

/// A container in which the command runs.
pub(crate) struct Running<'a> {
    pub(crate) container: &'a mut Container,
    pub(crate) group: &'a Group,
    pub(crate) disk: &'a Arc<Unnamed>,
    pub(crate) way: Option<&'a Way>,
}

impl Attempt {
    /// Hands on what the command says until it has ended, by itself or by us.
    pub(crate) async fn follow(
        &self,
        running: Running<'_>,
        streams: Streams,
        clock: &mut Clock,
    ) -> Result<(By, End), String> {
        let mut control = self.control.clone();
        let stop = self.control.stop.clone();
        let Running { container, group, disk, way } = running;
        let used = || way.map(Way::used).unwrap_or_default();
        let watching = watch::watch(group, disk, used, 0, &*self.sink);
        let draining = async {
            tokio::try_join!(
                drain(streams.stdout, Stream::Stdout, &*self.sink),
                drain(streams.stderr, Stream::Stderr, &*self.sink)
            )
        };
        tokio::pin!(watching, draining);
        let (mut by, mut drained, mut patience) = (By::Itself, None, None);
        let end = loop {
            let deadline = clock.deadline();
            let is_still = clock.is_still();
            tokio::select! {
                biased;
                () = stop.cancelled(), if by == By::Itself => by = By::Stop,
                () = tokio::time::sleep_until(deadline), if by == By::Itself && !is_still => by = By::Time,
                report = container.report() => match report {
                    Ok(Some(Report::Ended(end))) => break end,
                    Ok(Some(other)) => return Err(format!("the helper said something unexpected: {other:?}")),
                    Ok(None) => return Err("the helper of the container was ended by somebody else".into()),
                    Err(error) => return Err(format!("the helper cannot be heard: {error}")),
                },
                () = control.until_paused(!is_still), if by == By::Itself => {
                    stand_still(group, !is_still);
                    clock.set_still(!is_still, Instant::now());
                }
                result = &mut draining, if drained.is_none() => drained = Some(result),
                line = next_line(way) => tell(&*self.sink, &line),
                () = &mut watching => {}
                () = tokio::time::sleep_until(patience.unwrap_or(deadline)), if patience.is_some() => {
                    return Err("the container could not be ended in time".into());
                }
            }
            if by != By::Itself && patience.is_none() {
                // Where it does not take the word, it has ended, and its own last word says how.
                if let Err(error) = container.order(Order::Kill).await {
                    tracing::debug!(%error, "a helper was gone before it was told to kill");
                }
                patience = Some(Instant::now() + KILL_PATIENCE);
            }
        };
        clock.stop(Instant::now());
        if drained.is_none() {
            drained = tokio::time::timeout(DRAIN_PATIENCE, draining).await.ok();
        }
        match drained {
            Some(Ok(_)) => Ok((by, end)),
            // What a stopped command still had to say is not worth a fault.
            _ if by != By::Itself => Ok((by, end)),
            Some(Err(error)) => Err(format!("the command's output broke off: {error}")),
            None => Err(format!("the command ended and its output did not, for {} s", DRAIN_PATIENCE.as_secs())),
        }
    }
}

/// The next line of the way out; never where there is none.
async fn next_line(way: Option<&Way>) -> String {
    match way {
        Some(way) => way.line().await,
        None => std::future::pending().await,
    }
}

/// Makes everything in `group` stand still, or go on.
pub(crate) fn stand_still(group: &Group, still: bool) {
    if let Err(error) = group.freeze(still) {
        tracing::warn!(%error, still, "a container cannot be made to stand still or to go on");
    }
}

async fn drain(mut from: impl AsyncRead + Unpin, stream: Stream, sink: &dyn Sink) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece).await? {
            0 => return Ok(()),
            length => sink.output(stream, &piece[..length]),
        }
    }
}
