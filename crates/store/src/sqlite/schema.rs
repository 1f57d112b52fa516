//! Schema: numbered migrations, applied in order, all in one transaction.
//!
//! A migration that was released is never edited; a change is a new one.
//!
//! Invariant: a database that is newer than this program, or another program's, is not touched.

use super::fault::Fault;
use crate::StoreError;
use sqlx::{Connection, SqliteConnection};
use std::path::Path;

/// The migrations; the version after each is its place, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_pool.sql"),
    include_str!("../../migrations/0002_sessions.sql"),
    include_str!("../../migrations/0003_node_work.sql"),
];

/// Marks the file as a pool's (`HvMd`; <https://www.sqlite.org/pragma.html#pragma_application_id>).
const APPLICATION_ID: i64 = 0x4876_4d64;

/// Brings the database to the newest schema.
pub(super) async fn migrate(conn: &mut SqliteConnection, path: &Path) -> Result<(), Fault> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
    let found = version(&mut transaction, path).await?;
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known }.into());
    }
    for (version, sql) in (1i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
        let record = "INSERT INTO schema_version (version, applied_at) VALUES (?, unixepoch() * 1000)";
        sqlx::query(record).bind(version).execute(&mut *transaction).await?;
        tracing::info!(version, path = %path.display(), "database migrated");
    }
    Ok(transaction.commit().await?)
}

/// The version of the schema that is there; 0 in an empty file, which is marked as ours.
async fn version(conn: &mut SqliteConnection, path: &Path) -> Result<i64, Fault> {
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *conn).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *conn).await?;
    match (id, tables) {
        (0, 0) => {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}")))
                .execute(&mut *conn)
                .await?;
            let create =
                "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT";
            sqlx::raw_sql(create).execute(conn).await?;
            Ok(0)
        }
        (APPLICATION_ID, _) => {
            let newest = "SELECT coalesce(max(version), 0) FROM schema_version";
            Ok(sqlx::query_scalar(newest).fetch_one(conn).await?)
        }
        _ => Err(StoreError::Foreign { path: path.to_owned() }.into()),
    }
}
