//! What room there is in the course of a pass.
//!
//! Candidates are searched once for each need and kept until they are full. The index learns of changed nodes only when
//! they are many: until then it has more of them than there is, and a search looks at what they really are. Start at
//! [`Rooms::place`].
//!
//! Invariant: takes nothing that is not free, and nothing of an owner that is excluded.

use crate::fleet::{Fleet, Indexes, Search};
use crate::score::{Score, lacking, mix, score};
use crate::{NodeView, Waiting};
use hivemind_model::spec::Need;
use hivemind_model::{NodeId, Resources, UserId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How many nodes with room are compared.
const CANDIDATES: usize = 16;
/// How many nodes are compared for one to keep free.
const COMPARED_TO_RESERVE: usize = 64;
/// How many sets of owners are remembered, for each need, to leave no node.
const BARREN_SETS: usize = 64;
/// Changed nodes that the index need not know of.
const STALE: usize = 16;
/// Nodes that are turned down for an element's own sake, for each need in a pass, beside as many as there are.
const LOOKS: usize = 256;

/// Nodes that the pass has changed. A change only takes, so that a search by what they were finds them as well.
#[derive(Default)]
struct Changed(BTreeMap<NodeId, Arc<NodeView>>);

impl Changed {
    /// What a node that a search shows is by now; `None`: as it is shown.
    fn get(&self, node: &NodeView) -> Option<&NodeView> {
        self.0.get(&node.id).map(Arc::as_ref)
    }

    fn now<'n>(&'n self, node: &'n NodeView) -> &'n NodeView {
        self.get(node).unwrap_or(node)
    }
}

/// The nodes as they are after what the pass has placed.
struct Nodes<'a> {
    fleet: &'a Fleet,
    indexes: Indexes,
    changed: Changed,
    /// What the index still has of some of those.
    stale: BTreeMap<NodeId, Arc<NodeView>>,
    seed: u64,
}

impl Nodes<'_> {
    fn get(&self, id: NodeId) -> Option<&Arc<NodeView>> {
        self.changed.0.get(&id).or_else(|| self.fleet.shared(id))
    }

    fn change(&mut self, id: NodeId, free: Resources, waits: u32) {
        let Some(node) = self.get(id).cloned() else { return };
        let changed = Arc::new(NodeView { free, waits, ..NodeView::clone(&node) });
        self.changed.0.insert(id, changed);
        self.stale.entry(id).or_insert(node);
    }

    /// The index, and what it does not know.
    fn search(&mut self) -> (&Indexes, &Changed) {
        if self.stale.len() > STALE {
            while let Some((id, old)) = self.stale.pop_first() {
                if let Some(new) = self.changed.0.get(&id) {
                    self.indexes.moved(&old, new);
                }
            }
        }
        (&self.indexes, &self.changed)
    }

    /// How a need fits on a node now.
    fn score(&self, id: NodeId, need: &Need) -> Option<Score> {
        score(self.get(id)?, need, 0, self.seed)
    }
}

/// What a pass knows of a need. What is hopeless stays so, as a pass only takes.
struct Known {
    search: Search,
    /// Nodes with room, best first; scores may be older than what has been placed since.
    candidates: BinaryHeap<Reverse<Score>>,
    /// No node has room.
    full: bool,
    /// No node lets such a thing wait.
    no_backlog: bool,
    /// No node could run it when idle.
    no_node: bool,
    /// How many more nodes are turned down for an element's own sake.
    looks: usize,
    /// Sets of excluded owners that leave no node with room.
    barren: BTreeSet<Vec<UserId>>,
}

impl Known {
    /// True where some node has room; searches for candidates where there are none any more.
    fn has_room(&mut self, nodes: &mut Nodes<'_>) -> bool {
        while !self.full {
            let Some(Reverse(top)) = self.candidates.peek() else {
                self.refill(nodes);
                continue;
            };
            if nodes.score(top.node, &self.search.need).is_some() {
                return true;
            }
            self.candidates.pop();
        }
        false
    }

    fn refill(&mut self, nodes: &mut Nodes<'_>) {
        let (seed, candidates) = (nodes.seed, &mut self.candidates);
        let (indexes, changed) = nodes.search();
        indexes.with_room(&self.search, mix(seed), &mut |node| {
            candidates.extend(score(changed.now(node), &self.search.need, 0, seed).map(Reverse));
            if candidates.len() < CANDIDATES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.full = self.candidates.is_empty();
    }

    /// Takes the best node for an element out of the candidates.
    fn choose(&mut self, nodes: &mut Nodes<'_>, waiting: &Waiting<'_>) -> Option<NodeId> {
        if !self.has_room(nodes) || self.barren.contains(waiting.not_owners) {
            return None;
        }
        if !waiting.inputs.is_empty()
            && let Some(node) = self.choose_by_inputs(nodes, waiting)
        {
            return Some(node);
        }
        let mut avoided: Vec<(usize, Score)> = Vec::new();
        let mut excluded: Vec<Score> = Vec::new();
        let mut chosen = None;
        while let Some(Reverse(known)) = self.candidates.pop() {
            let Some(node) = nodes.get(known.node) else { continue };
            let Some(fresh) = score(node, &self.search.need, 0, nodes.seed) else { continue };
            if fresh != known {
                self.candidates.push(Reverse(fresh));
            } else if waiting.not_owners.contains(&node.owner) {
                excluded.push(fresh);
            } else {
                match failures(waiting, fresh.node) {
                    0 => {
                        chosen = Some(fresh.node);
                        break;
                    }
                    failures => avoided.push((failures, fresh)),
                }
            }
        }
        // All candidates have something against them: look for one that has nothing.
        if chosen.is_none() {
            chosen = self.search_for(nodes, waiting, avoided.iter().min().copied());
        }
        let aside = excluded.into_iter().chain(avoided.into_iter().map(|(_, score)| score));
        self.candidates.extend(aside.filter(|score| Some(score.node) != chosen).map(Reverse));
        chosen
    }

    /// The candidate that has most of the inputs, if one has nothing against it.
    fn choose_by_inputs(&mut self, nodes: &Nodes<'_>, waiting: &Waiting<'_>) -> Option<NodeId> {
        let scored = |Reverse(candidate): &Reverse<Score>| {
            let node = nodes.get(candidate.node)?;
            if waiting.not_owners.contains(&node.owner) || failures(waiting, node.id) > 0 {
                return None;
            }
            let missing = waiting.inputs.iter().filter(|input| !node.inputs.has(input.key));
            let bytes = missing.fold(0u64, |sum, input| sum.saturating_add(input.bytes));
            score(node, &self.search.need, bytes, nodes.seed)
        };
        let best = self.candidates.iter().filter_map(scored).min()?.node;
        self.candidates.retain(|Reverse(candidate)| candidate.node != best);
        Some(best)
    }

    /// Searches all nodes with room for those that an element may have: the best where it has not failed, or the one where
    /// it failed least; `known` is what is known of the latter.
    fn search_for(
        &mut self,
        nodes: &mut Nodes<'_>,
        waiting: &Waiting<'_>,
        known: Option<(usize, Score)>,
    ) -> Option<NodeId> {
        let (seed, need) = (nodes.seed, &self.search.need);
        let (looks, mut best, mut compared) = (&mut self.looks, known, 0);
        // Another start for each element, as what stands against them differs.
        let start = mix(seed ^ mix(waiting.rank.element().index.into()));
        let (indexes, changed) = nodes.search();
        indexes.with_room(&self.search, start, &mut |node| {
            let Some(score) = score(changed.now(node), need, 0, seed) else { return ControlFlow::Continue(()) };
            let failures = failures(waiting, node.id);
            let excluded = waiting.not_owners.contains(&node.owner);
            if !excluded {
                let this = (failures, score);
                best = Some(best.map_or(this, |best| best.min(this)));
            }
            let goes_on = if excluded || failures > 0 {
                *looks = looks.saturating_sub(1);
                *looks > 0
            } else {
                compared += 1;
                compared < CANDIDATES
            };
            if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if best.is_none() && self.barren.len() < BARREN_SETS {
            self.barren.insert(waiting.not_owners.to_vec());
        }
        best.map(|(_, score)| score.node)
    }

    /// The node that takes most into its backlog, of those where it has failed least.
    fn choose_backlog(&mut self, nodes: &mut Nodes<'_>, waiting: &Waiting<'_>) -> Option<NodeId> {
        if self.no_backlog {
            return None;
        }
        let (looks, mut any, mut best) = (&mut self.looks, false, None::<(usize, Reverse<u32>, NodeId)>);
        let (indexes, changed) = nodes.search();
        indexes.with_backlog(&self.search, &mut |node| {
            let waits = changed.now(node).waits;
            any |= waits > 0;
            if waits > 0 && !waiting.not_owners.contains(&node.owner) {
                let this = (failures(waiting, node.id), Reverse(waits), node.id);
                if best.is_none_or(|best| (this.0, this.1) < (best.0, best.1)) {
                    best = Some(this);
                }
                // Those that come after one that is as it is shown take no more than that.
                if best.is_some_and(|(failures, _, _)| failures == 0) && changed.get(node).is_none() {
                    return ControlFlow::Break(());
                }
            }
            *looks = looks.saturating_sub(1);
            if *looks > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.no_backlog = !any && *looks > 0;
        best.map(|(_, _, node)| node)
    }

    fn has_backlog(&mut self, nodes: &mut Nodes<'_>) -> bool {
        if !self.no_backlog {
            let mut any = false;
            let (indexes, changed) = nodes.search();
            indexes.with_backlog(&self.search, &mut |node| {
                any = changed.now(node).waits > 0;
                if any { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            self.no_backlog = !any;
        }
        !self.no_backlog
    }
}

/// How often an element failed on a node.
fn failures(waiting: &Waiting<'_>, node: NodeId) -> usize {
    waiting.failed_on.iter().filter(|&&failed| failed == node).count()
}

/// The nodes, and what the pass knows of each need.
pub(super) struct Rooms<'a> {
    nodes: Nodes<'a>,
    known: Vec<Known>,
    by_need: BTreeMap<Need, usize>,
}

impl<'a> Rooms<'a> {
    pub(super) fn new(fleet: &'a Fleet, seed: u64) -> Self {
        let (changed, stale) = (Changed::default(), BTreeMap::new());
        let nodes = Nodes { fleet, indexes: fleet.indexes(), changed, stale, seed };
        Self { nodes, known: Vec::new(), by_need: BTreeMap::new() }
    }

    /// The number by which a need is known in this pass.
    pub(super) fn know(&mut self, need: Need) -> usize {
        if let Some(known) = self.by_need.get(&need) {
            return *known;
        }
        self.known.push(Known {
            search: Search::new(need.clone()),
            candidates: BinaryHeap::new(),
            full: false,
            no_backlog: false,
            no_node: false,
            looks: self.nodes.fleet.len().saturating_add(LOOKS),
            barren: BTreeSet::new(),
        });
        self.by_need.insert(need, self.known.len() - 1);
        self.known.len() - 1
    }

    /// The need of a number.
    pub(super) fn need(&self, known: usize) -> &Need {
        &self.known[known].search.need
    }

    /// A node as it is now.
    pub(super) fn node(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.get(id).map(Arc::as_ref)
    }

    /// True where no node has room for it and none lets it wait.
    pub(super) fn is_hopeless(&mut self, known: usize) -> bool {
        let known = &mut self.known[known];
        !known.has_room(&mut self.nodes) && !known.has_backlog(&mut self.nodes)
    }

    /// True where no node has room for `least`, and none lets it wait.
    pub(super) fn is_spent(&mut self, least: &Search) -> bool {
        let ((indexes, changed), mut any) = (self.nodes.search(), false);
        indexes.with_room(least, 0, &mut |node| {
            any = changed.now(node).has_room(&least.need);
            if any { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if !any {
            indexes.with_backlog(least, &mut |node| {
                any = changed.now(node).waits > 0;
                if any { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        !any
    }

    /// Takes room for an element on its best node.
    pub(super) fn place(&mut self, known: usize, waiting: &Waiting<'_>) -> Option<NodeId> {
        let known = &mut self.known[known];
        let id = known.choose(&mut self.nodes, waiting)?;
        let node = self.nodes.get(id)?;
        let (free, waits) = (node.free.checked_sub(&known.search.need.resources)?, node.waits);
        self.nodes.change(id, free, waits);
        known.candidates.extend(self.nodes.score(id, &known.search.need).map(Reverse));
        Some(id)
    }

    /// Takes a place in the backlog of a node for an element.
    pub(super) fn place_in_backlog(&mut self, known: usize, waiting: &Waiting<'_>) -> Option<NodeId> {
        let id = self.known[known].choose_backlog(&mut self.nodes, waiting)?;
        let node = self.nodes.get(id)?;
        let (free, waits) = (node.free, node.waits.checked_sub(1)?);
        self.nodes.change(id, free, waits);
        Some(id)
    }

    /// Takes so much from what is free on a node; false where it is not there.
    pub(super) fn take(&mut self, id: NodeId, resources: &Resources) -> bool {
        let Some(node) = self.nodes.get(id) else { return false };
        let (free, waits) = (node.free.checked_sub(resources), node.waits);
        free.map(|free| self.nodes.change(id, free, waits)).is_some()
    }

    /// Lets nothing more be placed on a node in this pass.
    pub(super) fn block(&mut self, id: NodeId) {
        self.nodes.change(id, Resources::default(), 0);
    }

    /// Of the nodes with most CPU free that could run it when idle, the one that lacks the least, in parts of what is
    /// needed.
    pub(super) fn nearest_to_room(&mut self, known: usize, not_owners: &[UserId]) -> Option<NodeId> {
        let known = &mut self.known[known];
        if known.no_node {
            return None;
        }
        let (search, looks) = (&known.search, &mut known.looks);
        let (mut any, mut compared, mut best) = (false, 0, None::<(u128, NodeId)>);
        let (indexes, changed) = self.nodes.search();
        indexes.capable(search, &mut |node| {
            any = true;
            if not_owners.contains(&node.owner) {
                *looks = looks.saturating_sub(1);
            } else {
                let this = (lacking(&changed.now(node).free, &search.need.resources), node.id);
                best = Some(best.map_or(this, |best| best.min(this)));
                compared += 1;
            }
            if compared < COMPARED_TO_RESERVE && *looks > 0 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        known.no_node = !any;
        best.map(|(_, node)| node)
    }
}
