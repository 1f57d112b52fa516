//! Statements: the journal as one user may read it.
//!
//! Start at [`page`]; [`of_task`] is the whole story of one task.
//!
//! Invariant: a line says nothing that the journal does not say; its words come from `words`.

use super::page::{after, cut, size, token};
use super::words::{Names, describe};
use crate::shared::Shared;
use crate::status;
use hivemind_ledger::{Entry, Kind, Posting, Reason};
use hivemind_model::rows::TaskRow;
use hivemind_model::{Rejection, TaskId, Timestamp, UserId};
use hivemind_proto::v1::{StatementLine, StatementRequest, StatementResponse, TaskEntriesResponse};
use hivemind_store::StatementFilter;
use tonic::Status;

/// Entries of a caller who names no size.
const DEFAULT_PAGE: u32 = 100;
/// Most lines about one task.
const MAX_TASK_LINES: usize = 10_000;
/// Entries that are read for them: an entry about a task has at least two sides.
const MAX_TASK_ENTRIES: u32 = 5_001;
/// The name of the list in page tokens.
const LIST: &str = "statement";

/// One page of the statement of `user`.
pub(super) async fn page(
    shared: &Shared,
    user: UserId,
    request: &StatementRequest,
) -> Result<StatementResponse, Status> {
    let mut filter = filter(request).map_err(|rejection| status::rejected(&rejection))?;
    // Databases count in signed numbers; no task has a larger id.
    if filter.task.is_some_and(|task| i64::try_from(task.0).is_err()) {
        return Ok(StatementResponse::default());
    }
    let size = filter.limit;
    filter.limit = size + 1;
    let turn = shared.turns.take(user).await.map_err(|rejection| status::rejected(&rejection))?;
    let (store, wanted) = (shared.store.clone(), filter.clone());
    // In a task of its own, so that the turn lasts as long as the read, also where the caller hangs up.
    let read = tokio::spawn(async move {
        let found = store.statement(user, &wanted).await;
        drop(turn);
        found
    });
    let mut entries = read.await.map_err(interrupted)?.map_err(|error| status::store(&error))?;
    let more = cut(&mut entries, size);
    let names = Names::of(shared, &entries, None).await?;
    let wanted = |posting: &&Posting| {
        posting.account.user() == Some(user)
            && (filter.accounts.is_empty() || filter.accounts.contains(&posting.account.kind()))
    };
    let mut lines = Vec::with_capacity(entries.len() * 2);
    for entry in &entries {
        lines.extend(entry.postings.iter().filter(wanted).map(|posting| line(&names, entry, posting)));
    }
    let next = entries.last().filter(|_| more).map(|last| token(LIST, [last.seq]));
    Ok(StatementResponse { lines, next_page_token: next.unwrap_or_default() })
}

fn interrupted(error: tokio::task::JoinError) -> Status {
    tracing::error!(%error, "a statement could not be read");
    Status::unavailable("E_UNAVAILABLE: the statement could not be read to its end; ask again")
}

/// Every side of every entry about a task, oldest first.
pub(super) async fn of_task(shared: &Shared, task: &TaskRow) -> Result<TaskEntriesResponse, Status> {
    let entries = shared.store.task_entries(task.progress.id, MAX_TASK_ENTRIES).await;
    let entries = entries.map_err(|error| status::store(&error))?;
    let names = Names::of(shared, &entries, Some(task)).await?;
    let mut lines = Vec::with_capacity(entries.len() * 3);
    for entry in &entries {
        if lines.len() + entry.postings.len() > MAX_TASK_LINES {
            return Ok(TaskEntriesResponse { lines, cut: true });
        }
        lines.extend(entry.postings.iter().map(|posting| line(&names, entry, posting)));
    }
    Ok(TaskEntriesResponse { lines, cut: false })
}

fn line(names: &Names, entry: &Entry, posting: &Posting) -> StatementLine {
    let (counterparty, note) = describe(names, entry, posting);
    StatementLine {
        entry: i64::try_from(entry.seq).unwrap_or(i64::MAX),
        at_unix_ms: entry.at.0,
        kind: entry.reason.as_str().into(),
        account: posting.account.kind().as_str().into(),
        holder: names.holder(posting.account),
        amount_micro: posting.amount.micro(),
        balance_micro: posting.balance.micro(),
        task_id: entry.reason.task().map(|task| task.to_string()).unwrap_or_default(),
        attempt_id: entry.reason.attempt().map(|attempt| attempt.to_string()).unwrap_or_default(),
        counterparty,
        note,
    }
}

fn filter(request: &StatementRequest) -> Result<StatementFilter, Rejection> {
    let from = moment("from_unix_ms", request.from_unix_ms)?;
    let to = moment("to_unix_ms", request.to_unix_ms)?;
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(Rejection::invalid("from_unix_ms", "is after to_unix_ms; the range runs backwards, swap the two"));
    }
    let task: Option<TaskId> = match request.task_id.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|bad| Rejection::invalid("task_id", bad))?),
    };
    Ok(StatementFilter {
        from,
        to,
        kinds: kinds(&request.kinds)?,
        accounts: accounts(&request.accounts)?,
        task,
        before: after(LIST, &request.page_token)?.map(|[seq]| seq),
        limit: size(request.page_size, DEFAULT_PAGE)?,
    })
}

fn moment(field: &str, at: i64) -> Result<Option<Timestamp>, Rejection> {
    match at {
        0 => Ok(None),
        1.. => Ok(Some(Timestamp(at))),
        _ => Err(Rejection::invalid(field, format!("{at} is before 1970; leave it 0 for no bound"))),
    }
}

fn kinds(words: &[String]) -> Result<Vec<String>, Rejection> {
    if words.len() > Reason::WORDS.len() {
        return Err(Rejection::invalid("kinds", "names more kinds than there are"));
    }
    match words.iter().any(|word| !Reason::WORDS.contains(&word.as_str())) {
        true => Err(Rejection::invalid("kinds", format!("names a kind that is none of {}", Reason::WORDS.join(", ")))),
        false => Ok(words.to_vec()),
    }
}

fn accounts(words: &[String]) -> Result<Vec<Kind>, Rejection> {
    let of_users: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| is_a_users(*kind)).collect();
    if words.len() > of_users.len() {
        return Err(Rejection::invalid("accounts", "names more accounts than there are"));
    }
    let kind = |word: &String| Kind::parse(word).filter(|kind| of_users.contains(kind));
    words.iter().map(kind).collect::<Option<_>>().ok_or_else(|| {
        let all: Vec<&str> = of_users.iter().map(|kind| kind.as_str()).collect();
        Rejection::invalid("accounts", format!("names an account that is none of {}", all.join(", ")))
    })
}

fn is_a_users(kind: Kind) -> bool {
    match kind {
        Kind::Treasury | Kind::Project => false,
        Kind::Available | Kind::Promo | Kind::Held | Kind::Pending | Kind::Owner | Kind::Reward => true,
    }
}
