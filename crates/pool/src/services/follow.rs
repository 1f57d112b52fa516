//! `FollowLogs`: what the newest attempt wrote, and what it goes on to write.
//!
//! Start at [`start`]. A new attempt begins again at offset 0 under its own number.
//!
//! Invariant: bytes of one stream of one attempt are sent in order, without gap or repetition.

use super::elements::{element, element_ref};
use super::kept;
use crate::blobs::blocking;
use crate::hub::Event;
use crate::logs::{Seen, Stream};
use crate::shared::Shared;
use crate::status;
use futures::stream::BoxStream;
use hivemind_model::rows::{AttemptPhase, AttemptRow, ElementPhase, TaskRow};
use hivemind_model::{AttemptRef, ElementRef, Rejection};
use hivemind_proto::v1::{FollowLogsRequest, LogChunk, log_chunk};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Bytes in one message.
const CHUNK: usize = 128 << 10;
/// Messages on the way to one follower.
const QUEUE: usize = 8;
/// How often it is asked whether an element of an array has ended.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Sends the logs of a task that is the caller's.
pub(super) fn start(
    shared: Arc<Shared>,
    row: TaskRow,
    request: &FollowLogsRequest,
) -> Result<BoxStream<'static, Result<LogChunk, Status>>, Rejection> {
    let offset = |field: &str, value: i64| {
        u64::try_from(value).map_err(|_| Rejection::invalid(field, format!("{value} is negative")))
    };
    let offsets = [offset("stdout_offset", request.stdout_offset)?, offset("stderr_offset", request.stderr_offset)?];
    let tail = offset("tail_bytes", request.tail_bytes)?;
    let at = element_ref(&row, request.element)?;
    let (out, stream) = mpsc::channel(QUEUE);
    let events = shared.live.hub.subscribe(row.user);
    let mut follower = Follower { shared, row, at, offsets, tail: (tail > 0).then_some(tail), out };
    let follow = request.follow;
    tokio::spawn(async move {
        let ended = if follow { follower.follow(events).await } else { follower.once().await };
        if let Err(Stopped::Fault(fault)) = ended {
            // A follower that has gone wants no reason.
            let _gone = follower.out.send(Err(fault)).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

struct Follower {
    shared: Arc<Shared>,
    row: TaskRow,
    at: ElementRef,
    offsets: [u64; 2],
    /// How much of what is there is sent of the attempt that comes first; what comes later is sent whole.
    tail: Option<u64>,
    out: mpsc::Sender<Result<LogChunk, Status>>,
}

enum Stopped {
    Gone,
    Fault(Status),
}

impl Follower {
    /// Sends what is there.
    async fn once(&mut self) -> Result<(), Stopped> {
        match self.newest().await? {
            Some(row) => {
                self.still_kept(&row).await?;
                self.skip_to_tail(row.attempt).await?;
                self.drain(row.attempt).await
            }
            None => Ok(()),
        }
    }

    /// Sends what is there and what comes, until the task has ended.
    async fn follow(&mut self, mut events: broadcast::Receiver<Event>) -> Result<(), Stopped> {
        let mut told: Option<AttemptRef> = None;
        let mut told_end = false;
        loop {
            // Asked before the attempt is: an attempt that a live task still gets makes an event.
            let over = self.over().await?;
            if let Some(row) = self.newest().await?.filter(|row| told != Some(row.attempt) || !told_end) {
                if told.is_some_and(|told| told != row.attempt) {
                    self.offsets = [0, 0];
                }
                told = Some(row.attempt);
                told_end = matches!(row.phase, AttemptPhase::Ended { .. });
                self.skip_to_tail(row.attempt).await?;
                self.attempt(&row).await?;
                if told_end {
                    continue;
                }
                // A row that was not ended is read again once something has happened: the store
                // may be a moment ahead of the board, and the rest must not be missed.
            }
            if over {
                return Ok(());
            }
            self.wait(&mut events).await?;
        }
    }

    /// Whether the element gets no further attempt.
    async fn over(&self) -> Result<bool, Stopped> {
        if self.shared.live.board.task(self.at.task).is_none() {
            return Ok(true);
        }
        if self.row.spec.array.is_none() {
            return Ok(false);
        }
        let element = element(&self.shared, &self.row, self.at).await.map_err(Stopped::Fault)?;
        Ok(matches!(element.phase, ElementPhase::Ended { .. }))
    }

    /// Sends one attempt's output until it has ended.
    async fn attempt(&mut self, row: &AttemptRow) -> Result<(), Stopped> {
        let attempt = row.attempt;
        if matches!(row.phase, AttemptPhase::Ended { .. }) {
            self.still_kept(row).await?;
            return self.drain(attempt).await;
        }
        let mut seen = self
            .shared
            .live
            .logs
            .follow(attempt)
            .map_err(|error| Stopped::Fault(status::file("reading logs", &error)))?;
        loop {
            let now = *seen.borrow_and_update();
            self.drain(attempt).await?;
            // The end may have come before this follower opened the log again.
            if now.ended || !self.shared.live.board.is_live(attempt) {
                self.shared.live.logs.end(attempt);
                return self.drain(attempt).await;
            }
            self.changed(&mut seen).await?;
        }
    }

    async fn still_kept(&self, row: &AttemptRow) -> Result<(), Stopped> {
        let gone = kept::logs_gone(&self.shared, &self.row, row).await;
        match gone.map_err(|error| Stopped::Fault(status::file("reading logs", &error)))? {
            Some(over) => Err(Stopped::Fault(status::rejected(&over))),
            None => Ok(()),
        }
    }

    async fn changed(&self, seen: &mut watch::Receiver<Seen>) -> Result<(), Stopped> {
        tokio::select! {
            () = self.shared.closing.cancelled() => Err(stopping()),
            () = self.out.closed() => Err(Stopped::Gone),
            // The sender goes with the end of the attempt; the caller looks.
            _ = seen.changed() => Ok(()),
        }
    }

    async fn wait(&self, events: &mut broadcast::Receiver<Event>) -> Result<(), Stopped> {
        let again = tokio::time::sleep(LOOK_AGAIN);
        tokio::pin!(again);
        loop {
            let event = tokio::select! {
                () = self.shared.closing.cancelled() => return Err(stopping()),
                () = self.out.closed() => return Err(Stopped::Gone),
                // An element that was never handed out ends without an event of its own.
                () = &mut again, if self.row.spec.array.is_some() => return Ok(()),
                event = events.recv() => event,
            };
            match event {
                Ok(Event::Moved(task, _)) if task == self.at.task => return Ok(()),
                Ok(Event::Attempt(element)) if element == self.at => return Ok(()),
                Ok(Event::Moved(..) | Event::Attempt(_) | Event::Progress(_)) => {}
                Err(RecvError::Lagged(_)) => return Ok(()),
                Err(RecvError::Closed) => {
                    *events = self.shared.live.hub.subscribe(self.row.user);
                    return Ok(());
                }
            }
        }
    }

    /// Leaves out, once, what stands before the tail of streams that are read from their beginnings.
    async fn skip_to_tail(&mut self, attempt: AttemptRef) -> Result<(), Stopped> {
        let Some(tail) = self.tail.take() else { return Ok(()) };
        let live = self.shared.live.clone();
        let lengths = blocking(move || live.logs.lengths(attempt)).await;
        let lengths = lengths.map_err(|error| Stopped::Fault(status::file("reading logs", &error)))?;
        for (offset, length) in self.offsets.iter_mut().zip([lengths.stdout, lengths.stderr]) {
            if *offset == 0 {
                *offset = length.saturating_sub(tail);
            }
        }
        Ok(())
    }

    /// Sends everything from the offsets on that is there now.
    async fn drain(&mut self, attempt: AttemptRef) -> Result<(), Stopped> {
        for (index, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            loop {
                let (live, offset) = (self.shared.live.clone(), self.offsets[index]);
                let data = blocking(move || live.logs.read(attempt, stream, offset, CHUNK)).await;
                let data = data.map_err(|error| Stopped::Fault(status::file("reading logs", &error)))?;
                if data.is_empty() {
                    break;
                }
                self.offsets[index] += data.len() as u64;
                let wire = match stream {
                    Stream::Stdout => log_chunk::Stream::Stdout,
                    Stream::Stderr => log_chunk::Stream::Stderr,
                };
                let chunk = LogChunk {
                    stream: wire.into(),
                    offset: i64::try_from(offset).unwrap_or(i64::MAX),
                    data: data.into(),
                    attempt: attempt.number,
                };
                self.out.send(Ok(chunk)).await.map_err(|_| Stopped::Gone)?;
            }
        }
        Ok(())
    }

    async fn newest(&self) -> Result<Option<AttemptRow>, Stopped> {
        let rows = self.shared.store.newest_attempts(&[self.row.source(self.at)]).await;
        Ok(rows.map_err(|error| Stopped::Fault(status::store(&error)))?.pop())
    }
}

fn stopping() -> Stopped {
    Stopped::Fault(Status::unavailable(
        "E_UNAVAILABLE: the pool is stopping; follow again from your offsets when it runs",
    ))
}
