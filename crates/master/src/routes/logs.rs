//! What a task writes: whole as text, or live as events that go on where they broke off.
//!
//! Start at [`log_events`]. The id of each event says how far all of it was read, so that a browser that comes back with
//! `Last-Event-ID` misses nothing and gets nothing twice. Bytes that are no UTF-8 are shown as U+FFFD.
//!
//! Invariant: nothing is kept between two events but the broken end of a character.

use crate::app::App;
use crate::caller::Caller;
use crate::extract::{Asked, At, task as task_id};
use crate::fault::Fault;
use crate::routes::live;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use hivemind_client::{ClientError, Events, LogPart, LogPlace, LogStream, Until};
use hivemind_model::ids::ElementRef;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Whose logs, as text.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogsAsked {
    /// Index of the element; of a plain task left out.
    element: Option<u32>,
    /// Standard output where it is left out.
    #[param(inline)]
    stream: Option<Which>,
}

/// One of a command's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl From<LogStream> for Which {
    fn from(stream: LogStream) -> Self {
        match stream {
            LogStream::Stdout => Self::Stdout,
            LogStream::Stderr => Self::Stderr,
        }
    }
}

/// What the newest attempt wrote so far.
#[utoipa::path(get, path = "/tasks/{id}/logs", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), LogsAsked),
    responses((status = 200, description = "All of it", body = String, content_type = "text/plain; charset=utf-8")))]
pub(crate) async fn logs(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    Asked(asked): Asked<LogsAsked>,
) -> Result<Response, Fault> {
    let wanted = asked.stream.unwrap_or(Which::Stdout);
    let element = ElementRef { task: task_id(&id)?, index: asked.element.unwrap_or(0) };
    let room = caller.lane(&app).await?;
    let parts = begun(room.client.follow_logs_from(element, Until::Now, LogPlace::default())).await?;
    let place = room.place;
    let text = parts.filter_map(move |part| {
        let _held = &place;
        let data = match part {
            Ok(part) if Which::from(part.stream) == wanted => Some(Ok(part.data)),
            Ok(_other) => None,
            Err(error) => Some(Err(error)),
        };
        async move { data }
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, Body::from_stream(text)).into_response())
}

/// Most bytes of an end that is asked for.
const MOST_TAIL_BYTES: u64 = 1 << 30;

/// Whose logs, live.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogEventsAsked {
    /// Index of the element; of a plain task left out.
    element: Option<u32>,
    /// Only the last so many bytes that are there of each stream; all where it is left out.
    #[param(minimum = 1, maximum = 1_073_741_824)]
    tail_bytes: Option<u64>,
}

/// A piece of what a task wrote: the data of an event `log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LogEvent {
    /// Number of the attempt that wrote it, from 1; with a new one both streams begin anew.
    attempt: u32,
    /// To which stream.
    stream: Which,
    /// Bytes of that stream before this piece.
    offset: u64,
    /// What was written.
    text: String,
}

/// An event of the stream.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(crate) struct LogFrame {
    /// How far both streams were read: what `Last-Event-ID` repeats.
    id: String,
    event: Writes,
    /// JSON: of `log` a LogEvent, of `refused` a problem, else `{}`.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// What happened to the logs.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)]
pub(crate) enum Writes {
    /// Something was written, with a LogEvent.
    Log,
    /// There will be no more; the stream ends.
    End,
    /// The pool went away; the stream ends.
    Lost,
    /// The pool says nothing more to this caller, with a problem; the stream ends.
    Refused,
}

/// What the newest attempt writes, live, until the task ends.
///
/// Events: `log` with a LogEvent; `end` with `{}`, when there will be no more; `lost` with `{}`, when the pool went away; `refused` with a
/// problem, when it will say nothing more to this caller. The id of each says how far it was read; `Last-Event-ID` goes on there.
#[utoipa::path(get, path = "/tasks/{id}/logs/events", tag = "tasks",
    params(("id" = String, Path, description = "Id of the task", max_length = 64), LogEventsAsked,
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that came; another is none")),
    responses((status = 200, description = "The events, each as the schema says", body = LogFrame, content_type = "text/event-stream")))]
pub(crate) async fn log_events(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    Asked(asked): Asked<LogEventsAsked>,
) -> Result<Response, Fault> {
    let element = ElementRef { task: task_id(&id)?, index: asked.element.unwrap_or(0) };
    if !asked.tail_bytes.is_none_or(|tail| (1..=MOST_TAIL_BYTES).contains(&tail)) {
        return Err(Fault::invalid("tail_bytes", format!("1 to {MOST_TAIL_BYTES}")));
    }
    // An id that cannot be read is none: the page then gets all of it again.
    let from = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(place_of);
    let room = caller.lane(&app).await?;
    // Who may not see the task, or names an element that it does not have, is told so before the stream begins.
    room.client.status_of(element.task, element.index).await?;
    let parts = match (from, asked.tail_bytes) {
        (Some(place), _) => room.client.follow_logs_from(element, Until::End, place),
        (None, None) => room.client.follow_logs_from(element, Until::End, LogPlace::default()),
        (None, Some(tail)) => room.client.follow_logs_tail(element, Until::End, tail),
    };
    let frames = Frames { parts, texts: Texts { place: from.unwrap_or_default(), ..Texts::default() }, ended: false };
    Ok(live::answer(&app, &caller, room.place, frames.stream()))
}

/// Waits for the first item of a stream, so that a refusal is still an answer of its own.
async fn begun(
    parts: Events<LogPart>,
) -> Result<impl Stream<Item = Result<LogPart, ClientError>> + Send + 'static, Fault> {
    // Where nothing was written the first item is the end already, and an ended stream is not to be asked again.
    let mut parts = parts.fuse();
    let first = parts.next().await.transpose()?;
    Ok(futures::stream::iter(first.map(Ok)).chain(parts))
}

struct Frames {
    parts: Events<LogPart>,
    texts: Texts,
    ended: bool,
}

impl Frames {
    fn stream(self) -> impl Stream<Item = Bytes> + Send + 'static {
        futures::stream::unfold(self, |mut frames| async move {
            if frames.ended {
                return None;
            }
            let frame = match frames.parts.next().await {
                Some(Ok(part)) => {
                    let event = frames.texts.take(part);
                    live::frame(&frames.texts.id(), "log", &event)
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "logs are no longer followed");
                    frames.ended = true;
                    match Fault::from(error) {
                        Fault(problem) if problem.status().is_client_error() => {
                            live::frame(&frames.texts.id(), "refused", &problem)
                        }
                        Fault(_) => live::frame(&frames.texts.id(), "lost", &live::Nothing {}),
                    }
                }
                None => {
                    frames.ended = true;
                    live::frame(&frames.texts.id(), "end", &live::Nothing {})
                }
            };
            Some((frame, frames))
        })
    }
}

/// Makes texts of bytes, and knows how far they were read.
#[derive(Default)]
struct Texts {
    place: LogPlace,
    /// The broken ends of characters: they come with the next part, and count as read only then.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Texts {
    fn take(&mut self, part: LogPart) -> LogEvent {
        let LogPart { attempt, stream, offset, data } = part;
        if attempt != self.place.attempt {
            *self = Self { place: LogPlace { attempt, ..LogPlace::default() }, ..Self::default() };
        }
        let (rest, read) = match stream {
            LogStream::Stdout => (&mut self.stdout, &mut self.place.stdout),
            LogStream::Stderr => (&mut self.stderr, &mut self.place.stderr),
        };
        let begins = offset.saturating_sub(rest.len() as u64);
        rest.extend_from_slice(&data);
        let whole = rest.len() - broken_end(rest);
        let text = String::from_utf8_lossy(&rest[..whole]).into_owned();
        rest.drain(..whole);
        *read = begins + whole as u64;
        LogEvent { attempt, stream: stream.into(), offset: begins, text }
    }

    fn id(&self) -> String {
        let LogPlace { attempt, stdout, stderr } = self.place;
        format!("{attempt}-{stdout}-{stderr}")
    }
}

/// How many bytes at the end of `bytes` are the beginning of a character whose rest has not come yet.
fn broken_end(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    match std::str::from_utf8(tail) {
        Ok(_) => 0,
        Err(_) => (1..=tail.len())
            .find(|last| {
                let end = &tail[tail.len() - last..];
                std::str::from_utf8(end).is_err_and(|why| why.valid_up_to() == 0 && why.error_len().is_none())
            })
            .unwrap_or(0),
    }
}

fn place_of(id: &str) -> Option<LogPlace> {
    let mut numbers = id.splitn(3, '-');
    let attempt = numbers.next()?.parse().ok()?;
    let (stdout, stderr) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(LogPlace { attempt, stdout, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(attempt: u32, offset: u64, data: &'static [u8]) -> LogPart {
        LogPart { attempt, stream: LogStream::Stdout, offset, data: Bytes::from_static(data) }
    }

    #[test]
    fn a_character_that_comes_in_two_parts_is_one() {
        let mut texts = Texts::default();
        let first = texts.take(part(1, 0, b"ab\xe2\x82"));
        assert_eq!((first.text.as_str(), texts.id().as_str()), ("ab", "1-2-0"));
        let second = texts.take(part(1, 4, b"\xac!"));
        assert_eq!((second.offset, second.text.as_str(), texts.id().as_str()), (2, "\u{20ac}!", "1-6-0"));
        let bad = texts.take(part(1, 6, b"\xff\xfe x"));
        assert_eq!(bad.text, "\u{fffd}\u{fffd} x");
        let anew = texts.take(part(2, 0, b"x"));
        assert_eq!((anew.attempt, texts.id().as_str()), (2, "2-1-0"));
    }

    #[test]
    fn an_id_names_a_place() {
        assert_eq!(place_of("2-10-0"), Some(LogPlace { attempt: 2, stdout: 10, stderr: 0 }));
        for bad in ["", "1", "1-2", "1-2-3-4", "a-b-c", "-1-2-3"] {
            assert_eq!(place_of(bad), None, "{bad}");
        }
    }
}
