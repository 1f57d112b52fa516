//! Agent that runs tasks on one machine.
//!
//! A worker belongs to one pool. It opens a link to it, takes attempts, fetches their inputs,
//! runs them in a [`hivemind_runtime::Runtime`], sends what they write while they write it, and
//! keeps every result on disk until the pool has acknowledged it. Start at [`start`]; the rules
//! are in `agent`, a pure state machine, and `shell` carries out what it decides.
//!
//! ```text
//! link ──► run ──► agent ──► shell ──► job (cache, runtime, capture)
//!  ▲                          │ ├────► spool, outputs: what waits for the pool
//!  └───────── outbox ◄────────┘ └────► transfer: contents from and to the pool
//! ```
//!
//! Invariant: nothing that the pool handed out runs after its lease, and no result is forgotten
//! before the pool has acknowledged or refused it.

use anyhow::{Context, anyhow};
use hivemind_model::command::NodeOffer;
use hivemind_model::{EgressPolicy, Labels, NodeId};
use hivemind_owner::Preferences;
use hivemind_runtime::{Offer, Runtime};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

mod agent;
mod attempt_usage;
mod cache;
mod capture;
pub mod control;
mod diary;
mod enroll;
mod event;
mod folders;
mod incoming;
mod job;
mod leftovers;
mod link;
mod measuring;
mod membership;
mod outbox;
mod owner;
pub mod page;
mod progress;
mod pulse;
mod renewal;
mod run;
mod share;
mod shell;
mod socket;
mod spool;
mod status;
mod transfer;
mod usage;

pub use share::HeldShare;
pub use status::{Running, Status};

/// How to run a worker.
#[derive(Clone)]
pub struct WorkerConfig {
    /// The worker's files go into `data`/worker.
    pub data: PathBuf,
    /// A one-time join token, needed where `data` holds no membership (or one that has ended).
    pub join: Option<String>,
    /// `https://host:port` of the pool, in place of the token's or the remembered one.
    pub server: Option<String>,
    /// The machine's name in the pool; `None`: its host name.
    pub name: Option<String>,
    /// What attempts may use together.
    pub offer: Offer,
    /// What the owner says of this machine; tasks can ask for it.
    pub labels: Labels,
    /// What the owner lets tasks reach over the network; `None`: what their preferences say.
    pub egress: EgressPolicy,
    /// Runs them.
    pub runtime: Arc<dyn Runtime>,
    /// Below which folder the files of the machine's kernel lie that tell whether its owner needs it: `/` but in tests.
    pub machine: PathBuf,
    /// The part of the machine that everything on `runtime` has together. What is offered is no more than it, and the
    /// owner's preferences change it. `None` where the runtime uses nothing real.
    pub share: Option<HeldShare>,
}

/// What the owner of the worker in the data folder `data` prefers, made with the defaults where they have said nothing yet.
/// For what has to be known before a runtime is made; a worker on that folder reads it again. It blocks for a moment.
///
/// # Errors
/// A sentence for people: the file cannot be understood, or the disk refuses.
pub fn owner_preferences(data: &Path) -> anyhow::Result<Preferences> {
    let (root, scratch) = folders::prepare(data)?;
    owner::preferences(&root, &scratch).context("the owner's preferences do not work")
}

impl WorkerConfig {
    /// What the pool is told of this machine, by the `name` that it has there.
    fn node_offer(&self, name: &str) -> NodeOffer {
        NodeOffer {
            name: name.to_owned(),
            capacity: self.offer.capacity,
            gpu_info: self.offer.gpu_info.clone(),
            labels: self.labels.clone(),
            isolation: self.runtime.isolation(),
            kinds: self.runtime.kinds(),
            egress: if self.runtime.no_network().is_some() { EgressPolicy::None } else { self.egress.clone() },
        }
    }
}

/// A running worker. Dropping it is like killing its process: jobs are cut off, nothing is
/// reported, and what is on disk is found by the next start.
#[derive(Debug)]
pub struct WorkerHandle {
    node: NodeId,
    name: String,
    status: watch::Receiver<Status>,
    orders: mpsc::Sender<run::Order>,
    insides: Arc<page::Insides>,
    end: Option<JoinHandle<anyhow::Result<()>>>,
}

/// Starts a worker; enrols the machine first where it has no membership.
///
/// Returns once everything on this machine is ready; the link may still be opening
/// ([`WorkerHandle::linked`]).
///
/// # Errors
/// A sentence for people, with what to do: another worker has the folder, there is no membership
/// and no usable token, the pool refused the token, the runtime does not answer, or the disk
/// does not work.
pub async fn start(mut config: WorkerConfig) -> anyhow::Result<WorkerHandle> {
    hivemind_pki::install_provider();
    let (folders, lock) = folders::Folders::lock(&config.data)?;
    let folders = Arc::new(folders);
    let membership = Arc::new(enroll::membership(&config, &folders).await?);
    let swept = config
        .runtime
        .sweep()
        .await
        .map_err(|why| anyhow!("the {} runtime does not work: {why}", config.runtime.name()))?;
    if swept > 0 {
        tracing::info!("removed {swept} containers that an earlier worker left");
    }
    let (signals, signals_in) = mpsc::unbounded_channel();
    let (spool, ended) = spool::Spool::open(&folders.root.join("spool.redb"), signals.clone())?;
    folders
        .sweep(&ended.iter().map(|(attempt, _)| *attempt).collect::<BTreeSet<_>>())
        .context("cannot remove what an earlier worker left")?;
    let captures = ended.into_iter().map(|(attempt, report)| leftovers::recheck(&folders, attempt, report));
    let captures: Vec<_> = captures.collect::<Result<_, _>>().context("cannot read what an earlier worker left")?;
    if !captures.is_empty() {
        tracing::info!("{} results of an earlier worker wait for the pool", captures.len());
    }
    let usual = config.offer.capacity.disk;
    let cache = cache::InputCache::open(&folders.cache, usual, cache::FIRST_WAIT);
    let cache = Arc::new(cache.context("cannot read the cache of inputs")?);
    let limits = owner::limits::Limits { share: config.share.clone(), cache: Arc::clone(&cache), usual };
    let owner = owner::Owner::begin(&config.machine, &folders.root, &folders.scratch, limits)
        .await
        .context("the owner's preferences do not work")?;
    if let Some(share) = &config.share {
        config.offer.capacity = share.capped(config.offer.capacity, &owner.preferences().shares);
    }
    let counted = Arc::clone(&cache);
    let tools = job::Tools {
        node: membership.pool.name.as_str().into(),
        runtime: Arc::clone(&config.runtime),
        cache,
        transfer: Arc::new(transfer::Transfer::new(Arc::clone(&membership))),
        folders: Arc::clone(&folders),
        share: config.share.clone(),
    };
    let mut offer = config.node_offer(&membership.pool.name);
    if offer.egress == EgressPolicy::None && config.runtime.no_network().is_none() {
        offer.egress = owner.preferences().network.egress.clone();
    }
    let (listener, socket) = socket::bind(&folders.root)
        .with_context(|| format!("cannot make the control socket in {}", folders.root.display()))?;
    let machine = event::Machine { capacity: config.offer.capacity };
    let monitor = usage::Monitor::default();
    let diary = Arc::new(diary::Diary::default());
    let (status, status_out) = watch::channel(Status::default());
    let parts = shell::Parts {
        agent: agent::Agent::new(
            machine,
            captures.iter().map(|(attempt, _, report)| (*attempt, Arc::clone(report))).collect(),
        ),
        tools,
        offer: hivemind_proto::convert::wire_offer(&offer, config.runtime.name(), env!("CARGO_PKG_VERSION")),
        monitor: monitor.clone(),
        diary: Arc::clone(&diary),
        renewal: Some(renewal::Renewal::new(Arc::clone(&membership))?),
        captures,
        signals,
        status,
        spool,
        socket: Some(socket),
        lock: Some(lock),
    };
    let (node, name) = (membership.pool.node_id, membership.pool.name.clone());
    let mut shell = shell::Shell::new(parts);
    shell.tell(event::Event::OwnerDecides { orders: owner.first_orders() });
    shell.spawn(monitor.watch(&config.machine, folders.root.clone()));
    let (orders, orders_in) = mpsc::channel(8);
    let (asked, asked_in) = mpsc::channel(8);
    let page_url = Arc::new(OnceLock::new());
    let wires = owner::Wires {
        node: name.clone(),
        orders: orders.clone(),
        asked: asked_in,
        status: status_out.clone(),
        page: Arc::clone(&page_url),
    };
    shell.spawn(owner.run(wires));
    shell.spawn(control::serve(listener, asked.clone()));
    let insides = Arc::new(page::Insides {
        node: name.clone(),
        asked,
        status: status_out.clone(),
        monitor,
        diary,
        cache: counted,
        membership: Arc::clone(&membership),
        runtime: config.runtime,
        folder: folders.root.clone(),
        url: page_url,
    });
    let (link_out, link_in) = mpsc::channel(link::INCOMING);
    shell.spawn(link::keep(membership, link_out));
    let end = tokio::spawn(run::run(shell, run::Ears { link: link_in, signals: signals_in, orders: orders_in }));
    Ok(WorkerHandle { node, name, status: status_out, orders, insides, end: Some(end) })
}

impl WorkerHandle {
    /// This machine's id in the pool.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// This machine's name in the pool.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Follows how things stand.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Resolves once the pool has welcomed this worker, or the worker has ended.
    pub async fn linked(&self) {
        self.until(|status| status.welcomes > 0).await;
    }

    /// Resolves once `wanted` holds, or the worker has ended.
    pub async fn until(&self, wanted: impl FnMut(&Status) -> bool) {
        // An error says that the worker has ended, which is one of the two.
        let _ended = self.status.clone().wait_for(wanted).await.is_err();
    }

    /// Serves the owner's page, with figures for operators' tools, until the page is stopped or dropped. What it shows is of
    /// this worker; the page outlives it only to say that it has ended.
    ///
    /// # Errors
    /// [`page::PageError`]: the address is taken or open to others, or the disk does not keep what opens the page.
    pub async fn serve_page(&self, options: page::PageOptions) -> Result<page::Page, page::PageError> {
        page::start(Arc::clone(&self.insides), options).await
    }

    /// Asks the pool for no more work; what runs goes on. It is asked again on every new link.
    pub async fn drain(&self) {
        self.order(run::Order::Drain).await;
    }

    /// Ends the worker: what runs is stopped and reported as no fault of its own, results are
    /// delivered as far as the pool takes them within 5 s, and the rest waits on disk.
    ///
    /// # Errors
    /// Where the worker had failed before.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.order(run::Order::Stop).await;
        self.stopped().await
    }

    /// Resolves when the worker has ended; at once where it has been asked before.
    ///
    /// # Errors
    /// Why it ended by itself: the pool does not take this node, or a bug.
    pub async fn stopped(&mut self) -> anyhow::Result<()> {
        let Some(end) = &mut self.end else { return Ok(()) };
        let result = end.await;
        self.end = None;
        result.context("the worker failed")?
    }

    async fn order(&self, order: run::Order) {
        // A worker that has ended needs no orders.
        let _ended = self.orders.send(order).await.is_err();
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        if let Some(end) = &self.end {
            end.abort();
        }
    }
}
