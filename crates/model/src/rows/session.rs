//! Sessions and API keys.
//!
//! Invariant: no secret is in a row, only digests.

use crate::ids::{SessionId, UserId};
use crate::session::{Scopes, SecretHash, SessionKind};
use crate::units::Timestamp;

/// A session or an API key that lives. One that has ended has no row, and its id never comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Given when it was opened.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Which of the two.
    pub kind: SessionKind,
    /// Of a session what its browser says it is, of a key its name.
    pub about: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// The digest of its current secret.
    pub secret: SecretHash,
    /// The digest of the secret before; `None` where it was never exchanged.
    pub previous: Option<SecretHash>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When its secret was exchanged last; when it was opened, where never.
    pub exchanged_at: Timestamp,
    /// When it was used last; of a key to the hour.
    pub used_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}
