//! Figures about the whole pool, and the journal read backwards.

use crate::samples::*;
use hivemind_ledger::{Account, LedgerChanges, Reason};
use hivemind_model::rows::RowChanges;
use hivemind_model::state::TaskState;
use hivemind_model::{Cpt, Millis, TaskId, Timestamp, UserId};
use hivemind_store::{JournalFilter, JournalPage, Past, Store};

#[tokio::test]
async fn the_past_is_added_up_in_pages_and_what_came_later_is_not() {
    let (_folder, path) = place();
    let store = open(&path).await;
    assert_eq!(store.past(TaskId(0), Timestamp(i64::MAX), 10).await.unwrap(), Past::default());
    let (mut rows, ledger) = founding();
    rows.new_tasks = (1..=25).map(|id| task(id, 2, TaskState::ALL[id as usize % 5])).collect();
    rows.attempts = (1..=25).map(|id| attempt(id, 1, 1, ended(0))).collect();
    rows.attempts.extend((1..=5).map(|id| attempt(id, 2, 1, hivemind_model::rows::AttemptPhase::Assigned)));
    let ends: Vec<_> = rows.new_tasks.iter().map(|task| task.progress.clone()).collect();
    store.commit(&rows, &ledger).await.unwrap();
    let completed = ends.iter().filter(|end| end.state == TaskState::Completed).count() as u64;
    let elements: u32 = ends.iter().filter(|end| end.ended_at.is_some()).map(|end| end.ended.completed).sum();
    let whole =
        Past { last: None, tasks_completed: completed, elements_completed: elements.into(), cpu: Millis(25 * 20) };
    for page in [1, 7, 100] {
        let (mut sum, mut after) = (Past::default(), TaskId(0));
        loop {
            let past = store.past(after, Timestamp(i64::MAX), page).await.unwrap();
            sum.tasks_completed += past.tasks_completed;
            sum.elements_completed += past.elements_completed;
            sum.cpu.0 += past.cpu.0;
            match past.last {
                Some(last) => after = last,
                None => break,
            }
        }
        assert_eq!(sum, whole, "pages of {page}");
    }
    let none = Past { last: Some(TaskId(25)), ..Past::default() };
    assert_eq!(store.past(TaskId(0), Timestamp(0), 100).await.unwrap(), none);
}

#[tokio::test]
async fn open_tasks_and_the_supply_are_counted() {
    let (_folder, path) = place();
    let store = open(&path).await;
    assert_eq!(store.supply().await.unwrap(), Cpt::ZERO);
    let (mut rows, ledger) = founding();
    rows.new_tasks = (1..=20).map(|id| task(id, 1 + id % 2, TaskState::ALL[id as usize % 5])).collect();
    let mut all: Vec<(UserId, TaskId)> = rows.new_tasks.iter().map(|task| (task.user, task.progress.id)).collect();
    all.retain(|(_, id)| !TaskState::ALL[id.0 as usize % 5].is_terminal());
    all.sort_unstable();
    store.commit(&rows, &ledger).await.unwrap();
    let balances: i64 = ledger.balances.iter().map(|(_, balance)| balance.micro()).sum();
    assert_eq!(store.supply().await.unwrap(), Cpt::from_micro(balances));
    let (mut found, mut after) = (Vec::new(), (UserId(0), TaskId(0)));
    loop {
        let page = store.open_task_ids(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = *last;
        found.extend(page);
    }
    assert_eq!(found, all);
}

#[tokio::test]
async fn the_journal_is_read_backwards_and_no_further_than_asked() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = founding();
    let mut all = ledger.entries.clone();
    store.commit(&rows, &ledger).await.unwrap();
    let next = all.len() as u64 + 1;
    let (one, two) = (UserId(1), UserId(2));
    let transfer = |seq| entry(seq, Reason::Transfer { from: one, to: two }, &[(Account::Available(two), 1)]);
    let entries: Vec<_> = (next..next + 10).map(transfer).collect();
    all.extend(entries.clone());
    store.commit(&RowChanges::default(), &LedgerChanges { entries, ..LedgerChanges::default() }).await.unwrap();
    all.reverse();
    let last = all[0].seq;
    let filter = JournalFilter { most_looked_at: 1000, limit: 1000, ..JournalFilter::default() };
    let whole = JournalPage { entries: all.clone(), looked_down_to: 1 };
    assert_eq!(store.journal_backwards(&filter).await.unwrap(), whole);
    let some = JournalFilter { limit: 3, before: Some(last), ..filter.clone() };
    assert_eq!(store.journal_backwards(&some).await.unwrap().entries, all[1..4]);
    // Of a rare kind, a page ends where it has looked at enough.
    let rare = JournalFilter { kinds: vec!["genesis".into()], most_looked_at: 4, ..filter.clone() };
    let empty = JournalPage { entries: Vec::new(), looked_down_to: last - 3 };
    assert_eq!(store.journal_backwards(&rare).await.unwrap(), empty);
    let on = JournalFilter { before: Some(3), ..rare };
    let genesis = JournalPage { entries: vec![all[all.len() - 1].clone()], looked_down_to: 1 };
    assert_eq!(store.journal_backwards(&on).await.unwrap(), genesis);
    let before_all = JournalFilter { before: Some(1), ..filter };
    assert_eq!(store.journal_backwards(&before_all).await.unwrap().entries, []);
}
