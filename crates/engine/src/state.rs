//! What the engine keeps in memory beside the rows.
//!
//! Invariant: every field here can be derived from rows, or may be forgotten at a restart.

use crate::after::Way;
use crate::attempts::Blame;
use crate::backlog::Pace;
use crate::elements::Elements;
use crate::record::{Form, Walls};
use crate::rest::Strain;
use crate::shares::Charge;
use crate::spans::{self, Spans};
use hivemind_model::rows::{
    AttemptPhase, AttemptRow, Element, Ended, NodeRow, Role, StandingRow, Tally, TaskRow, TrustRow,
};
use hivemind_model::service::Service;
use hivemind_model::spec::{Digest, Need};
use hivemind_model::state::Outcome;
use hivemind_model::{
    AttemptRef, Availability, Cpt, ElementRef, Level, Millis, NodeId, Resources, TaskState, Timestamp, TrustTier,
    UserId,
};
use hivemind_placement::{Input, Keys, MAX_KEYS, NodeView, Rank};
use hivemind_trust::Recent;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A user, as far as bounds and names need it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) role: Role,
    /// The first user with the same address, as far as it tells persons apart.
    pub(crate) person: UserId,
    pub(crate) open_tasks: u32,
    /// Of all open tasks, ended ones too.
    pub(crate) open_elements: u64,
    pub(crate) nodes: u32,
    pub(crate) projects: u32,
}

impl User {
    pub(crate) fn new(username: String, role: Role, person: UserId) -> Self {
        Self { username, role, person, open_tasks: 0, open_elements: 0, nodes: 0, projects: 0 }
    }
}

/// How many open tasks another one waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Blockers {
    /// All its elements.
    pub(crate) whole: u32,
    /// Each element for that of the same index only.
    pub(crate) each: u32,
}

impl Blockers {
    /// Those of one kind.
    pub(crate) fn of(&mut self, way: Way) -> &mut u32 {
        match way {
            Way::Each => &mut self.each,
            Way::Whole => &mut self.whole,
        }
    }
}

/// A task that has not ended, or ended within this batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) row: TaskRow,
    pub(crate) elements: Elements,
    /// Attempts whose command runs.
    pub(crate) running: u32,
    /// Elements that wait, for a node or for something else.
    pub(crate) waiting: u32,
    /// What every element of it asks of a node.
    pub(crate) need: Need,
    /// How long its elements took.
    pub(crate) walls: Walls,
    /// Open tasks that it waits for.
    pub(crate) blockers: Blockers,
    /// When those of its elements that were never tried are given up.
    pub(crate) queue_until: Option<Timestamp>,
    /// True once its row left in a batch.
    pub(crate) stored: bool,
    /// True where its row, but for its elements, changed in this batch.
    pub(crate) dirty: bool,
    /// True where it is among those that changed in this batch.
    pub(crate) listed: bool,
}

impl Task {
    /// A task of which no element was tried.
    pub(crate) fn new(row: TaskRow) -> Self {
        let count = row.spec.elements();
        let need = row.spec.need();
        Self {
            row,
            elements: Elements::fresh(count),
            running: 0,
            waiting: count,
            need,
            walls: Walls::default(),
            blockers: Blockers::default(),
            queue_until: None,
            stored: false,
            dirty: false,
            listed: false,
        }
    }

    /// What each of its elements reads, the largest files first, as many as are remembered of a node.
    pub(crate) fn inputs(&self) -> Box<[Input]> {
        let key = |digest: &Digest| digest.0.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte));
        let files = self.row.spec.files.iter().map(|file| &file.blob);
        let mut inputs: Vec<Input> = files.map(|blob| Input { key: key(&blob.digest), bytes: blob.size.0 }).collect();
        inputs.sort_unstable_by_key(|input| (Reverse(input.bytes), input.key));
        inputs.truncate(MAX_KEYS);
        inputs.into()
    }

    fn position(&self, index: u32) -> Option<u32> {
        match &self.row.spec.array {
            Some(array) => array.indices.position(index),
            None => (index == 0).then_some(0),
        }
    }

    pub(crate) fn element(&self, index: u32) -> Option<&Element> {
        self.elements.get(self.position(index)?)
    }

    pub(crate) fn element_mut(&mut self, index: u32) -> Option<&mut Element> {
        let position = self.position(index)?;
        self.elements.get_mut(position)
    }

    /// Every element with its index.
    pub(crate) fn elements(&self) -> impl Iterator<Item = (ElementRef, &Element)> {
        let task = self.row.progress.id;
        let (plain, indices) = match &self.row.spec.array {
            Some(array) => (None, Some(array.indices.iter())),
            None => (Some(0), None),
        };
        let indices = plain.into_iter().chain(indices.into_iter().flatten());
        indices.map(move |index| ElementRef { task, index }).zip(self.elements.iter())
    }

    /// First and last index of each range.
    pub(crate) fn ranges(&self) -> &[(u32, u32)] {
        self.row.spec.array.as_ref().map_or(&[(0, 0)], |array| array.indices.ranges())
    }

    /// The elements with the indices in `spans`, equal ones of an untouched chunk together, each run with its first and
    /// last index.
    pub(crate) fn runs(&self, spans: &[(u32, u32)]) -> impl Iterator<Item = (u32, u32, &Element)> {
        // Neighbouring indices of one range have neighbouring positions.
        spans::intersect(spans, self.ranges()).into_iter().flat_map(|(first, last)| {
            let from = self.position(first).unwrap_or(0);
            let runs = self.elements.runs_in(from, from.saturating_add(last - first));
            runs.map(move |(begin, end, element)| (first + (begin - from), first + (end - from), element))
        })
    }

    /// Those of `spans` whose element is as `is` says.
    pub(crate) fn spans_where(&self, spans: &[(u32, u32)], is: impl Fn(&Element) -> bool) -> Spans {
        let mut found = Spans::new();
        for (first, last, _) in self.runs(spans).filter(|(_, _, element)| is(element)) {
            spans::push(&mut found, first, last);
        }
        found
    }

    /// Ends the elements of `spans`, all of which are its own, in the same way.
    pub(crate) fn end_spans(&mut self, spans: &[(u32, u32)], outcome: &Outcome) {
        for (first, last) in spans::intersect(spans, self.ranges()) {
            if let Some(from) = self.position(first) {
                self.elements.end(from, from.saturating_add(last - first), outcome);
            }
        }
    }

    /// What one paid attempt can cost at most.
    pub(crate) fn attempt_cap(&self) -> Cpt {
        let attempts = u64::from(self.elements.len()).saturating_mul(self.row.spec.paid_attempts());
        Cpt::from_micro(self.row.cap.micro() / i64::try_from(attempts).unwrap_or(i64::MAX).max(1))
    }

    pub(crate) fn rank(&self, element: ElementRef) -> Rank {
        Rank::new(self.row.spec.priority, self.row.submitted_at, element)
    }

    /// How many of its elements may fail; `None`: all of them.
    pub(crate) fn max_fails(&self) -> Option<u32> {
        self.row.spec.array.as_ref().and_then(|array| array.max_fails)
    }

    /// Ended elements, in hundredths of all.
    pub(crate) fn percent(&self) -> u8 {
        let ended = u64::from(self.row.progress.ended.total());
        u8::try_from(ended * 100 / u64::from(self.elements.len()).max(1)).unwrap_or(100)
    }

    /// The state that the elements amount to. An array runs from its first attempt on.
    pub(crate) fn derived_state(&self) -> TaskState {
        let ended = self.row.progress.ended;
        let (all, some) = (ended.total() == self.elements.len(), ended.total() > 0);
        match (all, ended) {
            (false, _) if self.running > 0 || some => TaskState::Running,
            (false, _) => TaskState::Pending,
            (true, Ended { cancelled: 1.., .. }) => TaskState::Cancelled,
            (true, Ended { failed: 1.., .. }) => TaskState::Failed,
            (true, Ended { .. }) => TaskState::Completed,
        }
    }
}

/// How far a live attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In the backlog of its node: it has no room yet. Stored as [`Stage::Assigned`].
    Queued,
    Assigned,
    Running {
        started_at: Timestamp,
    },
}

/// An attempt of which nothing is known: its node is lost, and its task waits for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Then it is tried elsewhere.
    pub(crate) until: Timestamp,
    /// Whose failure that will be.
    pub(crate) blame: Blame,
}

/// A current attempt of an element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Live {
    pub(crate) node: NodeId,
    pub(crate) assigned_at: Timestamp,
    pub(crate) stage: Stage,
    /// Its place among all that was handed out since the start.
    pub(crate) order: u64,
    /// True where its node has begun it before it had room here: the news that made room on the node is still on its way.
    pub(crate) begun: bool,
    /// Since when it has room on its node; means nothing while it has none.
    pub(crate) reserved_at: Timestamp,
    pub(crate) unknown: Option<Unknown>,
    /// When it is overdue, or, where it is queued, goes back to the queue. After a restart there is none until its node is back: the node may
    /// have had the result all the while that the pool was away.
    pub(crate) deadline: Option<Timestamp>,
    /// For how long it stood still for the owner of its node, up to the last time that it went on.
    pub(crate) stood: Millis,
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
    pub(crate) fn row(&self, attempt: AttemptRef) -> AttemptRow {
        let phase = match self.stage {
            Stage::Queued | Stage::Assigned => AttemptPhase::Assigned,
            Stage::Running { started_at } => AttemptPhase::Running { started_at },
        };
        AttemptRow { attempt, node: self.node, assigned_at: self.assigned_at, phase }
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
    pub(crate) live: BTreeSet<AttemptRef>,
    /// Those of them that have no room yet, in the order in which they were handed out.
    pub(crate) backlog: BTreeSet<(u64, AttemptRef)>,
    /// As how long its backlog stands among those that have room in it.
    pub(crate) hungry: Option<usize>,
    /// How short its latest attempts were.
    pub(crate) pace: Pace,
    /// How it fails.
    pub(crate) strain: Strain,
    /// True where its row changed in this batch.
    pub(crate) dirty: bool,
    /// What it has done.
    pub(crate) standing: StandingRow,
    /// True where that changed in this batch.
    pub(crate) standing_dirty: bool,
    /// What it had reached when the last period ended.
    pub(crate) level: Level,
    /// What its verified work has shown.
    pub(crate) trust: TrustRow,
    /// True where that changed in this batch.
    pub(crate) trust_dirty: bool,
    /// What its trust, and that of its owner's nodes, amounts to.
    pub(crate) tier: TrustTier,
    /// Whether its owner lets it work.
    pub(crate) available: Availability,
    /// Since when it stands still for its owner.
    pub(crate) paused_since: Option<Timestamp>,
    /// True where it has used up what it may take today.
    pub(crate) spent: bool,
    /// Elements that are not decided and of which it has a copy.
    pub(crate) at_stake: u32,
    /// What was accepted with a vote of it lately.
    pub(crate) recent: Recent,
    /// The images that it ran last.
    pub(crate) images: Lately,
    /// The inputs that it read last.
    pub(crate) inputs: Lately,
    /// How it did lately.
    pub(crate) form: Form,
}

/// Keys of what a node used last, images or inputs: what it is likely to have still.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lately {
    newest_first: VecDeque<u64>,
    keys: Keys,
}

impl Lately {
    /// Notes that it was used; true where it was not among them.
    pub(crate) fn note(&mut self, key: u64) -> bool {
        if self.newest_first.front() == Some(&key) {
            return false;
        }
        let new = !self.keys.has(key);
        self.newest_first.retain(|other| *other != key);
        self.newest_first.push_front(key);
        self.newest_first.truncate(MAX_KEYS);
        if new {
            self.keys = Keys::of(self.newest_first.iter().copied());
        }
        new
    }
}

impl Node {
    pub(crate) fn new(row: NodeRow, trust: TrustRow) -> Self {
        let ceiling = row.capacity;
        let standing = StandingRow { node: row.id, runtime: Millis(0), alive_since: None, period: Tally::default() };
        Self {
            row,
            link: Link::Offline,
            session: 0,
            reserved: Resources::default(),
            ceiling,
            live: BTreeSet::new(),
            backlog: BTreeSet::new(),
            hungry: None,
            pace: Pace::default(),
            strain: Strain::default(),
            dirty: false,
            standing,
            standing_dirty: false,
            level: Level::None,
            trust,
            trust_dirty: false,
            tier: TrustTier::New,
            available: Availability::Open,
            paused_since: None,
            spent: false,
            at_stake: 0,
            recent: Recent::default(),
            images: Lately::default(),
            inputs: Lately::default(),
            form: Form::default(),
        }
    }

    /// The session to which effects go, while there is one.
    pub(crate) fn linked_session(&self) -> Option<u64> {
        match self.link {
            Link::Offline | Link::Away => None,
            Link::Up { session } | Link::Draining { session } => Some(session),
        }
    }

    /// The session over which it is given work: it is willing, does not rest, and its owner lets
    /// it work.
    pub(crate) fn working_session(&self) -> Option<u64> {
        self.willing_session().filter(|_| self.strain.resting_until.is_none() && self.available.takes_work())
    }

    /// The session of a node whose link is up, whose worker wants work, and which people let have some.
    pub(crate) fn willing_session(&self) -> Option<u64> {
        match (self.link, &self.row.service) {
            (Link::Up { session }, Service::InService) => Some(session),
            (Link::Up { .. }, Service::Cordoned | Service::Draining { .. } | Service::Banned { .. })
            | (Link::Offline | Link::Away | Link::Draining { .. }, _) => None,
        }
    }

    /// True where it is given work, full or not.
    pub(crate) fn takes_work(&self) -> bool {
        self.working_session().is_some() && !self.spent
    }

    /// Promises `need` to an attempt.
    ///
    /// Against the ceiling, not the capacity: a node may offer less of something than it has reserved, and the attempt
    /// need none of it.
    pub(crate) fn reserve(&mut self, attempt: AttemptRef, need: &Resources) {
        let reserved = self.reserved.checked_add(need).filter(|reserved| self.ceiling.covers(reserved));
        self.reserved = reserved.unwrap_or_else(|| panic!("T5: {attempt} does not fit on {}", self.row.id));
    }

    /// As [`Node::reserve`], for an attempt that had its room already, whatever the pool knew of it.
    pub(crate) fn reserve_anyway(&mut self, attempt: AttemptRef, need: &Resources) {
        let reserved = self.reserved.checked_add(need);
        self.reserved = reserved.unwrap_or_else(|| panic!("T5: {attempt} does not fit on any node"));
        self.refresh_ceiling();
    }

    /// Takes back what an attempt was promised.
    pub(crate) fn release(&mut self, attempt: AttemptRef, need: &Resources) {
        let reserved = self.reserved.checked_sub(need);
        self.reserved =
            reserved.unwrap_or_else(|| panic!("T5: {} has less reserved than {attempt} took", self.row.name));
        self.refresh_ceiling();
    }

    /// True where it is given work and has room for any.
    pub(crate) fn has_something_free(&self) -> bool {
        let free = self.free();
        self.takes_work() && free.cpu.0 > 0 && free.memory.0 > 0
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
        NodeView {
            free: self.free(),
            level: self.level,
            trust: self.tier,
            isolation: self.row.isolation,
            kinds: self.row.kinds,
            egress: self.row.egress.clone(),
            labels: self.row.labels.clone(),
            images: self.images.keys.clone(),
            inputs: self.inputs.keys.clone(),
            reliability: self.form.reliability(),
            speed: self.form.speed(),
            ..NodeView::plain(self.row.id, self.row.owner, self.row.capacity)
        }
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
    pub(crate) fn has(&self, live: &BTreeMap<AttemptRef, Live>, attempt: AttemptRef) -> bool {
        live.get(&attempt).is_some_and(|live| live.node == self.row.id)
    }
}
