//! What waits, by the reason why it does and by age.
//!
//! The line of what waits is walked in pieces; its tasks are put together by what they need, and of the needs of the most
//! elements it is found out why nothing takes them, on a copy of the nodes, so that neither the writer nor the board is
//! kept. Start at [`queue`].
//!
//! Invariant: however many ask, the work is done once a second, and for a tenth of the time at most.

use crate::board::Line;
use crate::shared::Shared;
use crate::status;
use hivemind_model::spec::Need;
use hivemind_model::{Millis, TaskId, Timestamp};
use hivemind_placement::{Fleet, prospects};
use hivemind_proto::v1::{QueueAge, QueueGroup, QueueResponse};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;

/// Tasks that are taken off the board at once.
const PIECE: usize = 4096;
/// Needs that are told apart; a pool has fewer kinds of work than that.
const MOST_NEEDS: usize = 1024;
/// Needs for which every node is looked at.
const MOST_LOOKED_AT: usize = 64;
const MINUTE: Millis = Millis::from_secs(60);
/// Ages, youngest first; the last has no bound.
const AGES: [(&str, Millis); 6] = [
    ("under 1 minute", MINUTE),
    ("under 10 minutes", Millis(10 * MINUTE.0)),
    ("under 1 hour", Millis(60 * MINUTE.0)),
    ("under 1 day", Millis(24 * 60 * MINUTE.0)),
    ("under 1 week", Millis(7 * 24 * 60 * MINUTE.0)),
    ("1 week and older", Millis(u64::MAX)),
];

/// What waits now, no older than a second, or, where that takes long, than ten times as long as it takes.
pub(super) async fn queue(shared: &Shared) -> Result<Arc<QueueResponse>, Status> {
    shared.live.figures.queue.get(async || look(shared).await).await
}

async fn look(shared: &Shared) -> Result<QueueResponse, Status> {
    let mut found = Found::new(shared.clock.now());
    let mut after = None;
    loop {
        let lines = shared.live.board.waiting(after, PIECE);
        let Some(last) = lines.last() else { break };
        after = Some((last.since, last.task));
        lines.iter().for_each(|line| found.add(line));
        tokio::task::yield_now().await;
    }
    let (fleet, idle) = shared.writer.fleet().await.map_err(|refused| status::refused(&refused))?;
    let told = tokio::task::spawn_blocking(move || found.told(&fleet, idle)).await;
    told.map_err(|error| {
        tracing::error!(%error, "what waits could not be put together");
        Status::internal("E_INTERNAL: what waits could not be put together, which is a bug; ask again")
    })
}

/// Tasks that wait for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heap {
    tasks: u64,
    elements: u64,
    oldest: (Timestamp, TaskId),
}

impl Heap {
    fn of(line: &Line) -> Self {
        Self { tasks: 1, elements: line.elements, oldest: (line.since, line.task) }
    }

    fn join(&mut self, other: &Self) {
        self.tasks += other.tasks;
        self.elements = self.elements.saturating_add(other.elements);
        self.oldest = self.oldest.min(other.oldest);
    }
}

fn join<K: Ord>(heaps: &mut BTreeMap<K, Heap>, key: K, heap: &Heap) {
    heaps.entry(key).and_modify(|there| there.join(heap)).or_insert(*heap);
}

struct Found {
    now: Timestamp,
    needs: BTreeMap<Need, Heap>,
    blocked: Option<Heap>,
    /// Of needs beyond those that are told apart.
    rest: Option<Heap>,
    ages: [u64; AGES.len()],
}

impl Found {
    fn new(now: Timestamp) -> Self {
        Self { now, needs: BTreeMap::new(), blocked: None, rest: None, ages: [0; AGES.len()] }
    }

    fn add(&mut self, line: &Line) {
        let age = self.now.since(line.since);
        let place = AGES.iter().position(|(_, below)| age < *below).unwrap_or(AGES.len() - 1);
        self.ages[place] = self.ages[place].saturating_add(line.elements);
        let heap = Heap::of(line);
        if line.is_blocked {
            return add(&mut self.blocked, heap);
        }
        // The image only makes some nodes better than others.
        let need = Need { image: 0, ..line.spec.need() };
        if self.needs.len() < MOST_NEEDS || self.needs.contains_key(&need) {
            join(&mut self.needs, need, &heap);
        } else {
            add(&mut self.rest, heap);
        }
    }

    /// In words; `idle` nodes are linked beside the `fleet` and are given nothing now.
    fn told(mut self, fleet: &Fleet, idle: usize) -> QueueResponse {
        let mut needs: Vec<(Need, Heap)> = std::mem::take(&mut self.needs).into_iter().collect();
        needs.sort_by_key(|(_, heap)| std::cmp::Reverse(heap.elements));
        let mut groups: BTreeMap<(&'static str, String), Heap> = BTreeMap::new();
        for (need, heap) in needs.iter().take(MOST_LOOKED_AT) {
            let told = prospects(fleet.iter(), need);
            let more = match idle {
                0 => String::new(),
                _ if told.capable > 0 => String::new(),
                1 => {
                    "; 1 more node is linked and is given nothing now: it rests, or its owner or the pool keeps it back"
                        .into()
                }
                more => format!(
                    "; {more} more nodes are linked and are given nothing now: they rest, or their owners or the pool keep them back"
                ),
            };
            join(&mut groups, (told.why.as_str(), format!("{}{more}", told.why)), heap);
        }
        needs.iter().skip(MOST_LOOKED_AT).for_each(|(_, heap)| add(&mut self.rest, *heap));
        if let Some(heap) = self.blocked {
            join(&mut groups, ("blocked", "waits for another task to end".into()), &heap);
        }
        if let Some(heap) = self.rest {
            let why = "asks for something that few others ask for; ask for the reason of one of these tasks";
            join(&mut groups, ("other", why.into()), &heap);
        }
        self.answer(groups)
    }

    fn answer(&self, groups: BTreeMap<(&'static str, String), Heap>) -> QueueResponse {
        let sum = |of: fn(&Heap) -> u64| groups.values().map(of).fold(0, u64::saturating_add);
        let (elements, tasks) = (wire(sum(|heap| heap.elements)), wire(sum(|heap| heap.tasks)));
        let group = |((kind, reason), heap): ((&'static str, String), Heap)| QueueGroup {
            kind: kind.into(),
            reason,
            tasks: wire(heap.tasks),
            elements: wire(heap.elements),
            oldest_ms: wire(self.now.since(heap.oldest.0).0),
            example_task_id: heap.oldest.1.to_string(),
        };
        let mut groups: Vec<QueueGroup> = groups.into_iter().map(group).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.elements));
        let ages = AGES.iter().zip(self.ages);
        let ages = ages.map(|((age, _), elements)| QueueAge { age: (*age).into(), elements: wire(elements) });
        QueueResponse { groups, ages: ages.collect(), elements, tasks, at_unix_ms: self.now.0 }
    }
}

fn add(to: &mut Option<Heap>, heap: Heap) {
    match to {
        Some(there) => there.join(&heap),
        None => *to = Some(heap),
    }
}

fn wire(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
