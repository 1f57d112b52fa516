//! What the operators of simulated pools decided.
//!
//! Invariant: a policy depends on the seed only.

use hivemind_model::economy::{Economy, Guard, Mode, Rewards};
use hivemind_model::{Cpt, Millis, Policy};

/// The policy of a run. A world lives for minutes only: everything about money happens more often
/// than in a real pool, so that tasks run for many metering intervals and across reward periods.
pub(crate) fn policy(seed: u64) -> Policy {
    let guarded = seed % 2 == 1;
    let economy = Economy {
        mode: if guarded { Mode::Guarded } else { Mode::Open },
        meter_every: Millis(700),
        hold_lifetime: if seed.is_multiple_of(5) { Millis(15_000) } else { Economy::default().hold_lifetime },
        // One CPT a second, so that there soon is money to give away.
        rewards: Rewards { period: Millis(20_000), base: Cpt::from_micro(3_600_000_000), ..Rewards::default() },
        guard: Guard { vesting: Millis(12_000), invitations: false, ..Guard::default() },
    };
    Policy { overdue_after: Millis(20_000), max_infrastructure_failures: 12, economy, ..Policy::default() }
}
