//! Fair share: how much of the pool each requester has used, the longer ago the less it counts.
//!
//! Use is measured in shares of the pool's dominant resource times time, and halves with every half-life.
//! Instead of letting every sum decay, what is used later weighs more (forward decay): so the
//! order of requesters changes only when one of them uses something. Start at [`Shares::charge`].
//!
//! Invariant: integers only; no clock.

use hivemind_model::rows::UsageRow;
use hivemind_model::{Millis, Resources, Timestamp, UserId};
use std::collections::BTreeMap;

/// Millionths: parts in which a share of the pool is measured.
const WHOLE: u128 = 1_000_000;
/// What an attempt is charged for when it is handed out, until it is known how long it ran.
pub(crate) const EXPECTED: Millis = Millis::from_secs(60);
/// Weight of what is used at the origin of time.
const UNIT: u128 = 1 << 20;
/// Half-lives after which the origin moves.
const MOST_HALVES: u32 = 32;
/// 2^(2^-k) for k from 1 to 16, times 2^32.
const ROOTS: [u128; 16] = [
    6_074_000_999,
    5_107_605_667,
    4_683_695_047,
    4_485_121_743,
    4_389_014_833,
    4_341_736_423,
    4_318_288_543,
    4_306_612_133,
    4_300_785_773,
    4_297_875_550,
    4_296_421_177,
    4_295_694_174,
    4_295_330_720,
    4_295_149_004,
    4_295_058_149,
    4_295_012_722,
];

/// What everybody has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shares {
    origin: Timestamp,
    half_life: Millis,
    used: BTreeMap<UserId, u128>,
}

/// What one attempt was charged for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    /// The share of the pool that it takes, in millionths.
    share: u128,
    /// What was charged in advance.
    advance: u128,
}

impl Shares {
    pub(crate) fn new(origin: Timestamp, half_life: Millis) -> Self {
        Self { origin, half_life, used: BTreeMap::new() }
    }

    /// What a user has used, weighed; only the order between users means something.
    pub(crate) fn used(&self, user: UserId) -> u128 {
        self.used.get(&user).copied().unwrap_or_default()
    }

    /// What `share` costs in advance when it is handed out at `now`.
    pub(crate) fn advance(&self, share: u128, now: Timestamp) -> u128 {
        share.saturating_mul(EXPECTED.0.into()).saturating_mul(self.weight(now))
    }

    /// Charges a user for an attempt that is handed out.
    pub(crate) fn charge(&mut self, user: UserId, share: u128, now: Timestamp) -> Charge {
        let advance = self.advance(share, now);
        let used = self.used.entry(user).or_default();
        *used = used.saturating_add(advance);
        Charge { share, advance }
    }

    /// Puts what an attempt really used, `held` of its share, in the place of what it was charged.
    pub(crate) fn settle(&mut self, user: UserId, charge: Charge, held: Millis, now: Timestamp) {
        let real = charge.share.saturating_mul(held.0.into()).saturating_mul(self.weight(now));
        let used = self.used.entry(user).or_default();
        *used = used.saturating_sub(charge.advance).saturating_add(real);
    }

    /// What a user has used, as it is stored: weighed as of `at`.
    pub(crate) fn row(&self, user: UserId, at: Timestamp) -> UsageRow {
        let used = self.used(user) / self.weight(at).max(1);
        UsageRow { user, used: u64::try_from(used).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs()), at }
    }

    /// Takes what was stored.
    pub(crate) fn restore(&mut self, row: UsageRow) {
        let used = u128::from(row.used);
        let weighed = if row.at >= self.origin {
            used.saturating_mul(self.weight(row.at))
        } else {
            // As long before the origin as the weight of that span after it.
            let span = self.origin.since(row.at);
            used.saturating_mul(UNIT * UNIT) / self.weight(self.origin.after(span))
        };
        self.used.insert(row.user, weighed);
    }

    /// Moves the origin where weights have become large; true where that changed every sum.
    pub(crate) fn rebase(&mut self, now: Timestamp) -> bool {
        let halves = now.since(self.origin).0 / self.half_life.0.max(1);
        if halves < u64::from(MOST_HALVES) {
            return false;
        }
        let shift = u32::try_from(halves).unwrap_or(u32::MAX);
        self.used.values_mut().for_each(|used| *used = used.checked_shr(shift).unwrap_or_default());
        self.used.retain(|_, used| *used > 0);
        self.origin = self.origin.after(Millis(self.half_life.0.saturating_mul(halves)));
        true
    }

    /// 2^(time since the origin in half-lives), times [`UNIT`].
    fn weight(&self, now: Timestamp) -> u128 {
        let half_life = self.half_life.0.max(1);
        let since = now.since(self.origin).0;
        let halves = u32::try_from(since / half_life).unwrap_or(u32::MAX).min(2 * MOST_HALVES);
        let fraction = u128::from(since % half_life) * (1 << 16) / u128::from(half_life);
        let root = ROOTS.iter().enumerate().fold(1u128 << 32, |product, (bit, root)| {
            if fraction >> (15 - bit) & 1 == 1 { (product * root) >> 32 } else { product }
        });
        ((UNIT << halves) * root) >> 32
    }
}

/// The part of the whole pool that `need` takes of the resource of which it takes most, in millionths, at least one.
pub(crate) fn dominant_share(need: &Resources, pool: &Resources) -> u128 {
    let part = |need: u64, pool: u64| match pool {
        0 => 0,
        _ => u128::from(need) * WHOLE / u128::from(pool),
    };
    let parts = [
        part(need.cpu.0.into(), pool.cpu.0.into()),
        part(need.memory.0, pool.memory.0),
        part(need.disk.0, pool.disk.0),
        part(need.gpus.into(), pool.gpus.into()),
    ];
    parts.into_iter().max().unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = Millis::from_secs(24 * 3600);
    const ANNA: UserId = UserId(1);
    const BERT: UserId = UserId(2);

    #[test]
    fn weights_double_with_each_half_life_and_never_fall() {
        let shares = Shares::new(Timestamp(0), DAY);
        let at = |millis| shares.weight(Timestamp(millis));
        let day = i64::try_from(DAY.0).expect("small");
        assert_eq!((at(0), at(day), at(3 * day)), (UNIT, 2 * UNIT, 8 * UNIT));
        let root = at(day / 2);
        assert!(root * root / UNIT <= 2 * UNIT && root * root / UNIT >= 2 * UNIT - 8, "{root}");
        assert!((0..1000).all(|step| at(step * day / 1000) <= at((step + 1) * day / 1000)));
    }

    #[test]
    fn what_was_used_a_day_ago_counts_half() {
        let mut shares = Shares::new(Timestamp(0), DAY);
        let later = Timestamp(0).after(DAY);
        let charge = shares.charge(ANNA, 100, Timestamp(0));
        shares.settle(ANNA, charge, Millis(10_000), Timestamp(0));
        let charge = shares.charge(BERT, 100, later);
        shares.settle(BERT, charge, Millis(5_000), later);
        assert_eq!(shares.used(ANNA), shares.used(BERT));
    }

    #[test]
    fn a_moved_origin_keeps_the_order() {
        let mut shares = Shares::new(Timestamp(0), DAY);
        shares.charge(ANNA, 100, Timestamp(0));
        let late = Timestamp(0).after(Millis(40 * DAY.0));
        shares.charge(BERT, 1, late);
        assert!(shares.rebase(late) && !shares.rebase(late));
        assert!(shares.used(BERT) > shares.used(ANNA));
        let charge = shares.charge(ANNA, 1, late);
        assert_eq!(charge.advance, UNIT * u128::from(EXPECTED.0));
    }

    #[test]
    fn the_dominant_resource_is_what_counts() {
        let of = |cpu, memory| Resources {
            cpu: hivemind_model::MilliCores(cpu),
            memory: hivemind_model::Bytes(memory),
            ..Resources::default()
        };
        assert_eq!(dominant_share(&of(1000, 1), &of(4000, 100)), 250_000);
        assert_eq!(dominant_share(&of(1, 50), &of(4000, 100)), 500_000);
        assert_eq!(dominant_share(&of(1, 1), &of(0, 0)), 1);
    }
}
