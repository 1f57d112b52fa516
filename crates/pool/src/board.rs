//! The board: what is durable and still live, for everybody who may not wait for the writer.
//!
//! Links check attempts here, watchers read states here, lists of nodes count reservations here,
//! statements find the names of users, nodes and projects here.
//! It follows the durable batches one by one and never runs ahead of them. Start at
//! [`Board::follow`].
//!
//! Invariant: nothing is decided here; the engine alone decides.

use hivemind_model::rows::{AttemptPhase, AttemptRow, Ended, NodeRow, Recovered, Role, RowChanges, TaskRow, UserRow};
use hivemind_model::verify::Rule;
use hivemind_model::{
    AttemptRef, Bytes, ElementRef, MilliCores, NodeId, ProjectId, Resources, TaskId, TaskSpec, TaskState, Timestamp,
    UserId,
};
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An open task.
#[derive(Debug, Clone)]
pub(crate) struct OpenTask {
    /// Who pays.
    pub(crate) user: UserId,
    /// Where it stands.
    pub(crate) state: TaskState,
    /// What is asked for.
    pub(crate) spec: Arc<TaskSpec>,
    /// When it was accepted.
    pub(crate) submitted_at: Timestamp,
    /// How many of its elements ended how.
    pub(crate) ended: Ended,
    /// Attempts of it whose command runs.
    pub(crate) running: u32,
    /// What the live attempts of it say is done, in percent, added up.
    partial: u64,
}

impl From<&TaskRow> for OpenTask {
    fn from(row: &TaskRow) -> Self {
        Self {
            user: row.user,
            state: row.progress.state,
            spec: row.spec.clone(),
            submitted_at: row.submitted_at,
            ended: row.progress.ended,
            running: 0,
            partial: 0,
        }
    }
}

impl OpenTask {
    /// How much of an array is done, in percent: its ended elements, and the part that those which run say is done;
    /// 100 only where all have ended. `None` for a plain task.
    pub(crate) fn percent(&self) -> Option<u8> {
        let elements = self.spec.array.as_ref().map(|array| array.indices.len())?;
        let ended = u64::from(self.ended.total());
        if ended >= elements {
            return Some(100);
        }
        let partial = match self.spec.verify.rule {
            Rule::First => self.partial.min((elements - ended) * 100),
            // Several copies of one element are no more of the whole than one.
            Rule::Quorum { .. } | Rule::Confidence { .. } | Rule::Known { .. } => 0,
        };
        u8::try_from(((ended * 100 + partial) / elements).min(99)).ok()
    }
}

/// A live attempt.
#[derive(Debug, Clone)]
pub(crate) struct LiveAttempt {
    /// Whether its command runs.
    pub(crate) running: bool,
    /// Where it is.
    pub(crate) node: NodeId,
    /// 0 to 100, as its node says.
    pub(crate) percent: u8,
    /// What happens, as its node says; empty: nothing to say.
    pub(crate) note: Arc<str>,
}

/// What came of a node's word about an attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted {
    /// Whose task it is.
    pub(crate) user: UserId,
    /// True where the progress of the task may have changed by it.
    pub(crate) shows: bool,
}

/// What the attempts on a node use together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reserved {
    /// How many there are.
    pub(crate) attempts: i32,
    /// What was promised to them.
    pub(crate) resources: Resources,
}

/// How many tasks are open.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Waiting, or handed out and not started.
    pub(crate) pending: i64,
    /// Running.
    pub(crate) running: i64,
}

#[derive(Default)]
struct Inner {
    tasks: HashMap<TaskId, OpenTask>,
    /// By element and number: copies of one element live beside each other.
    live: BTreeMap<AttemptRef, LiveAttempt>,
    nodes: HashMap<NodeId, NodeRow>,
    reserved: HashMap<NodeId, Reserved>,
    counts: Counts,
    user_names: HashMap<UserId, (Arc<str>, Role)>,
    project_names: HashMap<ProjectId, Arc<str>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Board {
    inner: RwLock<Inner>,
}

impl Board {
    /// The board as the store has it at the start.
    pub(crate) fn recovered(rows: &Recovered) -> Self {
        let mut inner = Inner::default();
        rows.users.iter().for_each(|user| inner.put_user(user));
        rows.projects.iter().for_each(|project| inner.put_project(project.id, &project.name));
        rows.nodes.iter().for_each(|node| inner.put_node(node));
        rows.tasks.iter().for_each(|task| inner.put_task(task.progress.id, task.into()));
        for row in &rows.attempts {
            inner.put_attempt(row);
        }
        Self { inner: RwLock::new(inner) }
    }

    /// Takes in one durable batch; gives the attempts that ended in it.
    pub(crate) fn follow(&self, rows: &RowChanges) -> Vec<AttemptRef> {
        let mut inner = self.inner.write();
        rows.users.iter().for_each(|user| inner.put_user(user));
        rows.projects.iter().for_each(|project| inner.put_project(project.id, &project.name));
        rows.nodes.iter().for_each(|node| inner.put_node(node));
        rows.new_tasks.iter().for_each(|task| inner.put_task(task.progress.id, task.into()));
        // Attempts need the specifications of tasks that end in this very batch.
        let ended = rows.attempts.iter().filter_map(|row| inner.put_attempt(row)).collect();
        for progress in &rows.tasks {
            inner.move_task(progress.id, progress.state, progress.ended);
        }
        for task in rows.new_tasks.iter().filter(|task| task.progress.state.is_terminal()) {
            inner.move_task(task.progress.id, task.progress.state, task.progress.ended);
        }
        ended
    }

    /// The open task of that id.
    pub(crate) fn task(&self, task: TaskId) -> Option<OpenTask> {
        self.inner.read().tasks.get(&task).cloned()
    }

    /// The specification of an attempt that is live on `node`; `None` where it is not, or no longer.
    pub(crate) fn live_on(&self, node: NodeId, attempt: AttemptRef) -> Option<Arc<TaskSpec>> {
        let inner = self.inner.read();
        let current = inner.live.get(&attempt).is_some_and(|live| live.node == node);
        current.then(|| inner.tasks.get(&attempt.element.task).map(|task| task.spec.clone()))?
    }

    /// True while the attempt is live.
    pub(crate) fn is_live(&self, attempt: AttemptRef) -> bool {
        self.inner.read().live.contains_key(&attempt)
    }

    /// What is known of an attempt while it is live.
    pub(crate) fn live_attempt(&self, attempt: AttemptRef) -> Option<LiveAttempt> {
        self.inner.read().live.get(&attempt).cloned()
    }

    /// The newest live attempt of an element, with the most that any copy beside it says is done.
    pub(crate) fn live(&self, element: ElementRef) -> Option<LiveAttempt> {
        let inner = self.inner.read();
        let of_it = inner.live.range(element.attempt(0)..=element.attempt(u32::MAX));
        let percent = of_it.clone().map(|(_, live)| live.percent).max()?;
        let (_, newest) = of_it.last()?;
        Some(LiveAttempt { percent, ..newest.clone() })
    }

    /// Notes what a node says of an attempt; gives its user, or `None` where it is not live there. What is done never
    /// falls.
    pub(crate) fn note(&self, node: NodeId, attempt: AttemptRef, percent: u8, note: &str) -> Option<Noted> {
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        let task = inner.tasks.get_mut(&attempt.element.task)?;
        let live = inner.live.get_mut(&attempt).filter(|live| live.node == node)?;
        let before = task.percent();
        let more = percent.min(100).saturating_sub(live.percent);
        live.percent += more;
        live.note = note.into();
        task.partial += u64::from(more);
        let shows = before.is_none() || before != task.percent();
        Some(Noted { user: task.user, shows })
    }

    /// Whose an open task is.
    pub(crate) fn user_of(&self, task: TaskId) -> Option<UserId> {
        self.inner.read().tasks.get(&task).map(|task| task.user)
    }

    /// When each of these tasks was accepted; `None` where it is not open.
    pub(crate) fn submitted_at(&self, tasks: &[TaskId]) -> Vec<Option<Timestamp>> {
        let inner = self.inner.read();
        tasks.iter().map(|task| inner.tasks.get(task).map(|open| open.submitted_at)).collect()
    }

    /// The name of a user; `None` where it is not known here yet.
    pub(crate) fn user_name(&self, user: UserId) -> Option<Arc<str>> {
        self.inner.read().user_names.get(&user).map(|(name, _)| name.clone())
    }

    /// The name of a user, and what they may do; `None` where they are not known here yet.
    pub(crate) fn user(&self, user: UserId) -> Option<(Arc<str>, Role)> {
        self.inner.read().user_names.get(&user).cloned()
    }

    /// The name of a project; its id where it is unknown.
    pub(crate) fn project_name(&self, project: ProjectId) -> String {
        self.inner.read().project_names.get(&project).map_or_else(|| project.to_string(), |name| name.to_string())
    }

    /// The node of that id.
    pub(crate) fn node(&self, node: NodeId) -> Option<NodeRow> {
        self.inner.read().nodes.get(&node).cloned()
    }

    /// The name of a node; its id where it is unknown.
    pub(crate) fn node_name(&self, node: NodeId) -> String {
        self.inner.read().nodes.get(&node).map_or_else(|| node.to_string(), |row| row.name.clone())
    }

    /// The node of that name.
    pub(crate) fn node_named(&self, name: &str) -> Option<NodeRow> {
        self.inner.read().nodes.values().find(|row| row.name == name).cloned()
    }

    /// The nodes that have live attempts.
    pub(crate) fn busy_nodes(&self) -> Vec<NodeId> {
        let inner = self.inner.read();
        inner.reserved.iter().filter(|(_, reserved)| reserved.attempts > 0).map(|(node, _)| *node).collect()
    }

    /// What the attempts on a node use.
    pub(crate) fn reserved(&self, node: NodeId) -> Reserved {
        self.inner.read().reserved.get(&node).copied().unwrap_or_default()
    }

    /// How many tasks are open.
    pub(crate) fn counts(&self) -> Counts {
        self.inner.read().counts
    }
}

impl Inner {
    fn put_user(&mut self, user: &UserRow) {
        self.user_names.insert(user.id, (user.username.as_str().into(), user.role));
    }

    fn put_project(&mut self, id: ProjectId, name: &str) {
        // A project's row changes with every tip, its name does not.
        self.project_names.entry(id).or_insert_with(|| name.into());
    }

    fn put_node(&mut self, node: &NodeRow) {
        self.nodes.insert(node.id, node.clone());
    }

    fn put_task(&mut self, id: TaskId, task: OpenTask) {
        self.count(Some(task.state), 1);
        if let Some(old) = self.tasks.insert(id, task) {
            self.count(Some(old.state), -1);
        }
    }

    fn move_task(&mut self, id: TaskId, state: TaskState, ended: Ended) {
        let old = if state.is_terminal() {
            self.tasks.remove(&id).map(|task| task.state)
        } else {
            let old = self.tasks.get_mut(&id).map(|task| {
                task.ended = ended;
                std::mem::replace(&mut task.state, state)
            });
            self.count(old.map(|_| state), 1);
            old
        };
        self.count(old, -1);
    }

    fn count(&mut self, state: Option<TaskState>, by: i64) {
        match state {
            Some(TaskState::Pending) => self.counts.pending += by,
            Some(TaskState::Running) => self.counts.running += by,
            Some(TaskState::Completed | TaskState::Failed | TaskState::Cancelled) | None => {}
        }
    }

    /// Takes in one attempt; gives it back where it is over on its node.
    fn put_attempt(&mut self, row: &AttemptRow) -> Option<AttemptRef> {
        let (attempt, task) = (row.attempt, row.attempt.element.task);
        let running = match &row.phase {
            AttemptPhase::Reported { .. } | AttemptPhase::Ended { .. } => {
                if let Some(live) = self.live.remove(&attempt) {
                    if let Some(open) = self.tasks.get_mut(&task) {
                        open.partial = open.partial.saturating_sub(live.percent.into());
                    }
                    self.reserve(live.node, task, -1);
                    self.count_running(task, live.running, false);
                }
                return Some(attempt);
            }
            AttemptPhase::Assigned => false,
            AttemptPhase::Running { .. } => true,
        };
        let before = match self.live.get_mut(&attempt) {
            Some(live) => std::mem::replace(&mut live.running, running),
            None => {
                self.live.insert(attempt, LiveAttempt { running, node: row.node, percent: 0, note: "".into() });
                self.reserve(row.node, task, 1);
                false
            }
        };
        self.count_running(task, before, running);
        None
    }

    fn count_running(&mut self, task: TaskId, before: bool, now: bool) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.running = (task.running + u32::from(now)).saturating_sub(u32::from(before));
        }
    }

    fn reserve(&mut self, node: NodeId, task: TaskId, by: i32) {
        let need = self.tasks.get(&task).map(|task| task.spec.resources).unwrap_or_default();
        let reserved = self.reserved.entry(node).or_default();
        reserved.attempts += by;
        let now = reserved.resources;
        reserved.resources = if by > 0 { now.checked_add(&need).unwrap_or(now) } else { saturating_sub(now, need) };
        if reserved.attempts <= 0 {
            self.reserved.remove(&node);
        }
    }
}

/// What is left after `take`, not below zero in any quantity.
pub(crate) fn saturating_sub(from: Resources, take: Resources) -> Resources {
    Resources {
        cpu: MilliCores(from.cpu.0.saturating_sub(take.cpu.0)),
        memory: Bytes(from.memory.0.saturating_sub(take.memory.0)),
        disk: Bytes(from.disk.0.saturating_sub(take.disk.0)),
        gpus: from.gpus.saturating_sub(take.gpus),
    }
}
