//! Pages of the journal: all of it, of one user, of one task.
//!
//! A statement walks the indexes of the user's entries backwards from where its page begins, and
//! stops when the page is full; times are turned into entry numbers first, by [`first_at`]. Start at
//! [`statement`].
//!
//! Invariant: no statement reads entries of other users, and none sorts.

use super::{all, json, key};
use crate::sqlite::fault::Fault;
use crate::sqlite::postings;
use crate::{JournalFilter, JournalPage, StatementFilter};
use hivemind_ledger::{Account, Entry, Kind};
use hivemind_model::{TaskId, Timestamp, UserId};
use sqlx::{AssertSqlSafe, SqliteConnection};
use std::collections::BTreeSet;

/// The kinds of accounts that a user has.
const OWN: [Kind; 6] = [Kind::Available, Kind::Promo, Kind::Held, Kind::Pending, Kind::Owner, Kind::Reward];

/// The words of reasons that are about a task. Their entries are in indexes of their own.
const WORK: [&str; 6] = ["hold", "accrual", "return", "settlement", "release", "expiry"];

pub(in crate::sqlite) async fn page(conn: &mut SqliteConnection, after: u64, limit: u32) -> Result<Vec<Entry>, Fault> {
    let query = sqlx::query(select!(journal, "WHERE seq > ? ORDER BY seq LIMIT ?"));
    all(conn, query.bind(key(after)).bind(limit)).await
}

pub(in crate::sqlite) async fn task_entries(
    conn: &mut SqliteConnection,
    task: TaskId,
    limit: u32,
) -> Result<Vec<Entry>, Fault> {
    all(conn, sqlx::query(TASK_ENTRIES).bind(key(task.0)).bind(limit)).await
}

const TASK_ENTRIES: &str = select!(journal, "INDEXED BY journal_by_task WHERE task = ? ORDER BY seq LIMIT ?");

/// A page of the entries that touch an account of `user`, newest first. To be called in a transaction.
pub(in crate::sqlite) async fn statement(
    conn: &mut SqliteConnection,
    user: UserId,
    filter: &StatementFilter,
) -> Result<Vec<Entry>, Fault> {
    let accounts: BTreeSet<Kind> = filter.accounts.iter().copied().filter(|kind| OWN.contains(kind)).collect();
    if accounts.is_empty() && !filter.accounts.is_empty() {
        return Ok(Vec::new());
    }
    let first = match filter.from {
        Some(from) => first_at(conn, from).await?,
        None => 0,
    };
    let end = match filter.to {
        Some(to) => first_at(conn, to).await?,
        None => i64::MAX,
    };
    let end = filter.before.map_or(end, |before| end.min(key(before)));
    let words = if filter.kinds.is_empty() { None } else { Some(json(&filter.kinds)?) };
    let sql = statement_sql(Walk::of(filter));
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(key(user.0)).bind(first).bind(end).bind(filter.limit);
    query = query.bind(words).bind(filter.task.map(|task| key(task.0)));
    let mut beginnings = accounts.into_iter().map(|kind| postings::begins(Account::of(kind, user.0)));
    for _ in OWN {
        query = query.bind(beginnings.next());
    }
    all(conn, query).await
}

/// The word of the reason of an entry, which begins with it, so that it need not be parsed.
const WORD: &str = r#"substr(reason, 10, instr(substr(reason, 10), '"') - 1)"#;

/// A page of all entries, newest first. To be called in a transaction.
pub(in crate::sqlite) async fn backwards(
    conn: &mut SqliteConnection,
    filter: &JournalFilter,
) -> Result<JournalPage, Fault> {
    let last: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM journal").fetch_one(&mut *conn).await?;
    let end = filter.before.map_or(i64::MAX, key).min(last.saturating_add(1));
    let first = end.saturating_sub(i64::from(filter.most_looked_at)).max(1);
    let words = if filter.kinds.is_empty() { None } else { Some(json(&filter.kinds)?) };
    let sql = format!(
        "SELECT {} FROM journal WHERE seq >= ?1 AND seq < ?2
         AND (?3 IS NULL OR {WORD} IN (SELECT value FROM json_each(?3))) ORDER BY seq DESC LIMIT ?4",
        columns!(journal)
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(first).bind(end).bind(words).bind(filter.limit);
    Ok(JournalPage { entries: all(conn, query).await?, looked_down_to: first.cast_unsigned() })
}

/// Which indexes a statement walks along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// The entries about one task.
    Task,
    /// The user's entries about tasks.
    Work,
    /// The user's other entries.
    Other,
    /// All entries of the user.
    Both,
}

impl Walk {
    /// The least that holds everything that `filter` lets through.
    fn of(filter: &StatementFilter) -> Self {
        let work = filter.kinds.iter().filter(|word| WORK.contains(&word.as_str())).count();
        match (filter.task, filter.kinds.len()) {
            (Some(_), _) => Self::Task,
            (None, 0) => Self::Both,
            (None, all) if work == all => Self::Work,
            (None, _) if work == 0 => Self::Other,
            (None, _) => Self::Both,
        }
    }

    /// The conditions that pick entries, each with the index that it is read through. No entry meets two.
    const fn arms(self) -> &'static [&'static str] {
        const TASK: &str = "INDEXED BY journal_by_task WHERE task = ?6 AND (user_a = ?1 OR user_b = ?1)";
        const WORK_A: &str = "INDEXED BY journal_work_a WHERE user_a = ?1 AND task IS NOT NULL";
        const WORK_B: &str = "INDEXED BY journal_work_b WHERE user_b = ?1 AND task IS NOT NULL";
        const OTHER_A: &str = "INDEXED BY journal_other_a WHERE user_a = ?1 AND task IS NULL";
        const OTHER_B: &str = "INDEXED BY journal_other_b WHERE user_b = ?1 AND task IS NULL";
        match self {
            Self::Task => &[TASK],
            Self::Work => &[WORK_A, WORK_B],
            Self::Other => &[OTHER_A, OTHER_B],
            Self::Both => &[WORK_A, WORK_B, OTHER_A, OTHER_B],
        }
    }
}

/// The text of a statement: 1 the user, 2 the first entry, 3 the end, 4 the limit, 5 the words, 6 the
/// task, from 7 on how postings begin that are wanted.
///
/// A reason begins with its word and a posting with its account, so that neither needs to be parsed.
fn statement_sql(walk: Walk) -> String {
    const POSTINGS: &str = "instr(postings, ?7) OR instr(postings, ?8) OR instr(postings, ?9)
         OR instr(postings, ?10) OR instr(postings, ?11) OR instr(postings, ?12)";
    let arm = |condition: &&str| {
        format!(
            "SELECT {} FROM journal {condition} AND seq >= ?2 AND seq < ?3
             AND (?5 IS NULL OR {WORD} IN (SELECT value FROM json_each(?5))) AND (?7 IS NULL OR {POSTINGS})",
            columns!(journal)
        )
    };
    let arms: Vec<String> = walk.arms().iter().map(arm).collect();
    format!("{} ORDER BY seq DESC LIMIT ?4", arms.join(" UNION ALL "))
}

/// The number of the first entry at `at` or later; one above the last where there is none. Times
/// never decrease in the journal, so that this takes one look-up per bit of its length.
async fn first_at(conn: &mut SqliteConnection, at: Timestamp) -> Result<i64, Fault> {
    let search = "WITH RECURSIVE search (low, high) AS (
            SELECT 1, coalesce(max(seq), 0) + 1 FROM journal
            UNION ALL
            SELECT iif(at < ?, (low + high) / 2 + 1, low), iif(at < ?, high, (low + high) / 2)
            FROM search LEFT JOIN journal ON seq = (low + high) / 2 WHERE low < high
        ) SELECT low FROM search WHERE low = high";
    Ok(sqlx::query_scalar(search).bind(at.0).bind(at.0).fetch_one(conn).await?)
}

#[cfg(test)]
mod tests;
