//! What is known of a command that has ended: its outcome, what it used, what it left.
//!
//! Start at [`Attempt::judge`].
//!
//! Invariant: nothing is killed or removed here.

use super::follow::KILL_PATIENCE;
use super::meter::Meter;
use super::outputs::Wanted;
use super::run::{Attempt, End, Ran};
use super::volume::Volume;
use super::{daemon, outputs};
use crate::Stream;
use crate::collect::Collected;
use bollard::models::ContainerState;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::Millis;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// By how much the daemon's clock may differ from ours before ours is used.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// The exit code of what was ended by SIGKILL.
const KILLED: i64 = 137;
/// The exit code of what was ended by SIGTERM.
const TERMINATED: i64 = 143;

/// The moments of one command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Its start was asked for.
    pub(super) asked: Instant,
    /// It was started.
    pub(super) started: Instant,
    /// For how long it stood still.
    pub(super) stood: Duration,
}

impl Attempt {
    /// Puts together what is known of a command that has ended.
    pub(super) async fn judge(
        &self,
        end: Result<End, Outcome>,
        volume: &Volume,
        meter: &Meter<'_>,
        Times { asked, started, stood }: Times,
    ) -> Ran {
        let ended = Instant::now();
        let (cpu, peak_memory) = meter.seen();
        let metering = |wall: Duration| Metering { wall: millis(wall.saturating_sub(stood)), cpu, peak_memory };
        let own_clock = ended.saturating_duration_since(started);
        let end = match end {
            Ok(end) => end,
            Err(outcome) => return Ran { outcome, metering: metering(own_clock), output: None },
        };
        // A cancelled attempt's outputs are wanted by nobody.
        let collecting = async {
            match end {
                End::Stopped => Ok(Collected::default()),
                End::Own | End::OutOfTime => self.collect(volume).await,
            }
        };
        let (inspected, collected) = tokio::join!(self.inner.docker.inspect_container(&self.name, None), collecting);
        let state = inspected.map(|container| container.state.unwrap_or_default());
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                return Ran {
                    outcome: daemon::fault("how the command ended cannot be read", &error),
                    metering: metering(own_clock),
                    output: None,
                };
            }
        };
        let wall = daemon_clock(&state)
            .filter(|wall| *wall <= ended.saturating_duration_since(asked) + CLOCK_SLACK)
            .unwrap_or(own_clock);
        let metering = metering(wall);
        if state.running == Some(true) {
            let reason = "the container could not be stopped in time; its removal goes on".into();
            return Ran { outcome: Outcome::Infrastructure { reason }, metering, output: None };
        }
        let outcome = self.outcome(end, &state, meter).await;
        match collected {
            Ok(collected) => {
                self.remark(collected.remark.as_deref());
                Ran { outcome, metering, output: collected.archive }
            }
            Err(lost) => Ran { outcome: lost, metering, output: None },
        }
    }

    pub(super) async fn collect(&self, volume: &Volume) -> Result<Collected, Outcome> {
        let limit = self.job.resources.disk.0;
        let wanted = Wanted { outputs: &self.job.outputs, limit, scratch: &self.scratch };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Outcome::Cancelled),
            collected = outputs::collect(&self.inner.docker, &self.name, volume, wanted) => collected,
        }
    }

    /// Tells what was left out where the requester looks: among the command's own words.
    pub(super) fn remark(&self, remark: Option<&str>) {
        if let Some(remark) = remark {
            self.sink.note(remark);
            self.sink.output(Stream::Stderr, format!("hivemind: {remark}\n").as_bytes());
        }
    }

    pub(super) async fn outcome(&self, end: End, state: &ContainerState, meter: &Meter<'_>) -> Outcome {
        match end {
            End::Stopped => return Outcome::Cancelled,
            End::OutOfTime => return Outcome::TimedOut,
            End::Own => {}
        }
        let Some(code) = state.exit_code else {
            return Outcome::Infrastructure { reason: "the Docker daemon gave no exit code".into() };
        };
        if code == KILLED && (state.oom_killed == Some(true) || meter.saw_oom()) {
            return Outcome::OutOfMemory;
        }
        let rumour = match code {
            KILLED | TERMINATED => self.rumour().await,
            _ => Rumour::Silence,
        };
        match rumour {
            Rumour::Oom if code == KILLED => Outcome::OutOfMemory,
            Rumour::Kill => {
                Outcome::Infrastructure { reason: "somebody on the node's machine stopped the container".into() }
            }
            Rumour::Oom | Rumour::Silence => Outcome::Exited { code: i32::try_from(code).unwrap_or(i32::MAX) },
        }
    }

    /// What the daemon's event log says of the end. A task cannot bring a kill about from inside,
    /// so it is no way to compute for nothing.
    async fn rumour(&self) -> Rumour {
        let filters = HashMap::from([
            ("container".to_owned(), vec![self.name.clone()]),
            ("event".to_owned(), vec!["kill".to_owned(), "oom".to_owned()]),
        ]);
        let Ok(now) = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) else {
            return Rumour::Silence;
        };
        // In the past by the time it is read; otherwise the daemon would wait for it.
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let options = EventsOptionsBuilder::default().since("0").until(&until).filters(&filters).build();
        let mut events = std::pin::pin!(self.inner.docker.events(Some(options)));
        match tokio::time::timeout(KILL_PATIENCE, events.next()).await {
            Ok(Some(Ok(event))) if event.action.as_deref() == Some("oom") => Rumour::Oom,
            Ok(None) => Rumour::Silence,
            // A daemon that no longer answers is shutting down, and has stopped its containers.
            Ok(Some(_)) | Err(_) => Rumour::Kill,
        }
    }
}

/// What the daemon tells of an end by SIGKILL or SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rumour {
    /// Nothing: the command did it itself.
    Silence,
    /// It ran out of memory.
    Oom,
    /// The daemon was told to stop it: `docker kill`, `docker stop`, its own shutdown.
    Kill,
}

pub(super) fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// From start to end by the daemon's clock.
fn daemon_clock(state: &ContainerState) -> Option<Duration> {
    let moment = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
    let (from, to) = (moment(&state.started_at)?, moment(&state.finished_at)?);
    Duration::try_from(to.duration_since(from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_s_clock_is_read_and_not_believed_backwards() {
        let state = |from: &str, to: &str| ContainerState {
            started_at: Some(from.into()),
            finished_at: Some(to.into()),
            ..ContainerState::default()
        };
        let wall = daemon_clock(&state("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:06.623456789Z"));
        assert_eq!(wall, Some(Duration::from_millis(1500)));
        assert_eq!(daemon_clock(&state("2026-01-02T03:04:06Z", "2026-01-02T03:04:05Z")), None);
        assert_eq!(daemon_clock(&state("", "2026-01-02T03:04:05Z")), None);
    }
}
