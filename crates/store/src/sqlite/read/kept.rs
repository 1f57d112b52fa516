//! What tasks name and for how long: read page by page by the search for what nobody needs.
//!
//! Every page goes on in an index where the one before ended, so that it costs as much as it has rows.
//!
//! Invariant: nothing here decides what is kept.

use super::super::fault::Fault;
use super::{all, json, key};
use hivemind_model::rows::{AttemptRow, TaskRow};
use hivemind_model::{TaskId, Timestamp, UserId};
use sqlx::SqliteConnection;

/// Tasks that have not ended, by user, then by id.
pub(in super::super) async fn open_tasks(
    conn: &mut SqliteConnection,
    after: (UserId, TaskId),
    limit: u32,
) -> Result<Vec<TaskRow>, Fault> {
    let sql = select!(
        tasks,
        "INDEXED BY tasks_open WHERE state IN ('pending', 'running') AND (user_id, id) > (?, ?)
         ORDER BY user_id, id LIMIT ?"
    );
    all(conn, sqlx::query(sql).bind(key(after.0.0)).bind(key(after.1.0)).bind(limit)).await
}

/// Tasks that have ended, by their ends.
pub(in super::super) async fn ended_tasks(
    conn: &mut SqliteConnection,
    after: (Timestamp, TaskId),
    limit: u32,
) -> Result<Vec<TaskRow>, Fault> {
    let sql = select!(
        tasks,
        "INDEXED BY tasks_ended WHERE ended_at IS NOT NULL AND (ended_at, id) > (?, ?) ORDER BY ended_at, id LIMIT ?"
    );
    all(conn, sqlx::query(sql).bind(after.0.0).bind(key(after.1.0)).bind(limit)).await
}

/// When these tasks ended.
pub(in super::super) async fn ends(
    conn: &mut SqliteConnection,
    tasks: &[TaskId],
) -> Result<Vec<(TaskId, Timestamp)>, Fault> {
    let sql = "SELECT id, ended_at FROM tasks WHERE ended_at IS NOT NULL AND id IN (SELECT value FROM json_each(?))";
    let ids: Vec<i64> = tasks.iter().map(|task| key(task.0)).collect();
    all(conn, sqlx::query(sql).bind(json(&ids)?)).await
}

/// The attempts of a task that have a report.
pub(in super::super) async fn reported(
    conn: &mut SqliteConnection,
    task: TaskId,
    after: (u32, u32),
    limit: u32,
) -> Result<Vec<AttemptRow>, Fault> {
    let sql = select!(
        attempts,
        "WHERE task = ? AND (element, number) > (?, ?) AND report IS NOT NULL ORDER BY element, number LIMIT ?"
    );
    all(conn, sqlx::query(sql).bind(key(task.0)).bind(after.0).bind(after.1).bind(limit)).await
}
