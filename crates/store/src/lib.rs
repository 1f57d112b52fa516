//! Durable state: the only SQL of the project.
//!
//! One trait, [`Store`]; SQLite behind it. The writer calls [`Store::commit`] with everything a
//! batch changed; lists and pages are read beside it.
//!
//! Invariant: no rule of scheduling or money lives here; a batch is written whole or not at all.

use async_trait::async_trait;
use hivemind_ledger::{Entry, LedgerChanges, LedgerImage};
use hivemind_model::rows::{AttemptRow, NodeRow, Recovered, RequestKey, RequestRow, RowChanges, TaskRow, UserRow};
use hivemind_model::state::TaskState;
use hivemind_model::{Cpt, NodeId, TaskId, UserId};

/// The store could not do what it was asked. The batch, if there was one, is not written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("database: {context}")]
    Database {
        /// What was being done, and what to do about it.
        context: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A row does not read back.
    #[error("row of {table} is damaged: {detail}")]
    Damaged {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

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
    /// Can be spent.
    pub available: Cpt,
    /// Set aside for open tasks.
    pub held: Cpt,
}

/// Durable state of a pool.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What the engine needs to go on; `None` on a database where no pool was founded yet.
    async fn recover(&self) -> Result<Option<(Recovered, LedgerImage)>, StoreError>;

    /// Writes one batch in one durable transaction: when it returns, it survives a power cut.
    async fn commit(&self, rows: &RowChanges, ledger: &LedgerChanges) -> Result<(), StoreError>;

    /// The user of that name, without regard to case.
    async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>, StoreError>;
    /// The user of that id.
    async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError>;
    /// What a user has.
    async fn funds(&self, user: UserId) -> Result<Funds, StoreError>;
    /// The node of that id.
    async fn node(&self, id: NodeId) -> Result<Option<NodeRow>, StoreError>;
    /// The nodes of one owner, or all.
    async fn nodes(&self, owner: Option<UserId>) -> Result<Vec<NodeRow>, StoreError>;
    /// One task.
    async fn task(&self, id: TaskId) -> Result<Option<TaskRow>, StoreError>;
    /// Tasks of a user, newest first.
    async fn tasks(&self, user: UserId, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError>;
    /// The attempts of a task, oldest first.
    async fn attempts(&self, task: TaskId) -> Result<Vec<AttemptRow>, StoreError>;
    /// The newest attempt of each of these tasks that has one.
    async fn newest_attempts(&self, tasks: &[TaskId]) -> Result<Vec<AttemptRow>, StoreError>;
    /// What became of requests with these client-made ids.
    async fn requests(&self, keys: &[RequestKey]) -> Result<Vec<RequestRow>, StoreError>;
    /// Journal entries after `after` (0 for the first), in order, at most `limit`.
    async fn journal(&self, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError>;
    /// The accounts and the end of the journal as they are stored.
    async fn ledger(&self) -> Result<LedgerImage, StoreError>;
}
