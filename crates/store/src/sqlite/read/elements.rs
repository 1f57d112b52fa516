//! Many elements and attempts of one task at once, for pictures of them.
//!
//! Invariant: no read looks at more rows than its bound, however large the task is.

use super::super::fault::Fault;
use super::{all, key};
use hivemind_model::TaskId;
use hivemind_model::rows::{AttemptRow, GridRow};
use sqlx::SqliteConnection;

/// Attempts of one task among which the newest are looked for: its last elements, which were handed out last.
const MOST_ATTEMPTS: u32 = 200_000;

/// How elements stand, chunk by chunk.
pub(in super::super) async fn grid(
    conn: &mut SqliteConnection,
    task: TaskId,
    from: u32,
    limit: u32,
) -> Result<Vec<GridRow>, Fault> {
    let sql = "SELECT chunk, runs FROM chunks WHERE task = ? AND chunk >= ? ORDER BY chunk LIMIT ?";
    all(conn, sqlx::query(sql).bind(key(task.0)).bind(from).bind(limit)).await
}

/// The attempts that were handed out last. Those that are open have an index of their own, so that none of them is
/// missed among a million.
pub(in super::super) async fn latest_attempts(
    conn: &mut SqliteConnection,
    task: TaskId,
    limit: u32,
) -> Result<Vec<AttemptRow>, Fault> {
    // What is open may be found twice, so twice as much is sorted out as is wanted.
    let sql = select!(
        attempts,
        "JOIN (
             SELECT DISTINCT place, nth FROM (
                 SELECT * FROM (
                     SELECT element AS place, number AS nth, assigned_at AS since FROM attempts
                     WHERE task = ?1 ORDER BY element DESC, number DESC LIMIT ?2
                 )
                 UNION ALL
                 SELECT * FROM (
                     SELECT element, number, assigned_at FROM attempts INDEXED BY attempts_open
                     WHERE task = ?1 AND ended_at IS NULL LIMIT ?2
                 )
                 ORDER BY since DESC, place DESC, nth DESC LIMIT 2 * ?3
             )
         ) ON task = ?1 AND element = place AND number = nth
         ORDER BY assigned_at DESC, element DESC, number DESC LIMIT ?3"
    );
    all(conn, sqlx::query(sql).bind(key(task.0)).bind(MOST_ATTEMPTS).bind(limit)).await
}
