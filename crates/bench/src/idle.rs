//! What a worker that has nothing to do costs its owner: the real command, linked to a pool, with all its sensors.
//!
//! It needs the command `hivemind` of the same build beside this program.

use crate::child::Pool;
use crate::machine;
use crate::report::Report;
use anyhow::{Context, bail};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["agent_idle_rss", "agent_idle_cpu"];

/// Until what it needed to start is done with.
const SETTLE: Duration = Duration::from_secs(20);
const SPAN: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures [`FIGURES`]; leaves them out where the command was not built.
///
/// # Errors
/// Where something does not run.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let own = std::env::current_exe()?;
    let hivemind = own.with_file_name("hivemind");
    if !hivemind.is_file() {
        println!("an idle worker is left out: build the command hivemind in the same profile first");
        return Ok(());
    }
    report.begin(&format!("an idle worker: {} s", SPAN.as_secs()));
    let dir = machine::scratch()?;
    let pool = Pool::start(&dir.path().join("pool")).await?;
    let owner = pool.new_user("owner").await?;
    let token = owner.create_join_token(Duration::ZERO).await?.token;
    let mut worker = start(&hivemind, dir.path(), &token).await?;
    let pid = worker.id().context("the worker has ended")?;
    tokio::time::sleep(SETTLE).await;
    let before = machine::cpu_of(pid)?;
    tokio::time::sleep(SPAN).await;
    let used = machine::cpu_of(pid)?.saturating_sub(before);
    let rss = resident_mib(pid)?;
    worker.kill().await?;
    pool.process.stop().await?;
    report.add("agent_idle_rss", rss, "MiB", None);
    report.add("agent_idle_cpu", used.as_secs_f64() / SPAN.as_secs_f64() * 100.0, "% of a core", None);
    Ok(())
}

/// Starts a worker and waits for its ready line.
async fn start(hivemind: &Path, dir: &Path, token: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(hivemind);
    command.arg("--data").arg(dir.join("worker")).args(["worker", "--selftest", "never", "--disk", "1g"]);
    command.env("HIVEMIND_JOIN", token).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut worker = command.kill_on_drop(true).spawn().context("the worker cannot be started")?;
    let mut lines = BufReader::new(worker.stdout.take().context("standard output is piped")?).lines();
    match tokio::time::timeout(PATIENCE, lines.next_line()).await.context("the worker is not ready in time")?? {
        Some(line) if line.starts_with("ready ") => Ok(worker),
        said => bail!("the worker ended before it was ready: {said:?}"),
    }
}

/// Memory of a process that is its own or shared, in MiB.
fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells no memory")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
