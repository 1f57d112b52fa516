//! What to do with the copies of one element now: wait, make more, believe one, or give up.
//!
//! Start at [`decide`]. Each rule of a requester has one function below it.
//!
//! Invariant: nothing is accepted below the requester's bar; only votes that count are counted.

use crate::coin::{Secret, chance, throw};
use crate::credibility::{PRIOR, SURE, UNIT, bonus, first_copies, passes, prior_copies, weight};
use crate::panel::{Class, Panel, Say, Vote};
use crate::policy::TrustPolicy;
use crate::standing::Finding;
use hivemind_model::spec::Digest;
use hivemind_model::verify::{Doubt, MAX_REPLICAS, Rule};

/// What an accepted result rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// On one node's word.
    Alone,
    /// On others who say the same.
    Compared,
    /// On an answer that was known before.
    Known,
}

/// What to do with the copies of one element now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Hand out so many further copies, at least one, to nodes of owners that have none.
    More {
        /// How many.
        copies: u8,
    },
    /// The copies that are out may decide it.
    Wait,
    /// This result is believed.
    Accept {
        /// Which.
        class: Class,
        /// On what that rests.
        proof: Proof,
        /// Who said so.
        right: Vec<Vote>,
        /// Who said something else, and is wrong.
        wrong: Vec<Vote>,
        /// Who said something else, where that is not sure enough to blame them.
        outvoted: Vec<Vote>,
    },
    /// No further copies that may be made can decide it.
    Disputed,
}

impl Decision {
    /// What is found of each node that voted; nothing before a result is accepted.
    ///
    /// A dispute finds nobody wrong: it may be the task whose results differ. Who was struck earns
    /// nothing. Where an element is decided anew, only what was not found before is to be applied.
    #[must_use]
    pub fn findings(&self) -> Vec<(Vote, Finding)> {
        let Self::Accept { proof, right, wrong, outvoted, .. } = self else { return Vec::new() };
        let good = match proof {
            Proof::Alone => Finding::Completed,
            Proof::Compared | Proof::Known => Finding::Valid,
        };
        let right = right.iter().filter(|vote| vote.say == Say::Counted).map(|vote| (*vote, good));
        let wrong = wrong.iter().map(|vote| (*vote, Finding::Wrong));
        right.chain(wrong).chain(outvoted.iter().map(|vote| (*vote, Finding::Outvoted))).collect()
    }

    /// Equal votes beyond those that `rule` asks of nodes of which nothing is known; zero where nothing
    /// is accepted. With at least one, the result stands when one of its nodes is caught later.
    #[must_use]
    pub fn spare(&self, rule: &Rule) -> u8 {
        let Self::Accept { right, .. } = self else { return 0 };
        let counted = right.iter().filter(|vote| vote.say == Say::Counted).count();
        let counted = u8::try_from(counted).unwrap_or(MAX_REPLICAS);
        match rule {
            Rule::First => 0,
            Rule::Quorum { quorum, .. } => counted.saturating_sub(*quorum),
            Rule::Confidence { doubt } => counted.saturating_sub(prior_copies(*doubt)),
            Rule::Known { .. } => MAX_REPLICAS,
        }
    }
}

/// What to do with the copies in `panel`, by the requester's `rule`.
///
/// Votes count in the order in which they came; equal arguments give equal decisions.
#[must_use]
pub fn decide(panel: &Panel, rule: &Rule, secret: &Secret, policy: &TrustPolicy) -> Decision {
    match rule {
        Rule::First => first(panel),
        Rule::Quorum { replicas, quorum } => by_quorum(panel, *replicas, *quorum),
        Rule::Confidence { doubt } => by_confidence(panel, *doubt, secret, policy),
        Rule::Known { digest } => by_answer(panel, *digest),
    }
}

/// The votes that count and say the same.
struct Group {
    class: Class,
    votes: u8,
    weight: u128,
}

/// In the order in which their first votes came.
fn groups(panel: &Panel) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for vote in panel.counted() {
        match groups.iter_mut().find(|group| group.class == vote.class) {
            Some(group) => {
                group.votes += 1;
                group.weight *= weight(vote.basis);
            }
            None => groups.push(Group { class: vote.class, votes: 1, weight: weight(vote.basis) }),
        }
    }
    groups
}

/// The group with the largest `key`; of equal ones the first.
fn leader<K: Ord>(groups: &[Group], key: impl Fn(&Group) -> K) -> Option<&Group> {
    groups.iter().rev().max_by_key(|group| key(group))
}

/// `wanted` further votes for the leader are wanted; some may be out already.
fn further(panel: &Panel, wanted: u8) -> Decision {
    let (out, room) = (panel.out(), panel.room());
    match wanted.saturating_sub(out) {
        0 => Decision::Wait,
        copies if copies <= room => Decision::More { copies },
        _ => Decision::Disputed,
    }
}

fn first(panel: &Panel) -> Decision {
    let Some(vote) = panel.counted().next() else { return further(panel, 1) };
    let (class, right) = (vote.class, vec![*vote]);
    Decision::Accept { class, proof: Proof::Alone, right, wrong: Vec::new(), outvoted: Vec::new() }
}

/// `quorum` equal votes.
fn by_quorum(panel: &Panel, replicas: u8, quorum: u8) -> Decision {
    let groups = groups(panel);
    let best = leader(&groups, |group| group.votes);
    if let Some(best) = best
        && best.votes >= quorum.max(1)
    {
        return accept(panel, best.class, &groups);
    }
    let made: u8 = groups.iter().map(|group| group.votes).sum::<u8>() + panel.out();
    if made < replicas && panel.room() > 0 {
        return Decision::More { copies: (replicas - made).min(panel.room()) };
    }
    further(panel, quorum - best.map_or(0, |best| best.votes))
}

/// Sequential: copies are added until a group is credible.
fn by_confidence(panel: &Panel, doubt: Doubt, secret: &Secret, policy: &TrustPolicy) -> Decision {
    let groups = groups(panel);
    let Some(best) = leader(&groups, |group| group.weight) else {
        return further(panel, first_copies(doubt));
    };
    let others = groups.iter().map(|group| group.weight).sum::<u128>() - best.weight + 1;
    let agreed = |weight: u128| passes(weight, weight + others, doubt);
    if agreed(best.weight) {
        return accept(panel, best.class, &groups);
    }
    if groups.len() > 1 {
        let wanted = (1..=MAX_REPLICAS).find(|more| agreed(best.weight * PRIOR.pow((*more).into())));
        return further(panel, wanted.unwrap_or(MAX_REPLICAS + 1));
    }
    match trusted(panel, doubt) {
        Some(short) if panel.counted().count() > short.votes || !short.checked(secret, policy) => {
            accept(panel, best.class, &groups)
        }
        Some(_) => more_or_all(panel, 1),
        None => more_or_all(panel, wanted_agreed(panel, best.weight, doubt)),
    }
}

/// The votes with which a group that nobody contradicts passed for the first time by its trust.
struct Short<'a> {
    votes: usize,
    last: &'a Vote,
    trust: u16,
}

impl Short<'_> {
    /// The coin is thrown for the vote with which it passed, so that nobody knew before.
    fn checked(&self, secret: &Secret, policy: &TrustPolicy) -> bool {
        throw(secret, self.last.attempt, chance(self.trust, policy))
    }
}

/// The trust that a group rests on: that of the second most trusted, of a lone vote its own.
fn second_best(trusts: &[u16]) -> u16 {
    let mut trusts = trusts.to_vec();
    trusts.sort_unstable_by(|a, b| b.cmp(a));
    trusts.get(1).or(trusts.first()).copied().unwrap_or(0)
}

/// Where all counted votes agree: the first of them that pass `doubt` by their trust.
fn trusted(panel: &Panel, doubt: Doubt) -> Option<Short<'_>> {
    let (mut product, mut trusts) = (1, Vec::new());
    for vote in panel.counted() {
        product *= weight(vote.basis);
        trusts.push(vote.basis.trust);
        let weight = product * bonus(&trusts);
        if passes(weight, weight + UNIT, doubt) {
            let votes = trusts.len();
            return Some(Short { votes, last: vote, trust: second_best(&trusts) });
        }
    }
    None
}

/// Further votes that are wanted where all agree, should they be as trusted as the second best so far.
fn wanted_agreed(panel: &Panel, product: u128, doubt: Doubt) -> u8 {
    let trusts: Vec<u16> = panel.counted().map(|vote| vote.basis.trust).collect();
    let likely = second_best(&trusts);
    let enough = |more: &u8| {
        let all: Vec<u16> = trusts.iter().copied().chain((0..*more).map(|_| likely)).collect();
        let weight = product * PRIOR.pow((*more).into()) * bonus(&all);
        passes(weight, weight + UNIT, doubt)
    };
    (1..=MAX_REPLICAS).find(enough).unwrap_or(MAX_REPLICAS)
}

/// Like [`further`], where nothing is lost yet: as many as there is room for.
fn more_or_all(panel: &Panel, wanted: u8) -> Decision {
    further(panel, wanted.min(panel.out() + panel.room()).max(1))
}

/// The result is known; others are only wrong once somebody has shown that it can be had.
fn by_answer(panel: &Panel, digest: Digest) -> Decision {
    let answer = Class { exit_code: 0, content: digest };
    let says = |vote: &&Vote| vote.class == answer;
    if !panel.counted().any(|vote| says(&vote)) {
        return further(panel, 1);
    }
    let (right, wrong) = panel.votes().iter().partition(says);
    Decision::Accept { class: answer, proof: Proof::Known, right, wrong, outvoted: Vec::new() }
}

/// Believes `class`. The others are wrong where that is sure by the votes alone, else outvoted.
fn accept(panel: &Panel, class: Class, groups: &[Group]) -> Decision {
    let (right, others): (Vec<Vote>, Vec<Vote>) = panel.votes().iter().partition(|vote| vote.class == class);
    let (mut own, mut all, mut votes) = (0, 1, 0);
    for group in groups {
        all += group.weight;
        if group.class == class {
            (own, votes) = (group.weight, group.votes);
        }
    }
    let proof = if votes > 1 { Proof::Compared } else { Proof::Alone };
    let (wrong, outvoted) = if passes(own, all, SURE) { (others, Vec::new()) } else { (Vec::new(), others) };
    Decision::Accept { class, proof, right, wrong, outvoted }
}

#[cfg(test)]
mod tests;
