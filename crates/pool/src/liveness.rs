//! Who was heard from, and when: heartbeats end here and do not pass the writer.
//!
//! A table of shards holds the moment each node was last heard from, on the monotonic clock, and
//! its newest usage sample. One task looks for nodes that were silent for too long and tells the
//! engine. Start at [`Liveness::check`]. Time in which the pool itself was held up is nobody's silence.
//!
//! Invariant: one node's `Connected` and `Lost` are queued one after the other, never on a
//! picture that the other has changed.

use crate::shared::Followers;
use crate::writer::{Refused, Writer};
use hivemind_model::{Command, NodeId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::MutexGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SHARDS: usize = 64;

/// What a machine says it uses, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor.
    pub(crate) cpu: f32,
    /// Memory.
    pub(crate) memory: f32,
    /// Disk.
    pub(crate) disk: f32,
    /// Graphics processor.
    pub(crate) gpu: f32,
}

impl Usage {
    /// The field that is not a percentage, if one is not.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let fields = [
            ("cpu_usage", self.cpu),
            ("memory_usage", self.memory),
            ("disk_usage", self.disk),
            ("gpu_usage", self.gpu),
        ];
        fields.into_iter().find(|(_, value)| !(0.0..=100.0).contains(value)).map(|(name, _)| name)
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// When it was last heard from; `None` before the first time.
    heard: Option<Instant>,
    /// When it is lost; `None` where it has been told lost, or never was live.
    lost_at: Option<Instant>,
    usage: Usage,
}

/// See the module.
pub(crate) struct Liveness {
    shards: [Mutex<HashMap<NodeId, Entry>>; SHARDS],
    membership: [tokio::sync::Mutex<()>; SHARDS],
    lost_after: Duration,
}

impl Liveness {
    /// A table in which `nodes` have `lost_after` from now on to be heard from.
    pub(crate) fn new(lost_after: Duration, nodes: Vec<NodeId>) -> Self {
        let table = Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            membership: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            lost_after,
        };
        let deadline = Instant::now() + lost_after;
        for node in nodes {
            let entry = Entry { heard: None, lost_at: Some(deadline), usage: Usage::default() };
            table.shard(node).lock().insert(node, entry);
        }
        table
    }

    /// Hears from a node; its link is up.
    pub(crate) fn heard(&self, node: NodeId, usage: Option<Usage>) {
        let now = Instant::now();
        let mut shard = self.shard(node).lock();
        let entry = shard.entry(node).or_insert(Entry { heard: None, lost_at: None, usage: Usage::default() });
        entry.heard = Some(now);
        entry.lost_at = Some(now + self.lost_after);
        if let Some(usage) = usage {
            entry.usage = usage;
        }
    }

    /// Takes a usage sample that came beside the link; it is no sign of life.
    pub(crate) fn sample(&self, node: NodeId, usage: Usage) {
        self.shard(node).lock().entry(node).or_insert(Entry { heard: None, lost_at: None, usage }).usage = usage;
    }

    /// How long ago the node was heard from, and its newest sample.
    pub(crate) fn newest(&self, node: NodeId) -> (Option<Duration>, Usage) {
        let entry = self.shard(node).lock().get(&node).copied();
        entry.map_or((None, Usage::default()), |entry| (entry.heard.map(|heard| heard.elapsed()), entry.usage))
    }

    /// True where it was heard from and is not lost yet.
    pub(crate) fn in_time(&self, node: NodeId) -> bool {
        self.shard(node).lock().get(&node).is_some_and(|entry| entry.lost_at.is_some_and(|lost| lost > Instant::now()))
    }

    /// Held while a command about the node's coming or going is queued.
    pub(crate) async fn membership(&self, node: NodeId) -> MutexGuard<'_, ()> {
        self.membership[shard_of(node)].lock().await
    }

    /// Tells the engine of nodes that were silent for too long, until `stop` fires.
    pub(crate) async fn check(&self, writer: &Writer, live: &Followers, stop: CancellationToken) {
        let every = (self.lost_after / 40).clamp(Duration::from_millis(10), Duration::from_millis(250));
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                () = stop.cancelled() => return,
                due = ticks.tick() => due,
            };
            // Where this was held up, so was the hearing: what the nodes said may wait to be read.
            let held_up = due.elapsed();
            if held_up > every {
                self.forgive(held_up);
            }
            for node in self.overdue() {
                if let Err(refused) = self.lose(node, writer, live).await {
                    match refused {
                        Refused::Stopped => return,
                        other => tracing::error!(%node, error = %other, "a lost node was refused"),
                    }
                }
            }
        }
    }

    async fn lose(&self, node: NodeId, writer: &Writer, live: &Followers) -> Result<(), Refused> {
        let pending = {
            let _order = self.membership(node).await;
            if !self.take_overdue(node) {
                return Ok(());
            }
            tracing::warn!(%node, "node is lost: nothing was heard from it for {:?}", self.lost_after);
            live.links.close_node(node);
            live.figures.lost_one();
            live.watching.node_changed(node);
            writer.enqueue(Command::Lost { node }).await?
        };
        pending.reply().await.map(|_| ())
    }

    /// Gives every node so much more time.
    fn forgive(&self, held_up: Duration) {
        for shard in &self.shards {
            for entry in shard.lock().values_mut() {
                entry.lost_at = entry.lost_at.map(|lost| lost + held_up);
            }
        }
    }

    fn overdue(&self) -> Vec<NodeId> {
        let now = Instant::now();
        let late = |entry: &Entry| entry.lost_at.is_some_and(|lost| lost <= now);
        self.shards
            .iter()
            .flat_map(|shard| {
                shard.lock().iter().filter(|(_, entry)| late(entry)).map(|(node, _)| *node).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Takes the deadline of a node that is still overdue.
    fn take_overdue(&self, node: NodeId) -> bool {
        let mut shard = self.shard(node).lock();
        let Some(entry) = shard.get_mut(&node) else { return false };
        let late = entry.lost_at.is_some_and(|lost| lost <= Instant::now());
        if late {
            entry.lost_at = None;
        }
        late
    }

    fn shard(&self, node: NodeId) -> &Mutex<HashMap<NodeId, Entry>> {
        &self.shards[shard_of(node)]
    }
}

fn shard_of(node: NodeId) -> usize {
    usize::try_from(node.0 % SHARDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_was_held_up_gives_its_nodes_that_time() {
        let (silent, gone) = (NodeId(1), NodeId(2));
        let liveness = Liveness::new(Duration::ZERO, vec![silent]);
        liveness.sample(gone, Usage::default());
        assert_eq!(liveness.overdue(), [silent]);
        liveness.forgive(Duration::from_secs(3600));
        assert!(liveness.overdue().is_empty() && liveness.in_time(silent) && !liveness.in_time(gone));
    }
}
