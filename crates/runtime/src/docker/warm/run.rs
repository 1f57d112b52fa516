//! One element in a warm container, from its command to what it left.
//!
//! Start at [`one`]. Time is the agent's own, processor time the kernel's counters before and after: what the
//! guest says decides only how the command ended.
//!
//! Invariant: when this returns, nothing of the element runs: the guest said so, or the container is dead.

use super::super::daemon;
use super::super::follow::{KILL_PATIENCE, deadline};
use super::super::judge::millis;
use super::super::meter::Meter;
use super::super::run::{Attempt, End, KILL_SOON, Ran};
use super::super::stand::Stand;
use super::super::watch::Watch;
use super::Container;
use crate::collect::Collected;
use crate::volume::Held;
use crate::warm::{Broken, Command, Ended, Folder, How, Said, why_not_started};
use hivemind_egress::Used;
use hivemind_model::state::{Metering, Outcome};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::time::Instant;

/// By how much the tables of a disk may grow before its container goes: folders never shrink.
const SLACK: u64 = 256 << 10;
/// By how much the kernel's two ways to measure processor time may differ.
const MEASURE_MICROS: u64 = 50_000;
/// What a command ends with that was killed.
const KILLED: i32 = 137;
/// What the guest ends with where a call fails that does not, unless a command has set limits for it: it
/// must be no way to compute for nothing.
const FAILED: i64 = 3;
/// The signal that kills.
const SIGKILL: i32 = 9;

/// Runs `command`. True where the container may be used again.
pub(super) async fn one(attempt: &Attempt, container: &mut Container, command: Command) -> (Ran, bool) {
    if !attempt.may_start().await {
        return (Ran::not_at_all(Outcome::Cancelled), true);
    }
    let program = command.argv.first().cloned().unwrap_or_default();
    let id = container.id.clone();
    let docker = &attempt.inner.docker;
    let mut meter = match &container.cgroup {
        Some(cgroup) => Meter::again(docker, &id, cgroup.clone()),
        None => Meter::new(docker, &id),
    };
    let (mut stand, mut watch) = (Stand::new(), Watch::new(container.volume.held()));
    let started = Instant::now();
    let mut follow = Follow { attempt, container, stand: &mut stand, watch: &mut watch, started };
    let asked = tokio::time::timeout(KILL_PATIENCE, follow.container.channel.run(command)).await;
    let (end, ended) = match asked.unwrap_or_else(|_| Err(Broken::Io(io::ErrorKind::TimedOut.into()))) {
        Ok(()) => follow.until_end(&mut meter).await,
        Err(broken) => (End::Own, Err(broken)),
    };
    let wall = started.elapsed().saturating_sub(stand.total());
    meter.last_sample();
    let (cpu, peak_memory) = meter.seen();
    let metering = Metering { wall: millis(wall), cpu, peak_memory };
    let (outcome, worn) = match ended {
        Ok(ended) => {
            let kernel = cpu.0.saturating_mul(1000).saturating_add(MEASURE_MICROS);
            if container.cgroup.is_some() && ended.cpu_micros > kernel {
                tracing::warn!(
                    container = attempt.name,
                    guest = ended.cpu_micros,
                    kernel,
                    "a guest says more processor time than the kernel"
                );
            }
            (outcome(end, &ended, &meter, &program), ended.worn || meter.counted_oom())
        }
        // The disk of a container that died is as its last element left it.
        Err(broken) => (died(attempt, end, &meter, &broken).await, true),
    };
    let (held, folder) = (container.volume.held(), container.folder.clone());
    let left =
        Left { attempt, held, folder, fresh: container.fresh, watch: &mut watch, is_wanted: end != End::Stopped };
    // As for a container that never came to life.
    let metering = if matches!(outcome, Outcome::CannotStart { .. }) { Metering::default() } else { metering };
    match left.take(!worn).await {
        Ok((output, is_clean)) => (Ran { outcome, metering, output }, is_clean && !worn),
        // How it ended counts for more than what it left.
        Err(lost) => {
            let outcome = if matches!(outcome, Outcome::Infrastructure { .. }) { outcome } else { lost };
            (Ran { outcome, metering, output: None }, false)
        }
    }
}

/// An element that runs.
struct Follow<'a> {
    attempt: &'a Attempt,
    container: &'a mut Container,
    stand: &'a mut Stand,
    watch: &'a mut Watch,
    started: Instant,
}

impl Follow<'_> {
    /// Hands on what the command writes until it has ended, by itself or by us.
    async fn until_end(&mut self, meter: &mut Meter<'_>) -> (End, Result<Ended, Broken>) {
        let Self { attempt, container, stand, watch, started } = self;
        let (sink, mut control) = (&*attempt.sink, attempt.control.clone());
        let (docker, name) = (&attempt.inner.docker, &attempt.name);
        let time_is_up = tokio::time::sleep_until(deadline(*started, attempt.job.max_runtime));
        tokio::pin!(time_is_up);
        let (mut end, mut patience) = (End::Own, None);
        loop {
            tokio::select! {
                biased;
                () = attempt.stop.cancelled(), if end == End::Own => end = End::Stopped,
                () = &mut time_is_up, if end == End::Own && !stand.is_still() => end = End::OutOfTime,
                () = stand.due(&mut control), if end == End::Own => {
                    stand.turn(docker, name, meter, &control).await;
                    time_is_up.as_mut().reset(deadline(*started, attempt.job.max_runtime) + stand.total());
                    continue;
                }
                () = tokio::time::sleep_until(patience.unwrap_or(*started)), if patience.is_some() => {
                    // The guest does not do it.
                    end_container(attempt, meter).await;
                    return (end, Err(Broken::Gone));
                }
                () = meter.due(), if !stand.is_still() => {
                    meter.sample().await;
                    watch.tick();
                    continue;
                }
                () = watch.report(meter, Used::default(), sink) => continue,
                said = container.channel.next() => {
                    match said {
                        Ok(Said::Started) => sink.started(),
                        Ok(Said::Output(stream, data)) => sink.output(stream, &data),
                        Ok(Said::Ended(ended)) => return (end, Ok(ended)),
                        Err(broken) => return (end, Err(broken)),
                    }
                    continue;
                }
            }
            // It is to end now. What stands still hears nothing, so that all of it is killed.
            let asked = tokio::time::timeout(KILL_SOON, container.channel.kill());
            if stand.is_still() || !asked.await.is_ok_and(|asked| asked.is_ok()) {
                end_container(attempt, meter).await;
                return (end, Err(Broken::Gone));
            }
            patience = Some(Instant::now() + KILL_SOON);
        }
    }
}

/// Kills the container and waits until it is dead, as far as the daemon tells.
async fn end_container(attempt: &Attempt, meter: &Meter<'_>) {
    attempt.kill(meter).await;
    if tokio::time::timeout(KILL_PATIENCE, attempt.wait()).await.is_err() {
        tracing::error!(container = attempt.name, "a warm container that was killed does not end; its removal goes on");
    }
}

/// What the end of a command means.
fn outcome(end: End, ended: &Ended, meter: &Meter<'_>, program: &str) -> Outcome {
    match end {
        End::Stopped => return Outcome::Cancelled,
        End::OutOfTime => return Outcome::TimedOut,
        End::Own => {}
    }
    let code = match ended.how {
        How::NotStarted(errno) => return Outcome::CannotStart { reason: why_not_started(program, errno) },
        How::Exited(code) => code,
        How::Signalled(signal) => 128 + signal.clamp(0, 127),
    };
    const { assert!(KILLED == 128 + SIGKILL) };
    if code == KILLED && meter.counted_oom() { Outcome::OutOfMemory } else { Outcome::Exited { code } }
}

/// The container broke off under an element. It is dead when this returns.
async fn died(attempt: &Attempt, end: End, meter: &Meter<'_>, broken: &Broken) -> Outcome {
    match end {
        End::Stopped => return Outcome::Cancelled,
        End::OutOfTime => return Outcome::TimedOut,
        End::Own => {}
    }
    if !matches!(broken, Broken::Gone) {
        end_container(attempt, meter).await;
        let why = match broken {
            Broken::Io(error) => format!("{broken}: {error}"),
            Broken::Malformed(what) => format!("{broken}: {what}"),
            Broken::Gone | Broken::OutOfTurn(_) => broken.to_string(),
        };
        return Outcome::Infrastructure { reason: format!("the warm container was ended: {why}") };
    }
    let state = match tokio::time::timeout(KILL_PATIENCE, attempt.wait()).await {
        Ok(Ok(())) => attempt.inner.docker.inspect_container(&attempt.name, None).await,
        Ok(Err(error)) => return attempt.lost(meter, &error).await,
        Err(_) => {
            attempt.kill(meter).await;
            return Outcome::Infrastructure { reason: "the daemon let go of a warm container".into() };
        }
    };
    match state.map(|container| container.state.unwrap_or_default()) {
        // So it ends where nobody speaks to it any more.
        Ok(state) if state.exit_code == Some(0) => {
            Outcome::Infrastructure { reason: "the way to the warm container broke off".into() }
        }
        Ok(state) if state.exit_code == Some(FAILED) => {
            attempt.remark(Some("the command brought the container's first process to an end"));
            Outcome::Exited { code: KILLED }
        }
        Ok(state) => attempt.outcome(end, &state, meter).await,
        Err(error) => daemon::fault("how the warm container ended cannot be read", &error),
    }
}

/// What an element left.
struct Left<'a> {
    attempt: &'a Attempt,
    held: Option<Arc<Held>>,
    folder: Arc<Folder>,
    /// Bytes that were in use before the first element.
    fresh: u64,
    watch: &'a mut Watch,
    /// False: its outputs are wanted by nobody.
    is_wanted: bool,
}

impl Left<'_> {
    /// Collects the outputs, and sets the folder back where the container is to be used again. True where that
    /// is done.
    async fn take(self, is_kept: bool) -> Result<(Option<tempfile::NamedTempFile>, bool), Outcome> {
        let Self { attempt, held, folder, fresh, watch, is_wanted } = self;
        let Some(held) = held else { return Ok((None, false)) };
        let (outputs, scratch) = (attempt.job.outputs.clone(), attempt.scratch.clone());
        let (limit, most_used) = (attempt.job.resources.disk.0, fresh.saturating_add(SLACK));
        let lacks_all = crate::collect::is_usual(&outputs) && outputs.iter().all(|output| held.lacks(output));
        let work = move || {
            let percent = crate::progress::percent(held.as_fd());
            let collected = if is_wanted && !lacks_all {
                crate::collect::collect(held.as_fd(), &outputs, limit, &scratch)
            } else {
                Ok(Collected::default())
            };
            let set_back =
                if is_kept { folder.set_back(held.as_fd()).map(|()| held.used() <= most_used) } else { Ok(false) };
            (percent, collected, set_back)
        };
        let done = tokio::select! {
            biased;
            // Nobody waits for the outputs any more; the reader goes on to its end and is heard by nobody.
            () = attempt.stop.cancelled(), if is_wanted => return Err(Outcome::Cancelled),
            done = tokio::task::spawn_blocking(work) => done,
        };
        let (percent, collected, set_back) =
            done.unwrap_or_else(|error| (None, Err(io::Error::other(error)), Ok(false)));
        watch.last(percent, &*attempt.sink);
        let collected = collected.map_err(|error| daemon::io_fault("the outputs could not be collected", &error))?;
        attempt.remark(collected.remark.as_deref());
        let is_clean = set_back.unwrap_or_else(|error| {
            tracing::debug!(container = attempt.name, %error, "/task could not be set back; the container goes");
            false
        });
        Ok((collected.archive, is_clean))
    }
}
