mod forged;

use super::*;
use crate::{Ledger, Paid, PromoPay, Spend, Terms};
use hivemind_model::{NodeId, ProjectId};

const NOW: Timestamp = Timestamp(5);
const ANNA: UserId = UserId(1);
const BERT: UserId = UserId(2);
const CARL: UserId = UserId(3);
/// Nobody that the journal knows.
const DORA: UserId = UserId(4);

fn micro_cpt(micro: i64) -> Cpt {
    Cpt::from_micro(micro)
}

fn purse(own: i64, promo: i64) -> Purse {
    Purse { own: micro_cpt(own), promo: micro_cpt(promo) }
}

fn attempt(task: u64, index: u32, number: u32) -> AttemptRef {
    ElementRef { task: TaskId(task), index }.attempt(number)
}

fn paid(attempt: AttemptRef, payee: UserId, promo: PromoPay, vests_at: Option<Timestamp>) -> Paid {
    Paid { attempt, payee, terms: Terms { promo, vests_at } }
}

/// A journal with every reason; each entry is a millisecond after the one before.
fn journal() -> Vec<Entry> {
    let mut ledger = Ledger::found(NOW);
    let mut now = NOW;
    let mut tick = || {
        now = Timestamp(now.0 + 1);
        now
    };
    let due = Some(Timestamp(1_000));
    let (first, lost, second) = (attempt(1, 0, 1), attempt(1, 1, 1), attempt(1, 1, 2));
    ledger.sign_up(ANNA, micro_cpt(100), tick()).expect("the treasury is full");
    ledger.reward(BERT, (NodeId(1), NOW), micro_cpt(50), None, tick()).expect("the treasury is full");
    ledger.transfer(BERT, ANNA, micro_cpt(20), Spend::Own, tick()).expect("enough");
    ledger.open_hold(TaskId(1), ANNA, micro_cpt(110), NOW, tick()).expect("enough");
    ledger.accrue(first, BERT, micro_cpt(30), tick()).expect("held");
    ledger.accrue(lost, CARL, micro_cpt(20), tick()).expect("held");
    ledger.return_accrual(lost, tick());
    ledger.settle(paid(first, BERT, PromoPay::Money, due), micro_cpt(40), tick()).expect("held");
    ledger.accrue(second, CARL, micro_cpt(5), tick()).expect("held");
    let last = paid(second, CARL, PromoPay::Treasury, None);
    ledger.settle_and_close(last, micro_cpt(65), tick()).expect("held");
    ledger.open_hold(TaskId(2), ANNA, micro_cpt(3), NOW, tick()).expect("enough");
    ledger.release(TaskId(2), tick()).expect("open");
    ledger.open_hold(TaskId(3), ANNA, micro_cpt(4), NOW, tick()).expect("enough");
    ledger.expire(TaskId(3), tick()).expect("open");
    ledger.tip(BERT, (ProjectId(1), 1), micro_cpt(7), Spend::Own, tick()).expect("enough");
    ledger.collect(ProjectId(1), CARL, tick());
    ledger.reward(CARL, (NodeId(2), NOW), micro_cpt(9), due, tick()).expect("the treasury is full");
    assert!(ledger.vest_one(Timestamp(1_000)));
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

fn shown(entry: &Entry) -> String {
    let postings =
        entry.postings.iter().map(|one| format!("{} {:+} = {}", one.account, one.amount.micro(), one.balance.micro()));
    format!("{} {:?}: {}", entry.seq, entry.reason, postings.collect::<Vec<_>>().join(", "))
}

#[test]
fn a_true_journal_gives_the_books() {
    let journal = journal();
    insta::assert_snapshot!(journal.iter().map(shown).collect::<Vec<_>>().join("\n"), @r"
    1 Genesis: treasury +1000000000000000000 = 1000000000000000000
    2 SignUp { user: UserId(1) }: treasury -100 = 999999999999999900, promo:user_1 +100 = 100
    3 Reward { node: NodeId(1), from: Timestamp(5) }: treasury -50 = 999999999999999850, available:user_2 +50 = 50
    4 Transfer { from: UserId(2), to: UserId(1) }: available:user_2 -20 = 30, available:user_1 +20 = 20
    5 Hold { task: TaskId(1) }: promo:user_1 -100 = 0, available:user_1 -10 = 10, held:user_1 +110 = 110
    6 Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 0 }, number: 1 } }: held:user_1 -30 = 80, pending:user_2 +30 = 30
    7 Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 1 } }: held:user_1 -20 = 60, pending:user_3 +20 = 20
    8 Return { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 1 } }: pending:user_3 -20 = 0, held:user_1 +20 = 80
    9 Settlement { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 0 }, number: 1 } }: pending:user_2 -30 = 0, held:user_1 -10 = 70, owner:user_2 +40 = 40
    10 Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 2 } }: held:user_1 -5 = 65, pending:user_3 +5 = 5
    11 Settlement { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 2 } }: pending:user_3 -5 = 0, held:user_1 -65 = 0, available:user_3 +5 = 5, treasury +60 = 999999999999999910, available:user_1 +5 = 15
    12 Hold { task: TaskId(2) }: available:user_1 -3 = 12, held:user_1 +3 = 3
    13 Release { task: TaskId(2) }: held:user_1 -3 = 0, available:user_1 +3 = 15
    14 Hold { task: TaskId(3) }: available:user_1 -4 = 11, held:user_1 +4 = 4
    15 Expiry { task: TaskId(3) }: held:user_1 -4 = 0, available:user_1 +4 = 15
    16 Tip { project: ProjectId(1), number: 1 }: available:user_2 -7 = 23, project:proj_1 +7 = 7
    17 Collect { project: ProjectId(1), owner: UserId(3) }: project:proj_1 -7 = 0, available:user_3 +7 = 12
    18 Reward { node: NodeId(2), from: Timestamp(5) }: treasury -9 = 999999999999999901, reward:user_3 +9 = 9
    19 Vest { user: UserId(2), due: Timestamp(1000) }: owner:user_2 -40 = 0, available:user_2 +40 = 63
    ");
    let books = replay(&journal).expect("true");
    assert_eq!((books.supply, books.entries), (SUPPLY, 19));
    assert_eq!(books.last_hash, journal[18].hash);
    assert!(books.holds.is_empty() && books.accruals.is_empty());
    let balances: Vec<String> =
        books.balances.iter().map(|(account, balance)| format!("{account} {}", balance.micro())).collect();
    insta::assert_snapshot!(balances.join("\n"), @r"
    treasury 999999999999999901
    available:user_1 15
    available:user_2 63
    available:user_3 12
    promo:user_1 0
    held:user_1 0
    pending:user_2 0
    pending:user_3 0
    owner:user_2 0
    reward:user_3 9
    project:proj_1 0
    ");
}

#[test]
fn what_is_open_is_in_the_books() {
    let journal = journal();
    let books = replay(&journal[..7]).expect("true");
    assert_eq!(books.holds, BTreeMap::from([(TaskId(1), (ANNA, purse(10, 50)))]));
    let accruals = [(attempt(1, 0, 1), (BERT, purse(0, 30))), (attempt(1, 1, 1), (CARL, purse(0, 20)))];
    assert_eq!(books.accruals, BTreeMap::from(accruals));
}

/// What is stored beside the journal must be what the journal gives.
#[test]
fn stored_books_are_compared_with_the_journal() {
    let mut ledger = Ledger::found(NOW);
    ledger.sign_up(ANNA, micro_cpt(100), NOW).expect("the treasury is full");
    ledger.sign_up(BERT, micro_cpt(100), NOW).expect("the treasury is full");
    for task in 1..3 {
        ledger.open_hold(TaskId(task), ANNA, micro_cpt(40), NOW, NOW).expect("enough");
        ledger.accrue(attempt(task, 0, 1), BERT, micro_cpt(10), NOW).expect("held");
    }
    ledger.open_hold(TaskId(3), ANNA, Cpt::ZERO, NOW, NOW).expect("nothing is needed");
    let books = replay(&ledger.take_changes().entries).expect("true");
    let image = ledger.image();
    assert_eq!(books.compare(&image), Ok(()));
    type Change = fn(&mut crate::LedgerImage);
    let changes: [(&str, Change); 12] = [
        ("the end", |i| i.last_seq += 1),
        ("the hash", |i| i.last_hash[0] ^= 1),
        ("a balance", |i| i.balances[0].1 = micro_cpt(i.balances[0].1.micro() + 1)),
        ("two balances", |i| (i.balances[0].1, i.balances[1].1) = (i.balances[1].1, i.balances[0].1)),
        ("no account", |i| i.balances.truncate(i.balances.len() - 1)),
        ("one more account", |i| i.balances.push((Account::Available(DORA), micro_cpt(1)))),
        ("a hold moved", |i| (i.holds[0].left.promo, i.holds[1].left.promo) = (micro_cpt(29), micro_cpt(31))),
        ("free credit of a hold as money", |i| i.holds[0].left = purse(30, 0)),
        ("free credit of an accrual as money", |i| i.accruals[0].amount = purse(10, 0)),
        ("another's hold", |i| i.holds[0].user = BERT),
        ("an accrual moved", |i| {
            (i.accruals[0].amount.promo, i.accruals[1].amount.promo) = (micro_cpt(9), micro_cpt(11));
        }),
        ("a vest of nothing", |i| {
            let key = crate::VestKey { due: NOW, user: ANNA, source: crate::Source::Work };
            i.vests.push(crate::Vest { key, amount: Cpt::ZERO });
        }),
    ];
    let mut found = String::new();
    for (name, change) in changes {
        let mut image = image.clone();
        change(&mut image);
        found += &format!("{name}: {}\n", books.compare(&image).expect_err(name));
    }
    insta::assert_snapshot!(found, @r"
    the end: the books break L7: the journal does not end at entry 8 with the hash that is stored
    the hash: the books break L7: the journal does not end at entry 7 with the hash that is stored
    a balance: the books break L7: the balance of treasury is stored as 999999999999.999801 CPT, the journal gives 999999999999.9998 CPT
    two balances: the books break L7: the balance of treasury is stored as 0.00002 CPT, the journal gives 999999999999.9998 CPT
    no account: the books break L7: the balance of pending:user_2 is stored as nothing, the journal gives 0.00002 CPT
    one more account: the books break L7: the balance of available:user_4 is stored as 0.000001 CPT, the journal gives nothing
    a hold moved: the books break L3: the hold of task_1 is stored as 0.000029 CPT of user_1 (0.000029 CPT of it free credit), the journal gives 0.00003 CPT of user_1 (0.00003 CPT of it free credit)
    free credit of a hold as money: the books break L3: the hold of task_1 is stored as 0.00003 CPT of user_1, the journal gives 0.00003 CPT of user_1 (0.00003 CPT of it free credit)
    free credit of an accrual as money: the books break L4: what was earned by att_1.0.1 is stored as 0.00001 CPT of user_2, the journal gives 0.00001 CPT of user_2 (0.00001 CPT of it free credit)
    another's hold: the books break L3: the hold of task_1 is stored as 0.00003 CPT of user_2 (0.00003 CPT of it free credit), the journal gives 0.00003 CPT of user_1 (0.00003 CPT of it free credit)
    an accrual moved: the books break L4: what was earned by att_1.0.1 is stored as 0.000009 CPT of user_2 (0.000009 CPT of it free credit), the journal gives 0.00001 CPT of user_2 (0.00001 CPT of it free credit)
    a vest of nothing: the books break L2: 0.00 CPT of user_1 vests at 5
    ");
}

#[test]
fn the_chain_is_fixed_for_ever() {
    // A change of these bytes breaks every journal there is.
    let hashes: Vec<String> = journal().iter().map(|entry| hex::encode(&entry.hash[..8])).collect();
    insta::assert_snapshot!(hashes.join("\n"), @r"
    2836bec6c2116de0
    6b989d382f08267f
    b9dfb782cd8831fc
    ea64b778f8d8fe56
    61a4b7446e9e100c
    a746b89f7794eb92
    b27a82805236c5f3
    1d784fab639c5045
    2c5a598b112b4e23
    a17933d82482d99b
    aceeaa35a31e5373
    82a6c660959e4ff0
    65402d51e9fb8d46
    f05c6d22fcc79b50
    3e07aeb867182e37
    befb88959c3b8c36
    f7c357baef25356f
    11a26be365380efd
    5a6301bb0835c1f2
    ");
    let last = journal().pop().expect("19 entries");
    insta::assert_snapshot!(hex::encode(last.hash), @"5a6301bb0835c1f23825464d1a071394726712456cfd44ad0e374b11790981dd");
}

/// All reasons that differ from `reason` in one field, and one of another kind with the same fields.
fn other_reasons(reason: Reason) -> Vec<Reason> {
    let tasks = |task: TaskId| [TaskId(task.0 + 1), TaskId(task.0 + 7)];
    let attempts = |AttemptRef { element: ElementRef { task, index }, number }: AttemptRef| {
        [
            attempt(task.0 + 1, index, number),
            attempt(task.0, index + 1, number),
            attempt(task.0, index, number + 1),
            // The two halves of one encoded field.
            attempt(task.0, number, index),
        ]
    };
    match reason {
        Reason::Genesis => vec![Reason::SignUp { user: UserId(0) }],
        Reason::SignUp { user } => {
            vec![Reason::SignUp { user: DORA }, Reason::Genesis, Reason::Hold { task: TaskId(user.0) }]
        }
        Reason::Transfer { from, to } => vec![
            Reason::Transfer { from: DORA, to },
            Reason::Transfer { from, to: DORA },
            Reason::Transfer { from: to, to: from },
            Reason::Tip { project: ProjectId(from.0), number: to.0 },
        ],
        Reason::Hold { task } => {
            let mut all = tasks(task).map(|task| Reason::Hold { task }).to_vec();
            all.extend([Reason::Release { task }, Reason::Expiry { task }]);
            all
        }
        Reason::Accrual { attempt } => {
            let mut all = attempts(attempt).map(|attempt| Reason::Accrual { attempt }).to_vec();
            all.extend([Reason::Return { attempt }, Reason::Settlement { attempt }]);
            all
        }
        Reason::Return { attempt } => {
            let mut all = attempts(attempt).map(|attempt| Reason::Return { attempt }).to_vec();
            all.extend([Reason::Accrual { attempt }, Reason::Settlement { attempt }]);
            all
        }
        Reason::Settlement { attempt } => {
            let mut all = attempts(attempt).map(|attempt| Reason::Settlement { attempt }).to_vec();
            all.extend([Reason::Accrual { attempt }, Reason::Return { attempt }]);
            all
        }
        Reason::Release { task } => {
            let mut all = tasks(task).map(|task| Reason::Release { task }).to_vec();
            all.extend([Reason::Expiry { task }, Reason::Hold { task }]);
            all
        }
        Reason::Expiry { task } => {
            let mut all = tasks(task).map(|task| Reason::Expiry { task }).to_vec();
            all.extend([Reason::Release { task }, Reason::Hold { task }]);
            all
        }
        Reason::Reward { node, from } => vec![
            Reason::Reward { node: NodeId(node.0 + 1), from },
            Reason::Reward { node, from: Timestamp(from.0 + 1) },
            Reason::SignUp { user: UserId(node.0) },
        ],
        Reason::Vest { user, due } => vec![
            Reason::Vest { user: DORA, due },
            Reason::Vest { user, due: Timestamp(due.0 + 1) },
            Reason::Reward { node: NodeId(user.0), from: due },
        ],
        Reason::Tip { project, number } => vec![
            Reason::Tip { project: ProjectId(project.0 + 1), number },
            Reason::Tip { project, number: number + 1 },
            Reason::Transfer { from: UserId(project.0), to: UserId(number) },
        ],
        Reason::Collect { project, owner } => vec![
            Reason::Collect { project: ProjectId(project.0 + 1), owner },
            Reason::Collect { project, owner: DORA },
            Reason::Tip { project, number: owner.0 },
        ],
    }
}

/// All changes of one field of an entry, each with its name.
fn edits(entry: &Entry) -> Vec<(String, Entry)> {
    let mut all = Vec::new();
    let mut edit = |name: String, change: &dyn Fn(&mut Entry)| {
        let mut edited = entry.clone();
        change(&mut edited);
        assert_ne!(edited, *entry, "{name} changes nothing");
        all.push((name, edited));
    };
    for by in [1, -1] {
        edit(format!("seq {by:+}"), &|e| e.seq = e.seq.wrapping_add_signed(by));
        edit(format!("at {:+}", by * 2), &|e| e.at.0 += by * 2);
    }
    for reason in other_reasons(entry.reason).into_iter().filter(|reason| *reason != entry.reason) {
        edit(format!("reason {reason:?}"), &|e| e.reason = reason);
    }
    for (place, posting) in entry.postings.iter().enumerate() {
        for by in [1, -1] {
            edit(format!("amount {place} {by:+}"), &|e| {
                e.postings[place].amount = micro_cpt(posting.amount.micro() + by)
            });
            edit(format!("balance {place} {by:+}"), &|e| {
                e.postings[place].balance = micro_cpt(posting.balance.micro() + by);
            });
        }
        edit(format!("amount {place} negated"), &|e| e.postings[place].amount = micro_cpt(-posting.amount.micro()));
        let account = posting.account;
        let kinds = Kind::ALL.into_iter().map(|kind| Account::of(kind, account.holder()));
        let holders = [ANNA.0, BERT.0, CARL.0, DORA.0].map(|holder| Account::of(account.kind(), holder));
        for other in kinds.chain(holders).filter(|other| *other != account) {
            edit(format!("account {place} {other}"), &|e| e.postings[place].account = other);
        }
        edit(format!("no posting {place}"), &|e| {
            e.postings.remove(place);
        });
        edit(format!("posting {place} twice"), &|e| e.postings.insert(place, *posting));
        edit(format!("a posting of nothing to {account}"), &|e| {
            e.postings.push(Posting { amount: Cpt::ZERO, balance: Cpt::ZERO, account: Account::Promo(DORA) });
        });
    }
    if entry.postings.len() > 1 {
        edit("postings in another order".into(), &|e| e.postings.reverse());
    }
    edit("no postings".into(), &|e| e.postings.clear());
    for byte in [0, 31] {
        edit(format!("hash byte {byte}"), &|e| e.hash[byte] ^= 1);
    }
    all
}

#[test]
fn every_edit_of_every_entry_is_named_by_its_number() {
    let journal = journal();
    for (place, entry) in journal.iter().enumerate() {
        for (name, edited) in edits(entry) {
            let mut entries = journal.clone();
            entries[place] = edited;
            let bad = replay(&entries).expect_err(&name);
            assert_eq!(bad.seq, entry.seq, "{name}: {bad}");
        }
        let mut dropped = journal.clone();
        dropped.remove(place);
        let found = replay(&dropped).map_err(|bad| bad.seq);
        if place + 1 < journal.len() {
            assert_eq!(found.err(), Some(entry.seq), "without it");
            let mut swapped = journal.clone();
            swapped.swap(place, place + 1);
            assert_eq!(replay(&swapped).map_err(|bad| bad.seq).err(), Some(entry.seq), "after the next");
        } else {
            // A journal that lost its end is true; its end differs from the stored one.
            assert_eq!(found.map(|books| books.last_hash), Ok(journal[place - 1].hash));
        }
        let mut doubled = journal.clone();
        doubled.insert(place, entry.clone());
        assert_eq!(replay(&doubled).map_err(|bad| bad.seq).err(), Some(entry.seq + 1), "twice");
    }
}

/// Who can compute hashes can make the chain fit again. Even then every edit is named by its own number, but for
/// those in the table: they are found at a later entry, or make another journal that could have been. What tells
/// that one from this is the newest hash, which changes with every edit, and the stored balances.
#[test]
fn edits_are_found_in_a_chain_that_was_made_to_fit() {
    let journal = journal();
    let mut table = String::new();
    for (place, entry) in journal.iter().enumerate() {
        for (name, edited) in edits(entry).into_iter().filter(|(name, _)| !name.starts_with("hash")) {
            let mut entries = journal.clone();
            entries[place] = edited;
            rehash(&mut entries);
            match replay(&entries) {
                Err(bad) if bad.seq == entry.seq => {}
                Err(bad) => table += &format!("{} {name}: {bad}\n", entry.seq),
                Ok(books) => {
                    assert_ne!(books.last_hash, journal[18].hash, "{name}");
                    table += &format!("{} {name}: could have been\n", entry.seq);
                }
            }
        }
    }
    insta::assert_snapshot!(table, @r"
    1 at +2: journal entry 2: L7: its time is before that of the entry before
    1 at -2: could have been
    2 at +2: journal entry 3: L7: its time is before that of the entry before
    2 postings in another order: could have been
    3 at +2: journal entry 4: L7: its time is before that of the entry before
    3 reason Reward { node: NodeId(2), from: Timestamp(5) }: could have been
    3 reason Reward { node: NodeId(1), from: Timestamp(6) }: could have been
    3 account 1 reward:user_2: journal entry 4: L2: it takes available:user_2 below zero
    3 account 1 available:user_1: journal entry 4: L2: it takes available:user_2 below zero
    3 account 1 available:user_3: journal entry 4: L2: it takes available:user_2 below zero
    3 account 1 available:user_4: journal entry 4: L2: it takes available:user_2 below zero
    3 postings in another order: could have been
    4 at +2: journal entry 5: L7: its time is before that of the entry before
    4 postings in another order: could have been
    5 at +2: journal entry 6: L7: its time is before that of the entry before
    5 reason Hold { task: TaskId(2) }: journal entry 6: L3: task_1 has no open hold
    5 reason Hold { task: TaskId(8) }: journal entry 6: L3: task_1 has no open hold
    5 postings in another order: could have been
    6 at +2: journal entry 7: L7: its time is before that of the entry before
    6 reason Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 1 } }: journal entry 7: L4: att_1.1.1 earns for two users
    6 reason Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 0 }, number: 2 } }: journal entry 9: L4: it does not move what att_1.0.1 had earned
    6 reason Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 0 } }: journal entry 9: L4: it does not move what att_1.0.1 had earned
    6 account 1 pending:user_1: journal entry 9: L2: it takes pending:user_2 below zero
    6 account 1 pending:user_3: journal entry 7: L7: it says that pending:user_3 has 0.00002 CPT afterwards; it has 50 micro-CPT
    6 account 1 pending:user_4: journal entry 9: L2: it takes pending:user_2 below zero
    6 postings in another order: could have been
    7 at +2: journal entry 8: L7: its time is before that of the entry before
    7 reason Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 2 }, number: 1 } }: journal entry 8: L4: it does not move what att_1.1.1 had earned
    7 reason Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 2 } }: journal entry 8: L4: it does not move what att_1.1.1 had earned
    7 account 1 pending:user_1: journal entry 8: L2: it takes pending:user_3 below zero
    7 account 1 pending:user_4: journal entry 8: L2: it takes pending:user_3 below zero
    7 postings in another order: could have been
    8 at +2: journal entry 9: L7: its time is before that of the entry before
    8 reason Settlement { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 1 } }: could have been
    8 postings in another order: could have been
    9 at +2: journal entry 10: L7: its time is before that of the entry before
    9 account 2 promo:user_2: journal entry 19: L2: it takes owner:user_2 below zero
    9 account 2 owner:user_1: journal entry 19: L2: it takes owner:user_2 below zero
    9 postings in another order: could have been
    10 at +2: journal entry 11: L7: its time is before that of the entry before
    10 reason Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 2 }, number: 2 } }: journal entry 11: L4: it does not move what att_1.1.2 had earned
    10 reason Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 1 }, number: 3 } }: journal entry 11: L4: it does not move what att_1.1.2 had earned
    10 reason Accrual { attempt: AttemptRef { element: ElementRef { task: TaskId(1), index: 2 }, number: 1 } }: journal entry 11: L4: it does not move what att_1.1.2 had earned
    10 account 1 pending:user_1: journal entry 11: L2: it takes pending:user_3 below zero
    10 account 1 pending:user_2: journal entry 11: L2: it takes pending:user_3 below zero
    10 account 1 pending:user_4: journal entry 11: L2: it takes pending:user_3 below zero
    10 postings in another order: could have been
    11 at +2: journal entry 12: L7: its time is before that of the entry before
    11 account 2 promo:user_3: journal entry 17: L7: it says that available:user_3 has 0.000012 CPT afterwards; it has 7 micro-CPT
    11 account 2 owner:user_3: journal entry 17: L7: it says that available:user_3 has 0.000012 CPT afterwards; it has 7 micro-CPT
    11 postings in another order: could have been
    12 at +2: journal entry 13: L7: its time is before that of the entry before
    12 reason Hold { task: TaskId(3) }: journal entry 13: L3: task_2 has no open hold
    12 reason Hold { task: TaskId(9) }: journal entry 13: L3: task_2 has no open hold
    12 postings in another order: could have been
    13 at +2: journal entry 14: L7: its time is before that of the entry before
    13 reason Expiry { task: TaskId(2) }: could have been
    13 postings in another order: could have been
    14 at +2: journal entry 15: L7: its time is before that of the entry before
    14 reason Hold { task: TaskId(4) }: journal entry 15: L3: task_3 has no open hold
    14 reason Hold { task: TaskId(10) }: journal entry 15: L3: task_3 has no open hold
    14 postings in another order: could have been
    15 at +2: journal entry 16: L7: its time is before that of the entry before
    15 reason Release { task: TaskId(3) }: could have been
    15 postings in another order: could have been
    16 at +2: journal entry 17: L7: its time is before that of the entry before
    16 reason Tip { project: ProjectId(1), number: 2 }: could have been
    16 postings in another order: could have been
    17 at +2: journal entry 18: L7: its time is before that of the entry before
    17 postings in another order: could have been
    18 at +2: could have been
    18 reason Reward { node: NodeId(3), from: Timestamp(5) }: could have been
    18 reason Reward { node: NodeId(2), from: Timestamp(6) }: could have been
    18 account 1 reward:user_1: could have been
    18 account 1 reward:user_2: could have been
    18 account 1 reward:user_4: could have been
    18 postings in another order: could have been
    19 at +2: could have been
    19 at -2: could have been
    19 reason Vest { user: UserId(2), due: Timestamp(1001) }: could have been
    19 postings in another order: could have been
    ");
}
