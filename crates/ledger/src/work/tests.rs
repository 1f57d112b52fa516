use crate::script::run;

#[test]
fn a_hold_takes_free_credit_first() {
    insta::assert_snapshot!(run("
        fund anna 100+50
        hold t1 anna 20
        hold t2 anna 60
        hold t2 anna 1
        hold t3 anna 71
        hold t3 anna 70
        batch
    "), @r"
    hold t1 anna 20
      hold: promo:anna -20 = 30, held:anna +20 = 20
    hold t2 anna 60
      hold: promo:anna -30 = 0, available:anna -30 = 70, held:anna +60 = 80
    hold t2 anna 1
      refused: task_2 has a hold already
    hold t3 anna 71
      refused: needs 71.00 CPT, 70.00 CPT is available
    hold t3 anna 70
      hold: available:anna -70 = 0, held:anna +70 = 150
    batch
      entries: 6, balances: 5
      holds: task_1 0+20, task_2 30+30, task_3 70+0
    ");
}

#[test]
fn a_short_task_makes_two_entries() {
    insta::assert_snapshot!(run("
        fund anna 100+0
        hold t1 anna 10
        close 1.0.1 bert 4 money
        close 1.0.1 bert 4 money
    "), @r"
    hold t1 anna 10
      hold: available:anna -10 = 90, held:anna +10 = 10
    close 1.0.1 bert 4 money
      settlement: held:anna -10 = 0, available:bert +4 = 4, available:anna +6 = 96
      -> 6
    close 1.0.1 bert 4 money
      refused: task_1 has no open hold
    ");
}

#[test]
fn a_hold_of_nothing_makes_no_entry_and_must_still_end() {
    insta::assert_snapshot!(run("
        hold t1 anna 0
        batch
        hold t1 anna 0
        accrue 1.0.1 bert 0
        settle 1.0.1 bert 0 money
        return 1.0.1
        close 1.0.1 bert 0 money
        batch
        release t1
    "), @r"
    hold t1 anna 0
    batch
      entries: 0, balances: 0
      holds: task_1 0+0
    hold t1 anna 0
      refused: task_1 has a hold already
    accrue 1.0.1 bert 0
    settle 1.0.1 bert 0 money
    return 1.0.1
      -> 0
    close 1.0.1 bert 0 money
      -> 0
    batch
      entries: 0, balances: 0
      ended holds: task_1
    release t1
      refused: task_1 has no open hold
    ");
}

#[test]
fn paying_oneself_is_one_entry_of_two_postings() {
    insta::assert_snapshot!(run("
        fund anna 100+0
        hold t1 anna 10
        close 1.0.1 anna 4 money
        hold t2 anna 10
        accrue 2.0.1 anna 6
        close 2.0.1 anna 4 money
    "), @r"
    hold t1 anna 10
      hold: available:anna -10 = 90, held:anna +10 = 10
    close 1.0.1 anna 4 money
      settlement: held:anna -10 = 0, available:anna +10 = 100
      -> 6
    hold t2 anna 10
      hold: available:anna -10 = 90, held:anna +10 = 10
    accrue 2.0.1 anna 6
      accrual: held:anna -6 = 4, pending:anna +6 = 6
    close 2.0.1 anna 4 money
      settlement: pending:anna -6 = 0, held:anna -4 = 0, available:anna +10 = 100
      -> 6
    ");
}

#[test]
fn the_price_may_be_what_has_accrued_or_less_or_more() {
    insta::assert_snapshot!(run("
        fund anna 100+0
        hold t1 anna 30
        accrue 1.0.1 bert 4
        accrue 1.0.1 bert 1
        settle 1.0.1 bert 5 money
        accrue 1.1.1 bert 5
        settle 1.1.1 bert 3 money
        accrue 1.2.1 bert 5
        settle 1.2.1 bert 8 money
        accrue 1.3.1 bert 5
        settle 1.3.1 bert 0 money
        accrue 1.4.1 bert 5
        settle 1.4.1 bert 14.000001 money
        settle 1.4.1 bert 14 money
        release t1
    "), @r"
    hold t1 anna 30
      hold: available:anna -30 = 70, held:anna +30 = 30
    accrue 1.0.1 bert 4
      accrual: held:anna -4 = 26, pending:bert +4 = 4
    accrue 1.0.1 bert 1
      accrual: held:anna -1 = 25, pending:bert +1 = 5
    settle 1.0.1 bert 5 money
      settlement: pending:bert -5 = 0, available:bert +5 = 5
    accrue 1.1.1 bert 5
      accrual: held:anna -5 = 20, pending:bert +5 = 5
    settle 1.1.1 bert 3 money
      settlement: pending:bert -5 = 0, held:anna +2 = 22, available:bert +3 = 8
    accrue 1.2.1 bert 5
      accrual: held:anna -5 = 17, pending:bert +5 = 5
    settle 1.2.1 bert 8 money
      settlement: pending:bert -5 = 0, held:anna -3 = 14, available:bert +8 = 16
    accrue 1.3.1 bert 5
      accrual: held:anna -5 = 9, pending:bert +5 = 5
    settle 1.3.1 bert 0 money
      settlement: pending:bert -5 = 0, held:anna +5 = 14
    accrue 1.4.1 bert 5
      accrual: held:anna -5 = 9, pending:bert +5 = 5
    settle 1.4.1 bert 14.000001 money
      refused: 14.000001 CPT is more than the 14.00 CPT that the hold of task_1 has left
    settle 1.4.1 bert 14 money
      settlement: pending:bert -5 = 0, held:anna -9 = 0, available:bert +14 = 30
    release t1
      -> 0
    ");
}

#[test]
fn closing_pays_gives_back_and_ends_in_one_entry() {
    insta::assert_snapshot!(run("
        fund anna 100+10
        hold t1 anna 30
        accrue 1.0.1 bert 12
        close 1.0.1 bert 11 money
        hold t2 anna 30
        accrue 2.0.1 bert 12
        close 2.0.1 bert 30.000001 money
        close 2.0.1 bert 30 money
        hold t3 anna 10
        accrue 3.0.1 bert 10
        close 3.0.1 bert 0 money
        batch
    "), @r"
    hold t1 anna 30
      hold: promo:anna -10 = 0, available:anna -20 = 80, held:anna +30 = 30
    accrue 1.0.1 bert 12
      accrual: held:anna -12 = 18, pending:bert +12 = 12
    close 1.0.1 bert 11 money
      settlement: pending:bert -12 = 0, held:anna -18 = 0, available:bert +11 = 11, available:anna +19 = 99
      -> 19
    hold t2 anna 30
      hold: available:anna -30 = 69, held:anna +30 = 30
    accrue 2.0.1 bert 12
      accrual: held:anna -12 = 18, pending:bert +12 = 12
    close 2.0.1 bert 30.000001 money
      refused: 30.000001 CPT is more than the 30.00 CPT that the hold of task_2 has left
    close 2.0.1 bert 30 money
      settlement: pending:bert -12 = 0, held:anna -18 = 0, available:bert +30 = 41
      -> 0
    hold t3 anna 10
      hold: available:anna -10 = 59, held:anna +10 = 10
    accrue 3.0.1 bert 10
      accrual: held:anna -10 = 0, pending:bert +10 = 10
    close 3.0.1 bert 0 money
      settlement: pending:bert -10 = 0, available:anna +10 = 69
      -> 10
    batch
      entries: 12, balances: 7
    ");
}

#[test]
fn what_a_lost_attempt_earned_goes_back_as_what_it_was() {
    insta::assert_snapshot!(run("
        fund anna 100+5
        hold t1 anna 20
        accrue 1.0.1 bert 8
        return 1.0.1
        return 1.0.1
        accrue 1.0.2 carl 3
        batch
        close 1.0.2 carl 3 promo
    "), @r"
    hold t1 anna 20
      hold: promo:anna -5 = 0, available:anna -15 = 85, held:anna +20 = 20
    accrue 1.0.1 bert 8
      accrual: held:anna -8 = 12, pending:bert +8 = 8
    return 1.0.1
      return: pending:bert -8 = 0, held:anna +8 = 20
      -> 8
    return 1.0.1
      -> 0
    accrue 1.0.2 carl 3
      accrual: held:anna -3 = 17, pending:carl +3 = 3
    batch
      entries: 7, balances: 7
      holds: task_1 15+2
      accruals: att_1.0.2 0+3
    close 1.0.2 carl 3 promo
      settlement: pending:carl -3 = 0, held:anna -17 = 0, promo:carl +3 = 3, promo:anna +2 = 2, available:anna +15 = 100
      -> 17
    ");
}

#[test]
fn elements_earn_beside_each_other_and_the_hold_waits_for_all() {
    insta::assert_snapshot!(run("
        fund anna 100+5
        hold t1 anna 20
        hold t2 anna 1
        accrue 1.0.1 bert 8
        accrue 1.1.1 carl 8
        accrue 1.1.1 carl 5
        accrue 1.1.1 bert 1
        settle 1.1.1 bert 1 money
        close 1.1.1 bert 1 money
        close 1.0.1 bert 8 money
        release t1
        expire t1
        release t2
        batch
        settle 1.0.1 bert 6 promo
        close 1.1.1 carl 9 promo
        batch
    "), @r"
    hold t1 anna 20
      hold: promo:anna -5 = 0, available:anna -15 = 85, held:anna +20 = 20
    hold t2 anna 1
      hold: available:anna -1 = 84, held:anna +1 = 21
    accrue 1.0.1 bert 8
      accrual: held:anna -8 = 13, pending:bert +8 = 8
    accrue 1.1.1 carl 8
      accrual: held:anna -8 = 5, pending:carl +8 = 8
    accrue 1.1.1 carl 5
      refused: 5.00 CPT is more than the 4.00 CPT that the hold of task_1 has left
    accrue 1.1.1 bert 1
      refused: att_1.1.1 earns for carl
    settle 1.1.1 bert 1 money
      refused: att_1.1.1 earns for carl
    close 1.1.1 bert 1 money
      refused: att_1.0.1 still earns from the hold of its task
    close 1.0.1 bert 8 money
      refused: att_1.1.1 still earns from the hold of its task
    release t1
      refused: att_1.0.1 still earns from the hold of its task
    expire t1
      refused: att_1.0.1 still earns from the hold of its task
    release t2
      release: held:anna -1 = 4, available:anna +1 = 85
      -> 1
    batch
      entries: 8, balances: 7
      holds: task_1 4+0
      accruals: att_1.0.1 3+5, att_1.1.1 8+0
    settle 1.0.1 bert 6 promo
      settlement: pending:bert -8 = 0, held:anna +2 = 6, available:bert +1 = 1, promo:bert +5 = 5
    close 1.1.1 carl 9 promo
      settlement: pending:carl -8 = 0, held:anna -6 = 0, available:carl +9 = 9, available:anna +5 = 90
      -> 5
    batch
      entries: 2, balances: 7
      ended holds: task_1
      ended accruals: att_1.0.1, att_1.1.1
    ");
}

#[test]
fn a_hold_gives_no_more_than_was_set_aside() {
    insta::assert_snapshot!(run("
        fund anna 100+5
        hold t1 anna 20
        accrue 1.0.1 bert 20.000001
        accrue 1.0.1 bert 20
        accrue 1.0.1 bert 0.000001
        accrue 1.1.1 bert 0.000001
        settle 1.1.1 bert 0.000001 money
        settle 1.0.1 bert 20 money
        settle 1.1.1 bert 0.000001 money
        release t1
        release t1
    "), @r"
    hold t1 anna 20
      hold: promo:anna -5 = 0, available:anna -15 = 85, held:anna +20 = 20
    accrue 1.0.1 bert 20.000001
      refused: 20.000001 CPT is more than the 20.00 CPT that the hold of task_1 has left
    accrue 1.0.1 bert 20
      accrual: held:anna -20 = 0, pending:bert +20 = 20
    accrue 1.0.1 bert 0.000001
      refused: 0.000001 CPT is more than the 0.00 CPT that the hold of task_1 has left
    accrue 1.1.1 bert 0.000001
      refused: 0.000001 CPT is more than the 0.00 CPT that the hold of task_1 has left
    settle 1.1.1 bert 0.000001 money
      refused: 0.000001 CPT is more than the 0.00 CPT that the hold of task_1 has left
    settle 1.0.1 bert 20 money
      settlement: pending:bert -20 = 0, available:bert +20 = 20
    settle 1.1.1 bert 0.000001 money
      refused: 0.000001 CPT is more than the 0.00 CPT that the hold of task_1 has left
    release t1
      -> 0
    release t1
      refused: task_1 has no open hold
    ");
}

#[test]
fn a_hold_ends_exactly_once() {
    insta::assert_snapshot!(run("
        fund anna 100+5
        hold t1 anna 20
        settle 1.0.1 bert 4 money
        release t1
        release t1
        expire t1
        accrue 1.1.1 bert 1
        settle 1.1.1 bert 1 money
        close 1.1.1 bert 1 money
        return 1.1.1
        hold t2 anna 20
        expire t2
        expire t2
        release t2
    "), @r"
    hold t1 anna 20
      hold: promo:anna -5 = 0, available:anna -15 = 85, held:anna +20 = 20
    settle 1.0.1 bert 4 money
      settlement: held:anna -4 = 16, available:bert +4 = 4
    release t1
      release: held:anna -16 = 0, promo:anna +1 = 1, available:anna +15 = 100
      -> 16
    release t1
      refused: task_1 has no open hold
    expire t1
      refused: task_1 has no open hold
    accrue 1.1.1 bert 1
      refused: task_1 has no open hold
    settle 1.1.1 bert 1 money
      refused: task_1 has no open hold
    close 1.1.1 bert 1 money
      refused: task_1 has no open hold
    return 1.1.1
      -> 0
    hold t2 anna 20
      hold: promo:anna -1 = 0, available:anna -19 = 81, held:anna +20 = 20
    expire t2
      expiry: held:anna -20 = 0, promo:anna +1 = 1, available:anna +19 = 100
      -> 20
    expire t2
      refused: task_2 has no open hold
    release t2
      refused: task_2 has no open hold
    ");
}

#[test]
fn what_free_credit_paid_is_money_or_free_credit_or_the_treasurys() {
    insta::assert_snapshot!(run("
        fund anna 100+5
        hold t1 anna 5
        close 1.0.1 bert 2 money
        hold t2 anna 5
        close 2.0.1 bert 2 promo
        hold t3 anna 5
        accrue 3.0.1 bert 3
        close 3.0.1 bert 2 treasury
        hold t4 anna 5
        close 4.0.1 anna 3 promo
        hold t5 anna 5
        close 5.0.1 anna 1 treasury
    "), @r"
    hold t1 anna 5
      hold: promo:anna -5 = 0, held:anna +5 = 5
    close 1.0.1 bert 2 money
      settlement: held:anna -5 = 0, available:bert +2 = 2, promo:anna +3 = 3
      -> 3
    hold t2 anna 5
      hold: promo:anna -3 = 0, available:anna -2 = 98, held:anna +5 = 5
    close 2.0.1 bert 2 promo
      settlement: held:anna -5 = 0, promo:bert +2 = 2, promo:anna +1 = 1, available:anna +2 = 100
      -> 3
    hold t3 anna 5
      hold: promo:anna -1 = 0, available:anna -4 = 96, held:anna +5 = 5
    accrue 3.0.1 bert 3
      accrual: held:anna -3 = 2, pending:bert +3 = 3
    close 3.0.1 bert 2 treasury
      settlement: pending:bert -3 = 0, held:anna -2 = 0, available:bert +1 = 3, treasury +1 = 999999999896, available:anna +3 = 99
      -> 3
    hold t4 anna 5
      hold: available:anna -5 = 94, held:anna +5 = 5
    close 4.0.1 anna 3 promo
      settlement: held:anna -5 = 0, available:anna +5 = 99
      -> 2
    hold t5 anna 5
      hold: available:anna -5 = 94, held:anna +5 = 5
    close 5.0.1 anna 1 treasury
      settlement: held:anna -5 = 0, available:anna +5 = 99
      -> 4
    ");
}

#[test]
fn only_money_vests() {
    insta::assert_snapshot!(run("
        fund anna 100+4
        hold t1 anna 20
        settle 1.0.1 bert 5 promo 2000
        settle 1.1.1 bert 5 promo 2000
        settle 1.2.1 bert 5 promo 3000
        fund anna 0+4
        hold t2 anna 10
        close 2.0.1 bert 6 money 3000
        fund anna 0+4
        hold t3 anna 10
        close 3.0.1 bert 6 treasury 3000
        batch
        now 3000
        vest
        vest
        vest
    "), @r"
    hold t1 anna 20
      hold: promo:anna -4 = 0, available:anna -16 = 84, held:anna +20 = 20
    settle 1.0.1 bert 5 promo 2000
      settlement: held:anna -5 = 15, owner:bert +1 = 1, promo:bert +4 = 4
    settle 1.1.1 bert 5 promo 2000
      settlement: held:anna -5 = 10, owner:bert +5 = 6
    settle 1.2.1 bert 5 promo 3000
      settlement: held:anna -5 = 5, owner:bert +5 = 11
    hold t2 anna 10
      hold: promo:anna -4 = 0, available:anna -6 = 78, held:anna +10 = 15
    close 2.0.1 bert 6 money 3000
      settlement: held:anna -10 = 5, owner:bert +6 = 17, available:anna +4 = 82
      -> 4
    hold t3 anna 10
      hold: promo:anna -4 = 0, available:anna -6 = 76, held:anna +10 = 15
    close 3.0.1 bert 6 treasury 3000
      settlement: held:anna -10 = 5, owner:bert +2 = 19, treasury +4 = 999999999892, available:anna +4 = 80
      -> 4
    batch
      entries: 13, balances: 7
      holds: task_1 5+0
      vests: owner:bert at 2000 6, owner:bert at 3000 13
    vest
      vest: owner:bert -6 = 13, available:bert +6 = 6
      vested
    vest
      vest: owner:bert -13 = 0, available:bert +13 = 19
      vested
    vest
      nothing is due
    ");
}
