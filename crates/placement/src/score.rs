//! How well an element fits on a node.
//!
//! Invariant: integers only, so that every machine computes the same order.

use crate::NodeView;
use hivemind_model::NodeId;
use hivemind_model::spec::Need;

/// The smaller, the better. Field by field: do not waste a machine with GPUs on work without;
/// leave the least of the dominant resource; nodes of a preferred level first; then whatever the
/// seed says; then the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    wastes_gpu: bool,
    left: u64,
    plain: bool,
    tie: u64,
    node: NodeId,
}

/// Parts in which a share of a node is measured.
const WHOLE: u128 = 1_000_000;

/// The score of `need` on `node`, or `None` where it does not fit.
pub(crate) fn score(node: &NodeView, need: &Need, seed: u64) -> Option<Score> {
    if node.level < need.level {
        return None;
    }
    let need = &need.resources;
    let left = node.free.checked_sub(need)?;
    let dimensions = [
        (need.cpu.0.into(), left.cpu.0.into(), node.capacity.cpu.0.into()),
        (need.memory.0, left.memory.0, node.capacity.memory.0),
        (need.disk.0, left.disk.0, node.capacity.disk.0),
        (need.gpus.into(), left.gpus.into(), node.capacity.gpus.into()),
    ];
    // The dominant resource is the one of which the element takes the largest share of this node.
    let dominant = dimensions.into_iter().max_by_key(|&(need, _, capacity)| share(need, capacity)).unwrap_or_default();
    Some(Score {
        wastes_gpu: need.gpus == 0 && node.capacity.gpus > 0,
        left: share(dominant.1, dominant.2),
        plain: !node.level.is_preferred(),
        tie: mix(seed ^ mix(node.id.0)),
        node: node.id,
    })
}

fn share(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 0,
        _ => u64::try_from(u128::from(part) * WHOLE / u128::from(whole)).unwrap_or(u64::MAX),
    }
}

/// SplitMix64's finaliser: spreads ids and seeds over all 64 bits.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
