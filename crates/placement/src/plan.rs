//! One pass over the queue.
//!
//! Start at [`plan`]. A line (all of a requester that needs the same) is dropped from the pass as
//! soon as no node has room for it, and nodes are ranked once per need, so a pass costs its
//! placements and the nodes it ranks, never the length of the queue.
//!
//! Invariant: never puts more on a node than the snapshot says is free there.

use crate::score::{Score, score};
use crate::{Bounds, Cursor, Line, NodeView, Placement, Plan, Rank, Reservation, Snapshot, Turn, Waiting};
use hivemind_model::spec::Need;
use hivemind_model::{NodeId, Resources, Timestamp, UserId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::iter::Peekable;

/// Chooses nodes for what waits in `snapshot`.
///
/// Each placement goes to the requester who has used least, with what this pass gave them counted
/// (so shares even out within a pass as well as over days), and there to the element of the
/// smallest rank. It goes to the node that it fits best: one where it has not failed before, then the
/// one that keeps the least of the resource it needs most, then one of a preferred level. `seed` decides
/// only between nodes that are otherwise equal, so that load spreads over them.
///
/// An element that has waited for long and finds no room gets one node reserved: nothing else is placed
/// there until it fits, so that what is large does not starve behind what is small.
///
/// Equal inputs give equal plans; ties end in the node id. The plan is a proposal: the engine
/// refuses any line whose capacity has gone.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>, bounds: Bounds, seed: u64) -> Plan {
    let mut pass = Pass::new(snapshot, bounds.placements, seed);
    let stopped = pass.run(snapshot, None, bounds.lines);
    let resume = match (stopped, snapshot.resume) {
        (None, _) => None,
        (Some(at), _) if pass.is_full() => Some(at),
        (Some(at), None) => Some(at),
        // The front is full of lines that do not fit: look further back in turns.
        (Some(at), Some(from)) => pass.run(snapshot, Some(from.max(at)), bounds.lines),
    };
    Plan { placements: pass.placements, reserved: pass.reserved, resume }
}

/// A line that the pass has opened.
struct Open<'a> {
    need: Need,
    next: Waiting<'a>,
    rest: Box<dyn Iterator<Item = Waiting<'a>> + 'a>,
}

/// A requester whose turn may come in this pass.
struct Requester<'a> {
    turn: Turn,
    unopened: Peekable<Box<dyn Iterator<Item = Line<'a>> + 'a>>,
    heads: BinaryHeap<Reverse<(Rank, usize)>>,
    open: Vec<Open<'a>>,
}

/// What came of a requester's turn.
enum Served {
    Placed(Need),
    Nothing,
    Stopped(Rank),
}

/// Nodes with room for a need, best first; scores may be older than what has been placed since.
type Candidates = BinaryHeap<Reverse<(Score, usize)>>;

struct Pass {
    nodes: Vec<NodeView>,
    /// By need; empty where no node has room any more.
    candidates: BTreeMap<Need, Candidates>,
    placements: Vec<Placement>,
    reserved: Option<Reservation>,
    reserve_before: Timestamp,
    most: usize,
    seed: u64,
}

impl Pass {
    fn new(snapshot: &Snapshot<'_>, most: usize, seed: u64) -> Self {
        let mut pass = Self {
            nodes: snapshot.nodes.clone(),
            candidates: BTreeMap::new(),
            placements: Vec::new(),
            reserved: None,
            reserve_before: snapshot.reserve_before,
            most,
            seed,
        };
        if let Some(reserved) = snapshot.reserved.clone() {
            pass.keep(reserved);
        }
        pass
    }

    /// Serves what a node was reserved for, or keeps it reserved.
    fn keep(&mut self, reserved: Reservation) {
        let node = self.nodes.iter_mut().find(|node| node.id == reserved.node);
        match node {
            Some(node) if node.has_room(&reserved.need) => {
                if let Some(free) = node.free.checked_sub(&reserved.need.resources) {
                    node.free = free;
                    self.placements.push(Placement { element: reserved.rank.element(), node: reserved.node });
                }
            }
            Some(node) => {
                node.free = Resources::default();
                self.reserved = Some(reserved);
            }
            None => self.reserved = Some(reserved),
        }
    }

    /// Serves requesters from `from` on; looks at no more than `lines`. `Some` is where it stopped.
    fn run(&mut self, snapshot: &Snapshot<'_>, from: Option<Cursor>, lines: usize) -> Option<Cursor> {
        let mut waiting = snapshot.queue.turns(from.map(|from| from.turn)).peekable();
        let mut turns: BinaryHeap<Reverse<(Turn, usize)>> = BinaryHeap::new();
        let mut requesters: Vec<Requester<'_>> = Vec::new();
        let mut left = lines;
        loop {
            let head = turns.peek().map(|Reverse((turn, _))| *turn);
            if let Some(turn) = waiting.next_if(|turn| head.is_none_or(|head| *turn < head)) {
                let rank = from.filter(|from| from.turn == turn).map(|from| from.rank);
                let unopened = snapshot.queue.lines(turn.user, rank).peekable();
                turns.push(Reverse((turn, requesters.len())));
                requesters.push(Requester { turn, unopened, heads: BinaryHeap::new(), open: Vec::new() });
                continue;
            }
            let Reverse((_, index)) = turns.pop()?;
            let requester = &mut requesters[index];
            match self.serve(requester, &mut left) {
                Served::Placed(need) => {
                    requester.turn.used = requester.turn.used.saturating_add((snapshot.cost)(&need));
                    turns.push(Reverse((requester.turn, index)));
                }
                Served::Nothing => {}
                Served::Stopped(rank) => return Some(Cursor { turn: requester.turn, rank }),
            }
        }
    }

    /// Places the next element of a requester.
    fn serve(&mut self, requester: &mut Requester<'_>, lines: &mut usize) -> Served {
        loop {
            let head = requester.heads.peek().map(|Reverse((rank, _))| *rank);
            if let Some(line) = requester.unopened.next_if(|line| head.is_none_or(|head| line.head < head)) {
                if *lines == 0 || self.is_full() {
                    return Served::Stopped(line.head);
                }
                *lines -= 1;
                let (rank, need, mut rest) = (line.head, line.need, line.waiting);
                if self.is_hopeless(&need) {
                    self.reserve(requester.turn.user, rank, need);
                } else if let Some(next) = rest.next() {
                    requester.heads.push(Reverse((rank, requester.open.len())));
                    requester.open.push(Open { need, next, rest });
                }
                continue;
            }
            let Some(Reverse((rank, index))) = requester.heads.pop() else { return Served::Nothing };
            if self.is_full() {
                return Served::Stopped(rank);
            }
            let line = &mut requester.open[index];
            let Some(node) = self.take(line) else {
                let need = line.need.clone();
                self.reserve(requester.turn.user, rank, need);
                continue;
            };
            self.placements.push(Placement { element: line.next.rank.element(), node });
            let need = line.need.clone();
            if let Some(next) = line.rest.next() {
                line.next = next;
                requester.heads.push(Reverse((next.rank, index)));
            }
            return Served::Placed(need);
        }
    }

    /// True where no node has room for such an element; ranks the nodes the first time.
    fn is_hopeless(&mut self, need: &Need) -> bool {
        let (nodes, seed) = (&self.nodes, self.seed);
        let candidates = self.candidates.entry(need.clone()).or_insert_with(|| {
            let fits = |(index, node)| score(node, need, seed).map(|score| Reverse((score, index)));
            nodes.iter().enumerate().filter_map(fits).collect()
        });
        candidates.is_empty()
    }

    /// Takes room for the next element of `line` on its best node.
    fn take(&mut self, line: &Open<'_>) -> Option<NodeId> {
        let candidates = self.candidates.get_mut(&line.need)?;
        let mut avoided: Vec<(usize, Score, usize)> = Vec::new();
        let mut chosen = None;
        while let Some(Reverse((known, index))) = candidates.pop() {
            let Some(fresh) = score(&self.nodes[index], &line.need, self.seed) else { continue };
            if fresh != known {
                candidates.push(Reverse((fresh, index)));
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
        candidates.extend(
            avoided
                .into_iter()
                .filter(|(_, _, index)| Some(*index) != chosen)
                .map(|(_, score, index)| Reverse((score, index))),
        );
        let index = chosen?;
        let node = &mut self.nodes[index];
        node.free = node.free.checked_sub(&line.need.resources)?;
        if let Some(score) = score(node, &line.need, self.seed) {
            candidates.push(Reverse((score, index)));
        }
        Some(node.id)
    }

    /// Reserves a node for an element that found no room, if it has waited for long and no other has one:
    /// the node that lacks the least, in parts of what is needed.
    fn reserve(&mut self, user: UserId, rank: Rank, need: Need) {
        if self.reserved.is_some() || rank.since() > self.reserve_before {
            return;
        }
        let capable = self.nodes.iter_mut().filter(|node| node.could_run(&need));
        if let Some(node) = capable.min_by_key(|node| (lacking(&node.free, &need.resources), node.id)) {
            node.free = Resources::default();
            self.reserved = Some(Reservation { user, rank, need, node: node.id });
        }
    }

    fn is_full(&self) -> bool {
        self.placements.len() >= self.most
    }
}

/// The largest part of what is needed that is not free, in millionths.
fn lacking(free: &Resources, need: &Resources) -> u128 {
    let part = |free: u64, need: u64| match need {
        0 => 0,
        _ => u128::from(need.saturating_sub(free)) * 1_000_000 / u128::from(need),
    };
    let parts = [
        part(free.cpu.0.into(), need.cpu.0.into()),
        part(free.memory.0, need.memory.0),
        part(free.disk.0, need.disk.0),
        part(free.gpus.into(), need.gpus.into()),
    ];
    parts.into_iter().max().unwrap_or_default()
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
