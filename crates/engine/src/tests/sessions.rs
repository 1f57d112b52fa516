//! Sessions and API keys: rotation, reuse, bounds, and what a key may make.

use super::fixture::*;
use hivemind_model::session::{Exchange, Grant, MAX_KEYS, MAX_SESSIONS, REPEAT_WITHIN, SecretHash, SessionKind};
use hivemind_model::*;

const LIFE: Millis = Millis::from_secs(3600);

fn secret(n: u8) -> SecretHash {
    SecretHash([n; 32])
}

fn grant(pool: &Pool, kind: SessionKind) -> Grant {
    let expires_at = pool.now.after(LIFE);
    Grant { kind, about: "Firefox".into(), scopes: Scopes::ALL, secret: secret(1), expires_at, by: None }
}

impl Pool {
    fn open(&mut self, user: &str, grant: Grant) -> Result<SessionId, Rejection> {
        let user = self.user(user);
        match self.run(Command::OpenSession { user, grant })? {
            Reply::SessionOpened { session } => Ok(session),
            other => panic!("{other:?}"),
        }
    }

    fn session(&mut self, user: &str) -> SessionId {
        let grant = grant(self, SessionKind::Browser);
        self.open(user, grant).expect("there is room")
    }

    fn exchange(&mut self, session: SessionId, shown: u8, fresh: u8) -> Result<Exchange, Code> {
        let expires_at = self.now.after(LIFE);
        let command = Command::ExchangeSecret { session, shown: secret(shown), fresh: secret(fresh), expires_at };
        match self.run(command).map_err(|rejection| rejection.code)? {
            Reply::Exchanged { exchange } => Ok(exchange),
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, user: &str, session: SessionId, kind: SessionKind) -> Result<Reply, Rejection> {
        self.run(Command::EndSession { user: self.user(user), session, kind })
    }

    fn lives(&self, session: SessionId) -> bool {
        self.tables.sessions.contains_key(&session)
    }
}

#[test]
fn a_secret_is_exchanged_once_and_its_second_use_ends_the_session() {
    let mut pool = Pool::ready();
    let session = pool.session("anna");
    assert_eq!(pool.exchange(session, 1, 2), Ok(Exchange::Fresh));
    pool.pass(REPEAT_WITHIN.0);
    assert_eq!(pool.exchange(session, 2, 3), Ok(Exchange::Fresh));
    pool.restart();
    pool.pass(REPEAT_WITHIN.0 + 1);
    assert_eq!(pool.exchange(session, 2, 3), Ok(Exchange::Reused));
    assert!(!pool.lives(session));
    assert_eq!(pool.exchange(session, 3, 4), Err(Code::BadCredentials));
}

#[test]
fn an_answer_that_was_lost_can_be_had_again_for_a_minute() {
    let mut pool = Pool::ready();
    let session = pool.session("anna");
    assert_eq!(pool.exchange(session, 1, 2), Ok(Exchange::Fresh));
    pool.restart();
    pool.pass(REPEAT_WITHIN.0);
    assert_eq!(pool.exchange(session, 1, 2), Ok(Exchange::Again));
    // For the same successor only: whoever asks for another one is not who lost the answer.
    assert_eq!(pool.exchange(session, 1, 9), Ok(Exchange::Reused));
    assert!(!pool.lives(session));
}

#[test]
fn a_strange_secret_ends_nobodys_session() {
    let mut pool = Pool::ready();
    let session = pool.session("anna");
    assert_eq!(pool.exchange(session, 7, 8), Err(Code::BadCredentials));
    assert_eq!(pool.exchange(SessionId(99), 1, 2), Err(Code::BadCredentials));
    assert_eq!(pool.exchange(session, 1, 2), Ok(Exchange::Fresh));
    let key = grant(&pool, SessionKind::Key);
    let key = pool.open("anna", key).expect("there is room");
    assert_eq!(pool.exchange(key, 1, 2), Err(Code::BadCredentials), "the secret of a key stays");
}

#[test]
fn what_has_expired_is_forgotten_and_use_puts_it_off() {
    let mut pool = Pool::ready();
    let (idle, used) = (pool.session("anna"), pool.session("anna"));
    pool.pass(LIFE.0 / 2);
    assert_eq!(pool.exchange(used, 1, 2), Ok(Exchange::Fresh));
    assert!(pool.engine.next_due().is_some_and(|due| due <= Timestamp(1_000_000).after(LIFE)));
    // Before any tick, an expired one is refused.
    pool.now = pool.now.after(Millis(LIFE.0 / 2));
    assert_eq!(pool.exchange(idle, 1, 2), Err(Code::BadCredentials));
    pool.pass(0);
    assert!(!pool.lives(idle) && pool.lives(used));
    pool.pass(LIFE.0 / 2);
    assert!(pool.tables.sessions.is_empty());
}

#[test]
fn only_its_user_ends_a_session_and_its_id_never_comes_again() {
    let mut pool = Pool::ready();
    let session = pool.session("anna");
    for (user, id, kind) in [
        ("bert", session, SessionKind::Browser),
        ("anna", session, SessionKind::Key),
        ("anna", SessionId(99), SessionKind::Browser),
    ] {
        assert_eq!(pool.end(user, id, kind).unwrap_err().code, Code::NotFound);
    }
    pool.end("anna", session, SessionKind::Browser).expect("it is hers");
    assert!(!pool.lives(session));
    pool.restart();
    assert!(pool.session("anna") > session);
}

#[test]
fn the_session_that_was_used_longest_ago_makes_room() {
    let mut pool = Pool::ready();
    let first = pool.session("anna");
    let others: Vec<SessionId> = (1..MAX_SESSIONS).map(|_| pool.session("anna")).collect();
    let berts = pool.session("bert");
    pool.pass(1);
    assert_eq!(pool.exchange(first, 1, 2), Ok(Exchange::Fresh));
    pool.session("anna");
    assert!(pool.lives(first) && !pool.lives(others[0]) && pool.lives(others[1]) && pool.lives(berts));
    assert_eq!(pool.tables.sessions.len(), MAX_SESSIONS + 1);
}

#[test]
fn keys_are_refused_above_the_bound_and_never_ended_for_room() {
    let mut pool = Pool::ready();
    let wanted = grant(&pool, SessionKind::Key);
    for _ in 0..MAX_KEYS {
        pool.open("anna", wanted.clone()).expect("there is room");
    }
    assert_eq!(pool.open("anna", wanted.clone()).unwrap_err().code, Code::Busy);
    pool.end("anna", SessionId(1), SessionKind::Key).expect("it is hers");
    let key = pool.open("anna", wanted).expect("there is room again");
    pool.pass(5);
    pool.run(Command::NoteUse { session: key }).expect("always taken");
    assert_eq!(pool.tables.sessions[&key].used_at, pool.now);
    pool.run(Command::NoteUse { session: SessionId(1) }).expect("it has ended, which is no fault");
}

#[test]
fn keys_are_made_by_logins_and_sessions_and_never_by_keys() {
    let mut pool = Pool::ready();
    let session = pool.session("anna");
    let key = grant(&pool, SessionKind::Key);
    let whole = pool.open("anna", Grant { scopes: Scopes::ALL, by: Some(session), ..key.clone() }).expect("she may");
    let poor = Scopes::of(&[Scope::TasksRead]);
    let longer = pool.now.after(Millis(LIFE.0 + 1));
    let by = |by: SessionId, scopes: Scopes| Grant { scopes, by: Some(by), ..key.clone() };
    for (user, wanted, code, field) in [
        ("anna", by(whole, Scopes::ALL), Code::Forbidden, ""),
        ("anna", by(whole, poor), Code::Forbidden, ""),
        ("anna", by(SessionId(99), poor), Code::BadCredentials, ""),
        ("bert", by(session, poor), Code::BadCredentials, ""),
        ("anna", by(session, Scopes::NONE), Code::Invalid, "scopes"),
        ("anna", Grant { about: " ".into(), ..key.clone() }, Code::Invalid, "name"),
        ("anna", Grant { about: "x".repeat(201), ..key.clone() }, Code::Invalid, "name"),
        ("anna", Grant { about: "a\nb".into(), ..key.clone() }, Code::Invalid, "name"),
        ("anna", Grant { about: "a\u{202e}b".into(), ..key.clone() }, Code::Invalid, "name"),
        ("anna", Grant { expires_at: pool.now, ..key.clone() }, Code::Invalid, "valid_seconds"),
    ] {
        let refused = pool.open(user, wanted.clone()).unwrap_err();
        assert_eq!((refused.code, refused.field.as_str()), (code, field), "{wanted:?}");
    }
    pool.open("anna", Grant { expires_at: longer, ..by(session, poor) })
        .expect("a session goes on as long as it is used");
}
