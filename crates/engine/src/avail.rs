//! Owners let their machines work, or not, from one moment to the next.
//!
//! Start at [`Engine::avail`]. A machine that is finishing gets nothing new. On one that is paused what runs stands
//! still, too: that time is neither paid nor counted for the end of the attempt. The worker gives back what stood
//! still for too long; where it does not, the pool takes it back after [`Policy::most_pause`].
//!
//! Invariant: no decision of an owner counts against their machine.
//!
//! [`Policy::most_pause`]: hivemind_model::Policy::most_pause

use crate::Engine;
use crate::state::{Live, Node};
use hivemind_model::{AttemptRef, Availability, Millis, NodeId, Rejection, Reply, Timestamp};

/// Longest pauses that one attempt is given in all.
const MOST_PAUSES: u64 = 8;

impl Node {
    /// For how long an attempt of it stood still since `from`, at `now`.
    fn stood(&self, live: &Live, from: Timestamp, now: Timestamp) -> Millis {
        let still = self.paused_since.map(|since| now.since(since.max(from))).unwrap_or_default();
        Millis(live.stood.0.saturating_add(still.0))
    }
}

impl Engine {
    /// The owner of a node, or a rule of theirs, lets it work or not; news of an older link change nothing.
    pub(crate) fn avail(
        &mut self,
        id: NodeId,
        session: u64,
        state: Availability,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let node = self.nodes.get_mut(&id).ok_or_else(|| Rejection::not_found(id))?;
        if node.linked_session() != Some(session) || node.available == state {
            return Ok(Reply::Done);
        }
        let stands = matches!(state, Availability::Paused { .. });
        node.available = state;
        match (node.paused_since, stands) {
            (None, true) => self.stand_still(id, now),
            (Some(since), false) => self.go_on(id, since, now),
            (None, false) | (Some(_), true) => {}
        }
        if self.nodes.get(&id).is_some_and(|node| !node.available.takes_work()) {
            self.return_backlog(id, "the owner of its node lets it take no more work", now);
        }
        self.whole = None;
        self.refresh_placeable(id);
        Ok(Reply::Done)
    }

    /// How long an attempt ran since `from`: without the time in which it stood still, and no longer than it may.
    pub(crate) fn ran(&self, attempt: AttemptRef, from: Timestamp, now: Timestamp) -> Millis {
        let stood = self.live.get(&attempt).and_then(|live| {
            let node = self.nodes.get(&live.node)?;
            Some(node.stood(live, from, now))
        });
        let span = now.since(from).0.saturating_sub(stood.unwrap_or_default().0);
        Millis(span).min(self.max_runtime(attempt.element.task))
    }

    fn stand_still(&mut self, id: NodeId, now: Timestamp) {
        let most = self.policy.most_pause;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.paused_since = Some(now);
        }
        for attempt in self.with_room(id) {
            let lent = self.lent(attempt, most);
            self.move_deadline(attempt, |deadline| deadline.after(lent));
        }
    }

    /// How much later an attempt may end for a pause that begins: as long as the longest pause, of which it is given
    /// [`MOST_PAUSES`] in all, so that a machine that pauses again and again keeps nothing for ever.
    fn lent(&self, attempt: AttemptRef, most: Millis) -> Millis {
        let stood = self.live.get(&attempt).map_or(0, |live| live.stood.0);
        Millis(most.0.min(most.0.saturating_mul(MOST_PAUSES).saturating_sub(stood)))
    }

    fn go_on(&mut self, id: NodeId, since: Timestamp, now: Timestamp) {
        let most = self.policy.most_pause;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.paused_since = None;
        }
        for attempt in self.with_room(id) {
            let unused = self.lent(attempt, most).0.saturating_sub(now.since(since).0);
            if let Some(live) = self.live.get_mut(&attempt) {
                let still = now.since(since.max(live.reserved_at));
                live.stood = Millis(live.stood.0.saturating_add(still.0));
            }
            self.move_deadline(attempt, |deadline| deadline.before(Millis(unused)).max(now));
        }
    }

    /// The attempts of a node that do not wait in its backlog.
    fn with_room(&self, id: NodeId) -> Vec<AttemptRef> {
        let Some(node) = self.nodes.get(&id) else { return Vec::new() };
        let queued = |attempt: &AttemptRef| {
            self.live.get(attempt).is_some_and(|live| node.backlog.contains(&(live.order, *attempt)))
        };
        node.live.iter().copied().filter(|attempt| !queued(attempt)).collect()
    }

    fn move_deadline(&mut self, attempt: AttemptRef, to: impl FnOnce(Timestamp) -> Timestamp) {
        if let Some(Live { deadline: Some(deadline), .. }) = self.live.get_mut(&attempt) {
            self.deadlines.remove(&(*deadline, attempt));
            *deadline = to(*deadline);
            self.deadlines.insert((*deadline, attempt));
        }
    }
}
