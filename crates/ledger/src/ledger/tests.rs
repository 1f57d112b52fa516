use super::*;
use crate::replay;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_000);
const ANNA: UserId = UserId(1);
const BERT: UserId = UserId(2);
const TASK: TaskId = TaskId(7);

fn cpt(whole: i64) -> Cpt {
    Cpt::checked_from_whole(whole).expect("small")
}

fn paid(payee: UserId) -> Paid {
    Paid { task: TASK, index: 0, attempt: 1, payee }
}

fn founded() -> Ledger {
    let mut ledger = Ledger::found(NOW);
    ledger.sign_up(ANNA, cpt(150), NOW).expect("the treasury is full");
    ledger.sign_up(BERT, cpt(150), NOW).expect("the treasury is full");
    ledger
}

/// One line per entry: number, reason, postings.
fn journal(ledger: &mut Ledger) -> String {
    let lines = ledger.take_changes().entries.into_iter().map(|entry| {
        let postings: Vec<String> =
            entry.postings.iter().map(|posting| format!("{} {}", posting.account, posting.amount)).collect();
        format!("{} {:?}: {}", entry.seq, entry.reason, postings.join(", "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_task_makes_two_entries() {
    let mut ledger = founded();
    ledger.open_hold(TASK, ANNA, cpt(10), NOW).expect("enough");
    assert_eq!(ledger.settle_and_close(paid(BERT), cpt(4), NOW), Ok(cpt(6)));
    insta::assert_snapshot!(journal(&mut ledger), @r"
    1 Genesis: treasury 1000000000000.00 CPT
    2 SignUp { user: UserId(1) }: treasury -150.00 CPT, available:user_1 150.00 CPT
    3 SignUp { user: UserId(2) }: treasury -150.00 CPT, available:user_2 150.00 CPT
    4 Hold { task: TaskId(7) }: available:user_1 -10.00 CPT, held:user_1 10.00 CPT
    5 Settlement { task: TaskId(7), index: 0, attempt: 1 }: held:user_1 -10.00 CPT, available:user_2 4.00 CPT, available:user_1 6.00 CPT
    ");
    ledger.check().expect("the books are true");
}

#[test]
fn paying_oneself_is_one_entry_of_two_postings() {
    let mut ledger = founded();
    let _ = ledger.take_changes();
    ledger.open_hold(TASK, ANNA, cpt(10), NOW).expect("enough");
    ledger.settle_and_close(paid(ANNA), cpt(4), NOW).expect("open");
    insta::assert_snapshot!(journal(&mut ledger), @r"
    4 Hold { task: TaskId(7) }: available:user_1 -10.00 CPT, held:user_1 10.00 CPT
    5 Settlement { task: TaskId(7), index: 0, attempt: 1 }: held:user_1 -10.00 CPT, available:user_1 10.00 CPT
    ");
    assert_eq!(ledger.available(ANNA), cpt(150));
}

#[test]
fn refusals_change_nothing() {
    let mut ledger = founded();
    ledger.open_hold(TASK, ANNA, cpt(10), NOW).expect("enough");
    let _ = ledger.take_changes();
    let before = ledger.clone();
    let other = TaskId(8);
    let refusals = [
        ledger.transfer(ANNA, BERT, cpt(141), NOW),
        ledger.transfer(ANNA, BERT, Cpt::ZERO, NOW),
        ledger.transfer(ANNA, BERT, cpt(-1), NOW),
        ledger.transfer(ANNA, ANNA, cpt(1), NOW),
        ledger.open_hold(TASK, ANNA, cpt(1), NOW),
        ledger.open_hold(other, ANNA, cpt(141), NOW),
        ledger.open_hold(other, ANNA, cpt(-1), NOW),
        ledger.settle(paid(BERT), cpt(11), NOW),
        ledger.settle(paid(BERT), cpt(-1), NOW),
        ledger.settle_and_close(Paid { task: other, ..paid(BERT) }, cpt(1), NOW).map(drop),
        ledger.release(other, NOW).map(drop),
        ledger.sign_up(UserId(3), SUPPLY, NOW),
    ];
    let texts: Vec<String> =
        refusals.into_iter().map(|refusal| refusal.expect_err("must be refused").to_string()).collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    needs 141.00 CPT, 140.00 CPT is available
    0.00 CPT is not an amount that can be moved
    -1.00 CPT is not an amount that can be moved
    user_1 is both sides of the transfer
    task_7 has a hold already
    needs 141.00 CPT, 140.00 CPT is available
    -1.00 CPT is not an amount that can be moved
    11.00 CPT is more than the 10.00 CPT that the hold of task_7 has left
    -1.00 CPT is not an amount that can be moved
    task_8 has no open hold
    task_8 has no open hold
    the treasury has 999999999700.00 CPT left, less than the grant of 1000000000000.00 CPT
    ");
    assert_eq!(ledger, before);
}

#[test]
fn a_hold_ends_exactly_once() {
    let mut ledger = founded();
    ledger.open_hold(TASK, ANNA, cpt(10), NOW).expect("enough");
    ledger.settle(paid(BERT), cpt(4), NOW).expect("open");
    assert_eq!(ledger.hold(TASK).map(|hold| hold.left), Some(cpt(6)));
    assert_eq!(ledger.release(TASK, NOW), Ok(cpt(6)));
    assert_eq!(ledger.release(TASK, NOW), Err(Refusal::NoHold { task: TASK }));
    assert_eq!(ledger.settle_and_close(paid(BERT), cpt(1), NOW), Err(Refusal::NoHold { task: TASK }));
    assert_eq!((ledger.available(ANNA), ledger.held(ANNA)), (cpt(146), Cpt::ZERO));
}

#[test]
fn a_hold_of_nothing_makes_no_entry_but_must_still_end() {
    let mut ledger = founded();
    let _ = ledger.take_changes();
    ledger.open_hold(TASK, ANNA, Cpt::ZERO, NOW).expect("nothing is needed");
    assert_eq!(ledger.take_changes().holds.len(), 1);
    ledger.settle_and_close(paid(BERT), Cpt::ZERO, NOW).expect("open");
    let changes = ledger.take_changes();
    assert_eq!((changes.entries.len(), changes.ended_holds), (0, vec![TASK]));
}

#[test]
fn changes_are_one_line_per_key() {
    let mut ledger = founded();
    ledger.open_hold(TASK, ANNA, cpt(10), NOW).expect("enough");
    ledger.release(TASK, NOW).expect("open");
    let changes = ledger.take_changes();
    assert_eq!((changes.entries.len(), changes.balances.len()), (5, 4));
    assert!(changes.holds.is_empty() && changes.ended_holds.is_empty(), "the hold came and went within the batch");
    assert!(ledger.take_changes().is_empty());
}

#[test]
fn stored_books_that_cannot_be_true_are_refused() {
    let mut ledger = founded();
    ledger.open_hold(TASK, ANNA, cpt(10), NOW).expect("enough");
    let image = ledger.image();
    assert_eq!(Ledger::restore(image.clone()).map(|restored| restored.image()), Ok(image.clone()));
    let broken = |change: fn(&mut LedgerImage)| {
        let mut image = image.clone();
        change(&mut image);
        Ledger::restore(image).expect_err("must be refused").invariant
    };
    assert_eq!(broken(|image| image.balances[1].1 = cpt(999)), "L5");
    assert_eq!(broken(|image| image.balances[1].1 = cpt(-1)), "L2");
    assert_eq!(broken(|image| image.holds[0].left = cpt(9)), "L1");
    assert_eq!(broken(|image| image.holds.clear()), "L1");
    assert_eq!(broken(|image| image.holds.push(image.holds[0])), "L3");
    assert_eq!(broken(|image| image.last_seq = 0), "L7");
}

#[derive(Debug, Clone)]
enum Act {
    Transfer(u64, u64, i64),
    Hold(u64, u64, i64),
    Settle(u64, u64, i64),
    Close(u64, u64, i64),
    Release(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let (user, task, micro) = (1u64..4, 1u64..6, -5i64..200_000_000);
    prop_oneof![
        (user.clone(), user.clone(), micro.clone()).prop_map(|(a, b, m)| Act::Transfer(a, b, m)),
        (task.clone(), user.clone(), micro.clone()).prop_map(|(t, u, m)| Act::Hold(t, u, m)),
        (task.clone(), user.clone(), micro.clone()).prop_map(|(t, u, m)| Act::Settle(t, u, m)),
        (task.clone(), user, micro).prop_map(|(t, u, m)| Act::Close(t, u, m)),
        task.prop_map(Act::Release),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_books_are_true(acts in proptest::collection::vec(act(), 0..60)) {
        let mut ledger = founded();
        ledger.sign_up(UserId(3), cpt(1), NOW).expect("the treasury is full");
        let mut entries = Vec::new();
        for act in acts {
            let paid = |task: u64, payee: u64| Paid { task: TaskId(task), index: 0, attempt: 1, payee: UserId(payee) };
            let _refused = match act {
                Act::Transfer(from, to, micro) => ledger.transfer(UserId(from), UserId(to), Cpt::from_micro(micro), NOW),
                Act::Hold(task, user, micro) => ledger.open_hold(TaskId(task), UserId(user), Cpt::from_micro(micro), NOW),
                Act::Settle(task, user, micro) => ledger.settle(paid(task, user), Cpt::from_micro(micro), NOW),
                Act::Close(task, user, micro) => ledger.settle_and_close(paid(task, user), Cpt::from_micro(micro), NOW).map(drop),
                Act::Release(task) => ledger.release(TaskId(task), NOW).map(drop),
            };
            prop_assert_eq!(ledger.check(), Ok(()));
            entries.extend(ledger.take_changes().entries);
        }
        entries.extend(ledger.take_changes().entries);
        let books = replay(&entries).expect("the journal is true");
        let image = ledger.image();
        prop_assert_eq!(books.balances.into_iter().collect::<Vec<_>>(), image.balances);
        prop_assert_eq!(books.holds.into_values().collect::<Vec<_>>(), image.holds.into_iter().filter(|hold| hold.left.is_positive()).collect::<Vec<_>>());
        prop_assert_eq!((books.supply, books.entries, books.last_hash), (SUPPLY, image.last_seq, image.last_hash));
    }
}
