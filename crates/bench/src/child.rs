//! A pool and workers in processes of their own, started from this very program.
//!
//! A child says `ready ...` on its standard output and ends when its standard input does, so none
//! outlives a benchmark that was broken off. Start at [`Pool::start`] and [`start_workers`].

use anyhow::{Context, bail};
use hivemind_client::{Client, Target, Trust};
use hivemind_model::{Bytes, Cpt, MilliCores, Policy, Resources};
use hivemind_pool::PoolConfig;
use hivemind_runtime::Offer;
use hivemind_runtime::fake::{FakeConfig, FakeRuntime};
use hivemind_worker::WorkerConfig;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{ChildStdout, Command};

/// Longest wait for a child to be ready or to end.
const PATIENCE: Duration = Duration::from_secs(300);
const PASSWORD: &str = "correct horse battery";

/// One child process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: tokio::process::Child,
    said: BufReader<ChildStdout>,
    /// What it said when it was ready.
    pub(crate) ready: String,
}

impl Process {
    /// Starts this program again with `args`, and waits until it is ready.
    ///
    /// # Errors
    /// Where it ends before, or takes too long.
    pub(crate) async fn start(args: &[&OsStr]) -> anyhow::Result<Self> {
        let exe = std::env::current_exe().context("this program cannot find itself")?;
        let mut command = Command::new(exe);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start a child process")?;
        let mut said = BufReader::new(child.stdout.take().context("standard output is piped")?);
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, said.read_line(&mut line))
            .await
            .context("a child process is not ready in time")??;
        match line.trim_end().strip_prefix("ready ") {
            Some(ready) => Ok(Self { child, said, ready: ready.to_owned() }),
            None => bail!("a child process ended before it was ready; it says above why"),
        }
    }

    /// Its id.
    ///
    /// # Errors
    /// Where it has ended.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("a child process has ended")
    }

    /// Lets it end in order.
    ///
    /// # Errors
    /// Where it failed, or does not end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.context("a child process does not end")??;
        if status.success() { Ok(()) } else { bail!("a child process ended with {status}; it says above why") }
    }

    /// Lets it end in order, and gives what it says at its end.
    ///
    /// # Errors
    /// As of [`Process::stop`].
    pub(crate) async fn stop_and_tell(mut self) -> anyhow::Result<String> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        tokio::time::timeout(PATIENCE, self.said.read_to_string(&mut said))
            .await
            .context("a child process does not end")??;
        self.stop().await?;
        Ok(said)
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    /// Where it has ended already.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A pool in a process of its own.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) process: Process,
    target: Target,
}

impl Pool {
    /// Starts a pool over `data`, on a free port of loopback, with the default policy.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub(crate) async fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, Policy::default().signup_grant).await
    }

    /// As [`Pool::start`], but new users are given `grant`, which has to hold the caps of all that they submit.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub(crate) async fn start_with(data: &Path, grant: Cpt) -> anyhow::Result<Self> {
        let micro = grant.micro().to_string();
        let process = Process::start(&["pool-child".as_ref(), data.as_os_str(), micro.as_ref()]).await?;
        let ca = std::fs::read_to_string(data.join("ca.pem")).context("cannot read the pool's certificate")?;
        let target = Target { server: format!("https://{}", process.ready), trust: Trust::CaPem(ca), identity: None };
        Ok(Self { process, target })
    }

    /// How it is reached.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Its address.
    pub(crate) fn server(&self) -> &str {
        &self.target.server
    }

    /// A connection of its own, logged in as a new user.
    ///
    /// # Errors
    /// Where the pool refuses.
    pub(crate) async fn new_user(&self, name: &str) -> anyhow::Result<Client> {
        let client = self.connect().await?;
        client.register(name, PASSWORD, &format!("{name}@example.org")).await?;
        let session = client.login(name, PASSWORD).await?;
        Ok(client.with_token(&session.token)?)
    }

    /// A connection of its own for a user who was there before.
    ///
    /// # Errors
    /// Where the pool refuses.
    pub(crate) async fn known_user(&self, token: &str) -> anyhow::Result<Client> {
        Ok(self.connect().await?.with_token(token)?)
    }

    /// A token for [`Pool::known_user`].
    ///
    /// # Errors
    /// Where the pool refuses.
    pub(crate) async fn token_of(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.connect().await?.login(name, PASSWORD).await?.token)
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.target, None).await?)
    }
}

/// Starts `count` workers with `cores` cores each and the fake runtime, all in one process.
///
/// # Errors
/// Where they do not get linked.
pub(crate) async fn start_workers(owner: &Client, data: &Path, count: usize, cores: u32) -> anyhow::Result<Process> {
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        tokens.push(owner.create_join_token(Duration::ZERO).await?.token);
    }
    let cores = cores.to_string();
    let mut args: Vec<&OsStr> = vec!["workers-child".as_ref(), data.as_os_str(), cores.as_ref()];
    args.extend(tokens.iter().map(OsStr::new));
    Process::start(&args).await
}

/// The pool's side of [`Pool::start`].
///
/// # Errors
/// Where the pool fails.
pub(crate) async fn run_pool(data: PathBuf, grant: i64) -> anyhow::Result<()> {
    let listen = "127.0.0.1:0".parse()?;
    let policy = Policy { signup_grant: Cpt::from_micro(grant), ..Policy::default() };
    let config = PoolConfig { data, listen, advertise: None, names: Vec::new(), policy, reflection: false };
    let mut pool = hivemind_pool::start(config).await?;
    println!("ready {}", pool.grpc_addr());
    tokio::select! {
        ended = pool.stopped() => ended,
        () = stdin_ends() => pool.shutdown().await,
    }
}

/// The workers' side of [`start_workers`].
///
/// # Errors
/// Where a worker cannot join.
pub(crate) async fn run_workers(data: PathBuf, cores: u32, tokens: Vec<String>) -> anyhow::Result<()> {
    let capacity = Resources {
        cpu: MilliCores::from_cores(cores),
        memory: Bytes::from_gib(u64::from(cores)),
        disk: Bytes::from_gib(u64::from(cores)),
        gpus: 0,
    };
    let mut workers = Vec::with_capacity(tokens.len());
    for (number, token) in tokens.into_iter().enumerate() {
        let name = format!("bench-{number}");
        let config = WorkerConfig {
            egress: hivemind_model::EgressPolicy::None,
            share: None,
            machine: data.join("no machine"),
            data: data.join(&name),
            join: Some(token),
            server: None,
            name: Some(name),
            labels: hivemind_model::Labels::default(),
            offer: Offer { capacity, gpu_info: String::new() },
            runtime: Arc::new(FakeRuntime::new(FakeConfig::default())),
        };
        let worker = hivemind_worker::start(config).await?;
        worker.linked().await;
        workers.push(worker);
    }
    println!("ready {}", workers.len());
    stdin_ends().await;
    for worker in workers {
        worker.stop().await?;
    }
    Ok(())
}

/// Resolves when the parent lets go, or dies.
pub(crate) async fn stdin_ends() {
    let mut rest = Vec::new();
    // An error ends it as well as the end does.
    let _ended = tokio::io::stdin().read_to_end(&mut rest).await;
}
