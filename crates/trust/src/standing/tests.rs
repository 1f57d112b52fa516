use super::*;
use proptest::prelude::*;

const CORES: MilliCores = MilliCores::from_cores(1);
const NOW: Timestamp = Timestamp(20_000 * DAY);

fn fresh() -> TrustRow {
    enrolled(NodeId(1), CORES, NOW, &TrustPolicy::default())
}

fn with(valid: u16, wrong: u16) -> TrustRow {
    TrustRow { valid, wrong, wrong_at: (wrong > 0).then_some(NOW), ..fresh() }
}

fn found(row: TrustRow, findings: &[Finding]) -> TrustRow {
    findings.iter().fold(row, |row, finding| after(row, *finding, CORES, NOW, &TrustPolicy::default()))
}

#[test]
fn what_each_finding_does() {
    use Finding::{Completed, Error, Outvoted, Valid, Wrong};
    for (finding, valid, wrong, quota) in
        [(Valid, 101, 1, 200), (Completed, 100, 1, 200), (Error, 50, 1, 50), (Outvoted, 50, 1, 50), (Wrong, 0, 2, 50)]
    {
        let row = found(with(100, 1), &[finding]);
        assert_eq!((row.valid, row.wrong, row.quota), (valid, wrong, quota), "{finding:?}");
    }
    let row = found(fresh(), &[Finding::Completed; 5000]);
    assert_eq!(own_trust(&row), 0, "nobody compared them");
}

#[test]
fn trust_rises_slowly_and_each_wrong_result_makes_it_slower() {
    for (wrong, known, trusted, proven) in
        [(0, 10, 100, 1000), (1, 20, 200, 2000), (3, 80, 800, 8000), (6, 640, 6400, 64_000), (9, 640, 6400, 64_000)]
    {
        for (valid, tier_then) in
            [(known, TrustTier::Known), (trusted, TrustTier::Trusted), (proven, TrustTier::Proven)]
        {
            assert_eq!(tier(own_trust(&with(valid, wrong))), tier_then, "{wrong} wrong, {valid} valid");
            assert!(tier(own_trust(&with(valid - 1, wrong))) < tier_then, "{wrong} wrong, {valid} - 1 valid");
        }
    }
    assert_eq!(own_trust(&found(with(0, 0), &[Finding::Valid; 3000])), MOST_TRUST);
    assert_eq!(own_trust(&found(with(1000, 0), &[Finding::Wrong])), 0);
    assert_eq!(found(with(0, u16::MAX), &[Finding::Wrong]).wrong, u16::MAX);
}

#[test]
fn a_quota_doubles_halves_and_comes_back() {
    let mut quotas = vec![fresh().quota];
    let mut row = fresh();
    for finding in [Finding::Error; 8].into_iter().chain([Finding::Completed; 12]) {
        row = found(row, &[finding]);
        quotas.push(row.quota);
    }
    let expected =
        [100, 50, 25, 12, 10, 10, 10, 10, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240, 20_480, 40_960];
    assert_eq!(quotas, expected);
    assert_eq!(found(fresh(), &[Finding::Completed; 40]).quota, 102_400);
    assert_eq!(enrolled(NodeId(1), MilliCores(2500), NOW, &TrustPolicy::default()).quota, 300);
    let none = TrustPolicy { first_quota: 0, most_quota: 0, ..TrustPolicy::default() };
    assert_eq!(enrolled(NodeId(1), CORES, NOW, &none).quota, 1);
}

#[test]
fn a_new_node_may_take_its_quota_each_day_and_a_known_one_any_number() {
    let mut row = TrustRow { quota: 2, ..fresh() };
    assert_eq!(left(&row, NOW), Some(2));
    row = take(row, NOW).expect("the first");
    row = take(row, NOW.after(hivemind_model::Millis(DAY.unsigned_abs() - 1))).expect("the second");
    assert_eq!((take(row, NOW), left(&row, NOW)), (Err(Spent { quota: 2 }), Some(0)));
    let tomorrow = Timestamp(NOW.0 + DAY);
    assert_eq!(left(&row, tomorrow), Some(2));
    row = take(row, tomorrow).expect("a new day");
    assert_eq!((row.used, left(&row, tomorrow)), (1, Some(1)));
    let known = TrustRow { quota: 1, used: 1000, ..with(10, 0) };
    assert_eq!(left(&known, NOW), None);
    assert_eq!(take(known, NOW).map(|row| row.used), Ok(1001));
}

#[test]
fn a_cheat_on_one_node_drops_all_of_its_owner() {
    let policy = TrustPolicy::default();
    let mut rows: Vec<TrustRow> =
        (1..=3).map(|id| TrustRow { node: NodeId(id), quota: 400, ..with(1000, 0) }).collect();
    rows[0] = found(rows[0], &[Finding::Wrong]);
    after_cheat(&mut rows, NodeId(1));
    assert_eq!(
        rows.iter().map(|row| (row.valid, row.wrong, row.quota)).collect::<Vec<_>>(),
        [(0, 1, 200), (0, 0, 200), (0, 0, 200)]
    );
    let new = enrolled(NodeId(4), CORES, NOW, &policy);
    rows.push(new);
    assert_eq!(basis(&new, &rows, NOW, &policy), Basis { trust: 0, suspect: true }, "a new node is no way out");

    rows[1].valid = 500;
    assert_eq!(basis(&rows[1], &rows, NOW, &policy), Basis { trust: 0, suspect: true }, "the worst one counts");
    rows[0].valid = 100;
    assert_eq!(basis(&rows[1], &rows, NOW, &policy), Basis { trust: 50, suspect: false });
    let later = NOW.after(policy.memory).after(hivemind_model::Millis(1));
    assert_eq!(basis(&rows[1], &rows, later, &policy), Basis { trust: 500, suspect: false });
    assert_eq!(basis(&rows[3], &rows, later, &policy), Basis { trust: 0, suspect: false });
    rows[0].valid = 19;
    assert_eq!(basis(&rows[0], &rows, later, &policy), Basis { trust: 9, suspect: true }, "its own past stays");
}

#[test]
fn a_new_node_of_a_trusted_owner_inherits_nothing_and_takes_nothing_away() {
    let policy = TrustPolicy::default();
    let rows = [with(1000, 0), TrustRow { node: NodeId(2), ..with(0, 0) }];
    assert_eq!(basis(&rows[1], &rows, NOW, &policy), Basis { trust: 0, suspect: false });
    assert_eq!(basis(&rows[0], &rows, NOW, &policy), Basis { trust: 1000, suspect: false });
    assert_eq!(basis(&rows[0], &rows, NOW, &policy).tier(), TrustTier::Proven);
}

#[test]
fn trust_is_divided_among_what_is_at_stake_at_once() {
    let basis = Basis { trust: 1000, suspect: false };
    for (at_once, trust) in [(0, 1000), (1, 1000), (2, 1000), (3, 666), (4, 500), (64, 31), (u32::MAX, 0)] {
        assert_eq!(staked(basis, at_once), Basis { trust, ..basis }, "{at_once} at once");
    }
}

fn any_finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        5 => Just(Finding::Valid),
        1 => Just(Finding::Completed),
        1 => Just(Finding::Error),
        1 => Just(Finding::Outvoted),
        1 => Just(Finding::Wrong),
    ]
}

proptest! {
    #[test]
    fn trust_moves_up_by_one_at_most_and_only_by_what_was_compared(
        valid in 0u16..=MOST_VALID, wrong in 0u16..10, quota in 1u32..=102_400, finding in any_finding(),
    ) {
        let before = TrustRow { quota, ..with(valid, wrong) };
        let row = found(before, &[finding]);
        let (old, new) = (own_trust(&before), own_trust(&row));
        prop_assert!(new <= old + 1);
        prop_assert!(new <= old || finding == Finding::Valid);
        prop_assert!(row.wrong >= before.wrong && row.valid <= MOST_VALID);
        prop_assert!((1..=102_400).contains(&row.quota));
        prop_assert!(finding != Finding::Wrong || new == 0);
    }

    #[test]
    fn a_node_is_worth_no_more_than_its_own_work(valid in 0u16..2000, others in proptest::collection::vec((0u16..2000, 0u16..3), 0..5)) {
        let policy = TrustPolicy::default();
        let row = with(valid, 0);
        let rows: Vec<TrustRow> = others.iter().map(|(valid, wrong)| with(*valid, *wrong)).collect();
        prop_assert!(basis(&row, &rows, NOW, &policy).trust <= own_trust(&row));
    }
}
