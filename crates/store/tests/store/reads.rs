//! Pages, look-ups and what readers see beside the writer.

use crate::samples::{attempt, ended, founding, node, open, place, submission, task, user};
use hivemind_ledger::LedgerChanges;
use hivemind_model::rejection::Rejection;
use hivemind_model::rows::{Answer, AttemptPhase, RequestKey, RequestRow, RowChanges, UsedToken};
use hivemind_model::spec::Digest;
use hivemind_model::state::TaskState::{self, Cancelled, Completed, Failed, Pending, Running};
use hivemind_model::{Cpt, ElementRef, NodeId, TaskId, Timestamp, UserId};
use hivemind_store::{Funds, NodeFilter, Store, StoreError, TaskFilter};

const NOTHING: fn() -> LedgerChanges = LedgerChanges::default;

#[tokio::test]
async fn an_empty_database_has_no_pool() {
    let (_folder, path) = place();
    let store = open(&path).await;
    assert_eq!(store.recover().await.unwrap(), None);
    store.commit(&RowChanges::default(), &NOTHING()).await.unwrap();
    assert_eq!(store.recover().await.unwrap(), None);
}

#[tokio::test]
async fn people_and_machines_are_found() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    rows.nodes.push(node(2, 2));
    store.commit(&rows, &ledger).await.unwrap();

    assert_eq!(store.user_by_name("aNNA").await.unwrap(), Some(user(2, "Anna")));
    assert_eq!(store.user_by_name("Ann_").await.unwrap(), None);
    assert_eq!(store.user(UserId(1)).await.unwrap(), Some(user(1, "Root")));
    assert_eq!(store.user(UserId(u64::MAX)).await.unwrap(), None);
    assert_eq!(store.node(NodeId(2)).await.unwrap(), Some(node(2, 2)));
    let all = NodeFilter { limit: 9, ..NodeFilter::default() };
    assert_eq!(store.nodes(&NodeFilter { owner: Some(UserId(1)), ..all }).await.unwrap(), [node(1, 1)]);
    assert_eq!(store.nodes(&all).await.unwrap(), [node(1, 1), node(2, 2)]);
    assert_eq!(store.nodes(&NodeFilter { limit: 1, ..all }).await.unwrap(), [node(1, 1)]);
    let after = |node: u64| NodeFilter { after: Some(NodeId(node)), ..all };
    assert_eq!(store.nodes(&after(1)).await.unwrap(), [node(2, 2)]);
    assert_eq!(store.nodes(&NodeFilter { owner: Some(UserId(1)), ..after(1) }).await.unwrap(), []);
    for last in [2, 3] {
        assert_eq!(store.nodes(&after(last)).await.unwrap(), [], "after {last}");
    }
    assert_eq!(store.funds(UserId(2)).await.unwrap(), Funds { available: Cpt::from_micro(150), ..Funds::default() });
    assert_eq!(store.funds(UserId(3)).await.unwrap(), Funds::default());

    let renamed = RowChanges { users: vec![user(2, "Anne")], ..RowChanges::default() };
    store.commit(&renamed, &NOTHING()).await.unwrap();
    assert_eq!(store.user_by_name("anna").await.unwrap(), None);
    assert_eq!(store.user_by_name("anne").await.unwrap(), Some(user(2, "Anne")));
}

#[tokio::test]
async fn pages_of_tasks_go_backwards_and_keep_to_their_filter() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    rows.new_tasks = (1..=50).map(|id| task(id, 1 + id % 2, TaskState::ALL[id as usize % 5])).collect();
    let all = rows.new_tasks.clone();
    store.commit(&rows, &ledger).await.unwrap();

    let sets: [&[TaskState]; 8] = [
        &[],
        &[Pending],
        &[Pending, Running],
        &[Failed],
        &[Failed, Cancelled],
        &[Completed],
        &[Running, Failed, Running],
        &TaskState::ALL,
    ];
    for states in sets {
        for before in [None, Some(TaskId(0)), Some(TaskId(31)), Some(TaskId(u64::MAX))] {
            for limit in [0, 1, 7, u32::MAX] {
                let filter = TaskFilter { states: states.to_vec(), before, limit };
                let wanted = all.iter().rev().filter(|row| {
                    let progress = &row.progress;
                    row.user == UserId(2)
                        && (states.is_empty() || states.contains(&progress.state))
                        && before.is_none_or(|id| progress.id < id)
                });
                let wanted: Vec<_> = wanted.take(limit as usize).cloned().collect();
                assert_eq!(store.tasks(UserId(2), &filter).await.unwrap(), wanted, "{filter:?}");
            }
        }
    }
    assert_eq!(store.task(TaskId(50)).await.unwrap().as_ref(), all.last());
    assert_eq!(store.task(TaskId(51)).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_kept_is_read_page_by_page() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    let ended = |id, at| {
        let mut row = task(id, 1, Completed);
        row.progress.ended_at = Some(Timestamp(at));
        row
    };
    rows.new_tasks =
        vec![ended(1, 70), ended(2, 50), task(3, 2, Running), ended(4, 50), task(5, 1, Pending), ended(6, 90)];
    store.commit(&rows, &ledger).await.unwrap();
    let ids = |rows: Vec<hivemind_model::rows::TaskRow>| -> Vec<u64> {
        rows.into_iter().map(|row| row.progress.id.0).collect()
    };
    let by_end = async |at, id, limit| ids(store.ended_tasks((Timestamp(at), TaskId(id)), limit).await.unwrap());
    assert_eq!(by_end(i64::MIN, 0, 3).await, [2, 4, 1]);
    assert_eq!(by_end(50, 2, 9).await, [4, 1, 6]);
    assert_eq!(by_end(51, 0, 9).await, [1, 6]);
    let open = async |user, id, limit| ids(store.open_tasks((UserId(user), TaskId(id)), limit).await.unwrap());
    assert_eq!((open(0, 0, 1).await, open(1, 5, 9).await, open(2, 3, 9).await), (vec![5], vec![3], vec![]));
    let mut ends = store.ends(&[TaskId(6), TaskId(3), TaskId(2), TaskId(99)]).await.unwrap();
    ends.sort_unstable();
    assert_eq!(ends, [(TaskId(2), Timestamp(50)), (TaskId(6), Timestamp(90))]);
}

#[tokio::test]
async fn the_newest_known_result_is_found_by_its_user_alone() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    let keyed = |id, user, state, byte| {
        let mut row = task(id, user, state);
        std::sync::Arc::make_mut(&mut row.spec).reuse = Some(Digest([byte; 32]));
        row
    };
    rows.new_tasks = vec![
        keyed(1, 1, Completed, 7),
        keyed(2, 1, Completed, 7),
        keyed(3, 1, Failed, 7),
        keyed(4, 1, Running, 7),
        keyed(5, 2, Completed, 7),
        task(6, 1, Completed),
        keyed(7, 1, Completed, 8),
    ];
    store.commit(&rows, &ledger).await.unwrap();
    let known = async |user, byte| {
        let row = store.known(UserId(user), Digest([byte; 32])).await.unwrap();
        row.map(|row| (row.progress.id.0, row.progress.reused))
    };
    let from = ElementRef::only(TaskId(1)).attempt(3);
    assert_eq!(known(1, 7).await, Some((2, Some(from))), "the newest that completed");
    assert_eq!(known(2, 7).await, Some((5, None)));
    assert_eq!((known(1, 8).await, known(1, 9).await, known(2, 8).await), (Some((7, None)), None, None));
}

#[tokio::test]
async fn attempts_are_listed_and_the_newest_is_told() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    rows.new_tasks = (1..=3).map(|id| task(id, 2, Running)).collect();
    rows.attempts = vec![
        attempt(1, 1, 1, ended(1)),
        attempt(1, 2, 1, AttemptPhase::Running { started_at: Timestamp(7) }),
        attempt(3, 1, 1, AttemptPhase::Assigned),
    ];
    // The clock was set back between the two: numbers tell, not times.
    rows.attempts[1].assigned_at = Timestamp(1);
    let all = rows.attempts.clone();
    store.commit(&rows, &ledger).await.unwrap();

    let first = |task| ElementRef::only(TaskId(task));
    assert_eq!(store.attempts(first(1)).await.unwrap(), all[..2]);
    assert_eq!(store.attempts(first(2)).await.unwrap(), []);
    assert_eq!(store.attempts(ElementRef { index: 1, ..first(1) }).await.unwrap(), []);
    let asked = [first(3), first(1), first(2), first(1), first(99), ElementRef { index: 1, ..first(3) }];
    assert_eq!(store.newest_attempts(&asked).await.unwrap(), all[1..]);
    assert_eq!(store.newest_attempts(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn requests_are_told_by_user_and_id_exactly() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let key = |user, id: &str| RequestKey { user: UserId(user), id: id.to_owned() };
    let rejection = Rejection::invalid("amount", "is \"nothing\"");
    let made = [
        RequestRow {
            key: key(1, "a\"'\u{1F41D}"),
            body: [1; 32],
            answer: Answer::Submitted { task: TaskId(1), cap: Cpt::from_micro(3) },
        },
        RequestRow { key: key(2, "7"), body: [2; 32], answer: Answer::Refused { rejection } },
    ];
    let (mut rows, ledger) = founding();
    rows.requests = made.to_vec();
    store.commit(&rows, &ledger).await.unwrap();

    let asked = [key(2, "7"), key(1, "7"), key(1, "a\"'\u{1F41D}"), key(2, "7"), key(2, "07")];
    let mut found = store.requests(&asked).await.unwrap();
    found.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(found, made);
    assert_eq!(store.requests(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn used_tokens_are_kept_until_they_are_forgotten() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let token = |id: &str| UsedToken { id: id.to_owned(), expires_at: Timestamp(9) };
    let (mut rows, ledger) = founding();
    rows.used_tokens = vec![token("b"), token("a")];
    store.commit(&rows, &ledger).await.unwrap();
    let (recovered, _) = store.recover().await.unwrap().unwrap();
    assert_eq!(recovered.used_tokens, [token("a"), token("b")]);

    let later = RowChanges { expired_tokens: vec!["a".to_owned(), "never used".to_owned()], ..RowChanges::default() };
    store.commit(&later, &NOTHING()).await.unwrap();
    let (recovered, _) = store.recover().await.unwrap().unwrap();
    assert_eq!(recovered.used_tokens, [token("b")]);
}

#[tokio::test]
async fn the_journal_is_read_in_parts() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    let (rows, more) = submission(1, 3);
    store.commit(&rows, &more).await.unwrap();
    let all: Vec<_> = ledger.entries.iter().chain(&more.entries).cloned().collect();

    assert_eq!(store.journal(0, 10).await.unwrap(), all);
    assert_eq!(store.journal(1, 1).await.unwrap(), all[1..2]);
    assert_eq!(store.journal(3, 10).await.unwrap(), []);
    let image = store.ledger().await.unwrap();
    assert_eq!((image.last_seq, image.last_hash), (3, [3; 32]));
    assert_eq!((image.balances, image.holds), (ledger.balances, more.holds));
}

#[tokio::test]
async fn a_pool_that_gave_no_id_yet_begins_after_the_ids_that_are_there() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (mut rows, ledger) = founding();
    rows.counters = None;
    store.commit(&rows, &ledger).await.unwrap();
    let (recovered, _) = store.recover().await.unwrap().unwrap();
    let counters = recovered.counters;
    assert_eq!((counters.user, counters.node, counters.task), (3, 2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_whole_batches_only() {
    const BATCHES: u64 = 30;
    const TASKS: u64 = 40;
    let (_folder, path) = place();
    let store = std::sync::Arc::new(open(&path).await);
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    let reader = std::sync::Arc::clone(&store);
    let reading = tokio::spawn(async move {
        loop {
            let (rows, books) = reader.recover().await.unwrap().unwrap();
            let batches = books.last_seq - 2;
            assert_eq!(rows.tasks.len() as u64, batches * TASKS);
            assert_eq!(rows.attempts.len() as u64, batches * TASKS);
            if batches == BATCHES {
                return;
            }
        }
    });
    for batch in 0..BATCHES {
        let (mut rows, ledger) = submission(1 + batch * TASKS, 3 + batch);
        for id in 2 + batch * TASKS..=(batch + 1) * TASKS {
            rows.new_tasks.push(task(id, 2, Pending));
            rows.attempts.push(attempt(id, 1, 1, AttemptPhase::Assigned));
        }
        store.commit(&rows, &ledger).await.unwrap();
    }
    reading.await.unwrap();
}

#[tokio::test]
async fn a_closed_store_answers_no_more() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.recover().await, Err(StoreError::Database { .. })));
    let (rows, ledger) = submission(1, 3);
    assert!(matches!(store.commit(&rows, &ledger).await, Err(StoreError::Database { .. })));
    drop(store);
    assert_eq!(open(&path).await.ledger().await.unwrap().last_seq, 2);
}
