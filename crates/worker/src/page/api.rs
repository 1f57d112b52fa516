//! The page's addresses below `/api/v1/worker`.
//!
//! Start at [`routes`].
//!
//! Invariant: no address but that of the login answers without a session or the secret.

use super::access::{self, Session};
use super::earnings::Earnings;
use super::now::Now;
use super::safety::Safety;
use super::{Desk, Sample};
use crate::control::{Answer, Part, Request};
use axum::extract::{Query, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hivemind_http::Problem;
use hivemind_owner::{BadPreferences, Preferences};
use http::{HeaderMap, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Keys of the preferences that may be without a value, each in its table.
const OPTIONAL: [(&str, &str); 7] = [
    ("machine", "until"),
    ("gpu", "until"),
    ("heat", "stop_celsius"),
    ("heat", "resume_celsius"),
    ("network", "mbit_per_second"),
    ("network", "gib_per_day"),
    ("cache", "limit_gib"),
];

/// Points of a history where none are named, and at most.
const POINTS: usize = 240;
const MAX_POINTS: usize = 1000;

/// Minutes of a history where none are named, and at most: a day.
const MINUTES: u32 = 60;
const MAX_MINUTES: u32 = 24 * 60;

type Shared = State<Arc<Desk>>;

/// All addresses of the API.
pub(super) fn routes(desk: Arc<Desk>) -> Router {
    let open = Router::new().route("/api/v1/worker/login", post(log_in));
    let closed = Router::new()
        .route("/api/v1/worker/session", get(session))
        .route("/api/v1/worker/logout", post(log_out))
        .route("/api/v1/worker/now", get(now))
        .route("/api/v1/worker/start", post(start))
        .route("/api/v1/worker/finish", post(finish))
        .route("/api/v1/worker/pause", post(pause))
        .route("/api/v1/worker/stop-now", post(stop_now))
        .route("/api/v1/worker/preferences", get(preferences).put(set_preferences))
        .route("/api/v1/worker/safety", get(safety))
        .route("/api/v1/worker/selftest", post(selftest))
        .route("/api/v1/worker/earnings", get(earnings))
        .route("/api/v1/worker/history", get(history))
        .route("/api/v1/worker/events", get(events))
        .route_layer(from_fn_with_state(Arc::clone(&desk), access::check));
    open.merge(closed).with_state(desk)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

async fn log_in(State(desk): Shared, uri: Uri, headers: HeaderMap, Json(login): Json<Login>) -> Response {
    match desk.access.log_in(&uri, &headers, login.token.trim()) {
        Ok((session, cookie)) => ([(header::SET_COOKIE, cookie)], Json(session)).into_response(),
        Err(refused) => *refused,
    }
}

async fn session(State(desk): Shared, headers: HeaderMap) -> Result<Json<Session>, Problem> {
    // Who comes with the secret itself needs no session.
    let none = || Problem::new(StatusCode::NOT_FOUND, "E_NOT_FOUND", "a bearer has no session; a browser's login has");
    desk.access.session(&headers).map(Json).ok_or_else(none)
}

async fn log_out(State(desk): Shared, headers: HeaderMap) -> Response {
    match desk.access.log_out(&headers) {
        Some(cookie) => (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn now(State(desk): Shared) -> Result<Json<Now>, Problem> {
    desk.now().await.map(Json)
}

/// What of the machine is meant, and for how long.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Choice {
    part: Option<Part>,
    for_ms: Option<u64>,
}

impl Choice {
    fn of(given: Option<Json<Self>>) -> (Part, Option<u64>) {
        let Self { part, for_ms } = given.map(|Json(choice)| choice).unwrap_or_default();
        (part.unwrap_or(Part::Machine), for_ms)
    }
}

async fn start(State(desk): Shared, choice: Option<Json<Choice>>) -> Result<Json<Now>, Problem> {
    match Choice::of(choice) {
        (part, None) => act(&desk, Request::Start { part }).await.map(Json),
        (_, Some(_)) => Err(Problem::invalid("for_ms", "a start has no end; choose finish or pause for a time")),
    }
}

async fn finish(State(desk): Shared, choice: Option<Json<Choice>>) -> Result<Json<Now>, Problem> {
    let (part, for_ms) = Choice::of(choice);
    act(&desk, Request::Finish { part, for_ms }).await.map(Json)
}

async fn pause(State(desk): Shared, choice: Option<Json<Choice>>) -> Result<Json<Now>, Problem> {
    let (part, for_ms) = Choice::of(choice);
    act(&desk, Request::Pause { part, for_ms }).await.map(Json)
}

async fn stop_now(State(desk): Shared) -> Result<Json<Now>, Problem> {
    act(&desk, Request::StopNow).await.map(Json)
}

/// Does it, and tells every page that is open.
async fn act(desk: &Desk, request: Request) -> Result<Now, Problem> {
    let now = desk.act(request).await?;
    desk.hub.send("now", &now);
    Ok(now)
}

async fn preferences(State(desk): Shared) -> Result<Json<Value>, Problem> {
    shown(&preferred(&desk).await?)
}

async fn set_preferences(State(desk): Shared, Json(preferences): Json<Preferences>) -> Result<Json<Value>, Problem> {
    // The form of the file is what the control socket takes, and what is checked there.
    let toml = preferences.to_toml().map_err(refused)?;
    act(&desk, Request::SetPreferences { toml }).await?;
    shown(&preferred(&desk).await?)
}

/// What counts.
async fn preferred(desk: &Desk) -> Result<Preferences, Problem> {
    match desk.say(Request::Preferences).await? {
        Answer::Preferences { toml, .. } => Preferences::parse(&toml).map_err(refused),
        Answer::Status(_) | Answer::Refused { .. } => {
            Err(Problem::internal("the worker answered something else than the preferences, which is a bug"))
        }
    }
}

fn refused(why: BadPreferences) -> Problem {
    match why {
        BadPreferences::Value { field, why } => Problem::invalid(field, why),
        BadPreferences::Form(_) => Problem::new(StatusCode::BAD_REQUEST, "E_INVALID", why.to_string()),
        BadPreferences::Disk { .. } => Problem::internal(why),
    }
}

/// As JSON, every key there.
fn shown(preferences: &Preferences) -> Result<Json<Value>, Problem> {
    let mut whole = serde_json::to_value(preferences).map_err(Problem::internal)?;
    for (table, key) in OPTIONAL {
        if let Some(table) = whole.get_mut(table).and_then(Value::as_object_mut) {
            table.entry(key).or_insert(Value::Null);
        }
    }
    Ok(Json(whole))
}

async fn safety(State(desk): Shared) -> Result<Json<Safety>, Problem> {
    let preferences = preferred(&desk).await?;
    Ok(Json(desk.safety(preferences).await))
}

async fn selftest(State(desk): Shared) -> Result<Response, Problem> {
    desk.tests.begin(&desk.hub)?;
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({"running": true}))).into_response())
}

async fn earnings(State(desk): Shared) -> Result<Json<Earnings>, Problem> {
    desk.earnings.ask(&desk.insides.membership).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    minutes: Option<u32>,
    points: Option<usize>,
}

/// What the machine did.
#[derive(Serialize)]
struct Past {
    /// Oldest first.
    samples: Vec<Sample>,
}

async fn history(State(desk): Shared, Query(span): Query<Span>) -> Result<Json<Past>, Problem> {
    let (minutes, points) = (span.minutes.unwrap_or(MINUTES), span.points.unwrap_or(POINTS));
    if !(1..=MAX_MINUTES).contains(&minutes) {
        return Err(Problem::invalid("minutes", format!("{minutes} is outside 1 to {MAX_MINUTES}")));
    }
    if !(1..=MAX_POINTS).contains(&points) {
        return Err(Problem::invalid("points", format!("{points} is outside 1 to {MAX_POINTS}")));
    }
    let from = crate::enroll::now().0.saturating_sub(i64::from(minutes) * 60_000);
    Ok(Json(Past { samples: desk.insides.monitor.history(from, points) }))
}

async fn events(State(desk): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let follower = desk.hub.follow(&headers)?;
    let now = desk.now().await?;
    let ended = Arc::clone(&desk);
    Ok(follower.first("now", &now)?.until(async move { ended.access.ended(&headers).await }))
}
