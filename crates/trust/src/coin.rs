//! The secret coin: whether a result that would be believed is checked by one copy more.
//!
//! It is thrown when the result has come back, over a secret of the pool and the id of the attempt: so
//! nobody who makes a result can know whether it will be checked, and a replay throws the same. A
//! coin thrown before the work could be learnt from what the pool hands out.
//!
//! Source: spot-checking with probability q, L. F. G. Sarmenta, *Sabotage-Tolerance Mechanisms for
//! Volunteer Computing Systems* (2001); the rate `10 / trust` is BOINC's `1 / n` for nodes beyond the
//! first ten results, with a floor, as a rate that falls to nothing leaves a patient cheat unseen.
//!
//! Invariant: the secret leaves this module in no form.

use crate::policy::TrustPolicy;
use hivemind_model::AttemptRef;
use sha2::{Digest as _, Sha256};
use std::fmt;

const WHOLE: u32 = 1_000_000;

/// What only the pool knows: 32 random bytes, made once for its life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Takes what was drawn elsewhere.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The chance, in millionths, that a result which rests on `trust` is checked: `10 / trust`, at least
/// `policy.spot_floor`.
#[must_use]
pub fn chance(trust: u16, policy: &TrustPolicy) -> u32 {
    (10 * WHOLE / u32::from(trust.max(1))).max(policy.spot_floor).min(WHOLE)
}

/// True with a chance of `millionths`; always the same for the same attempt.
#[must_use]
pub fn throw(secret: &Secret, attempt: AttemptRef, millionths: u32) -> bool {
    let mut hash = Sha256::new();
    hash.update(b"hivemind spot check 1\0");
    hash.update(secret.0);
    hash.update(attempt.element.task.0.to_be_bytes());
    hash.update(attempt.element.index.to_be_bytes());
    hash.update(attempt.number.to_be_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let drawn = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    (u128::from(drawn) * u128::from(WHOLE)) >> 64 < u128::from(millionths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{ElementRef, TaskId};

    fn attempt(task: u64) -> AttemptRef {
        ElementRef::only(TaskId(task)).attempt(1)
    }

    #[test]
    fn the_chance_falls_with_trust_down_to_the_floor() {
        let policy = TrustPolicy::default();
        let table: Vec<u32> =
            [0, 1, 10, 11, 20, 100, 200, 201, 1000].iter().map(|trust| chance(*trust, &policy)).collect();
        assert_eq!(table, [1_000_000, 1_000_000, 1_000_000, 909_090, 500_000, 100_000, 50_000, 50_000, 50_000]);
        assert_eq!(chance(1000, &TrustPolicy { spot_floor: u32::MAX, ..policy }), 1_000_000);
    }

    #[test]
    fn the_coin_is_fair_repeatable_and_hangs_on_the_secret() {
        let (one, other) = (Secret::new([7; 32]), Secret::new([8; 32]));
        let thrown =
            |secret: &Secret| (0..20_000).filter(|task| throw(secret, attempt(*task), 50_000)).collect::<Vec<_>>();
        let (heads, others) = (thrown(&one), thrown(&other));
        assert_eq!(heads, thrown(&one));
        assert_ne!(heads, others);
        assert!((800..1200).contains(&heads.len()), "{} of 20,000 at 5 %", heads.len());
        assert!(!throw(&one, attempt(1), 0) && throw(&one, attempt(1), WHOLE));
        assert_eq!(format!("{one:?}"), "Secret(..)");
    }
}
