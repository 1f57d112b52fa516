//! `keys` and `sessions`: what else than the login lets you be known.
//!
//! Invariant: a new key is printed alone, so that a script can keep it, and nowhere else.

use super::Context;
use crate::args::{KeysVerb, SessionsVerb};
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::show::access::{Key, Keys, Session, Sessions};
use crate::show::{Said, Word, moment};
use serde_json::json;
use std::time::Duration;

/// Longest life of a key.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Does what was asked with API keys.
///
/// # Errors
/// There is no such key, the login may not, nobody is logged in, or the pool does not answer.
pub async fn keys(ctx: &mut Context, verb: &KeysVerb) -> Done {
    match verb {
        KeysVerb::Create { name, scopes, valid } => create(ctx, name, scopes, *valid).await,
        KeysVerb::List => list_keys(ctx).await,
        KeysVerb::Revoke { key } => {
            let revoked = ctx.user().await?.revoke_key(key).await.map_err(Failure::from);
            revoked.map_err(|failure| known_by(failure, "`hivemind keys list` shows the ids of your keys"))?;
            ctx.face.show(&Said::new(format!("{key} is revoked"), json!({"key_id": key, "revoked": true})))?;
            Ok(Exit::Ok)
        }
    }
}

async fn create(ctx: &mut Context, name: &str, scopes: &[String], valid: Duration) -> Done {
    if valid > LONGEST || valid < Duration::from_secs(1) || valid.subsec_nanos() != 0 {
        return Err(Failure::usage("--valid: a key lives between 1s and 365d, in whole seconds"));
    }
    let made = ctx.user().await?.create_key(name, scopes, valid).await?;
    let word = Word::new("key", made.key)
        .with("key_id", made.key_id.as_str())
        .with("name", made.name)
        .with("scopes", made.scopes)
        .with("expires_at", moment(made.expires_at.0));
    ctx.face.show(&word)?;
    let until = ctx.face.look.moment(made.expires_at.0);
    ctx.face.say(&format!(
        "this is the only time that it is shown; it ends {until}; in a file, with HIVEMIND_TOKEN_FILE=FILE it is the login; \
         hivemind keys revoke {} ends it",
        made.key_id
    ));
    Ok(Exit::Ok)
}

async fn list_keys(ctx: &mut Context) -> Done {
    let keys = ctx.user().await?.keys().await?;
    let keys = Keys { keys: keys.into_iter().map(Key::from).collect() };
    let none = keys.keys.is_empty();
    ctx.face.show(&keys)?;
    if none {
        ctx.face.say("no keys; `hivemind keys create NAME --scope SCOPE` makes one");
    }
    Ok(Exit::Ok)
}

/// Does what was asked with sessions of browsers.
///
/// # Errors
/// There is no such session, nobody is logged in, or the pool does not answer.
pub async fn sessions(ctx: &mut Context, verb: &SessionsVerb) -> Done {
    match verb {
        SessionsVerb::List => {
            let sessions = ctx.user().await?.sessions().await?;
            let sessions = Sessions { sessions: sessions.into_iter().map(Session::from).collect() };
            let none = sessions.sessions.is_empty();
            ctx.face.show(&sessions)?;
            if none {
                ctx.face.say("no browser is logged in");
            }
        }
        SessionsVerb::End { session } => {
            if session.trim().is_empty() {
                return Err(Failure::usage("the id of a session is missing").fix("`hivemind sessions list` shows them"));
            }
            let ended = ctx.user().await?.end_session(session).await.map_err(Failure::from);
            ended.map_err(|failure| known_by(failure, "`hivemind sessions list` shows the ids of your sessions"))?;
            let said = Said::new(format!("{session} has ended"), json!({"session_id": session, "ended": true}));
            ctx.face.show(&said)?;
        }
    }
    Ok(Exit::Ok)
}

/// The usual advice is about tasks.
fn known_by(failure: Failure, fix: &str) -> Failure {
    if failure.exit == Exit::NotFound { failure.fix(fix) } else { failure }
}
