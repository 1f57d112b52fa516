//! Real containers through the Docker API.
//!
//! Start at [`DockerRuntime`]. One attempt is followed from top to bottom in [`run`]; what its
//! container may do is decided in [`create`] alone; the rest is one file per thing that a
//! container needs: its [`image`], its [`volume`], its [`inputs`] and [`outputs`], its
//! [`streams`], the [`meter`] beside it, the [`watch`] over its progress, its [`stand`] still where its owner
//! wants so, and the three ways it is removed ([`cleaner`] after it
//! ended, [`sweep`] at the next start, [`leftovers`] after the agent was killed). What may reach
//! hosts has a [`network`], too; elements that may share a container are [`warm`].
//!
//! Invariant: the `docker` program is never called, and no path of this machine is ever mounted
//! into a container.

use crate::volume::Volumes;
use crate::{Check, Control, Finished, Job, Runtime, Sink};
use async_trait::async_trait;
use bollard::Docker;
use hivemind_egress::{Loosened, NetworkLimits, Rules};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{EgressPolicy, Isolation, Kinds};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod cleaner;
mod create;
mod daemon;
mod follow;
mod health;
mod image;
mod inputs;
mod isolation;
mod judge;
mod kernel_log;
mod leftovers;
mod meter;
mod network;
mod outputs;
mod parent;
mod profile;
mod pull;
mod run;
mod stand;
mod streams;
mod sweep;
mod volume;
mod warm;
mod watch;

pub use crate::reaper::{LeasePen, Reaped, Reaper, spawn_reaper};
pub use crate::volume::DiskLimit;
pub use image::rules::ImageRules;
pub use image::{Reference, declared_volumes};
pub use isolation::Sandbox;
pub use leftovers::{DockerLeftovers, reap};

/// How to reach the daemon, and what is whose.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// Marks what belongs to this agent: only containers and volumes with this label are ever
    /// swept. 1 to 64 of `A-Z a-z 0-9 _ . -`, unique among the agents that share a daemon.
    pub instance: String,
    /// The daemon's socket; `None`: what `DOCKER_HOST` says, else the usual places.
    pub socket: Option<String>,
    /// A folder on this machine's disk, of this instance alone, for the volumes' images.
    pub state: PathBuf,
    /// How /task is limited.
    pub disk_limit: DiskLimit,
    /// A pull that shows no progress for so long is given up.
    pub pull_stall: Duration,
    /// What tasks may reach over the network, beside what they asked for themselves.
    pub egress: EgressPolicy,
    /// How much of the network each attempt may use.
    pub network: NetworkLimits,
    /// For tests alone: nothing sets it but a program that was compiled to.
    pub loosened: Loosened,
    /// Which images may run.
    pub images: ImageRules,
    /// Whether gVisor makes the containers.
    pub sandbox: Sandbox,
    /// The control group that all containers are made in, those that keep networks included, so that the kernel holds
    /// them within their part of the machine together: `hivemind_NAME.slice`, which whoever starts the agent has made at
    /// the top. `None`: where the daemon puts them.
    pub cgroup_parent: Option<String>,
    /// For tests alone: the promise that every container breaks.
    #[doc(hidden)]
    pub sabotage: Option<crate::selftest::Promise>,
}

impl DockerConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(instance: impl Into<String>, state: impl Into<PathBuf>) -> Self {
        Self {
            instance: instance.into(),
            socket: None,
            state: state.into(),
            disk_limit: DiskLimit::Detect,
            pull_stall: Duration::from_secs(120),
            egress: EgressPolicy::None,
            network: NetworkLimits::default(),
            loosened: Loosened::default(),
            images: ImageRules::default(),
            sandbox: Sandbox::Auto,
            cgroup_parent: None,
            sabotage: None,
        }
    }
}

/// Runs each job in a container of its own.
///
/// When [`Runtime::run`] returns, the container is dead; its removal goes on for some
/// milliseconds in the background, bounded in number, and [`DockerRuntime::settled`] waits for it.
#[derive(Debug, Clone)]
pub struct DockerRuntime {
    inner: Arc<Inner>,
}

/// What all jobs share.
#[derive(Debug)]
struct Inner {
    docker: Docker,
    instance: String,
    isolation: Isolation,
    images: Arc<image::Images>,
    profile: profile::Profile,
    volumes: Volumes,
    network: network::Network,
    cleaner: cleaner::Cleaner,
    warm: warm::Warm,
}

impl DockerRuntime {
    /// Reaches the daemon and finds out what this machine can do.
    ///
    /// # Errors
    /// A sentence for people: the daemon does not answer, or `config` cannot be used.
    pub async fn connect(config: DockerConfig) -> Result<Self, String> {
        check_instance(&config.instance)?;
        let docker = daemon::connect(config.socket.as_deref()).await?;
        let info = docker
            .info()
            .await
            .map_err(|error| format!("the Docker daemon does not say what it is like: {}", daemon::explain(&error)))?;
        let (isolation, runtime) = isolation::choose(&info, config.sandbox)?;
        let parent = config.cgroup_parent.as_deref().map(|name| parent::Parent::of(name, &info)).transpose()?;
        let volumes = Volumes::open(&config.state, config.disk_limit).await?;
        let images = image::Images::new(docker.clone(), config.pull_stall, config.images, &config.state);
        let instance = config.instance.clone();
        let profile = profile::Profile { runtime, parent, sabotage: config.sabotage, instance };
        let rules = Rules { policy: config.egress, limits: config.network, loosened: config.loosened };
        let network = network::Network::new(rules, isolation);
        let cleaner = cleaner::Cleaner::new(docker.clone());
        let (instance, warm) = (config.instance, warm::Warm::default());
        let inner = Inner { docker, instance, isolation, images, profile, volumes, network, cleaner, warm };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Removes the containers that wait for further elements, and waits until everything that ended so far
    /// has been removed.
    pub async fn settled(&self) {
        self.inner.warm.retire(&self.inner.cleaner).await;
        self.inner.cleaner.settled().await;
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn kinds(&self) -> Kinds {
        Kinds::CONTAINER
    }

    fn no_network(&self) -> Option<String> {
        self.inner.network.missing()
    }

    fn isolation(&self) -> Isolation {
        self.inner.isolation
    }

    async fn run(&self, job: Job, sink: Arc<dyn Sink>, control: Control, scratch: &Path) -> Finished {
        if let Some(refused) = no_gpu(&job) {
            return refused;
        }
        // On its own task, so that a caller who drops this future still gets a container that is
        // stopped and removed: the guard fires the stop.
        let own = Control { stop: control.stop.child_token(), paused: control.paused };
        let _guard = own.stop.clone().drop_guard();
        let task = tokio::spawn(run::attempt(self.inner.clone(), job, sink, own, scratch.to_owned()));
        task.await.unwrap_or_else(|error| {
            let reason = format!("the runtime failed: {error}; its container is removed at the agent's next start");
            Finished {
                outcome: Outcome::Infrastructure { reason },
                metering: Metering::default(),
                image_id: String::new(),
                output: None,
            }
        })
    }

    async fn sweep(&self) -> Result<usize, String> {
        self.settled().await;
        let live = self.inner.cleaner.live();
        let swept = sweep::containers(&self.inner.docker, &self.inner.instance, sweep::Which::AllBut(&live)).await?;
        self.inner.volumes.sweep(&live).await?;
        Ok(swept)
    }

    async fn health(&self) -> Vec<Check> {
        let mut checks = health::checks(&self.inner.docker, &self.inner.volumes, self.inner.isolation).await;
        checks.push(self.inner.network.check());
        checks
    }
}

/// Without a graphics processor a command that asks for one would compute something else than its author
/// thinks, or for much longer: it is told so by name, and tried elsewhere.
fn no_gpu(job: &Job) -> Option<Finished> {
    let asked = job.resources.gpus;
    (asked > 0).then(|| Finished {
        outcome: Outcome::Infrastructure {
            reason: format!("the task asks for {asked} GPUs, and the Docker runtime of this machine gives none"),
        },
        metering: Metering::default(),
        image_id: String::new(),
        output: None,
    })
}

fn check_instance(instance: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if (1..=64).contains(&instance.len()) && instance.chars().all(allowed) {
        return Ok(());
    }
    Err(format!("the instance `{instance}` cannot be a label: give 1 to 64 of A-Z a-z 0-9 _ . -"))
}
