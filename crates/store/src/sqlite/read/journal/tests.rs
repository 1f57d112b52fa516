#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::sqlite::schema;
use hivemind_ledger::Reason;
use hivemind_model::{ElementRef, NodeId, ProjectId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};
use std::path::Path;

/// How SQLite would run `sql`, one step a line.
async fn plan(sql: &str) -> String {
    let mut conn = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
    schema::migrate(&mut conn, Path::new("memory")).await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps = sqlx::query(explain).fetch_all(&mut conn).await.unwrap();
    steps.iter().map(|step| step.get::<String, _>("detail") + "\n").collect()
}

#[tokio::test]
async fn statements_walk_indexes_and_sort_nothing() {
    for (walk, searches) in [
        (Walk::Task, vec!["journal_by_task (task=? AND rowid>? AND rowid<?)"]),
        (Walk::Work, vec!["journal_work_a (user_a=? AND rowid>? AND rowid<?)", "journal_work_b (user_b=?"]),
        (Walk::Other, vec!["journal_other_a (user_a=? AND rowid>? AND rowid<?)", "journal_other_b (user_b=?"]),
        (Walk::Both, vec!["journal_work_a (", "journal_work_b (", "journal_other_a (", "journal_other_b ("]),
    ] {
        let plan = plan(&statement_sql(walk)).await;
        for search in searches {
            assert!(plan.contains(&format!("SEARCH journal USING INDEX {search}")), "{walk:?}: {plan}");
        }
        assert!(!plan.contains("SCAN journal") && !plan.contains("B-TREE"), "{walk:?}: {plan}");
    }
    let plan = plan(TASK_ENTRIES).await;
    assert!(plan.contains("SEARCH journal USING INDEX journal_by_task (task=?)"), "{plan}");
    assert!(!plan.contains("B-TREE"), "{plan}");
}

#[test]
fn the_words_of_work_are_those_about_a_task() {
    let task = TaskId(1);
    let attempt = ElementRef::only(task).attempt(1);
    let (user, node, project) = (UserId(1), NodeId(1), ProjectId(1));
    let reasons = [
        Reason::Genesis,
        Reason::SignUp { user },
        Reason::Transfer { from: user, to: user },
        Reason::Hold { task },
        Reason::Accrual { attempt },
        Reason::Return { attempt },
        Reason::Settlement { attempt },
        Reason::Release { task },
        Reason::Expiry { task },
        Reason::Reward { node, from: Timestamp(1) },
        Reason::Vest { user, due: Timestamp(1) },
        Reason::Tip { project, number: 1 },
        Reason::Collect { project, owner: user },
    ];
    assert!(Reason::WORDS.iter().all(|word| reasons.iter().any(|reason| reason.as_str() == *word)));
    for reason in reasons {
        assert_eq!(WORK.contains(&reason.as_str()), reason.task().is_some(), "{reason:?}");
        let text = serde_json::to_string(&reason).unwrap();
        assert!(text.starts_with(&format!("{{\"kind\":\"{}\"", reason.as_str())), "{text}");
    }
}

#[test]
fn a_statement_walks_no_further_than_it_must() {
    let walk = |words: &[&str], task| {
        let kinds = words.iter().map(|word| (*word).to_owned()).collect();
        Walk::of(&StatementFilter { kinds, task, ..StatementFilter::default() })
    };
    assert_eq!(walk(&[], None), Walk::Both);
    assert_eq!(walk(&["hold", "expiry"], None), Walk::Work);
    assert_eq!(walk(&["transfer", "no word"], None), Walk::Other);
    assert_eq!(walk(&["transfer", "hold"], None), Walk::Both);
    assert_eq!(walk(&["transfer"], Some(TaskId(1))), Walk::Task);
}
