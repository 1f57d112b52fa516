//! Figures about the pool as a whole.
//!
//! Start at [`past`]. Whatever is long is read in pages, each of which goes on where the one before ended.
//!
//! Invariant: nothing here reads a specification.

use super::key;
use crate::Past;
use crate::sqlite::fault::Fault;
use hivemind_model::{Cpt, Millis, TaskId, Timestamp, UserId};
use sqlx::SqliteConnection;

/// What all accounts have together.
pub(in super::super) async fn supply(conn: &mut SqliteConnection) -> Result<Cpt, Fault> {
    let sum: i64 = sqlx::query_scalar("SELECT coalesce(sum(balance), 0) FROM accounts").fetch_one(conn).await?;
    Ok(Cpt::from_micro(sum))
}

/// Ids of tasks that have not ended, by user, then by id; read from their index alone.
pub(in super::super) async fn open_task_ids(
    conn: &mut SqliteConnection,
    after: (UserId, TaskId),
    limit: u32,
) -> Result<Vec<(UserId, TaskId)>, Fault> {
    let sql = "SELECT user_id, id FROM tasks INDEXED BY tasks_open
               WHERE state IN ('pending', 'running') AND (user_id, id) > (?, ?) ORDER BY user_id, id LIMIT ?";
    let query = sqlx::query_as(sql).bind(key(after.0.0)).bind(key(after.1.0)).bind(limit);
    let rows: Vec<(i64, i64)> = query.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(user, task)| (UserId(user.cast_unsigned()), TaskId(task.cast_unsigned()))).collect())
}

/// What tasks after `after`, at most `limit` of them by id, did before `before`.
pub(in super::super) async fn past(
    conn: &mut SqliteConnection,
    after: TaskId,
    before: Timestamp,
    limit: u32,
) -> Result<Past, Fault> {
    let sql = "SELECT max(id),
            coalesce(sum(state = 'completed' AND ended_at < ?1), 0),
            coalesce(sum(iif(ended_at < ?1, completed, 0)), 0),
            coalesce(sum((SELECT sum(json_extract(report, '$.metering.cpu')) FROM attempts
                          WHERE task = page.id AND attempts.ended_at < ?1)), 0)
        FROM (SELECT id, state, ended_at, completed FROM tasks WHERE id > ?2 ORDER BY id LIMIT ?3) AS page";
    let query = sqlx::query_as(sql).bind(before.0).bind(key(after.0)).bind(limit);
    let (last, tasks, elements, cpu): (Option<i64>, i64, i64, i64) = query.fetch_one(conn).await?;
    Ok(Past {
        last: last.map(|id| TaskId(id.cast_unsigned())),
        tasks_completed: tasks.cast_unsigned(),
        elements_completed: elements.cast_unsigned(),
        cpu: Millis(cpu.cast_unsigned()),
    })
}
