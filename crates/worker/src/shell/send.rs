//! What the shell hands to the transport.
//!
//! Start at [`Shell::flush`].
//!
//! Invariant: nothing here waits; where the transport takes nothing more, what is left stays in the outbox.

use super::Shell;
use crate::agent::Link;
use crate::event::Event;
use hivemind_model::AttemptRef;
use hivemind_proto::worker::{self as wire, worker_event::Event as Outgoing};
use tokio::time::Instant;

impl Shell {
    pub(super) fn send_hello(&self, holds: &[AttemptRef]) {
        let hello = wire::Hello {
            offer: Some(self.offer.clone()),
            holds: holds.iter().map(|attempt| (*attempt).into()).collect(),
        };
        let message = wire::WorkerMessage { events: vec![wire::WorkerEvent { event: Some(Outgoing::Hello(hello)) }] };
        if let Some(line) = &self.line
            && line.out.try_send(message).is_err()
        {
            // A new line has room; one that is closed is about to be reported as lost.
            line.close.cancel();
        }
    }

    /// Hands as much as there is room for to the transport.
    pub(crate) fn flush(&mut self) {
        self.blocked = false;
        let mut bad = Vec::new();
        while self.agent.link() == Link::Up && self.outbox.has_message() {
            let Some(line) = &self.line else { return };
            let permit = match line.out.try_reserve() {
                Ok(permit) => permit,
                Err(tokio::sync::mpsc::error::TrySendError::Full(())) => {
                    self.blocked = true;
                    break;
                }
                // The link task says so in a moment.
                Err(tokio::sync::mpsc::error::TrySendError::Closed(())) => break,
            };
            match self.outbox.next_message(&mut bad) {
                Some(message) => permit.send(message),
                None => break,
            }
            let now = Instant::now();
            if self.outbox.wants_heartbeat()
                && let Some(action) = self.agent.extra_heartbeat(now)
            {
                self.perform(action, now);
            }
        }
        for log in bad {
            self.warn(format!("the output of {} cannot be read back: {}", log.attempt, log.error));
            self.tell(Event::LogsLost { attempt: log.attempt });
        }
    }

    /// Resolves when the transport takes messages again.
    pub(crate) async fn room(&self) {
        match &self.line {
            // Where it is closed the link task says so; until then there is nothing to wait for here.
            Some(line) if line.out.reserve().await.is_ok() => {}
            Some(_) | None => std::future::pending().await,
        }
    }

    /// True where nothing waits to be sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.agent.link() != Link::Up || !self.outbox.has_message()
    }
}
