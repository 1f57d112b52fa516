//! One attempt, from its image to its removal.
//!
//! Start at [`attempt`]. The order is: image; disk; input files; container; start; then whichever comes first
//! of its end, the stop, and the end of its time; then what it used and what it left.
//!
//! Invariant: what is still under way when an attempt is given up is ended before its outcome is told.

use crate::cgroup::{Group, Limits};
use crate::clock::Clock;
use crate::follow::{By, Running};
use crate::helper::spec::{End, Failure, Fault, Spec};
use crate::images::Image;
use crate::launch::Container;
use crate::{Inner, OUT_OF_MEMORY, inputs, network, warm};
use hivemind_egress::{Plan, Used};
use hivemind_model::Kind;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::{Bytes, Millis};
use hivemind_runtime::collect::collect;
use hivemind_runtime::volume::Unnamed;
use hivemind_runtime::way::Way;
use hivemind_runtime::{Control, Finished, Job, Sink, Stream};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Processes and threads.
const PROCESSES: u64 = 256;
/// The kernel takes no smaller share of a core, in thousandths.
const LEAST_MILLICORES: u64 = 10;
/// SIGKILL, and the exit code of what it ended.
const KILL: i32 = 9;
const KILLED: i32 = 128 + KILL;

/// What came of the container.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) metering: Metering,
    pub(crate) output: Option<tempfile::NamedTempFile>,
}

impl Ran {
    pub(crate) fn not_at_all(outcome: Outcome) -> Self {
        Self { outcome, metering: Metering::default(), output: None }
    }
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
    let Some(live) = inner.enter(job.attempt) else {
        return refused(format!("{} runs here already", job.attempt));
    };
    match job.kind {
        Kind::Container => {}
        Kind::Wasm => return refused("this runtime runs containers, not modules".into()),
    }
    let gpus = job.resources.gpus;
    if gpus > 0 {
        return refused(format!("the task asks for {gpus} GPUs, and the built-in runtime gives none"));
    }
    let plan = match inner.network.plan(&job.egress) {
        Ok(plan) => plan,
        Err(outcome) => return finished(Ran::not_at_all(outcome), String::new()),
    };
    let image = match inner.images.resolve(&job.image, &*sink, &control.stop).await {
        Ok(image) => image,
        Err(outcome) => return finished(Ran::not_at_all(outcome), String::new()),
    };
    let id = image.id().to_owned();
    let this = Attempt { inner, job, plan, sink, control, scratch };
    let ran = if warm::fits(&this, &image) {
        warm::element(&this, &image, live).await
    } else {
        this.inner.warm.make_room().await;
        let ran = this.contained(&image).await;
        drop(live);
        ran
    };
    finished(ran.unwrap_or_else(Ran::not_at_all), id)
}

/// What one attempt is made of.
pub(crate) struct Attempt {
    pub(crate) inner: Arc<Inner>,
    pub(crate) job: Job,
    /// Out to the hosts that it may reach.
    pub(crate) plan: Option<Plan>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) control: Control,
    pub(crate) scratch: PathBuf,
}

impl Attempt {
    /// From the disk to what it left.
    async fn contained(&self, image: &Image) -> Result<Ran, Outcome> {
        self.stopped()?;
        let disk = self.disk(0).await?;
        inputs::place(&disk, &self.job.files, &self.control.stop).await?;
        let spec = self.spec(image, &disk);
        let ran = self.launched(&spec, &disk).await;
        // What the task wrote last is written out by the last one to let go of the disk.
        self.inner.tasks.spawn_blocking(move || drop(disk));
        ran
    }

    /// A fresh disk, with room for so many bytes beside the job's own.
    pub(crate) async fn disk(&self, beside: u64) -> Result<Arc<Unnamed>, Outcome> {
        let size = Bytes(self.job.resources.disk.0.saturating_add(beside));
        let made = self.inner.volumes.unnamed(self.job.attempt, size).await;
        made.map(Arc::new).map_err(|error| {
            let folder = self.inner.volumes.folder().display();
            Outcome::Infrastructure {
                reason: format!("the disk for /task ({size}) could not be made in {folder}: {error}"),
            }
        })
    }

    pub(crate) fn stopped(&self) -> Result<(), Outcome> {
        if self.control.stop.is_cancelled() { Err(Outcome::Cancelled) } else { Ok(()) }
    }

    pub(crate) fn spec(&self, image: &Image, disk: &Unnamed) -> Spec {
        let resources = &self.job.resources;
        Spec {
            layers_folder: self.inner.images.layers_folder().to_owned(),
            layers: image.layers().to_vec(),
            scratch: self.inner.scratch.clone(),
            device: disk.device().to_owned(),
            volumes: image.volumes().to_vec(),
            argv: image.argv(&self.job.command),
            env: environment(image, self.own_variables()),
            hosts: network::hosts(self.plan.as_ref()),
            resolvers: network::resolvers(self.plan.as_ref()),
            speaks: false,
            user_namespace: self.inner.user_namespace.is_ok(),
            group: self.inner.tree.group(&self.name()),
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
        let way = match self.begin(&mut container).await {
            Ok(way) => way,
            Err(outcome) => {
                self.given_back(container.discard().await);
                return Err(outcome);
            }
        };
        self.sink.started();
        let mut clock = Clock::started(Instant::now(), self.job.max_runtime);
        let running = Running { container: &mut container, group: &spec.group, disk, way: way.as_ref() };
        let followed = self.follow(running, streams, &mut clock).await;
        if let Some(way) = way {
            let Used { received, sent } = way.close(&*self.sink).await;
            tracing::debug!(attempt = %self.job.attempt, %received, %sent, "its network is closed");
        }
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

    /// From the helper's first word to the command. Gives the way out where it has one.
    pub(crate) async fn begin(&self, container: &mut Container) -> Result<Option<Way>, Outcome> {
        let mut control = self.control.clone();
        let begun = async {
            let pid = container.created().await.map_err(refused)?;
            let way = match &self.plan {
                // Its namespaces are there, and nothing of the task runs in them.
                Some(plan) => Some(self.inner.network.open(plan, pid, &self.inner.tree.path(&self.name())).await?),
                None => None,
            };
            control.until_paused(false).await;
            container.start().await.map_err(refused)?;
            Ok(way)
        };
        tokio::select! {
            biased;
            () = self.control.stop.cancelled() => Err(Outcome::Cancelled),
            begun = begun => begun,
        }
    }

    /// Of its control groups.
    pub(crate) fn name(&self) -> String {
        self.job.attempt.to_string()
    }

    /// What is set over the image's environment.
    fn own_variables(&self) -> Vec<(String, String)> {
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        let network = self.plan.iter().flat_map(|plan| plan.env.clone());
        self.job.environment().into_iter().map(owned).chain(place_variables()).chain(network).collect()
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
        let (disk, outputs) = (disk.clone(), self.job.outputs.clone());
        let (limit, scratch) = (self.job.resources.disk.0, self.scratch.clone());
        let collecting = tokio::task::spawn_blocking(move || collect(disk.root(), &outputs, limit, &scratch));
        let collected = tokio::select! {
            biased;
            () = self.control.stop.cancelled() => return Ran { outcome: Outcome::Cancelled, metering, output: None },
            collected = collecting => collected.unwrap_or_else(|error| Err(io::Error::other(error))),
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
    pub(crate) fn remark(&self, remark: Option<&str>) {
        if let Some(remark) = remark {
            self.sink.note(remark);
            self.sink.output(Stream::Stderr, format!("hivemind: {remark}\n").as_bytes());
        }
    }

    pub(crate) fn given_back(&self, result: Result<(), String>) {
        if let Err(error) = result {
            tracing::error!(attempt = %self.job.attempt, %error, "something of a container stays; it is swept at the agent's next start");
        }
    }
}

/// What every command finds in its environment.
pub(crate) fn place_variables() -> [(String, String); 2] {
    [("HOME", "/task"), ("TMPDIR", "/tmp")].map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// What the image sets, then what is ours: the last word counts.
pub(crate) fn environment(image: &Image, ours: Vec<(String, String)>) -> Vec<String> {
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
pub(crate) fn outcome(end: End) -> Outcome {
    if end.code == KILLED && end.usage.ooms > 0 {
        return Outcome::OutOfMemory;
    }
    // From inside, the first process is killed by a limit of its own alone; else a task could compute for nothing.
    if end.signal == Some(KILL) && !end.had_own_limit {
        return Outcome::Infrastructure { reason: "somebody on the node's machine ended the container".into() };
    }
    Outcome::Exited { code: end.code }
}

fn metering_of(group: &Group) -> Metering {
    let usage = group.usage();
    Metering { wall: Millis(0), cpu: Millis(usage.cpu_nanos / 1_000_000), peak_memory: Bytes(usage.peak_bytes) }
}

pub(crate) fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
