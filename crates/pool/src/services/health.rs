//! How the pool is, and what everybody may know of it.
//!
//! Start at [`health`]. Figures come from what is kept beside the writer; it is asked for one word.
//!
//! Invariant: however many ask, the work is done once a second for health and once in ten for everybody's figures.

use crate::shared::Shared;
use crate::status;
use hivemind_model::{Bytes, Timestamp};
use hivemind_proto::v1::{HealthResponse, PublicCountersResponse};
use std::sync::Arc;
use tonic::Status;

/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// How the pool is, no older than a second.
pub(crate) async fn health(shared: &Shared) -> Result<Arc<HealthResponse>, Status> {
    shared.live.figures.health.get(async || look(shared).await).await
}

async fn look(shared: &Shared) -> Result<HealthResponse, Status> {
    let brake_on = shared.writer.brakes().await.map_err(|refused| status::refused(&refused))?;
    let disk = shared.disk.clone();
    let free = crate::blobs::blocking(move || disk.free()).await;
    let free = free.inspect_err(|error| tracing::warn!(%error, "the disk does not tell how much is free"));
    let (live, figures) = (&shared.live, &shared.live.figures);
    let linked = live.links.linked();
    let machines = live.board.machines(&linked);
    let counts = live.board.counts();
    let (waiting, oldest) = live.board.waiting_now();
    let now = shared.clock.now();
    let (p50, p99, waits) = figures.waits();
    let (lost, joined) = figures.comings_and_goings();
    let checked = figures.checked();
    Ok(HealthResponse {
        tasks_lost: wire(checked.tasks_lost),
        ledger_imbalance_micro: checked.imbalance_micro,
        schedule_latency_p50_ms: wire(p50.0),
        schedule_latency_p99_ms: wire(p99.0),
        schedule_latency_count: wire(waits),
        oldest_waiting_ms: oldest.map_or(0, |(since, _)| wire(now.since(since).0)),
        oldest_waiting_task: oldest.map(|(_, task)| task.to_string()).unwrap_or_default(),
        nodes_online: count(linked.len()),
        nodes_total: count(machines.enrolled),
        nodes_lost_last_hour: wire(lost),
        nodes_joined_last_hour: wire(joined),
        tasks_pending: counts.pending,
        tasks_running: counts.running,
        elements_waiting: wire(waiting),
        attempts_running: counts.attempts_running,
        attempts_assigned: counts.attempts - counts.attempts_running,
        cpu_millicores_total: wire(machines.capacity.cpu.0.into()),
        cpu_millicores_used: wire(machines.used.cpu.0.into()),
        memory_mb_total: mib(machines.capacity.memory),
        memory_mb_used: mib(machines.used.memory),
        brake_on,
        started_at_unix_ms: shared.started_at.0,
        version: env!("CARGO_PKG_VERSION").into(),
        commits_per_second: per_second(figures.commits(), now, shared.started_at),
        disk_free_bytes: free.map_or(-1, wire),
        checked_at_unix_ms: checked.at.map_or(0, |at| at.0),
    })
}

/// The mean of the last minute, or of the time since the start.
fn per_second(commits: u64, now: Timestamp, started_at: Timestamp) -> f32 {
    let seconds = now.since(started_at).secs().clamp(1, 60);
    (commits as f64 / seconds as f64) as f32
}

/// What everybody may know, no older than ten seconds.
pub(super) async fn public(shared: &Shared) -> Result<Arc<PublicCountersResponse>, Status> {
    let look = async || {
        let board = &shared.live.board;
        let linked = shared.live.links.linked();
        let totals = shared.live.figures.totals();
        Ok(PublicCountersResponse {
            nodes_online: count(linked.len()),
            cores_online: wire(u64::from(board.machines(&linked).capacity.cpu.0) / 1000),
            tasks_completed: wire(totals.tasks),
            elements_completed: wire(totals.elements),
            cpu_hours: wire(totals.cpu.0 / HOUR_MS),
            users: board.counts().users,
            counting: !totals.is_whole,
        })
    };
    shared.live.figures.public.get(look).await
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn wire(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn mib(bytes: Bytes) -> i64 {
    wire(bytes.0 >> 20)
}
