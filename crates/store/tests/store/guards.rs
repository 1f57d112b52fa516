//! Batches that do not fit leave nothing behind; damage is told; the journal does not change.

use crate::samples::{attempt, ended, entry, founding, node, open, place, progress, raw, submission, task, user};
use hivemind_ledger::{Account, LedgerChanges, Reason};
use hivemind_model::rows::{RowChanges, UsedToken};
use hivemind_model::state::TaskState::{Completed, Pending};
use hivemind_model::{Cpt, TaskId, Timestamp, UserId};
use hivemind_store::{SqliteOptions, SqliteStore, Store, StoreError};
use sqlx::AssertSqlSafe;
use std::error::Error;
use std::future::poll_fn;
use std::task::Poll;

/// Commits `rows` and `ledger` after a founding and one submission; it must be refused.
async fn refused(rows: RowChanges, ledger: LedgerChanges) -> StoreError {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (founding_rows, founding_ledger) = founding();
    store.commit(&founding_rows, &founding_ledger).await.unwrap();
    let (first_rows, first_ledger) = submission(1, 3);
    store.commit(&first_rows, &first_ledger).await.unwrap();
    let before = store.recover().await.unwrap();

    let error = store.commit(&rows, &ledger).await.unwrap_err();
    assert_eq!(store.recover().await.unwrap(), before, "the refused batch left something");
    let (next_rows, next_ledger) = submission(2, 4);
    store.commit(&next_rows, &next_ledger).await.unwrap();
    error
}

#[tokio::test]
async fn changes_to_what_is_not_there_are_refused() {
    let rows = RowChanges { tasks: vec![progress(1, Completed), progress(9, Completed)], ..RowChanges::default() };
    let error = refused(rows, LedgerChanges::default()).await;
    assert!(matches!(error, StoreError::Conflict { table: "tasks", .. }), "{error}");

    let rows = RowChanges { new_tasks: vec![task(2, 2, Pending)], ..RowChanges::default() };
    let ledger = LedgerChanges { ended_holds: vec![TaskId(1), TaskId(2)], ..LedgerChanges::default() };
    let error = refused(rows, ledger).await;
    assert!(matches!(error, StoreError::Conflict { table: "holds", .. }), "{error}");
}

#[tokio::test]
async fn one_row_twice_in_a_batch_is_refused() {
    let rows = RowChanges { tasks: vec![progress(1, Completed), progress(1, Completed)], ..RowChanges::default() };
    let error = refused(rows, LedgerChanges::default()).await;
    assert!(matches!(error, StoreError::Conflict { table: "tasks", .. }), "{error}");
}

#[tokio::test]
async fn rows_that_contradict_others_are_refused() {
    let token = || UsedToken { id: "t".to_owned(), expires_at: Timestamp(9) };
    let overdrawn = (Account::Available(UserId(2)), Cpt::from_micro(-1));
    let books = |balances| LedgerChanges { balances, ..LedgerChanges::default() };
    for (what, rows, ledger) in [
        (
            "a task id twice",
            RowChanges { new_tasks: vec![task(1, 2, Pending)], ..RowChanges::default() },
            books(vec![]),
        ),
        (
            "a task of nobody",
            RowChanges { new_tasks: vec![task(2, 9, Pending)], ..RowChanges::default() },
            books(vec![]),
        ),
        (
            "an attempt at no task",
            RowChanges { attempts: vec![attempt(2, 1, 1, ended(0))], ..RowChanges::default() },
            books(vec![]),
        ),
        (
            "an attempt on no node",
            RowChanges { attempts: vec![attempt(1, 1, 9, ended(0))], ..RowChanges::default() },
            books(vec![]),
        ),
        ("a node of nobody", RowChanges { nodes: vec![node(2, 9)], ..RowChanges::default() }, books(vec![])),
        ("a name twice", RowChanges { users: vec![user(3, "aNNa")], ..RowChanges::default() }, books(vec![])),
        ("a token twice", RowChanges { used_tokens: vec![token(), token()], ..RowChanges::default() }, books(vec![])),
        ("money that is not there", RowChanges::default(), books(vec![overdrawn])),
    ] {
        let error = refused(rows, ledger).await;
        let StoreError::Database { context, .. } = &error else { panic!("{what}: {error}") };
        assert!(context.contains("contradicts what is stored"), "{what}: {context}");
    }
}

#[tokio::test]
async fn an_id_that_does_not_fit_is_refused() {
    let rows = RowChanges { new_tasks: vec![task(u64::MAX, 2, Pending)], ..RowChanges::default() };
    let error = refused(rows, LedgerChanges::default()).await;
    assert!(matches!(error, StoreError::Conflict { table: "tasks", .. }), "{error}");
}

#[tokio::test]
async fn the_journal_goes_on_from_its_last_entry() {
    let some = |seq| entry(seq, Reason::Release { task: TaskId(1) }, &[]);
    for entries in [vec![some(3)], vec![some(5)], vec![some(4), some(6)], vec![some(4), some(4)], vec![some(0)]] {
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
        let error = refused(RowChanges::default(), LedgerChanges { entries, ..LedgerChanges::default() }).await;
        assert!(matches!(error, StoreError::Conflict { table: "journal", .. }), "{numbers:?}: {error}");
    }
}

#[tokio::test]
async fn journal_entries_can_not_be_changed() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    let mut conn = raw(&path).await;
    for sql in [
        "UPDATE journal SET at = 0 WHERE seq = 1",
        "UPDATE journal SET seq = 9 WHERE seq = 2",
        "DELETE FROM journal WHERE seq = 2",
        "DELETE FROM journal",
        "PRAGMA recursive_triggers = ON; INSERT OR REPLACE INTO journal SELECT * FROM journal",
    ] {
        let error = sqlx::raw_sql(sql).execute(&mut conn).await.unwrap_err();
        assert!(error.to_string().contains("journal entries are never"), "{sql}: {error}");
    }
    assert_eq!(store.journal(0, 10).await.unwrap(), ledger.entries);
}

#[tokio::test]
async fn a_damaged_row_is_told_with_its_table_and_key() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    let (rows, ledger) = submission(1, 3);
    store.commit(&rows, &ledger).await.unwrap();
    let mut conn = raw(&path).await;
    sqlx::raw_sql("DROP TRIGGER journal_keeps_what_it_has").execute(&mut conn).await.unwrap();
    for (table, column, value, key) in [
        ("tasks", "spec", "'{'", "id 1"),
        ("tasks", "failure", "'{\"kind\":\"exited\"}'", "id 1"),
        ("nodes", "capacity", "''", "id 1"),
        ("attempts", "number", "-1", "task 1"),
        ("journal", "reason", "'{\"kind\":\"theft\"}'", "seq 3"),
    ] {
        let only = if table == "journal" { " WHERE seq = 3" } else { "" };
        let keep = format!("SELECT quote({column}) FROM {table}{only} ORDER BY 1 LIMIT 1");
        let good: String = sqlx::query_scalar(AssertSqlSafe(keep)).fetch_one(&mut conn).await.unwrap();
        let damage = format!("UPDATE {table} SET {column} = {value}{only}");
        let repair = format!("UPDATE {table} SET {column} = {good}{only}");
        sqlx::raw_sql(AssertSqlSafe(damage)).execute(&mut conn).await.unwrap();
        let error = store.recover().await.unwrap_err();
        let (told, key_told, detail) = match &error {
            StoreError::Damaged { table, detail } => (*table, detail.contains(key), detail),
            StoreError::BadEntry { seq, detail } => ("journal", *seq == 3, detail),
            other => panic!("{table}.{column}: {other}"),
        };
        assert_eq!((told, key_told), (table, true), "{detail}");
        assert!(detail.contains(&format!("column {column}")), "{detail}");
        sqlx::raw_sql(AssertSqlSafe(repair)).execute(&mut conn).await.unwrap();
        store.recover().await.unwrap();
    }
}

#[tokio::test]
async fn books_without_a_journal_are_damage() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, _) = founding();
    store.commit(&rows, &LedgerChanges::default()).await.unwrap();
    let error = store.recover().await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { table: "journal", .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_says_what_to_do() {
    let (_folder, path) = place();
    let options = SqliteOptions { max_pages: Some(80), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).await.unwrap();
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    let mut last = None;
    for batch in 0..1000 {
        let (mut rows, ledger) = submission(1 + batch * 8, 3 + batch);
        rows.new_tasks.extend((2..=8).map(|id| task(batch * 8 + id, 2, Pending)));
        let before = store.recover().await.unwrap();
        if let Err(error) = store.commit(&rows, &ledger).await {
            last = Some((error, before));
            break;
        }
    }
    let (error, before) = last.unwrap();
    let StoreError::Database { context, .. } = &error else { panic!("{error}") };
    assert!(context.contains("the disk is full; free some space"), "{context}");
    assert!(context.contains("pool.db"), "{context}");
    assert!(error.source().is_some());
    assert_eq!(store.recover().await.unwrap(), before);
    drop(store);

    // Space was freed: the pool goes on from what was acknowledged.
    let store = open(&path).await;
    assert_eq!(store.recover().await.unwrap(), before);
    let seq = before.unwrap().1.last_seq;
    let (rows, ledger) = submission(9_999, seq + 1);
    store.commit(&rows, &ledger).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_is_dropped_half_way_is_whole_or_nothing() {
    const TASKS: u64 = 300;
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    let mut seq = 3;
    // Dropped after so many polls: in BEGIN, in the middle of statements, in COMMIT.
    for polls in 0..24 {
        let first = 1 + polls * TASKS;
        let (mut rows, ledger) = submission(first, seq);
        rows.new_tasks.extend((1..TASKS).map(|place| task(first + place, 2, Pending)));
        let mut left = polls;
        let mut commit = store.commit(&rows, &ledger);
        poll_fn(|context| match left {
            0 => Poll::Ready(()),
            _ => {
                left -= 1;
                commit.as_mut().poll(context).map(Result::unwrap)
            }
        })
        .await;
        drop(commit);
        // Waits for what the dropped one left running, as a pool that starts again would.
        let touch = RowChanges { users: vec![user(2, "Anna")], ..RowChanges::default() };
        store.commit(&touch, &LedgerChanges::default()).await.unwrap();
        let entries = store.ledger().await.unwrap().last_seq + 1 - seq;
        let (head, tail) =
            (store.task(TaskId(first)).await.unwrap(), store.task(TaskId(first + TASKS - 1)).await.unwrap());
        assert_eq!(
            (head.is_some(), tail.is_some(), entries),
            (tail.is_some(), tail.is_some(), u64::from(tail.is_some())),
            "after {polls} polls"
        );
        seq += entries;
    }
}
