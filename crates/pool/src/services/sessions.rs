//! Sessions of browsers and API keys: opening, refreshing, listing, ending.
//!
//! Start at [`open`] and [`refresh`]; what a secret's second use means is the engine's to say.
//!
//! Invariant: a secret is told once, to whoever it was made for.

use super::auth::{signing_fault, user_of};
use super::wrong_reply;
use crate::secrets::{self, Secret, Shown};
use crate::shared::{Shared, address};
use crate::status;
use crate::tokens::Caller;
use crate::writer::Refused;
use hivemind_model::ids::KeyId;
use hivemind_model::rows::{Role, SessionRow, UserRow};
use hivemind_model::session::{Exchange, Grant, MAX_ABOUT_BYTES, SessionKind};
use hivemind_model::text::is_unseen;
use hivemind_model::{Code, Command, Millis, Rejection, Reply, Scope, Scopes, SessionId, Timestamp};
use hivemind_proto::v1::{
    CreateKeyRequest, CreateKeyResponse, EndSessionRequest, KeySummary, OpenSessionRequest, RefreshSessionRequest,
    RevokeKeyRequest, SessionResponse, SessionSummary,
};
use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;
use tonic::{Request, Status};
use zeroize::Zeroizing;

/// How long a session goes on after its last use.
const SESSION_LIFE: Millis = Millis::from_secs(30 * 86_400);
/// Longest life of what a user makes, in seconds: a year.
const MAX_SECONDS: u64 = 31_536_000;
/// Life of a key where none is named, in seconds: 90 days.
const KEY_SECONDS: u64 = 7_776_000;

/// Opens a session for somebody who knows the password.
pub(super) async fn open(
    shared: &Arc<Shared>,
    request: Request<OpenSessionRequest>,
) -> Result<SessionResponse, Status> {
    let from = address(&request);
    let OpenSessionRequest { username, password, about } = request.into_inner();
    let user = user_of(shared, &username, Zeroizing::new(password), from).await?;
    let user = user.map_err(|rejection| status::rejected(&rejection))?;
    let (secret, expires_at) = (secrets::make(), shared.clock.now().after(SESSION_LIFE));
    let grant = Grant {
        kind: SessionKind::Browser,
        about: cut(&about),
        scopes: Scopes::ALL,
        secret: secrets::hash(&secret),
        expires_at,
        by: None,
    };
    let session = grant_it(shared, &user, grant).await?;
    answer(shared, &user, session, &secret, expires_at)
}

/// Exchanges a refresh token.
pub(super) async fn refresh(
    shared: &Arc<Shared>,
    request: Request<RefreshSessionRequest>,
) -> Result<SessionResponse, Status> {
    let from = address(&request);
    let text = Zeroizing::new(request.into_inner().refresh_token);
    let known = secrets::read_refresh(&text)
        .and_then(|shown| shared.live.sessions.find(shown.id, SessionKind::Browser).map(|row| (shown, row)));
    let Some((shown, row)) = known else { return Err(unknown(shared, from)) };
    let fresh = shared.chain.after(&shown);
    let command = Command::ExchangeSecret {
        session: shown.id,
        shown: secrets::hash(&shown.secret),
        fresh: secrets::hash(&fresh),
        expires_at: shared.clock.now().after(SESSION_LIFE),
    };
    let exchange = match shared.writer.apply(command).await {
        Ok(Reply::Exchanged { exchange }) => exchange,
        Ok(other) => return Err(wrong_reply(&other)),
        Err(Refused::Rejected(rejection)) if rejection.code == Code::BadCredentials => {
            let refusal = unknown(shared, from);
            // Whoever tries many is not given the work of a look at what came before.
            if refusal.code() == tonic::Code::Unauthenticated && is_long_gone(shared, shown).await? {
                end(shared, &row).await?;
                return Err(reused(&row));
            }
            return Err(refusal);
        }
        Err(refused) => return Err(status::refused(&refused)),
    };
    match exchange {
        Exchange::Fresh | Exchange::Again => {
            let user = shared.store.user(row.user).await.map_err(|error| status::store(&error))?;
            let user =
                user.ok_or_else(|| Status::internal("E_INTERNAL: the user of a session is not there, which is a bug"))?;
            // It may have ended meanwhile.
            let row = shared.live.sessions.find(row.id, SessionKind::Browser);
            let row = row.ok_or_else(|| status::unauthenticated("the session has ended; log in again"))?;
            answer(shared, &user, row.id, &fresh, row.expires_at)
        }
        Exchange::Reused => Err(reused(&row)),
    }
}

/// Whether what was shown came before the newest secret of its session, further back than the engine remembers.
async fn is_long_gone(shared: &Arc<Shared>, shown: Shown) -> Result<bool, Status> {
    let Some(row) = shared.live.sessions.find(shown.id, SessionKind::Browser) else { return Ok(false) };
    let shared = shared.clone();
    let looked = tokio::task::spawn_blocking(move || shared.chain.is_before(&shown, row.secret)).await;
    looked.map_err(|error| {
        tracing::error!(%error, "a refresh token could not be looked at");
        Status::internal(
            "E_INTERNAL: the pool could not look at the refresh token; its operator finds the cause in the log",
        )
    })
}

/// The refusal of a refresh token that is nobody's newest; too many of them from one address are told so.
fn unknown(shared: &Shared, from: IpAddr) -> Status {
    match shared.auth.wrong_secret(from) {
        Ok(()) => status::unauthenticated("the refresh token is not the newest of a session that lives; log in again"),
        Err(rejection) => status::rejected(&rejection),
    }
}

fn reused(row: &SessionRow) -> Status {
    tracing::warn!(session = %row.id, user = %row.user, "a refresh token was used a second time; its session has ended");
    status::unauthenticated(
        "this refresh token was used before, so two have it; the session has ended; log in again, and change what could \
         have been copied",
    )
}

/// Ends a session of the caller.
pub(super) async fn end_session(shared: &Shared, caller: &Caller, request: &EndSessionRequest) -> Result<(), Status> {
    let refused = |rejection: Rejection| status::rejected(&rejection);
    let session = match request.session_id.as_str() {
        "" => caller.session.ok_or_else(|| {
            refused(Rejection::invalid("session_id", "is missing, and the token is not that of a session"))
        })?,
        text => text.parse().map_err(|bad| refused(Rejection::invalid("session_id", bad)))?,
    };
    let command = Command::EndSession { user: caller.id, session, kind: SessionKind::Browser };
    shared.writer.apply(command).await.map(drop).map_err(|refusal| status::refused(&refusal))
}

/// Ends a key of the caller.
pub(super) async fn revoke_key(shared: &Shared, caller: &Caller, request: &RevokeKeyRequest) -> Result<(), Status> {
    let id: KeyId = request.key_id.parse().map_err(|bad| status::rejected(&Rejection::invalid("key_id", bad)))?;
    let command = Command::EndSession { user: caller.id, session: SessionId(id.0), kind: SessionKind::Key };
    shared.writer.apply(command).await.map(drop).map_err(|refusal| status::refused(&refusal))
}

async fn end(shared: &Shared, row: &SessionRow) -> Result<(), Status> {
    let command = Command::EndSession { user: row.user, session: row.id, kind: row.kind };
    match shared.writer.apply(command).await {
        Ok(_) => Ok(()),
        Err(Refused::Rejected(rejection)) if rejection.code == Code::NotFound => Ok(()),
        Err(refused) => Err(status::refused(&refused)),
    }
}

/// Makes an API key.
pub(super) async fn create_key(
    shared: &Arc<Shared>,
    caller: &Caller,
    request: CreateKeyRequest,
) -> Result<CreateKeyResponse, Status> {
    let refused = |rejection: Rejection| status::rejected(&rejection);
    let scopes = scopes(&request.scopes).map_err(refused)?;
    let life = life(request.valid_seconds, KEY_SECONDS).map_err(refused)?;
    let expires_at = shared.clock.now().after(life);
    let user = shared.store.user(caller.id).await.map_err(|error| status::store(&error))?;
    let user = user.ok_or_else(|| status::unauthenticated("the user of this token is not known; log in again"))?;
    let secret = secrets::make();
    let grant = Grant {
        kind: SessionKind::Key,
        about: request.name.clone(),
        scopes,
        secret: secrets::hash(&secret),
        expires_at,
        by: caller.session,
    };
    let id = grant_it(shared, &user, grant).await?;
    Ok(CreateKeyResponse {
        key_id: KeyId(id.0).to_string(),
        key: secrets::key(id, &secret),
        name: request.name,
        scopes: words(scopes),
        expires_at_unix_ms: expires_at.0,
    })
}

async fn grant_it(shared: &Shared, user: &UserRow, grant: Grant) -> Result<SessionId, Status> {
    match shared.writer.apply(Command::OpenSession { user: user.id, grant }).await {
        Ok(Reply::SessionOpened { session }) => Ok(session),
        Ok(other) => Err(wrong_reply(&other)),
        Err(refused) => Err(status::refused(&refused)),
    }
}

fn answer(
    shared: &Shared,
    user: &UserRow,
    session: SessionId,
    secret: &Secret,
    expires_at: Timestamp,
) -> Result<SessionResponse, Status> {
    let issued = shared.tokens.issue_access(user, session).map_err(|error| signing_fault(&error))?;
    Ok(SessionResponse {
        access_token: issued.token,
        access_expires_at_unix_ms: issued.expires_at.0,
        refresh_token: secrets::refresh(session, secret),
        refresh_expires_at_unix_ms: expires_at.0,
        session_id: session.to_string(),
        username: user.username.clone(),
        user_id: user.id.to_string(),
        role: role_word(user.role).into(),
    })
}

/// The sessions of the caller, used last first.
pub(super) fn list(shared: &Shared, caller: &Caller) -> Vec<SessionSummary> {
    let mut rows = shared.live.sessions.of(caller.id, SessionKind::Browser);
    rows.sort_by_key(|row| Reverse((row.used_at, row.id)));
    let summary = |row: Arc<SessionRow>| SessionSummary {
        session_id: row.id.to_string(),
        about: row.about.clone(),
        created_at_unix_ms: row.created_at.0,
        used_at_unix_ms: row.used_at.0,
        expires_at_unix_ms: row.expires_at.0,
        current: caller.session == Some(row.id),
    };
    rows.into_iter().map(summary).collect()
}

/// The keys of the caller, newest first.
pub(super) fn list_keys(shared: &Shared, caller: &Caller) -> Vec<KeySummary> {
    let rows = shared.live.sessions.of(caller.id, SessionKind::Key);
    let summary = |row: Arc<SessionRow>| KeySummary {
        key_id: KeyId(row.id.0).to_string(),
        name: row.about.clone(),
        scopes: words(row.scopes),
        created_at_unix_ms: row.created_at.0,
        used_at_unix_ms: if row.used_at == row.created_at { 0 } else { row.used_at.0 },
        expires_at_unix_ms: row.expires_at.0,
    };
    rows.into_iter().rev().map(summary).collect()
}

/// The word for a role on the wire.
pub(super) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Operator => "operator",
    }
}

/// How long something that a user makes is to live: `given` seconds, or `default` where that is zero.
pub(super) fn life(given: i64, default: u64) -> Result<Millis, Rejection> {
    match u64::try_from(given) {
        Ok(0) => Ok(Millis::from_secs(default)),
        Ok(seconds) if seconds <= MAX_SECONDS => Ok(Millis::from_secs(seconds)),
        Ok(_) | Err(_) => Err(Rejection::invalid("valid_seconds", format!("{given} is outside 1 to {MAX_SECONDS}"))),
    }
}

fn scopes(given: &[String]) -> Result<Scopes, Rejection> {
    given.iter().try_fold(Scopes::NONE, |all, word| {
        Scope::parse(word).map(|scope| all.with(scope)).ok_or_else(|| {
            let shown: String = word.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect();
            Rejection::invalid("scopes", format!("`{shown}` is none; there are {}", words(Scopes::ALL).join(", ")))
        })
    })
}

fn words(scopes: Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

/// What a browser says of itself, fit to be kept and shown.
fn cut(about: &str) -> String {
    let mut kept = String::new();
    for c in about.chars().map(|c| if is_unseen(c) { '?' } else { c }) {
        if kept.len() + c.len_utf8() > MAX_ABOUT_BYTES {
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_says_is_cut_between_characters() {
        assert_eq!(cut("Firefox\n5\u{202e}"), "Firefox?5?");
        assert_eq!(cut(&"x".repeat(300)).len(), MAX_ABOUT_BYTES);
        assert_eq!(cut(&"\u{1F41D}".repeat(99)).chars().count(), MAX_ABOUT_BYTES / 4);
        assert_eq!(cut(&format!("x{}", "\u{1F41D}".repeat(99))).len(), MAX_ABOUT_BYTES - 3);
    }

    #[test]
    fn lives_and_scopes_are_bounded() {
        assert_eq!(life(0, 60), Ok(Millis::from_secs(60)));
        assert_eq!(life(31_536_000, 60), Ok(Millis::from_secs(MAX_SECONDS)));
        assert_eq!(life(-1, 60).unwrap_err().field, "valid_seconds");
        assert_eq!(life(31_536_001, 60).unwrap_err().field, "valid_seconds");
        assert_eq!(scopes(&["pool".into(), "account".into()]).map(words), Ok(vec!["account".into(), "pool".into()]));
        let unknown = scopes(&["tasks".into()]).unwrap_err();
        assert!(unknown.text.contains("`tasks` is none; there are tasks:read, tasks:write"), "{unknown}");
    }
}
