//! One task at a time on an idle pool, from the submission to the news of its end.

use crate::child::{self, Pool};
use crate::peer::{Cluster, HYPERQUEUE};
use crate::report::{Report, percentile};
use crate::{machine, noop};
use anyhow::{Context, bail};
use futures::StreamExt;
use hivemind_client::{Client, Events, v1::TaskEvent};
use hivemind_model::TaskState;
use std::time::Instant;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["idle_latency_p50", "idle_latency_p99"];

const TASKS: usize = 300;
/// Before that, so that caches and connections are as in a pool that runs.
const WARM_UP: usize = 20;
const PEER_TASKS: u32 = 40;

/// Measures [`FIGURES`].
///
/// # Errors
/// Where something does not run; a peer that does not is left out.
pub(crate) async fn measure(report: &mut Report, peer: Option<&mut Cluster>) -> anyhow::Result<()> {
    report.begin(&format!("idle latency: the peer, {PEER_TASKS} tasks one after the other"));
    let mut peer_samples = match peer {
        Some(cluster) => cluster.latencies(PEER_TASKS).await.unwrap_or_default(),
        None => Vec::new(),
    };
    report.begin(&format!("idle latency: {TASKS} tasks one after the other"));
    let dir = machine::scratch()?;
    let pool = Pool::start(&dir.path().join("pool")).await?;
    let client = pool.new_user("requester").await?;
    let workers = child::start_workers(&client, &dir.path().join("workers"), 1, 2).await?;
    let mut events = client.watch(&[]).await?;
    for _ in 0..WARM_UP {
        one(&client, &mut events).await?;
    }
    let mut samples = Vec::with_capacity(TASKS);
    for _ in 0..TASKS {
        samples.push(one(&client, &mut events).await?);
    }
    workers.stop().await?;
    pool.process.stop().await?;
    for (name, share) in FIGURES.iter().zip([0.50, 0.99]) {
        let peer = (!peer_samples.is_empty()).then(|| {
            (
                format!("{}, /bin/true as a process, looked at every ms", HYPERQUEUE.name),
                percentile(&mut peer_samples, share),
            )
        });
        report.add(name, percentile(&mut samples, share), "ms", peer);
    }
    Ok(())
}

/// One task; milliseconds from before the call to the event that says it is completed.
async fn one(client: &Client, events: &mut Events<TaskEvent>) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let task = client.submit(noop::task()).await?.task.to_string();
    loop {
        let event = events.next().await.context("the stream of events ended")??;
        match TaskState::parse(&event.status) {
            Some(TaskState::Completed) if event.task_id == task => return Ok(begin.elapsed().as_secs_f64() * 1e3),
            Some(TaskState::Pending | TaskState::Running | TaskState::Completed) => {}
            _ => bail!("{} is {}", event.task_id, event.status),
        }
    }
}
