//! Runs one attempt in isolation and tells what it did.
//!
//! Start at [`Runtime`]. [`docker`] runs real containers with the whole profile; [`fake`] is for
//! tests and benchmarks of everything above.
//!
//! Invariant: this crate knows no pool and no money; it knows one machine.

use async_trait::async_trait;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{AttemptRef, Isolation, Resources, units::Millis};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod archive;
pub mod docker;
pub mod fake;
pub mod offer;

/// One attempt, ready to be run.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which attempt; containers and volumes are labelled with it.
    pub attempt: AttemptRef,
    /// `name[:tag][@sha256:...]`.
    pub image: String,
    /// Program and arguments; empty: the image's own command.
    pub command: Vec<String>,
    /// What the command finds in its environment beside what the image and the runtime set there;
    /// only names that begin with `HIVEMIND_` are taken.
    pub env: Vec<(String, String)>,
    /// Input files that lie on this machine, each with its path under `/task`.
    pub files: Vec<(String, PathBuf)>,
    /// The command is killed after this long.
    pub max_runtime: Millis,
    /// Hard limits.
    pub resources: Resources,
}

/// How the names begin that a job may add to its environment.
const OWN_NAMES: &str = "HIVEMIND_";

impl Job {
    /// The variables that tell a command which attempt it is, each name once. Where the job itself
    /// gives one of them, its value counts; a name that is not ours to set is left out.
    pub(crate) fn environment(&self) -> Vec<(&str, String)> {
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
}

/// Cancels a job when it is told to; cloned freely.
pub type Stop = tokio_util::sync::CancellationToken;

/// What is left of a job that ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub metering: Metering,
    /// The content-addressed id of the image; empty where none was found.
    pub image_id: String,
    /// A tar archive with what was left under `/task/output`, or `None` where nothing was.
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

    /// How well it keeps what it runs from this machine.
    fn isolation(&self) -> Isolation;

    /// Runs `job` to its end. Whatever happens to the command, the runtime or this machine is in
    /// the outcome; when this returns, nothing of the job runs any more and its resources are
    /// free. When `stop` fires, the job is killed at once and the outcome is `Cancelled`.
    ///
    /// The archive of outputs is written into `scratch`.
    async fn run(&self, job: Job, sink: Arc<dyn Sink>, stop: Stop, scratch: &Path) -> Finished;

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
