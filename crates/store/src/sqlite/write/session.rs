//! Sessions and API keys.
//!
//! Start at [`write`].
//!
//! Invariant: what has ended leaves no row.

use super::super::bulk::{Bulk, Values};
use super::super::fault::Fault;
use hivemind_model::SessionId;
use hivemind_model::rows::{RowChanges, SessionRow};
use sqlx::SqliteConnection;

/// How many [`Bulk`]s there are below.
pub(super) const BULKS: usize = 2;

static SESSIONS: Bulk = Bulk::new(
    "sessions",
    11,
    "INSERT INTO sessions (id, user_id, kind, about, scopes, secret, previous, created_at, exchanged_at, used_at,
     expires_at) VALUES",
    "ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id, kind = excluded.kind, about = excluded.about,
     scopes = excluded.scopes, secret = excluded.secret, previous = excluded.previous,
     created_at = excluded.created_at, exchanged_at = excluded.exchanged_at, used_at = excluded.used_at,
     expires_at = excluded.expires_at",
);

static ENDED_SESSIONS: Bulk = Bulk::new("sessions", 1, "DELETE FROM sessions WHERE id IN (VALUES", ")");

/// Writes what a batch changed of it.
pub(super) async fn write(conn: &mut SqliteConnection, rows: &RowChanges) -> Result<(), Fault> {
    SESSIONS.run(conn, &rows.sessions, session).await?;
    // One that was opened and ended in the same batch was never there.
    ENDED_SESSIONS.run_any(conn, &rows.ended_sessions, ended_session).await?;
    Ok(())
}

fn session(values: &mut Values, row: &SessionRow) -> Result<(), Fault> {
    values
        .number(row.id.0)?
        .number(row.user.0)?
        .put(row.kind.as_str())?
        .put(row.about.as_str())?
        .put(row.scopes.to_string())?
        .put(row.secret.0.as_slice())?
        .put(row.previous.as_ref().map(|previous| previous.0.as_slice()))?
        .put(row.created_at.0)?
        .put(row.exchanged_at.0)?
        .put(row.used_at.0)?
        .put(row.expires_at.0)?;
    Ok(())
}

fn ended_session(values: &mut Values, id: &SessionId) -> Result<(), Fault> {
    values.number(id.0)?;
    Ok(())
}
