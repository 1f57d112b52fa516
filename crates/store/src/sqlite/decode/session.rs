//! Sessions and API keys.
//!
//! Invariant: a scope or a kind that this program does not know is damage, not less than nothing.

use super::{Columns, FromColumns};
use crate::StoreError;
use hivemind_model::rows::SessionRow;
use hivemind_model::session::{Scopes, SecretHash, SessionKind};
use hivemind_model::{SessionId, UserId};

impl FromColumns for SessionRow {
    const TABLE: &'static str = "sessions";

    fn read(columns: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: SessionId(columns.number()?),
            user: UserId(columns.number()?),
            kind: SessionKind::parse(columns.take()?).ok_or_else(|| columns.damaged("is not a kind of session"))?,
            about: columns.take()?,
            scopes: Scopes::parse(columns.take()?).ok_or_else(|| columns.damaged("has what is not a scope"))?,
            secret: SecretHash(columns.hash()?),
            previous: columns.optional_hash()?.map(SecretHash),
            created_at: columns.time()?,
            exchanged_at: columns.time()?,
            used_at: columns.time()?,
            expires_at: columns.time()?,
        })
    }
}
