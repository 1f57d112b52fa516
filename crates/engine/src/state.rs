//! What the engine keeps in memory beside the rows.
//!
//! Invariant: every field here can be derived from rows, or may be forgotten at a restart.

use crate::shares::Charge;
use hivemind_model::rows::{
    AttemptPhase, AttemptRow, Element, ElementPhase, NodeRow, Role, StandingRow, Tally, TaskRow,
};
use hivemind_model::service::Service;
use hivemind_model::spec::Need;
use hivemind_model::state::Outcome;
use hivemind_model::{
    AttemptRef, Cpt, ElementRef, Level, Millis, NodeId, Resources, TaskId, TaskState, Timestamp, UserId,
};
use hivemind_placement::{NodeView, Rank};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A user, as far as bounds and names need it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) role: Role,
    /// The first user with the same address, as far as it tells persons apart.
    pub(crate) person: UserId,
    pub(crate) open_tasks: u32,
    pub(crate) nodes: u32,
    pub(crate) projects: u32,
}

impl User {
    pub(crate) fn new(username: String, role: Role, person: UserId) -> Self {
        Self { username, role, person, open_tasks: 0, nodes: 0, projects: 0 }
    }
}

/// A task that has not ended, or ended within this batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) row: TaskRow,
    /// Elements whose command runs.
    pub(crate) running: usize,
    /// Elements that have ended.
    pub(crate) ended: usize,
    /// True once its row left in a batch.
    pub(crate) stored: bool,
    /// True where it changed in this batch.
    pub(crate) dirty: bool,
}

impl Task {
    pub(crate) fn element(&self, index: u32) -> Option<&Element> {
        self.row.progress.elements.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn element_mut(&mut self, index: u32) -> Option<&mut Element> {
        self.row.progress.elements.get_mut(usize::try_from(index).ok()?)
    }

    /// What one element can cost at most.
    pub(crate) fn element_cap(&self) -> Cpt {
        let elements = i64::try_from(self.row.progress.elements.len()).unwrap_or(i64::MAX).max(1);
        Cpt::from_micro(self.row.cap.micro() / elements)
    }

    pub(crate) fn rank(&self, element: ElementRef) -> Rank {
        Rank::new(self.row.spec.priority, self.row.submitted_at, element)
    }

    pub(crate) fn need(&self) -> Need {
        self.row.spec.need()
    }

    /// The state that the elements amount to.
    pub(crate) fn derived_state(&self) -> TaskState {
        if self.ended < self.row.progress.elements.len() {
            return if self.running > 0 { TaskState::Running } else { TaskState::Pending };
        }
        let outcomes = || {
            self.row.progress.elements.iter().filter_map(|element| match &element.phase {
                ElementPhase::Ended { outcome } => Some(outcome),
                ElementPhase::Waiting { .. } | ElementPhase::Live => None,
            })
        };
        if outcomes().any(|outcome| *outcome == Outcome::Cancelled) {
            TaskState::Cancelled
        } else if outcomes().all(Outcome::is_success) {
            TaskState::Completed
        } else {
            TaskState::Failed
        }
    }
}

/// How far a live attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Assigned,
    Running { started_at: Timestamp },
}

/// The current attempt of an element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Live {
    pub(crate) number: u32,
    pub(crate) node: NodeId,
    pub(crate) assigned_at: Timestamp,
    pub(crate) stage: Stage,
    /// When it is overdue. After a restart there is none until its node is back: the node may
    /// have had the result all the while that the pool was away.
    pub(crate) deadline: Option<Timestamp>,
    /// When what it earned is metered next; `None` while its command does not run, and once all of it is.
    pub(crate) meter: Option<Timestamp>,
    /// What its requester was charged for it.
    pub(crate) charge: Charge,
    /// Where earlier attempts failed through no fault of the task.
    pub(crate) failed_on: Vec<NodeId>,
    /// True where it changed in this batch.
    pub(crate) dirty: bool,
}

impl Live {
    pub(crate) fn row(&self, element: ElementRef) -> AttemptRow {
        let phase = match self.stage {
            Stage::Assigned => AttemptPhase::Assigned,
            Stage::Running { started_at } => AttemptPhase::Running { started_at },
        };
        AttemptRow { attempt: element.attempt(self.number), node: self.node, assigned_at: self.assigned_at, phase }
    }
}

/// The link to a node's worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not seen since the start, or lost.
    Offline,
    /// The link broke a moment ago; its attempts keep their leases.
    Away,
    /// Takes work.
    Up { session: u64 },
    /// Linked, but its worker wants no more.
    Draining { session: u64 },
}

/// An enrolled machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) row: NodeRow,
    pub(crate) link: Link,
    /// The newest session number that was seen.
    pub(crate) session: u64,
    pub(crate) reserved: Resources,
    /// What may be reserved at most: the capacity, or what was reserved when it shrank below that.
    pub(crate) ceiling: Resources,
    pub(crate) live: BTreeSet<ElementRef>,
    /// True where its row changed in this batch.
    pub(crate) dirty: bool,
    /// What it has done.
    pub(crate) standing: StandingRow,
    /// True where that changed in this batch.
    pub(crate) standing_dirty: bool,
    /// What it had reached when the last period ended.
    pub(crate) level: Level,
}

impl Node {
    pub(crate) fn new(row: NodeRow) -> Self {
        let ceiling = row.capacity;
        let standing = StandingRow { node: row.id, runtime: Millis(0), alive_since: None, period: Tally::default() };
        Self {
            row,
            link: Link::Offline,
            session: 0,
            reserved: Resources::default(),
            ceiling,
            live: BTreeSet::new(),
            dirty: false,
            standing,
            standing_dirty: false,
            level: Level::None,
        }
    }

    /// The session to which effects go, while there is one.
    pub(crate) fn linked_session(&self) -> Option<u64> {
        match self.link {
            Link::Offline | Link::Away => None,
            Link::Up { session } | Link::Draining { session } => Some(session),
        }
    }

    /// The session over which it is given work: its link is up, its worker wants work, and people let it have some.
    pub(crate) fn working_session(&self) -> Option<u64> {
        match (self.link, &self.row.service) {
            (Link::Up { session }, Service::InService) => Some(session),
            (Link::Up { .. }, Service::Cordoned | Service::Draining { .. } | Service::Banned { .. })
            | (Link::Offline | Link::Away | Link::Draining { .. }, _) => None,
        }
    }

    /// True where it is given work and has room for any.
    pub(crate) fn has_something_free(&self) -> bool {
        let free = self.free();
        self.working_session().is_some() && free.cpu.0 > 0 && free.memory.0 > 0
    }

    /// What nobody has reserved; zero in a dimension where more is reserved than there is now.
    pub(crate) fn free(&self) -> Resources {
        let (capacity, reserved) = (&self.row.capacity, &self.reserved);
        Resources {
            cpu: hivemind_model::MilliCores(capacity.cpu.0.saturating_sub(reserved.cpu.0)),
            memory: hivemind_model::Bytes(capacity.memory.0.saturating_sub(reserved.memory.0)),
            disk: hivemind_model::Bytes(capacity.disk.0.saturating_sub(reserved.disk.0)),
            gpus: capacity.gpus.saturating_sub(reserved.gpus),
        }
    }

    pub(crate) fn view(&self) -> NodeView {
        NodeView { id: self.row.id, capacity: self.row.capacity, free: self.free(), level: self.level }
    }

    /// The ceiling follows the capacity, but never below what is reserved already.
    pub(crate) fn refresh_ceiling(&mut self) {
        let (capacity, reserved) = (&self.row.capacity, &self.reserved);
        self.ceiling = Resources {
            cpu: capacity.cpu.max(reserved.cpu),
            memory: capacity.memory.max(reserved.memory),
            disk: capacity.disk.max(reserved.disk),
            gpus: capacity.gpus.max(reserved.gpus),
        };
    }

    /// True where `attempt` is one of its own, given the attempt that is current.
    pub(crate) fn has(&self, live: &BTreeMap<ElementRef, Live>, attempt: AttemptRef) -> bool {
        live.get(&attempt.element).is_some_and(|live| live.number == attempt.number && live.node == self.row.id)
    }
}

/// How many ended tasks are kept for late questions.
const RECENT: usize = 65_536;

/// The owners of tasks that ended lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    users: BTreeMap<TaskId, UserId>,
    order: VecDeque<TaskId>,
}

impl Recent {
    pub(crate) fn push(&mut self, task: TaskId, user: UserId) {
        self.users.insert(task, user);
        self.order.push_back(task);
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.users.remove(&oldest);
        }
    }

    pub(crate) fn user(&self, task: TaskId) -> Option<UserId> {
        self.users.get(&task).copied()
    }
}
