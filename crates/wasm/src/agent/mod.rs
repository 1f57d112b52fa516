//! The agent's side: [`WasmRuntime`].
//!
//! Invariant: every byte that a helper says is checked before it is used.

use async_trait::async_trait;
use cache::Cache;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::Bytes;
use hivemind_model::{Isolation, Kinds};
use hivemind_runtime::{Check, Control, Finished, Job, Runtime, Sink};
use nest::{Launcher, Nest};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod attempt;
mod cache;
mod collect;
mod compile;
mod follow;
mod frames;
mod health;
mod meter;
mod nest;

/// Where things are and how much is kept.
#[derive(Debug, Clone)]
pub struct WasmConfig {
    /// A folder of this agent alone; it is made, and closed to everybody else.
    pub state: PathBuf,
    /// The program that begins with [`helper_main`](crate::helper_main); `None`: this one.
    pub program: Option<PathBuf>,
    /// What stands before the helper's own arguments.
    pub words: Vec<OsString>,
    /// Folders of control groups in which modules are compiled and run, such as one below the owner's share in each hierarchy
    /// of the kernel's. Their parents are there already.
    pub groups: Vec<PathBuf>,
    /// Most bytes of compiled code that are kept.
    pub cache: Bytes,
    /// Helpers that are kept ready while modules come.
    pub spare: usize,
    /// For how long they are kept after the last module.
    pub keep: Duration,
}

impl WasmConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            program: None,
            words: vec![crate::HELPER_WORD.into()],
            groups: Vec::new(),
            cache: Bytes::from_gib(1),
            spare: 1,
            keep: Duration::from_secs(60),
        }
    }
}

/// Runs each module in a process of its own.
///
/// When [`Runtime::run`] returns, the module runs no further instruction; what the kernel kept of its process
/// is gone some milliseconds later, bounded in number, and [`WasmRuntime::settled`] waits for it.
///
/// Where nobody sends modules it is only a thread that waits.
#[derive(Debug, Clone)]
pub struct WasmRuntime {
    inner: Arc<Inner>,
}

/// What all jobs share.
#[derive(Debug)]
struct Inner {
    state: PathBuf,
    nest: Nest,
    cache: Cache,
    /// Modules are compiled one at a time, small ones beside large ones: what that may take is not any task's share.
    compiling: tokio::sync::Semaphore,
    compiling_small: tokio::sync::Semaphore,
    /// Ended helpers that the kernel has not taken away yet hold one each.
    leaving: Arc<tokio::sync::Semaphore>,
}

/// Most ended helpers that the kernel has not taken away yet.
const MOST_LEAVING: u32 = 32;

impl WasmRuntime {
    /// Makes the folder and reads what code is kept there. No helper is started yet.
    ///
    /// # Errors
    /// A sentence for people where the folder cannot be used.
    pub fn open(config: WasmConfig) -> Result<Self, String> {
        let state = config.state;
        let cannot = |error: std::io::Error| {
            format!("the folder {} for WebAssembly modules cannot be used: {error}", state.display())
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&state).map_err(cannot)?;
        // It may have been there before, open to others.
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).map_err(cannot)?;
        let cache = Cache::open(&state.join("code"), config.cache.0).map_err(cannot)?;
        let program = config.program.unwrap_or_else(|| "/proc/self/exe".into());
        let launcher = Launcher { program, words: config.words, groups: config.groups };
        let nest = Nest::new(launcher, config.spare, config.keep).map_err(cannot)?;
        let (compiling, compiling_small) = (tokio::sync::Semaphore::new(1), tokio::sync::Semaphore::new(1));
        let leaving = Arc::new(tokio::sync::Semaphore::new(MOST_LEAVING as usize));
        Ok(Self { inner: Arc::new(Inner { state, nest, cache, compiling, compiling_small, leaving }) })
    }

    /// Waits until the kernel has taken away every helper that ended so far.
    pub async fn settled(&self) {
        // Nobody closes it.
        drop(self.inner.leaving.acquire_many(MOST_LEAVING).await);
    }

    /// How many helpers wait for a job at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.nest.waiting()
    }
}

/// What is left of a job that has not begun.
fn not_begun(outcome: Outcome, image_id: String) -> Finished {
    Finished { outcome, metering: Metering::default(), image_id, output: None }
}

#[async_trait]
impl Runtime for WasmRuntime {
    fn name(&self) -> &'static str {
        "wasm"
    }

    fn kinds(&self) -> Kinds {
        Kinds::WASM
    }

    fn no_network(&self) -> Option<String> {
        Some("WebAssembly modules have no network; run what needs one as a container".into())
    }

    fn isolation(&self) -> Isolation {
        Isolation::Sandboxed
    }

    async fn run(&self, job: Job, sink: Arc<dyn Sink>, control: Control, scratch: &Path) -> Finished {
        // On its own task, so that a caller who drops this future still gets a helper that is ended: the
        // guard fires the stop.
        let own = Control { stop: control.stop.child_token(), paused: control.paused };
        let _guard = own.stop.clone().drop_guard();
        let task = tokio::spawn(attempt::attempt(self.inner.clone(), job, sink, own, scratch.to_owned()));
        task.await.unwrap_or_else(|error| {
            not_begun(Outcome::Infrastructure { reason: format!("the runtime failed: {error}") }, String::new())
        })
    }

    /// Nothing that runs outlives its agent, and what it writes has no name; only half-made code is left. Helpers that wait for a
    /// job end, too, as the groups that they are in may be removed next.
    async fn sweep(&self) -> Result<usize, String> {
        self.inner.nest.empty().await;
        self.settled().await;
        // What is being compiled by this process is its own.
        let (Ok(_large), Ok(_small)) = (self.inner.compiling.try_acquire(), self.inner.compiling_small.try_acquire())
        else {
            return Ok(0);
        };
        self.inner
            .cache
            .sweep()
            .map_err(|error| format!("half-made code in {} cannot be removed: {error}", self.inner.state.display()))?;
        Ok(0)
    }

    async fn health(&self) -> Vec<Check> {
        health::checks(&self.inner).await
    }
}
