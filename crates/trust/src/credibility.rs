//! How much a group of equal results is to be believed.
//!
//! Each vote of a node whose error rate is estimated as `e` multiplies the weight of its group by
//! `(1 - e) / e`. A group is credible where its weight is at least `1 - doubt` of the weights of all
//! groups and of one more of weight 1, *nothing seen is right*:
//!
//! ```text
//! weight(group) >= (1 - doubt) x (weight(group 1) + weight(group 2) + ... + 1)
//! ```
//!
//! This is Sarmenta's credibility of a result group (*Sabotage-Tolerance Mechanisms for Volunteer
//! Computing Systems*, 2001, section 4.3) with both sides divided by the chance that all groups are
//! bad, and the form in which iExec's PoCo computes it in integers. With one rate for all it is Wald's
//! sequential test: the group that is ahead by so many votes wins.
//!
//! `e` is 1/5 for every node that was not caught, however trusted: a cheat who behaves well until
//! trusted looks like anybody else, so no history makes a *single* vote better evidence against a
//! plan that many share. Five equal votes then pass 0.999: 4^5 / (4^5 + 1).
//!
//! What history does show is what an attack costs: trust that was earned by so many right results is
//! lost at the first wrong one. That is a fact about the moment, shared by all who attack together, so
//! it counts once per group and not once per vote ([`bonus`]), and only while all votes agree: where
//! two disagree, somebody lies, and bought trust may be what they bought it for.
//!
//! Invariant: integers; no overflow for panels of [`MAX_REPLICAS`](hivemind_model::verify::MAX_REPLICAS).

use crate::standing::Basis;
use hivemind_model::verify::{Doubt, MAX_REPLICAS};

/// `(1 - e) / e` of a node that was not caught: e = 1/5, the share of cheats that the bound allows.
pub const PRIOR: u128 = 4;
/// The same of one that was caught and is not known again: e = 1/3.
pub const SUSPECT: u128 = 2;
/// A bonus of one, in the unit of [`bonus`].
pub const UNIT: u128 = 80;
/// The doubt at which the losers of a vote are called wrong, and not only outvoted.
pub const SURE: Doubt = Doubt(50_000);

const WHOLE: u128 = 1_000_000;

/// What a vote multiplies the weight of its group by.
#[must_use]
pub fn weight(basis: Basis) -> u128 {
    if basis.suspect { SUSPECT } else { PRIOR }
}

/// What the trust of a group that nobody contradicts multiplies its weight by, in 80ths; at least one.
///
/// For two votes and more it is half the trust of the *second* most trusted of them: for a wrong
/// result to pass, two cheats must have earned that much, whoever else is in it. A lone vote has an
/// eightieth of its trust: only a spot check would find it out, at about the twentieth attempt.
#[must_use]
pub fn bonus(trusts: &[u16]) -> u128 {
    let (mut first, mut second) = (0, 0);
    for trust in trusts {
        if *trust > first {
            (first, second) = (*trust, first);
        } else if *trust > second {
            second = *trust;
        }
    }
    match trusts.len() {
        0 => UNIT,
        1 => UNIT.max(first.into()),
        _ => UNIT.max(u128::from(second) * (UNIT / 2)),
    }
}

/// True where `group` is at least `1 - doubt` of `all`.
#[must_use]
pub fn passes(group: u128, all: u128, doubt: Doubt) -> bool {
    group * WHOLE >= all * WHOLE.saturating_sub(doubt.0.into())
}

/// Equal votes of nodes of which nothing is known that pass `doubt`.
#[must_use]
pub fn prior_copies(doubt: Doubt) -> u8 {
    copies(doubt, |_| UNIT)
}

/// The fewest equal votes that ever pass `doubt`: those of proven nodes. So many copies are made at first.
#[must_use]
pub fn first_copies(doubt: Doubt) -> u8 {
    let most = crate::standing::MOST_TRUST;
    copies(doubt, |count| if count == 1 { bonus(&[most]) } else { bonus(&[most, most]) })
}

fn copies(doubt: Doubt, bonus: impl Fn(u8) -> u128) -> u8 {
    let enough = |count: &u8| {
        let weight = PRIOR.pow((*count).into()) * bonus(*count);
        passes(weight, weight + UNIT, doubt)
    };
    (1..MAX_REPLICAS).find(enough).unwrap_or(MAX_REPLICAS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(text: &str) -> Doubt {
        text.parse().expect("a confidence")
    }

    #[test]
    fn copies_by_confidence() {
        let table: Vec<(u8, u8)> = ["0.5", "0.8", "0.9", "0.95", "0.99", "0.999", "0.9999", "0.999999"]
            .iter()
            .map(|text| (prior_copies(doubt(text)), first_copies(doubt(text))))
            .collect();
        assert_eq!(table, [(1, 1), (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (7, 3), (10, 6)]);
    }

    #[test]
    fn a_bonus_is_that_of_the_second_most_trusted() {
        for (trusts, eightieths) in [
            (&[][..], 80),
            (&[79], 80),
            (&[1000], 1000),
            (&[1000, 0], 80),
            (&[1000, 1], 80),
            (&[0, 10, 1000], 400),
            (&[1000, 1000], 40_000),
            (&[100, 100, 100], 4000),
        ] {
            assert_eq!(bonus(trusts), eightieths, "{trusts:?}");
        }
    }

    /// What `docs/VERIFICATION.md` derives: wrong results of nodes that behave well until an attack, for
    /// each right one, are at most half of what the requester accepts.
    #[test]
    fn an_attack_costs_more_trust_than_it_gains() {
        let (cheats, floor, at_once) = (0.2, 0.05, f64::from(crate::standing::AT_ONCE));
        for text in ["0.8", "0.9", "0.95", "0.98", "0.99", "0.999", "0.9999", "0.99999", "0.999999"] {
            let doubt = doubt(text);
            for trust in 1..=crate::standing::MOST_TRUST {
                let needed = copies(doubt, |count| if count == 1 { bonus(&[trust]) } else { bonus(&[trust, trust]) });
                if needed == prior_copies(doubt) {
                    continue;
                }
                let (attacks, members): (f64, f64) = if needed == 1 {
                    (1.0 / (floor * (1.0 - cheats)) + at_once, 1.0)
                } else {
                    let success = cheats.powi(i32::from(needed) - 1);
                    ((success / (1.0 - success)).max(at_once * success), 2.0)
                };
                let wrong = cheats * f64::from(needed) * attacks / (members * f64::from(trust));
                assert!(wrong <= f64::from(doubt.0) / 1e6, "{text}: trust {trust}, {needed} copies, {wrong}");
            }
        }
    }

    #[test]
    fn the_bar_is_exact() {
        assert!(passes(999, 1000, Doubt(1000)) && !passes(998, 1000, Doubt(1000)));
        assert!(!passes(999_999, 1_000_000, Doubt(0)) && passes(1, 1, Doubt(0)));
        let most = PRIOR.pow(MAX_REPLICAS.into()) * bonus(&[1000, 1000]);
        assert!(passes(most, most + UNIT, Doubt(1)));
    }
}
