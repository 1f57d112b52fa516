use super::*;
use hivemind_ledger::{Hold, Ledger, Paid, PromoPay, Purse, Terms};
use hivemind_model::{Cpt, ElementRef, TaskId, UserId};

const NOW: Timestamp = Timestamp(0);

fn cpt(whole: i64) -> Cpt {
    Cpt::from_micro(whole * 1_000_000)
}

/// Books with a hold, an accrual, and earnings that wait.
fn books() -> (LedgerImage, ReplayedBooks) {
    let mut ledger = Ledger::found(NOW);
    let (ada, bob) = (UserId(1), UserId(2));
    ledger.sign_up(ada, cpt(100), NOW).unwrap();
    let attempt = |task| ElementRef::only(TaskId(task)).attempt(1);
    for task in [1, 2] {
        ledger.open_hold(TaskId(task), ada, cpt(20), Timestamp(9), NOW).unwrap();
        ledger.accrue(attempt(task), bob, cpt(3), NOW).unwrap();
    }
    let terms = Terms { promo: PromoPay::Money, vests_at: Some(Timestamp(50)) };
    ledger.settle_and_close(Paid { attempt: attempt(2), payee: bob, terms }, cpt(7), NOW).unwrap();
    let replayed = hivemind_ledger::replay(&ledger.take_changes().entries).unwrap();
    (ledger.image(), replayed)
}

fn finding(change: impl FnOnce(&mut LedgerImage)) -> AuditResponse {
    let (mut image, replayed) = books();
    change(&mut image);
    verdict(&image, compare(&image, &replayed).err())
}

/// Free credit that became money.
fn as_money(purse: Purse) -> Purse {
    Purse { own: purse.total(), promo: Cpt::ZERO }
}

#[test]
fn true_books_are_balanced() {
    let audit = finding(|_| ());
    assert!(audit.balanced, "{}", audit.finding);
    assert_eq!((audit.bad_entry, audit.supply_micro), (0, SUPPLY.micro()));
    assert_eq!(audit.held_micro, cpt(17).micro());
}

#[test]
fn whatever_is_stored_otherwise_than_the_journal_says_is_named() {
    let other = Purse { own: Cpt::ZERO, promo: cpt(1) };
    for (audit, expected) in [
        (finding(|image| image.balances[1].1 = cpt(1)), "L7: the balance of"),
        (finding(|image| image.balances.truncate(1)), "L7: the balance of"),
        (finding(|image| image.holds[0].left = other), "L3: the hold of task_1"),
        (
            finding(|image| image.holds[0].left = as_money(image.holds[0].left)),
            "L3: the hold of task_1 is stored as 17.00 CPT of user_1, the journal gives 17.00 CPT of user_1 (17.00 CPT of it free credit)",
        ),
        (
            finding(|image| image.accruals[0].amount = as_money(image.accruals[0].amount)),
            "L4: what was earned by att_1.0.1",
        ),
        (finding(|image| image.holds.clear()), "L3: the hold of task_1 is stored as nothing"),
        (finding(|image| image.holds.push(Hold { task: TaskId(9), ..image.holds[0] })), "L3: the hold of task_9"),
        (finding(|image| image.accruals[0].payee = UserId(3)), "L4: what was earned by att_1.0.1"),
        (finding(|image| image.vests[0].amount = cpt(6)), "L7: what is to vest of owner:user_2"),
        (finding(|image| image.vests.clear()), "L7: what is to vest of owner:user_2"),
    ] {
        assert!(!audit.balanced && audit.finding.starts_with(expected), "{expected}: {}", audit.finding);
        assert_eq!(audit.bad_entry, 0, "{}", audit.finding);
    }
    let cut = finding(|image| image.last_hash = [7; 32]);
    assert!(!cut.balanced && cut.bad_entry == cut.entries, "{}", cut.finding);
}
