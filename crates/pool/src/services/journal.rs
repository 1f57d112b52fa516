//! The journal as operators read it, newest entry first.
//!
//! Start at [`page`].
//!
//! Invariant: an entry is shown whole, with every posting and its hash.

use super::page::{MAX_PAGE, after, cut, size, token};
use super::words::Names;
use crate::shared::Shared;
use crate::status;
use hivemind_ledger::{Entry, Reason};
use hivemind_model::{Code, Rejection};
use hivemind_proto::v1::{JournalEntry, JournalPosting, ListJournalRequest, ListJournalResponse};
use hivemind_store::{JournalFilter, StatementFilter, StoreError};
use tonic::Status;

/// Entries of a caller who names no size.
const DEFAULT_PAGE: u32 = 100;
/// Entries that are looked at for one page of a kind that is rare.
const MOST_LOOKED_AT: u32 = 50_000;
/// The name of the list in page tokens.
const LIST: &str = "journal";
/// The word of the one entry that no statement has.
const GENESIS: &str = "genesis";

/// One page of the journal.
pub(super) async fn page(shared: &Shared, request: &ListJournalRequest) -> Result<ListJournalResponse, Status> {
    let (kinds, before, size) = asked(request).map_err(|rejection| status::rejected(&rejection))?;
    let (mut entries, looked_down_to) = match request.username.as_str() {
        "" => all(shared, kinds, before, size).await?,
        name => (of_user(shared, name, kinds, before, size).await?, 1),
    };
    let next = match cut(&mut entries, size) {
        true => entries.last().map(|last| last.seq),
        false => Some(looked_down_to).filter(|seq| *seq > 1),
    };
    let names = Names::of(shared, &entries, None).await?;
    Ok(ListJournalResponse {
        entries: entries.iter().map(|entry| line(&names, entry)).collect(),
        next_page_token: next.map(|seq| token(LIST, [seq])).unwrap_or_default(),
    })
}

/// Which kinds, before which entry, and how many.
fn asked(request: &ListJournalRequest) -> Result<(Vec<String>, Option<u64>, u32), Rejection> {
    let before = after(LIST, &request.page_token)?.map(|[seq]| seq);
    Ok((kinds(&request.kinds)?, before, size(request.page_size, DEFAULT_PAGE)?))
}

/// One entry more than a page has, where there are so many, and down to which number was looked.
async fn all(shared: &Shared, kinds: Vec<String>, before: Option<u64>, size: u32) -> Result<(Vec<Entry>, u64), Status> {
    let most_looked_at = if kinds.is_empty() { MAX_PAGE + 1 } else { MOST_LOOKED_AT };
    let filter = JournalFilter { kinds, before, most_looked_at, limit: size + 1 };
    let page = shared.store.journal_backwards(&filter).await.map_err(|error| unreadable(&error))?;
    Ok((page.entries, page.looked_down_to))
}

async fn of_user(
    shared: &Shared,
    name: &str,
    kinds: Vec<String>,
    before: Option<u64>,
    size: u32,
) -> Result<Vec<Entry>, Status> {
    let user = shared.store.user_by_name(name).await.map_err(|error| status::store(&error))?;
    let unknown = || Rejection::field(Code::NotFound, "username", "nobody has that name in this pool");
    let user = user.ok_or_else(|| status::rejected(&unknown()))?;
    let filter = StatementFilter { kinds, before, limit: size + 1, ..StatementFilter::default() };
    shared.store.statement(user.id, &filter).await.map_err(|error| unreadable(&error))
}

fn unreadable(error: &StoreError) -> Status {
    match error {
        StoreError::BadEntry { seq, .. } => {
            tracing::error!(%error, "the journal is damaged");
            Status::data_loss(format!(
                "E_INTERNAL: entry {seq} of the journal is not as it was written; run an audit, and restore the pool from a backup"
            ))
        }
        other => status::store(other),
    }
}

fn kinds(words: &[String]) -> Result<Vec<String>, Rejection> {
    if words.len() > Reason::WORDS.len() + 1 {
        return Err(Rejection::invalid("kinds", "names more kinds than there are"));
    }
    let is_one = |word: &String| word == GENESIS || Reason::WORDS.contains(&word.as_str());
    match words.iter().all(is_one) {
        true => Ok(words.to_vec()),
        false => Err(Rejection::invalid(
            "kinds",
            format!("names a kind that is none of {GENESIS}, {}", Reason::WORDS.join(", ")),
        )),
    }
}

fn line(names: &Names, entry: &Entry) -> JournalEntry {
    let posting = |posting: &hivemind_ledger::Posting| JournalPosting {
        account: posting.account.kind().as_str().into(),
        holder: names.holder(posting.account),
        amount_micro: posting.amount.micro(),
        balance_micro: posting.balance.micro(),
    };
    JournalEntry {
        entry: i64::try_from(entry.seq).unwrap_or(i64::MAX),
        at_unix_ms: entry.at.0,
        kind: entry.reason.as_str().into(),
        note: names.note(entry),
        hash: hex::encode(entry.hash),
        postings: entry.postings.iter().map(posting).collect(),
        task_id: entry.reason.task().map(|task| task.to_string()).unwrap_or_default(),
        attempt_id: entry.reason.attempt().map(|attempt| attempt.to_string()).unwrap_or_default(),
    }
}
