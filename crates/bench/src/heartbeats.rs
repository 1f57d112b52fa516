//! Many idle nodes on one pool: what their heartbeats cost it, and whether it loses one that lives.
//!
//! The pool is a process of its own with its database on the disk and its default policy. The nodes are
//! another process (see [`crate::nodes`]): each has a certificate, a TLS connection and a link of its own,
//! as a worker has, and says a heartbeat every second. Only the pool's processor time is counted.

use crate::child::{Pool, Process};
use crate::machine;
use crate::nodes::Heard;
use crate::report::{Report, percentile};
use anyhow::Context;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["heartbeat_nodes", "heartbeat_pool_cores"];

/// Nodes where nobody says how many.
pub(crate) const NODES: usize = 20_000;
/// How long the steady state is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// After the last link is open, before that.
const SETTLED: Duration = Duration::from_secs(10);
/// Files that either process has open besides one per node; the pool leaves as many to its other work.
const OTHER_FILES: usize = 1024 + 32;

/// Measures [`FIGURES`] with `wanted` nodes, or as many as a process here may have connections.
///
/// # Errors
/// Where something does not run.
pub(crate) async fn measure(report: &mut Report, wanted: usize) -> anyhow::Result<()> {
    let most = machine::most_files().saturating_sub(OTHER_FILES);
    let count = wanted.min(most);
    if count < wanted {
        println!(
            "a process may have {} files open here, so {count} nodes take the place of {wanted}",
            machine::most_files()
        );
    }
    report.begin(&format!("heartbeats: {count} nodes, one each second, for {} s", WATCHED.as_secs()));
    let dir = machine::scratch()?;
    let data = dir.path().join("pool");
    let pool = Pool::start(&data).await?;
    let client = pool.new_user("owner").await?;
    let token = pool.token_of("owner").await?;
    let begin = Instant::now();
    let nodes = start_nodes(&pool, &data, &token, count).await?;
    println!("  {count} nodes have joined and are linked after {:.0} s", begin.elapsed().as_secs_f64());
    tokio::time::sleep(SETTLED).await;
    let (pid, load) = (pool.process.pid()?, machine::load());
    let (pool_before, nodes_before, begin) = (machine::cpu_of(pid)?, machine::cpu_of(nodes.pid()?)?, Instant::now());
    tokio::time::sleep(WATCHED).await;
    let seconds = begin.elapsed().as_secs_f64();
    let cores = (machine::cpu_of(pid)? - pool_before).as_secs_f64() / seconds;
    let nodes_cores = (machine::cpu_of(nodes.pid()?)? - nodes_before).as_secs_f64() / seconds;
    let memory = machine::memory_of(pid)?;
    let online = client.info().await?.nodes_online;
    let said = nodes.stop_and_tell().await?;
    let heard: Heard = serde_json::from_str(&said).with_context(|| format!("the nodes said `{said}`"))?;
    pool.process.stop().await?;
    let Heard { answered, late, broken, faultless, mut sampled_ms, reason } = heard;
    let (median, p99) = (percentile(&mut sampled_ms, 0.5), percentile(&mut sampled_ms, 0.99));
    println!(
        "  pool: {cores:.3} cores, {:.0} us per heartbeat, {} MiB, {} KiB per node; nodes: {nodes_cores:.3} cores; load {load:.2}",
        cores * 1e6 / count as f64,
        memory >> 20,
        (memory >> 10) / count.max(1) as u64
    );
    println!(
        "  {answered} heartbeats answered (median {median:.1} ms, p99 {p99:.1} ms), {late} not within 5 s; {broken} links ended, {online} nodes online at the end{}",
        reason.map(|reason| format!("; the first that ended: {reason}")).unwrap_or_default()
    );
    report.add("heartbeat_nodes", faultless as f64, "nodes", None);
    report.add("heartbeat_pool_cores", cores, "cores", None);
    Ok(())
}

async fn start_nodes(pool: &Pool, data: &Path, token: &str, count: usize) -> anyhow::Result<Process> {
    let (ca, count) = (data.join("ca.pem"), count.to_string());
    Process::start(&["nodes-child".as_ref(), pool.server().as_ref(), ca.as_os_str(), token.as_ref(), count.as_ref()])
        .await
}
