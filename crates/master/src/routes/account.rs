//! Signing up, logging in and out.
//!
//! The pool's session has two tokens: one for calls, which stays in the gateway's memory under the session's cookie, and one with
//! which the next pair is got, which only the browser keeps, in a cookie that goes nowhere but to `/api/v1/auth`. So a gateway
//! that starts anew finds its logins again. Start at [`login`].
//!
//! Invariant: no token is in a body, where scripts could read it.

use crate::app::App;
use crate::caller::{By, Caller, Peer};
use crate::dto::account::{Login, Me, Register};
use crate::extract::Body;
use crate::fault::Fault;
use crate::sessions::{Session, now_ms};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hivemind_client::{Client, Opened, v1::WhoAmIResponse};
use hivemind_http::{Problem, browser};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use std::time::Duration;

/// Where the cookie goes with which the next tokens are got.
const REFRESH_PATH: &str = "/api/v1/auth";

/// Makes an account and logs in.
#[utoipa::path(post, path = "/auth/register", tag = "auth", security(()), request_body = Register,
    responses((status = 201, description = "The account is made and logged in", body = Me)))]
pub(crate) async fn register(
    State(app): State<App>,
    Peer(from): Peer,
    uri: Uri,
    headers: HeaderMap,
    Body(asked): Body<Register>,
) -> Result<Response, Fault> {
    browser::check_origin(&uri, &headers)?;
    let client = app.stranger(from).await?;
    let Register { username, password, email, invitation } = asked;
    client.register_invited(&username, &password, &email, &invitation).await?;
    let opened = client.open_session(&username, &password, about(&headers)).await?;
    logged_in(&app, &client, opened, StatusCode::CREATED).await
}

/// Logs in: sets the cookies of a session.
#[utoipa::path(post, path = "/auth/login", tag = "auth", security(()), request_body = Login,
    responses((status = 200, description = "Who is logged in now", body = Me)))]
pub(crate) async fn login(
    State(app): State<App>,
    Peer(from): Peer,
    uri: Uri,
    headers: HeaderMap,
    Body(asked): Body<Login>,
) -> Result<Response, Fault> {
    browser::check_origin(&uri, &headers)?;
    let client = app.stranger(from).await?;
    let opened = client.open_session(&asked.username, &asked.password, about(&headers)).await?;
    logged_in(&app, &client, opened, StatusCode::OK).await
}

/// Logs out: ends the session, and removes its cookies.
#[utoipa::path(post, path = "/auth/logout", tag = "auth",
    responses((status = 204, description = "The session has ended")))]
pub(crate) async fn logout(
    State(app): State<App>,
    Peer(from): Peer,
    uri: Uri,
    headers: HeaderMap,
    caller: Result<Caller, Fault>,
) -> Result<Response, Fault> {
    let ended = async {
        let client = match caller {
            Ok(caller) => {
                if let By::Cookie(session) = &caller.by {
                    app.sessions().close(&session.id);
                }
                caller.client
            }
            // The login has ended, or the gateway was started anew; the session goes on with its other cookie.
            Err(fault) if fault.0.status() == StatusCode::UNAUTHORIZED => {
                browser::check_origin(&uri, &headers)?;
                let client = app.stranger(from).await?;
                let opened = client.refresh_session(renewal(&app, &headers)?).await?;
                client.with_token(&opened.access_token)?
            }
            Err(fault) => return Err(fault),
        };
        Ok::<_, Fault>(client.end_session("").await?)
    };
    // Whatever the pool says of it, this browser is logged out.
    let mut response = match ended.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(fault) if fault.0.status() == StatusCode::FORBIDDEN => return Err(fault),
        Err(fault) => fault.into_response(),
    };
    for (name, path) in [(app.cookies().session, "/"), (app.cookies().refresh, REFRESH_PATH)] {
        put(&app, &mut response, name, "", path, Duration::ZERO)?;
    }
    Ok(response)
}

/// Renews the session by its cookie: for when its login has ended, or the gateway was started anew.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", security(()),
    responses((status = 200, description = "Who is logged in", body = Me)))]
pub(crate) async fn refresh(
    State(app): State<App>,
    Peer(from): Peer,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    browser::check_origin(&uri, &headers)?;
    let token = renewal(&app, &headers)?;
    let client = app.stranger(from).await?;
    let opened = client.refresh_session(token).await?;
    logged_in(&app, &client, opened, StatusCode::OK).await
}

/// The cookie with which a session is renewed.
fn renewal<'a>(app: &App, headers: &'a HeaderMap) -> Result<&'a str, Fault> {
    let token = browser::cookie(headers, app.cookies().refresh).filter(|token| !token.is_empty());
    token.ok_or_else(|| Fault::login("no session is open here; log in"))
}

/// Tells who is logged in.
#[utoipa::path(get, path = "/auth/me", tag = "auth",
    responses((status = 200, description = "Who is logged in", body = Me)))]
pub(crate) async fn me(State(app): State<App>, caller: Caller) -> Result<Json<Me>, Fault> {
    let csrf = match &caller.by {
        By::Cookie(session) => app.csrf_of(session),
        By::Bearer(_) => String::new(),
    };
    Ok(Json(told(caller.client.whoami().await?, csrf)))
}

/// Keeps the session's login and sets its cookies.
async fn logged_in(app: &App, client: &Client, opened: Opened, status: StatusCode) -> Result<Response, Fault> {
    let who = client.with_token(&opened.access_token)?.whoami().await?;
    let session = Session {
        id: opened.session_id,
        token: opened.access_token,
        user_id: opened.user_id,
        expires_at_ms: opened.access_expires_at.0,
    };
    let csrf = app.csrf_of(&session);
    let cookie = app.sessions().open(session);
    let left = opened.refresh_expires_at.0.saturating_sub(now_ms());
    let age = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    let mut response = (status, Json(told(who, csrf))).into_response();
    put(app, &mut response, app.cookies().session, &cookie, "/", age)?;
    put(app, &mut response, app.cookies().refresh, &opened.refresh_token, REFRESH_PATH, age)?;
    Ok(response)
}

fn told(who: WhoAmIResponse, csrf_token: String) -> Me {
    Me {
        username: who.username,
        user_id: who.user_id,
        role: who.role,
        level: who.level,
        beta: who.beta,
        vote: who.vote,
        csrf_token,
        token_expires_at_unix_ms: who.token_expires_at_unix_ms,
    }
}

fn put(
    app: &App,
    response: &mut Response,
    name: &'static str,
    value: &str,
    path: &'static str,
    age: Duration,
) -> Result<(), Fault> {
    let cookie: HeaderValue = browser::set_cookie(name, value, path, age, app.is_tls())
        .ok_or_else(|| Problem::internal("the pool gave a token that fits into no cookie"))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}

/// What the browser says it is.
fn about(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|about| about.to_str().ok()).unwrap_or_default()
}
