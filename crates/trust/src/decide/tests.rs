use super::*;
use crate::credibility::SUSPECT;
use crate::panel::{Refused, Seat};
use crate::standing::Basis;
use hivemind_model::{AttemptRef, ElementRef, NodeId, TaskId, UserId};
use proptest::prelude::*;

const NEW: Basis = Basis { trust: 0, suspect: false };
const CAUGHT: Basis = Basis { trust: 0, suspect: true };
const NEVER: TrustPolicy =
    TrustPolicy { first_quota: 1, most_quota: 1, least_quota: 1, memory: hivemind_model::Millis(0), spot_floor: 0 };

fn trust(trust: u16) -> Basis {
    Basis { trust, suspect: false }
}

fn class(name: u8) -> Class {
    Class { exit_code: 0, content: Digest([name; 32]) }
}

fn attempt(task: u64, number: u64) -> AttemptRef {
    ElementRef::only(TaskId(task)).attempt(u32::try_from(number).expect("a number"))
}

fn seat(panel: &mut Panel, task: u64) {
    let number = u64::try_from(panel.owners().count()).expect("a number") + 1;
    let seat = Seat { attempt: attempt(task, number), node: NodeId(number), owner: UserId(number) };
    panel.seat(seat).expect("a seat");
}

fn say(panel: &mut Panel, task: u64, class: Class, basis: Basis) {
    seat(panel, task);
    let seat = panel.seats().last().expect("the seat").attempt;
    panel.vote(seat, class, basis).expect("a vote");
}

fn panel_of(task: u64, votes: &[(u8, Basis)]) -> Panel {
    let mut panel = Panel::default();
    votes.iter().for_each(|(name, basis)| say(&mut panel, task, class(*name), *basis));
    panel
}

fn secret() -> Secret {
    Secret::new([1; 32])
}

fn confidence(text: &str) -> Rule {
    Rule::Confidence { doubt: text.parse().expect("a confidence") }
}

/// A task whose coin for `vote` votes lies on this side.
fn task_with_coin(votes: u64, trust: u16, policy: &TrustPolicy, wanted: bool) -> u64 {
    (1..10_000)
        .find(|task| throw(&secret(), attempt(*task, votes), chance(trust, policy)) == wanted)
        .expect("both sides come")
}

fn brief(panel: &Panel, rule: &Rule) -> String {
    match decide(panel, rule, &secret(), &NEVER) {
        Decision::More { copies } => format!("more {copies}"),
        Decision::Wait => "wait".into(),
        Decision::Accept { class, proof, right, wrong, outvoted } => {
            format!("{} {proof:?} {}:{}:{}", class.content.0[0], right.len(), wrong.len(), outvoted.len())
        }
        Decision::Disputed => "disputed".into(),
    }
}

fn briefs(votes: &[(u8, Basis)], rule: &Rule) -> Vec<String> {
    (0..=votes.len()).map(|count| brief(&panel_of(1, &votes[..count]), rule)).collect()
}

#[test]
fn a_quorum() {
    let rule = Rule::Quorum { replicas: 3, quorum: 2 };
    let votes = |names: &[u8]| names.iter().map(|name| (*name, NEW)).collect::<Vec<_>>();
    assert_eq!(briefs(&votes(&[1, 2, 1]), &rule), ["more 3", "more 2", "more 1", "1 Compared 2:0:1"]);
    assert_eq!(briefs(&votes(&[1, 1]), &rule), ["more 3", "more 2", "1 Compared 2:0:0"]);
    assert_eq!(briefs(&votes(&[1, 2, 3, 4, 2]), &rule)[3..], ["more 1", "more 1", "2 Compared 2:0:3"]);
    let all: Vec<u8> = (1..=16).collect();
    assert_eq!(briefs(&votes(&all), &rule)[15..], ["more 1", "disputed"]);
    let four = Rule::Quorum { replicas: 5, quorum: 4 };
    assert_eq!(brief(&panel_of(1, &votes(&[1, 1, 1, 2, 1])), &four), "1 Compared 4:1:0");
    let one = Rule::Quorum { replicas: 1, quorum: 1 };
    assert_eq!(briefs(&votes(&[1]), &one), ["more 1", "1 Alone 1:0:0"]);
}

#[test]
fn copies_that_are_out_are_waited_for() {
    let rule = Rule::Quorum { replicas: 3, quorum: 3 };
    let mut panel = panel_of(1, &[(1, NEW), (1, NEW)]);
    seat(&mut panel, 1);
    assert_eq!(brief(&panel, &rule), "wait");
    let lost = panel.seats()[0].attempt;
    panel.leave(lost);
    assert_eq!(brief(&panel, &rule), "more 1");
    assert_eq!(panel.vote(lost, class(1), NEW), Err(Refused::NoSeat(lost)));
}

#[test]
fn the_first_and_the_known() {
    assert_eq!(briefs(&[(7, NEW), (8, NEW)], &Rule::First), ["more 1", "7 Alone 1:0:0", "7 Alone 1:0:0"]);
    let known = Rule::Known { digest: class(5).content };
    let votes = [(1, NEW), (2, NEW), (5, NEW)];
    assert_eq!(briefs(&votes, &known), ["more 1", "more 1", "more 1", "5 Known 1:2:0"]);
    let wrong: Vec<_> = (10..26).map(|name| (name, NEW)).collect();
    assert_eq!(brief(&panel_of(1, &wrong), &known), "disputed");
    let mut failed = Panel::default();
    say(&mut failed, 1, Class { exit_code: 1, ..class(5) }, NEW);
    assert_eq!(brief(&failed, &known), "more 1", "an equal output of a run that failed is not the answer");
}

#[test]
fn five_new_nodes_pass_three_nines() {
    let votes = [(1, NEW); 5];
    let rule = confidence("0.999");
    assert_eq!(briefs(&votes, &rule), ["more 2", "more 4", "more 3", "more 2", "more 1", "1 Compared 5:0:0"]);
    let votes = [(1, NEW), (2, NEW), (1, NEW), (1, NEW), (1, NEW), (1, NEW), (1, NEW), (1, NEW)];
    assert_eq!(
        briefs(&votes, &rule)[2..],
        ["more 6", "more 5", "more 4", "more 3", "more 2", "more 1", "1 Compared 7:1:0"]
    );
    assert_eq!(briefs(&[(1, NEW)], &confidence("0.8")), ["more 1", "1 Alone 1:0:0"]);
}

#[test]
fn trust_saves_copies_where_nobody_contradicts() {
    let rule = confidence("0.999");
    assert_eq!(briefs(&[(1, trust(125)); 2], &rule), ["more 2", "more 1", "1 Compared 2:0:0"]);
    assert_eq!(briefs(&[(1, trust(124)); 3], &rule), ["more 2", "more 2", "more 1", "1 Compared 3:0:0"]);
    assert_eq!(briefs(&[(1, trust(1000)), (1, NEW)], &rule)[2..], ["more 3"], "one trusted node is not enough");
    assert_eq!(briefs(&[(1, trust(1000)), (2, NEW), (1, trust(1000))], &rule)[3..], ["more 5"], "somebody lies");
    assert_eq!(briefs(&[(1, trust(1000))], &confidence("0.95")), ["more 1", "1 Alone 1:0:0"]);
    assert_eq!(briefs(&[(1, trust(379))], &confidence("0.95")), ["more 1", "more 1"]);
}

#[test]
fn who_was_caught_counts_half() {
    let rule = confidence("0.999");
    assert_eq!((PRIOR, SUSPECT), (4, 2));
    assert_eq!(briefs(&[(1, CAUGHT); 10], &rule)[9..], ["more 1", "1 Compared 10:0:0"]);
}

#[test]
fn a_spot_check_asks_for_one_copy_more_and_no_second() {
    let (rule, policy) = (confidence("0.999"), TrustPolicy::default());
    let says = |task, votes: &[(u8, Basis)]| decide(&panel_of(task, votes), &rule, &secret(), &policy);
    let agreed = [(1, trust(200)); 3];
    let spared = task_with_coin(2, 200, &policy, false);
    assert!(matches!(says(spared, &agreed[..2]), Decision::Accept { .. }));
    let checked = task_with_coin(2, 200, &policy, true);
    assert_eq!(says(checked, &agreed[..2]), Decision::More { copies: 1 });
    assert!(matches!(says(checked, &agreed), Decision::Accept { .. }));
    let caught = [(1, trust(200)), (1, trust(200)), (2, NEW)];
    assert_eq!(says(checked, &caught), Decision::More { copies: 5 });
}

#[test]
fn who_is_found_what() {
    let rule = confidence("0.95");
    let decision = decide(
        &panel_of(1, &[(1, NEW), (2, NEW), (1, NEW), (1, NEW), (1, NEW)]),
        &rule,
        &secret(),
        &TrustPolicy::default(),
    );
    let found: Vec<(u64, Finding)> =
        decision.findings().iter().map(|(vote, finding)| (vote.node.0, *finding)).collect();
    let valid = Finding::Valid;
    assert_eq!(found, [(1, valid), (3, valid), (4, valid), (5, valid), (2, Finding::Wrong)]);
    assert_eq!(decision.spare(&rule), 1);
    let alone = decide(&panel_of(1, &[(1, NEW)]), &Rule::First, &secret(), &NEVER);
    assert_eq!(alone.findings().iter().map(|(_, finding)| *finding).collect::<Vec<_>>(), [Finding::Completed]);
    assert_eq!(Decision::Disputed.findings(), []);
}

#[test]
fn a_struck_vote_opens_what_needed_it_and_keeps_its_owner_out() {
    let rule = confidence("0.999");
    let mut panel = panel_of(1, &[(1, trust(200)), (1, trust(200))]);
    assert_eq!(brief(&panel, &rule), "1 Compared 2:0:0");
    panel.strike(UserId(2));
    assert_eq!(brief(&panel, &rule), "more 1");
    let again = Seat { attempt: attempt(1, 9), node: NodeId(9), owner: UserId(2) };
    assert_eq!(panel.seat(again), Err(Refused::OwnerTwice(UserId(2))));
    for _ in 0..14 {
        seat(&mut panel, 1);
    }
    assert_eq!(panel.seat(Seat { owner: UserId(99), ..again }), Err(Refused::Full));
}

/// Chances that one element ends with a right, and with a wrong result believed, from `right` and `wrong` votes
/// on, where each further copy is made by a stranger and lies, as all liars do, with a chance of 1/5.
fn chances(
    rule: &Rule,
    right: u8,
    wrong: u8,
    known: &mut std::collections::BTreeMap<(u8, u8), (f64, f64)>,
) -> (f64, f64) {
    if let Some(chances) = known.get(&(right, wrong)) {
        return *chances;
    }
    let votes: Vec<_> = (0..right).map(|_| (1, NEW)).chain((0..wrong).map(|_| (2, NEW))).collect();
    let result = match decide(&panel_of(1, &votes), rule, &secret(), &NEVER) {
        Decision::Accept { class: believed, .. } if believed == class(1) => (1.0, 0.0),
        Decision::Accept { .. } => (0.0, 1.0),
        Decision::Disputed => (0.0, 0.0),
        Decision::More { .. } | Decision::Wait => {
            let honest = chances(rule, right + 1, wrong, known);
            let liar = chances(rule, right, wrong + 1, known);
            (0.8 * honest.0 + 0.2 * liar.0, 0.8 * honest.1 + 0.2 * liar.1)
        }
    };
    known.insert((right, wrong), result);
    result
}

#[test]
fn a_fifth_of_colluding_strangers_stays_below_the_doubt_exactly() {
    for doubt in [200_000, 100_000, 50_000, 20_000, 10_000, 1000, 100, 10, 1] {
        let rule = Rule::Confidence { doubt: Doubt(doubt) };
        let (right, wrong) = chances(&rule, 0, 0, &mut std::collections::BTreeMap::new());
        assert!(wrong <= f64::from(doubt) / 1e6 * (right + wrong) + 1e-12, "{doubt}: {right} right, {wrong} wrong");
    }
}

fn any_rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (1u8..=MAX_REPLICAS)
            .prop_flat_map(|replicas| (Just(replicas), 1..=replicas))
            .prop_map(|(replicas, quorum)| Rule::Quorum { replicas, quorum }),
        (1u32..=500_000).prop_map(|doubt| Rule::Confidence { doubt: Doubt(doubt) }),
        Just(Rule::Known { digest: class(0).content }),
        Just(Rule::First),
    ]
}

fn any_basis() -> impl Strategy<Value = Basis> {
    prop_oneof![
        3 => (0u16..=1000).prop_map(trust),
        1 => (0u16..10).prop_map(|trust| Basis { trust, suspect: true }),
    ]
}

fn any_votes(most: usize) -> impl Strategy<Value = Vec<(u8, Basis)>> {
    proptest::collection::vec((prop_oneof![4 => Just(0u8), 1 => 1u8..4], any_basis()), 0..=most)
}

/// The bar in other words than the rules': by logarithms of odds. What its first votes proved stays proved,
/// though a further one may be of a node that is trusted less.
fn odds(right: &[Vote], others: usize) -> f64 {
    (1..=right.len()).map(|first| odds_of(&right[..first], others)).fold(0.0, f64::max)
}

fn odds_of(right: &[Vote], others: usize) -> f64 {
    let trust = |vote: &Vote| f64::from(vote.basis.trust);
    let own: f64 = right.iter().map(|vote| if vote.basis.suspect { 2f64.ln() } else { 4f64.ln() }).sum();
    let mut trusts: Vec<f64> = right.iter().map(trust).collect();
    trusts.sort_by(|a, b| b.total_cmp(a));
    let bonus = match (&trusts[..], others) {
        (_, 1..) | ([], 0) => 1.0,
        ([only], 0) => (only / 80.0).max(1.0),
        ([_, second, ..], 0) => (second / 2.0).max(1.0),
    };
    own + bonus.ln()
}

#[test]
fn what_one_trusted_vote_proved_a_vote_of_less_trust_does_not_undo() {
    let rule = Rule::Confidence { doubt: Doubt(96_619) };
    let votes = [(0, trust(187)), (0, Basis { trust: 0, suspect: true })];
    for count in 1..=2 {
        let decision = decide(&panel_of(1, &votes[..count]), &rule, &secret(), &NEVER);
        assert!(matches!(decision, Decision::Accept { class: accepted, .. } if accepted == class(0)), "{decision:?}");
    }
}

proptest! {
    #[test]
    fn nothing_is_accepted_below_the_bar(votes in any_votes(16), rule in any_rule()) {
        let panel = panel_of(1, &votes);
        if let Decision::Accept { class: accepted, proof, right, wrong, outvoted } =
            decide(&panel, &rule, &secret(), &NEVER)
        {
            prop_assert!(right.iter().all(|vote| vote.class == accepted));
            prop_assert!(wrong.iter().chain(&outvoted).all(|vote| vote.class != accepted));
            match rule {
                Rule::First => prop_assert_eq!(proof, Proof::Alone),
                Rule::Quorum { quorum, .. } => prop_assert!(right.len() >= usize::from(quorum)),
                Rule::Known { digest } => prop_assert_eq!(accepted.content, digest),
                Rule::Confidence { doubt } => {
                    let doubt = f64::from(doubt.0) / 1e6;
                    let bar = ((1.0 - doubt) / doubt).ln();
                    prop_assert!(odds(&right, wrong.len() + outvoted.len()) >= bar - 1e-9);
                }
            }
            prop_assert!((proof == Proof::Compared) == (right.len() > 1) || proof == Proof::Known);
        }
    }

    #[test]
    fn a_vote_for_what_is_accepted_changes_nothing_and_one_against_it_helps_nobody(
        votes in any_votes(14), rule in any_rule(), basis in any_basis(),
    ) {
        let policy = TrustPolicy::default();
        let panel = panel_of(1, &votes);
        let chosen = |panel: &Panel| match decide(panel, &rule, &secret(), &policy) {
            Decision::Accept { class, .. } => Some(class),
            Decision::More { .. } | Decision::Wait | Decision::Disputed => None,
        };
        let before = chosen(&panel);
        if let Some(accepted) = before {
            let mut agreed = panel.clone();
            say(&mut agreed, 1, accepted, basis);
            prop_assert_eq!(chosen(&agreed), Some(accepted));
        } else if !votes.is_empty() && !matches!(rule, Rule::Quorum { quorum: 1, .. }) {
            let mut against = panel;
            say(&mut against, 1, class(200), basis);
            prop_assert_eq!(chosen(&against), None);
        }
    }

    #[test]
    fn a_dispute_is_one_that_no_further_copies_end(votes in any_votes(16), rule in any_rule(), seats in 0usize..4) {
        let mut panel = panel_of(1, &votes);
        for _ in 0..seats.min(panel.room().into()) {
            seat(&mut panel, 1);
        }
        match decide(&panel, &rule, &secret(), &NEVER) {
            Decision::More { copies } => prop_assert!(copies >= 1 && copies <= panel.room()),
            Decision::Wait => prop_assert!(panel.out() > 0),
            Decision::Accept { .. } => {}
            Decision::Disputed => for name in 0..4 {
                let mut more = panel.clone();
                let out: Vec<AttemptRef> = more.seats().iter().map(|seat| seat.attempt).collect();
                out.into_iter().for_each(|attempt| more.vote(attempt, class(name), trust(1000)).expect("a vote"));
                while more.room() > 0 {
                    say(&mut more, 1, class(name), trust(1000));
                }
                let accepted = matches!(decide(&more, &rule, &secret(), &NEVER), Decision::Accept { .. });
                prop_assert!(!accepted, "copies of {name} would have decided it");
            }
        }
    }

    #[test]
    fn who_does_as_told_comes_to_an_end_within_the_bound(
        votes in proptest::collection::vec((0u8..3, any_basis()), 16), rule in any_rule(), task in 1u64..1000,
    ) {
        let mut panel = Panel::default();
        let mut next = votes.iter();
        loop {
            match decide(&panel, &rule, &secret(), &TrustPolicy::default()) {
                Decision::More { copies } => for _ in 0..copies {
                    let (name, basis) = next.next().expect("no more than sixteen");
                    say(&mut panel, task, class(*name), *basis);
                },
                Decision::Wait => prop_assert!(false, "nothing is out"),
                Decision::Accept { .. } | Decision::Disputed => break,
            }
        }
    }

    #[test]
    fn an_owner_has_one_vote(owners in proptest::collection::vec(0u64..6, 0..30)) {
        let mut panel = Panel::default();
        for (number, owner) in (1u32..).zip(&owners) {
            let attempt = ElementRef::only(TaskId(1)).attempt(number);
            let twice = panel.owners().any(|other| other == UserId(*owner));
            let seated = panel.seat(Seat { attempt, node: NodeId(number.into()), owner: UserId(*owner) });
            prop_assert_eq!(seated.is_err(), twice);
            if seated.is_ok() {
                panel.vote(attempt, class(1), NEW).expect("a vote");
            }
        }
        let mut seen: Vec<UserId> = panel.votes().iter().map(|vote| vote.owner).collect();
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), count);
    }
}
