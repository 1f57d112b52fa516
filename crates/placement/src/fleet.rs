//! The nodes that take work, kept between passes.
//!
//! Their keeper says what changes; a pass finds what it looks for without a look at the others. Start at
//! [`Fleet::set`], read on at [`Search`].
//!
//! Invariant: what is indexed is what was set last; a search tells of nodes only that it was allowed to tell of.

use crate::NodeView;
use crate::index::{Index, Key, Most, label_bits};
use hivemind_model::spec::Need;
use hivemind_model::{NodeId, Resources};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Every node that takes work, full or not.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    nodes: BTreeMap<NodeId, Arc<NodeView>>,
    indexes: Indexes,
}

impl PartialEq for Fleet {
    /// The same nodes; the indexes follow from them.
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes
    }
}

impl Fleet {
    /// Adds a node, or puts it in the place of what was known of it.
    pub fn set(&mut self, node: NodeView) {
        let node = Arc::new(node);
        let old = self.nodes.insert(node.id, node.clone());
        self.indexes.put(old.as_deref(), Some(&node));
    }

    /// Says what is free on a node; nothing changes where it is not there.
    pub fn set_free(&mut self, id: NodeId, free: Resources) {
        let Some(entry) = self.nodes.get_mut(&id).filter(|node| node.free != free) else { return };
        let old = entry.clone();
        *entry = Arc::new(NodeView { free, ..NodeView::clone(&old) });
        self.indexes.moved(&old, entry);
    }

    /// Says how many more elements a node takes into its backlog; nothing changes where it is not there.
    pub fn set_waits(&mut self, id: NodeId, waits: u32) {
        let Some(entry) = self.nodes.get_mut(&id).filter(|node| node.waits != waits) else { return };
        let old = entry.clone();
        *entry = Arc::new(NodeView { waits, ..NodeView::clone(&old) });
        self.indexes.moved(&old, entry);
    }

    /// Takes a node out, where it is there.
    pub fn remove(&mut self, id: NodeId) {
        if let Some(old) = self.nodes.remove(&id) {
            self.indexes.put(Some(&old), None);
        }
    }

    /// What is known of a node.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.get(&id).map(Arc::as_ref)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.values().map(Arc::as_ref)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True where there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) fn shared(&self, id: NodeId) -> Option<&Arc<NodeView>> {
        self.nodes.get(&id)
    }

    /// An index for a pass to change as it places.
    pub(crate) fn indexes(&self) -> Indexes {
        self.indexes.clone()
    }
}

impl FromIterator<NodeView> for Fleet {
    fn from_iter<T: IntoIterator<Item = NodeView>>(nodes: T) -> Self {
        let mut fleet = Self::default();
        nodes.into_iter().for_each(|node| fleet.set(node));
        fleet
    }
}

/// Nodes by what is free and by what they let wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Indexes {
    /// Those without GPUs, by free CPU.
    plain: Index,
    /// Those with GPUs, by free CPU.
    gpu: Index,
    /// Those that take something into their backlog, by how much. What is free is not kept up to date here.
    waits: Index,
}

/// What a search looks for.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) need: Need,
    labels: u64,
}

impl Search {
    pub(crate) fn new(need: Need) -> Self {
        Self { labels: label_bits(&need.labels), need }
    }

    fn may_fit(&self, most: &Most) -> bool {
        most.free.covers(&self.need.resources) && most.may_admit(&self.need, self.labels)
    }

    fn may_run(&self, most: &Most) -> bool {
        most.capacity.covers(&self.need.resources) && most.may_admit(&self.need, self.labels)
    }
}

impl Indexes {
    /// Puts a node in the place of another or of none, or takes it out.
    fn put(&mut self, old: Option<&NodeView>, new: Option<&Arc<NodeView>>) {
        if let Some(old) = old {
            self.by_free(old).remove(free_key(old));
            self.waits.remove(waits_key(old));
        }
        if let Some(new) = new {
            self.by_free(new).insert(free_key(new), new.clone());
            if new.waits > 0 {
                self.waits.insert(waits_key(new), new.clone());
            }
        }
    }

    /// As [`Indexes::put`], where no more has changed than what is free and how much waits.
    pub(crate) fn moved(&mut self, old: &NodeView, new: &Arc<NodeView>) {
        if old.free != new.free {
            let index = self.by_free(old);
            index.remove(free_key(old));
            index.insert(free_key(new), new.clone());
        }
        if old.waits != new.waits {
            self.waits.remove(waits_key(old));
            if new.waits > 0 {
                self.waits.insert(waits_key(new), new.clone());
            }
        }
    }

    fn by_free(&mut self, node: &NodeView) -> &mut Index {
        if node.capacity.gpus > 0 { &mut self.gpu } else { &mut self.plain }
    }

    /// Shows nodes with room, tightest CPU first, those without GPUs before those with; ends where `visit` breaks. It
    /// starts among the tightest at `start`, and comes to those before it afterwards.
    pub(crate) fn with_room(
        &self,
        search: &Search,
        start: u64,
        visit: &mut impl FnMut(&Arc<NodeView>) -> ControlFlow<()>,
    ) {
        let may = |most: &Most| search.may_fit(most);
        let mut show = |node: &Arc<NodeView>| {
            if node.has_room(&search.need) { visit(node) } else { ControlFlow::Continue(()) }
        };
        let least = Key::first(search.need.resources.cpu.0.into());
        for index in [&self.plain, &self.gpu] {
            let mut tightest = None;
            let found = index.ascend(least, None, &may, &mut |node| {
                if !node.has_room(&search.need) {
                    return ControlFlow::Continue(());
                }
                tightest = Some(u64::from(node.free.cpu.0));
                ControlFlow::Break(())
            });
            let (ControlFlow::Break(()), Some(amount)) = (found, tightest) else { continue };
            let (start, next) = (Key { amount, spread: start }, Key::first(amount + 1));
            for (from, to) in [(start, Some(next)), (Key::first(amount), Some(start)), (next, None)] {
                if index.ascend(from, to, &may, &mut show).is_break() {
                    return;
                }
            }
        }
    }

    /// Shows nodes that could run it when idle, most free CPU first, first those without GPUs and then those with;
    /// ends either part where `visit` breaks.
    pub(crate) fn capable(&self, search: &Search, visit: &mut impl FnMut(&Arc<NodeView>) -> ControlFlow<()>) {
        for index in [&self.plain, &self.gpu] {
            let _ = index.descend(&|most: &Most| search.may_run(most), &mut |node| {
                if node.could_run(&search.need) { visit(node) } else { ControlFlow::Continue(()) }
            });
        }
    }

    /// Shows nodes that could run it when idle and take something into their backlog, most of that first; ends where
    /// `visit` breaks. What is free on them is not what they show.
    pub(crate) fn with_backlog(&self, search: &Search, visit: &mut impl FnMut(&Arc<NodeView>) -> ControlFlow<()>) {
        let _ = self.waits.descend(&|most: &Most| search.may_run(most), &mut |node| {
            if node.could_run(&search.need) { visit(node) } else { ControlFlow::Continue(()) }
        });
    }
}

fn free_key(node: &NodeView) -> Key {
    Key::of(node.free.cpu.0.into(), node.id)
}

fn waits_key(node: &NodeView) -> Key {
    Key::of(node.waits.into(), node.id)
}

#[cfg(test)]
mod tests;
