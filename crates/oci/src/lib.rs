//! A runtime of its own for containers, without a daemon.
//!
//! Start at [`OciRuntime`]. One attempt is followed from top to bottom in [`run`]; its container is made by a
//! process of its own, the [`helper`], which [`launch`] talks to; what a container may do is decided there
//! alone. The rest is one file per thing that a container needs: its [`images`], its [`cgroup`], its [`inputs`],
//! its [`network`]. Elements that may share a container are [`warm`]. The promises are those of `hivemind_runtime::docker`.
//!
//! Invariant: nothing of a container is left when its agent is gone, however that went; and no path of this
//! machine is mounted into one but the layers of its image, which it cannot write.

use async_trait::async_trait;
use hivemind_egress::{Loosened, NetworkLimits, Rules};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{AttemptRef, EgressPolicy, Isolation, Kinds};
use hivemind_runtime::docker::ImageRules;
use hivemind_runtime::volume::{DiskLimit, Volumes};
use hivemind_runtime::{Check, Control, Finished, Job, Runtime, Sink};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

mod cgroup;
mod clock;
mod follow;
mod health;
mod helper;
mod images;
mod inputs;
mod launch;
mod leftovers;
mod network;
mod run;
mod warm;
mod watch;

pub use helper::{HELPER_WORD, helper_main};
pub use images::ImageLimits;
pub use leftovers::OciLeftovers;

/// Why a container did not start whose memory did not suffice to make it.
const OUT_OF_MEMORY: &str = "its memory does not suffice to make it";

/// How to make containers, and what is whose.
#[derive(Debug, Clone)]
pub struct OciConfig {
    /// Marks what belongs to this agent: only groups with this name are ever swept. 1 to 64 of
    /// `A-Z a-z 0-9 _ . -`, unique on a machine.
    pub instance: String,
    /// A folder on this machine's disk, of this instance alone, for images and volumes. Its file system has to
    /// be one that overlays can stand on, such as ext4, xfs or btrfs.
    pub state: PathBuf,
    /// An executable whose `main` begins with [`helper_main`], and the words that make it do so.
    pub helper: Helper,
    /// The control group under which all groups are made, relative to the roots of the hierarchies; empty: at
    /// the roots.
    pub parent_group: PathBuf,
    /// Whether containers get a user namespace.
    pub user_namespaces: UserNamespaces,
    /// How much images may take.
    pub images: ImageLimits,
    /// Which images may run, and from where they may be fetched. Its sizes count where they are less than those of
    /// `images`; images are not removed for their age.
    pub rules: ImageRules,
    /// What tasks may reach over the network, beside what they asked for themselves.
    pub egress: EgressPolicy,
    /// How much of the network each attempt may use.
    pub network: NetworkLimits,
    /// For tests alone: nothing sets it but a program that was compiled to.
    pub loosened: Loosened,
    /// A pull that shows no progress for so long is given up.
    pub pull_stall: Duration,
    /// Registries on this machine's loopback are spoken to without TLS. For tests.
    pub plain_loopback: bool,
}

/// Whether containers get a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserNamespaces {
    /// Where this machine has them.
    Detect,
    /// None. For a machine where something else cannot live with them.
    None,
}

/// How the helper is started.
#[derive(Debug, Clone)]
pub struct Helper {
    /// The executable.
    pub program: PathBuf,
    /// The words before the helper's own.
    pub words: Vec<String>,
}

impl Helper {
    /// The present executable, with [`HELPER_WORD`].
    #[must_use]
    pub fn this_program() -> Self {
        // The very file that runs, though another version may have taken its place on disk meanwhile.
        Self { program: "/proc/self/exe".into(), words: vec![HELPER_WORD.into()] }
    }
}

impl OciConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(instance: impl Into<String>, state: impl Into<PathBuf>, helper: Helper) -> Self {
        Self {
            instance: instance.into(),
            state: state.into(),
            helper,
            parent_group: PathBuf::new(),
            user_namespaces: UserNamespaces::Detect,
            images: ImageLimits::default(),
            rules: ImageRules::default(),
            egress: EgressPolicy::None,
            network: NetworkLimits::default(),
            loosened: Loosened::default(),
            pull_stall: Duration::from_secs(120),
            plain_loopback: false,
        }
    }
}

/// Runs each job in a container of its own.
///
/// When [`Runtime::run`] returns, nothing of the container is left but its disk, which has no name any more;
/// writing out what a task wrote last goes on in the background, and [`OciRuntime::settled`] waits for it.
#[derive(Debug, Clone)]
pub struct OciRuntime {
    inner: Arc<Inner>,
}

/// What all jobs share.
#[derive(Debug)]
struct Inner {
    helper: Helper,
    /// Empty; containers mount on it, each in its own namespace.
    scratch: PathBuf,
    tree: cgroup::Tree,
    user_namespace: Result<(), String>,
    images: images::Images,
    volumes: Volumes,
    network: network::Network,
    warm: warm::Warm,
    live: Arc<Mutex<HashSet<AttemptRef>>>,
    tasks: TaskTracker,
}

/// Keeps an attempt's things from being swept for as long as it lives.
#[derive(Debug)]
struct Live {
    attempt: AttemptRef,
    all: Arc<Mutex<HashSet<AttemptRef>>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.all.lock().remove(&self.attempt);
    }
}

impl Inner {
    /// Takes note of an attempt; `None` where it is here already.
    fn enter(&self, attempt: AttemptRef) -> Option<Live> {
        self.live.lock().insert(attempt).then(|| Live { attempt, all: self.live.clone() })
    }
}

impl OciRuntime {
    /// Looks at what this machine can do.
    ///
    /// # Errors
    /// A sentence for people: what is missing and what to do about it, or that `config` cannot be used.
    pub async fn open(config: OciConfig) -> Result<Self, String> {
        check_instance(&config.instance)?;
        check_parent(&config.parent_group)?;
        if !rustix::process::geteuid().is_root() {
            return Err("the built-in runtime needs root, and the worker is not: run it as root (tasks never run as root), or use Docker".into());
        }
        let place = place_of(&config.instance, &config.parent_group);
        let tree = cgroup::Tree::of_this_machine(&place)
            .map_err(|why| format!("{why}; mount them, with the memory, cpu and pids controllers, or use Docker"))?;
        let scratch = config.state.join("mnt");
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&scratch);
        made.map_err(|error| {
            format!(
                "the folder {} cannot be made: {error}; give the agent a data folder that it may write",
                scratch.display()
            )
        })?;
        let volumes = Volumes::open(&config.state, DiskLimit::Detect).await?;
        if let Some(why) = volumes.unlimited() {
            return Err(format!(
                "{why}; install e2fsprogs (mkfs.ext4, debugfs) and util-linux (losetup), and see that /dev/loop-control is there"
            ));
        }
        // As the kernel names it: the helper does not begin where this process did.
        let state = config.state.canonicalize().map_err(|error| format!("{}: {error}", config.state.display()))?;
        let images = images::Images::open(&state.join("images"), &config)?;
        let user_namespace = match config.user_namespaces {
            UserNamespaces::Detect => launch::probe(&config.helper).await,
            UserNamespaces::None => Err("switched off".into()),
        };
        let rules = Rules { policy: config.egress, limits: config.network, loosened: config.loosened };
        let inner = Inner {
            helper: config.helper,
            scratch: state.join("mnt"),
            tree,
            user_namespace,
            images,
            volumes,
            network: network::Network::new(rules),
            warm: warm::Warm::default(),
            live: Arc::default(),
            tasks: TaskTracker::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Removes the containers that wait for an element, and waits until everything that ended so far has been
    /// written out and given back.
    pub async fn settled(&self) {
        self.inner.warm.retire().await;
        // A closed tracker still takes tasks; closing only lets the wait end.
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Removes the instance's own control groups; for who will not run anything under this name again.
    ///
    /// # Errors
    /// Which stays: something runs in it.
    pub async fn retire(&self) -> Result<(), String> {
        self.sweep().await?;
        self.inner.tree.remove().map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Runtime for OciRuntime {
    fn name(&self) -> &'static str {
        "oci"
    }

    fn kinds(&self) -> Kinds {
        Kinds::CONTAINER
    }

    fn no_network(&self) -> Option<String> {
        self.inner.network.missing()
    }

    fn isolation(&self) -> Isolation {
        match self.inner.user_namespace {
            Ok(()) => Isolation::Rootless,
            Err(_) => Isolation::Basic,
        }
    }

    async fn run(&self, job: Job, sink: Arc<dyn Sink>, control: Control, scratch: &Path) -> Finished {
        // On its own task, so that a caller who drops this future still gets a container that is ended and
        // removed: the guard fires the stop.
        let own = Control { stop: control.stop.child_token(), paused: control.paused };
        let _guard = own.stop.clone().drop_guard();
        let task = tokio::spawn(run::attempt(self.inner.clone(), job, sink, own, scratch.to_owned()));
        task.await.unwrap_or_else(|error| Finished {
            outcome: Outcome::Infrastructure { reason: format!("the runtime failed: {error}") },
            metering: Metering::default(),
            image_id: String::new(),
            output: None,
        })
    }

    async fn sweep(&self) -> Result<usize, String> {
        self.settled().await;
        let live = self.inner.live.lock().clone();
        let tree = self.inner.tree.clone();
        let spared = live.clone();
        let swept = tokio::task::spawn_blocking(move || sweep_groups(&tree, &spared));
        let swept = swept.await.map_err(|error| error.to_string())??;
        self.inner.volumes.sweep(&live).await?;
        self.inner.images.sweep()?;
        Ok(swept)
    }

    async fn health(&self) -> Vec<Check> {
        health::checks(&self.inner)
    }
}

/// Ends every container of an agent that may not have any now: of one that was killed, or that stands still
/// while its leases run out. Gives how many there were.
///
/// # Errors
/// What could not be ended, for people.
pub fn end_all(instance: &str, parent_group: &Path) -> Result<usize, String> {
    check_instance(instance)?;
    check_parent(parent_group)?;
    let tree = cgroup::Tree::of_this_machine(&place_of(instance, parent_group))?;
    sweep_groups(&tree, &HashSet::new())
}

fn place_of(instance: &str, parent_group: &Path) -> PathBuf {
    parent_group.join(format!("hivemind-{instance}"))
}

/// Ends and removes every container's groups but those of `live`, and where nothing lives the instance's own, too; how
/// many containers there were.
fn sweep_groups(tree: &cgroup::Tree, live: &HashSet<AttemptRef>) -> Result<usize, String> {
    let names = tree.names().map_err(|error| format!("the control groups cannot be listed: {error}"))?;
    let dead = |name: &String| !name.parse().is_ok_and(|attempt| live.contains(&attempt));
    let swept = clear(tree, &names.into_iter().filter(dead).collect());
    if live.is_empty() {
        tree.leave();
    }
    swept
}

/// Ends and removes the groups of the containers `names`; how many there were.
fn clear(tree: &cgroup::Tree, names: &BTreeSet<String>) -> Result<usize, String> {
    let (mut swept, mut stuck) = (0, Vec::new());
    for name in names {
        let group = tree.group(name);
        swept += 1;
        if !group.kill() {
            stuck.push(format!("{name}: its processes do not end"));
        } else if let Err(error) = group.remove() {
            stuck.push(format!("{name}: {error}"));
        }
    }
    if stuck.is_empty() {
        Ok(swept)
    } else {
        Err(format!("left by an earlier process and not removed: {}", stuck.join("; ")))
    }
}

fn check_instance(instance: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if (1..=64).contains(&instance.len()) && instance.chars().all(allowed) {
        return Ok(());
    }
    Err(format!("the instance `{instance}` cannot be a label: give 1 to 64 of A-Z a-z 0-9 _ . -"))
}

fn check_parent(parent: &Path) -> Result<(), String> {
    if parent.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
        return Ok(());
    }
    Err(format!(
        "the control group `{}` is not one: give a path without `/` at its beginning and without `..`",
        parent.display()
    ))
}
