//! The peers that run no-op tasks: HyperQueue and Dask, each as its own local cluster, from PyPI.
//!
//! Their packages are installed into one virtual environment under the target folder at the first use, and
//! driven by small programs, `hq.py` and `dask.py`. A peer that does not run is left out, with a line that
//! says why. Start at [`Cluster::start`].

use crate::machine;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A cluster and its worker in two programs: tasks are processes, and nothing is durable.
pub(crate) const HYPERQUEUE: Peer = Peer {
    name: "HyperQueue 0.27.0",
    package: "hyperqueue",
    extra: "",
    version: "0.27.0",
    program: include_str!("hq.py"),
};
/// A scheduler in Python: tasks are functions, and nothing is durable.
pub(crate) const DASK: Peer = Peer {
    name: "Dask 2026.8.0",
    package: "dask",
    extra: "[distributed]",
    version: "2026.8.0",
    program: include_str!("dask.py"),
};

/// One of them.
#[derive(Debug)]
pub(crate) struct Peer {
    /// How it is called in the tables.
    pub(crate) name: &'static str,
    package: &'static str,
    extra: &'static str,
    version: &'static str,
    /// Says `ready`, then answers each line with one of JSON.
    program: &'static str,
}

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// A cluster with as many slots as this machine has cores; killed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    peer: &'static Peer,
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Cluster {
    /// Starts it; `None`, with a printed reason, where it does not run here.
    pub(crate) async fn start(peer: &'static Peer) -> Option<Self> {
        peer.told(Self::try_start(peer).await)
    }

    async fn try_start(peer: &'static Peer) -> anyhow::Result<Self> {
        let python = peer.install().await?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string();
        let mut command = Command::new(python);
        command.args(["-c", peer.program, &cores]).env("TMPDIR", machine::bench_folder()?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().context("cannot start its cluster")?;
        let orders = process.stdin.take().context("standard input is piped")?;
        let answers = BufReader::new(process.stdout.take().context("standard output is piped")?).lines();
        let mut cluster = Self { peer, process, orders, answers };
        // It prints a table about itself before.
        while cluster.answer().await? != "ready" {}
        Ok(cluster)
    }

    /// Tasks per second of one job of `tasks` tasks that do nothing, from the submission to the end of the last.
    pub(crate) async fn throughput(&mut self, tasks: u32) -> Option<f64> {
        let seconds = self.peer.told(self.ask("throughput", tasks).await)?.into_iter().next()?;
        let rate = f64::from(tasks) / seconds;
        println!("  {seconds:.2} s for {tasks} tasks: {rate:.0} tasks/s");
        Some(rate)
    }

    /// Milliseconds of each of `tasks` single tasks, one after the other.
    pub(crate) async fn latencies(&mut self, tasks: u32) -> Option<Vec<f64>> {
        let seconds = self.peer.told(self.ask("latency", tasks).await)?;
        Some(seconds.into_iter().map(|seconds| seconds * 1e3).collect())
    }

    /// Lets it end in order.
    pub(crate) async fn stop(self) {
        let Self { peer: Peer { name, .. }, mut process, orders, .. } = self;
        drop(orders);
        match tokio::time::timeout(PATIENCE, process.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => println!("{name} could not be ended: {error}"),
            Err(_) => println!("{name} did not end within {PATIENCE:?}; it is killed"),
        }
    }

    async fn ask(&mut self, what: &str, count: u32) -> anyhow::Result<Vec<f64>> {
        self.orders.write_all(format!("{what} {count}\n").as_bytes()).await.context("its cluster has ended")?;
        let answer = self.answer().await?;
        serde_json::from_str(&answer).with_context(|| format!("its cluster answered `{answer}`"))
    }

    async fn answer(&mut self) -> anyhow::Result<String> {
        match tokio::time::timeout(PATIENCE, self.answers.next_line()).await {
            Ok(line) => line?.context("its cluster has ended"),
            Err(_) => bail!("its cluster does not answer within {PATIENCE:?}"),
        }
    }
}

impl Peer {
    fn told<T>(&self, result: anyhow::Result<T>) -> Option<T> {
        result.inspect_err(|error| println!("  {} is left out: {error:#}", self.name)).ok()
    }

    /// Makes the virtual environment, and installs the package there, unless both are done; gives its Python.
    async fn install(&self) -> anyhow::Result<PathBuf> {
        let Self { package, extra, version, .. } = self;
        let folder = machine::target_folder()?.join("peers").join("python");
        let python = folder.join("bin/python");
        let check = format!(
            "import importlib.metadata, {package}; assert importlib.metadata.version('{package}') == '{version}'"
        );
        if run(&python, &["-c", &check]).await.is_ok() {
            return Ok(python);
        }
        println!("installing {package} {version} into {}", folder.display());
        let shown = folder.to_str().context("the target folder's name is no text")?;
        run(Path::new("python3"), &["-m", "venv", shown]).await?;
        let wanted = format!("{package}{extra}=={version}");
        run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &wanted]).await?;
        Ok(python)
    }
}

async fn run(program: &Path, args: &[&str]) -> anyhow::Result<()> {
    let done = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(done.status.success(), "{} failed: {}", program.display(), String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}
