//! Nodes: enrolled once, linked, broken off, lost.
//!
//! Start at [`Engine::connected`]: a link comes up, and both sides agree on which attempts live.
//!
//! Invariant: what a node says of itself never touches another node; its identity comes with the
//! command, from a certificate that was checked before.

use crate::Engine;
use crate::accounts::check_name;
use crate::attempts::Blame;
use crate::state::{Link, Live, Node, Stage};
use hivemind_model::command::{JoinUse, NodeOffer};
use hivemind_model::rows::{NodeRow, UsedToken};
use hivemind_model::service::Service;
use hivemind_model::{
    AttemptRef, Bytes, Code, ElementRef, MilliCores, NodeId, Rejection, Reply, Resources, Timestamp, UserId,
};
use hivemind_trust::standing::enrolled;
use std::collections::BTreeSet;

/// Longest name of a node, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Longest description of a graphics processor, in bytes.
const MAX_GPU_BYTES: usize = 256;

/// What happens to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// A link with a higher session number is up.
    Connected { session: u64 },
    /// The link with the current number is down.
    Disconnected,
    /// The node was silent for too long.
    Lost,
    /// The worker wants no more work.
    Drain,
}

impl Link {
    /// Where an event takes the link.
    pub(crate) const fn after(self, event: LinkEvent) -> Self {
        match (self, event) {
            (
                Self::Offline | Self::Away | Self::Up { .. } | Self::Draining { .. },
                LinkEvent::Connected { session },
            ) => Self::Up { session },
            (Self::Offline | Self::Away | Self::Up { .. } | Self::Draining { .. }, LinkEvent::Lost) => Self::Offline,
            (Self::Offline, LinkEvent::Disconnected | LinkEvent::Drain) => Self::Offline,
            (Self::Away, LinkEvent::Disconnected | LinkEvent::Drain) => Self::Away,
            (Self::Up { .. } | Self::Draining { .. }, LinkEvent::Disconnected) => Self::Away,
            (Self::Up { session } | Self::Draining { session }, LinkEvent::Drain) => Self::Draining { session },
        }
    }
}

impl Engine {
    /// Enrols a machine, or changes what an enrolled machine of the same owner offers.
    pub(crate) fn enroll(
        &mut self,
        owner: UserId,
        offer: NodeOffer,
        token: Option<JoinUse>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let nodes = self.user(owner)?.nodes;
        check_offer(&offer)?;
        if let Some(token) = &token {
            self.check_token(token, now)?;
        }
        let folded = offer.name.to_ascii_lowercase();
        let known =
            self.node_names.get(&folded).and_then(|id| self.nodes.get(id)).map(|node| (node.row.id, node.row.owner));
        let id = match known {
            Some((_, other)) if other != owner => {
                return Err(Rejection::field(
                    Code::Taken,
                    "node_id",
                    format!("`{}` is taken by a node of another owner; choose another name", offer.name),
                ));
            }
            Some((id, _)) => {
                self.nodes.get(&id).map_or(Ok(()), Self::refuse_banned)?;
                self.set_offer(id, offer);
                self.promote(id, now);
                id
            }
            None => {
                let most = self.policy.limits.max_nodes_per_owner;
                if nodes >= most {
                    return Err(Rejection::new(
                        Code::Busy,
                        format!("you have {most} nodes, the most that this pool takes from one owner"),
                    ));
                }
                self.new_node(owner, offer, folded, now)
            }
        };
        if let Some(JoinUse { id, expires_at }) = token {
            self.token_expiry.insert((expires_at, id.clone()));
            self.used_tokens.insert(id.clone(), expires_at);
            self.pending.used_tokens.push(UsedToken { id, expires_at });
        }
        Ok(Reply::Enrolled { node: id })
    }

    /// A link is up. The attempts that the node has and should have go on; what it has and should
    /// not have is answered; what it should have and has not is tried again elsewhere at once.
    pub(crate) fn connected(
        &mut self,
        id: NodeId,
        session: u64,
        offer: NodeOffer,
        holds: &[AttemptRef],
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let node = self.nodes.get(&id).ok_or_else(|| Rejection::not_found(id))?;
        Self::refuse_banned(node)?;
        if session <= node.session {
            return Err(Rejection::new(
                Code::Conflict,
                format!("link {session} of {id} is older than its link {}; open a new one", node.session),
            ));
        }
        if !offer.name.eq_ignore_ascii_case(&node.row.name) {
            let why =
                format!("`{}` is not the name of the node whose certificate this is (`{}`)", offer.name, node.row.name);
            return Err(Rejection::field(Code::Forbidden, "node_id", why));
        }
        check_offer(&offer)?;
        self.losses.expect(id);
        self.meet_ghosts(id, holds, now);
        let Some(node) = self.nodes.get(&id) else { return Err(Rejection::not_found(id)) };
        let (kept, stale): (Vec<AttemptRef>, Vec<AttemptRef>) =
            holds.iter().partition(|attempt| node.has(&self.live, **attempt));
        let kept: BTreeSet<AttemptRef> = kept.into_iter().collect();
        let mut missing: Vec<AttemptRef> = node.live.difference(&kept).copied().collect();
        self.queued_first(&mut missing);
        self.move_link(id, LinkEvent::Connected { session }, now);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.session = session;
            node.row.seen_at = now;
        }
        self.set_offer(id, offer);
        self.promote(id, now);
        for attempt in kept {
            self.watch_again(attempt, now);
        }
        for attempt in missing {
            self.give_up(attempt, "the node came back without it", Blame::Node, now);
        }
        Ok(Reply::Connected { stale })
    }

    /// A link is down. Its attempts keep their leases; nothing new is placed there.
    pub(crate) fn disconnected(&mut self, id: NodeId, session: u64, now: Timestamp) -> Result<Reply, Rejection> {
        if self.session_of(id)? == Some(session) {
            self.move_link(id, LinkEvent::Disconnected, now);
        }
        Ok(Reply::Done)
    }

    /// The worker of a node wants no more work over this link; what is live goes on, but for its backlog.
    pub(crate) fn drain(&mut self, id: NodeId, session: u64, now: Timestamp) -> Result<Reply, Rejection> {
        if self.session_of(id)? == Some(session) {
            self.move_link(id, LinkEvent::Drain, now);
            self.return_backlog(id, "its node takes no more work", now);
        }
        Ok(Reply::Done)
    }

    /// Brings the set of nodes that can be given work in line with one node.
    pub(crate) fn refresh_placeable(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        match node.takes_work() {
            true => self.fleet.set(node.view()),
            false => self.fleet.remove(id),
        }
        self.note_room(id);
    }

    /// Notes that a node has the image and the inputs of an element, since it ran it.
    pub(crate) fn note_cached(&mut self, id: NodeId, at: ElementRef) {
        let (Some(task), Some(node)) = (self.tasks.get(&at.task), self.nodes.get_mut(&id)) else { return };
        let mut is_new = node.images.note(task.need.image);
        // The largest last: it is the newest then.
        for input in task.inputs().iter().rev() {
            is_new |= node.inputs.note(input.key);
        }
        if is_new {
            self.refresh_placeable(id);
        }
    }

    /// As [`Engine::refresh_placeable`], where only what is free on the node has changed.
    pub(crate) fn refresh_room(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        self.fleet.set_free(id, node.free());
        self.note_room(id);
    }

    fn note_room(&mut self, id: NodeId) {
        if self.nodes.get(&id).is_some_and(Node::has_something_free) {
            self.placeable.insert(id);
            self.stirred = true;
        } else {
            self.placeable.remove(&id);
        }
        self.refresh_backlog(id);
    }

    fn new_node(&mut self, owner: UserId, offer: NodeOffer, folded: String, now: Timestamp) -> NodeId {
        let id = NodeId(self.counters.node);
        self.counters.node += 1;
        self.pending.counters_moved = true;
        let row = NodeRow {
            id,
            name: offer.name,
            owner,
            capacity: offer.capacity,
            gpu_info: offer.gpu_info,
            enrolled_at: now,
            seen_at: now,
            service: Service::InService,
            labels: offer.labels,
            isolation: offer.isolation,
            kinds: offer.kinds,
            egress: offer.egress,
        };
        let trust = enrolled(id, row.capacity.cpu, now, &self.policy.trust);
        self.nodes.insert(id, Node::new(row, trust));
        self.node_names.insert(folded, id);
        self.touch_node(id);
        self.touch_standing(id);
        self.touch_trust(id, now);
        if let Some(user) = self.users.get_mut(&owner) {
            user.nodes += 1;
        }
        id
    }

    /// Takes what a node offers now. Where that is less than what is reserved, nothing more is
    /// placed there until enough has ended.
    fn set_offer(&mut self, id: NodeId, offer: NodeOffer) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.row.capacity = offer.capacity;
            node.row.gpu_info = offer.gpu_info;
            node.row.labels = offer.labels;
            node.row.isolation = offer.isolation;
            node.row.kinds = offer.kinds;
            node.row.egress = offer.egress;
            node.refresh_ceiling();
        }
        self.touch_node(id);
        self.whole = None;
        self.refresh_placeable(id);
    }

    pub(crate) fn move_link(&mut self, id: NodeId, event: LinkEvent, at: Timestamp) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.link = node.link.after(event);
        }
        self.node_alive(id, at);
        self.whole = None;
        self.refresh_placeable(id);
    }

    /// Goes on with an attempt whose node is back with it; one that outlived a restart of the pool gets its deadline
    /// back.
    fn watch_again(&mut self, attempt: AttemptRef, now: Timestamp) {
        self.set_known(attempt);
        let overdue_after = self.policy.overdue_after;
        let max_runtime = self.max_runtime(attempt.element.task);
        let queued_until = self.queued_until(now);
        if let Some(live @ Live { deadline: None, .. }) = self.live.get_mut(&attempt) {
            let deadline = match live.stage {
                Stage::Queued => queued_until,
                Stage::Assigned | Stage::Running { .. } => {
                    live.assigned_at.after(max_runtime).max(now).after(overdue_after)
                }
            };
            live.deadline = Some(deadline);
            self.deadlines.insert((deadline, attempt));
        }
    }

    fn session_of(&self, id: NodeId) -> Result<Option<u64>, Rejection> {
        self.nodes.get(&id).map(Node::linked_session).ok_or_else(|| Rejection::not_found(id))
    }

    fn check_token(&self, token: &JoinUse, now: Timestamp) -> Result<(), Rejection> {
        if token.expires_at <= now {
            return Err(Rejection::new(Code::TokenExpired, "the join token has expired; ask the pool for a new one"));
        }
        if self.used_tokens.contains_key(&token.id) {
            return Err(Rejection::new(
                Code::TokenUsed,
                "the join token was used before; each one enrols one machine, ask the pool for a new one",
            ));
        }
        Ok(())
    }
}

fn check_offer(offer: &NodeOffer) -> Result<(), Rejection> {
    check_name("node_id", &offer.name, 1, MAX_NAME_BYTES)?;
    if offer.gpu_info.len() > MAX_GPU_BYTES || offer.gpu_info.chars().any(char::is_control) {
        return Err(Rejection::invalid(
            "gpu_info",
            format!("is longer than {MAX_GPU_BYTES} bytes or contains a control character"),
        ));
    }
    let Resources { cpu, memory, .. } = offer.capacity;
    if cpu == MilliCores(0) {
        return Err(Rejection::invalid("cpu_cores", "is zero; a node must offer some"));
    }
    if memory == Bytes(0) {
        return Err(Rejection::invalid("memory_mb", "is zero; a node must offer some"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn every_pair_of_link_and_event() {
        let links = [Link::Offline, Link::Away, Link::Up { session: 1 }, Link::Draining { session: 1 }];
        let events = [LinkEvent::Connected { session: 2 }, LinkEvent::Disconnected, LinkEvent::Lost, LinkEvent::Drain];
        let mut table = String::new();
        for event in events {
            let after: Vec<String> = links.map(|link| format!("{:?}", link.after(event))).into();
            let _ = writeln!(table, "{event:?}: {}", after.join(", "));
        }
        insta::assert_snapshot!(table, @r"
        Connected { session: 2 }: Up { session: 2 }, Up { session: 2 }, Up { session: 2 }, Up { session: 2 }
        Disconnected: Offline, Away, Away, Away
        Lost: Offline, Offline, Offline, Offline
        Drain: Offline, Away, Draining { session: 1 }, Draining { session: 1 }
        ");
    }
}
