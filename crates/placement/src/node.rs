//! A node as the plan sees it.
//!
//! Invariant: what must hold for an element to run there is written down here and nowhere else.

use hivemind_model::spec::Need;
use hivemind_model::{EgressPolicy, Isolation, Kinds, Labels, Level, NodeId, Resources, TrustTier, UserId};
use std::sync::Arc;

/// Most keys of a [`Keys`].
pub const MAX_KEYS: usize = 32;

/// A small set of keys, of images or of inputs, that a node has; shared, so that a copy is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(Option<Arc<[u64]>>);

impl Keys {
    /// The first [`MAX_KEYS`] different keys of those given: give those first that matter most.
    #[must_use]
    pub fn of(keys: impl IntoIterator<Item = u64>) -> Self {
        let mut kept: Vec<u64> = Vec::new();
        for key in keys {
            if kept.len() == MAX_KEYS {
                break;
            }
            if let Err(place) = kept.binary_search(&key) {
                kept.insert(place, key);
            }
        }
        Self((!kept.is_empty()).then(|| kept.into()))
    }

    /// True where `key` is one of them.
    #[must_use]
    pub fn has(&self, key: u64) -> bool {
        self.as_slice().binary_search(&key).is_ok()
    }

    /// Ascending, each once.
    #[must_use]
    pub fn as_slice(&self) -> &[u64] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// A node that takes work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Which.
    pub id: NodeId,
    /// Whose.
    pub owner: UserId,
    /// What it offers altogether.
    pub capacity: Resources,
    /// What nobody has reserved. Room that becomes free belongs to the node's backlog first: its keeper calls free
    /// only what is left after that.
    pub free: Resources,
    /// What it has reached by being there.
    pub level: Level,
    /// What its verified work has earned.
    pub trust: TrustTier,
    /// How well its runtime isolates.
    pub isolation: Isolation,
    /// What its owner says of it.
    pub labels: Labels,
    /// What kinds of programs it runs.
    pub kinds: Kinds,
    /// What its owner lets tasks reach.
    pub egress: EgressPolicy,
    /// Attempts of a thousand that did not fail through the node.
    pub reliability: u16,
    /// Its speed in thousandths of the pool's mean; 1000 where it is not known.
    pub speed: u32,
    /// [`image_key`](hivemind_model::spec::image_key)s of the images that it has.
    pub images: Keys,
    /// Keys of the inputs that it has, as in [`Input::key`](crate::Input::key).
    pub inputs: Keys,
    /// How many more elements it takes into its backlog, beyond what it has room for.
    pub waits: u32,
}

/// [`NodeView::reliability`] of a node of which no attempt has failed through it, and [`NodeView::speed`] of one of
/// mean speed.
pub const PER_MILLE: u16 = 1000;

impl NodeView {
    /// An idle node of the lowest level and tiers, without labels, keys and backlog.
    #[must_use]
    pub fn plain(id: NodeId, owner: UserId, capacity: Resources) -> Self {
        Self {
            id,
            owner,
            capacity,
            free: capacity,
            level: Level::default(),
            trust: TrustTier::default(),
            isolation: Isolation::default(),
            labels: Labels::default(),
            kinds: Kinds::default(),
            egress: EgressPolicy::default(),
            reliability: PER_MILLE,
            speed: PER_MILLE.into(),
            images: Keys::default(),
            inputs: Keys::default(),
            waits: 0,
        }
    }

    /// True where it is what `need` asks for, whatever it has.
    #[must_use]
    pub fn admits(&self, need: &Need) -> bool {
        self.level >= need.level
            && self.trust >= need.trust
            && self.isolation >= need.isolation
            && self.kinds.has(need.kind)
            && self.labels.covers(&need.labels)
            && self.egress.allows(&need.egress)
    }

    /// True where an idle node of this kind could run it.
    #[must_use]
    pub fn could_run(&self, need: &Need) -> bool {
        self.capacity.covers(&need.resources) && self.admits(need)
    }

    /// True where it has room for it now.
    #[must_use]
    pub fn has_room(&self, need: &Need) -> bool {
        self.free.covers(&need.resources) && self.admits(need)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_few_and_those_given_first_are_kept() {
        assert_eq!(Keys::of([9, 3, 9, 5]).as_slice(), [3, 5, 9]);
        let many = Keys::of((0..100).rev());
        assert_eq!(many.as_slice(), (68..100).collect::<Vec<u64>>());
        assert!(many.has(99) && !many.has(67) && !Keys::default().has(0));
    }
}
