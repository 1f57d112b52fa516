use super::*;
use hivemind_ledger::{Ledger, Paid, PromoPay, Source, Spend, Terms};
use hivemind_model::{Cpt, ElementRef, Timestamp};
use std::fmt::Write as _;

const ADA: UserId = UserId(1);
const BOB: UserId = UserId(2);
const NOW: Timestamp = Timestamp(0);

fn cpt(whole: i64) -> Cpt {
    Cpt::from_micro(whole * 1_000_000)
}

fn names() -> Names {
    Names {
        users: BTreeMap::from([(ADA, "ada".into()), (BOB, "bob".into())]),
        nodes: BTreeMap::from([(NodeId(4), "lab".into())]),
        projects: BTreeMap::from([(ProjectId(5), "tool".into())]),
        requesters: BTreeMap::from([(TaskId(7), ADA), (TaskId(8), BOB), (TaskId(9), ADA)]),
    }
}

/// What `user` reads of everything that happened, one line per posting.
fn read(ledger: &mut Ledger, user: UserId) -> String {
    let mut text = String::new();
    for entry in ledger.take_changes().entries {
        for posting in entry.postings.iter().filter(|posting| posting.account.user() == Some(user)) {
            let (counterparty, note) = describe(&names(), &entry, posting);
            let (kind, account) = (entry.reason.as_str(), posting.account.kind().as_str());
            let whole = posting.amount.whole();
            let _ = writeln!(text, "{kind} {account} {whole} [{counterparty}] {note}");
        }
    }
    text
}

/// Two users with 100 CPT of free credit each, and nothing noted.
fn books() -> Ledger {
    let mut ledger = Ledger::found(NOW);
    for user in [ADA, BOB] {
        ledger.sign_up(user, cpt(100), NOW).unwrap();
    }
    drop(ledger.take_changes());
    ledger
}

fn paid(task: u64, payee: UserId, terms: Terms) -> Paid {
    Paid { attempt: ElementRef::only(TaskId(task)).attempt(1), payee, terms }
}

const MONEY: Terms = Terms { promo: PromoPay::Money, vests_at: None };

#[test]
fn transfers_tips_and_grants() {
    let mut ledger = books();
    ledger.sign_up(ADA, cpt(1), NOW).unwrap();
    ledger.transfer(ADA, BOB, cpt(3), Spend::OwnThenPromo, NOW).unwrap();
    ledger.transfer(BOB, ADA, cpt(1), Spend::OwnThenPromo, NOW).unwrap();
    ledger.tip(ADA, (ProjectId(5), 1), cpt(2), Spend::OwnThenPromo, NOW).unwrap();
    ledger.collect(ProjectId(5), ADA, NOW);
    ledger.reward(ADA, (NodeId(4), NOW), cpt(10), Some(NOW), NOW).unwrap();
    assert!(ledger.vest_one(NOW));
    insta::assert_snapshot!(read(&mut ledger, ADA), @r"
    sign_up promo 1 [] free credit for signing up
    transfer promo -3 [bob] transfer to bob
    transfer available 1 [bob] transfer from bob
    tip available -1 [tool] tip 1 to tool
    tip promo -1 [tool] tip 1 to tool
    collect available 2 [tool] tips to tool were collected
    reward reward 10 [lab] reward of lab for being there
    vest reward -10 [] earnings became money that can be spent
    vest available 10 [] earnings that can be spent from now on
    ");
}

#[test]
fn a_task_from_both_sides() {
    let story = |user| {
        let mut ledger = books();
        let attempt = paid(7, BOB, MONEY).attempt;
        ledger.open_hold(TaskId(7), ADA, cpt(10), Timestamp(9), NOW).unwrap();
        ledger.accrue(attempt, BOB, cpt(2), NOW).unwrap();
        ledger.return_accrual(attempt, NOW);
        ledger.accrue(attempt, BOB, cpt(3), NOW).unwrap();
        ledger.settle_and_close(paid(7, BOB, MONEY), cpt(4), NOW).unwrap();
        ledger.open_hold(TaskId(9), ADA, cpt(5), Timestamp(9), NOW).unwrap();
        ledger.expire(TaskId(9), NOW).unwrap();
        read(&mut ledger, user)
    };
    insta::assert_snapshot!(story(ADA), @r"
    hold promo -10 [] set aside for task_7
    hold held 10 [] set aside for task_7
    accrual held -2 [bob] att_7.0.1 runs: its price so far
    return held 2 [bob] att_7.0.1 was not accepted: its price so far goes back to the hold
    accrual held -3 [bob] att_7.0.1 runs: its price so far
    settlement held -7 [bob] the hold of task_7 ends: pay for att_7.0.1, and what was not used
    settlement promo 6 [bob] rest of the hold of task_7
    hold promo -5 [] set aside for task_9
    hold held 5 [] set aside for task_9
    expiry held -5 [] the hold of task_9 expired
    expiry promo 5 [] the hold of task_9 expired
    ");
    insta::assert_snapshot!(story(BOB), @r"
    accrual pending 2 [ada] att_7.0.1 runs: its price so far
    return pending -2 [ada] att_7.0.1 was not accepted: its price so far goes back to the hold
    accrual pending 3 [ada] att_7.0.1 runs: its price so far
    settlement pending -3 [ada] att_7.0.1 was accepted: its price so far is paid
    settlement available 4 [ada] pay for att_7.0.1
    ");
}

#[test]
fn an_attempt_that_cost_exactly_what_was_metered_names_its_requester() {
    let mut ledger = books();
    ledger.open_hold(TaskId(7), ADA, cpt(10), Timestamp(9), NOW).unwrap();
    ledger.accrue(paid(7, BOB, MONEY).attempt, BOB, cpt(10), NOW).unwrap();
    drop(ledger.take_changes());
    ledger.settle_and_close(paid(7, BOB, MONEY), cpt(10), NOW).unwrap();
    insta::assert_snapshot!(read(&mut ledger, BOB), @r"
    settlement pending -10 [ada] att_7.0.1 was accepted: its price so far is paid
    settlement available 10 [ada] pay for att_7.0.1
    ");
}

#[test]
fn work_on_a_node_of_ones_own_and_of_the_same_person() {
    let mut ledger = books();
    ledger.open_hold(TaskId(8), BOB, cpt(10), Timestamp(9), NOW).unwrap();
    ledger.settle_and_close(paid(8, BOB, MONEY), cpt(4), NOW).unwrap();
    ledger.open_hold(TaskId(8), BOB, cpt(10), Timestamp(9), NOW).unwrap();
    let vested = Terms { promo: PromoPay::Treasury, vests_at: Some(Timestamp(5)) };
    ledger.settle_and_close(paid(8, BOB, vested), cpt(4), NOW).unwrap();
    insta::assert_snapshot!(read(&mut ledger, BOB), @r"
    hold promo -10 [] set aside for task_8
    hold held 10 [] set aside for task_8
    settlement held -10 [] the hold of task_8 ends: pay for att_8.0.1, and what was not used
    settlement available 4 [] pay for att_8.0.1 on a node of one's own, and rest of the hold
    settlement promo 6 [] pay for att_8.0.1 on a node of one's own, and rest of the hold
    hold promo -10 [] set aside for task_8
    hold held 10 [] set aside for task_8
    settlement held -10 [] the hold of task_8 ends: pay for att_8.0.1, and what was not used
    settlement promo 6 [] rest of the hold of task_8
    ");
    assert_eq!(ledger.balance(Source::Work.account(BOB)), Cpt::ZERO);
}
