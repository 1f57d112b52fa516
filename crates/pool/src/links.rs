//! The open worker links, by node.
//!
//! Effects are routed here. A link whose queue is full, or whose session is another, is closed
//! or left alone; the worker connects again and says what it holds, so nothing is lost.
//!
//! Invariant: sending never waits.

use hivemind_model::{AttemptRef, NodeId, TaskSpec, Timestamp};
use hivemind_proto::worker::pool_event::Event;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages that may wait on one link; a specification in it is shared, not copied.
pub(crate) const QUEUE: usize = 65_536;
/// Sessions that one millisecond can number.
const SESSIONS_PER_MS_BITS: u32 = 20;

/// Something to send to a worker.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// An attempt; turned into its message when it is sent.
    Assign(AttemptRef, Arc<TaskSpec>),
    /// Anything else.
    Event(Box<Event>),
}

struct Link {
    session: u64,
    queue: mpsc::Sender<Outgoing>,
    closed: CancellationToken,
    draining: bool,
    runtime: String,
}

/// See the module.
pub(crate) struct Links {
    links: Mutex<HashMap<NodeId, Link>>,
    next_session: AtomicU64,
}

impl Links {
    /// No links; sessions are numbered from the time of the start, so that they grow over restarts.
    pub(crate) fn new(started_at: Timestamp) -> Self {
        let first = u64::try_from(started_at.0).unwrap_or(0) << SESSIONS_PER_MS_BITS;
        Self { links: Mutex::default(), next_session: AtomicU64::new(first) }
    }

    /// Puts a new link in the place of the node's older one, which is closed.
    pub(crate) fn open(
        &self,
        node: NodeId,
        runtime: String,
        closed: CancellationToken,
    ) -> (u64, mpsc::Receiver<Outgoing>) {
        let session = self.next_session.fetch_add(1, Ordering::Relaxed);
        let (queue, receiver) = mpsc::channel(QUEUE);
        let old = self.links.lock().insert(node, Link { session, queue, closed, draining: false, runtime });
        if let Some(old) = old {
            old.closed.cancel();
        }
        (session, receiver)
    }

    /// Queues something on the node's link of that session; closes the link where it is full.
    pub(crate) fn send(&self, node: NodeId, session: u64, message: Outgoing) {
        let mut links = self.links.lock();
        let Some(link) = links.get(&node).filter(|link| link.session == session) else { return };
        if let Err(error) = link.queue.try_send(message) {
            tracing::warn!(%node, session, %error, "closing a worker link that takes nothing more");
            link.closed.cancel();
            links.remove(&node);
        }
    }

    /// Forgets a link that has ended.
    pub(crate) fn close(&self, node: NodeId, session: u64) {
        let mut links = self.links.lock();
        if links.get(&node).is_some_and(|link| link.session == session) {
            links.remove(&node);
        }
    }

    /// Closes the node's link, whatever its session.
    pub(crate) fn close_node(&self, node: NodeId) {
        if let Some(link) = self.links.lock().remove(&node) {
            link.closed.cancel();
        }
    }

    /// Closes the node's link of that session.
    pub(crate) fn unlink(&self, node: NodeId, session: u64) {
        let mut links = self.links.lock();
        if links.get(&node).is_some_and(|link| link.session == session)
            && let Some(link) = links.remove(&node)
        {
            link.closed.cancel();
        }
    }

    /// The node wants no more work.
    pub(crate) fn drain(&self, node: NodeId, session: u64) {
        if let Some(link) = self.links.lock().get_mut(&node).filter(|link| link.session == session) {
            link.draining = true;
        }
    }

    /// `None` where the node has no link, else whether it drains.
    pub(crate) fn state(&self, node: NodeId) -> Option<Drains> {
        self.links.lock().get(&node).map(|link| if link.draining { Drains::Yes } else { Drains::No })
    }

    /// The kind of runtime the linked worker has; empty where the node has no link.
    pub(crate) fn runtime(&self, node: NodeId) -> String {
        self.links.lock().get(&node).map(|link| link.runtime.clone()).unwrap_or_default()
    }

    /// The nodes with an open link.
    pub(crate) fn linked(&self) -> Vec<NodeId> {
        self.links.lock().keys().copied().collect()
    }

    /// How many links are open.
    pub(crate) fn count(&self) -> usize {
        self.links.lock().len()
    }
}

/// Whether a linked node takes new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drains {
    /// It takes none.
    Yes,
    /// It takes work.
    No,
}
