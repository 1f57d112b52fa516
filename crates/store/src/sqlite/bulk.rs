//! Many rows in one statement.
//!
//! A batch of thousands of rows becomes a handful of statements of up to [`STEPS`]`[0]` rows each,
//! `... VALUES (?, ?), (?, ?), ...`, prepared once and kept. Measured with 4,096 tasks on two cores,
//! this costs 2 to 3 us per row, as much as one prepared statement stepped row by row without a
//! driver between, and a third of what rows unpacked from one JSON parameter cost.
//!
//! Invariant: no text of a statement depends on a value.

use super::fault::Fault;
use crate::StoreError;
use serde::Serialize;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};
use std::sync::{Arc, OnceLock};

/// Rows per statement: any number of rows is a sum of these. 256 rows of the widest table stay
/// far below SQLite's bound of 32,766 parameters.
const STEPS: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// How many different statements one [`Bulk`] may prepare.
pub(super) const STATEMENTS_PER_BULK: usize = STEPS.len();

/// One statement over many rows: what stands before the rows, the rows, and what stands after.
pub(super) struct Bulk {
    table: &'static str,
    head: &'static str,
    columns: usize,
    tail: &'static str,
    texts: [OnceLock<Arc<str>>; STEPS.len()],
}

impl Bulk {
    /// A statement on `table` with `columns` values per row.
    pub(super) const fn new(table: &'static str, columns: usize, head: &'static str, tail: &'static str) -> Self {
        Self { table, head, columns, tail, texts: [const { OnceLock::new() }; STEPS.len()] }
    }

    /// Writes `rows`, each of which must hit exactly one row of the table.
    pub(super) async fn run<T: Sync>(
        &self,
        conn: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Values, &T) -> Result<(), Fault> + Send,
    ) -> Result<(), Fault> {
        let hit = self.run_any(conn, rows, bind).await?;
        let wanted = rows.len() as u64;
        if hit == wanted {
            return Ok(());
        }
        let detail = format!("{hit} rows were changed where the batch has {wanted}");
        Err(StoreError::Conflict { table: self.table, detail }.into())
    }

    /// Writes `rows`, which need not hit a row; returns how many did.
    pub(super) async fn run_any<T: Sync>(
        &self,
        conn: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Values, &T) -> Result<(), Fault> + Send,
    ) -> Result<u64, Fault> {
        let mut hit = 0;
        let mut left = rows;
        for (step, text) in STEPS.into_iter().zip(&self.texts) {
            while let Some((now, later)) = left.split_at_checked(step) {
                left = later;
                let mut values = Values::new(self.table, step * self.columns);
                now.iter().try_for_each(|row| bind(&mut values, row))?;
                let sql = AssertSqlSafe(Arc::clone(text.get_or_init(|| self.text(step))));
                hit += sqlx::query_with(sql, values.arguments).execute(&mut *conn).await?.rows_affected();
            }
        }
        Ok(hit)
    }

    fn text(&self, rows: usize) -> Arc<str> {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{} {} {}", self.head, vec![row; rows].join(","), self.tail).into()
    }
}

/// The values of one statement, in the order of its columns.
pub(super) struct Values {
    table: &'static str,
    arguments: SqliteArguments,
}

impl Values {
    fn new(table: &'static str, count: usize) -> Self {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(count, 0);
        Self { table, arguments }
    }

    /// The next value as it is.
    pub(super) fn put<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> Result<&mut Self, Fault> {
        self.arguments.add(value).map_err(sqlx::Error::Encode)?;
        Ok(self)
    }

    /// The next value: an id or a number of the model, which the database keeps with a sign.
    pub(super) fn number(&mut self, value: u64) -> Result<&mut Self, Fault> {
        let signed = self.signed(value)?;
        self.put(signed)
    }

    /// The next value: as [`Values::number`], or NULL.
    pub(super) fn optional_number(&mut self, value: Option<u64>) -> Result<&mut Self, Fault> {
        let signed = value.map(|value| self.signed(value)).transpose()?;
        self.put(signed)
    }

    fn signed(&self, value: u64) -> Result<i64, StoreError> {
        i64::try_from(value).map_err(|_| {
            let detail = format!("{value} is above the largest number that is kept, {}", i64::MAX);
            StoreError::Conflict { table: self.table, detail }
        })
    }

    /// The next value: as [`Values::json`], or NULL.
    pub(super) fn optional_json(&mut self, value: Option<&impl Serialize>) -> Result<&mut Self, Fault> {
        match value {
            Some(value) => self.json(value),
            None => self.put(None::<&str>),
        }
    }

    /// The next value: `value` as compact JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<&mut Self, Fault> {
        let text = serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))?;
        self.put(text)
    }
}
