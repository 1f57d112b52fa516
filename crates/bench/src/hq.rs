//! The peer: HyperQueue's own local cluster (a server and one worker), from its package on PyPI.
//!
//! It is installed into a virtual environment under the target folder at the first use, and
//! driven by the small program `hq.py`. Where it does not run, its figures are left out, with a
//! line that says why. Start at [`Cluster::start`].

use crate::machine;
use anyhow::{Context, bail, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How it is called in the tables.
pub(crate) const NAME: &str = "HyperQueue 0.27.0";
const PACKAGE: &str = "hyperqueue==0.27.0";
const PROGRAM: &str = include_str!("hq.py");
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// A cluster with as many slots as this machine has cores; killed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Cluster {
    /// Starts it; `None`, with a printed reason, where it does not run here.
    pub(crate) async fn start() -> Option<Self> {
        told(Self::try_start().await)
    }

    async fn try_start() -> anyhow::Result<Self> {
        let python = install().await?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string();
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM, &cores]).env("TMPDIR", machine::bench_folder()?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().context("cannot start its cluster")?;
        let orders = process.stdin.take().context("standard input is piped")?;
        let answers = BufReader::new(process.stdout.take().context("standard output is piped")?).lines();
        let mut cluster = Self { process, orders, answers };
        // It prints a table about itself before.
        while cluster.answer().await? != "ready" {}
        Ok(cluster)
    }

    /// Tasks per second of one job of `tasks` times `/bin/true`, from the submission to the end of the last.
    pub(crate) async fn throughput(&mut self, tasks: u32) -> Option<f64> {
        let seconds = told(self.ask("throughput", tasks).await)?.into_iter().next()?;
        let rate = f64::from(tasks) / seconds;
        println!("  {seconds:.2} s for {tasks} tasks: {rate:.0} tasks/s");
        Some(rate)
    }

    /// Milliseconds of each of `tasks` single tasks, one after the other.
    pub(crate) async fn latencies(&mut self, tasks: u32) -> Option<Vec<f64>> {
        let seconds = told(self.ask("latency", tasks).await)?;
        Some(seconds.into_iter().map(|seconds| seconds * 1e3).collect())
    }

    /// Lets it end in order.
    pub(crate) async fn stop(self) {
        let Self { mut process, orders, .. } = self;
        drop(orders);
        match tokio::time::timeout(PATIENCE, process.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => println!("{NAME} could not be ended: {error}"),
            Err(_) => println!("{NAME} did not end within {PATIENCE:?}; it is killed"),
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

fn told<T>(result: anyhow::Result<T>) -> Option<T> {
    result.inspect_err(|error| println!("  {NAME} is left out: {error:#}")).ok()
}

/// Makes the virtual environment unless it is complete; gives its Python.
async fn install() -> anyhow::Result<PathBuf> {
    let folder = machine::target_folder()?.join("peers").join("hyperqueue-0.27.0");
    let python = folder.join("bin/python");
    if run(&python, &["-c".as_ref(), "import hyperqueue".as_ref()]).await.is_ok() {
        return Ok(python);
    }
    println!("installing {PACKAGE} into {}", folder.display());
    run(Path::new("python3"), &["-m".as_ref(), "venv".as_ref(), folder.as_os_str()]).await?;
    run(
        &python,
        &[
            "-m".as_ref(),
            "pip".as_ref(),
            "install".as_ref(),
            "--quiet".as_ref(),
            "--disable-pip-version-check".as_ref(),
            PACKAGE.as_ref(),
        ],
    )
    .await?;
    Ok(python)
}

async fn run(program: &Path, args: &[&OsStr]) -> anyhow::Result<()> {
    let done = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(done.status.success(), "{} failed: {}", program.display(), String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}
