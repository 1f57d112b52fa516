//! Whose turn it is on a connection: ours, to answer, or the peer's, to ask for something or to take what is sent.
//!
//! HTTP/2 lets a peer hold a connection by nothing but signs of life, and an answer by leaving no room for it; both hold memory
//! and a place here. Start at [`Turns::watch`]; each answer's body goes through [`Turns::answer`].
//!
//! Invariant: an answer that waits for something of ours, such as the next event, is never the peer's fault.

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that are handed on at once: what the protocol's own code has, it keeps for the peer without a bound of time.
const PIECE: usize = 16 << 10;

/// One connection's; copies are the same.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    /// Since when the peer is to take something, of each answer that is on its way; `None`: the answer is ours to give.
    open: HashMap<u64, Option<Instant>>,
    next: u64,
    /// Since when there is nothing to answer.
    idle: Instant,
}

/// What a peer did not do in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// It asks for nothing.
    Asking,
    /// It takes nothing of an answer.
    Taking,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Table { open: HashMap::new(), next: 0, idle: Instant::now() })))
    }

    /// A request came: from now on it is answered.
    pub(super) fn begin(&self) -> Turn {
        let mut table = self.0.lock();
        let id = table.next;
        table.next += 1;
        table.open.insert(id, None);
        Turn { turns: self.clone(), id }
    }

    /// Waits until the peer is late by `patience`; for ever where it never is.
    pub(super) async fn watch(&self, patience: Duration) -> Late {
        loop {
            let (late, at) = self.0.lock().oldest();
            match at.and_then(|at| at.checked_add(patience)) {
                Some(end) if end <= Instant::now() => return late,
                Some(end) => tokio::time::sleep_until(end).await,
                // Nothing is the peer's; whatever becomes so has `patience` from then on.
                None => tokio::time::sleep(patience).await,
            }
        }
    }
}

impl Table {
    /// What the peer is to do, and since when.
    fn oldest(&self) -> (Late, Option<Instant>) {
        match self.open.is_empty() {
            true => (Late::Asking, Some(self.idle)),
            false => (Late::Taking, self.open.values().flatten().min().copied()),
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    id: u64,
}

impl Turn {
    /// Its answer: the peer is to take it.
    pub(super) fn answer(self, body: Body) -> Body {
        self.set(Some(Instant::now()));
        Body::new(Answer { body, rest: Bytes::new(), turn: self })
    }

    fn set(&self, since: Option<Instant>) {
        self.turns.0.lock().open.insert(self.id, since);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut table = self.turns.0.lock();
        table.open.remove(&self.id);
        if table.open.is_empty() {
            table.idle = Instant::now();
        }
    }
}

struct Answer {
    body: Body,
    /// Of the last piece that came.
    rest: Bytes,
    turn: Turn,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let polled = Pin::new(&mut this.body).poll_frame(context);
            this.turn.set(polled.is_ready().then(Instant::now));
            match ready!(polled) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        this.turn.set(Some(Instant::now()));
        let piece = this.rest.split_to(PIECE.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(body.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use http_body_util::BodyExt;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Whether the peer is late once `time` has passed.
    async fn late_after(turns: &Turns, time: Duration) -> Option<Late> {
        tokio::time::timeout(time, turns.watch(PATIENCE)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_asks_for_nothing_is_late() {
        let turns = Turns::new();
        let turn = turns.begin();
        assert_eq!(late_after(&turns, 100 * PATIENCE).await, None, "it is ours to answer");
        drop(turn);
        assert_eq!(late_after(&turns, PATIENCE / 2).await, None);
        assert_eq!(late_after(&turns, PATIENCE).await, Some(Late::Asking));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_late_and_one_that_waits_for_us_is_not() {
        let turns = Turns::new();
        let _untouched = turns.begin().answer(Body::from("answer"));
        assert_eq!(late_after(&turns, 2 * PATIENCE).await, Some(Late::Taking));

        let turns = Turns::new();
        let events = futures::stream::iter([Ok::<_, axum::Error>("event")]).chain(futures::stream::pending());
        let mut events = turns.begin().answer(Body::from_stream(events));
        assert!(events.frame().await.is_some());
        assert!(futures::poll!(std::pin::pin!(events.frame())).is_pending());
        assert_eq!(late_after(&turns, 100 * PATIENCE).await, None, "it waits for the next event");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_a_little_now_and_then_is_not_late() {
        let turns = Turns::new();
        let pieces = futures::stream::repeat_with(|| Ok::<_, axum::Error>("piece"));
        let mut body = turns.begin().answer(Body::from_stream(pieces));
        for _ in 0..9 {
            assert_eq!(late_after(&turns, PATIENCE / 2).await, None);
            assert!(body.frame().await.is_some());
        }
    }

    #[tokio::test]
    async fn what_is_long_comes_in_pieces_and_whole() {
        let long = Bytes::from(vec![7; 3 * PIECE + 1]);
        let mut body = Turns::new().begin().answer(Body::from(long.clone()));
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            assert_eq!(
                body.size_hint().exact(),
                Some((long.len() - whole.len()) as u64 - PIECE.min(long.len() - whole.len()) as u64)
            );
            whole.extend(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(whole, long);
    }
}
