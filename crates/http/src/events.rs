//! Live events for browsers (server-sent events), with resume.
//!
//! A [`Hub`] keeps the last events in a ring; each [`Follower`] is a place in that ring and keeps nothing itself, so a slow one costs
//! nothing and misses what has left the ring: it gets `reset` then, which means "load anew what you show". Ids are
//! `<epoch>-<number>`; a browser that comes back with `Last-Event-ID` goes on where it was, where that is still in the ring.
//! Start at [`Hub::send`] and [`Hub::follow`].
//!
//! Invariant: memory does not grow with followers or with their patience.

use crate::problem::Problem;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Between two signs of life on a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After how long a browser tries again, in milliseconds.
const RETRY_MS: u32 = 2000;

/// Most bytes that are handed to a connection at once.
const MAX_CHUNK: usize = 64 << 10;

/// How much a hub keeps, and for how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Events in the ring.
    pub events: usize,
    /// Their bytes together.
    pub bytes: usize,
    /// Who may follow at once.
    pub followers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 1024, bytes: 1 << 20, followers: 64 }
    }
}

/// See the module. Copies are the same hub.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    epoch: String,
    bounds: Bounds,
    ring: Mutex<Ring>,
    news: watch::Sender<News>,
    places: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
struct News {
    last: u64,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Ring {
    frames: VecDeque<(u64, Bytes)>,
    bytes: usize,
    /// The number of the last event; zero before the first.
    last: u64,
}

/// What a follower finds in the ring.
enum Found {
    Frames(Bytes, u64),
    Gap(u64),
    Nothing,
}

impl Hub {
    /// An empty hub.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let epoch = hex::encode(rand::random::<[u8; 8]>());
        let (news, _) = watch::channel(News { last: 0, is_closed: false });
        let places = Arc::new(Semaphore::new(bounds.followers.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner { epoch, bounds, ring: Mutex::default(), news, places }))
    }

    /// Sends an event to all who follow. `name` has no line break.
    pub fn send(&self, name: &'static str, data: &impl Serialize) {
        let Inner { epoch, bounds, ring, news, .. } = &*self.0;
        let mut ring = ring.lock();
        ring.last += 1;
        let last = ring.last;
        match frame(&format!("{epoch}-{last}"), name, data) {
            Ok(frame) => {
                ring.bytes += frame.len();
                ring.frames.push_back((last, frame));
            }
            // Its number is missing from the ring: whoever follows is told to load anew.
            Err(why) => {
                tracing::error!("an event {name} has no JSON form: {why}");
                ring.frames.clear();
                ring.bytes = 0;
            }
        }
        while ring.frames.len() > bounds.events || ring.bytes > bounds.bytes {
            let Some((_, frame)) = ring.frames.pop_front() else { break };
            ring.bytes -= frame.len();
        }
        drop(ring);
        news.send_modify(|news| news.last = last);
    }

    /// Tells all who follow to load anew what they show.
    pub fn reset(&self) {
        let mut ring = self.0.ring.lock();
        ring.frames.clear();
        ring.bytes = 0;
        ring.last += 1;
        let last = ring.last;
        drop(ring);
        self.0.news.send_modify(|news| news.last = last);
    }

    /// Ends all streams, as a server does that ends; who follows later gets what is in the ring, and its end.
    pub fn close(&self) {
        self.0.news.send_modify(|news| news.is_closed = true);
    }

    /// How many follow now.
    #[must_use]
    pub fn followers(&self) -> usize {
        self.0.bounds.followers.saturating_sub(self.0.places.available_permits())
    }

    /// Follows from now on, or from `Last-Event-ID` of `headers`.
    ///
    /// # Errors
    /// 429 `E_BUSY` where too many follow.
    pub fn follow(&self, headers: &HeaderMap) -> Result<Follower, Problem> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().map_err(|_none| {
            let detail = "too many pages follow live events; close some and try again";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "E_BUSY", detail).retry_after(KEEP_ALIVE)
        })?;
        let news = self.0.news.subscribe();
        let last = self.0.ring.lock().last;
        let mut follower = Follower { hub: self.clone(), seen: last, news, first: VecDeque::new(), _place: place };
        let asked = headers.get("last-event-id");
        let resumed = asked.and_then(|id| {
            let (epoch, number) = id.to_str().ok()?.rsplit_once('-')?;
            let number: u64 = number.parse().ok()?;
            (epoch == self.0.epoch && number <= last).then_some(number)
        });
        let seen = resumed.unwrap_or(last);
        follower.seen = seen;
        let hello = format!("retry: {RETRY_MS}\nid: {}-{seen}\n\n", self.0.epoch);
        follower.first.push_back(Bytes::from(hello));
        if asked.is_some() && resumed.is_none() {
            follower.first.push_back(self.reset_frame(last));
        }
        Ok(follower)
    }

    fn reset_frame(&self, last: u64) -> Bytes {
        Bytes::from(format!("id: {}-{last}\nevent: reset\ndata: {{}}\n\n", self.0.epoch))
    }

    fn after(&self, seen: u64) -> Found {
        let ring = self.0.ring.lock();
        if seen >= ring.last {
            return Found::Nothing;
        }
        let oldest = ring.frames.front().map_or(ring.last + 1, |(number, _)| *number);
        if seen + 1 < oldest {
            return Found::Gap(ring.last);
        }
        let (mut chunk, mut reached) = (BytesMut::new(), seen);
        let skipped = usize::try_from(seen + 1 - oldest).unwrap_or(usize::MAX);
        for (number, frame) in ring.frames.iter().skip(skipped) {
            if !chunk.is_empty() && chunk.len() + frame.len() > MAX_CHUNK {
                break;
            }
            chunk.extend_from_slice(frame);
            reached = *number;
        }
        Found::Frames(chunk.freeze(), reached)
    }
}

fn frame(id: &str, name: &str, data: &impl Serialize) -> serde_json::Result<Bytes> {
    // JSON on one line: serde_json escapes line breaks in strings.
    let data = serde_json::to_string(data)?;
    Ok(Bytes::from(format!("id: {id}\nevent: {name}\ndata: {data}\n\n")))
}

/// A place in a hub's ring, and the answer to a browser that follows.
#[derive(Debug)]
pub struct Follower {
    hub: Hub,
    seen: u64,
    news: watch::Receiver<News>,
    first: VecDeque<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// Sends this follower alone an event before all others: how things stand. What happens from now on comes after it, so
    /// look after [`Hub::follow`], not before it.
    ///
    /// # Errors
    /// 500 where `data` has no JSON form.
    pub fn first(mut self, name: &'static str, data: &impl Serialize) -> Result<Self, Problem> {
        let id = format!("{}-{}", self.hub.0.epoch, self.seen);
        self.first.push_back(frame(&id, name, data).map_err(Problem::internal)?);
        Ok(self)
    }

    /// What goes to the browser; it ends when the hub is closed.
    pub fn stream(self) -> impl Stream<Item = Bytes> + Send + 'static {
        futures::stream::unfold(self, |mut follower| async move {
            let next = follower.next().await?;
            Some((next, follower))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.pop_front() {
            return Some(first);
        }
        loop {
            let news = *self.news.borrow_and_update();
            match self.hub.after(self.seen) {
                Found::Frames(chunk, reached) => {
                    self.seen = reached;
                    return Some(chunk);
                }
                Found::Gap(last) => {
                    self.seen = last;
                    return Some(self.hub.reset_frame(last));
                }
                Found::Nothing if news.is_closed => return None,
                Found::Nothing => match tokio::time::timeout(KEEP_ALIVE, self.news.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_gone)) => return None,
                    Err(_silent) => return Some(Bytes::from_static(b": alive\n\n")),
                },
            }
        }
    }
}

impl IntoResponse for Follower {
    fn into_response(self) -> Response {
        let parts = futures::StreamExt::map(self.stream(), Ok::<_, std::convert::Infallible>);
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            // Proxies that gather an answer before they send it would hold events back.
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, Body::from_stream(parts)).into_response()
    }
}

#[cfg(test)]
mod tests;
