//! The store on SQLite: one file, one writing connection, a few that read beside it.
//!
//! Write-ahead log, so that readers never wait for the writer nor it for them; a commit returns
//! after the log is on the disk (`synchronous = FULL`). Start at [`SqliteStore::open`]; a batch
//! goes through [`write`], which puts many rows into each statement ([`bulk`]).
//!
//! Invariant: at most one process has the database open; the connection that wrote an
//! unsuccessful batch never writes another.

mod bulk;
mod decode;
mod fault;
mod lock;
mod postings;
mod read;
mod schema;
mod write;

use crate::{
    Funds, Income, JournalFilter, JournalPage, NodeFilter, Past, RewardFilter, StatementFilter, Store, StoreError,
    TaskFilter,
};
use async_trait::async_trait;
use fault::Fault;
use hivemind_ledger::{Accrual, Entry, LedgerChanges, LedgerImage};
use hivemind_model::rows::{
    AttemptRow, ChunkRow, GridRow, NodeRow, ProjectRow, Recovered, RequestKey, RequestRow, RewardRow, RowChanges,
    StandingRow, TaskRow, TipRow, TrustRow, UserRow,
};
use hivemind_model::spec::Digest;
use hivemind_model::{Cpt, ElementRef, NodeId, ProjectId, TaskId, Timestamp, UserId};
use lock::Lock;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a connection waits for another that holds SQLite's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of the log after which it is moved into the database: 16 MiB.
const CHECKPOINT_PAGES: &str = "4096";
/// To what size the log file is cut after that, in bytes.
const LOG_BYTES: &str = "67108864";
/// Page cache of the writer and of each reader; a negative number is KiB.
const WRITER_CACHE: &str = "-65536";
const READER_CACHE: &str = "-8192";
/// Statements that a reader keeps prepared; some depend on a set of states.
const READER_STATEMENTS: usize = 64;
/// Rows that the driver reads ahead.
const ROWS_AHEAD: usize = 256;

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Connections for reads, at least 1.
    pub readers: u32,
    /// The database may not grow beyond so many pages of 4 KiB; a batch that needs more fails as
    /// on a full disk. `None`: the disk alone decides.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 4, max_pages: None }
    }
}

/// The durable state of a pool in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer_options: SqliteConnectOptions,
    /// `None` after an unsuccessful batch: the connection was dropped with its transaction.
    writer: Mutex<Option<SqliteConnection>>,
    readers: SqlitePool,
    _lock: Lock,
}

impl SqliteStore {
    /// Opens the database at `path`, makes it where it is not there (mode 0600, in a folder that
    /// is made with mode 0700), and brings it to the newest schema.
    ///
    /// # Errors
    /// Where another process has it, where it belongs to a newer HiveMind or another program,
    /// or where it cannot be read and written.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        lock::create_private(path)?;
        let lock = Lock::take(path)?;
        let writer_options = writer_options(path, options.max_pages);
        let told = |fault: Fault| fault.told("opening", path);
        let mut writer = writer_options.connect().await.map_err(|error| told(error.into()))?;
        schema::migrate(&mut writer, path).await.map_err(told)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .test_before_acquire(false)
            .connect_lazy_with(reader_options(path));
        Ok(Self { path: path.to_owned(), writer_options, writer: Mutex::new(Some(writer)), readers, _lock: lock })
    }

    /// Ends every connection and moves the log into the database file. Later calls fail.
    ///
    /// # Errors
    /// Where the log could not be moved; it is read at the next start, nothing is lost.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        match self.writer.lock().await.take() {
            Some(writer) => writer.close().await.map_err(|error| Fault::from(error).told("closing", &self.path)),
            None => Ok(()),
        }
    }

    async fn write(&self, rows: &RowChanges, ledger: &LedgerChanges) -> Result<(), Fault> {
        let mut place = self.writer.lock().await;
        // Taken out of its place: if this call fails or is dropped, the connection goes with its
        // transaction, which SQLite then rolls back whatever state it is in.
        let mut conn = match place.take() {
            Some(conn) => conn,
            None if self.readers.is_closed() => return Err(sqlx::Error::PoolClosed.into()),
            None => self.writer_options.connect().await?,
        };
        let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
        write::write(&mut transaction, rows, ledger).await?;
        transaction.commit().await?;
        *place = Some(conn);
        Ok(())
    }

    /// Reads with `work`, which is one statement.
    async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let outcome = async {
            let mut conn = self.readers.acquire().await?;
            work(&mut conn).await
        };
        outcome.await.map_err(|fault: Fault| fault.told("reading", &self.path))
    }

    /// Reads with `work`, which is several statements, all from one state of the database.
    async fn read_at_once<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let work = async |conn: &mut SqliteConnection| {
            let mut transaction = conn.begin().await?;
            let found = work(&mut transaction).await?;
            transaction.rollback().await?;
            Ok(found)
        };
        self.read(work).await
    }
}

fn writer_options(path: &Path, max_pages: Option<u32>) -> SqliteConnectOptions {
    let options = connect_options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // A REPLACE would otherwise remove a journal entry without firing its trigger.
        .pragma("recursive_triggers", "ON")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES)
        .pragma("cache_size", WRITER_CACHE)
        .statement_cache_capacity(write::BULKS * bulk::STATEMENTS_PER_BULK + READER_STATEMENTS)
        .thread_name(|id| format!("store-write-{id}"));
    match max_pages {
        Some(pages) => options.pragma("max_page_count", pages.to_string()),
        None => options,
    }
}

fn reader_options(path: &Path) -> SqliteConnectOptions {
    connect_options(path)
        .pragma("query_only", "ON")
        .pragma("cache_size", READER_CACHE)
        .statement_cache_capacity(READER_STATEMENTS)
        .thread_name(|id| format!("store-read-{id}"))
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

#[async_trait]
impl Store for SqliteStore {
    async fn recover(&self) -> Result<Option<(Recovered, LedgerImage)>, StoreError> {
        self.read_at_once(async |conn| read::recover(conn).await).await
    }

    async fn commit(&self, rows: &RowChanges, ledger: &LedgerChanges) -> Result<(), StoreError> {
        self.write(rows, ledger).await.map_err(|fault| fault.told("writing a batch to", &self.path))
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>, StoreError> {
        self.read(async |conn| read::user_by_name(conn, name).await).await
    }

    async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        self.read(async |conn| read::user(conn, id).await).await
    }

    async fn funds(&self, user: UserId) -> Result<Funds, StoreError> {
        self.read(async |conn| read::books::funds(conn, user).await).await
    }

    async fn node(&self, id: NodeId) -> Result<Option<NodeRow>, StoreError> {
        self.read(async |conn| read::node(conn, id).await).await
    }

    async fn nodes(&self, filter: &NodeFilter) -> Result<Vec<NodeRow>, StoreError> {
        self.read(async |conn| read::nodes(conn, filter).await).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<TaskRow>, StoreError> {
        self.read(async |conn| read::task(conn, id).await).await
    }

    async fn tasks(&self, user: UserId, filter: &TaskFilter) -> Result<Vec<TaskRow>, StoreError> {
        self.read(async |conn| read::tasks(conn, user, filter).await).await
    }

    async fn known(&self, user: UserId, reuse: Digest) -> Result<Option<TaskRow>, StoreError> {
        self.read(async |conn| read::known(conn, user, reuse).await).await
    }

    async fn open_tasks(&self, after: (UserId, TaskId), limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        self.read(async |conn| read::kept::open_tasks(conn, after, limit).await).await
    }

    async fn ended_tasks(&self, after: (Timestamp, TaskId), limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        self.read(async |conn| read::kept::ended_tasks(conn, after, limit).await).await
    }

    async fn ends(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        self.read(async |conn| read::kept::ends(conn, tasks).await).await
    }

    async fn reported(&self, task: TaskId, after: (u32, u32), limit: u32) -> Result<Vec<AttemptRow>, StoreError> {
        self.read(async |conn| read::kept::reported(conn, task, after, limit).await).await
    }

    async fn chunks(&self, task: TaskId, from: u32, limit: u32) -> Result<Vec<ChunkRow>, StoreError> {
        self.read(async |conn| read::chunks(conn, task, from, limit).await).await
    }

    async fn grid(&self, task: TaskId, from: u32, limit: u32) -> Result<Vec<GridRow>, StoreError> {
        self.read(async |conn| read::elements::grid(conn, task, from, limit).await).await
    }

    async fn latest_attempts(&self, task: TaskId, limit: u32) -> Result<Vec<AttemptRow>, StoreError> {
        self.read(async |conn| read::elements::latest_attempts(conn, task, limit).await).await
    }

    async fn attempts(&self, element: ElementRef) -> Result<Vec<AttemptRow>, StoreError> {
        self.read(async |conn| read::attempts(conn, element).await).await
    }

    async fn newest_attempts(&self, elements: &[ElementRef]) -> Result<Vec<AttemptRow>, StoreError> {
        self.read(async |conn| read::newest_attempts(conn, elements).await).await
    }

    async fn requests(&self, keys: &[RequestKey]) -> Result<Vec<RequestRow>, StoreError> {
        self.read(async |conn| read::requests(conn, keys).await).await
    }

    async fn journal(&self, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.read(async |conn| read::journal::page(conn, after, limit).await).await
    }

    async fn statement(&self, user: UserId, filter: &StatementFilter) -> Result<Vec<Entry>, StoreError> {
        self.read_at_once(async |conn| read::journal::statement(conn, user, filter).await).await
    }

    async fn task_entries(&self, task: TaskId, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.read(async |conn| read::journal::task_entries(conn, task, limit).await).await
    }

    async fn accruals(&self, tasks: &[TaskId]) -> Result<Vec<Accrual>, StoreError> {
        self.read(async |conn| read::books::accruals(conn, tasks).await).await
    }

    async fn node_earnings(&self, owner: Option<UserId>) -> Result<Vec<(NodeId, Cpt)>, StoreError> {
        self.read(async |conn| read::books::node_earnings(conn, owner).await).await
    }

    async fn trusts(&self, owner: Option<UserId>) -> Result<Vec<TrustRow>, StoreError> {
        self.read(async |conn| read::economy::trusts(conn, owner).await).await
    }

    async fn standings(&self, owner: UserId) -> Result<Vec<StandingRow>, StoreError> {
        self.read(async |conn| read::economy::standings(conn, owner).await).await
    }

    async fn standings_of(&self, nodes: &[NodeId]) -> Result<Vec<StandingRow>, StoreError> {
        self.read(async |conn| read::economy::standings_of(conn, nodes).await).await
    }

    async fn rewards(&self, filter: &RewardFilter) -> Result<Vec<RewardRow>, StoreError> {
        self.read(async |conn| read::economy::rewards(conn, filter).await).await
    }

    async fn income(&self, node: NodeId, now: Timestamp) -> Result<Income, StoreError> {
        self.read(async |conn| read::economy::income(conn, node, now).await).await
    }

    async fn projects(&self, after: ProjectId, limit: u32) -> Result<Vec<ProjectRow>, StoreError> {
        self.read(async |conn| read::economy::projects(conn, after, limit).await).await
    }

    async fn project_by_name(&self, name: &str) -> Result<Option<ProjectRow>, StoreError> {
        self.read(async |conn| read::economy::project_by_name(conn, name).await).await
    }

    async fn tips(&self, project: ProjectId, before: u64, limit: u32) -> Result<Vec<TipRow>, StoreError> {
        self.read(async |conn| read::economy::tips(conn, project, before, limit).await).await
    }

    async fn journal_backwards(&self, filter: &JournalFilter) -> Result<JournalPage, StoreError> {
        self.read_at_once(async |conn| read::journal::backwards(conn, filter).await).await
    }

    async fn supply(&self) -> Result<Cpt, StoreError> {
        self.read(async |conn| read::figures::supply(conn).await).await
    }

    async fn open_task_ids(&self, after: (UserId, TaskId), limit: u32) -> Result<Vec<(UserId, TaskId)>, StoreError> {
        self.read(async |conn| read::figures::open_task_ids(conn, after, limit).await).await
    }

    async fn past(&self, after: TaskId, before: Timestamp, limit: u32) -> Result<Past, StoreError> {
        self.read(async |conn| read::figures::past(conn, after, before, limit).await).await
    }

    async fn ledger(&self) -> Result<LedgerImage, StoreError> {
        self.read_at_once(async |conn| read::books::ledger(conn).await).await
    }
}
