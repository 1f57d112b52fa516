//! A worker with all that must end with it: its runtime's leftovers and its helper.
//!
//! Start at [`Agent::start`]; [`Agent::stop`] is the orderly end. After a kill the helper
//! (`worker-reaper`) removes what still runs, and while the worker stands still it removes what has
//! lost its lease.
//!
//! Invariant: the helper is dismissed only once nothing of the worker runs any more.

use super::failed;
use super::page;
use super::selftest;
use super::systemd::Systemd;
use crate::args::ReaperArgs;
use crate::args::server::{OfferArgs, PageWish, RuntimeKind};
use crate::exit::Exit;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::machine;
use crate::runtimes::{self, Chosen, Containers};
use hivemind_model::node::Labels;
use hivemind_oci::OciLeftovers;
use hivemind_owner::Preferences;
use hivemind_runtime::Runtime;
use hivemind_runtime::docker::DockerLeftovers;
use hivemind_runtime::reaper::{LeasePen, Leftovers, Reaped, Reaper, spawn_reaper};
use hivemind_worker::page::Page;
use hivemind_worker::{HeldShare, Status, WorkerConfig, WorkerHandle};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long the removal of what is left may take at the end.
const SWEEP_PATIENCE: Duration = Duration::from_secs(10);

/// What a worker is started with.
pub(super) struct Prepared {
    chosen: Chosen,
    owner: Preferences,
    share: Option<HeldShare>,
}

/// See the module.
pub(super) struct Agent {
    pub(super) worker: WorkerHandle,
    runtime: Arc<dyn Runtime>,
    reaper: Option<Reaper>,
    systemd: Systemd,
    share: Option<HeldShare>,
    page: Option<Page>,
}

impl Agent {
    /// What will run tasks here, once its promises have been seen to hold.
    ///
    /// # Errors
    /// Nothing can run tasks here, or what would run them does not keep them in.
    pub(super) async fn prepare(data: &Path, args: &OfferArgs) -> Done<Prepared> {
        let owner = hivemind_worker::owner_preferences(data)
            .map_err(|error| failed("the owner's preferences cannot be used", &error))?;
        if args.runtime == RuntimeKind::Fake {
            let chosen = runtimes::choose(args.runtime, data, &owner, None).await?;
            return Ok(Prepared { chosen, owner, share: None });
        }
        let instance = machine::docker_config(data)?.instance;
        let share = HeldShare::make(Path::new("/"), &instance, &owner.shares);
        let chosen = match runtimes::choose(args.runtime, data, &owner, Some(&share)).await {
            Ok(chosen) => chosen,
            Err(failure) => {
                remove(Some(&share));
                return Err(failure);
            }
        };
        selftest::hold(&*chosen.runtime, data, args.selftest).await?;
        Ok(Prepared { chosen, owner, share: Some(share) })
    }

    /// Starts a worker on what was prepared, and its helper where there may be something to remove.
    ///
    /// # Errors
    /// The offer is more than there is, the pool does not take the worker, or no process starts.
    pub(super) async fn start(
        data: &Path,
        args: &OfferArgs,
        join: Option<String>,
        server: Option<String>,
        prepared: Prepared,
    ) -> Done<Self> {
        let Prepared { chosen: Chosen { runtime, containers }, owner, share } = prepared;
        let offer = machine::offer(args, data)?;
        let reaper = helper(data, containers, share.as_ref().and_then(HeldShare::name))?;
        let labels = Labels::try_from(args.label.clone()).map_err(|bad| Failure::usage(format!("--label: {bad}")))?;
        let config = WorkerConfig {
            data: data.to_owned(),
            join,
            server,
            name: args.name.clone(),
            offer,
            labels,
            egress: owner.network.egress.clone(),
            machine: "/".into(),
            runtime: runtime.clone(),
            share: share.clone(),
        };
        match hivemind_worker::start(config).await {
            Ok(worker) => {
                if let Some(reaper) = &reaper {
                    tokio::spawn(tell_leases(worker.watch(), reaper.pen()));
                }
                let systemd = Systemd::listens();
                Ok(Self { worker, runtime, reaper, systemd, share, page: None })
            }
            Err(error) => {
                // Another worker may live on this folder: what runs there is not ours to remove.
                dismiss(reaper).await;
                Err(failed("the worker cannot start", &error))
            }
        }
    }

    /// Serves the page for this machine's owner, where it is wanted.
    ///
    /// # Errors
    /// See [`page::open`].
    pub(super) async fn open_page(
        &mut self,
        data: &Path,
        kind: RuntimeKind,
        web: &PageWish,
        face: &mut Face,
    ) -> Done<()> {
        self.page = page::open(&self.worker, data, kind, web, face).await?;
        Ok(())
    }

    /// Where the page is; `None` where it is off.
    pub(super) fn page_url(&self) -> Option<String> {
        self.page.as_ref().map(Page::url)
    }

    /// The ready line is out: tells systemd, and from now on what the worker does.
    pub(super) fn is_ready(&self) {
        self.systemd.ready(self.worker.watch());
    }

    /// Stops what runs, tells the pool, removes what is left.
    ///
    /// # Errors
    /// Something could not be stopped or removed; the helper then tries.
    pub(super) async fn stop(self) -> Done<()> {
        let Self { worker, runtime, reaper, systemd, share, page } = self;
        systemd.stopping();
        if let Some(page) = page {
            page.stop().await;
        }
        let status = worker.watch();
        worker.stop().await.map_err(|error| failed("the worker did not stop cleanly", &error))?;
        let fault = |what: String| Failure::new(Exit::Failure, "E_RUNTIME", what);
        let late = || fault("not everything could be stopped in time; a helper process goes on with it".into());
        // From here on a return without the dismissal leaves the rest to the helper.
        if status.borrow().jobs > 0 {
            return Err(late());
        }
        let swept = tokio::time::timeout(SWEEP_PATIENCE, runtime.sweep()).await.map_err(|_| late())?;
        let left = swept.map_err(|why| fault(format!("containers may be left: {why}")))?;
        if left > 0 {
            tracing::info!(left, "removed containers that were left");
        }
        remove(share.as_ref());
        dismiss(reaper).await;
        Ok(())
    }
}

/// Takes away the control group of all tasks, in which nothing runs any more.
fn remove(share: Option<&HeldShare>) {
    if let Some(Err(why)) = share.map(HeldShare::remove) {
        tracing::warn!("the control group of the tasks stays: {why}");
    }
}

/// The process that looks after containers when the worker cannot; `None` where there are none.
fn helper(data: &Path, containers: Containers, group: Option<&str>) -> Done<Option<Reaper>> {
    let cannot =
        |error: std::io::Error| Failure::io("the helper that cleans up after a kill cannot be started", &error);
    let config = machine::docker_config(data)?;
    let exe = std::env::current_exe().map_err(cannot)?;
    let mut words: Vec<OsString> = vec!["worker-reaper".into(), config.instance.into()];
    match containers {
        Containers::None => return Ok(None),
        Containers::Docker => {
            words.extend(["--docker".into(), std::path::absolute(&config.state).map_err(cannot)?.into()]);
        }
        Containers::Builtin => {
            let state = std::path::absolute(runtimes::oci_folder(data)).map_err(cannot)?;
            words.extend(["--oci".into(), state.into(), "--group".into(), group.unwrap_or_default().into()]);
        }
    }
    spawn_reaper(&exe, words).map(Some).map_err(cannot)
}

/// Tells the helper of every lease, for as long as the worker lives.
async fn tell_leases(mut status: watch::Receiver<Status>, pen: LeasePen) {
    let mut is_heard = true;
    while status.changed().await.is_ok() {
        let Some(span) = status.borrow_and_update().reap_after() else { continue };
        let told = pen.lease(span);
        if let Err(error) = &told
            && is_heard
        {
            tracing::warn!("the clean-up helper does not listen: {error}");
        }
        is_heard = told.is_ok();
    }
}

async fn dismiss(reaper: Option<Reaper>) {
    let Some(reaper) = reaper else { return };
    if let Err(error) = reaper.dismiss().await {
        tracing::warn!("the clean-up helper did not end well: {error}");
    }
}

/// What the helper does: waits for the end of its worker, or of its lease, and removes what is left.
///
/// # Errors
/// What runs containers did not answer for ten minutes.
pub async fn reap(args: &ReaperArgs) -> Done {
    let failed = |why: String| Failure::new(Exit::Failure, "E_RUNTIME", why);
    let mut all: Vec<Box<dyn Leftovers>> = Vec::new();
    if let Some(state) = &args.docker {
        all.push(Box::new(DockerLeftovers::new(&args.instance, state, None).map_err(failed)?));
    }
    if let Some(state) = &args.oci {
        let group = args.group.as_deref().unwrap_or(Path::new(""));
        all.push(Box::new(OciLeftovers::new(&args.instance, group, state).map_err(failed)?));
    }
    match hivemind_runtime::reaper::reap(&all, tokio::io::stdin()).await {
        Ok(Reaped::Dismissed) => Ok(Exit::Ok),
        Ok(Reaped::Removed(count)) => {
            tracing::warn!(count, "the worker was killed; removed its containers");
            Ok(Exit::Ok)
        }
        Err(why) => Err(failed(why)),
    }
}
