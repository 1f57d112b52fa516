//! One pass over the queue.
//!
//! Start at [`plan`]. A line (all that needs the same) is dropped from the pass as soon as no node
//! has room for it, so a pass costs its placements and the nodes it ranks, never the length of
//! the queue.
//!
//! Invariant: never puts more on a node than the snapshot says is free there.

use crate::score::{Score, score};
use crate::{Bounds, Line, NodeView, Placement, Plan, Rank, Snapshot, Waiting};
use hivemind_model::spec::Need;
use hivemind_model::{NodeId, Resources};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Chooses nodes for what waits in `snapshot`.
///
/// Elements are served by rank. Each goes to the node that it fits best: one where it has not
/// failed before, then the one that keeps the least of the resource it needs most. `seed`
/// decides only between nodes that are otherwise equal, so that load spreads over them. A node's
/// score is computed when its line first looks at it and again when it comes up.
///
/// Equal inputs give equal plans; ties end in the node id. The plan is a proposal: the engine
/// refuses any line whose capacity has gone.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>, bounds: Bounds, seed: u64) -> Plan {
    let mut pass = Pass::new(snapshot.nodes.clone(), bounds.placements, seed);
    let stopped = pass.run(snapshot, None, bounds.lines);
    let resume = match (stopped, snapshot.resume) {
        (None, _) => None,
        (Some(at), _) if pass.is_full() => Some(at),
        (Some(at), None) => Some(at),
        // The front is full of lines that do not fit: look further back in turns.
        (Some(at), Some(from)) => pass.run(snapshot, Some(from.max(at)), bounds.lines),
    };
    Plan { placements: pass.placements, resume }
}

/// A line that the pass has opened.
struct Open<'a> {
    need: Need,
    next: Waiting<'a>,
    rest: Box<dyn Iterator<Item = Waiting<'a>> + 'a>,
    /// Nodes with room, best first; scores may be older than what has been placed since.
    candidates: BinaryHeap<Reverse<(Score, usize)>>,
}

struct Pass {
    nodes: Vec<NodeView>,
    /// In every dimension at least what any node has free; it may be more.
    most_free: Resources,
    placements: Vec<Placement>,
    most: usize,
    seed: u64,
}

impl Pass {
    fn new(nodes: Vec<NodeView>, most: usize, seed: u64) -> Self {
        let most_free = nodes.iter().fold(Resources::default(), |most, node| largest(&most, &node.free));
        Self { nodes, most_free, placements: Vec::new(), most, seed }
    }

    /// Serves lines from `from` on; looks at no more than `lines`. `Some` is where it stopped.
    fn run<'a>(&mut self, snapshot: &Snapshot<'a>, from: Option<Rank>, lines: usize) -> Option<Rank> {
        let mut unopened = snapshot.queue.lines(from).peekable();
        let mut open: BinaryHeap<Reverse<(Rank, usize)>> = BinaryHeap::new();
        let mut store: Vec<Open<'a>> = Vec::new();
        let mut seen = 0;
        loop {
            let head = open.peek().map(|Reverse((rank, _))| *rank);
            if let Some(line) = unopened.next_if(|line| head.is_none_or(|head| line.head < head)) {
                if seen == lines || self.is_full() {
                    return Some(line.head);
                }
                seen += 1;
                let rank = line.head;
                if let Some(opened) = self.open(line) {
                    open.push(Reverse((rank, store.len())));
                    store.push(opened);
                }
                continue;
            }
            let Reverse((rank, index)) = open.pop()?;
            if self.is_full() {
                return Some(rank);
            }
            let line = &mut store[index];
            let Some(node) = self.take(line) else { continue };
            self.placements.push(Placement { element: line.next.rank.element(), node });
            if let Some(next) = line.rest.next() {
                line.next = next;
                open.push(Reverse((next.rank, index)));
            }
        }
    }

    /// Ranks the nodes for a line; `None` where no node has room.
    fn open<'a>(&self, line: Line<'a>) -> Option<Open<'a>> {
        if !self.most_free.covers(&line.need.resources) {
            return None;
        }
        let fits = |(index, node)| score(node, &line.need, self.seed).map(|score| Reverse((score, index)));
        let candidates: BinaryHeap<_> = self.nodes.iter().enumerate().filter_map(fits).collect();
        if candidates.is_empty() {
            return None;
        }
        let mut rest = line.waiting;
        Some(Open { need: line.need, next: rest.next()?, rest, candidates })
    }

    /// Takes room for the next element of `line` on its best node.
    fn take(&mut self, line: &mut Open<'_>) -> Option<NodeId> {
        let mut avoided: Vec<(usize, Score, usize)> = Vec::new();
        let mut chosen = None;
        while let Some(Reverse((known, index))) = line.candidates.pop() {
            let Some(fresh) = score(&self.nodes[index], &line.need, self.seed) else { continue };
            if fresh != known {
                line.candidates.push(Reverse((fresh, index)));
                continue;
            }
            let id = self.nodes[index].id;
            match line.next.failed_on.iter().filter(|&&node| node == id).count() {
                0 => {
                    chosen = Some(index);
                    break;
                }
                failures => avoided.push((failures, fresh, index)),
            }
        }
        avoided.sort_unstable();
        let fallback = if chosen.is_none() { avoided.first().map(|(_, _, index)| *index) } else { None };
        let chosen = chosen.or(fallback);
        line.candidates.extend(
            avoided
                .into_iter()
                .filter(|(_, _, index)| Some(*index) != chosen)
                .map(|(_, score, index)| Reverse((score, index))),
        );
        let index = chosen?;
        let node = &mut self.nodes[index];
        node.free = node.free.checked_sub(&line.need.resources)?;
        if let Some(score) = score(node, &line.need, self.seed) {
            line.candidates.push(Reverse((score, index)));
        }
        Some(node.id)
    }

    fn is_full(&self) -> bool {
        self.placements.len() >= self.most
    }
}

/// The larger of both in every dimension.
pub(crate) fn largest(a: &Resources, b: &Resources) -> Resources {
    Resources {
        cpu: a.cpu.max(b.cpu),
        memory: a.memory.max(b.memory),
        disk: a.disk.max(b.disk),
        gpus: a.gpus.max(b.gpus),
    }
}

#[cfg(test)]
mod tests;
