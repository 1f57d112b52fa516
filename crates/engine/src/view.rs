//! What the shell may know of the engine's state beside replies and rows.
//!
//! Invariant: nothing here changes anything.

use crate::Engine;
use crate::explain::Resting;
use crate::state::{Link, Node};
use hivemind_model::service::Service;
use hivemind_model::spec::Need;
use hivemind_model::{AttemptRef, Availability, NodeId, Resources, TaskId, TaskSpec, Timestamp, TrustTier, UserId};
use hivemind_placement::{Fleet, NodeView, Prospects, prospects};
use hivemind_trust::standing::left;
use std::sync::Arc;

/// Sizes, for people and for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that wait or are being prepared.
    pub pending: usize,
    /// Tasks of which something runs.
    pub running: usize,
    /// Elements that wait for a node; not those that wait for another task.
    pub waiting: usize,
    /// Attempts that are handed out or run.
    pub live: usize,
    /// Nodes that are linked.
    pub online_nodes: usize,
    /// Nodes that are enrolled.
    pub nodes: usize,
}

/// How a node's link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Not seen since the pool started, or lost.
    Offline,
    /// The link broke a moment ago.
    Away,
    /// Up, and its worker takes work.
    Online,
    /// Linked, but its worker wants no more work.
    Draining,
}

/// A node as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Which.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Who earns.
    pub owner: UserId,
    /// How its link is.
    pub link: LinkState,
    /// Whether people let it have work.
    pub service: Service,
    /// What it offers.
    pub capacity: Resources,
    /// What is promised to attempts.
    pub reserved: Resources,
    /// What nobody has reserved.
    pub free: Resources,
    /// Attempts that are handed out to it or run there.
    pub attempts: usize,
    /// Those of them that wait there for room.
    pub queued: usize,
    /// Where it failed everything: until when it gets no work.
    pub resting_until: Option<Timestamp>,
}

/// What a node's work has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeMerit {
    /// Which.
    pub id: NodeId,
    /// What its verified work, and that of its owner's nodes, amounts to.
    pub trust: TrustTier,
    /// Verified results in a row; halved by errors.
    pub verified: u16,
    /// Wrong results in its whole life.
    pub wrong: u16,
    /// What it may still be given today; `None` where it is known and may be given any number.
    pub quota_left: Option<u32>,
    /// Where it failed everything: until when it gets no work.
    pub resting_until: Option<Timestamp>,
    /// Whether its owner lets it work.
    pub available: Availability,
    /// Its speed in thousandths of that of others with the same work; `None` where it did too little.
    pub speed_in_tasks: Option<u32>,
}

/// A link as the shell sees it.
pub(crate) const fn link_state(link: Link) -> LinkState {
    match link {
        Link::Offline => LinkState::Offline,
        Link::Away => LinkState::Away,
        Link::Up { .. } => LinkState::Online,
        Link::Draining { .. } => LinkState::Draining,
    }
}

impl Engine {
    /// Sizes.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            pending: self.tasks.len() - self.running_tasks,
            running: self.running_tasks,
            waiting: self.queue.len() + self.delayed.len(),
            live: self.live.len(),
            online_nodes: self.node_sessions().count(),
            nodes: self.nodes.len(),
        }
    }

    /// Every linked node with the number of its link, by node.
    pub fn node_sessions(&self) -> impl Iterator<Item = (NodeId, u64)> {
        self.nodes.iter().filter_map(|(id, node)| Some((*id, node.linked_session()?)))
    }

    /// True where the node's link is up, draining or not.
    #[must_use]
    pub fn is_linked(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.linked_session().is_some())
    }

    /// Every node, by id.
    pub fn nodes_view(&self) -> impl Iterator<Item = NodeStatus> {
        self.nodes.values().map(|node| NodeStatus {
            id: node.row.id,
            name: node.row.name.clone(),
            owner: node.row.owner,
            link: link_state(node.link),
            service: node.row.service.clone(),
            capacity: node.row.capacity,
            reserved: node.reserved,
            free: node.free(),
            attempts: node.live.len(),
            queued: node.backlog.len(),
            resting_until: node.strain.resting_until,
        })
    }

    /// What the work of these nodes has shown; unknown ones are left out.
    #[must_use]
    pub fn merits(&self, nodes: &[NodeId]) -> Vec<NodeMerit> {
        let known = nodes.iter().filter_map(|id| self.nodes.get(id));
        let merit = |node: &Node| NodeMerit {
            id: node.row.id,
            trust: node.tier,
            verified: node.trust.valid,
            wrong: node.trust.wrong,
            quota_left: left(&node.trust, self.seen_at),
            resting_until: node.strain.resting_until,
            available: node.available.clone(),
            speed_in_tasks: node.form.speed_in_tasks(),
        };
        known.map(merit).collect()
    }

    /// Nodes that have attempts, by id. After a start none of them is linked: whoever has not
    /// come back when [`lost_after`](hivemind_model::Policy::lost_after) has passed is lost.
    pub fn nodes_with_attempts(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.values().filter(|node| !node.live.is_empty()).map(|node| node.row.id)
    }

    /// What an attempt is to do, where it is the current one on that node; the test for
    /// everything a node asks about an attempt.
    #[must_use]
    pub fn current(&self, node: NodeId, attempt: AttemptRef) -> Option<&Arc<TaskSpec>> {
        self.nodes.get(&node).filter(|node| node.has(&self.live, attempt))?;
        self.tasks.get(&attempt.element.task).map(|task| &task.row.spec)
    }

    /// Why the task waits, in one sentence; `None` where it does not: it has ended, or every
    /// element is handed out. Looks at every linked node.
    #[must_use]
    pub fn waiting_reason(&self, task: TaskId) -> Option<String> {
        let open = self.tasks.get(&task)?;
        let first = self.first_waiting(open)?;
        let why = if first.is_blocked {
            self.blocked_reason(open)
        } else if self.delayed.contains_key(&(first.not_before, first.at)) {
            self.pause_reason(open, first.element)
        } else {
            self.node_reason(&open.need)
        };
        Some(why + &self.until_when(open))
    }

    /// In one sentence, why no node takes an element with this need.
    fn node_reason(&self, need: &Need) -> String {
        let told = prospects(self.working(), need);
        let kept = if told.capable == 0 { self.kept_by_owners(need) } else { 0 };
        match self.resting(need).filter(|_| told.capable == 0) {
            Some(Resting { nodes, until }) => {
                let seconds = until.since(self.seen_at).0.div_ceil(1000);
                let nodes = match nodes {
                    1 => "the only node that could run it rests".into(),
                    more => format!("all {more} nodes that could run it rest"),
                };
                format!("{nodes}, because of failures in a row; the next try is in {seconds} s")
            }
            None if kept > 0 => kept_by_owners(kept),
            None => told.why.to_string(),
        }
    }

    /// The nodes that are given work, full or not, and how many more would be if they did not rest, had quota left, and
    /// their owners let them. The copy costs as much as there are nodes.
    #[must_use]
    pub fn fleet(&self) -> (Fleet, usize) {
        let idle = self.nodes.values().filter(|node| node.willing_session().is_some() && !node.takes_work());
        (self.fleet.clone(), idle.count())
    }

    /// Those of `tasks` that are not open here. A task that is open in the store and not here was lost, unless its end is
    /// being written.
    #[must_use]
    pub fn not_open(&self, tasks: &[TaskId]) -> Vec<TaskId> {
        tasks.iter().copied().filter(|task| !self.tasks.contains_key(task)).collect()
    }

    /// What the linked nodes could do for an element with this need. Looks at every node.
    #[must_use]
    pub fn prospects(&self, need: &Need) -> Prospects {
        prospects(self.working(), need)
    }

    /// Every node that is given work, full or not.
    pub(crate) fn working(&self) -> impl Iterator<Item = NodeView> {
        self.nodes.values().filter(|node| node.takes_work()).map(|node| node.view())
    }
}

/// In one sentence, why nothing starts on nodes that could run it.
fn kept_by_owners(nodes: usize) -> String {
    let nodes = match nodes {
        1 => "the only node that could run it takes".into(),
        more => format!("all {more} nodes that could run it take"),
    };
    format!("{nodes} nothing new now, by the owner's rules; the task starts when one does again")
}
