use super::*;
use crate::{Ledger, Paid};
use hivemind_model::Timestamp;

fn journal() -> Vec<Entry> {
    let now = Timestamp(5);
    let amount = Cpt::from_micro(10);
    let mut ledger = Ledger::found(now);
    ledger.sign_up(UserId(1), amount, now).expect("the treasury is full");
    ledger.open_hold(TaskId(1), UserId(1), amount, now).expect("enough");
    ledger
        .settle_and_close(Paid { task: TaskId(1), index: 0, attempt: 1, payee: UserId(2) }, Cpt::from_micro(4), now)
        .expect("open");
    ledger.take_changes().entries
}

/// Makes the chain fit again, as one would who changed an entry and knows how the chain works.
fn rehash(entries: &mut [Entry]) {
    let mut previous = [0; 32];
    for entry in entries {
        entry.hash = entry.hash_after(&previous);
        previous = entry.hash;
    }
}

#[test]
fn a_true_journal_gives_the_balances() {
    let books = replay(&journal()).expect("true");
    assert_eq!(books.supply, SUPPLY);
    assert_eq!(books.entries, 4);
    assert_eq!(books.balances[&Account::Available(UserId(2))], Cpt::from_micro(4));
    assert_eq!(books.balances[&Account::Available(UserId(1))], Cpt::from_micro(6));
    assert!(books.holds.is_empty());
}

#[test]
fn the_chain_is_fixed_for_ever() {
    // A change of these bytes breaks every journal there is.
    let last = journal().pop().expect("four entries");
    insta::assert_snapshot!(hex::encode(last.hash), @"33ec22c3278f6dd9a2cf3e711458f94e8820d2323bd550b5a66177c45153eda8");
}

#[test]
fn what_was_changed_is_found() {
    type Change = fn(&mut Vec<Entry>);
    let cases: [(&str, Change, bool); 9] = [
        ("amount", |j| j[1].postings[1].amount = Cpt::from_micro(11), false),
        ("time", |j| j[2].at = Timestamp(6), false),
        ("missing", |j| drop(j.remove(1)), false),
        ("doubled", |j| j.insert(1, j[1].clone()), false),
        ("unbalanced", |j| j[1].postings[1].amount = Cpt::from_micro(11), true),
        (
            "below zero",
            |j| j[2].postings.iter_mut().for_each(|p| p.amount = Cpt::from_micro(p.amount.micro() * 2)),
            true,
        ),
        ("second genesis", |j| j[1].reason = Reason::Genesis, true),
        (
            "hold twice",
            |j| {
                j.truncate(3);
                j.push(Entry { seq: 4, reason: Reason::Hold { task: TaskId(1) }, ..j[2].clone() });
                j[2].postings[0].amount = Cpt::from_micro(-1);
                j[2].postings[1].amount = Cpt::from_micro(1);
                j[3].postings = j[2].postings.clone();
            },
            true,
        ),
        ("paid by another's hold", |j| j[3].reason = Reason::Release { task: TaskId(2) }, true),
    ];
    let mut found = String::new();
    for (name, change, chained) in cases {
        let mut entries = journal();
        change(&mut entries);
        if chained {
            rehash(&mut entries);
        }
        found += &format!("{name}: {}\n", replay(&entries).expect_err("must be found"));
    }
    insta::assert_snapshot!(found, @r"
    amount: journal entry 2: L7: its hash does not follow from the entry before; it or one before it was changed
    time: journal entry 3: L7: its hash does not follow from the entry before; it or one before it was changed
    missing: journal entry 2: L7: the next entry has number 3; one is missing or doubled
    doubled: journal entry 3: L7: the next entry has number 2; one is missing or doubled
    unbalanced: journal entry 2: L1: its postings sum to 1 micro-CPT instead of 0
    below zero: journal entry 3: L2: it takes available:user_1 below zero
    second genesis: journal entry 2: L5: genesis is the first entry, and only that
    hold twice: journal entry 4: L3: task_1 has a hold already
    paid by another's hold: journal entry 4: L3: task_2 has no open hold
    ");
    assert!(replay(&[]).is_err());
}
