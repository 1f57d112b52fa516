//! Sessions of browsers and API keys: how they begin, how their secrets change, how they end.
//!
//! A secret that was exchanged and is shown again means that two have it: the session ends. Only within a
//! minute it may be shown once more for the very same successor, by somebody who did not get the answer.
//! Start at [`Engine::open_session`] and [`Engine::exchange_secret`].
//!
//! Invariant: what has ended is forgotten at once; only digests of secrets come here.

use crate::check::ensure;
use crate::meter::MAX_PER_TICK;
use crate::{Engine, Violation};
use hivemind_model::ids::{KeyId, SessionId};
use hivemind_model::rows::SessionRow;
use hivemind_model::session::{
    Exchange, Grant, MAX_ABOUT_BYTES, MAX_KEYS, MAX_SESSIONS, REPEAT_WITHIN, SecretHash, SessionKind,
};
use hivemind_model::text::is_unseen;
use hivemind_model::{Code, Rejection, Reply, Timestamp, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// Sessions and keys that live.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    rows: BTreeMap<SessionId, SessionRow>,
    of_user: BTreeSet<(UserId, SessionKind, SessionId)>,
    expiry: BTreeSet<(Timestamp, SessionId)>,
}

impl Sessions {
    /// Puts a row in, new or changed; false where it was there before.
    fn insert(&mut self, row: SessionRow) -> bool {
        let before = self.remove(row.id);
        self.of_user.insert((row.user, row.kind, row.id));
        self.expiry.insert((row.expires_at, row.id));
        self.rows.insert(row.id, row);
        !before
    }

    fn remove(&mut self, id: SessionId) -> bool {
        let Some(row) = self.rows.remove(&id) else { return false };
        self.of_user.remove(&(row.user, row.kind, id));
        self.expiry.remove(&(row.expires_at, id));
        true
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&SessionRow> {
        self.rows.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SessionRow> {
        self.rows.values()
    }

    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiry.first().map(|(at, _)| *at)
    }

    /// The sessions, or the keys, of a user.
    fn of(&self, user: UserId, kind: SessionKind) -> impl Iterator<Item = &SessionRow> {
        let (first, last) = ((user, kind, SessionId(0)), (user, kind, SessionId(u64::MAX)));
        self.of_user.range(first..=last).filter_map(|(_, _, id)| self.rows.get(id))
    }
}

impl Engine {
    /// Opens a session, or makes a key.
    pub(crate) fn open_session(&mut self, user: UserId, grant: Grant, now: Timestamp) -> Result<Reply, Rejection> {
        self.user(user)?;
        check_grant(&grant, now)?;
        self.check_maker(user, &grant, now)?;
        self.make_room(user, grant.kind)?;
        let id = SessionId(self.counters.session);
        self.counters.session += 1;
        self.pending.counters_moved = true;
        self.put_session(SessionRow {
            id,
            user,
            kind: grant.kind,
            about: grant.about,
            scopes: grant.scopes,
            secret: grant.secret,
            previous: None,
            created_at: now,
            exchanged_at: now,
            used_at: now,
            expires_at: grant.expires_at,
        });
        Ok(Reply::SessionOpened { session: id })
    }

    /// No key makes keys: who revokes one has ended all that came of it.
    fn check_maker(&self, user: UserId, grant: &Grant, now: Timestamp) -> Result<(), Rejection> {
        let Some(by) = grant.by else { return Ok(()) };
        let maker = self.sessions.get(by).filter(|row| row.user == user && row.expires_at > now);
        let maker = maker.ok_or_else(|| {
            Rejection::new(Code::BadCredentials, "the session or key that asks for this has ended; log in again")
        })?;
        match maker.kind {
            SessionKind::Browser => Ok(()),
            SessionKind::Key => Err(Rejection::new(
                Code::Forbidden,
                "an API key makes no keys: they would outlive it when it is revoked; log in to make one",
            )),
        }
    }

    /// A session more ends the one that was used longest ago where there are too many; keys are never ended so.
    fn make_room(&mut self, user: UserId, kind: SessionKind) -> Result<(), Rejection> {
        match kind {
            SessionKind::Key if self.sessions.of(user, kind).count() >= MAX_KEYS => Err(Rejection::new(
                Code::Busy,
                format!("you have {MAX_KEYS} API keys, which is the most; revoke one first"),
            )),
            SessionKind::Browser if self.sessions.of(user, kind).count() >= MAX_SESSIONS => {
                let oldest = self.sessions.of(user, kind).min_by_key(|row| (row.used_at, row.id)).map(|row| row.id);
                oldest.into_iter().for_each(|id| self.drop_session(id));
                Ok(())
            }
            SessionKind::Key | SessionKind::Browser => Ok(()),
        }
    }

    /// Exchanges the secret of a session for its successor.
    pub(crate) fn exchange_secret(
        &mut self,
        session: SessionId,
        shown: SecretHash,
        fresh: SecretHash,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let known = self.sessions.get(session).filter(|row| row.kind == SessionKind::Browser && row.expires_at > now);
        let Some(row) = known else { return Err(no_session()) };
        let is_current = row.secret == shown;
        let was_current = row.previous == Some(shown);
        let is_repeated = row.secret == fresh && now <= row.exchanged_at.after(REPEAT_WITHIN);
        let exchange = match (is_current, was_current) {
            (true, _) => {
                let previous = Some(row.secret);
                let next = SessionRow {
                    secret: fresh,
                    previous,
                    exchanged_at: now,
                    used_at: now,
                    expires_at: expires_at.max(row.expires_at),
                    ..row.clone()
                };
                self.put_session(next);
                Exchange::Fresh
            }
            (false, true) if is_repeated => Exchange::Again,
            (false, true) => {
                self.drop_session(session);
                Exchange::Reused
            }
            (false, false) => return Err(no_session()),
        };
        Ok(Reply::Exchanged { exchange })
    }

    /// Ends a session or a key of the user.
    pub(crate) fn end_session(&mut self, user: UserId, id: SessionId, kind: SessionKind) -> Result<Reply, Rejection> {
        if !self.sessions.get(id).is_some_and(|row| row.user == user && row.kind == kind) {
            return Err(match kind {
                SessionKind::Browser => Rejection::not_found(id),
                SessionKind::Key => Rejection::not_found(KeyId(id.0)),
            });
        }
        self.drop_session(id);
        Ok(Reply::Done)
    }

    /// Notes that a key was used. One that has ended meanwhile is no fault.
    pub(crate) fn note_use(&mut self, id: SessionId, now: Timestamp) {
        if let Some(row) = self.sessions.get(id).filter(|row| row.used_at < now) {
            self.put_session(SessionRow { used_at: now, ..row.clone() });
        }
    }

    /// Forgets what has expired, a bounded part of it.
    pub(crate) fn expire_sessions(&mut self, now: Timestamp) {
        for _ in 0..MAX_PER_TICK {
            let Some(&(_, id)) = self.sessions.expiry.first().filter(|(at, _)| *at <= now) else { break };
            self.drop_session(id);
        }
    }

    fn put_session(&mut self, row: SessionRow) {
        self.pending.sessions.insert(row.id);
        self.sessions.insert(row);
    }

    fn drop_session(&mut self, id: SessionId) {
        if self.sessions.remove(id) {
            self.pending.sessions.insert(id);
        }
    }

    pub(crate) fn restore_sessions(&mut self, rows: Vec<SessionRow>) -> Result<(), Violation> {
        for row in rows {
            let id = row.id;
            ensure(
                self.users.contains_key(&row.user),
                "T2",
                format_args!("{id} belongs to {}, who is nobody", row.user),
            )?;
            ensure(id.0 < self.counters.session, "T2", format_args!("{id} was never given"))?;
            ensure(self.sessions.insert(row), "T2", format_args!("{id} is stored twice"))?;
        }
        Ok(())
    }

    /// The indexes hold what there is, and nobody has too many.
    pub(crate) fn check_sessions(&self) -> Result<(), Violation> {
        let mut counts: BTreeMap<(UserId, SessionKind), usize> = BTreeMap::new();
        for row in self.sessions.iter() {
            *counts.entry((row.user, row.kind)).or_default() += 1;
            let found = self.sessions.of_user.contains(&(row.user, row.kind, row.id))
                && self.sessions.expiry.contains(&(row.expires_at, row.id));
            ensure(found, "T2", format_args!("{} is not found by its user or its end", row.id))?;
        }
        let (all, users, ends) = (self.sessions.rows.len(), self.sessions.of_user.len(), self.sessions.expiry.len());
        ensure(all == users && all == ends, "T2", "a session is found that has ended")?;
        for ((user, kind), count) in counts {
            let most = match kind {
                SessionKind::Browser => MAX_SESSIONS,
                SessionKind::Key => MAX_KEYS,
            };
            ensure(count <= most, "T2", format_args!("{user} has {count} of the kind {}", kind.as_str()))?;
        }
        Ok(())
    }
}

/// The same for a session that never was, has ended, or has another secret.
fn no_session() -> Rejection {
    Rejection::new(Code::BadCredentials, "the refresh token is not the newest of a session that lives; log in again")
}

fn check_grant(grant: &Grant, now: Timestamp) -> Result<(), Rejection> {
    let field = match grant.kind {
        SessionKind::Browser => "about",
        SessionKind::Key => "name",
    };
    if grant.about.len() > MAX_ABOUT_BYTES {
        return Err(Rejection::invalid(field, format!("is longer than {MAX_ABOUT_BYTES} bytes")));
    }
    if grant.about.chars().any(is_unseen) {
        return Err(Rejection::invalid(field, "contains a control character, or one that hides or turns around text"));
    }
    if grant.kind == SessionKind::Key && grant.about.trim().is_empty() {
        return Err(Rejection::invalid(field, "is missing; say what the key is for, so that you know it again"));
    }
    if grant.scopes.is_empty() {
        return Err(Rejection::invalid("scopes", "are missing; name at least one, or the key could do nothing"));
    }
    if grant.expires_at <= now {
        return Err(Rejection::invalid("valid_seconds", "ends in the past"));
    }
    Ok(())
}
