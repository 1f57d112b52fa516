//! What a node is rewarded for a period: the formula, and nothing else.
//!
//! base = runtime hours x 10 CPT; performance = completed / total x base x 0.5; stability = uptime
//! % / 100 x base x 0.3; quality = 5 CPT per successful complex task; all together times the
//! multiplier of the level. Start at [`reward`].
//!
//! Invariant: exact integers; each part is rounded down to a micro-CPT, and so is the total.

use hivemind_model::economy::Rewards;
use hivemind_model::rows::Tally;
use hivemind_model::{Cpt, Level, Millis};

const MILLIS_PER_HOUR: i128 = 3_600_000;

/// The parts of a reward and their total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) base: Cpt,
    pub(crate) performance: Cpt,
    pub(crate) stability: Cpt,
    pub(crate) quality: Cpt,
    pub(crate) total: Cpt,
}

/// Whether the quality part is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    /// As many complex tasks as there were.
    Unbounded,
    /// Never more than the base.
    WithinBase,
}

/// The reward of a node that was registered for `registered` of a period and did `tally` in it. A
/// node without attempts has no performance part, one that was not registered has nothing.
pub(crate) fn reward(rates: &Rewards, tally: &Tally, registered: Millis, level: Level, quality: Quality) -> Parts {
    let alive = tally.alive.min(registered);
    let base = i128::from(alive.0) * i128::from(rates.base.micro()) / MILLIS_PER_HOUR;
    let part = |of: u64, whole: u64, percent: u32| match whole {
        0 => 0,
        _ => base * i128::from(of) * i128::from(percent) / (i128::from(whole) * 100),
    };
    let performance = part(tally.completed.into(), tally.ended.into(), rates.performance_percent);
    let stability = part(alive.0, registered.0, rates.stability_percent);
    let quality = match quality {
        Quality::Unbounded => i128::from(tally.complex) * i128::from(rates.quality.micro()),
        Quality::WithinBase => (i128::from(tally.complex) * i128::from(rates.quality.micro())).min(base),
    };
    let total = (base + performance + stability + quality) * i128::from(level.multiplier_tenths()) / 10;
    let cpt = |micro: i128| Cpt::from_micro(i64::try_from(micro).unwrap_or(i64::MAX));
    Parts {
        base: cpt(base),
        performance: cpt(performance),
        stability: cpt(stability),
        quality: cpt(quality),
        total: cpt(total),
    }
}

#[cfg(test)]
mod tests;
