//! One batch into the tables.
//!
//! Start at [`write`]; the books are in [`books`], what nodes earned beside them and projects in
//! [`economy`], sessions in [`session`]. Parents come before the rows that refer to them.
//!
//! Invariant: no transaction begins or ends here; whoever calls does both.

mod books;
mod economy;
mod session;

use super::bulk::{Bulk, Values};
use super::fault::Fault;
use hivemind_ledger::LedgerChanges;
use hivemind_model::rows::{
    AttemptPhase, AttemptRow, ChunkRow, Counters, Ended, NodeRow, RequestRow, Role, RowChanges, TaskProgress, TaskRow,
    UsedToken, UserRow,
};
use hivemind_model::{Cpt, Timestamp};
use sqlx::SqliteConnection;

/// How many [`Bulk`]s there are, here and below.
pub(super) const BULKS: usize = 10 + economy::BULKS + session::BULKS + books::BULKS;

static USERS: Bulk = Bulk::new(
    "users",
    7,
    "INSERT INTO users (id, username, email, password_hash, role, registered_at, registered_from) VALUES",
    "ON CONFLICT (id) DO UPDATE SET username = excluded.username, email = excluded.email,
     password_hash = excluded.password_hash, role = excluded.role, registered_at = excluded.registered_at,
     registered_from = excluded.registered_from",
);

static NODES: Bulk = Bulk::new(
    "nodes",
    12,
    "INSERT INTO nodes (id, name, owner, enrolled_at, seen_at, gpu_info, capacity, service, labels, isolation, kinds, egress) VALUES",
    "ON CONFLICT (id) DO UPDATE SET name = excluded.name, owner = excluded.owner, enrolled_at = excluded.enrolled_at,
     seen_at = excluded.seen_at, gpu_info = excluded.gpu_info, capacity = excluded.capacity,
     service = excluded.service, labels = excluded.labels, isolation = excluded.isolation, kinds = excluded.kinds,
     egress = excluded.egress",
);

static NEW_TASKS: Bulk = Bulk::new(
    "tasks",
    14,
    "INSERT INTO tasks (id, user_id, state, submitted_at, ended_at, cap, cost, completed, failed, cancelled, failure,
     reused, reuse, spec) VALUES",
    "",
);

static TASKS: Bulk = Bulk::new(
    "tasks",
    8,
    "WITH new (id, state, ended_at, cost, completed, failed, cancelled, failure) AS (VALUES",
    ") UPDATE tasks SET state = new.state, ended_at = new.ended_at, cost = new.cost, completed = new.completed,
     failed = new.failed, cancelled = new.cancelled, failure = new.failure
     FROM new WHERE tasks.id = new.id",
);

static CHUNKS: Bulk = Bulk::new(
    "chunks",
    3,
    "INSERT INTO chunks (task, chunk, runs) VALUES",
    "ON CONFLICT (task, chunk) DO UPDATE SET runs = excluded.runs",
);

static ATTEMPTS: Bulk = Bulk::new(
    "attempts",
    10,
    "INSERT INTO attempts (task, element, number, node, assigned_at, started_at, ended_at, cost, report, ballot) VALUES",
    "ON CONFLICT (task, element, number) DO UPDATE SET node = excluded.node, assigned_at = excluded.assigned_at,
     started_at = excluded.started_at, ended_at = excluded.ended_at, cost = excluded.cost, report = excluded.report,
     ballot = excluded.ballot",
);

static REQUESTS: Bulk = Bulk::new("requests", 4, "INSERT INTO requests (user_id, id, body, answer) VALUES", "");

static USED_TOKENS: Bulk = Bulk::new("used_tokens", 2, "INSERT INTO used_tokens (id, expires_at) VALUES", "");

static EXPIRED_TOKENS: Bulk = Bulk::new("used_tokens", 1, "DELETE FROM used_tokens WHERE id IN (VALUES", ")");

static COUNTERS: Bulk = Bulk::new(
    "counters",
    6,
    "INSERT INTO counters (id, next_user, next_node, next_task, next_project, next_session) VALUES",
    "ON CONFLICT (id) DO UPDATE SET next_user = excluded.next_user, next_node = excluded.next_node,
     next_task = excluded.next_task, next_project = excluded.next_project, next_session = excluded.next_session",
);

/// Writes everything a batch changed.
pub(super) async fn write(conn: &mut SqliteConnection, rows: &RowChanges, ledger: &LedgerChanges) -> Result<(), Fault> {
    USERS.run(conn, &rows.users, user).await?;
    NODES.run(conn, &rows.nodes, node).await?;
    NEW_TASKS.run(conn, &rows.new_tasks, new_task).await?;
    TASKS.run(conn, &rows.tasks, task).await?;
    CHUNKS.run(conn, &rows.chunks, chunk).await?;
    ATTEMPTS.run(conn, &rows.attempts, attempt).await?;
    REQUESTS.run(conn, &rows.requests, request).await?;
    USED_TOKENS.run(conn, &rows.used_tokens, used_token).await?;
    // A token that is forgotten already is as forgotten as it can be.
    EXPIRED_TOKENS.run_any(conn, &rows.expired_tokens, |values, id| expired_token(values, id)).await?;
    COUNTERS.run(conn, rows.counters.as_slice(), counters).await?;
    economy::write(conn, rows).await?;
    session::write(conn, rows).await?;
    books::write(conn, ledger).await
}

fn user(values: &mut Values, row: &UserRow) -> Result<(), Fault> {
    values
        .number(row.id.0)?
        .put(row.username.as_str())?
        .put(row.email.as_str())?
        .put(row.password_hash.as_str())?
        .put(role_word(row.role))?
        .put(row.registered_at.0)?
        .put(row.registered_from.as_str())?;
    Ok(())
}

fn node(values: &mut Values, row: &NodeRow) -> Result<(), Fault> {
    values
        .number(row.id.0)?
        .put(row.name.as_str())?
        .number(row.owner.0)?
        .put(row.enrolled_at.0)?
        .put(row.seen_at.0)?
        .put(row.gpu_info.as_str())?
        .json(&row.capacity)?
        .json(&row.service)?
        .json(&row.labels)?
        .put(row.isolation.as_str())?
        .json(&row.kinds)?
        .json(&row.egress)?;
    Ok(())
}

fn new_task(values: &mut Values, row: &TaskRow) -> Result<(), Fault> {
    let progress = &row.progress;
    values
        .number(progress.id.0)?
        .number(row.user.0)?
        .put(progress.state.as_str())?
        .put(row.submitted_at.0)?
        .put(progress.ended_at.map(|at| at.0))?
        .put(row.cap.micro())?
        .put(progress.cost.micro())?;
    ended(values, progress)?
        .optional_json(progress.reused.as_ref())?
        .put(row.spec.reuse.map(|key| key.to_string()))?
        .json(&row.spec)?;
    Ok(())
}

fn task(values: &mut Values, row: &TaskProgress) -> Result<(), Fault> {
    values.number(row.id.0)?.put(row.state.as_str())?.put(row.ended_at.map(|at| at.0))?.put(row.cost.micro())?;
    ended(values, row)?;
    Ok(())
}

fn ended<'v>(values: &'v mut Values, row: &TaskProgress) -> Result<&'v mut Values, Fault> {
    let Ended { completed, failed, cancelled } = row.ended;
    values
        .number(completed.into())?
        .number(failed.into())?
        .number(cancelled.into())?
        .optional_json(row.failure.as_ref())
}

fn chunk(values: &mut Values, row: &ChunkRow) -> Result<(), Fault> {
    values.number(row.task.0)?.number(row.chunk.into())?.json(&row.runs)?;
    Ok(())
}

fn attempt(values: &mut Values, row: &AttemptRow) -> Result<(), Fault> {
    let element = row.attempt.element;
    values
        .number(element.task.0)?
        .number(element.index.into())?
        .number(row.attempt.number.into())?
        .number(row.node.0)?
        .put(row.assigned_at.0)?;
    match &row.phase {
        AttemptPhase::Assigned => phase(values, None, None)?.put(None::<&str>)?.put(None::<&str>)?,
        AttemptPhase::Running { started_at } => {
            phase(values, Some(*started_at), None)?.put(None::<&str>)?.put(None::<&str>)?
        }
        AttemptPhase::Reported { report, ballot } => phase(values, None, None)?.json(report)?.json(ballot)?,
        AttemptPhase::Ended { ended_at, report, cost } => {
            phase(values, None, Some((*ended_at, *cost)))?.json(report)?.put(None::<&str>)?
        }
    };
    Ok(())
}

fn phase(
    values: &mut Values,
    started: Option<Timestamp>,
    ended: Option<(Timestamp, Cpt)>,
) -> Result<&mut Values, Fault> {
    values.put(started.map(|at| at.0))?.put(ended.map(|(at, _)| at.0))?.put(ended.map(|(_, cost)| cost.micro()))
}

fn request(values: &mut Values, row: &RequestRow) -> Result<(), Fault> {
    values.number(row.key.user.0)?.put(row.key.id.as_str())?.put(row.body.as_slice())?.json(&row.answer)?;
    Ok(())
}

fn used_token(values: &mut Values, row: &UsedToken) -> Result<(), Fault> {
    values.put(row.id.as_str())?.put(row.expires_at.0)?;
    Ok(())
}

fn expired_token(values: &mut Values, id: &str) -> Result<(), Fault> {
    values.put(id)?;
    Ok(())
}

fn counters(values: &mut Values, row: &Counters) -> Result<(), Fault> {
    values.put(1i64)?.number(row.user)?.number(row.node)?.number(row.task)?.number(row.project)?.number(row.session)?;
    Ok(())
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Operator => "operator",
    }
}
