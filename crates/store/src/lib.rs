//! Durable state: the only SQL of the project.
//!
//! One trait, [`Store`]; SQLite behind it, [`SqliteStore`]. The writer calls [`Store::commit`]
//! with everything a batch changed; lists and pages are read beside it. Start at [`Store`], then
//! at [`SqliteStore::open`].
//!
//! Invariant: no rule of scheduling or money lives here; a batch is written whole or not at all.

mod error;
mod sqlite;

pub use error::StoreError;
pub use sqlite::{SqliteOptions, SqliteStore};

use async_trait::async_trait;
use hivemind_ledger::{Accrual, Entry, Kind, LedgerChanges, LedgerImage};
use hivemind_model::rows::{
    AttemptRow, ChunkRow, GridRow, NodeRow, ProjectRow, Recovered, RequestKey, RequestRow, RewardRow, RowChanges,
    StandingRow, TaskRow, TipRow, TrustRow, UserRow,
};
use hivemind_model::spec::Digest;
use hivemind_model::state::TaskState;
use hivemind_model::{Cpt, ElementRef, Millis, NodeId, ProjectId, TaskId, Timestamp, UserId};

/// Which tasks of a user a page wants.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only these states; empty means all.
    pub states: Vec<TaskState>,
    /// Only ids below this one (the last of the page before).
    pub before: Option<TaskId>,
    /// At most so many rows.
    pub limit: u32,
}

/// What a user has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Funds {
    /// Money that can be spent.
    pub available: Cpt,
    /// Free credit.
    pub promo: Cpt,
    /// Set aside for open tasks.
    pub held: Cpt,
    /// Earned by attempts that still run.
    pub pending: Cpt,
    /// Earned and rewarded, to be spent later.
    pub vesting: Cpt,
}

/// Which journal entries of a user a statement wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatementFilter {
    /// Only entries at this time or later.
    pub from: Option<Timestamp>,
    /// Only entries before this time.
    pub to: Option<Timestamp>,
    /// Only these reasons, as [`hivemind_ledger::Reason::as_str`] writes them; empty means all.
    pub kinds: Vec<String>,
    /// Only entries with a posting to an account of one of these kinds of the user; empty means all.
    pub accounts: Vec<Kind>,
    /// Only entries about this task.
    pub task: Option<TaskId>,
    /// Only entries below this number (the last of the page before).
    pub before: Option<u64>,
    /// At most so many entries.
    pub limit: u32,
}

/// Which journal entries of the whole pool a page wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalFilter {
    /// Only these reasons, as [`hivemind_ledger::Reason::as_str`] writes them; empty means all.
    pub kinds: Vec<String>,
    /// Only entries below this number.
    pub before: Option<u64>,
    /// So many entries are looked at for the page, at most.
    pub most_looked_at: u32,
    /// At most so many entries.
    pub limit: u32,
}

/// A page of the journal, newest entry first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalPage {
    /// Those that were wanted.
    pub entries: Vec<Entry>,
    /// The lowest number that was looked at where the page is not full; 1: the first entry of all.
    pub looked_down_to: u64,
}

/// What some tasks did up to a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// The last of them; `None`: there are no more.
    pub last: Option<TaskId>,
    /// Of those that ended, how many completed.
    pub tasks_completed: u64,
    /// Of those that ended, how many of their elements completed.
    pub elements_completed: u64,
    /// Processor time of their attempts that ended.
    pub cpu: Millis,
}

/// One page of nodes, by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeFilter {
    /// Only this owner's.
    pub owner: Option<UserId>,
    /// Only those whose name comes after that of this node (the last of the page before); none where there is no such node.
    pub after: Option<NodeId>,
    /// At most so many.
    pub limit: u32,
}

/// One page of rewards, newest period first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RewardFilter {
    /// Only this owner's.
    pub owner: Option<UserId>,
    /// Only this node's.
    pub node: Option<NodeId>,
    /// Only what comes after this line (the last of the page before): beginning of its period, and its node.
    pub after: Option<(Timestamp, NodeId)>,
    /// At most so many lines.
    pub limit: u32,
}

/// What a node earned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Income {
    /// For attempts that ended since a moment's day began.
    pub work_today: Cpt,
    /// For all attempts.
    pub work: Cpt,
    /// Of periods that ended since that day began.
    pub rewards_today: Cpt,
    /// Of all periods.
    pub rewards: Cpt,
}

/// Durable state of a pool.
///
/// Reads see whole batches only: all of one, or nothing of it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What the engine needs to go on; `None` on a database where no pool was founded yet.
    ///
    /// Rows come in the order of their ids, balances in the order of their accounts.
    async fn recover(&self) -> Result<Option<(Recovered, LedgerImage)>, StoreError>;

    /// Writes one batch in one durable transaction: when it returns, it survives a power cut.
    ///
    /// Refused, with nothing written, is a batch that does not fit what is stored: a change to a
    /// task that is not there, the end of a hold, an accrual or a vest that is not there, a new row
    /// whose id is taken, a journal that does not go on from its last entry in number and time. After any error the writer's memory is ahead of the store; it has to
    /// start again from [`Store::recover`]. The answer to a commit that is dropped half-way is
    /// unknown: the batch is there whole, or not at all.
    async fn commit(&self, rows: &RowChanges, ledger: &LedgerChanges) -> Result<(), StoreError>;

    /// The user of that name, without regard to case.
    async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>, StoreError>;
    /// The user of that id.
    async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError>;
    /// What a user has.
    async fn funds(&self, user: UserId) -> Result<Funds, StoreError>;
    /// The node of that id.
    async fn node(&self, id: NodeId) -> Result<Option<NodeRow>, StoreError>;
    /// Nodes by name, byte by byte.
    async fn nodes(&self, filter: &NodeFilter) -> Result<Vec<NodeRow>, StoreError>;
    /// One task.
    async fn task(&self, id: TaskId) -> Result<Option<TaskRow>, StoreError>;
    /// Tasks of a user, newest first.
    async fn tasks(&self, user: UserId, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError>;
    /// The newest completed task of a user whose specification has this digest in
    /// [`TaskSpec::reuse`](hivemind_model::TaskSpec).
    async fn known(&self, user: UserId, reuse: Digest) -> Result<Option<TaskRow>, StoreError>;
    /// Tasks that have not ended, by user, then by id; only those after `after`, at most `limit`.
    async fn open_tasks(&self, after: (UserId, TaskId), limit: u32) -> Result<Vec<TaskRow>, StoreError>;
    /// Tasks that have ended, in the order of their ends, then of their ids; only those after `after`, at most
    /// `limit`.
    async fn ended_tasks(&self, after: (Timestamp, TaskId), limit: u32) -> Result<Vec<TaskRow>, StoreError>;
    /// When these tasks ended, of those that have.
    async fn ends(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, Timestamp)>, StoreError>;
    /// The attempts of a task that have a report, by element, then by number; only those after that element and
    /// number, at most `limit`.
    async fn reported(&self, task: TaskId, after: (u32, u32), limit: u32) -> Result<Vec<AttemptRow>, StoreError>;
    /// The chunks of a task that are stored, from the chunk `from` on, in order, at most `limit`. What is
    /// missing between them stands for elements that were never tried.
    async fn chunks(&self, task: TaskId, from: u32, limit: u32) -> Result<Vec<ChunkRow>, StoreError>;
    /// The chunks of a task as [`Store::chunks`] gives them, of which only is read how the elements stand.
    async fn grid(&self, task: TaskId, from: u32, limit: u32) -> Result<Vec<GridRow>, StoreError>;
    /// The attempts of a task that were handed out last, newest first, at most `limit`. Of a task with very many
    /// attempts only those of its last elements, and those that are open, are looked at.
    async fn latest_attempts(&self, task: TaskId, limit: u32) -> Result<Vec<AttemptRow>, StoreError>;
    /// The attempts of an element, oldest first.
    async fn attempts(&self, element: ElementRef) -> Result<Vec<AttemptRow>, StoreError>;
    /// The newest attempt (the highest number) of each of these elements that has one, in their order.
    async fn newest_attempts(&self, elements: &[ElementRef]) -> Result<Vec<AttemptRow>, StoreError>;
    /// What became of requests with these client-made ids; unknown ones are left out.
    async fn requests(&self, keys: &[RequestKey]) -> Result<Vec<RequestRow>, StoreError>;
    /// Journal entries after `after` (0 for the first), in order, at most `limit`.
    ///
    /// An entry that is not as it was written gives [`StoreError::BadEntry`] with its number; those
    /// before it can be read with a `limit` that ends there.
    async fn journal(&self, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError>;
    /// Journal entries that touch an account of the user, newest first.
    async fn statement(&self, user: UserId, filter: &StatementFilter) -> Result<Vec<Entry>, StoreError>;
    /// Journal entries about a task, oldest first, at most `limit`.
    async fn task_entries(&self, task: TaskId, limit: u32) -> Result<Vec<Entry>, StoreError>;
    /// What running attempts of these tasks have earned so far, by attempt.
    async fn accruals(&self, tasks: &[TaskId]) -> Result<Vec<Accrual>, StoreError>;
    /// What attempts that run now have earned on each node of the owner, or on all; by node, without zeros.
    async fn node_earnings(&self, owner: Option<UserId>) -> Result<Vec<(NodeId, Cpt)>, StoreError>;
    /// What the verified work of the nodes of one owner, or of all, has shown; by node.
    async fn trusts(&self, owner: Option<UserId>) -> Result<Vec<TrustRow>, StoreError>;
    /// The standings of the nodes of one owner; by node. A node that did nothing yet may have none.
    async fn standings(&self, owner: UserId) -> Result<Vec<StandingRow>, StoreError>;
    /// The standings of these nodes, of those that have one; by node.
    async fn standings_of(&self, nodes: &[NodeId]) -> Result<Vec<StandingRow>, StoreError>;
    /// Rewards by period (newest first), then by node (lowest first).
    async fn rewards(&self, filter: &RewardFilter) -> Result<Vec<RewardRow>, StoreError>;
    /// What `node` earned; `now` tells which day is today (UTC).
    async fn income(&self, node: NodeId, now: Timestamp) -> Result<Income, StoreError>;
    /// Projects after `after`, in the order of their ids, at most `limit`.
    async fn projects(&self, after: ProjectId, limit: u32) -> Result<Vec<ProjectRow>, StoreError>;
    /// The project of that name, without regard to case.
    async fn project_by_name(&self, name: &str) -> Result<Option<ProjectRow>, StoreError>;
    /// Tips of a project with numbers below `before`, newest first, at most `limit`.
    async fn tips(&self, project: ProjectId, before: u64, limit: u32) -> Result<Vec<TipRow>, StoreError>;
    /// Entries of the whole journal, newest first. One that is not as it was written gives
    /// [`StoreError::BadEntry`].
    async fn journal_backwards(&self, filter: &JournalFilter) -> Result<JournalPage, StoreError>;
    /// What all accounts have together.
    async fn supply(&self) -> Result<Cpt, StoreError>;
    /// Ids of tasks that have not ended with their users, by user, then by id; only those after `after`, at most
    /// `limit`.
    async fn open_task_ids(&self, after: (UserId, TaskId), limit: u32) -> Result<Vec<(UserId, TaskId)>, StoreError>;
    /// What the tasks after `after`, at most `limit` of them by id, did before `before`.
    async fn past(&self, after: TaskId, before: Timestamp, limit: u32) -> Result<Past, StoreError>;
    /// The accounts and the end of the journal as they are stored.
    async fn ledger(&self) -> Result<LedgerImage, StoreError>;
}
