//! What each finding does to the trust of a node, and what the trust is worth.
//!
//! | Finding | `valid` | `wrong` | `quota` |
//! |---|---|---|---|
//! | [`Finding::Valid`] | + 1 | | doubled |
//! | [`Finding::Completed`] | | | doubled |
//! | [`Finding::Error`], [`Finding::Outvoted`] | halved | | halved |
//! | [`Finding::Wrong`] | 0 | + 1 | halved |
//!
//! Sources: runs of valid results that any wrong one ends are those of BOINC's adaptive replication
//! (D. P. Anderson, *BOINC: A Platform for Volunteer Computing*, 2020), as is the daily quota of a
//! host. Unlike there an error only halves: a machine that goes away in mid-work is no liar.
//!
//! Invariant: nobody becomes more trusted by time, by presence, or by results that nobody compared.

use crate::policy::TrustPolicy;
use hivemind_model::rows::TrustRow;
use hivemind_model::{MilliCores, NodeId, Timestamp, TrustTier};

/// Trust is a number from 0 to this.
pub const MOST_TRUST: u16 = 1000;
/// The trust at which a node is known, trusted, proven.
pub const STEPS: [(u16, TrustTier); 3] =
    [(10, TrustTier::Known), (100, TrustTier::Trusted), (MOST_TRUST, TrustTier::Proven)];
/// Each wrong result in a node's life doubles what it needs to come back; up to so many times.
pub const MOST_DOUBLINGS: u16 = 6;

/// Elements that a node may have open at the same time before its trust is divided among them.
pub const AT_ONCE: u16 = 2;

const MOST_VALID: u16 = MOST_TRUST << MOST_DOUBLINGS;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// What came of one attempt, as far as its node is to blame or to thank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// A result that was compared, and is right.
    Valid,
    /// A result that nobody compared.
    Completed,
    /// No result, by the node's doing: lost, late, or broken.
    Error,
    /// A result against which others agreed, but not enough to call it wrong.
    Outvoted,
    /// A result that is wrong.
    Wrong,
}

/// What the vote of a node is worth at the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Basis {
    /// 0 to [`MOST_TRUST`].
    pub trust: u16,
    /// Caught before and not known again: its votes count half.
    pub suspect: bool,
}

impl Basis {
    /// The tier that is shown, and that tasks ask for.
    #[must_use]
    pub fn tier(self) -> TrustTier {
        tier(self.trust)
    }
}

/// The node has used up what it may take today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the node has used all {quota} attempts that it may take today; the quota doubles with each result and comes back at 00:00 UTC"
)]
pub struct Spent {
    /// Attempts a day.
    pub quota: u32,
}

/// The row of a fresh node. Nothing is inherited from other nodes of its owner.
#[must_use]
pub fn enrolled(node: NodeId, cores: MilliCores, now: Timestamp, policy: &TrustPolicy) -> TrustRow {
    let quota = per_core(policy.first_quota, cores);
    TrustRow { node, valid: 0, wrong: 0, wrong_at: None, quota, used: 0, day: day(now) }
}

/// The row after `finding`. `cores` are what the node offers now; they bound its quota.
#[must_use]
pub fn after(row: TrustRow, finding: Finding, cores: MilliCores, now: Timestamp, policy: &TrustPolicy) -> TrustRow {
    let doubled = row.quota.saturating_mul(2).clamp(1, per_core(policy.most_quota, cores));
    let halved = (row.quota / 2).max(1);
    let lowered = halved.max(per_core(policy.least_quota, cores).min(row.quota));
    match finding {
        Finding::Valid => TrustRow { valid: row.valid.saturating_add(1).min(MOST_VALID), quota: doubled, ..row },
        Finding::Completed => TrustRow { quota: doubled, ..row },
        Finding::Error | Finding::Outvoted => TrustRow { valid: row.valid / 2, quota: lowered, ..row },
        Finding::Wrong => TrustRow {
            valid: 0,
            wrong: row.wrong.saturating_add(1),
            wrong_at: Some(row.wrong_at.map_or(now, |before| before.max(now))),
            quota: halved,
            ..row
        },
    }
}

/// What the other nodes of an owner become when one of them was found wrong: they start anew, too.
///
/// `cheat` itself got its [`Finding::Wrong`]; its row stays as it is.
pub fn after_cheat(rows_of_owner: &mut [TrustRow], cheat: NodeId) {
    for row in rows_of_owner.iter_mut().filter(|row| row.node != cheat) {
        row.valid = 0;
        row.quota = (row.quota / 2).max(1);
    }
}

/// Trust from the node's own work: `valid / 2^wrong`, at most [`MOST_TRUST`].
///
/// A node that was wrong once needs 20 right results to be known again, then 40, and so on up to 640.
#[must_use]
pub fn own_trust(row: &TrustRow) -> u16 {
    (row.valid >> row.wrong.min(MOST_DOUBLINGS)).min(MOST_TRUST)
}

/// The tier of a trust.
#[must_use]
pub fn tier(trust: u16) -> TrustTier {
    STEPS.iter().rev().find(|(least, _)| trust >= *least).map_or(TrustTier::New, |(_, tier)| *tier)
}

/// What a vote of `row`'s node is worth: its own trust, or that of the worst node of its owner that
/// was found wrong not longer ago than `policy.memory`, where that is less.
///
/// `rows_of_owner` are those of all nodes of its owner; `row` may be among them.
#[must_use]
pub fn basis(row: &TrustRow, rows_of_owner: &[TrustRow], now: Timestamp, policy: &TrustPolicy) -> Basis {
    let recent = |at: Timestamp| now.since(at) <= policy.memory;
    let worst = rows_of_owner.iter().filter(|other| other.wrong_at.is_some_and(recent)).map(own_trust).min();
    let trust = own_trust(row).min(worst.unwrap_or(MOST_TRUST));
    Basis { trust, suspect: (worst.is_some() || row.wrong > 0) && tier(trust) == TrustTier::New }
}

/// What a vote is worth of a node that has `at_once` elements open, this one included, on which it voted or
/// has a copy out: its trust, divided among those beyond [`AT_ONCE`].
///
/// A node that turns to lying lies on all of them before the first lie can be found out; so the trust
/// that it loses by that has to weigh against all of them, not against each.
#[must_use]
pub fn staked(basis: Basis, at_once: u32) -> Basis {
    let shared = u32::from(basis.trust) * u32::from(AT_ONCE) / at_once.max(AT_ONCE.into());
    Basis { trust: u16::try_from(shared).unwrap_or(basis.trust), ..basis }
}

/// Attempts that the node may still take today; `None` where it is known and may take any number.
#[must_use]
pub fn left(row: &TrustRow, now: Timestamp) -> Option<u32> {
    match tier(own_trust(row)) {
        TrustTier::New if row.day == day(now) => Some(row.quota.saturating_sub(row.used)),
        TrustTier::New => Some(row.quota),
        TrustTier::Known | TrustTier::Trusted | TrustTier::Proven => None,
    }
}

/// The row after the node was handed one attempt.
///
/// # Errors
/// [`Spent`] where it may not take one more today.
pub fn take(row: TrustRow, now: Timestamp) -> Result<TrustRow, Spent> {
    if left(&row, now) == Some(0) {
        return Err(Spent { quota: row.quota });
    }
    let used = if row.day == day(now) { row.used } else { 0 };
    Ok(TrustRow { used: used.saturating_add(1), day: day(now), ..row })
}

fn per_core(quota: u32, cores: MilliCores) -> u32 {
    quota.saturating_mul(cores.0.div_ceil(1000)).max(1)
}

fn day(now: Timestamp) -> i64 {
    now.0.div_euclid(DAY)
}

#[cfg(test)]
mod tests;
