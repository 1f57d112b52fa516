//! API keys and sessions.
//!
//! Invariant: no secret is here; what browsers say of themselves reaches the terminal only through a cell.

use super::moment;
use crate::face::table::{Align, Rows};
use crate::face::{Document, Look};
use hivemind_proto::v1::{KeySummary, SessionSummary};
use serde::Serialize;

/// One API key.
#[derive(Debug, Clone, Serialize)]
pub struct Key {
    /// Its id.
    pub key_id: String,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339, to the hour; nothing where it was never used.
    pub used_at: Option<String>,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// For people: when it was used, and when it ends.
    #[serde(skip)]
    pub times: (i64, i64),
}

impl From<KeySummary> for Key {
    fn from(key: KeySummary) -> Self {
        Self {
            key_id: key.key_id,
            name: key.name,
            scopes: key.scopes,
            created_at: moment(key.created_at_unix_ms),
            used_at: moment(key.used_at_unix_ms),
            expires_at: moment(key.expires_at_unix_ms),
            times: (key.used_at_unix_ms, key.expires_at_unix_ms),
        }
    }
}

/// API keys, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct Keys {
    /// One entry a key.
    pub keys: Vec<Key>,
}

impl Document for Keys {
    const SCHEMA: &'static str = "hivemind.keys/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 5] = [
            ("KEY", Align::Left),
            ("NAME", Align::Left),
            ("USED", Align::Left),
            ("EXPIRES", Align::Left),
            ("SCOPES", Align::Left),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for key in &self.keys {
            let used = if key.times.0 == 0 { "never".to_owned() } else { look.moment(key.times.0) };
            rows.add(&[key.key_id.clone(), key.name.clone(), used, look.moment(key.times.1), key.scopes.join(" ")]);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.keys.iter().map(|key| key.key_id.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// One session of a browser.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// Its id.
    pub session_id: String,
    /// What its browser said it is.
    pub about: String,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub used_at: Option<String>,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// For people: when it was opened, used, and when it ends.
    #[serde(skip)]
    pub times: (i64, i64, i64),
}

impl From<SessionSummary> for Session {
    fn from(session: SessionSummary) -> Self {
        Self {
            session_id: session.session_id,
            about: session.about,
            created_at: moment(session.created_at_unix_ms),
            used_at: moment(session.used_at_unix_ms),
            expires_at: moment(session.expires_at_unix_ms),
            times: (session.created_at_unix_ms, session.used_at_unix_ms, session.expires_at_unix_ms),
        }
    }
}

/// Sessions of browsers, used last first.
#[derive(Debug, Clone, Serialize)]
pub struct Sessions {
    /// One entry a session.
    pub sessions: Vec<Session>,
}

impl Document for Sessions {
    const SCHEMA: &'static str = "hivemind.sessions/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 5] = [
            ("SESSION", Align::Left),
            ("OPENED", Align::Left),
            ("USED", Align::Left),
            ("EXPIRES", Align::Left),
            ("ABOUT", Align::Left),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for session in &self.sessions {
            let (opened, used, expires) = session.times;
            rows.add(&[
                session.session_id.clone(),
                look.moment(opened),
                look.moment(used),
                look.moment(expires),
                session.about.clone(),
            ]);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.sessions.iter().map(|session| session.session_id.as_str()).collect::<Vec<_>>().join("\n")
    }
}
