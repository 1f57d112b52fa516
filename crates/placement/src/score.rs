//! How well an element fits on a node.
//!
//! Invariant: integers only, so that every machine computes the same order.

use crate::NodeView;
use hivemind_model::spec::Need;
use hivemind_model::{NodeId, Resources};

/// The smaller, the better. Field by field: do not waste a machine with GPUs on work without; have the image already;
/// have most of its inputs already; leave the least of the dominant resource; nodes of a preferred level first; then those
/// that fail less; then those that are faster; then whatever the seed says; then the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    wastes_gpu: bool,
    pulls_image: bool,
    missing_input: u64,
    left: u64,
    plain: bool,
    unreliable: u16,
    slow: u32,
    tie: u64,
    pub(crate) node: NodeId,
}

/// Parts in which a share of a node is measured.
const WHOLE: u128 = 1_000_000;
/// Thousandths in one step of reliability. Nodes whose records differ by less are no different.
const RELIABILITY_STEP: u16 = 50;
/// Thousandths of the mean in one step of speed. The mean lies in the middle of its step.
const SPEED_STEP: u32 = 250;
/// What is faster than this is no better.
const MOST_SPEED: u32 = 8000;

/// The score of `need` on `node`, or `None` where it does not fit. `missing_input` are the bytes of its inputs that are not
/// there.
pub(crate) fn score(node: &NodeView, need: &Need, missing_input: u64, seed: u64) -> Option<Score> {
    if !node.admits(need) {
        return None;
    }
    let (wanted, image) = (&need.resources, need.image);
    let left = node.free.checked_sub(wanted)?;
    let dimensions = [
        (wanted.cpu.0.into(), left.cpu.0.into(), node.capacity.cpu.0.into()),
        (wanted.memory.0, left.memory.0, node.capacity.memory.0),
        (wanted.disk.0, left.disk.0, node.capacity.disk.0),
        (wanted.gpus.into(), left.gpus.into(), node.capacity.gpus.into()),
    ];
    // The dominant resource is the one of which the element takes the largest share of this node.
    let dominant = dimensions.into_iter().max_by_key(|&(need, _, capacity)| share(need, capacity)).unwrap_or_default();
    Some(Score {
        wastes_gpu: wanted.gpus == 0 && node.capacity.gpus > 0,
        pulls_image: !node.images.has(image),
        missing_input,
        left: share(dominant.1, dominant.2),
        plain: !node.level.is_preferred(),
        unreliable: crate::PER_MILLE.saturating_sub(node.reliability) / RELIABILITY_STEP,
        slow: (MOST_SPEED - node.speed.min(MOST_SPEED) + SPEED_STEP / 2) / SPEED_STEP,
        tie: mix(seed ^ mix(node.id.0)),
        node: node.id,
    })
}

fn share(part: u64, whole: u64) -> u64 {
    match whole {
        0 => 0,
        // The common case, without a division of 128 bits.
        _ => match part.checked_mul(1_000_000) {
            Some(parts) => parts / whole,
            None => u64::try_from(u128::from(part) * WHOLE / u128::from(whole)).unwrap_or(u64::MAX),
        },
    }
}

/// The largest part of what is needed that is not free, in millionths.
pub(crate) fn lacking(free: &Resources, need: &Resources) -> u128 {
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

/// SplitMix64's finaliser: spreads ids and seeds over all 64 bits. No two values give the same.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
