//! The node pool: one durable writer, gRPC services, worker links, liveness, logs and blobs.
//!
//! Start at [`start`], which shows the order in which a pool comes up: lock and store, recovery
//! or founding, operator, writer, liveness, server. `writer` is the heart; `shared` is what every
//! service sees; `link` is one worker; `services` are the faces.
//!
//! Invariant: no rule of scheduling or money lives here; the engine decides, the store remembers.

mod admit;
mod auth;
mod blobs;
mod board;
mod cached;
mod census;
mod clock;
mod collect;
mod compare;
mod disk;
mod entries;
mod figures;
mod files;
mod finish;
mod founding;
mod gate;
mod handout;
mod hub;
mod invitation;
mod lately;
mod link;
mod links;
mod liveness;
mod logs;
mod measure;
mod meters;
mod monitor;
mod probe;
mod scopes;
mod secrets;
mod server;
mod services;
mod sessions;
mod shared;
mod status;
mod still_in;
mod tls;
mod tokens;
mod turns;
mod watching;
mod writer;

pub use admit::Strangers;
pub use auth::Rates;
pub use meters::{InstalledRecorder, Instruments};
pub use probe::Probe;

use crate::server::Reflection;
use crate::shared::Shared;
use crate::writer::WriterFailure;
use anyhow::Context;
use hivemind_model::{Bytes, Millis, Policy};
use hivemind_pki::RotatingCert;
use hivemind_store::SqliteStore;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long open calls may take to end when the pool stops.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How often what machines used is written down.
const SAVE_USAGE: Duration = Duration::from_secs(900);
/// How often the server's certificate is made anew; it lives much longer.
const RENEW_SERVER_CERTIFICATE: Duration = Duration::from_secs(24 * 3600);
/// Connections that have shaken hands and wait for the server.
const READY_CONNECTIONS: usize = 64;
/// How often what broke off long ago is looked for.
const SWEEP_PARTIALS: Duration = Duration::from_secs(3600);
/// Life of the token of [`PoolHandle::operator_join_token`].
const OPERATOR_JOIN_LIFE: Millis = Millis::from_secs(tokens::MAX_JOIN_SECONDS as u64);

/// What a pool is told at its start.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Everything the pool keeps; made at the first start, readable by its user only.
    pub data: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `https://host:port` put into join tokens; `None`: the listening address.
    pub advertise: Option<String>,
    /// Further names in the server's certificate.
    pub names: Vec<String>,
    /// What the operator decides.
    pub policy: Policy,
    /// Whether strangers may read the service descriptions; on loopback they always may.
    pub reflection: bool,
}

/// Bounds that hardly any operator needs to change.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// How often a caller may try to log in or register.
    pub rates: Rates,
    /// What callers without a token may have open.
    pub strangers: Strangers,
    /// Bytes kept of each stream of an attempt.
    pub log_cap: Bytes,
    /// Bytes of disk that uploads and the output of tasks leave free.
    pub disk_reserve: Bytes,
    /// Bytes of disk that are left for ending what is open: below it no task, user, node or transfer is
    /// taken, so that the database can always commit.
    pub command_reserve: Bytes,
    /// How often what nobody needs is looked for.
    pub collect_every: Duration,
    /// What nobody needs is kept for so long nevertheless.
    pub unnamed_for: Duration,
    /// How often the open tasks in the database are compared with those that the scheduler knows, and the balances with
    /// the supply.
    pub check_every: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            strangers: Strangers::default(),
            log_cap: Bytes::from_mib(16),
            disk_reserve: Bytes::from_mib(64),
            command_reserve: Bytes::from_mib(16),
            collect_every: Duration::from_secs(6 * 3600),
            unnamed_for: Duration::from_secs(24 * 3600),
            check_every: Duration::from_secs(30),
        }
    }
}

/// A running pool. Dropping it stops the pool in the background.
pub struct PoolHandle {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    supervisor: Option<JoinHandle<anyhow::Result<()>>>,
}

/// Starts a pool and returns once it accepts calls.
///
/// # Errors
/// The folder is in use by another pool or cannot be written; what is stored breaks an
/// invariant; the address is taken. Each says what to do.
pub async fn start(config: PoolConfig) -> anyhow::Result<PoolHandle> {
    start_with(config, Tuning::default()).await
}

/// As [`start`], with other bounds.
///
/// # Errors
/// As [`start`].
pub async fn start_with(config: PoolConfig, tuning: Tuning) -> anyhow::Result<PoolHandle> {
    hivemind_pki::install_provider();
    config.policy.check().context("the policy is refused")?;
    let lock = founding::lock(&config.data)?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("cannot listen on {}; choose another address, or stop what listens there", config.listen)
    })?;
    let address = listener.local_addr().context("cannot tell the listening address")?;
    let writer_stop = CancellationToken::new();
    let founding::Founded { shared, writer, store, asked, server_names } =
        founding::found(&config, &tuning, address, writer_stop.clone()).await?;
    let certificate = Arc::new(RotatingCert::new(
        shared
            .authority
            .issue_server(&server_names, shared.clock.now())
            .context("cannot issue the server's certificate")?,
    ));
    let tls = hivemind_pki::server_config(&shared.authority, certificate.clone()).context("cannot set up TLS")?;
    let (ready, connections) = mpsc::channel(READY_CONNECTIONS);
    let reflection =
        if config.reflection || config.listen.ip().is_loopback() { Reflection::On } else { Reflection::Off };
    let background = CancellationToken::new();
    tokio::spawn(tls::accept(listener, tls, ready, shared.closing.clone()));
    tokio::spawn(renew(shared.clone(), certificate, server_names, background.clone()));
    tokio::spawn(compare::run(shared.clone(), asked, background.clone()));
    tokio::spawn(watch_liveness(shared.clone(), background.clone()));
    tokio::spawn(keep_usage(shared.clone(), background.clone()));
    tokio::spawn(services::tell_watchers(shared.clone(), background.clone()));
    tokio::spawn(census::count_past(shared.clone(), background.clone()));
    tokio::spawn(census::check(shared.clone(), tuning.check_every, background.clone()));
    let pace = collect::Pace { every: tuning.collect_every, unnamed_for: tuning.unnamed_for };
    tokio::spawn(collect::run(shared.clone(), pace, background.clone()));
    tokio::spawn(sweep_partials(shared.clone(), background.clone()));
    let server = tokio::spawn(server::serve(shared.clone(), connections, reflection, tuning.strangers));
    let stop = CancellationToken::new();
    let parts = Parts { shared: shared.clone(), writer, writer_stop, server, background, store, lock };
    let supervisor = Some(tokio::spawn(supervise(parts, stop.clone())));
    tracing::info!(%address, data = %config.data.display(), "the pool accepts calls");
    Ok(PoolHandle { address, shared, stop, supervisor })
}

impl PoolHandle {
    /// Where it listens.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its authority, to be pinned by clients.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.shared.authority.ca_pem()
    }

    /// What a gateway shows as `x-hivemind-gateway`, so that the address that it tells as `x-hivemind-client` counts where
    /// callers of one address are limited. It is also in `gateway.key` in the data folder.
    #[must_use]
    pub fn gateway_secret(&self) -> &str {
        self.shared.gate.secret()
    }

    /// What tells whether it is ready, and how it does.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe(self.shared.clone())
    }

    /// Measures with `instruments` from now on. The first that are given stay; until then, measuring costs nothing.
    pub fn measure(&self, instruments: impl Instruments) {
        self.shared.live.figures.meters.begin(Box::new(instruments));
    }

    /// A one-time token with which a machine joins as the operator's, for 15 minutes.
    ///
    /// # Errors
    /// The store cannot be read; the token cannot be signed.
    pub async fn operator_join_token(&self) -> anyhow::Result<String> {
        let operator =
            self.shared.store.user_by_name(founding::OPERATOR).await.context("cannot read the operator's account")?;
        let operator = operator.context("the pool has no operator; restore its store from a backup")?;
        let shared = &self.shared;
        let issued =
            shared.tokens.issue_join(operator.id, OPERATOR_JOIN_LIFE, &shared.server_url, &shared.authority.ca_hash());
        Ok(issued.context("cannot sign a join token")?.token)
    }

    /// Waits until the pool has failed or was shut down.
    ///
    /// # Errors
    /// Why it failed, and what to do.
    pub async fn stopped(&mut self) -> anyhow::Result<()> {
        let Some(supervisor) = &mut self.supervisor else { return Ok(()) };
        let ended = supervisor.await;
        self.supervisor = None;
        ended.context("the pool's supervisor ended abnormally, which is a bug")?
    }

    /// Stops accepting, makes durable what was taken, closes the store.
    ///
    /// # Errors
    /// What failed on the way; nothing acknowledged is lost even then.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.stopped().await
    }
}

impl Drop for PoolHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Parts {
    shared: Arc<Shared>,
    writer: JoinHandle<Result<(), WriterFailure>>,
    writer_stop: CancellationToken,
    server: JoinHandle<anyhow::Result<()>>,
    background: CancellationToken,
    store: Arc<SqliteStore>,
    lock: File,
}

/// Waits for the end, whichever part brings it, and takes the parts down in order.
async fn supervise(mut parts: Parts, stop: CancellationToken) -> anyhow::Result<()> {
    let mut written = None;
    let mut served = None;
    tokio::select! {
        () = stop.cancelled() => {}
        ended = &mut parts.writer => written = Some(ended),
        ended = &mut parts.server => served = Some(ended),
    }
    parts.shared.closing.cancel();
    parts.background.cancel();
    if served.is_none() {
        served = tokio::time::timeout(LAST_CALLS, &mut parts.server).await.ok();
        // Calls that do not end are cut; what they have not been told was perhaps done.
        parts.server.abort();
    }
    parts.writer_stop.cancel();
    let written = match written {
        Some(ended) => ended,
        None => parts.writer.await,
    };
    let outcome = outcome(written, served, stop.is_cancelled());
    if let Err(failure) = &outcome {
        tracing::error!(error = format!("{failure:#}"), "the pool failed");
    }
    save_usage(&parts.shared).await;
    let closed = parts.store.close().await.context("cannot close the store");
    drop(parts.lock);
    outcome.and(closed)
}

type Ended<E> = Result<Result<(), E>, tokio::task::JoinError>;

fn outcome(written: Ended<WriterFailure>, served: Option<Ended<anyhow::Error>>, asked: bool) -> anyhow::Result<()> {
    match written {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => return Err(failure.into()),
        Err(_) => return Err(WriterFailure::Panicked { part: "the engine" }.into()),
    }
    match served {
        Some(Ok(Err(error))) => Err(error).context("the server failed"),
        Some(Err(error)) => Err(error).context("the server panicked, which is a bug"),
        Some(Ok(Ok(()))) if !asked => anyhow::bail!("the server ended by itself, which is a bug"),
        Some(Ok(Ok(()))) | None => Ok(()),
    }
}

async fn watch_liveness(shared: Arc<Shared>, stop: CancellationToken) {
    shared.liveness.check(&shared.writer, &shared.live, stop).await;
}

/// Writes down now and then what machines used, so that charts survive a crash but for their end.
async fn keep_usage(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SAVE_USAGE) => save_usage(&shared).await,
        }
    }
}

async fn save_usage(shared: &Arc<Shared>) {
    let monitor = shared.monitor.clone();
    if let Err(error) = blobs::blocking(move || monitor.save()).await {
        tracing::warn!(%error, "what machines used could not be written down; charts may begin anew after a restart");
    }
}

/// Removes uploads that broke off long ago.
async fn sweep_partials(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_PARTIALS) => {}
        }
        if let Err(error) = shared.blobs.sweep_partials(std::time::SystemTime::now()).await {
            tracing::error!(%error, "uploads that broke off cannot be removed; it is tried again in an hour");
        }
    }
}

/// Gives the server a fresh certificate every day.
async fn renew(shared: Arc<Shared>, certificate: Arc<RotatingCert>, names: Vec<String>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RENEW_SERVER_CERTIFICATE) => {}
        }
        match shared.authority.issue_server(&names, shared.clock.now()) {
            Ok(fresh) => certificate.replace(fresh),
            Err(error) => {
                tracing::error!(%error, "the server's certificate could not be renewed; it is tried again in a day")
            }
        }
    }
}
