//! The books as an operator reads them: the audit, and the trial balance.
//!
//! The audit replays the journal from its first entry and names the first one that cannot be true;
//! then it compares what the journal amounts to with what is stored. Start at [`audit`].
//!
//! Invariant: the audit believes nothing but the journal.

use crate::board::Board;
use hivemind_ledger::{BadEntry, Kind, LedgerImage, Replay, ReplayedBooks, SUPPLY};
use hivemind_model::{Millis, TaskId, Timestamp};
use hivemind_proto::v1::{AuditResponse, HoldsByAge, TrialBalanceResponse, TrialLine};
use hivemind_store::{Store, StoreError};

/// Journal entries read at once.
const PAGE: u32 = 5_000;
/// Holds whose tasks are looked up at once.
const HOLDS: usize = 10_000;
const HOUR: Millis = Millis::from_secs(3600);
/// Ages of holds, youngest first; the last has no bound.
const AGES: [(&str, Millis); 4] = [
    ("under 1 hour", HOUR),
    ("under 1 day", Millis(24 * HOUR.0)),
    ("under 1 week", Millis(7 * 24 * HOUR.0)),
    ("1 week and older", Millis(u64::MAX)),
];

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// An entry of the journal cannot be true.
    Entry(BadEntry),
    /// Something that is stored beside the journal is not what the journal gives.
    Stored(String),
}

/// Replays the whole journal and compares it with what is stored.
pub(super) async fn audit(store: &dyn Store) -> Result<AuditResponse, StoreError> {
    // The image is one consistent reading; the journal up to its end does not change any more.
    let image = match store.ledger().await {
        Ok(image) => image,
        // The newest entry itself does not read back; one before it may be bad too.
        Err(StoreError::BadEntry { seq, detail }) => {
            let first = match replay(store, seq.saturating_sub(1)).await? {
                Err(Finding::Entry(first)) => first,
                Err(Finding::Stored(_)) | Ok(_) => BadEntry { seq, why: detail },
            };
            return Ok(AuditResponse {
                finding: first.to_string(),
                bad_entry: wire(first.seq),
                ..AuditResponse::default()
            });
        }
        Err(error) => return Err(error),
    };
    let compared = replay(store, image.last_seq).await?.and_then(|books| compare(&image, &books));
    Ok(verdict(&image, compared.err()))
}

/// Replays the journal up to entry `last`; the inner error is what is wrong with it.
async fn replay(store: &dyn Store, last: u64) -> Result<Result<ReplayedBooks, Finding>, StoreError> {
    let mut replay = Replay::default();
    let mut after = 0;
    while after < last {
        let limit = u32::try_from(last - after).unwrap_or(PAGE).min(PAGE);
        let (entries, unreadable) = match store.journal(after, limit).await {
            Ok(entries) => (entries, None),
            Err(StoreError::BadEntry { seq, detail }) => {
                // What comes before it on this page has still to be looked at.
                let before = u32::try_from(seq.saturating_sub(after + 1)).unwrap_or(PAGE).min(PAGE);
                let entries = if before == 0 { Vec::new() } else { store.journal(after, before).await? };
                (entries, Some(BadEntry { seq, why: detail }))
            }
            Err(error) => return Err(error),
        };
        if entries.is_empty() && unreadable.is_none() {
            let why = format!("L7: it is missing; the accounts stand at entry {last}");
            return Ok(Err(Finding::Entry(BadEntry { seq: after + 1, why })));
        }
        for entry in &entries {
            if let Err(bad) = replay.push(entry) {
                return Ok(Err(Finding::Entry(bad)));
            }
            after = entry.seq;
        }
        if let Some(bad) = unreadable {
            return Ok(Err(Finding::Entry(bad)));
        }
        tokio::task::yield_now().await;
    }
    Ok(replay.finish().map_err(Finding::Entry))
}

fn verdict(image: &LedgerImage, finding: Option<Finding>) -> AuditResponse {
    let sum = |wanted: fn(Kind) -> bool| {
        let balances = image.balances.iter().filter(|(account, _)| wanted(account.kind()));
        micro(balances.map(|(_, amount)| i128::from(amount.micro())).sum())
    };
    let balanced = finding.is_none();
    let (finding, bad_entry) = match finding {
        None => (String::new(), 0),
        Some(Finding::Entry(bad)) => (bad.to_string(), wire(bad.seq)),
        Some(Finding::Stored(why)) => (why, 0),
    };
    AuditResponse {
        balanced,
        finding,
        entries: wire(image.last_seq),
        accounts: i64::try_from(image.balances.len()).unwrap_or(i64::MAX),
        supply_micro: sum(|_| true),
        held_micro: sum(|kind| kind == Kind::Held),
        treasury_micro: sum(|kind| kind == Kind::Treasury),
        bad_entry,
    }
}

/// Compares everything that is stored beside the journal with what the journal amounts to.
fn compare(image: &LedgerImage, books: &ReplayedBooks) -> Result<(), Finding> {
    if books.last_hash != image.last_hash {
        let why = "L7: its hash is not the one that is stored for the end of the journal".into();
        return Err(Finding::Entry(BadEntry { seq: image.last_seq, why }));
    }
    books.compare(image).map_err(|broken| Finding::Stored(format!("{}: {}", broken.invariant, broken.detail)))
}

/// What the accounts of each kind have together, and the holds by the age of their tasks. One
/// consistent reading.
pub(super) async fn trial_balance(
    store: &dyn Store,
    board: &Board,
    now: Timestamp,
) -> Result<TrialBalanceResponse, StoreError> {
    let image = store.ledger().await?;
    let lines = Kind::ALL.into_iter().map(|kind| {
        let of_kind = || image.balances.iter().filter(|(account, _)| account.kind() == kind);
        TrialLine {
            kind: kind.as_str().into(),
            accounts: i64::try_from(of_kind().count()).unwrap_or(i64::MAX),
            balance_micro: micro(of_kind().map(|(_, amount)| i128::from(amount.micro())).sum()),
        }
    });
    let lines = lines.collect();
    let supply = image.balances.iter().map(|(_, amount)| i128::from(amount.micro())).sum();
    Ok(TrialBalanceResponse {
        lines,
        supply_micro: micro(supply),
        expected_supply_micro: SUPPLY.micro(),
        entries: wire(image.last_seq),
        last_hash: hex::encode(image.last_hash),
        holds: holds_by_age(store, board, &image, now).await?,
    })
}

async fn holds_by_age(
    store: &dyn Store,
    board: &Board,
    image: &LedgerImage,
    now: Timestamp,
) -> Result<Vec<HoldsByAge>, StoreError> {
    let mut counts = [(0i64, 0i128); AGES.len()];
    for holds in image.holds.chunks(HOLDS) {
        let tasks: Vec<TaskId> = holds.iter().map(|hold| hold.task).collect();
        for (hold, submitted_at) in holds.iter().zip(board.submitted_at(&tasks)) {
            let submitted_at = match submitted_at {
                Some(at) => at,
                // It ended since the books were read, or the board has not heard of it yet.
                None => store.task(hold.task).await?.map_or(now, |task| task.submitted_at),
            };
            let age = now.since(submitted_at);
            let place = AGES.iter().position(|(_, below)| age < *below).unwrap_or(AGES.len() - 1);
            counts[place].0 += 1;
            counts[place].1 += i128::from(hold.left.total().micro());
        }
        tokio::task::yield_now().await;
    }
    let lines = AGES.iter().zip(counts);
    Ok(lines
        .map(|((age, _), (holds, amount))| HoldsByAge { age: (*age).into(), holds, amount_micro: micro(amount) })
        .collect())
}

fn micro(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(i64::MAX)
}

fn wire(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
