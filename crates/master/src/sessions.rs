//! Who is logged in by a cookie.
//!
//! The cookie is a random word; the pool's token stays here, under the digest of that word. Start at [`Sessions::open`].
//!
//! Invariant: neither a cookie nor a token is written anywhere, and how many are kept is bounded.

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;

/// Logins that are kept; above it those that ended go, then the one that was used longest ago.
const MOST: usize = 50_000;
/// Logins of one user; above it the one that was used longest ago goes.
const MOST_OF_ONE: usize = 32;

/// The digest of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Of a cookie.
    pub(crate) fn of(cookie: &str) -> Self {
        Self(Sha256::digest(cookie.as_bytes()).into())
    }
}

/// A login.
#[derive(Clone)]
pub(crate) struct Session {
    /// The pool's token.
    pub(crate) token: String,
    /// Which of the pool's sessions it is.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) user_id: String,
    /// When the token ends.
    pub(crate) expires_at_ms: i64,
}

struct Kept {
    session: Session,
    used: u64,
}

#[derive(Default)]
struct Table {
    kept: HashMap<Key, Kept>,
    /// Grows with each use, so that it orders them.
    uses: u64,
}

/// Ends that somebody who waits for one may miss; they look for themselves then.
const MOST_ENDS: usize = 64;

/// All logins by cookies.
pub(crate) struct Sessions {
    table: Mutex<Table>,
    ends: broadcast::Sender<Arc<str>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { table: Mutex::default(), ends: broadcast::Sender::new(MOST_ENDS) }
    }
}

impl Sessions {
    /// Keeps a login and gives its cookie.
    pub(crate) fn open(&self, session: Session) -> String {
        let cookie = hivemind_http::browser::new_secret();
        let mut table = self.table.lock();
        table.make_room(&session.user_id);
        table.uses += 1;
        let used = table.uses;
        table.kept.insert(Key::of(&cookie), Kept { session, used });
        cookie
    }

    /// The login of a cookie; `None` where there is none, or it has ended.
    pub(crate) fn find(&self, key: &Key) -> Option<Session> {
        let mut table = self.table.lock();
        table.uses += 1;
        let used = table.uses;
        let kept = table.kept.get_mut(key)?;
        if kept.session.expires_at_ms <= now_ms() {
            table.kept.remove(key);
            return None;
        }
        kept.used = used;
        Some(kept.session.clone())
    }

    /// The newest token of one of the pool's sessions; `None` where all its logins have ended.
    pub(crate) fn token_of(&self, id: &str) -> Option<String> {
        let table = self.table.lock();
        let now = now_ms();
        let open = table.kept.values().map(|kept| &kept.session);
        let open = open.filter(|session| session.id == id && session.expires_at_ms > now);
        open.max_by_key(|session| session.expires_at_ms).map(|session| session.token.clone())
    }

    /// How many are kept, those that ended and were not asked for since included.
    pub(crate) fn count(&self) -> usize {
        self.table.lock().kept.len()
    }

    /// Forgets the logins of one of the pool's sessions, and tells who waits for its end.
    pub(crate) fn close(&self, id: &str) {
        self.table.lock().kept.retain(|_, kept| kept.session.id != id);
        // Nobody may wait.
        let _ = self.ends.send(id.into());
    }

    /// The ids of the pool's sessions that are closed here from now on.
    pub(crate) fn ends(&self) -> broadcast::Receiver<Arc<str>> {
        self.ends.subscribe()
    }
}

impl Table {
    fn make_room(&mut self, user_id: &str) {
        let of_one: Vec<(u64, Key)> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.session.user_id == user_id)
            .map(|(key, kept)| (kept.used, *key))
            .collect();
        if of_one.len() >= MOST_OF_ONE
            && let Some((_, key)) = of_one.iter().min()
        {
            self.kept.remove(key);
        }
        if self.kept.len() < MOST {
            return;
        }
        let now = now_ms();
        self.kept.retain(|_, kept| kept.session.expires_at_ms > now);
        if self.kept.len() >= MOST
            && let Some(key) = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key)
        {
            self.kept.remove(&key);
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(user: &str, expires_at_ms: i64) -> Session {
        Session { id: "sess_1".into(), token: "t".into(), user_id: user.into(), expires_at_ms }
    }

    #[test]
    fn a_login_is_found_by_its_cookie_until_it_ends() {
        let sessions = Sessions::default();
        let cookie = sessions.open(session("user_1", i64::MAX));
        assert!(sessions.find(&Key::of(&cookie)).is_some());
        assert!(sessions.find(&Key::of("another")).is_none());
        sessions.close("sess_1");
        assert!(sessions.find(&Key::of(&cookie)).is_none());
        let ended = sessions.open(session("user_1", 0));
        assert!(sessions.find(&Key::of(&ended)).is_none());
    }

    #[test]
    fn one_user_pushes_out_only_their_own_logins() {
        let sessions = Sessions::default();
        let other = sessions.open(session("user_2", i64::MAX));
        let first = sessions.open(session("user_1", i64::MAX));
        let all: Vec<String> = (0..MOST_OF_ONE).map(|_| sessions.open(session("user_1", i64::MAX))).collect();
        assert!(sessions.find(&Key::of(&first)).is_none(), "it was used longest ago");
        assert!(all.iter().all(|cookie| sessions.find(&Key::of(cookie)).is_some()));
        assert!(sessions.find(&Key::of(&other)).is_some());
    }
}
