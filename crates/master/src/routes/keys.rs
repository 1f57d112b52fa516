//! Sessions, API keys and invitations.
//!
//! Invariant: a key is told once, to whoever made it.

use crate::app::App;
use crate::caller::Caller;
use crate::dto::Page;
use crate::dto::account::{CreateKey, Invitation, Invite, KeySummary, NewKey, SessionSummary};
use crate::extract::{At, Body, Unkeyed};
use crate::fault::Fault;
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use std::time::Duration;

/// Lists the caller's sessions, used last first.
#[utoipa::path(get, path = "/auth/sessions", tag = "auth",
    responses((status = 200, description = "All of them", body = Page<SessionSummary>)))]
pub(crate) async fn list_sessions(caller: Caller) -> Result<Json<Page<SessionSummary>>, Fault> {
    Ok(Json(Page::of(caller.client.sessions().await?, String::new())))
}

/// Ends a session of the caller: its tokens are refused at once.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "auth",
    params(("id" = String, Path, description = "Id of the session", max_length = 64)),
    responses((status = 204, description = "It has ended")))]
pub(crate) async fn end_session(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<StatusCode, Fault> {
    caller.client.end_session(&id).await?;
    app.sessions().close(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the caller's API keys, newest first, without their secrets.
#[utoipa::path(get, path = "/auth/keys", tag = "auth",
    responses((status = 200, description = "All of them", body = Page<KeySummary>)))]
pub(crate) async fn list_keys(caller: Caller) -> Result<Json<Page<KeySummary>>, Fault> {
    Ok(Json(Page::of(caller.client.keys().await?, String::new())))
}

/// Makes an API key, which goes wherever a user token goes, for what its scopes allow.
#[utoipa::path(post, path = "/auth/keys", tag = "auth", request_body = CreateKey,
    responses((status = 201, description = "The key; it is told this once", body = NewKey)))]
pub(crate) async fn create_key(
    _: Unkeyed,
    caller: Caller,
    Body(asked): Body<CreateKey>,
) -> Result<(StatusCode, Json<NewKey>), Fault> {
    let life = seconds(asked.valid_seconds)?;
    let key = caller.client.create_key(&asked.name, &asked.scopes, life).await?;
    let told = NewKey {
        key_id: key.key_id,
        key: key.key,
        name: key.name,
        scopes: key.scopes,
        expires_at_unix_ms: key.expires_at.0,
    };
    Ok((StatusCode::CREATED, Json(told)))
}

/// Ends an API key of the caller at once.
#[utoipa::path(delete, path = "/auth/keys/{id}", tag = "auth",
    params(("id" = String, Path, description = "Id of the key, as it begins", max_length = 64)),
    responses((status = 204, description = "It has ended")))]
pub(crate) async fn revoke_key(caller: Caller, At(id): At<String>) -> Result<StatusCode, Fault> {
    caller.client.revoke_key(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a code with which people can register. Operators only.
#[utoipa::path(post, path = "/auth/invitations", tag = "auth", request_body = Invite,
    responses((status = 201, description = "The code", body = Invitation)))]
pub(crate) async fn invite(
    _: Unkeyed,
    caller: Caller,
    Body(asked): Body<Invite>,
) -> Result<(StatusCode, Json<Invitation>), Fault> {
    let uses = u32::try_from(asked.uses).map_err(|_below| Fault::invalid("uses", "1 to 1000"))?;
    let made = caller.client.create_invitation(uses, seconds(asked.valid_seconds)?).await?;
    let told = Invitation { invitation: made.code, expires_at_unix_ms: made.expires_at.0 };
    Ok((StatusCode::CREATED, Json(told)))
}

fn seconds(asked: i64) -> Result<Duration, Fault> {
    let seconds = u64::try_from(asked).map_err(|_below| Fault::invalid("valid_seconds", "not below zero"))?;
    Ok(Duration::from_secs(seconds))
}
