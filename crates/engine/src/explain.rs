//! Where an open task stands, and what keeps it there.
//!
//! Start at [`Engine::explain`].
//!
//! Invariant: nothing here changes anything; the work is bounded by the nodes, by [`MOST_BEFORE`], and by the elements of
//! the task and of those that it waits for.

use crate::Engine;
use crate::state::{Stage, Task};
use crate::view::{LinkState, link_state};
use crate::waits::{BlockedBy, FirstWaiting};
use hivemind_model::spec::Need;
use hivemind_model::{AttemptRef, ElementRef, MilliCores, NodeId, Resources, TaskId, Timestamp};
use hivemind_placement::{Constraints, WhyWaiting, constraints, explain};

/// Counts of what stands before something end here.
pub const MOST_BEFORE: usize = 10_000;

/// Where an open task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Elements that wait, for a node or for another task.
    pub waiting: usize,
    /// Those of them that wait for another task.
    pub blocked: usize,
    /// The open tasks for which it waits, no more than [`MOST_BLOCKERS`](crate::MOST_BLOCKERS).
    pub blocked_by: Vec<BlockedBy>,
    /// Elements that are handed out or run.
    pub live: usize,
    /// The first of those that wait; one that waits for a node, where there is one.
    pub first_waiting: Option<WhyItWaits>,
    /// The first of those that are handed out.
    pub first_live: Option<WhereItRuns>,
    /// When the hold expires, and with it the task.
    pub expires_at: Option<Timestamp>,
    /// When its requester gives up what has not ended, or what was never handed out; `None`: not before that.
    pub gives_up_at: Option<Timestamp>,
}

/// What an element waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyItWaits {
    /// Which.
    pub element: ElementRef,
    /// Since when its task is there.
    pub since: Timestamp,
    /// In one sentence, as far as the nodes go.
    pub why: WhyWaiting,
    /// How the nodes stand to it.
    pub constraints: Constraints,
    /// Its place in the queue; `None` while it is not to be tried, or waits for another task.
    pub place: Option<Place>,
    /// What it failed of, where that was no fault of its own.
    pub faults: Option<Faults>,
    /// What it failed of by its own doing, where it is tried again after that.
    pub failures: Option<Faults>,
    /// True where a node is kept free for it.
    pub node_reserved: bool,
    /// The nodes that could run it and rest; `None` where there are none.
    pub resting: Option<Resting>,
    /// How many nodes could run it, but have used up what they may take today.
    pub spent: usize,
    /// How many nodes could run it, but their owners let them take nothing new now.
    pub kept_by_owners: usize,
    /// True where another task blocks it.
    pub is_blocked: bool,
}

/// Nodes that get no work for a while because they failed everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// So many.
    pub nodes: usize,
    /// When the first of them works again.
    pub until: Timestamp,
}

/// Why an attempt of a lost node is not tried elsewhere yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptWhy {
    /// Most nodes vanished at once: the pool suspects itself and holds back.
    Brake,
    /// Its task waits for lost nodes.
    Patience,
}

/// What is served before an element; both counts end at [`MOST_BEFORE`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Requesters whose turn comes before this one's.
    pub requesters_before: usize,
    /// Elements of the same requester that come before it.
    pub own_before: usize,
}

/// Attempts that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// So many.
    pub count: u32,
    /// How many are taken: through no fault of the task the last of them fails it, of its own doing the next.
    pub most: u32,
    /// When it is tried again; `None` where it may be tried now.
    pub not_before: Option<Timestamp>,
}

/// An attempt that is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhereItRuns {
    /// Which.
    pub attempt: AttemptRef,
    /// On which node.
    pub node: NodeId,
    /// How that one's link is.
    pub link: LinkState,
    /// When it was handed out.
    pub assigned_at: Timestamp,
    /// When its command started; `None` while it is being prepared.
    pub started_at: Option<Timestamp>,
    /// True where it waits on the node, in its backlog, until there is room.
    pub queued: bool,
    /// Where the node is lost: why the attempt stays there, and until when.
    pub kept: Option<(KeptWhy, Timestamp)>,
}

impl Engine {
    /// Where an open task stands, and what keeps it there; `None` where it has ended or never was. Looks at
    /// every linked node where something of it waits.
    #[must_use]
    pub fn explain(&self, task: TaskId) -> Option<Explanation> {
        let open = self.tasks.get(&task)?;
        let waiting = open.waiting;
        let live = open.elements.len() - waiting - open.row.progress.ended.total();
        let first = self.first_waiting(open);
        let from = ElementRef { task, index: 0 }.attempt(0);
        let first_live = self.live.range(from..).next().map(|(attempt, _)| *attempt);
        Some(Explanation {
            waiting: waiting as usize,
            blocked: first.as_ref().map_or(0, |first| usize::try_from(first.blocked).unwrap_or(usize::MAX)),
            blocked_by: self.blocked_by(open),
            live: live as usize,
            first_waiting: first.map(|first| self.wait_of(open, &first)),
            first_live: first_live.filter(|attempt| attempt.element.task == task).and_then(|at| self.run_of(at)),
            expires_at: self.ledger.hold(task).map(|hold| hold.expires_at),
            gives_up_at: self.gives_up_at(open),
        })
    }

    fn wait_of(&self, task: &Task, first: &FirstWaiting<'_>) -> WhyItWaits {
        let FirstWaiting { at, element, not_before, is_blocked, blocked: _ } = *first;
        let need = &task.need;
        let limits = &self.policy.limits;
        // People ask for whole cores.
        let cpu = MilliCores::from_cores(1).min(need.resources.cpu);
        let least = Resources { cpu, memory: limits.min_memory, disk: limits.min_disk, gpus: 0 };
        let delayed = self.delayed.contains_key(&(not_before, at));
        let rank = task.rank(at);
        let failed =
            |count, most| (count > 0).then_some(Faults { count, most, not_before: delayed.then_some(not_before) });
        WhyItWaits {
            element: at,
            since: task.row.submitted_at,
            why: explain(self.working(), need),
            constraints: constraints(self.working(), need, &least),
            place: (!delayed && !is_blocked).then(|| Place {
                requesters_before: self.queue.turns_before(task.row.user, MOST_BEFORE),
                own_before: self.queue.own_before(task.row.user, rank, MOST_BEFORE),
            }),
            faults: failed(element.faults, self.policy.max_infrastructure_failures),
            failures: failed(element.failures, task.row.spec.retries),
            node_reserved: self.reserved.as_ref().is_some_and(|kept| kept.rank == rank),
            resting: self.resting(need),
            spent: self.spent.iter().filter(|id| self.would_run(**id, need)).count(),
            kept_by_owners: self.kept_by_owners(need),
            is_blocked,
        }
    }

    /// The nodes that could run something with this need if they did not rest.
    pub(crate) fn resting(&self, need: &Need) -> Option<Resting> {
        let rests = self.rests.iter().filter(|(_, id)| self.would_run(*id, need));
        let until = rests.clone().map(|(until, _)| *until).next()?;
        Some(Resting { nodes: rests.count(), until })
    }

    /// How many nodes could run something with this need if their owners let them.
    pub(crate) fn kept_by_owners(&self, need: &Need) -> usize {
        let kept = self.nodes.values().filter(|node| node.willing_session().is_some() && !node.available.takes_work());
        kept.filter(|node| node.view().could_run(need)).count()
    }

    /// True where a node is there, big enough, and would work if it were let.
    fn would_run(&self, id: NodeId, need: &Need) -> bool {
        let node = self.nodes.get(&id).filter(|node| node.willing_session().is_some());
        node.is_some_and(|node| node.view().could_run(need))
    }

    fn run_of(&self, attempt: AttemptRef) -> Option<WhereItRuns> {
        let live = self.live.get(&attempt)?;
        let node = self.nodes.get(&live.node)?;
        let started_at = match live.stage {
            Stage::Queued | Stage::Assigned => None,
            Stage::Running { started_at } => Some(started_at),
        };
        let held = self.losses.held_until(live.node).map(|until| (KeptWhy::Brake, until));
        let unknown = live.unknown.map(|unknown| (KeptWhy::Patience, unknown.until));
        Some(WhereItRuns {
            attempt,
            node: live.node,
            link: link_state(node.link),
            assigned_at: live.assigned_at,
            started_at,
            queued: live.stage == Stage::Queued,
            kept: held.or(unknown),
        })
    }
}
