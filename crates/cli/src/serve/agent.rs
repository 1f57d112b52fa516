//! A worker with all that must end with it: its runtime's leftovers and its helper.
//!
//! Start at [`Agent::start`]; [`Agent::stop`] is the orderly end. After a kill the helper
//! (`worker-reaper`) removes what still runs.
//!
//! Invariant: the helper is dismissed only once nothing of the worker runs any more.

use super::failed;
use crate::args::server::{OfferArgs, RuntimeKind};
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::machine;
use hivemind_runtime::Runtime;
use hivemind_runtime::docker::{Reaped, Reaper, spawn_reaper};
use hivemind_worker::{WorkerConfig, WorkerHandle};
use std::path::Path;
use std::sync::Arc;

/// See the module.
pub(super) struct Agent {
    pub(super) worker: WorkerHandle,
    runtime: Arc<dyn Runtime>,
    reaper: Option<Reaper>,
}

impl Agent {
    /// Starts a worker on `runtime`, and its helper where there may be something to remove.
    ///
    /// # Errors
    /// The offer is more than there is, the pool does not take the worker, or no process starts.
    pub(super) async fn start(
        data: &Path,
        args: &OfferArgs,
        join: Option<String>,
        server: Option<String>,
        runtime: Arc<dyn Runtime>,
    ) -> Done<Self> {
        let offer = machine::offer(args, data)?;
        let reaper = match args.runtime {
            RuntimeKind::Fake => None,
            RuntimeKind::Docker => Some(helper(data)?),
        };
        let config = WorkerConfig {
            data: data.to_owned(),
            join,
            server,
            name: args.name.clone(),
            offer,
            runtime: runtime.clone(),
        };
        match hivemind_worker::start(config).await {
            Ok(worker) => Ok(Self { worker, runtime, reaper }),
            Err(error) => {
                // Another worker may live on this folder: what runs there is not ours to remove.
                dismiss(reaper).await;
                Err(failed("the worker cannot start", &error))
            }
        }
    }

    /// Stops what runs, tells the pool, removes what is left.
    ///
    /// # Errors
    /// Something could not be stopped or removed; the helper then tries.
    pub(super) async fn stop(self) -> Done<()> {
        let Self { worker, runtime, reaper } = self;
        worker.stop().await.map_err(|error| failed("the worker did not stop cleanly", &error))?;
        let left = runtime
            .sweep()
            .await
            .map_err(|why| Failure::new(Exit::Failure, "E_RUNTIME", format!("containers may be left: {why}")))?;
        if left > 0 {
            tracing::info!(left, "removed containers that were left");
        }
        dismiss(reaper).await;
        Ok(())
    }
}

fn helper(data: &Path) -> Done<Reaper> {
    let cannot =
        |error: std::io::Error| Failure::io("the helper that cleans up after a kill cannot be started", &error);
    let config = machine::docker_config(data)?;
    let exe = std::env::current_exe().map_err(cannot)?;
    spawn_reaper(&exe, ["worker-reaper", &config.instance]).map_err(cannot)
}

async fn dismiss(reaper: Option<Reaper>) {
    let Some(reaper) = reaper else { return };
    if let Err(error) = reaper.dismiss().await {
        tracing::warn!("the clean-up helper did not end well: {error}");
    }
}

/// What the helper does: waits for the end of its worker, then removes what that left.
///
/// # Errors
/// Docker did not answer for a minute.
pub async fn reap(instance: &str) -> Done {
    match hivemind_runtime::docker::reap(instance, None, tokio::io::stdin()).await {
        Ok(Reaped::Dismissed) => Ok(Exit::Ok),
        Ok(Reaped::Removed(count)) => {
            tracing::warn!(count, "the worker was killed; removed its containers");
            Ok(Exit::Ok)
        }
        Err(why) => Err(Failure::new(Exit::Failure, "E_RUNTIME", why)),
    }
}
