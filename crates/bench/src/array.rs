//! One array of elements that do nothing, through the whole durable stack.
//!
//! As [`crate::noop`], but one submission under one id, and many nodes. The peer starts a process per task: its
//! workers cannot do without.

use crate::child::{self, Pool};
use crate::machine::{self, Meters};
use crate::noop;
use crate::peer::{Cluster, HYPERQUEUE};
use crate::report::Report;
use anyhow::{Context, ensure};
use hivemind_client::v1::SubmitTaskRequest;
use hivemind_model::{Cpt, TaskState};
use std::time::Instant;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["noop_array_throughput", "pool_cpu_per_element"];

const ELEMENTS: u32 = 200_000;
const WORKERS: usize = 64;
/// Elements that one worker may run at once.
const CORES: u32 = 64;
const PEER_TASKS: u32 = 10_000;

/// Elements 1 to `elements`, of which each does nothing.
pub(crate) fn array(elements: u32) -> SubmitTaskRequest {
    SubmitTaskRequest { array: format!("1-{elements}"), ..noop::task() }
}

/// What a user needs whose arrays of a million elements hold their caps.
pub(crate) fn grant() -> Cpt {
    Cpt::from_micro(10_000_000_000)
}

/// Measures [`FIGURES`].
///
/// # Errors
/// Where something does not run; a peer that does not is left out.
pub(crate) async fn measure(report: &mut Report, peer: Option<&mut Cluster>) -> anyhow::Result<()> {
    report.begin(&format!("no-op array: {}", HYPERQUEUE.name));
    let peer_rate = match peer {
        Some(cluster) => cluster.throughput(PEER_TASKS).await,
        None => None,
    };
    report.begin(&format!("no-op array: {ELEMENTS} elements, {WORKERS} workers of {CORES} cores"));
    let dir = machine::scratch()?;
    let pool = Pool::start_with(&dir.path().join("pool"), grant()).await?;
    let owner = pool.new_user("owner").await?;
    let workers = child::start_workers(&owner, &dir.path().join("workers"), WORKERS, CORES).await?;
    let client = pool.new_user("requester").await?;
    let meters = Meters::start([("pool", pool.process.pid()?), ("workers", workers.pid()?)])?;
    let begin = Instant::now();
    let task = client.submit(array(ELEMENTS)).await.context("the array was refused")?.task;
    let ends = client.wait(&[task]).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let rate = f64::from(ELEMENTS) / seconds;
    println!("  {seconds:.2} s: {rate:.0} elements/s");
    let [pool_cpu, _] = meters.stop("element", f64::from(ELEMENTS))?;
    let told = client.status(task).await?.task.and_then(|task| task.elements).unwrap_or_default();
    ensure!(
        ends == [(task, TaskState::Completed)] && told.completed == ELEMENTS,
        "of {ELEMENTS} elements {} completed",
        told.completed
    );
    workers.stop().await?;
    pool.process.stop().await?;
    let peer =
        peer_rate.map(|rate| (format!("{}, one job of /bin/true as processes, not durable", HYPERQUEUE.name), rate));
    report.add("noop_array_throughput", rate, "tasks/s", peer);
    report.add("pool_cpu_per_element", pool_cpu, "us", None);
    Ok(())
}
