//! One attempt, from its image to its removal.
//!
//! Start at [`attempt`]. The order is: image; disk; input files; container; start; then whichever comes first
//! of its end, the stop, and the end of its time; then what it used and what it left.
//!
//! Invariant: what is still under way when an attempt is given up is ended before its outcome is told.

use crate::cgroup::{Group, Limits};
use crate::clock::Clock;
use crate::helper::spec::{End, Failure, Fault, Order, Report, Spec};
use crate::images::Image;
use crate::launch::{Container, Streams};
use crate::{Inner, OUT_OF_MEMORY, inputs, outputs, watch};
use hivemind_model::Kind;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::{Bytes, Millis};
use hivemind_runtime::volume::Unnamed;
use hivemind_runtime::{Control, Finished, Job, Sink, Stream};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// Processes and threads.
const PROCESSES: u64 = 256;
/// The kernel takes no smaller share of a core, in thousandths.
const LEAST_MILLICORES: u64 = 10;
/// Longest wait for the end to show after a kill.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the rest of the output of a command that has ended.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// Most output taken at once.
const PIECE_BYTES: usize = 32 << 10;
/// SIGKILL, and the exit code of what it ended.
const KILL: i32 = 9;
const KILLED: i32 = 128 + KILL;

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

/// Who ended the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Itself,
    /// We, because the job was stopped.
    Stop,
    /// We, because its time was over.
    Time,
}

/// Runs `job` to its end.
pub(crate) async fn attempt(
    inner: Arc<Inner>,
    job: Job,
    sink: Arc<dyn Sink>,
    control: Control,
    scratch: PathBuf,
) -> Finished {
    let finished = |ran: Ran, image_id: String| Finished {
        outcome: ran.outcome,
        metering: ran.metering,
        image_id,
        output: ran.output,
    };
    let refused = |reason: String| finished(Ran::not_at_all(Outcome::Infrastructure { reason }), String::new());
    let Some(_live) = inner.enter(job.attempt) else {
        return refused(format!("{} runs here already", job.attempt));
    };
    match job.kind {
        Kind::Container => {}
        Kind::Wasm => return refused("this runtime runs containers, not modules".into()),
    }
    if !job.egress.is_empty() {
        return refused("this runtime gives tasks no network yet".into());
    }
    let image = match inner.images.resolve(&job.image, &*sink, &control.stop).await {
        Ok(image) => image,
        Err(outcome) => return finished(Ran::not_at_all(outcome), String::new()),
    };
    let id = image.id().to_owned();
    let this = Attempt { inner, job, sink, control, scratch };
    let ran = match this.contained(&image).await {
        Ok(ran) => ran,
        Err(outcome) => Ran::not_at_all(outcome),
    };
    finished(ran, id)
}

/// What one attempt is made of.
struct Attempt {
    inner: Arc<Inner>,
    job: Job,
    sink: Arc<dyn Sink>,
    control: Control,
    scratch: PathBuf,
}

impl Attempt {
    /// From the disk to what it left.
    async fn contained(&self, image: &Image) -> Result<Ran, Outcome> {
        self.stopped()?;
        let size = self.job.resources.disk;
        let disk = self.inner.volumes.unnamed(self.job.attempt, size).await.map_err(|error| {
            let folder = self.inner.volumes.folder().display();
            Outcome::Infrastructure {
                reason: format!("the disk for /task ({size}) could not be made in {folder}: {error}"),
            }
        })?;
        let disk = Arc::new(disk);
        inputs::place(&disk, &self.job.files, &self.control.stop).await?;
        let spec = self.spec(image, &disk);
        let ran = self.launched(&spec, &disk).await;
        // What the task wrote last is written out by the last one to let go of the disk.
        self.inner.tasks.spawn_blocking(move || drop(disk));
        ran
    }

    fn stopped(&self) -> Result<(), Outcome> {
        if self.control.stop.is_cancelled() { Err(Outcome::Cancelled) } else { Ok(()) }
    }

    fn spec(&self, image: &Image, disk: &Unnamed) -> Spec {
        let resources = &self.job.resources;
        Spec {
            layers_folder: self.inner.images.layers_folder().to_owned(),
            layers: image.layers().to_vec(),
            scratch: self.inner.scratch.clone(),
            device: disk.device().to_owned(),
            volumes: image.volumes().to_vec(),
            argv: image.argv(&self.job.command),
            env: environment(image, &self.job),
            user_namespace: self.inner.user_namespace.is_ok(),
            group: self.inner.tree.group(&self.job.attempt.to_string()),
            limits: Limits {
                memory_bytes: resources.memory.0,
                millicores: u64::from(resources.cpu.0).max(LEAST_MILLICORES),
                processes: PROCESSES,
            },
        }
    }

    /// From the helper to what the command left.
    async fn launched(&self, spec: &Spec, disk: &Arc<Unnamed>) -> Result<Ran, Outcome> {
        if spec.argv.is_empty() {
            return Err(Outcome::CannotStart { reason: "the image has no command of its own; give one".into() });
        }
        let launched = Container::launch(&self.inner.helper, spec).await;
        let (mut container, streams) = launched.map_err(|error| Outcome::Infrastructure {
            reason: format!("{} could not be run: {error}", self.inner.helper.program.display()),
        })?;
        if let Err(outcome) = self.begin(&mut container).await {
            self.given_back(container.discard().await);
            return Err(outcome);
        }
        self.sink.started();
        let mut clock = Clock::started(Instant::now(), self.job.max_runtime);
        let followed = self.follow(&mut container, &spec.group, disk, streams, &mut clock).await;
        let (by, end) = match followed {
            Ok(followed) => followed,
            Err(reason) => {
                self.given_back(container.discard().await);
                let metering = Metering { wall: millis(clock.ran(Instant::now())), ..metering_of(&spec.group) };
                return Ok(Ran { outcome: Outcome::Infrastructure { reason }, metering, output: None });
            }
        };
        let (gone, ran) = tokio::join!(container.gone(), self.judge(by, end, &clock, disk));
        self.given_back(gone);
        Ok(ran)
    }

    /// From the helper's first word to the command.
    async fn begin(&self, container: &mut Container) -> Result<(), Outcome> {
        let mut control = self.control.clone();
        let stop = self.control.stop.clone();
        let begun = async {
            let first_process = container.created().await?;
            // The place to give it a network: its namespaces are there, and nothing of the task runs in them.
            tracing::trace!(first_process, attempt = %self.job.attempt, "made");
            control.until_paused(false).await;
            container.start().await
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Outcome::Cancelled),
            begun = begun => begun.map_err(refused),
        }
    }

    /// Hands on what the command says until it has ended, by itself or by us.
    async fn follow(
        &self,
        container: &mut Container,
        group: &Group,
        disk: &Arc<Unnamed>,
        streams: Streams,
        clock: &mut Clock,
    ) -> Result<(By, End), String> {
        let mut control = self.control.clone();
        let stop = self.control.stop.clone();
        let watching = watch::watch(group, disk, &*self.sink);
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

    /// Puts together what is known of a command that has ended.
    async fn judge(&self, by: By, end: End, clock: &Clock, disk: &Arc<Unnamed>) -> Ran {
        let wall = Duration::from_micros(end.wall_micros).saturating_sub(clock.still());
        let metering = Metering {
            wall: millis(wall),
            cpu: Millis(end.usage.cpu_nanos / 1_000_000),
            peak_memory: Bytes(end.usage.peak_bytes),
        };
        let outcome = match by {
            // A cancelled attempt's outputs are wanted by nobody.
            By::Stop => return Ran { outcome: Outcome::Cancelled, metering, output: None },
            By::Time => Outcome::TimedOut,
            By::Itself => outcome(end),
        };
        let limit = self.job.resources.disk.0;
        let collecting = outputs::collect(disk.clone(), self.job.outputs.clone(), limit, self.scratch.clone());
        let collected = tokio::select! {
            biased;
            () = self.control.stop.cancelled() => return Ran { outcome: Outcome::Cancelled, metering, output: None },
            collected = collecting => collected,
        };
        match collected {
            Ok(collected) => {
                self.remark(collected.remark.as_deref());
                Ran { outcome, metering, output: collected.archive }
            }
            Err(error) => {
                let reason = format!("the outputs could not be collected: {error}");
                Ran { outcome: Outcome::Infrastructure { reason }, metering, output: None }
            }
        }
    }

    /// Tells what was left out where the requester looks: among the command's own words.
    fn remark(&self, remark: Option<&str>) {
        if let Some(remark) = remark {
            self.sink.note(remark);
            self.sink.output(Stream::Stderr, format!("hivemind: {remark}\n").as_bytes());
        }
    }

    fn given_back(&self, result: Result<(), String>) {
        if let Err(error) = result {
            tracing::error!(attempt = %self.job.attempt, %error, "something of a container stays; it is swept at the agent's next start");
        }
    }
}

/// What the image sets, then what is ours: the last word counts.
fn environment(image: &Image, job: &Job) -> Vec<String> {
    let ours = job.environment().into_iter().map(|(name, value)| (name.to_owned(), value));
    let ours = ours.chain([("HOME".to_owned(), "/task".to_owned()), ("TMPDIR".to_owned(), "/tmp".to_owned())]);
    let mut all: Vec<(String, String)> = vec![("HOSTNAME".to_owned(), "task".to_owned())];
    let images = image.env().iter().filter_map(|entry| entry.split_once('='));
    for (name, value) in images.map(|(name, value)| (name.to_owned(), value.to_owned())).chain(ours) {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => all.push((name, value)),
        }
    }
    if !all.iter().any(|(name, _)| name == "PATH") {
        all.push(("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()));
    }
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn stand_still(group: &Group, still: bool) {
    if let Err(error) = group.freeze(still) {
        tracing::warn!(%error, still, "a container cannot be made to stand still or to go on");
    }
}

/// Whose fault it is that there was no command.
fn refused(failure: Failure) -> Outcome {
    let Failure { fault, reason } = failure;
    match fault {
        Fault::Command if reason == OUT_OF_MEMORY => Outcome::OutOfMemory,
        Fault::Command => Outcome::CannotStart { reason },
        Fault::Image => Outcome::BadImage { reason },
        Fault::Machine => Outcome::Infrastructure { reason },
    }
}

/// What an end says that we did not bring about.
fn outcome(end: End) -> Outcome {
    if end.code == KILLED && end.usage.ooms > 0 {
        return Outcome::OutOfMemory;
    }
    // From inside, the first process cannot be killed.
    if end.signal == Some(KILL) {
        return Outcome::Infrastructure { reason: "somebody on the node's machine ended the container".into() };
    }
    Outcome::Exited { code: end.code }
}

fn metering_of(group: &Group) -> Metering {
    let usage = group.usage();
    Metering { wall: Millis(0), cpu: Millis(usage.cpu_nanos / 1_000_000), peak_memory: Bytes(usage.peak_bytes) }
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

fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
