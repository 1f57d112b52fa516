//! Nodes in the order of an amount, with a summary of every part, so that a search leaves out whole parts that
//! cannot have what it looks for.
//!
//! It is a treap: a search tree by key, and a heap by a priority that is mixed from the node's id, so that it is balanced
//! whatever comes and goes. Each branch knows the most of everything below it. Start at [`Index::ascend`].
//!
//! A copy is one pointer; what is changed afterwards is copied then, branch by branch. So a pass has an index of its own,
//! and pays for what it places only.
//!
//! Invariant: equal nodes make equal trees, in whatever order they came. Keys are unique.

use crate::NodeView;
use crate::score::mix;
use hivemind_model::spec::Need;
use hivemind_model::{Isolation, Kinds, Labels, Level, NodeId, Resources, TrustTier};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The place of a node: an amount of something, then its mixed id, so that no id comes first among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) amount: u64,
    pub(crate) spread: u64,
}

impl Key {
    /// The key of a node that has so much.
    pub(crate) const fn of(amount: u64, node: NodeId) -> Self {
        Self { amount, spread: mix(node.0) }
    }

    /// The first key with so much.
    pub(crate) const fn first(amount: u64) -> Self {
        Self { amount, spread: 0 }
    }
}

/// The most that nodes have of everything; of labels, one bit for each at least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) free: Resources,
    pub(crate) capacity: Resources,
    level: Level,
    trust: TrustTier,
    isolation: Isolation,
    labels: u64,
    /// Of all of them together.
    kinds: Kinds,
    /// [`EgressPolicy::breadth`](hivemind_model::EgressPolicy::breadth).
    egress: u8,
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

impl Most {
    fn of(node: &NodeView) -> Self {
        Self {
            free: node.free,
            capacity: node.capacity,
            level: node.level,
            trust: node.trust,
            isolation: node.isolation,
            labels: label_bits(&node.labels),
            kinds: node.kinds,
            egress: node.egress.breadth(),
        }
    }

    fn join(&mut self, other: &Self) {
        self.free = largest(&self.free, &other.free);
        self.capacity = largest(&self.capacity, &other.capacity);
        self.level = self.level.max(other.level);
        self.trust = self.trust.max(other.trust);
        self.isolation = self.isolation.max(other.isolation);
        self.labels |= other.labels;
        self.kinds = self.kinds.or(other.kinds);
        self.egress = self.egress.max(other.egress);
    }

    /// False where none of them can be what `need` asks for. `labels` are its [`label_bits`].
    pub(crate) fn may_admit(&self, need: &Need, labels: u64) -> bool {
        self.level >= need.level
            && self.trust >= need.trust
            && self.isolation >= need.isolation
            && self.labels & labels == labels
            && self.kinds.has(need.kind)
            && (self.egress > 0 || need.egress.is_empty())
    }
}

/// One of 64 bits for each label.
pub(crate) fn label_bits(labels: &Labels) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    labels.as_slice().iter().fold(0, |bits, label| {
        let key = label.key().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv);
        let whole = label.value().as_bytes().iter().fold(fnv(key, &b'='), fnv);
        bits | 1 << (mix(whole) % 64)
    })
}

type Link = Option<Arc<Branch>>;

#[derive(Debug, Clone)]
struct Branch {
    key: Key,
    node: Arc<NodeView>,
    own: Most,
    /// Of this node and of all below it.
    most: Most,
    left: Link,
    right: Link,
}

impl Branch {
    /// What decides which of two branches is above the other: the larger. Equal for no two nodes.
    const fn priority(&self) -> u64 {
        mix(self.key.spread)
    }

    fn refresh(&mut self) {
        self.most = self.own;
        for below in [&self.left, &self.right].into_iter().flatten() {
            self.most.join(&below.most);
        }
    }
}

/// Nodes by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index(Link);

impl Index {
    /// Adds a node under a key that is not in use.
    pub(crate) fn insert(&mut self, key: Key, node: Arc<NodeView>) {
        let own = Most::of(&node);
        insert(&mut self.0, Branch { key, node, own, most: own, left: None, right: None });
    }

    /// Takes out what is under `key`, if anything is.
    pub(crate) fn remove(&mut self, key: Key) {
        remove(&mut self.0, key);
    }

    /// Shows the nodes from `from` on and before `to` in order of key, without those parts of which `may` says that
    /// they cannot have what is looked for; ends where `visit` breaks.
    pub(crate) fn ascend(
        &self,
        from: Key,
        to: Option<Key>,
        may: &impl Fn(&Most) -> bool,
        visit: &mut impl FnMut(&Arc<NodeView>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        ascend(&self.0, from, to, may, visit)
    }

    /// Shows the nodes in the reverse order of key, as [`Index::ascend`] does.
    pub(crate) fn descend(
        &self,
        may: &impl Fn(&Most) -> bool,
        visit: &mut impl FnMut(&Arc<NodeView>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        descend(&self.0, may, visit)
    }
}

fn insert(link: &mut Link, mut new: Branch) {
    match link {
        Some(branch) if branch.priority() > new.priority() => {
            let branch = Arc::make_mut(branch);
            branch.most.join(&new.own);
            let side = if new.key < branch.key { &mut branch.left } else { &mut branch.right };
            insert(side, new);
        }
        Some(_) | None => {
            (new.left, new.right) = split(link.take(), new.key);
            new.refresh();
            *link = Some(Arc::new(new));
        }
    }
}

/// Takes out what is under `key`; true where the summary of the part is another one then.
fn remove(link: &mut Link, key: Key) -> bool {
    let Some(branch) = link else { return false };
    let branch = Arc::make_mut(branch);
    let before = branch.most;
    if branch.key == key {
        let rest = merge(branch.left.take(), branch.right.take());
        let differs = rest.as_ref().is_none_or(|rest| rest.most != before);
        *link = rest;
        return differs;
    }
    if !remove(if key < branch.key { &mut branch.left } else { &mut branch.right }, key) {
        return false;
    }
    branch.refresh();
    branch.most != before
}

/// What comes before `at`, and what does not.
fn split(link: Link, at: Key) -> (Link, Link) {
    let Some(mut top) = link else { return (None, None) };
    let branch = Arc::make_mut(&mut top);
    if branch.key < at {
        let (before, after) = split(branch.right.take(), at);
        branch.right = before;
        branch.refresh();
        (Some(top), after)
    } else {
        let (before, after) = split(branch.left.take(), at);
        branch.left = after;
        branch.refresh();
        (before, Some(top))
    }
}

/// Both, where all of `before` comes before all of `after`.
fn merge(before: Link, after: Link) -> Link {
    match (before, after) {
        (None, only) | (only, None) => only,
        (Some(mut before), Some(mut after)) => {
            if before.priority() > after.priority() {
                let branch = Arc::make_mut(&mut before);
                branch.right = merge(branch.right.take(), Some(after));
                branch.refresh();
                Some(before)
            } else {
                let branch = Arc::make_mut(&mut after);
                branch.left = merge(Some(before), branch.left.take());
                branch.refresh();
                Some(after)
            }
        }
    }
}

fn ascend(
    link: &Link,
    from: Key,
    to: Option<Key>,
    may: &impl Fn(&Most) -> bool,
    visit: &mut impl FnMut(&Arc<NodeView>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(branch) = link.as_ref().filter(|branch| may(&branch.most)) else { return ControlFlow::Continue(()) };
    let (starts, ends) = (branch.key >= from, to.is_some_and(|to| branch.key >= to));
    if starts {
        ascend(&branch.left, from, to, may, visit)?;
    }
    if starts && !ends && may(&branch.own) {
        visit(&branch.node)?;
    }
    if !ends {
        ascend(&branch.right, from, to, may, visit)?;
    }
    ControlFlow::Continue(())
}

fn descend(
    link: &Link,
    may: &impl Fn(&Most) -> bool,
    visit: &mut impl FnMut(&Arc<NodeView>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(branch) = link.as_ref().filter(|branch| may(&branch.most)) else { return ControlFlow::Continue(()) };
    descend(&branch.right, may, visit)?;
    if may(&branch.own) {
        visit(&branch.node)?;
    }
    descend(&branch.left, may, visit)
}

#[cfg(test)]
mod tests;
