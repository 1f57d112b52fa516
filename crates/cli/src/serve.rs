//! `up`, `pool` and `worker`: the servers.
//!
//! Start at [`up`]. Each prints one ready line on standard output once it serves, and ends
//! gracefully on Ctrl-C or SIGTERM.
//!
//! Invariant: standard output carries the ready line and nothing else.

use crate::args::server::{ListenArgs, PageWish};
use crate::args::{Global, PoolArgs, UpArgs, WorkerArgs};
use crate::exit::Exit;
use crate::face::{Channel, Face, Mode};
use crate::failure::{Done, Failure};
use crate::secret;
use crate::signals::Interrupts;
use hivemind_master::Running;
use hivemind_model::Policy;
use hivemind_model::economy::{Economy, Mode as EconomyMode};
use hivemind_pool::{PoolConfig, PoolHandle};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod agent;
pub(crate) mod lean;
mod page;
mod policy;
pub mod selftest;
mod systemd;
pub mod web;

use agent::Agent;
pub use agent::reap;

/// How long `up` waits for its own worker before it says that it serves without.
const LINK_WAIT: Duration = Duration::from_secs(30);

/// A pool and a worker in one process.
///
/// # Errors
/// The data folder cannot be used, the address is taken, or one of the two fails.
pub async fn up(global: &Global, face: &mut Face, args: &UpArgs) -> Done {
    let mut interrupts = Interrupts::listen()?;
    let place = Place::of(global, &args.listen)?;
    let mut pool = place.start_pool(&args.listen).await?;
    let pages = match web::beside(&args.web, &pool, Next::User, face).await {
        Ok(pages) => pages,
        Err(failure) => {
            // What the pages lack is what the user is told, whatever the pool says at its end.
            let _stopped = pool.shutdown().await;
            return Err(failure);
        }
    };
    let result = match own_worker(&place.data, args, &pool, face, &mut interrupts).await {
        Ok(Started::Worker(mut agent)) => {
            let ended = serve_both(&place, &mut pool, &mut agent, pages.as_ref(), face, &mut interrupts).await;
            // What the worker reports at its end must still reach the pool.
            let stopped = agent.stop().await;
            ended.and(stopped)
        }
        Ok(Started::None) => serve_pool(&place, &mut pool, pages.as_ref(), face, &mut interrupts, Next::User).await,
        Ok(Started::Interrupted) => Ok(()),
        Err(failure) => Err(failure),
    };
    web::stop(pages).await;
    let stopped = pool.shutdown().await.map_err(|error| failed("the pool did not stop cleanly", &error));
    result.and(stopped).map(|()| Exit::Ok)
}

enum Started {
    Worker(Box<Agent>),
    None,
    Interrupted,
}

/// Starts the worker of `up`, where this machine can run tasks.
async fn own_worker(
    data: &Path,
    args: &UpArgs,
    pool: &PoolHandle,
    face: &mut Face,
    interrupts: &mut Interrupts,
) -> Done<Started> {
    let started = tokio::select! {
        biased;
        () = interrupts.next() => return Ok(Started::Interrupted),
        started = start_own_worker(data, args, pool, face) => started?,
    };
    let Some(agent) = started else { return Ok(Started::None) };
    tokio::select! {
        () = agent.worker.linked() => {}
        () = tokio::time::sleep(LINK_WAIT) => face.warn("the worker has not linked to the pool yet; it goes on trying, and tasks wait until then"),
        () = interrupts.next() => {
            agent.stop().await?;
            return Ok(Started::Interrupted);
        }
    }
    Ok(Started::Worker(Box::new(agent)))
}

/// `None` where this machine cannot run tasks, or does not keep them in; that is told.
async fn start_own_worker(data: &Path, args: &UpArgs, pool: &PoolHandle, face: &mut Face) -> Done<Option<Agent>> {
    let chosen = match Agent::prepare(data, &args.offer).await {
        Ok(chosen) => chosen,
        Err(failure) => {
            face.warn(&format!("the pool runs, but this machine takes no tasks: {}. {}", failure.what, failure.fix));
            return Ok(None);
        }
    };
    let token = pool
        .operator_join_token()
        .await
        .map_err(|error| failed("the pool gave its own worker no join token", &error))?;
    let server = format!("https://{}", reachable(pool));
    let mut agent = Agent::start(data, &args.offer, Some(token), Some(server), chosen).await?;
    match agent.open_page(data, args.offer.runtime, &PageWish::from(&args.page), face).await {
        Ok(()) => Ok(Some(agent)),
        Err(failure) => {
            agent.stop().await?;
            Err(failure)
        }
    }
}

async fn serve_both(
    place: &Place,
    pool: &mut PoolHandle,
    agent: &mut Agent,
    pages: Option<&Running>,
    face: &mut Face,
    interrupts: &mut Interrupts,
) -> Done<()> {
    tell_guard(place, face);
    let web = pages.map(Running::url);
    let facts =
        json!({"grpc": pool_url(pool), "node": agent.worker.name(), "web": web, "worker_web": agent.page_url()});
    ready(face, &pool_line(pool, pages), &facts)?;
    agent.is_ready();
    next_steps(place, pool, pages, face, Next::User);
    tokio::select! {
        ended = pool.stopped() => Err(ended.map_or_else(|error| failed("the pool failed", &error), |()| ended_early("pool"))),
        ended = agent.worker.stopped() => Err(ended.map_or_else(|error| failed("the worker failed", &error), |()| ended_early("worker"))),
        () = interrupts.next() => Ok(()),
    }
}

/// A pool alone.
///
/// # Errors
/// The data folder cannot be used, the address is taken, or the pool fails.
pub async fn pool(global: &Global, face: &mut Face, args: &PoolArgs) -> Done {
    let mut interrupts = Interrupts::listen()?;
    let place = Place::of(global, &args.listen)?;
    let mut pool = place.start_pool(&args.listen).await?;
    let served = match web::beside(&args.web, &pool, Next::Worker, face).await {
        Ok(pages) => {
            let served = serve_pool(&place, &mut pool, pages.as_ref(), face, &mut interrupts, Next::Worker).await;
            web::stop(pages).await;
            served
        }
        Err(failure) => Err(failure),
    };
    let stopped = pool.shutdown().await.map_err(|error| failed("the pool did not stop cleanly", &error));
    served.and(stopped).map(|()| Exit::Ok)
}

async fn serve_pool(
    place: &Place,
    pool: &mut PoolHandle,
    pages: Option<&Running>,
    face: &mut Face,
    interrupts: &mut Interrupts,
    next: Next,
) -> Done<()> {
    tell_guard(place, face);
    ready(face, &pool_line(pool, pages), &json!({"grpc": pool_url(pool), "web": pages.map(Running::url)}))?;
    next_steps(place, pool, pages, face, next);
    tokio::select! {
        ended = pool.stopped() => Err(ended.map_or_else(|error| failed("the pool failed", &error), |()| ended_early("pool"))),
        () = interrupts.next() => Ok(()),
    }
}

/// A worker alone.
///
/// # Errors
/// This machine cannot run tasks, the join token is not taken, or the worker fails.
pub async fn worker(global: &Global, face: &mut Face, args: &WorkerArgs) -> Done {
    let mut interrupts = Interrupts::listen()?;
    let data = data_folder(global)?;
    let join = match args.join.as_deref() {
        Some("-") => Some(secret::line_of_stdin()?),
        other => other.map(str::to_owned),
    };
    let named = match &join {
        Some(token) => hivemind_client::join_token_peek(token).map(|claims| claims.server).ok(),
        None => None,
    };
    let starting = async {
        let chosen = Agent::prepare(&data, &args.offer).await?;
        Agent::start(&data, &args.offer, join, global.server.clone(), chosen).await
    };
    let mut agent = tokio::select! {
        biased;
        () = interrupts.next() => return Ok(Exit::Ok),
        agent = starting => agent?,
    };
    let server = global.server.clone().or(named);
    let served = match agent.open_page(&data, args.offer.runtime, &PageWish::from(&args.page), face).await {
        Ok(()) => serve_worker(&mut agent, server, face, &mut interrupts).await,
        Err(failure) => Err(failure),
    };
    let stopped = agent.stop().await;
    served.and(stopped).map(|()| Exit::Ok)
}

async fn serve_worker(
    agent: &mut Agent,
    server: Option<String>,
    face: &mut Face,
    interrupts: &mut Interrupts,
) -> Done<()> {
    tokio::select! {
        () = agent.worker.linked() => {}
        () = interrupts.next() => return Ok(()),
    }
    let name = agent.worker.name().to_owned();
    let at = server.as_ref().map(|server| format!(" server={server}")).unwrap_or_default();
    let web = agent.page_url();
    let page = web.as_ref().map(|web| format!(" web={web}")).unwrap_or_default();
    ready(face, &format!("ready node={name}{at}{page}"), &json!({"node": name, "server": server, "web": web}))?;
    agent.is_ready();
    lean::forget_the_start();
    face.say("tasks run here now; `hivemind worker pause` lets them stand still, Ctrl-C stops");
    tokio::select! {
        ended = agent.worker.stopped() => Err(ended.map_or_else(|error| failed("the worker failed", &error), |()| ended_early("worker"))),
        () = interrupts.next() => Ok(()),
    }
}

fn data_folder(global: &Global) -> Done<PathBuf> {
    let data = crate::place::data(global)?;
    crate::place::make(&data).map_err(|error| {
        Failure::io(format!("the data folder {} cannot be made", data.display()), &error)
            .fix("name another with --data DIR")
    })?;
    Ok(data)
}

/// Where a pool lives, and by which rules.
struct Place {
    data: PathBuf,
    policy: Policy,
}

impl Place {
    /// The policy is judged before anything is made.
    fn of(global: &Global, args: &ListenArgs) -> Done<Self> {
        let policy = policy::read(args.policy.as_deref())?;
        Ok(Self { data: data_folder(global)?, policy })
    }

    async fn start_pool(&self, args: &ListenArgs) -> Done<PoolHandle> {
        let config = PoolConfig {
            data: self.data.clone(),
            listen: args.listen,
            advertise: args.advertise.clone(),
            names: args.cert_name.clone(),
            policy: self.policy.clone(),
            // On loopback everybody who can ask is on this machine.
            reflection: args.reflection || args.listen.ip().is_loopback(),
        };
        hivemind_pool::start(config).await.map_err(|error| failed("the pool cannot start", &error))
    }
}

/// Where this machine itself reaches the pool.
fn reachable(pool: &PoolHandle) -> std::net::SocketAddr {
    let mut addr = pool.grpc_addr();
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

fn pool_url(pool: &PoolHandle) -> String {
    format!("https://{}", reachable(pool))
}

fn pool_line(pool: &PoolHandle, pages: Option<&Running>) -> String {
    format!("ready grpc={}{}", pool_url(pool), web::in_line(pages))
}

/// The one line that scripts wait for.
fn ready(face: &mut Face, line: &str, facts: &serde_json::Value) -> Done<()> {
    let text = match face.mode {
        Mode::Json => {
            let mut whole = json!({"schema": "hivemind.ready/1"});
            if let (Some(whole), Some(facts)) = (whole.as_object_mut(), facts.as_object()) {
                whole.extend(facts.clone());
            }
            whole.to_string()
        }
        Mode::Human | Mode::Quiet => line.to_owned(),
    };
    face.bytes(format!("{text}\n").as_bytes(), Channel::Out)
}

/// Who is expected to come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    User,
    Worker,
}

/// Says what holds in a guarded pool. Before the ready line, so that who waits for that has read it.
fn tell_guard(place: &Place, face: &mut Face) {
    if let Some(guard) = policy::guard_in_words(&place.policy.economy) {
        face.say(&guard);
    }
}

fn next_steps(place: &Place, pool: &PoolHandle, pages: Option<&Running>, face: &mut Face, next: Next) {
    if let Some(pages) = pages {
        face.say(&format!("in a browser: {}", pages.url()));
    }
    let url = pool_url(pool);
    let server = if url == crate::args::DEFAULT_SERVER { String::new() } else { format!(" --server {url}") };
    let own = shell_words::quote(&place.data.display().to_string()).into_owned();
    let usual = crate::place::data(&Global::default()).is_ok_and(|usual| usual == place.data);
    let hivemind = if usual { "hivemind".to_owned() } else { format!("hivemind --data {own}") };
    let login = format!("{hivemind}{server} login operator --password-file {own}/operator.password");
    match next {
        Next::User if asks_for_invitations(&place.policy.economy) => face.say(&format!(
            "next, in another terminal:\n  {login}\n  {hivemind} invite\n  {hivemind} register NAME\n  {hivemind} run IMAGE CMD..."
        )),
        Next::User => face.say(&format!("next, in another terminal:\n  {hivemind}{server} register NAME\n  {hivemind} run IMAGE CMD...")),
        Next::Worker => face.say(&format!(
            "to add a worker:\n  {login}\n  {hivemind} nodes join-token\nand on its machine:\n  hivemind worker --join TOKEN"
        )),
    }
}

fn asks_for_invitations(economy: &Economy) -> bool {
    match economy.mode {
        EconomyMode::Open => false,
        EconomyMode::Guarded => economy.guard.invitations,
    }
}

fn failed(what: &str, error: &anyhow::Error) -> Failure {
    Failure::new(Exit::Failure, "E_SERVER", format!("{what}: {error:#}"))
}

fn ended_early(what: &str) -> Failure {
    Failure::new(Exit::Failure, "E_SERVER", format!("the {what} ended by itself"))
}
