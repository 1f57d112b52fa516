//! Who decides that a node gets no work, and what becomes of what it has.
//!
//! Start at [`Engine::set_node`]. Owners cordon and drain their own nodes; operators do so with every node, and
//! ban. This is kept and outlives links and restarts; that a worker wants no more work is a state of its link
//! ([`Link::Draining`](crate::state::Link)) and ends with it. A node is given work where both allow it.
//!
//! What is taken from a node is handed out again at once. Its container may go on until the worker hears of it, at most for
//! the rest of its lease; what it still reports is refused.
//!
//! Invariant: what is taken from a node because people decided so is nobody's failure: neither the task nor the
//! node's record counts it, and the requester pays nothing for it.

use crate::Engine;
use crate::attempts::Blame;
use crate::nodes::LinkEvent;
use crate::state::{Link, Node};
use hivemind_model::rows::Role;
use hivemind_model::service::{MAX_BAN_REASON_BYTES, MAX_DRAIN, NodeChange, Service};
use hivemind_model::text::is_unseen;
use hivemind_model::{AttemptRef, Code, Effect, NodeId, Rejection, Reply, Timestamp, UserId};

/// Where a change takes a node. A ban is lifted by an unban only.
fn after(service: &Service, change: NodeChange, now: Timestamp) -> Result<Service, Rejection> {
    match (service, change) {
        (Service::InService | Service::Cordoned | Service::Draining { .. }, NodeChange::Cordon) => {
            Ok(Service::Cordoned)
        }
        (Service::InService | Service::Cordoned | Service::Draining { .. }, NodeChange::Uncordon) => {
            Ok(Service::InService)
        }
        (Service::InService | Service::Cordoned | Service::Draining { .. }, NodeChange::Drain { within }) => {
            Ok(Service::Draining { until: now.after(within) })
        }
        (
            Service::InService | Service::Cordoned | Service::Draining { .. } | Service::Banned { .. },
            NodeChange::Ban { reason },
        ) => Ok(Service::Banned { reason }),
        (Service::Banned { .. }, NodeChange::Unban) => Ok(Service::InService),
        (same @ (Service::InService | Service::Cordoned | Service::Draining { .. }), NodeChange::Unban) => {
            Ok(same.clone())
        }
        (Service::Banned { reason }, NodeChange::Cordon | NodeChange::Uncordon | NodeChange::Drain { .. }) => {
            Err(Rejection::new(
                Code::Conflict,
                format!("the node is banned ({reason}); it gets no work until an operator unbans it"),
            ))
        }
    }
}

impl Engine {
    /// Changes whether a node gets work. A node of somebody else is not found, but by operators.
    pub(crate) fn set_node(
        &mut self,
        by: UserId,
        name: &str,
        change: NodeChange,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        let operator = self.user(by)?.role == Role::Operator;
        let node = self.node_names.get(&name.to_ascii_lowercase()).and_then(|id| self.nodes.get(id));
        let node = node.filter(|node| node.row.name == name && (operator || node.row.owner == by));
        let Some(node) = node else {
            return Err(Rejection::field(Code::NotFound, "node_id", "no such node, or it is not yours"));
        };
        check_change(operator, &change)?;
        let (id, service) = (node.row.id, after(&node.row.service, change, now)?);
        let banned = matches!(service, Service::Banned { .. });
        self.set_service(id, service, now);
        if banned {
            self.put_out(id, now);
        }
        Ok(Reply::Done)
    }

    /// Refuses a node that is banned.
    pub(crate) fn refuse_banned(node: &Node) -> Result<(), Rejection> {
        match &node.row.service {
            Service::InService | Service::Cordoned | Service::Draining { .. } => Ok(()),
            Service::Banned { reason } => {
                let why = format!(
                    "`{}` is banned from this pool: {reason}; its operator can lift that, then start the worker again",
                    node.row.name
                );
                Err(Rejection::field(Code::Forbidden, "node_id", why))
            }
        }
    }

    /// Gives up what still runs on the nodes whose drain is at its deadline; they are cordoned from then on.
    pub(crate) fn end_drains(&mut self, now: Timestamp) {
        while let Some(&(_, id)) = self.drains.first().filter(|(until, _)| *until <= now) {
            self.set_service(id, Service::Cordoned, now);
            self.take_back(id, "its node was drained", now);
        }
    }

    fn set_service(&mut self, id: NodeId, service: Service, now: Timestamp) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.row.service == service {
            return;
        }
        if let Service::Draining { until } = node.row.service {
            self.drains.remove(&(until, id));
        }
        if let Service::Draining { until } = service {
            self.drains.insert((until, id));
        }
        let works = matches!(service, Service::InService);
        node.row.service = service;
        self.touch_node(id);
        self.refresh_placeable(id);
        if !works {
            self.return_backlog(id, "its node was taken out of service", now);
        }
    }

    /// Ends the link of a banned node, and gives up what it has.
    fn put_out(&mut self, id: NodeId, now: Timestamp) {
        self.take_back(id, "its node was banned", now);
        if let Some(session) = self.nodes.get(&id).and_then(Node::linked_session) {
            self.pending.effects.push(Effect::Unlink { node: id, session });
            self.move_link(id, LinkEvent::Lost, now);
        }
        if self.nodes.get(&id).is_some_and(|node| node.link == Link::Offline) {
            self.losses.forget(id);
        }
    }

    /// Stops everything on a node; all of it is tried elsewhere at once.
    fn take_back(&mut self, id: NodeId, reason: &str, now: Timestamp) {
        let mut live: Vec<AttemptRef> =
            self.nodes.get(&id).into_iter().flat_map(|node| node.live.iter().copied()).collect();
        self.queued_first(&mut live);
        for attempt in live {
            self.tell_stop(id, attempt);
            self.give_up(attempt, reason, Blame::Nobody, now);
        }
        self.forget_ghosts_on(id, now);
    }
}

fn check_change(operator: bool, change: &NodeChange) -> Result<(), Rejection> {
    let forbidden =
        |what| Rejection::new(Code::Forbidden, format!("only an operator {what} a node; you can cordon it"));
    match change {
        NodeChange::Cordon | NodeChange::Uncordon => Ok(()),
        NodeChange::Drain { within } if *within <= MAX_DRAIN => Ok(()),
        NodeChange::Drain { .. } => Err(Rejection::invalid(
            "deadline_seconds",
            format!("is more than {}, which is 30 days; cordon the node to have no deadline", MAX_DRAIN.0 / 1000),
        )),
        NodeChange::Ban { .. } if !operator => Err(forbidden("bans")),
        NodeChange::Ban { reason } => check_reason(reason),
        NodeChange::Unban if !operator => Err(forbidden("unbans")),
        NodeChange::Unban => Ok(()),
    }
}

fn check_reason(reason: &str) -> Result<(), Rejection> {
    if reason.trim().is_empty() {
        return Err(Rejection::invalid("reason", "is missing; the owner of the node is told it"));
    }
    if reason.len() > MAX_BAN_REASON_BYTES || reason.chars().any(is_unseen) {
        return Err(Rejection::invalid(
            "reason",
            format!(
                "is longer than {MAX_BAN_REASON_BYTES} bytes or contains a control character, or one that hides or turns around text"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::Millis;
    use std::fmt::Write as _;

    #[test]
    fn every_pair() {
        let now = Timestamp(100);
        let states = [
            Service::InService,
            Service::Cordoned,
            Service::Draining { until: Timestamp(101) },
            Service::Banned { reason: "old".into() },
        ];
        let changes = [
            NodeChange::Cordon,
            NodeChange::Uncordon,
            NodeChange::Drain { within: Millis(9) },
            NodeChange::Ban { reason: "new".into() },
            NodeChange::Unban,
        ];
        let mut table = String::new();
        for change in changes {
            let ends = states.each_ref().map(|state| match after(state, change.clone(), now) {
                Ok(Service::Banned { reason }) => format!("banned: {reason}"),
                Ok(Service::Draining { until }) => format!("draining {}", until.0),
                Ok(other) => other.as_str().into(),
                Err(no) => no.code.to_string(),
            });
            let _ = writeln!(table, "{change:?}: {}", ends.join(", "));
        }
        insta::assert_snapshot!(table, @r#"
        Cordon: cordoned, cordoned, cordoned, E_CONFLICT
        Uncordon: in service, in service, in service, E_CONFLICT
        Drain { within: Millis(9) }: draining 109, draining 109, draining 109, E_CONFLICT
        Ban { reason: "new" }: banned: new, banned: new, banned: new, banned: new
        Unban: in service, cordoned, draining 101, in service
        "#);
    }
}
