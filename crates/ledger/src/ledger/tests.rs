use super::*;
use crate::script::run;

const NOW: Timestamp = Timestamp(1_000);
const ANNA: UserId = UserId(1);

#[test]
fn a_sign_up_gives_free_credit() {
    insta::assert_snapshot!(run("
        sign_up anna 150
        sign_up bert 0
    "), @r"
    sign_up anna 150
      sign_up: treasury -150 = 999999999850, promo:anna +150 = 150
    sign_up bert 0
    ");
}

#[test]
fn a_transfer_of_money_leaves_free_credit_alone() {
    insta::assert_snapshot!(run("
        fund anna 100+50
        transfer anna bert 60 own
        transfer anna bert 41 own
        transfer anna bert 40 own
        transfer anna bert 0.000001 own
    "), @r"
    transfer anna bert 60 own
      transfer: available:anna -60 = 40, available:bert +60 = 60
    transfer anna bert 41 own
      refused: needs 41.00 CPT, 40.00 CPT is available
    transfer anna bert 40 own
      transfer: available:anna -40 = 0, available:bert +40 = 100
    transfer anna bert 0.000001 own
      refused: needs 0.000001 CPT, 0.00 CPT is available
    ");
}

#[test]
fn a_transfer_of_anything_takes_money_first_and_arrives_as_money() {
    insta::assert_snapshot!(run("
        fund anna 100+50
        transfer anna bert 60 any
        transfer anna bert 60 any
        transfer anna bert 30.000001 any
        transfer anna bert 30 any
        transfer bert anna 150 own
    "), @r"
    transfer anna bert 60 any
      transfer: available:anna -60 = 40, available:bert +60 = 60
    transfer anna bert 60 any
      transfer: available:anna -40 = 0, promo:anna -20 = 30, available:bert +60 = 120
    transfer anna bert 30.000001 any
      refused: needs 30.000001 CPT, 30.00 CPT is available
    transfer anna bert 30 any
      transfer: promo:anna -30 = 0, available:bert +30 = 150
    transfer bert anna 150 own
      transfer: available:bert -150 = 0, available:anna +150 = 150
    ");
}

#[test]
fn tips_wait_at_the_project_until_its_owner_collects() {
    insta::assert_snapshot!(run("
        fund anna 10+50
        fund bert 5+0
        tip anna p1 3 own
        tip anna p1 8 own
        tip anna p1 8 any
        tip bert p1 5 any
        tip bert p2 1 any
        collect p1 carl
        collect p1 carl
        collect p2 carl
    "), @r"
    tip anna p1 3 own
      tip: available:anna -3 = 7, project:proj_1 +3 = 3
    tip anna p1 8 own
      refused: needs 8.00 CPT, 7.00 CPT is available
    tip anna p1 8 any
      tip: available:anna -7 = 0, promo:anna -1 = 49, project:proj_1 +8 = 11
    tip bert p1 5 any
      tip: available:bert -5 = 0, project:proj_1 +5 = 16
    tip bert p2 1 any
      refused: needs 1.00 CPT, 0.00 CPT is available
    collect p1 carl
      collect: project:proj_1 -16 = 0, available:carl +16 = 16
      -> 16
    collect p1 carl
      -> 0
    collect p2 carl
      -> 0
    ");
}

#[test]
fn rewards_come_from_the_treasury_and_may_have_to_vest() {
    insta::assert_snapshot!(run("
        reward anna n1 5
        reward anna n1 0
        reward anna n2 7 3000
        now 2999
        vest
        now 3000
        vest
        vest
    "), @r"
    reward anna n1 5
      reward: treasury -5 = 999999999995, available:anna +5 = 5
    reward anna n1 0
    reward anna n2 7 3000
      reward: treasury -7 = 999999999988, reward:anna +7 = 7
    vest
      nothing is due
    vest
      vest: reward:anna -7 = 0, available:anna +7 = 12
      vested
    vest
      nothing is due
    ");
}

#[test]
fn earnings_vest_in_the_order_in_which_they_are_due() {
    insta::assert_snapshot!(run("
        reward bert n1 1 5000
        reward anna n2 2 4000
        reward anna n2 3 4000
        reward anna n2 4 3000
        fund carl 10+0
        hold t1 carl 10
        close 1.0.1 anna 10 money 4000
        batch
        now 4999
        vest
        vest
        vest
        vest
        batch
        now 5000
        vest
    "), @r"
    reward bert n1 1 5000
      reward: treasury -1 = 999999999999, reward:bert +1 = 1
    reward anna n2 2 4000
      reward: treasury -2 = 999999999997, reward:anna +2 = 2
    reward anna n2 3 4000
      reward: treasury -3 = 999999999994, reward:anna +3 = 5
    reward anna n2 4 3000
      reward: treasury -4 = 999999999990, reward:anna +4 = 9
    hold t1 carl 10
      hold: available:carl -10 = 0, held:carl +10 = 10
    close 1.0.1 anna 10 money 4000
      settlement: held:carl -10 = 0, owner:anna +10 = 10
      -> 0
    batch
      entries: 8, balances: 7
      vests: reward:anna at 3000 4, owner:anna at 4000 10, reward:anna at 4000 5, reward:bert at 5000 1
    vest
      vest: reward:anna -4 = 5, available:anna +4 = 4
      vested
    vest
      vest: owner:anna -10 = 0, available:anna +10 = 14
      vested
    vest
      vest: reward:anna -5 = 0, available:anna +5 = 19
      vested
    vest
      nothing is due
    batch
      entries: 3, balances: 3
      ended vests: reward:anna at 3000, owner:anna at 4000, reward:anna at 4000
    vest
      vest: reward:bert -1 = 0, available:bert +1 = 1
      vested
    ");
}

#[test]
fn an_empty_treasury_gives_nothing() {
    insta::assert_snapshot!(run("
        sign_up anna 999999999990
        sign_up bert 10.000001
        reward bert n1 10.000001
        reward bert n1 10
        sign_up carl 0.000001
        reward bert n1 0
    "), @r"
    sign_up anna 999999999990
      sign_up: treasury -999999999990 = 10, promo:anna +999999999990 = 999999999990
    sign_up bert 10.000001
      refused: the treasury has 10.00 CPT left, less than 10.000001 CPT
    reward bert n1 10.000001
      refused: the treasury has 10.00 CPT left, less than 10.000001 CPT
    reward bert n1 10
      reward: treasury -10 = 0, available:bert +10 = 10
    sign_up carl 0.000001
      refused: the treasury has 0.00 CPT left, less than 0.000001 CPT
    reward bert n1 0
    ");
}

#[test]
fn the_clock_of_the_journal_never_goes_back() {
    let mut ledger = Ledger::found(Timestamp(5_000));
    ledger.sign_up(ANNA, Cpt::from_micro(1), Timestamp(4_000)).expect("the treasury is full");
    let times: Vec<i64> = ledger.take_changes().entries.iter().map(|entry| entry.at.0).collect();
    assert_eq!((times, ledger.last_at()), (vec![5_000, 5_000], Timestamp(5_000)));
}

/// Every amount that cannot be moved, by every way that takes one.
#[test]
fn bad_amounts_change_nothing() {
    insta::assert_snapshot!(run("
        fund anna 100+50
        hold t1 anna 10
        sign_up carl -1
        transfer anna bert 0 any
        transfer anna bert -1 any
        transfer anna bert 9223372036854 any
        transfer anna anna 1 any
        tip anna p1 0 any
        tip anna p1 -1 any
        tip anna p1 141 any
        reward anna n1 -1
        hold t2 anna -1
        hold t2 anna 141
        accrue 1.0.1 bert -1
        settle 1.0.1 bert -1 money
        close 1.0.1 bert -1 money
    "), @r"
    hold t1 anna 10
      hold: promo:anna -10 = 40, held:anna +10 = 10
    sign_up carl -1
      refused: -1.00 CPT is not an amount that can be moved
    transfer anna bert 0 any
      refused: 0.00 CPT is not an amount that can be moved
    transfer anna bert -1 any
      refused: -1.00 CPT is not an amount that can be moved
    transfer anna bert 9223372036854 any
      refused: needs 9223372036854.00 CPT, 140.00 CPT is available
    transfer anna anna 1 any
      refused: anna is both sides of the transfer
    tip anna p1 0 any
      refused: 0.00 CPT is not an amount that can be moved
    tip anna p1 -1 any
      refused: -1.00 CPT is not an amount that can be moved
    tip anna p1 141 any
      refused: needs 141.00 CPT, 140.00 CPT is available
    reward anna n1 -1
      refused: -1.00 CPT is not an amount that can be moved
    hold t2 anna -1
      refused: -1.00 CPT is not an amount that can be moved
    hold t2 anna 141
      refused: needs 141.00 CPT, 140.00 CPT is available
    accrue 1.0.1 bert -1
      refused: -1.00 CPT is not an amount that can be moved
    settle 1.0.1 bert -1 money
      refused: -1.00 CPT is not an amount that can be moved
    close 1.0.1 bert -1 money
      refused: -1.00 CPT is not an amount that can be moved
    ");
}

#[test]
fn the_ends_of_64_bits_are_refused() {
    let mut ledger = Ledger::found(NOW);
    ledger.sign_up(ANNA, Cpt::from_micro(5), NOW).expect("the treasury is full");
    ledger.open_hold(TaskId(1), ANNA, Cpt::from_micro(1), NOW, NOW).expect("enough");
    let before = ledger.clone();
    let attempt = "att_1.0.1".parse().expect("an attempt");
    let terms = crate::Terms { promo: crate::PromoPay::Money, vests_at: Some(NOW) };
    let paid = crate::Paid { attempt, payee: UserId(2), terms };
    for amount in [i64::MIN, i64::MIN + 1, SUPPLY.micro() + 1, i64::MAX].map(Cpt::from_micro) {
        for spend in [Spend::Own, Spend::OwnThenPromo] {
            assert!(ledger.transfer(ANNA, UserId(2), amount, spend, NOW).is_err());
            assert!(ledger.tip(ANNA, (ProjectId(1), 1), amount, spend, NOW).is_err());
        }
        assert!(ledger.sign_up(ANNA, amount, NOW).is_err());
        assert!(ledger.reward(ANNA, (NodeId(1), NOW), amount, Some(NOW), NOW).is_err());
        assert!(ledger.open_hold(TaskId(2), ANNA, amount, NOW, NOW).is_err());
        assert!(ledger.accrue(attempt, ANNA, amount, NOW).is_err());
        assert!(ledger.settle(paid, amount, NOW).is_err());
        assert!(ledger.settle_and_close(paid, amount, NOW).is_err());
        assert_eq!(ledger, before, "{amount}");
    }
}

#[test]
fn a_batch_tells_only_what_outlives_it() {
    insta::assert_snapshot!(run("
        batch
        fund anna 100+50
        hold t1 anna 10
        accrue 1.0.1 bert 2
        batch
        hold t2 anna 10
        accrue 2.0.1 bert 2
        return 2.0.1
        release t2
        accrue 1.0.1 bert 1
        batch
        close 1.0.1 bert 4 money 2000
        batch
        batch
        now 2000
        vest
        reward bert n1 1 2500
        now 2500
        vest
        batch
    "), @r"
    batch
      entries: 0, balances: 0
    hold t1 anna 10
      hold: promo:anna -10 = 40, held:anna +10 = 10
    accrue 1.0.1 bert 2
      accrual: held:anna -2 = 8, pending:bert +2 = 2
    batch
      entries: 5, balances: 6
      holds: task_1 0+8
      accruals: att_1.0.1 0+2
    hold t2 anna 10
      hold: promo:anna -10 = 30, held:anna +10 = 18
    accrue 2.0.1 bert 2
      accrual: held:anna -2 = 16, pending:bert +2 = 4
    return 2.0.1
      return: pending:bert -2 = 2, held:anna +2 = 18
      -> 2
    release t2
      release: held:anna -10 = 8, promo:anna +10 = 40
      -> 10
    accrue 1.0.1 bert 1
      accrual: held:anna -1 = 7, pending:bert +1 = 3
    batch
      entries: 5, balances: 3
      holds: task_1 0+7
      accruals: att_1.0.1 0+3
    close 1.0.1 bert 4 money 2000
      settlement: pending:bert -3 = 0, held:anna -7 = 0, owner:bert +4 = 4, promo:anna +6 = 46
      -> 6
    batch
      entries: 1, balances: 4
      ended holds: task_1
      ended accruals: att_1.0.1
      vests: owner:bert at 2000 4
    batch
      entries: 0, balances: 0
    vest
      vest: owner:bert -4 = 0, available:bert +4 = 4
      vested
    reward bert n1 1 2500
      reward: treasury -1 = 999999999849, reward:bert +1 = 1
    vest
      vest: reward:bert -1 = 0, available:bert +1 = 5
      vested
    batch
      entries: 3, balances: 4
      ended vests: owner:bert at 2000
    ");
}

/// What comes back under its old name in the batch in which it ended was stored before, so its end must be told.
#[test]
fn what_ends_comes_back_and_ends_again_is_told_as_ended() {
    insta::assert_snapshot!(run("
        fund anna 100+50
        hold t1 anna 10
        accrue 1.0.1 bert 2
        reward bert n1 1 1000
        batch
        return 1.0.1
        accrue 1.0.1 bert 3
        return 1.0.1
        release t1
        hold t1 anna 5
        release t1
        vest
        reward bert n1 1 1000
        vest
        batch
    "), @r"
    hold t1 anna 10
      hold: promo:anna -10 = 40, held:anna +10 = 10
    accrue 1.0.1 bert 2
      accrual: held:anna -2 = 8, pending:bert +2 = 2
    reward bert n1 1 1000
      reward: treasury -1 = 999999999849, reward:bert +1 = 1
    batch
      entries: 6, balances: 7
      holds: task_1 0+8
      accruals: att_1.0.1 0+2
      vests: reward:bert at 1000 1
    return 1.0.1
      return: pending:bert -2 = 0, held:anna +2 = 10
      -> 2
    accrue 1.0.1 bert 3
      accrual: held:anna -3 = 7, pending:bert +3 = 3
    return 1.0.1
      return: pending:bert -3 = 0, held:anna +3 = 10
      -> 3
    release t1
      release: held:anna -10 = 0, promo:anna +10 = 50
      -> 10
    hold t1 anna 5
      hold: promo:anna -5 = 45, held:anna +5 = 5
    release t1
      release: held:anna -5 = 0, promo:anna +5 = 50
      -> 5
    vest
      vest: reward:bert -1 = 0, available:bert +1 = 1
      vested
    reward bert n1 1 1000
      reward: treasury -1 = 999999999848, reward:bert +1 = 1
    vest
      vest: reward:bert -1 = 0, available:bert +1 = 2
      vested
    batch
      entries: 9, balances: 6
      ended holds: task_1
      ended accruals: att_1.0.1
      ended vests: reward:bert at 1000
    ");
}

#[test]
fn stored_books_that_cannot_be_true_are_refused() {
    let mut ledger = Ledger::found(NOW);
    let amount = Cpt::from_micro(10);
    for user in [1, 2] {
        ledger.sign_up(UserId(user), amount, NOW).expect("the treasury is full");
    }
    ledger.open_hold(TaskId(7), ANNA, amount, NOW, NOW).expect("enough");
    ledger.accrue("att_7.0.1".parse().expect("an attempt"), UserId(2), Cpt::from_micro(4), NOW).expect("held");
    for due in [2_000, 3_000] {
        ledger.reward(ANNA, (NodeId(1), NOW), amount, Some(Timestamp(due)), NOW).expect("the treasury is full");
    }
    let image = ledger.image();
    let _ = ledger.take_changes();
    assert_eq!(Ledger::restore(image.clone()), Ok(ledger));
    type Change = fn(&mut LedgerImage);
    let changes: [(&str, Change); 18] = [
        ("more money", |i| i.balances[1].1 = Cpt::from_micro(999)),
        ("less than none", |i| {
            i.balances[0].1 = Cpt::from_micro(i.balances[0].1.micro() + 11);
            i.balances[2].1 = Cpt::from_micro(-1);
        }),
        ("another hold", |i| i.holds[0].left.promo = Cpt::from_micro(9)),
        ("hold below zero", |i| i.holds[0].left.own = Cpt::from_micro(-1)),
        ("another's hold", |i| i.holds[0].user = UserId(2)),
        ("no hold", |i| i.holds.clear()),
        ("two holds", |i| i.holds.push(i.holds[0])),
        ("another accrual", |i| i.accruals[0].amount.promo = Cpt::from_micro(3)),
        ("accrual below zero", |i| i.accruals[0].amount.own = Cpt::from_micro(-1)),
        ("accrual of no hold", |i| i.accruals[0].attempt.element.task = TaskId(8)),
        ("another's accrual", |i| i.accruals[0].payee = ANNA),
        ("no accrual", |i| i.accruals.clear()),
        ("two accruals", |i| i.accruals.push(i.accruals[0])),
        ("another vest", |i| i.vests[0].amount = Cpt::from_micro(9)),
        ("vest below zero", |i| {
            i.vests[0].amount = Cpt::from_micro(-1);
            i.vests[1].amount = Cpt::from_micro(21);
        }),
        ("another's vest", |i| i.vests[0].key.user = UserId(2)),
        ("two vests", |i| i.vests.push(i.vests[0])),
        ("no genesis", |i| i.last_seq = 0),
    ];
    let mut found = String::new();
    for (name, change) in changes {
        let mut image = image.clone();
        change(&mut image);
        found += &format!("{name}: {}\n", Ledger::restore(image).expect_err("must be refused"));
    }
    insta::assert_snapshot!(found, @r"
    more money: the books break L5: all accounts together have 1000000000000000999 micro-CPT instead of 1000000000000000000
    less than none: the books break L2: promo:user_2 has -0.000001 CPT
    another hold: the books break L1: held:user_1 has 0.000006 CPT, its parts have 9 micro-CPT
    hold below zero: the books break L3: the hold of task_7 has 0.000005 CPT left
    another's hold: the books break L1: held:user_1 has 0.000006 CPT, its parts have 0 micro-CPT
    no hold: the books break L3: att_7.0.1 earns from a hold that has ended
    two holds: the books break L3: an account, a hold, an accrual or a vest is stored twice
    another accrual: the books break L1: pending:user_2 has 0.000004 CPT, its parts have 3 micro-CPT
    accrual below zero: the books break L4: att_7.0.1 has earned 0.000003 CPT
    accrual of no hold: the books break L3: att_8.0.1 earns from a hold that has ended
    another's accrual: the books break L1: pending:user_2 has 0.000004 CPT, its parts have 0 micro-CPT
    no accrual: the books break L1: pending:user_2 has 0.000004 CPT, its parts have 0 micro-CPT
    two accruals: the books break L3: an account, a hold, an accrual or a vest is stored twice
    another vest: the books break L1: reward:user_1 has 0.00002 CPT, its parts have 19 micro-CPT
    vest below zero: the books break L2: -0.000001 CPT of user_1 vests at 2000
    another's vest: the books break L1: reward:user_1 has 0.00002 CPT, its parts have 10 micro-CPT
    two vests: the books break L3: an account, a hold, an accrual or a vest is stored twice
    no genesis: the books break L7: the journal has no genesis entry
    ");
}
