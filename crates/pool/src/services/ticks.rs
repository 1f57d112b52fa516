//! What changed in the pool, told to all watchers once a second by one producer.
//!
//! Marked nodes are looked at, and of the others a few in turn, whose momentary figures (use of the machine) move all the
//! time. What differs from what was told last is told. Start at [`tell_watchers`].
//!
//! Invariant: the work of a second is bounded, however many nodes and watchers there are.

use super::health;
use super::machine::{self, Known};
use super::token::balance_of;
use crate::shared::Shared;
use crate::watching::{Audience, Marks, Tick};
use hivemind_model::{Cpt, NodeId, UserId};
use hivemind_proto::v1::{BalanceResponse, HealthResponse, NodeSummary};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// How often something is told of one thing, at most.
const EVERY: Duration = Duration::from_secs(1);
/// Marked nodes that are looked at in one go.
const MOST_MARKED: usize = 2000;
/// Nodes without a mark that are looked at in one go.
const IN_TURN: usize = 200;
/// Balances that are read in one go.
const MOST_BALANCES: usize = 200;
/// What running attempts have earned is read that often, at most.
const EARNINGS_EVERY: Duration = Duration::from_secs(5);

/// Tells watchers what changed until `stop` fires.
pub(crate) async fn tell_watchers(shared: Arc<Shared>, stop: CancellationToken) {
    let mut teller = Teller::default();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let watching = &shared.live.watching;
        if watching.count() == 0 {
            teller = Teller::default();
            // What was marked for watchers who have gone.
            drop(watching.take());
            continue;
        }
        let (marks, audience) = (watching.take(), watching.audience());
        match teller.tick(&shared, marks, &audience).await {
            Ok(tick) => watching.tell(tick),
            Err(fault) => {
                tracing::warn!(error = %fault.message(), "what changed could not be read; watchers read everything anew");
                teller = Teller::default();
                watching.tell(Tick { is_anew: true, ..Tick::default() });
            }
        }
    }
}

/// What was told last.
#[derive(Default)]
struct Teller {
    health: Option<HealthResponse>,
    nodes: HashMap<NodeId, NodeSummary>,
    balances: HashMap<UserId, BalanceResponse>,
    /// The last node that was looked at in turn.
    cursor: Option<NodeId>,
    earnings: HashMap<NodeId, Cpt>,
    earnings_at: Option<Instant>,
}

impl Teller {
    async fn tick(&mut self, shared: &Shared, marks: Marks, audience: &Audience) -> Result<Tick, Status> {
        if marks.newcomer {
            // What they read first may be older than what was told, or newer.
            self.nodes.clear();
            self.balances.clear();
            self.health = None;
        }
        self.balances.retain(|user, _| audience.users.contains(user));
        Ok(Tick {
            health: if audience.operators { self.health(shared).await? } else { None },
            balances: self.balances(shared, marks.users, audience).await?,
            nodes: self.nodes(shared, marks.nodes, audience).await?,
            is_anew: false,
        })
    }

    async fn health(&mut self, shared: &Shared) -> Result<Option<HealthResponse>, Status> {
        let now = health::health(shared).await?;
        if self.health.as_ref() == Some(now.as_ref()) {
            return Ok(None);
        }
        self.health = Some(HealthResponse::clone(&now));
        Ok(self.health.clone())
    }

    async fn balances(
        &mut self,
        shared: &Shared,
        users: BTreeSet<UserId>,
        audience: &Audience,
    ) -> Result<Vec<(UserId, BalanceResponse)>, Status> {
        let mut watched = users.into_iter().filter(|user| audience.users.contains(user));
        let mut told = Vec::new();
        for user in watched.by_ref().take(MOST_BALANCES) {
            let balance = balance_of(shared, user).await?;
            if self.balances.get(&user) != Some(&balance) {
                self.balances.insert(user, balance.clone());
                told.push((user, balance));
            }
        }
        shared.live.watching.put_back([], watched);
        Ok(told)
    }

    async fn nodes(
        &mut self,
        shared: &Shared,
        marked: BTreeSet<NodeId>,
        audience: &Audience,
    ) -> Result<Vec<(UserId, NodeSummary)>, Status> {
        let board = &shared.live.board;
        let mut watched = board.owners();
        watched.retain(|(_, owner)| audience.sees_nodes_of(*owner));
        let is_watched = |id: &NodeId| watched.binary_search_by_key(id, |(id, _)| *id).is_ok();
        let mut marked = marked.into_iter().filter(is_watched);
        let mut wanted: BTreeSet<NodeId> = marked.by_ref().take(MOST_MARKED).collect();
        shared.live.watching.put_back(marked, []);
        let next = watched.partition_point(|(id, _)| Some(*id) <= self.cursor);
        let (before, after) = watched.split_at(next);
        let in_turn = after.iter().chain(before).take(IN_TURN).map(|(id, _)| *id);
        wanted.extend(in_turn.inspect(|id| self.cursor = Some(*id)));
        let known = self.known(shared, &wanted).await?;
        let mut told = Vec::new();
        for row in wanted.into_iter().filter_map(|id| board.node(id)) {
            let (id, owner) = (row.id, row.owner);
            let summary = known.summary(shared, &row, shared.user_name(owner).await?);
            if self.nodes.get(&id).is_none_or(|last| !is_same(last, &summary)) {
                self.nodes.insert(id, summary.clone());
                told.push((owner, summary));
            }
        }
        Ok(told)
    }

    async fn known(&mut self, shared: &Shared, nodes: &BTreeSet<NodeId>) -> Result<Known, Status> {
        if self.earnings_at.is_none_or(|at| at.elapsed() >= EARNINGS_EVERY) {
            self.earnings = machine::earnings(shared, None).await?;
            self.earnings_at = Some(Instant::now());
        }
        let board = &shared.live.board;
        let standings = nodes.iter().filter_map(|id| Some((*id, board.standing(*id)?)));
        let pending = nodes.iter().filter_map(|id| Some((*id, *self.earnings.get(id)?)));
        Ok(Known {
            standings: standings.collect(),
            pending: pending.collect(),
            merits: machine::merits(shared, nodes.iter().copied().collect()).await?,
            pace: shared.monitor.pace(),
        })
    }
}

/// True where two summaries of a node differ in nothing but what moves by itself, and in figures by less than they are
/// shown with.
fn is_same(a: &NodeSummary, b: &NodeSummary) -> bool {
    let steady = |node: &NodeSummary| NodeSummary {
        seen_at_unix_ms: 0,
        runtime_ms: 0,
        next_level_ms: 0,
        cpu_usage: node.cpu_usage.round(),
        memory_usage: node.memory_usage.round(),
        disk_usage: node.disk_usage.round(),
        gpu_usage: node.gpu_usage.round(),
        temperature_celsius: node.temperature_celsius.round(),
        ..node.clone()
    };
    steady(a) == steady(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_by_itself_is_no_change() {
        let node = NodeSummary { node_id: "lab".into(), cpu_usage: 12.4, state: "online".into(), ..Default::default() };
        let later = NodeSummary { seen_at_unix_ms: 9, runtime_ms: 9, cpu_usage: 11.6, ..node.clone() };
        assert!(is_same(&node, &later));
        for other in [
            NodeSummary { cpu_usage: 13.0, ..node.clone() },
            NodeSummary { state: "silent".into(), ..node.clone() },
            NodeSummary { pending_micro: 1, ..node.clone() },
        ] {
            assert!(!is_same(&node, &other), "{other:?}");
        }
    }
}
