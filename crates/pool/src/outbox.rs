//! What waits to be sent on one worker link, as the stream that the transport takes.
//!
//! Start at [`new`]. Nearly everything that goes over a link is the answer to a heartbeat, so no task stands
//! between the queue and the transport: the stream reads the queue itself, many events into one message.
//!
//! Invariant: the Welcome is the first message, the reason of the end the last; a queue that nobody reads is
//! emptied when its link has ended.

use crate::links::Outgoing;
use futures::Stream;
use hivemind_proto::worker::pool_event::Event;
use hivemind_proto::worker::{Assign, HeartbeatAck, PoolEvent, PoolMessage};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// Messages that may wait on one link; a specification in it is shared, not copied.
const QUEUE: usize = 65_536;
/// How long a link that has ended may take to send what is queued.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Most events of one message.
const EVENTS: usize = 256;
/// A message that has reached so many bytes takes no further event.
const MESSAGE_BYTES: usize = 1 << 20;

type Waiting = Arc<Mutex<mpsc::Receiver<Outgoing>>>;

/// The pool's end of an outbox.
pub(crate) struct Inlet {
    /// Takes the message that is sent before all that is queued.
    pub(crate) welcome: oneshot::Sender<PoolMessage>,
    /// Takes the rest; what is queued waits for the Welcome, or until there is none.
    pub(crate) queue: mpsc::Sender<Outgoing>,
}

/// Ends an outbox.
pub(crate) struct Ending {
    reason: oneshot::Sender<Status>,
    taken: oneshot::Receiver<()>,
    waiting: Waiting,
}

/// See the module.
pub(crate) struct Outbox {
    welcome: Option<oneshot::Receiver<PoolMessage>>,
    waiting: Waiting,
    reason: Option<oneshot::Receiver<Status>>,
    /// Dropped with the stream, or at its end.
    taken: Option<oneshot::Sender<()>>,
}

/// An outbox without anything in it.
pub(crate) fn new() -> (Inlet, Outbox, Ending) {
    let (queue, receiver) = mpsc::channel(QUEUE);
    let (welcome, first) = oneshot::channel();
    let (reason, last) = oneshot::channel();
    let (taken, all_taken) = oneshot::channel();
    let waiting = Arc::new(Mutex::new(receiver));
    let outbox = Outbox { welcome: Some(first), waiting: waiting.clone(), reason: Some(last), taken: Some(taken) };
    (Inlet { welcome, queue }, outbox, Ending { reason, taken: all_taken, waiting })
}

impl Ending {
    /// Sends what is still queued, as long as the worker reads, then the reason, where there is one.
    pub(crate) async fn end(self, reason: Option<Status>) {
        if let Some(reason) = reason {
            // A worker that has gone wants no reason.
            let _gone = self.reason.send(reason);
        } else {
            drop(self.reason);
        }
        // Both ways of ending the wait are as good.
        let _taken = tokio::time::timeout(LAST_WORDS, self.taken).await;
        empty(&self.waiting);
    }
}

/// Nothing more comes into the queue, and what was in it is forgotten.
fn empty(waiting: &Waiting) {
    let mut waiting = waiting.lock();
    waiting.close();
    while waiting.try_recv().is_ok() {}
}

impl Stream for Outbox {
    type Item = Result<PoolMessage, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(welcome) = &mut this.welcome {
            let first = ready!(Pin::new(welcome).poll(context));
            this.welcome = None;
            if let Ok(first) = first {
                return Poll::Ready(Some(Ok(first)));
            }
        }
        if let Some(message) = ready!(batch(&mut this.waiting.lock(), context)) {
            return Poll::Ready(Some(Ok(message)));
        }
        if let Some(reason) = &mut this.reason {
            let last = ready!(Pin::new(reason).poll(context));
            this.reason = None;
            if let Ok(last) = last {
                return Poll::Ready(Some(Err(last)));
            }
        }
        this.taken = None;
        Poll::Ready(None)
    }
}

/// What waits, up to the bounds of one message; `None` where nothing more comes.
fn batch(waiting: &mut mpsc::Receiver<Outgoing>, context: &mut Context<'_>) -> Poll<Option<PoolMessage>> {
    let Some(first) = ready!(waiting.poll_recv(context)) else { return Poll::Ready(None) };
    let mut events = vec![event(first)];
    let mut bytes = prost::Message::encoded_len(&events[0]);
    while events.len() < EVENTS
        && bytes < MESSAGE_BYTES
        && let Ok(next) = waiting.try_recv()
    {
        let next = event(next);
        bytes += prost::Message::encoded_len(&next);
        events.push(next);
    }
    Poll::Ready(Some(PoolMessage { events }))
}

fn event(outgoing: Outgoing) -> PoolEvent {
    let event = match outgoing {
        Outgoing::Assign(attempt, spec) => {
            Event::Assign(Assign { attempt: Some(attempt.into()), spec: Some((&*spec).into()) })
        }
        Outgoing::Beat(sequence) => Event::Beat(HeartbeatAck { sequence }),
        Outgoing::Event(event) => *event,
    };
    PoolEvent { event: Some(event) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    fn beats(message: &PoolMessage) -> Vec<u64> {
        let sequence = |event: &PoolEvent| match &event.event {
            Some(Event::Beat(ack)) => ack.sequence,
            other => panic!("{other:?}"),
        };
        message.events.iter().map(sequence).collect()
    }

    #[tokio::test]
    async fn the_welcome_comes_first_and_the_reason_last() {
        let (Inlet { welcome, queue }, mut outbox, ending) = new();
        for sequence in 0..300 {
            queue.try_send(Outgoing::Beat(sequence)).unwrap();
        }
        assert!(futures::poll!(outbox.next()).is_pending(), "nothing goes before the Welcome");
        welcome.send(PoolMessage::default()).unwrap();
        drop(queue);
        let end = tokio::spawn(ending.end(Some(Status::aborted("enough"))));
        assert_eq!(outbox.next().await.unwrap().unwrap(), PoolMessage::default());
        assert_eq!(beats(&outbox.next().await.unwrap().unwrap()), (0..256).collect::<Vec<_>>());
        assert_eq!(beats(&outbox.next().await.unwrap().unwrap()), (256..300).collect::<Vec<_>>());
        assert_eq!(outbox.next().await.unwrap().unwrap_err().message(), "enough");
        assert!(outbox.next().await.is_none());
        end.await.unwrap();
    }

    #[tokio::test]
    async fn a_link_without_a_welcome_says_why() {
        let (inlet, mut outbox, ending) = new();
        drop(inlet);
        let end = tokio::spawn(ending.end(Some(Status::invalid_argument("no Hello"))));
        assert_eq!(outbox.next().await.unwrap().unwrap_err().message(), "no Hello");
        assert!(outbox.next().await.is_none());
        end.await.unwrap();
    }

    #[tokio::test]
    async fn a_queue_that_is_emptied_ends_its_stream() {
        let (Inlet { welcome, queue }, mut outbox, ending) = new();
        drop(welcome);
        queue.try_send(Outgoing::Beat(1)).unwrap();
        empty(&ending.waiting);
        assert!(queue.is_closed());
        assert!(futures::poll!(outbox.next()).is_pending(), "the reason may still come");
        drop(ending);
        assert!(outbox.next().await.is_none());
    }
}
