//! What the operator decides about money beside prices: metering, holds, rewards, free credit.
//!
//! Start at [`Economy`].
//!
//! Invariant: the only place where such a number has its default.

use crate::rejection::Rejection;
use crate::units::{Cpt, MilliCores, Millis};
use serde::{Deserialize, Serialize};

const HOUR: Millis = Millis::from_secs(3600);
/// Longest of these times: a year.
const MAX_MILLIS: u64 = 366 * 24 * HOUR.0;
/// Shortest metering interval.
const MIN_MILLIS: u64 = 100;
/// Shortest reward period: each makes an entry for every node.
const MIN_PERIOD_MILLIS: u64 = 1000;
/// Highest reward rate: a billion CPT.
const MAX_MICRO: i64 = 1_000_000_000_000_000;

/// What free credit is good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Free credit is money like any other, and everybody may sign up.
    #[default]
    Open,
    /// Free credit buys computing and never becomes money; see [`Guard`].
    Guarded,
}

/// Rules that hold where the mode is [`Mode::Guarded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// How long earnings and rewards wait before they can be spent.
    pub vesting: Millis,
    /// Accounts that one network address may make in a day (IPv6: one /64).
    pub signups_per_address: u32,
    /// Whether signing up takes an invitation code.
    pub invitations: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Self { vesting: Millis(24 * HOUR.0), signups_per_address: 3, invitations: true }
    }
}

/// Rates of the rewards that the treasury pays for being there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rewards {
    /// How often they are paid.
    pub period: Millis,
    /// For an hour of being alive.
    pub base: Cpt,
    /// Part of the base that a node gets whose attempts were all accepted, in percent.
    pub performance_percent: u32,
    /// Part of the base that a node gets that was alive throughout, in percent.
    pub stability_percent: u32,
    /// For a complex task that was accepted.
    pub quality: Cpt,
    /// Cores from which on a task is complex.
    pub complex_cores: MilliCores,
    /// Run time from which on a task is complex.
    pub complex_runtime: Millis,
}

impl Default for Rewards {
    fn default() -> Self {
        Self {
            period: HOUR,
            base: Cpt::from_micro(10_000_000),
            performance_percent: 50,
            stability_percent: 30,
            quality: Cpt::from_micro(5_000_000),
            complex_cores: MilliCores::from_cores(4),
            complex_runtime: Millis::from_secs(600),
        }
    }
}

/// Everything about money but prices and the sign-up grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Economy {
    /// What free credit is good for.
    pub mode: Mode,
    /// How often the price of what runs moves from the hold to the owner's pending earnings.
    pub meter_every: Millis,
    /// How long a task may wait and be tried before its hold expires, beside its `max_runtime`.
    pub hold_lifetime: Millis,
    /// Rewards.
    pub rewards: Rewards,
    /// Rules of the guarded mode.
    pub guard: Guard,
}

impl Default for Economy {
    fn default() -> Self {
        Self {
            mode: Mode::Open,
            meter_every: Millis::from_secs(10),
            hold_lifetime: Millis(7 * 24 * HOUR.0),
            rewards: Rewards::default(),
            guard: Guard::default(),
        }
    }
}

impl Economy {
    /// Checks that the numbers make sense.
    ///
    /// # Errors
    /// [`crate::Code::Invalid`] of the first key that does not, as it is written in a policy file.
    pub fn check(&self) -> Result<(), Rejection> {
        let rewards = &self.rewards;
        let times = [
            ("economy.meter_every", MIN_MILLIS, self.meter_every.0),
            ("economy.hold_lifetime", MIN_MILLIS, self.hold_lifetime.0),
            ("economy.rewards.period", MIN_PERIOD_MILLIS, rewards.period.0),
            ("economy.rewards.complex_runtime", 0, rewards.complex_runtime.0),
            ("economy.guard.vesting", 0, self.guard.vesting.0),
        ];
        for (key, least, value) in times {
            if !(least..=MAX_MILLIS).contains(&value) {
                return Err(Rejection::invalid(key, format!("{value} ms is outside {least} to {MAX_MILLIS} ms")));
            }
        }
        for (key, amount) in [("economy.rewards.base", rewards.base), ("economy.rewards.quality", rewards.quality)] {
            if !(0..=MAX_MICRO).contains(&amount.micro()) {
                let micro = amount.micro();
                return Err(Rejection::invalid(key, format!("{micro} is outside 0 to {MAX_MICRO} micro-CPT")));
            }
        }
        let percents = [
            ("economy.rewards.performance_percent", rewards.performance_percent),
            ("economy.rewards.stability_percent", rewards.stability_percent),
        ];
        for (key, percent) in percents {
            if percent > 1000 {
                return Err(Rejection::invalid(key, format!("{percent} is outside 0 to 1000 percent")));
            }
        }
        if self.guard.signups_per_address == 0 {
            return Err(Rejection::invalid("economy.guard.signups_per_address", "is 0, so that nobody could sign up"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_economy_that_makes_no_sense_is_refused_by_its_key() {
        let refused = |change: fn(&mut Economy)| {
            let mut economy = Economy::default();
            change(&mut economy);
            economy.check().err().map_or_else(|| "taken".into(), |rejection| rejection.field)
        };
        assert_eq!(refused(|_| ()), "taken");
        assert_eq!(refused(|e| e.guard.vesting = Millis(0)), "taken");
        assert_eq!(refused(|e| e.meter_every = Millis(0)), "economy.meter_every");
        assert_eq!(refused(|e| e.rewards.period = Millis(u64::MAX)), "economy.rewards.period");
        assert_eq!(refused(|e| e.rewards.period = Millis(999)), "economy.rewards.period");
        assert_eq!(refused(|e| e.rewards.base = Cpt::from_micro(-1)), "economy.rewards.base");
        assert_eq!(refused(|e| e.rewards.stability_percent = 1001), "economy.rewards.stability_percent");
        assert_eq!(refused(|e| e.guard.signups_per_address = 0), "economy.guard.signups_per_address");
    }
}
