//! Tasks that do nothing, through the whole durable stack.
//!
//! Separate submissions in batches, over TLS, to a pool with its database on the disk; workers
//! with the fake runtime over their real links, each with its durable spool of results; the ends
//! come through the requesters' own streams of events. Of the peers HyperQueue starts a process per task,
//! which its workers always do, and Dask calls a function in Python; neither keeps anything durable.

use crate::child::{self, Pool};
use crate::machine::{self, Meters};
use crate::peer::{Cluster, DASK, HYPERQUEUE};
use crate::report::Report;
use anyhow::{Context, bail};
use futures::StreamExt;
use futures::future::try_join_all;
use hivemind_client::v1::SubmitTaskRequest;
use hivemind_client::{Client, Events, v1::TaskEvent};
use hivemind_model::TaskState;
use std::collections::HashSet;
use std::time::Instant;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["noop_throughput", "pool_cpu_per_task"];

/// Each with a connection of its own: a sign-up grant holds the caps of so many open tasks.
const USERS: usize = 4;
const TASKS_PER_USER: usize = 16_000;
/// Tasks of one message.
const BATCH: usize = 2_000;
const WORKERS: usize = 4;
/// Tasks that one worker may have at once.
const CORES: u32 = 512;
const PEER_TASKS: u32 = 2_000;

/// One task that does nothing. Its cap is 0.0056 CPT, so that 150 CPT hold 26,000 of them.
pub(crate) fn task() -> SubmitTaskRequest {
    SubmitTaskRequest {
        task_name: "noop".into(),
        docker_image: "busybox".into(),
        argv: vec!["true".into()],
        max_runtime: 10,
        required_memory: 6,
        required_disk_mb: 4,
        required_cpu_cores: 1,
        ..SubmitTaskRequest::default()
    }
}

/// Measures [`FIGURES`].
///
/// # Errors
/// Where something does not run; a peer that does not is left out.
pub(crate) async fn measure(report: &mut Report, peer: Option<&mut Cluster>) -> anyhow::Result<()> {
    let peers = measure_peers(report, peer).await;
    let total = USERS * TASKS_PER_USER;
    report.begin(&format!("no-op tasks: {total} submissions of {USERS} users, {WORKERS} workers of {CORES} cores"));
    let dir = machine::scratch()?;
    let pool = Pool::start(&dir.path().join("pool")).await?;
    let owner = pool.new_user("owner").await?;
    let workers = child::start_workers(&owner, &dir.path().join("workers"), WORKERS, CORES).await?;
    let mut requesters = Vec::with_capacity(USERS);
    for number in 0..USERS {
        let client = pool.new_user(&format!("requester-{number}")).await?;
        let events = client.watch(&[]).await?;
        requesters.push((client, events));
    }
    let meters = Meters::start([
        ("pool", pool.process.pid()?),
        ("workers", workers.pid()?),
        ("requesters", std::process::id()),
    ])?;
    let begin = Instant::now();
    try_join_all(requesters.into_iter().map(|(client, events)| tokio::spawn(request(client, events))))
        .await?
        .into_iter()
        .collect::<anyhow::Result<()>>()?;
    let seconds = begin.elapsed().as_secs_f64();
    let rate = total as f64 / seconds;
    println!("  {seconds:.2} s: {rate:.0} tasks/s");
    let [pool_cpu, ..] = meters.stop("task", total as f64)?;
    workers.stop().await?;
    pool.process.stop().await?;
    report.add("noop_throughput", rate, "tasks/s", peers);
    report.add("pool_cpu_per_task", pool_cpu, "us", None);
    Ok(())
}

/// Tasks per second of the peers that run here, the fastest first.
async fn measure_peers(report: &mut Report, hyperqueue: Option<&mut Cluster>) -> Vec<(String, f64)> {
    let mut rates = Vec::new();
    report.begin(&format!("no-op tasks: {}", HYPERQUEUE.name));
    if let Some(cluster) = hyperqueue
        && let Some(rate) = cluster.throughput(PEER_TASKS).await
    {
        rates.push((format!("{}, /bin/true as processes, not durable", HYPERQUEUE.name), rate));
    }
    report.begin(&format!("no-op tasks: {}", DASK.name));
    if let Some(mut cluster) = Cluster::start(&DASK).await {
        if let Some(rate) = cluster.throughput(PEER_TASKS).await {
            rates.push((format!("{}, empty functions, not durable", DASK.name), rate));
        }
        cluster.stop().await;
    }
    rates.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    rates
}

/// One requester: submits in batches and hears the ends meanwhile.
async fn request(client: Client, mut events: Events<TaskEvent>) -> anyhow::Result<()> {
    let submit = async {
        for _ in 0..TASKS_PER_USER / BATCH {
            for answer in client.submit_many(vec![task(); BATCH]).await {
                answer.context("a submission was refused")?;
            }
        }
        anyhow::Ok(())
    };
    let hear = async {
        // After a gap in the events the pool tells states again, so ends are counted once each.
        let mut completed = HashSet::with_capacity(TASKS_PER_USER);
        while completed.len() < TASKS_PER_USER {
            let event = events.next().await.context("the stream of events ended")??;
            match TaskState::parse(&event.status) {
                Some(TaskState::Completed) => {
                    completed.insert(event.task_id);
                }
                Some(TaskState::Pending | TaskState::Running) => {}
                _ => bail!("{} is {}", event.task_id, event.status),
            }
        }
        anyhow::Ok(())
    };
    tokio::try_join!(submit, hear).map(drop)
}
