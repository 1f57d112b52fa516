//! One attempt, from its image to its removal.
//!
//! Start at [`attempt`]. The order is: image; disk; container, listened to; input files; start;
//! then whichever comes first of its end, the stop, and the end of its time; then what it used
//! and what it left.
//!
//! Invariant: a request that makes or starts something is never dropped half-way, so the daemon
//! cannot bring to life what was given up here.

use super::cleaner::Leftovers;
use super::image::Image;
use super::meter::Meter;
use super::volume::Volume;
use super::{Inner, create, daemon, inputs, network, outputs, streams};
use crate::{Control, Finished, Image as Source, Job, Sink, Stop, Stream};
use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::models::{ContainerState, ContainerWaitResponse};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, KillContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt;
use hivemind_egress::Used;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::Millis;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for the daemon to kill before it is done without it.
const KILL_SOON: Duration = Duration::from_millis(500);
/// Longest wait for the daemon to answer a kill, and for the end to show after that.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the rest of the output of a command that has ended.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// By how much the daemon's clock may differ from ours before ours is used.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// The exit code of what was ended by SIGKILL.
const KILLED: i64 = 137;
/// The exit code of what was ended by SIGTERM.
const TERMINATED: i64 = 143;

/// What one attempt is made of.
struct Attempt {
    inner: Arc<Inner>,
    job: Job,
    sink: Arc<dyn Sink>,
    stop: Stop,
    scratch: PathBuf,
    name: String,
    way: network::Way,
}

/// How the waiting for a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By itself.
    Own,
    /// We stopped it, because of this.
    Stopped,
    /// We stopped it, because of this.
    OutOfTime,
}

/// What came of the container.
struct Ran {
    outcome: Outcome,
    metering: Metering,
    output: Option<tempfile::NamedTempFile>,
}

impl Ran {
    fn not_at_all(outcome: Outcome) -> Self {
        Self { outcome, metering: Metering::default(), output: None }
    }
}

/// Runs `job` to its end.
pub(super) async fn attempt(
    inner: Arc<Inner>,
    job: Job,
    sink: Arc<dyn Sink>,
    control: Control,
    scratch: PathBuf,
) -> Finished {
    let stop = control.stop.clone();
    let finished = |ran: Ran, image_id: String| Finished {
        outcome: ran.outcome,
        metering: ran.metering,
        image_id,
        output: ran.output,
    };
    let Some(live) = inner.cleaner.enter(job.attempt) else {
        let reason = format!("{} runs here already", job.attempt);
        return finished(Ran::not_at_all(Outcome::Infrastructure { reason }), String::new());
    };
    let Source::Named(named) = &job.image else {
        let reason = "this runtime loads no archives of images yet".into();
        return finished(Ran::not_at_all(Outcome::Infrastructure { reason }), String::new());
    };
    let image = match inner.images.resolve(named, &*sink, &stop).await {
        Ok(image) => image,
        Err(outcome) => return finished(Ran::not_at_all(outcome), String::new()),
    };
    if stop.is_cancelled() {
        return finished(Ran::not_at_all(Outcome::Cancelled), image.id);
    }
    let volume = match inner.volumes.prepare(&inner.instance, job.attempt, job.resources.disk).await {
        Ok(volume) => volume,
        Err(outcome) => return finished(Ran::not_at_all(outcome), image.id),
    };
    let name = create::name_of(&inner.instance, job.attempt);
    let holder = (!job.egress.is_empty()).then(|| network::holder_of(&inner.instance, job.attempt));
    let way = network::Way::default();
    let mut this = Attempt { inner: inner.clone(), job, sink, stop, scratch, name: name.clone(), way };
    let ran = this.contained(image.clone(), &volume).await;
    this.way.close(&*this.sink).await;
    let Used { received, sent } = this.network_used();
    tracing::debug!(attempt = %this.job.attempt, %received, %sent, "its network is closed");
    inner.cleaner.remove(Leftovers { container: Some(name), holder, volume, live }).await;
    finished(ran, image.id)
}

impl Attempt {
    /// From the container to what it left.
    async fn contained(&self, image: Image, volume: &Volume) -> Ran {
        let (id, attached) = match self.prepare(image, &volume.source).await {
            Ok(prepared) => prepared,
            Err(outcome) => return Ran::not_at_all(outcome),
        };
        if self.stop.is_cancelled() {
            return Ran::not_at_all(Outcome::Cancelled);
        }
        let asked = Instant::now();
        if let Err(error) = self.start(&id).await {
            // A start that was not answered may still happen.
            if daemon::status(&error).is_none() {
                self.kill(&Meter::new(&self.inner.docker, &id)).await;
            }
            let outcome = if self.stop.is_cancelled() { Outcome::Cancelled } else { daemon::refused_start(&error) };
            return Ran::not_at_all(outcome);
        }
        self.sink.started();
        let started = Instant::now();
        let mut meter = Meter::new(&self.inner.docker, &id);
        let end = self.follow(attached, &mut meter, started).await;
        self.judge(end, volume, &meter, (asked, started)).await
    }

    /// What has passed through its network so far.
    fn network_used(&self) -> Used {
        self.way.used()
    }

    /// Makes the container, listens to it, and puts the input files into it.
    async fn prepare(
        &self,
        image: Image,
        volume: &create::TaskVolume,
    ) -> Result<(String, AttachContainerResults), Outcome> {
        let docker = &self.inner.docker;
        if volume.device.is_none() {
            super::volume::plain::own(docker, &self.inner.instance, self.job.attempt, &image, volume).await?;
        }
        let mut request = create::request(&self.job, &image, volume, &self.inner.instance);
        self.way.open(&self.inner, &self.job, &mut request).await?;
        let options = CreateContainerOptionsBuilder::default().name(&self.name).build();
        let created = match docker.create_container(Some(options), request).await {
            Ok(created) => created,
            Err(error) => {
                if daemon::is_absent(&error) {
                    self.inner.images.forget(&self.job.image.to_string());
                }
                return Err(daemon::refused_create(&error));
            }
        };
        let attached = streams::attach(docker, &self.name)
            .await
            .map_err(|error| daemon::fault("the container's output cannot be read", &error))?;
        if !self.job.files.is_empty() {
            tokio::select! {
                biased;
                // Nothing runs yet; a half-filled volume is removed with the container.
                () = self.stop.cancelled() => return Err(Outcome::Cancelled),
                uploaded = inputs::upload(docker, &self.name, self.job.files.clone()) => uploaded?,
            }
        }
        Ok((created.id, attached))
    }

    /// Starts the container. Where the job is stopped meanwhile, what the daemon has brought to life
    /// without saying so is killed, again and again until it says how the start went.
    async fn start(&self, id: &str) -> Result<(), Error> {
        let start = self.inner.docker.start_container(&self.name, None);
        tokio::pin!(start);
        tokio::select! {
            biased;
            started = &mut start => return started,
            () = self.stop.cancelled() => {}
        }
        loop {
            match tokio::time::timeout(KILL_SOON, &mut start).await {
                Ok(started) => return started,
                Err(_) => Meter::new(&self.inner.docker, id).kill_directly(),
            };
        }
    }

    /// Hands on the output until the command has ended, by itself or by us.
    async fn follow(
        &self,
        attached: AttachContainerResults,
        meter: &mut Meter<'_>,
        started: Instant,
    ) -> Result<End, Outcome> {
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
                () = &mut time_is_up, if end == End::Own => {
                    end = End::OutOfTime;
                    patience = Some(self.kill(meter).await);
                }
                waited = &mut wait => break waited,
                result = &mut drain, if drained.is_none() => {
                    // The last moment at which the kernel still has its counters.
                    meter.last_sample();
                    drained = Some(result);
                }
                line = self.way.line() => network::tell(&*self.sink, &line),
                () = meter.due() => meter.sample().await,
                () = tokio::time::sleep_until(patience.unwrap_or(started)), if patience.is_some() => {
                    meter.kill_directly();
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
    async fn wait(&self) -> Result<(), Error> {
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
    async fn kill(&self, meter: &Meter<'_>) -> Instant {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let kill = self.inner.docker.kill_container(&self.name, Some(options));
        tokio::pin!(kill);
        let killed = |answer: Result<(), Error>| match answer {
            Ok(()) => true,
            // 404 and 409: it has ended already.
            Err(error) => matches!(daemon::status(&error), Some(404 | 409)),
        };
        let soon = tokio::time::timeout(KILL_SOON, &mut kill).await;
        let is_dead = match soon {
            Ok(answer) => killed(answer) || meter.kill_directly(),
            Err(_) if meter.kill_directly() => true,
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
    async fn lost(&self, meter: &Meter<'_>, error: &Error) -> Outcome {
        self.kill(meter).await;
        daemon::fault("the Docker daemon went away while the command ran", error)
    }

    /// Puts together what is known of a command that has ended.
    async fn judge(
        &self,
        end: Result<End, Outcome>,
        volume: &Volume,
        meter: &Meter<'_>,
        (asked, started): (Instant, Instant),
    ) -> Ran {
        let ended = Instant::now();
        let (cpu, peak_memory) = meter.seen();
        let metering = |wall: Duration| Metering { wall: millis(wall), cpu, peak_memory };
        let own_clock = ended.saturating_duration_since(started);
        let end = match end {
            Ok(end) => end,
            Err(outcome) => return Ran { outcome, metering: metering(own_clock), output: None },
        };
        // A cancelled attempt's outputs are wanted by nobody.
        let collecting = async {
            match end {
                End::Stopped => Ok(outputs::Collected::default()),
                End::Own | End::OutOfTime if volume.lacks("output") => Ok(outputs::Collected::default()),
                End::Own | End::OutOfTime => self.collect().await,
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

    async fn collect(&self) -> Result<outputs::Collected, Outcome> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Outcome::Cancelled),
            collected = outputs::collect(&self.inner.docker, &self.name, self.job.resources.disk.0, &self.scratch) => collected,
        }
    }

    /// Tells what was left out where the requester looks: among the command's own words.
    fn remark(&self, remark: Option<&str>) {
        if let Some(remark) = remark {
            self.sink.note(remark);
            self.sink.output(Stream::Stderr, format!("hivemind: {remark}\n").as_bytes());
        }
    }

    async fn outcome(&self, end: End, state: &ContainerState, meter: &Meter<'_>) -> Outcome {
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

fn deadline(started: Instant, max_runtime: Millis) -> Instant {
    // Thirty years is for ever, and what `sleep_until` itself uses for it.
    let for_ever = Duration::from_secs(30 * 365 * 24 * 3600);
    started + Duration::from_millis(max_runtime.0).min(for_ever)
}

fn millis(span: Duration) -> Millis {
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

    #[test]
    fn an_absurd_limit_is_no_limit() {
        let now = Instant::now();
        assert!(deadline(now, Millis(u64::MAX)) > now);
        assert_eq!(deadline(now, Millis(1500)), now + Duration::from_millis(1500));
    }
}
