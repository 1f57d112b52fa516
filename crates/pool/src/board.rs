//! The board: what is durable and still live, for everybody who may not wait for the writer.
//!
//! Links check attempts here, watchers read states here, lists of nodes count reservations here,
//! statements find the names of users, nodes and projects here.
//! It follows the durable batches one by one and never runs ahead of them. Start at
//! [`Board::follow`].
//!
//! Invariant: nothing is decided here; the engine alone decides.

use hivemind_model::rows::{
    AttemptPhase, AttemptRow, Ended, NodeRow, Recovered, Role, RowChanges, StandingRow, TaskRow, UserRow,
};
use hivemind_model::verify::Rule;
use hivemind_model::{
    AttemptRef, ElementRef, Millis, NodeId, ProjectId, TaskId, TaskSpec, TaskState, Timestamp, UserId,
};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

mod machines;
mod waiting;

pub(crate) use machines::{Reserved, saturating_sub};
pub(crate) use waiting::{Line, Waiting};

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
    /// Elements of it that are handed out, or of which a result is being compared.
    out: u64,
    /// Elements of it that wait, as the line of what waits has it.
    waiting: u64,
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
            out: 0,
            waiting: 0,
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

/// How much is open.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Tasks that wait, or are handed out and not started.
    pub(crate) pending: i64,
    /// Tasks that run.
    pub(crate) running: i64,
    /// Attempts whose command runs.
    pub(crate) attempts_running: i64,
    /// Attempts that are handed out, those that run too.
    pub(crate) attempts: i64,
    /// People who have registered.
    pub(crate) users: i64,
}

/// What came of a batch, for those who follow the board.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Attempts that are over on their nodes.
    pub(crate) ended: Vec<AttemptRef>,
    /// How long each element waited whose first attempt was handed out, where its task waited for no other.
    pub(crate) waits: Vec<Millis>,
    /// Tasks that ended, by how.
    pub(crate) tasks_ended: Vec<TaskState>,
    /// Elements that completed.
    pub(crate) elements_completed: u64,
}

#[derive(Default)]
struct Inner {
    tasks: HashMap<TaskId, OpenTask>,
    /// By element and number: copies of one element live beside each other.
    live: BTreeMap<AttemptRef, LiveAttempt>,
    /// Attempts whose result is being compared with others.
    compared: BTreeSet<AttemptRef>,
    waiting: Waiting,
    /// Tasks of which something was handed out or came back in the batch that is being followed.
    moved: Vec<TaskId>,
    followed: Followed,
    standings: HashMap<NodeId, StandingRow>,
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
        inner.standings.extend(rows.standings.iter().map(|row| (row.node, *row)));
        for row in &rows.attempts {
            inner.put_attempt(row);
        }
        inner.settle();
        // What was handed out before the start is no news; what completed before counts with what completes.
        inner.followed.waits.clear();
        Self { inner: RwLock::new(inner) }
    }

    /// Takes in one durable batch.
    pub(crate) fn follow(&self, rows: &RowChanges) -> Followed {
        let mut inner = self.inner.write();
        rows.users.iter().for_each(|user| inner.put_user(user));
        rows.projects.iter().for_each(|project| inner.put_project(project.id, &project.name));
        rows.nodes.iter().for_each(|node| inner.put_node(node));
        rows.new_tasks.iter().for_each(|task| inner.put_task(task.progress.id, task.into()));
        inner.standings.extend(rows.standings.iter().map(|row| (row.node, *row)));
        // Attempts need the specifications of tasks that end in this very batch.
        let ended = rows.attempts.iter().filter_map(|row| inner.put_attempt(row)).collect();
        for progress in &rows.tasks {
            inner.move_task(progress.id, progress.state, progress.ended);
        }
        for task in rows.new_tasks.iter().filter(|task| task.progress.state.is_terminal()) {
            inner.move_task(task.progress.id, task.progress.state, task.progress.ended);
        }
        inner.settle();
        Followed { ended, ..std::mem::take(&mut inner.followed) }
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

    /// How much is open.
    pub(crate) fn counts(&self) -> Counts {
        let inner = self.inner.read();
        let size = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        Counts { attempts: size(inner.live.len()), users: size(inner.user_names.len()), ..inner.counts }
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
        self.followed.elements_completed += u64::from(task.ended.completed);
        self.moved.push(id);
        self.count(Some(task.state), 1);
        if let Some(old) = self.tasks.insert(id, task) {
            self.count(Some(old.state), -1);
        }
    }

    fn move_task(&mut self, id: TaskId, state: TaskState, ended: Ended) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        self.followed.elements_completed += u64::from(ended.completed.saturating_sub(task.ended.completed));
        task.ended = ended;
        let old = std::mem::replace(&mut task.state, state);
        if state.is_terminal() {
            self.followed.tasks_ended.push(state);
            if let Some(task) = self.tasks.remove(&id) {
                self.waiting.put(task.submitted_at, id, task.waiting, 0);
            }
        } else {
            self.moved.push(id);
            self.count(Some(state), 1);
        }
        self.count(Some(old), -1);
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
                let was_out = self.is_out(attempt.element);
                match &row.phase {
                    AttemptPhase::Reported { .. } => drop(self.compared.insert(attempt)),
                    AttemptPhase::Ended { .. } | AttemptPhase::Assigned | AttemptPhase::Running { .. } => {
                        self.compared.remove(&attempt);
                    }
                }
                if let Some(live) = self.live.remove(&attempt) {
                    if let Some(open) = self.tasks.get_mut(&task) {
                        open.partial = open.partial.saturating_sub(live.percent.into());
                    }
                    self.reserve(live.node, task, -1);
                    self.count_running(task, live.running, false);
                }
                self.note_out(attempt.element, was_out);
                return Some(attempt);
            }
            AttemptPhase::Assigned => false,
            AttemptPhase::Running { .. } => true,
        };
        let before = match self.live.get_mut(&attempt) {
            Some(live) => std::mem::replace(&mut live.running, running),
            None => {
                let was_out = self.is_out(attempt.element);
                self.live.insert(attempt, LiveAttempt { running, node: row.node, percent: 0, note: "".into() });
                self.reserve(row.node, task, 1);
                self.note_out(attempt.element, was_out);
                self.note_wait(row);
                false
            }
        };
        self.count_running(task, before, running);
        None
    }

    fn count_running(&mut self, task: TaskId, before: bool, now: bool) {
        self.counts.attempts_running += i64::from(now) - i64::from(before);
        if let Some(task) = self.tasks.get_mut(&task) {
            task.running = (task.running + u32::from(now)).saturating_sub(u32::from(before));
        }
    }
}
