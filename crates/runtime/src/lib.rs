//! Runs one attempt in isolation and tells what it did.
//!
//! Start at [`Runtime`]. [`docker`] runs real containers with the whole profile; [`fake`] is for
//! tests and benchmarks of everything above. [`selftest`] attacks what a runtime promises.
//!
//! Invariant: this crate knows no pool and no money; it knows one machine.

use async_trait::async_trait;
use hivemind_model::spec::Digest;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::{Bytes, Millis};
use hivemind_model::{AttemptRef, Egress, Isolation, Kind, Kinds, Resources};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

pub mod archive;
pub mod collect;
pub mod docker;
pub mod fake;
pub mod offer;
pub mod program;
pub mod progress;
pub mod reaper;
pub mod selftest;
pub mod together;
pub mod volume;
pub mod warm;
pub mod way;

/// One attempt, ready to be run.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which attempt; containers and volumes are labelled with it.
    pub attempt: AttemptRef,
    /// What kind of program it is.
    pub kind: Kind,
    /// What holds the program.
    pub image: Image,
    /// Program and arguments; empty: the image's own command. Of a module: its arguments.
    pub command: Vec<String>,
    /// What the command finds in its environment beside what the image and the runtime set there;
    /// only names that begin with `HIVEMIND_` are taken.
    pub env: Vec<(String, String)>,
    /// Input files that lie on this machine, each with its path under `/task`.
    pub files: Vec<(String, PathBuf)>,
    /// Files and folders under `/task` that are kept; relative, none within another.
    pub outputs: Vec<String>,
    /// What it may reach over the network. The caller has checked that the owner allows it.
    pub egress: Egress,
    /// True where it may run in a container that an element of the same task has left.
    pub warm: bool,
    /// The command is killed after this long.
    pub max_runtime: Millis,
    /// Hard limits.
    pub resources: Resources,
}

/// What holds a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// `name[:tag][@sha256:...]`, to be fetched where it is not here.
    Named(String),
    /// A file on this machine: an archive of an image, or a module. Its digest has been checked.
    Content {
        /// SHA-256 of the file.
        digest: Digest,
        /// Where it lies while the job runs.
        file: PathBuf,
    },
}

impl From<&str> for Image {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<String> for Image {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Content { digest, .. } => digest.fmt(f),
        }
    }
}

/// How the names begin that a job may add to its environment.
const OWN_NAMES: &str = "HIVEMIND_";

impl Job {
    /// The variables that tell a command which attempt it is, each name once. Where the job itself
    /// gives one of them, its value counts; a name that is not ours to set is left out.
    #[must_use]
    pub fn environment(&self) -> Vec<(&str, String)> {
        let element = self.attempt.element;
        let mut environment = vec![
            ("HIVEMIND_TASK", element.task.to_string()),
            ("HIVEMIND_INDEX", element.index.to_string()),
            ("HIVEMIND_ATTEMPT", self.attempt.to_string()),
        ];
        for (name, value) in self.env.iter().filter(|(name, _)| name.starts_with(OWN_NAMES) && !name.contains('=')) {
            match environment.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(value),
                None => environment.push((name, value.clone())),
            }
        }
        environment
    }
}

/// Which stream of a command wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where a running job tells what happens. Called from the job's own task, in order.
pub trait Sink: Send + Sync {
    /// A line for people about the preparation, such as `pulling python:3.12: 41 %`.
    fn note(&self, text: &str);
    /// The command runs now.
    fn started(&self);
    /// The command wrote `data`. The sink bounds what it keeps; it never blocks for long.
    fn output(&self, stream: Stream, data: &[u8]);
    /// The command says by its file that so much is done, 0 to 100.
    fn progress(&self, percent: u8);
    /// What the command has used so far; told every few seconds at most.
    fn usage(&self, usage: Usage);
}

/// What a command has used so far, and holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time so far.
    pub cpu: Millis,
    /// Memory now.
    pub memory: Bytes,
    /// Bytes under `/task` now; zero where that is not known.
    pub disk: Bytes,
    /// Bytes received over the network so far.
    pub received: Bytes,
    /// Bytes sent over the network so far.
    pub sent: Bytes,
}

/// Cancels a job when it is told to; cloned freely.
pub type Stop = tokio_util::sync::CancellationToken;

/// How a running job is steered from outside.
#[derive(Debug, Clone)]
pub struct Control {
    /// Kills it when it fires.
    pub stop: Stop,
    /// While true, everything of the job stands still: it uses no processor, and the time does not count for
    /// its `max_runtime` and its metering. What is being prepared goes on, and is held before its start.
    pub paused: watch::Receiver<bool>,
}

impl Control {
    /// Steers by `stop` alone: never paused.
    #[must_use]
    pub fn stopping(stop: Stop) -> Self {
        Self { stop, paused: watch::channel(false).1 }
    }

    /// True while the job is to stand still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Resolves once the job is to stand still (`true`) or to go on (`false`); never where nobody can say so
    /// any more and it is not so now.
    pub async fn until_paused(&mut self, wanted: bool) {
        if self.paused.wait_for(|paused| *paused == wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What is left of a job that ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub metering: Metering,
    /// The content-addressed id of the image; empty where none was found.
    pub image_id: String,
    /// A tar archive with what was left of what is to be kept, or `None` where nothing was. Where the job
    /// names [`OUTPUT`](hivemind_model::spec::OUTPUT) alone, paths in it are relative to that folder; else
    /// to `/task`.
    /// The caller owns the file.
    pub output: Option<tempfile::NamedTempFile>,
}

/// What a runtime says of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What attempts may use together.
    pub capacity: Resources,
    /// The graphics processor, for people.
    pub gpu_info: String,
}

/// A way to run jobs in isolation.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// One word: `docker`, `fake`.
    fn name(&self) -> &'static str;

    /// The kinds of programs that it runs.
    fn kinds(&self) -> Kinds;

    /// Why jobs cannot be given any network here, with what to do about it; `None` where they can.
    fn no_network(&self) -> Option<String>;

    /// How well it keeps what it runs from this machine.
    fn isolation(&self) -> Isolation;

    /// Runs `job` to its end. Whatever happens to the command, the runtime or this machine is in
    /// the outcome; when this returns, nothing of the job runs any more and its resources are
    /// free. When [`Control::stop`] fires, the job is killed at once, paused or not, and the outcome is
    /// `Cancelled`.
    ///
    /// The archive of outputs is written into `scratch`.
    async fn run(&self, job: Job, sink: Arc<dyn Sink>, control: Control, scratch: &Path) -> Finished;

    /// Removes every container and volume that an earlier process of the same agent left.
    /// Returns how many containers there were.
    ///
    /// # Errors
    /// A sentence for people where the runtime does not answer.
    async fn sweep(&self) -> Result<usize, String>;

    /// One line per check, for `doctor` and for the log at start.
    async fn health(&self) -> Vec<Check>;
}

/// One thing that was looked at, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// What to do where it is not good; else empty.
    pub fix: String,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, with less than everything.
    Weak,
    /// Does not work.
    Bad,
}
