//! Live events.
//!
//! Invariant: a stream ends with the login that opened it.

use crate::app::App;
use crate::caller::{By, Caller};
use crate::fault::Fault;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use utoipa::ToSchema;

/// Between two looks whether the login still holds, which ask the pool; also between two signs of life.
const LOOK: Duration = Duration::from_secs(15);

/// Data of an event that says nothing but its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Nothing {}

/// An event of the stream.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(crate) struct Event {
    /// Where it is in the stream: what `Last-Event-ID` repeats.
    id: String,
    event: Happens,
    /// JSON: a TaskEvent, Balance, NodeSummary or PoolHealth; of `reset` and `lost` `{}`.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// What happened.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)]
pub(crate) enum Happens {
    /// Of a task, with a TaskEvent.
    Task,
    /// The caller's money moved, with a Balance.
    Wallet,
    /// Of a node, with a NodeSummary.
    Node,
    /// Of the pool, for operators, with a PoolHealth.
    Pool,
    /// Load anew what you show.
    Reset,
    /// The pool went away; the stream ends.
    Lost,
}

/// What happens, live.
///
/// Events: `task` with a TaskEvent, `wallet` with a Balance, `node` with a NodeSummary, `pool` with a PoolHealth (operators); `reset`
/// with `{}`: load anew what you show; `lost` with `{}`, before the stream ends because the pool went away. The first event is
/// `reset`, unless `Last-Event-ID` goes on where an earlier stream broke off.
#[utoipa::path(get, path = "/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that came; another is none")),
    responses((status = 200, description = "The events, each as the schema says", body = Event, content_type = "text/event-stream")))]
pub(crate) async fn events(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Result<Response, Fault> {
    let follower = app.feeds().follow(&app, &caller, &headers).await?;
    let follower = match headers.contains_key("last-event-id") {
        true => follower,
        false => follower.first("reset", &Nothing {})?,
    };
    Ok(answer(&app, &caller, (), follower.stream()))
}

/// An answer of events. It holds `place` as long as it lasts, and lasts no longer than the login.
pub(crate) fn answer<P: Send + 'static>(
    app: &App,
    caller: &Caller,
    place: P,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Response {
    let login = ended(app.clone(), caller.by.clone(), caller.token().to_owned());
    let place = (place, app.figures().follower());
    let beats = futures::stream::unfold((), |()| async {
        tokio::time::sleep(LOOK).await;
        Some((None, ()))
    });
    let frames = frames.map(Some).chain(futures::stream::once(async { Some(Bytes::new()) }));
    // An empty frame marks the end: without it the signs of life would go on for ever.
    let live = futures::stream::select(frames, beats).take_while(|frame| {
        let goes_on = frame.as_ref().is_none_or(|frame| !frame.is_empty());
        async move { goes_on }
    });
    let live = live.take_until(login).map(move |frame| {
        let _held = &place;
        Ok::<_, Infallible>(frame.unwrap_or(Bytes::from_static(b": alive\n\n")))
    });
    hivemind_http::events::answer(live)
}

/// An event as it goes over the wire.
pub(crate) fn frame(id: &str, name: &str, data: &impl Serialize) -> Bytes {
    // Texts and numbers always have a form in JSON, and that is on one line.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("id: {id}\nevent: {name}\ndata: {data}\n\n"))
}

/// Waits until the login is no more. A session goes on with the login that it was renewed with; a pool that is away ends none.
async fn ended(app: App, by: By, token: String) {
    let mut ends = app.sessions().ends();
    let mut looks = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _at = looks.tick() => {}
            closed = ends.recv() => match (closed, &by) {
                (Ok(id), By::Cookie(session)) if *id == *session.id => return,
                (Ok(_), By::Cookie(_) | By::Bearer(_)) => continue,
                // Many ended at once: it looks for itself at its next look.
                (Err(_lagged), By::Cookie(_) | By::Bearer(_)) => continue,
            },
        }
        let token = match &by {
            By::Bearer(_) => token.clone(),
            By::Cookie(session) => match app.sessions().token_of(&session.id) {
                Some(token) => token,
                None => return,
            },
        };
        match holds(&app, &token).await {
            Ok(_user) => {}
            Err(Fault(problem)) if problem.status() == StatusCode::UNAUTHORIZED => return,
            Err(Fault(problem)) => tracing::debug!(code = problem.code(), "a login could not be looked at"),
        }
    }
}

/// Asks the pool whether a login still holds; gives the id of its user.
///
/// # Errors
/// 401 where it does not; 503 where the pool does not answer.
pub(crate) async fn holds(app: &App, token: &str) -> Result<String, Fault> {
    Ok(app.pool().caller(token).await?.whoami().await?.user_id)
}
