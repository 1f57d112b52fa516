//! Entries that were made up, in a chain that was made to fit.

use super::*;

/// One line for each kind of forgery: what the finder is told.
#[test]
fn forged_entries_are_named_with_the_invariant_they_break() {
    type Forge = fn(&mut Vec<Entry>);
    let forgeries: [(&str, Forge); 14] = [
        ("a second genesis", |j| j[1].reason = Reason::Genesis),
        ("no genesis", |j| j[0].reason = Reason::SignUp { user: ANNA }),
        ("more supply", |j| (j[0].postings[0].amount, j[0].postings[0].balance) = (micro_cpt(7), micro_cpt(7))),
        ("unbalanced", |j| j[1].postings[1].amount = micro_cpt(101)),
        ("below zero", |j| move_more(&mut j[3], 31)),
        ("out of the treasury", |j| {
            let (treasury, anna) = (j[2].postings[0].balance.micro(), 5);
            j[3].postings =
                vec![posting(Account::Treasury, -5, treasury - 5), posting(Account::Available(ANNA), 5, anna)];
        }),
        ("out of another's account", |j| {
            j[3].reason = Reason::Transfer { from: DORA, to: ANNA };
        }),
        ("a hold of two", |j| {
            j[4].postings = vec![
                posting(Account::Available(BERT), -1, 29),
                posting(Account::Available(ANNA), -1, 19),
                posting(Account::Held(ANNA), 2, 2),
            ];
        }),
        ("two holds of one task", |j| {
            j.truncate(5);
            j[4].postings = vec![posting(Account::Available(ANNA), -1, 19), posting(Account::Held(ANNA), 1, 1)];
            let postings = vec![posting(Account::Available(ANNA), -1, 18), posting(Account::Held(ANNA), 1, 2)];
            j.push(Entry { seq: 6, postings, ..j[4].clone() });
        }),
        ("paid twice", |j| {
            j.truncate(9);
            for seq in [10, 11] {
                let so_far = (seq - 10) as i64;
                let postings = vec![
                    posting(Account::Held(ANNA), -1, 69 - so_far),
                    posting(Account::Available(CARL), 1, 1 + so_far),
                ];
                j.push(Entry {
                    seq,
                    reason: Reason::Settlement { attempt: attempt(1, 5, 1) },
                    postings,
                    ..j[8].clone()
                });
            }
        }),
        ("earning after it was paid", |j| {
            j[9].reason = Reason::Accrual { attempt: attempt(1, 0, 1) };
        }),
        ("another's hold", |j| j[12].reason = Reason::Release { task: TaskId(3) }),
        ("money released as free credit", |j| {
            j[12].postings = vec![posting(Account::Held(ANNA), -3, 0), posting(Account::Promo(ANNA), 3, 3)];
        }),
        ("a hold released in part", |j| {
            j[12].postings = vec![posting(Account::Held(ANNA), -2, 1), posting(Account::Available(ANNA), 2, 14)];
        }),
    ];
    let mut found = String::new();
    for (name, forge) in forgeries {
        let mut entries = journal();
        forge(&mut entries);
        rehash(&mut entries);
        found += &format!("{name}: {}\n", replay(&entries).expect_err(name));
    }
    found += &format!("nothing: {}", replay(&[]).expect_err("there is no genesis"));
    insta::assert_snapshot!(found, @r"
    a second genesis: journal entry 2: L5: genesis is the first entry, and only that
    no genesis: journal entry 1: L5: genesis is the first entry, and only that
    more supply: journal entry 1: L1: its postings sum to 7 micro-CPT instead of 1000000000000000000
    unbalanced: journal entry 2: L1: its postings sum to 1 micro-CPT instead of 0
    below zero: journal entry 4: L2: it takes available:user_2 below zero
    out of the treasury: journal entry 4: L7: entries of its reason (transfer) move nothing from treasury
    out of another's account: journal entry 4: L7: entries of its reason (transfer) move nothing from available:user_2
    a hold of two: journal entry 5: L7: entries of its reason (hold) move money of one user, not of user_1, user_2
    two holds of one task: journal entry 6: L3: task_1 has a hold already
    paid twice: journal entry 11: L4: att_1.5.1 was paid before
    earning after it was paid: journal entry 10: L4: att_1.0.1 was paid before
    another's hold: journal entry 13: L3: task_3 has no open hold
    money released as free credit: journal entry 13: L3: it gives 3 micro-CPT of free credit back, the hold of task_2 has 0
    a hold released in part: journal entry 13: L3: it ends the hold of task_2, which has something left
    nothing: journal entry 0: L5: the journal is empty; it must begin with genesis
    ");
}

fn posting(account: Account, amount: i64, balance: i64) -> Posting {
    Posting { account, amount: micro_cpt(amount), balance: micro_cpt(balance) }
}

/// Moves so much more by the first two postings, with balances that fit.
fn move_more(entry: &mut Entry, more: i64) {
    for (posting, by) in entry.postings.iter_mut().zip([-more, more]) {
        posting.amount = micro_cpt(posting.amount.micro() + by);
        posting.balance = micro_cpt(posting.balance.micro() + by);
    }
}
