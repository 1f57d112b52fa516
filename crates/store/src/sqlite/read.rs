//! Rows out of the tables.
//!
//! Column lists are in the order in which [`super::decode`] reads them. The books are in [`books`]
//! and [`journal`], what nodes earned beside them and projects in [`economy`], what a search for things that nobody
//! needs reads in [`kept`], what pictures of many elements read in [`elements`], sums over everything in [`figures`].
//!
//! Invariant: nothing here writes, and nothing here joins what one transaction does not.

use super::decode::FromColumns;
use super::fault::Fault;
use crate::{NodeFilter, StoreError, TaskFilter};
use futures::TryStreamExt;
use hivemind_ledger::LedgerImage;
use hivemind_model::rows::{
    AttemptRow, ChunkRow, Counters, NodeRow, Recovered, RequestKey, RequestRow, TaskRow, UserRow,
};
use hivemind_model::spec::Digest;
use hivemind_model::state::TaskState;
use hivemind_model::{ElementRef, NodeId, ProjectId, TaskId, UserId};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, SqliteConnection};
use std::collections::BTreeSet;

macro_rules! columns {
    (users) => {
        "id, username, email, password_hash, role, registered_at, registered_from"
    };
    (nodes) => {
        "id, name, owner, enrolled_at, seen_at, gpu_info, capacity, service, labels, isolation, kinds, egress"
    };
    (tasks) => {
        "id, user_id, state, submitted_at, ended_at, cap, cost, completed, failed, cancelled, failure, reused, spec"
    };
    (chunks) => {
        "task, chunk, runs"
    };
    (attempts) => {
        "task, element, number, node, assigned_at, started_at, ended_at, cost, report, ballot"
    };
    (holds) => {
        "task, user_id, own, promo, expires_at"
    };
    (accruals) => {
        "task, element, number, payee, own, promo"
    };
    (vests) => {
        "due, user_id, source, amount"
    };
    (journal) => {
        "seq, at, hash, reason, postings, user_a, user_b, task"
    };
    (standings) => {
        "node, runtime, alive_since, alive, ended, completed, complex"
    };
    (rewards) => {
        "period_from, node, owner, period_to, registered, alive, ended, completed, complex, base, performance,
         stability, quality, level, total"
    };
    (projects) => {
        "id, name, repository, owner, state, registered_at, tips, tipped"
    };
    (tips) => {
        "project, number, user_id, amount, message, at"
    };
    (invitations) => {
        "digest, uses_left, expires_at, made_by"
    };
    (sessions) => {
        "id, user_id, kind, about, scopes, secret, previous, created_at, exchanged_at, used_at, expires_at"
    };
    (usages) => {
        "user_id, used, at"
    };
    (trusts) => {
        "node, valid, wrong, wrong_at, quota, used, day"
    };
    (clock) => {
        "awake_at, period_from, period_to"
    };
}

macro_rules! select {
    ($table:ident, $($rest:tt)+) => {
        concat!("SELECT ", columns!($table), " FROM ", stringify!($table), " ", $($rest)+)
    };
}

// After the macros, which they use.
pub(super) mod books;
pub(super) mod economy;
pub(super) mod elements;
pub(super) mod figures;
pub(super) mod journal;
pub(super) mod kept;

type Query = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;

async fn all<T: FromColumns>(conn: &mut SqliteConnection, query: Query) -> Result<Vec<T>, Fault> {
    let mut rows = query.fetch(conn);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(T::from_row(&row)?);
    }
    Ok(found)
}

async fn one<T: FromColumns>(conn: &mut SqliteConnection, query: Query) -> Result<Option<T>, Fault> {
    let row: Option<SqliteRow> = query.fetch_optional(conn).await?;
    Ok(row.as_ref().map(T::from_row).transpose()?)
}

/// Everything but what has ended; `None` where no pool was founded. To be called in a transaction.
pub(super) async fn recover(conn: &mut SqliteConnection) -> Result<Option<(Recovered, LedgerImage)>, Fault> {
    let books = books::ledger(conn).await?;
    let users: Vec<UserRow> = all(conn, sqlx::query(select!(users, "ORDER BY id"))).await?;
    if books.last_seq == 0 {
        if users.is_empty() && books.balances.is_empty() {
            return Ok(None);
        }
        let detail = "it is empty, but there are users or accounts".to_owned();
        return Err(StoreError::Damaged { table: "journal", detail }.into());
    }
    let Some(clock) = one(conn, sqlx::query(select!(clock, "WHERE id = 1"))).await? else {
        let detail = "it is empty, but there is a journal".to_owned();
        return Err(StoreError::Damaged { table: "clock", detail }.into());
    };
    let open_tasks = select!(tasks, "INDEXED BY tasks_open WHERE state IN ('pending', 'running')");
    let mut tasks: Vec<TaskRow> = all(conn, sqlx::query(open_tasks)).await?;
    tasks.sort_unstable_by_key(|row| row.progress.id);
    let open_chunks = select!(
        chunks,
        "WHERE task IN (SELECT id FROM tasks INDEXED BY tasks_open WHERE state IN ('pending', 'running')) ORDER BY task, chunk"
    );
    let open_attempts = select!(attempts, "INDEXED BY attempts_open WHERE ended_at IS NULL");
    let mut attempts: Vec<AttemptRow> = all(conn, sqlx::query(open_attempts)).await?;
    attempts.sort_unstable_by_key(|row| row.attempt);
    let rows = Recovered {
        users,
        nodes: all(conn, sqlx::query(select!(nodes, "ORDER BY id"))).await?,
        tasks,
        chunks: all(conn, sqlx::query(open_chunks)).await?,
        attempts,
        used_tokens: all(conn, sqlx::query("SELECT id, expires_at FROM used_tokens ORDER BY id")).await?,
        counters: counters(conn).await?,
        standings: all(conn, sqlx::query(select!(standings, "ORDER BY node"))).await?,
        projects: economy::projects(conn, ProjectId(0), u32::MAX).await?,
        invitations: all(conn, sqlx::query(select!(invitations, "ORDER BY digest"))).await?,
        sessions: all(conn, sqlx::query(select!(sessions, "ORDER BY id"))).await?,
        clock,
        usages: all(conn, sqlx::query(select!(usages, "ORDER BY user_id"))).await?,
        trusts: economy::trusts(conn, None).await?,
    };
    Ok(Some((rows, books)))
}

/// The stored counters; where none were written yet, the first ids that no row has.
async fn counters(conn: &mut SqliteConnection) -> Result<Counters, Fault> {
    let stored = "SELECT next_user, next_node, next_task, next_project, next_session FROM counters WHERE id = 1";
    if let Some(counters) = one(conn, sqlx::query(stored)).await? {
        return Ok(counters);
    }
    let free = "SELECT (SELECT coalesce(max(id), 0) + 1 FROM users), (SELECT coalesce(max(id), 0) + 1 FROM nodes),
                (SELECT coalesce(max(id), 0) + 1 FROM tasks), (SELECT coalesce(max(id), 0) + 1 FROM projects),
                (SELECT coalesce(max(id), 0) + 1 FROM sessions)";
    Ok(Counters::from_row(&sqlx::query(free).fetch_one(conn).await?)?)
}

pub(super) async fn user_by_name(conn: &mut SqliteConnection, name: &str) -> Result<Option<UserRow>, Fault> {
    one(conn, sqlx::query(select!(users, "WHERE lower(username) = lower(?)")).bind(name.to_owned())).await
}

pub(super) async fn user(conn: &mut SqliteConnection, id: UserId) -> Result<Option<UserRow>, Fault> {
    one(conn, sqlx::query(select!(users, "WHERE id = ?")).bind(key(id.0))).await
}

pub(super) async fn node(conn: &mut SqliteConnection, id: NodeId) -> Result<Option<NodeRow>, Fault> {
    one(conn, sqlx::query(select!(nodes, "WHERE id = ?")).bind(key(id.0))).await
}

pub(super) async fn nodes(conn: &mut SqliteConnection, filter: &NodeFilter) -> Result<Vec<NodeRow>, Fault> {
    macro_rules! page {
        ($condition:literal) => {
            select!(
                nodes,
                concat!(
                    "WHERE (?1 IS NULL OR name > (SELECT name FROM nodes WHERE id = ?1))",
                    $condition,
                    " ORDER BY name LIMIT ?2"
                )
            )
        };
    }
    let after = filter.after.map(|node| key(node.0));
    let query = match filter.owner {
        Some(owner) => sqlx::query(page!(" AND owner = ?3")).bind(after).bind(filter.limit).bind(key(owner.0)),
        None => sqlx::query(page!("")).bind(after).bind(filter.limit),
    };
    all(conn, query).await
}

pub(super) async fn task(conn: &mut SqliteConnection, id: TaskId) -> Result<Option<TaskRow>, Fault> {
    one(conn, sqlx::query(select!(tasks, "WHERE id = ?")).bind(key(id.0))).await
}

pub(super) async fn tasks(
    conn: &mut SqliteConnection,
    user: UserId,
    filter: &TaskFilter,
) -> Result<Vec<TaskRow>, Fault> {
    let wanted: BTreeSet<TaskState> = filter.states.iter().copied().collect();
    let wanted = if wanted.is_empty() { TaskState::ALL.into_iter().collect() } else { wanted };
    let sql = format!(
        "SELECT {} FROM tasks {} AND user_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
        columns!(tasks),
        states(&wanted)
    );
    let before = filter.before.map_or(i64::MAX, |task| key(task.0));
    all(conn, sqlx::query(AssertSqlSafe(sql)).bind(key(user.0)).bind(before).bind(filter.limit)).await
}

/// The newest completed task of the user with that digest of what could change its result.
pub(super) async fn known(conn: &mut SqliteConnection, user: UserId, reuse: Digest) -> Result<Option<TaskRow>, Fault> {
    let sql = select!(
        tasks,
        "INDEXED BY tasks_known WHERE user_id = ? AND reuse = ? AND state = 'completed' ORDER BY id DESC LIMIT 1"
    );
    one(conn, sqlx::query(sql).bind(key(user.0)).bind(reuse.to_string())).await
}

/// The condition on states, with the smallest index that holds them all. Its text depends on
/// the set of states alone, so that there are few different statements.
fn states(wanted: &BTreeSet<TaskState>) -> String {
    use TaskState::{Cancelled, Failed, Pending, Running};
    let within = |states: [TaskState; 2]| wanted.iter().all(|state| states.contains(state));
    let index = if within([Pending, Running]) {
        "INDEXED BY tasks_open WHERE state IN ('pending', 'running')"
    } else if within([Failed, Cancelled]) {
        "INDEXED BY tasks_unsuccessful WHERE state IN ('failed', 'cancelled')"
    } else {
        "INDEXED BY tasks_by_user WHERE true"
    };
    let words: Vec<String> = wanted.iter().map(|state| format!("'{state}'")).collect();
    if words.len() == TaskState::ALL.len() {
        index.to_owned()
    } else {
        format!("{index} AND state IN ({})", words.join(", "))
    }
}

pub(super) async fn chunks(
    conn: &mut SqliteConnection,
    task: TaskId,
    from: u32,
    limit: u32,
) -> Result<Vec<ChunkRow>, Fault> {
    let query = sqlx::query(select!(chunks, "WHERE task = ? AND chunk >= ? ORDER BY chunk LIMIT ?"));
    all(conn, query.bind(key(task.0)).bind(from).bind(limit)).await
}

pub(super) async fn attempts(conn: &mut SqliteConnection, element: ElementRef) -> Result<Vec<AttemptRow>, Fault> {
    let query = sqlx::query(select!(attempts, "WHERE task = ? AND element = ? ORDER BY number"));
    all(conn, query.bind(key(element.task.0)).bind(element.index)).await
}

pub(super) async fn newest_attempts(
    conn: &mut SqliteConnection,
    elements: &[ElementRef],
) -> Result<Vec<AttemptRow>, Fault> {
    let newest = select!(
        attempts,
        "JOIN (SELECT DISTINCT value ->> 0 AS whose, value ->> 1 AS place FROM json_each(?)) ON (task, element, number) =
           (SELECT task, element, number FROM attempts WHERE task = whose AND element = place ORDER BY number DESC LIMIT 1)
         ORDER BY task, element"
    );
    let wanted = json(&elements.iter().map(|at| (key(at.task.0), at.index)).collect::<Vec<_>>())?;
    all(conn, sqlx::query(newest).bind(wanted)).await
}

pub(super) async fn requests(conn: &mut SqliteConnection, keys: &[RequestKey]) -> Result<Vec<RequestRow>, Fault> {
    let find =
        "SELECT user_id, id, body, answer FROM (SELECT value ->> 0 AS whose, value ->> 1 AS made FROM json_each(?))
                CROSS JOIN requests ON user_id = whose AND id = made";
    let wanted: BTreeSet<(i64, &str)> = keys.iter().map(|wanted| (key(wanted.user.0), wanted.id.as_str())).collect();
    all(conn, sqlx::query(find).bind(json(&wanted)?)).await
}

/// A key as the database keeps it. One that is too large to be kept is as unknown as the largest.
fn key(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn json(value: &impl serde::Serialize) -> Result<String, Fault> {
    Ok(serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))?)
}
