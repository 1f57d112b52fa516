//! A machine as its owner and the operators see it.
//!
//! Start at [`summaries`] for all of somebody, at [`Known::summary`] where what is beside the board is there already.
//!
//! Invariant: what a summary says is read, never decided, here.

use super::node::wire_mib;
use super::rewards::wire;
use crate::board::saturating_sub;
use crate::links::Drains;
use crate::monitor::Pace;
use crate::shared::Shared;
use crate::status;
use hivemind_engine::NodeMerit;
use hivemind_model::rows::{NodeRow, StandingRow};
use hivemind_model::service::Service;
use hivemind_model::{Cpt, Level, Millis, NodeId, Timestamp, UserId};
use hivemind_proto::v1::NodeSummary;
use std::collections::HashMap;
use tonic::Status;

/// What is known of nodes beside the board.
pub(super) struct Known {
    pub(super) standings: HashMap<NodeId, StandingRow>,
    pub(super) pending: HashMap<NodeId, Cpt>,
    pub(super) merits: HashMap<NodeId, NodeMerit>,
    /// Against which speeds are told.
    pub(super) pace: Pace,
}

/// The summaries of `rows`, in their order, which are of `owner`, or of anybody where there is none.
pub(super) async fn summaries(
    shared: &Shared,
    rows: Vec<NodeRow>,
    owner: Option<UserId>,
) -> Result<Vec<NodeSummary>, Status> {
    let ids: Vec<NodeId> = rows.iter().map(|row| row.id).collect();
    let standings = shared.store.standings_of(&ids).await.map_err(|error| status::store(&error))?;
    let known = Known {
        standings: standings.into_iter().map(|row| (row.node, row)).collect(),
        pending: earnings(shared, owner).await?,
        merits: merits(shared, ids).await?,
        pace: shared.monitor.pace(),
    };
    let mut nodes = Vec::with_capacity(rows.len());
    for row in rows {
        let owner = shared.user_name(row.owner).await?;
        nodes.push(known.summary(shared, &row, owner));
    }
    Ok(nodes)
}

/// What runs on the nodes of one owner, or of all, has earned so far.
pub(super) async fn earnings(shared: &Shared, owner: Option<UserId>) -> Result<HashMap<NodeId, Cpt>, Status> {
    let pending = shared.store.node_earnings(owner).await.map_err(|error| status::store(&error))?;
    Ok(pending.into_iter().collect())
}

/// What the work of nodes has shown.
pub(super) async fn merits(shared: &Shared, nodes: Vec<NodeId>) -> Result<HashMap<NodeId, NodeMerit>, Status> {
    let merits = shared.writer.merits(nodes).await.map_err(|refused| status::refused(&refused))?;
    Ok(merits.into_iter().map(|merit| (merit.id, merit)).collect())
}

impl Known {
    /// The summary of a node whose owner has that name.
    pub(super) fn summary(&self, shared: &Shared, row: &NodeRow, owner: String) -> NodeSummary {
        let runtime = self.standings.get(&row.id).map(|row| shared.runtime(row)).unwrap_or_default();
        let pending = self.pending.get(&row.id).copied().unwrap_or_default();
        let level = Level::of(runtime);
        let (silence, usage) = shared.liveness.newest(row.id);
        let reserved = shared.live.board.reserved(row.id);
        let free = saturating_sub(row.capacity, reserved.resources);
        let seen_at = silence.map_or(row.seen_at, |silence| {
            let millis = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
            Timestamp(shared.clock.now().0.saturating_sub(millis)).max(row.seen_at)
        });
        let state = match (shared.live.links.state(row.id), shared.liveness.in_time(row.id)) {
            (Some(Drains::No), _) => "online",
            (Some(Drains::Yes), _) => "draining",
            (None, true) => "silent",
            (None, false) => "offline",
        };
        let (service_until_unix_ms, service_reason) = match &row.service {
            Service::InService | Service::Cordoned => (0, String::new()),
            Service::Draining { until } => (until.0, String::new()),
            Service::Banned { reason } => (0, reason.clone()),
        };
        let summary = NodeSummary {
            node_id: row.name.clone(),
            owner,
            state: state.into(),
            cpu_millicores: i32::try_from(row.capacity.cpu.0).unwrap_or(i32::MAX),
            memory_mb: wire_mib(row.capacity.memory),
            disk_mb: wire_mib(row.capacity.disk),
            gpus: i32::try_from(row.capacity.gpus).unwrap_or(i32::MAX),
            gpu_info: row.gpu_info.clone(),
            active_attempts: reserved.attempts,
            seen_at_unix_ms: seen_at.0,
            cpu_usage: usage.cpu,
            memory_usage: usage.memory,
            disk_usage: usage.disk,
            gpu_usage: usage.gpu,
            runtime: shared.live.links.runtime(row.id),
            free_cpu_millicores: i32::try_from(free.cpu.0).unwrap_or(i32::MAX),
            free_memory_mb: wire_mib(free.memory),
            level: level.as_str().into(),
            runtime_ms: wire(runtime),
            next_level_ms: level.next().map_or(0, |next| wire(Millis(next.needs().0.saturating_sub(runtime.0)))),
            pending_micro: pending.micro(),
            service: row.service.as_str().into(),
            service_until_unix_ms,
            service_reason,
            labels: row.labels.as_slice().iter().map(ToString::to_string).collect(),
            isolation: row.isolation.as_str().into(),
            kinds: row.kinds.words().into_iter().map(str::to_owned).collect(),
            network: row.egress.words(),
            speed: shared.monitor.speed(row.id, self.pace).unwrap_or_default() as f32,
            temperature_celsius: shared.monitor.temperature(row.id),
            ..NodeSummary::default()
        };
        with_merit(summary, self.merits.get(&row.id))
    }
}

fn with_merit(summary: NodeSummary, merit: Option<&NodeMerit>) -> NodeSummary {
    let Some(merit) = merit else { return summary };
    NodeSummary {
        trust: merit.trust.as_str().into(),
        verified_results: merit.verified.into(),
        wrong_results: merit.wrong.into(),
        quota_left: merit.quota_left.unwrap_or_default(),
        resting_until_unix_ms: merit.resting_until.map_or(0, |at| at.0),
        available: merit.available.as_str().into(),
        available_reason: merit.available.reason().into(),
        speed_in_tasks: merit.speed_in_tasks.map_or(0.0, |speed| speed as f32 / 1000.0),
        ..summary
    }
}
