//! A command while it runs: its output, its end, the stop, the pause, the end of its time.
//!
//! Start at [`Attempt::follow`].
//!
//! Invariant: whatever was stopped here is dead, or was said to live in the log, when this returns.

use super::daemon;
use super::meter::Meter;
use super::run::{Attempt, End, KILL_SOON};
use super::stand::Stand;
use super::streams;
use super::watch::Watch;
use crate::way;
use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::models::ContainerWaitResponse;
use bollard::query_parameters::{KillContainerOptionsBuilder, WaitContainerOptionsBuilder};
use futures::StreamExt;
use hivemind_model::state::Outcome;
use hivemind_model::units::Millis;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for the daemon to answer a kill, and for the end to show after that.
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the rest of the output of a command that has ended.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

impl Attempt {
    /// Hands on the output until the command has ended, by itself or by us.
    pub(super) async fn follow(
        &self,
        attached: AttachContainerResults,
        meter: &mut Meter<'_>,
        stand: &mut Stand,
        watch: &mut Watch,
        started: Instant,
    ) -> Result<End, Outcome> {
        let mut control = self.control.clone();
        let time_is_up = tokio::time::sleep_until(deadline(started, self.job.max_runtime));
        let drain = streams::drain(attached, &*self.sink);
        let wait = self.wait();
        tokio::pin!(time_is_up, drain, wait);
        let (mut end, mut patience, mut drained) = (End::Own, None, None);
        let waited = loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if end == End::Own => {
                    end = End::Stopped;
                    patience = Some(self.kill(meter).await);
                }
                () = &mut time_is_up, if end == End::Own && !stand.is_still() => {
                    end = End::OutOfTime;
                    patience = Some(self.kill(meter).await);
                }
                () = stand.due(&mut control), if end == End::Own => {
                    stand.turn(&self.inner.docker, &self.name, meter, &control).await;
                    time_is_up.as_mut().reset(deadline(started, self.job.max_runtime) + stand.total());
                }
                waited = &mut wait => break waited,
                result = &mut drain, if drained.is_none() => {
                    // The last moment at which the kernel still has its counters.
                    meter.last_sample();
                    drained = Some(result);
                }
                line = self.way.line() => way::tell(&*self.sink, &line),
                () = meter.due(), if !stand.is_still() => {
                    meter.sample().await;
                    watch.tick();
                }
                () = watch.report(meter, self.way.used(), &*self.sink) => {}
                () = tokio::time::sleep_until(patience.unwrap_or(started)), if patience.is_some() => {
                    meter.kill_directly().await;
                    break Ok(());
                }
            }
        };
        meter.last_sample();
        if let Err(error) = waited {
            return Err(self.lost(meter, &error).await);
        }
        let drained = match drained {
            Some(result) => Ok(result),
            None => tokio::time::timeout(DRAIN_PATIENCE, drain).await,
        };
        match drained {
            Ok(Ok(())) => Ok(end),
            // What a stopped command still had to say is not worth a fault.
            _ if end != End::Own => Ok(end),
            Ok(Err(error)) => Err(daemon::fault("the command's output broke off", &error)),
            Err(_) => Err(Outcome::Infrastructure {
                reason: format!("the command ended and its output did not, for {} s", DRAIN_PATIENCE.as_secs()),
            }),
        }
    }

    /// Waits for the command's end.
    pub(super) async fn wait(&self) -> Result<(), Error> {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut answers = std::pin::pin!(self.inner.docker.wait_container(&self.name, Some(options)));
        match answers.next().await {
            // The code comes from the inspection, with everything else.
            Some(Ok(ContainerWaitResponse { .. }) | Err(Error::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => Err(error),
            None => Err(Error::RequestTimeoutError),
        }
    }

    /// Kills at once, without the daemon where it does not answer soon. Gives the moment until
    /// which the end has to show.
    pub(super) async fn kill(&self, meter: &Meter<'_>) -> Instant {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let kill = self.inner.docker.kill_container(&self.name, Some(options));
        tokio::pin!(kill);
        let killed = |answer: Result<(), Error>| match answer {
            Ok(()) => true,
            // 404 and 409: it has ended already.
            Err(error) => matches!(daemon::status(&error), Some(404 | 409)),
        };
        let soon = tokio::time::timeout(KILL_SOON, &mut kill).await;
        // What stands still would not see that it is dead.
        meter.freeze_directly(false);
        let is_dead = match soon {
            Ok(answer) => killed(answer) || meter.kill_directly().await,
            Err(_) if meter.kill_directly().await => true,
            Err(_) => tokio::time::timeout(KILL_PATIENCE, kill).await.is_ok_and(killed),
        };
        if !is_dead {
            tracing::error!(
                container = self.name,
                "the daemon does not kill the container and this process may not; it is removed when the daemon answers again"
            );
        }
        Instant::now() + KILL_PATIENCE
    }

    /// The daemon went away under a running command: nothing can be said of it, so it is ended.
    pub(super) async fn lost(&self, meter: &Meter<'_>, error: &Error) -> Outcome {
        self.kill(meter).await;
        daemon::fault("the Docker daemon went away while the command ran", error)
    }
}

/// When the time of what was started then is up.
pub(super) fn deadline(started: Instant, max_runtime: Millis) -> Instant {
    // Thirty years is for ever, and what `sleep_until` itself uses for it.
    let for_ever = Duration::from_secs(30 * 365 * 24 * 3600);
    started + Duration::from_millis(max_runtime.0).min(for_ever)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_limit_is_no_limit() {
        let now = Instant::now();
        assert!(deadline(now, Millis(u64::MAX)) > now);
        assert_eq!(deadline(now, Millis(1500)), now + Duration::from_millis(1500));
    }
}
