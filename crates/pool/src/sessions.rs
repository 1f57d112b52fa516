//! Sessions and API keys that live, as every call has to know them at once.
//!
//! It follows the durable batches, as the board does. Start at [`Sessions::lives`] for an access token, at
//! [`Sessions::find`] for a key, at [`Sessions::ends`] for whoever looks on for long.
//!
//! Invariant: nothing is decided here; the engine alone decides.

use hivemind_model::rows::{RowChanges, SessionRow};
use hivemind_model::session::SessionKind;
use hivemind_model::{Millis, SessionId, Timestamp, UserId};
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::watch;

/// The use of a key is noted once in this time.
const NOTE_EVERY: Millis = Millis::from_secs(3600);

#[derive(Default)]
struct Inner {
    rows: HashMap<SessionId, Arc<SessionRow>>,
    of_user: BTreeSet<(UserId, SessionId)>,
    /// When the use of keys was last handed to the writer.
    noted: HashMap<SessionId, Timestamp>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Sessions {
    inner: RwLock<Inner>,
    /// Tells that something has ended.
    ends: watch::Sender<()>,
}

impl Sessions {
    /// As the store has them at the start.
    pub(crate) fn recovered(rows: &[SessionRow]) -> Self {
        let mut inner = Inner::default();
        rows.iter().for_each(|row| inner.put(row));
        Self { inner: RwLock::new(inner), ends: watch::Sender::default() }
    }

    /// Takes in a durable batch.
    pub(crate) fn follow(&self, rows: &RowChanges) {
        if rows.sessions.is_empty() && rows.ended_sessions.is_empty() {
            return;
        }
        let mut inner = self.inner.write();
        rows.sessions.iter().for_each(|row| inner.put(row));
        rows.ended_sessions.iter().for_each(|id| inner.end(*id));
        drop(inner);
        if !rows.ended_sessions.is_empty() {
            self.ends.send_replace(());
        }
    }

    /// Told whenever sessions or keys have ended, of whomever.
    pub(crate) fn ends(&self) -> watch::Receiver<()> {
        self.ends.subscribe()
    }

    /// The session or key of that id, whichever of the two it is.
    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<SessionRow>> {
        self.inner.read().rows.get(&id).cloned()
    }

    /// Whether a session of a browser of that user lives.
    pub(crate) fn lives(&self, id: SessionId, user: UserId) -> bool {
        self.inner.read().rows.get(&id).is_some_and(|row| row.user == user && row.kind == SessionKind::Browser)
    }

    /// The session or key of that id.
    pub(crate) fn find(&self, id: SessionId, kind: SessionKind) -> Option<Arc<SessionRow>> {
        self.inner.read().rows.get(&id).filter(|row| row.kind == kind).cloned()
    }

    /// The sessions, or the keys, of a user, oldest first.
    pub(crate) fn of(&self, user: UserId, kind: SessionKind) -> Vec<Arc<SessionRow>> {
        let inner = self.inner.read();
        let all = inner.of_user.range((user, SessionId(0))..=(user, SessionId(u64::MAX)));
        all.filter_map(|(_, id)| inner.rows.get(id)).filter(|row| row.kind == kind).cloned().collect()
    }

    /// Whether the use of a key is to be written down now; true for one caller only.
    pub(crate) fn is_to_be_noted(&self, row: &SessionRow, now: Timestamp) -> bool {
        let late = |last: Timestamp| now.since(last) >= NOTE_EVERY;
        let never = row.used_at == row.created_at;
        if !never && !late(row.used_at) {
            return false;
        }
        let mut inner = self.inner.write();
        if !inner.rows.contains_key(&row.id) || inner.noted.get(&row.id).is_some_and(|last| !late(*last)) {
            return false;
        }
        inner.noted.insert(row.id, now);
        true
    }
}

impl Inner {
    fn put(&mut self, row: &SessionRow) {
        self.of_user.insert((row.user, row.id));
        self.rows.insert(row.id, Arc::new(row.clone()));
    }

    fn end(&mut self, id: SessionId) {
        self.noted.remove(&id);
        if let Some(row) = self.rows.remove(&id) {
            self.of_user.remove(&(row.user, id));
        }
    }
}
