//! The books of a batch: journal, accounts, and what is on its way.
//!
//! Start at [`write`].
//!
//! Invariant: what ends was there; the journal only grows.

use super::super::bulk::{Bulk, Values};
use super::super::fault::Fault;
use super::super::postings::Written;
use crate::StoreError;
use hivemind_ledger::{Account, Accrual, Entry, Hold, LedgerChanges, Source, Vest, VestKey};
use hivemind_model::{AttemptRef, Cpt, TaskId, Timestamp};
use sqlx::SqliteConnection;

/// How many [`Bulk`]s there are below.
pub(super) const BULKS: usize = 8;

static JOURNAL: Bulk =
    Bulk::new("journal", 8, "INSERT INTO journal (seq, at, hash, user_a, user_b, task, reason, postings) VALUES", "");

static ACCOUNTS: Bulk = Bulk::new(
    "accounts",
    3,
    "INSERT INTO accounts (kind, holder, balance) VALUES",
    "ON CONFLICT (kind, holder) DO UPDATE SET balance = excluded.balance",
);

static HOLDS: Bulk = Bulk::new(
    "holds",
    5,
    "INSERT INTO holds (task, user_id, own, promo, expires_at) VALUES",
    "ON CONFLICT (task) DO UPDATE SET user_id = excluded.user_id, own = excluded.own, promo = excluded.promo,
     expires_at = excluded.expires_at",
);

static ENDED_HOLDS: Bulk = Bulk::new("holds", 1, "DELETE FROM holds WHERE task IN (VALUES", ")");

static ACCRUALS: Bulk = Bulk::new(
    "accruals",
    6,
    "INSERT INTO accruals (task, element, number, payee, own, promo) VALUES",
    "ON CONFLICT (task, element, number) DO UPDATE SET payee = excluded.payee, own = excluded.own,
     promo = excluded.promo",
);

// With bare VALUES in the parentheses SQLite would read the whole table instead of looking keys up.
static ENDED_ACCRUALS: Bulk =
    Bulk::new("accruals", 3, "DELETE FROM accruals WHERE (task, element, number) IN (SELECT * FROM (VALUES", "))");

static VESTS: Bulk = Bulk::new(
    "vests",
    4,
    "INSERT INTO vests (due, user_id, source, amount) VALUES",
    "ON CONFLICT (due, user_id, source) DO UPDATE SET amount = excluded.amount",
);

static ENDED_VESTS: Bulk =
    Bulk::new("vests", 3, "DELETE FROM vests WHERE (due, user_id, source) IN (SELECT * FROM (VALUES", "))");

/// Writes everything a batch changed in the books.
pub(super) async fn write(conn: &mut SqliteConnection, ledger: &LedgerChanges) -> Result<(), Fault> {
    check_journal(conn, &ledger.entries).await?;
    JOURNAL.run(conn, &ledger.entries, entry).await?;
    ACCOUNTS.run(conn, &ledger.balances, balance).await?;
    HOLDS.run(conn, &ledger.holds, hold).await?;
    ENDED_HOLDS.run(conn, &ledger.ended_holds, ended_hold).await?;
    ACCRUALS.run(conn, &ledger.accruals, accrual).await?;
    ENDED_ACCRUALS.run(conn, &ledger.ended_accruals, ended_accrual).await?;
    VESTS.run(conn, &ledger.vests, vest).await?;
    ENDED_VESTS.run(conn, &ledger.ended_vests, ended_vest).await
}

/// Refuses entries that do not go on from the last one that is stored: one by one, and never back in
/// time, which statements rely on.
async fn check_journal(conn: &mut SqliteConnection, entries: &[Entry]) -> Result<(), Fault> {
    if entries.is_empty() {
        return Ok(());
    }
    let newest = "SELECT seq, at FROM journal ORDER BY seq DESC LIMIT 1";
    let (last, mut at): (i64, i64) = sqlx::query_as(newest).fetch_optional(conn).await?.unwrap_or((0, i64::MIN));
    for (expected, entry) in (last.unsigned_abs() + 1..).zip(entries) {
        let detail = if entry.seq != expected {
            format!("entry {} came where {expected} was due", entry.seq)
        } else if entry.at < Timestamp(at) {
            format!("entry {expected} is of an earlier time than the one before it")
        } else {
            at = entry.at.0;
            continue;
        };
        return Err(StoreError::Conflict { table: "journal", detail }.into());
    }
    Ok(())
}

fn entry(values: &mut Values, row: &Entry) -> Result<(), Fault> {
    let [user_a, user_b] = row.users();
    values
        .number(row.seq)?
        .put(row.at.0)?
        .put(row.hash.as_slice())?
        .optional_number(user_a.map(|user| user.0))?
        .optional_number(user_b.map(|user| user.0))?
        .optional_number(row.reason.task().map(|task| task.0))?
        .json(&row.reason)?
        .json(&Written(&row.postings))?;
    Ok(())
}

fn balance(values: &mut Values, (account, balance): &(Account, Cpt)) -> Result<(), Fault> {
    values.put(account.kind().as_str())?.number(account.holder())?.put(balance.micro())?;
    Ok(())
}

fn hold(values: &mut Values, row: &Hold) -> Result<(), Fault> {
    values
        .number(row.task.0)?
        .number(row.user.0)?
        .put(row.left.own.micro())?
        .put(row.left.promo.micro())?
        .put(row.expires_at.0)?;
    Ok(())
}

fn ended_hold(values: &mut Values, task: &TaskId) -> Result<(), Fault> {
    values.number(task.0)?;
    Ok(())
}

fn accrual(values: &mut Values, row: &Accrual) -> Result<(), Fault> {
    ended_accrual(values, &row.attempt)?;
    values.number(row.payee.0)?.put(row.amount.own.micro())?.put(row.amount.promo.micro())?;
    Ok(())
}

fn ended_accrual(values: &mut Values, attempt: &AttemptRef) -> Result<(), Fault> {
    let element = attempt.element;
    values.number(element.task.0)?.number(element.index.into())?.number(attempt.number.into())?;
    Ok(())
}

fn vest(values: &mut Values, row: &Vest) -> Result<(), Fault> {
    ended_vest(values, &row.key)?;
    values.put(row.amount.micro())?;
    Ok(())
}

fn ended_vest(values: &mut Values, key: &VestKey) -> Result<(), Fault> {
    let source = match key.source {
        Source::Work => "work",
        Source::Reward => "reward",
    };
    values.put(key.due.0)?.number(key.user.0)?.put(source)?;
    Ok(())
}
