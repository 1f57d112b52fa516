//! Faults on the way to a [`StoreError`]: the driver's error until the path is known.
//!
//! Invariant: advice is given in one place, [`advice`].

use crate::StoreError;
use std::path::Path;

/// A failure inside the SQLite store.
#[derive(Debug)]
pub(super) enum Fault {
    /// The driver's.
    Sql(sqlx::Error),
    /// Said already.
    Told(StoreError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}

impl Fault {
    /// Tells the fault to people: `action` is what was being done to the database at `path`.
    pub(super) fn told(self, action: &str, path: &Path) -> StoreError {
        match self {
            Self::Told(error) => error,
            Self::Sql(source) => {
                let context = format!("{action} {} failed: {}", path.display(), advice(&source));
                StoreError::Database { context, source }
            }
        }
    }
}

/// What the failure means and what to do, by SQLite's primary result code
/// (<https://www.sqlite.org/rescode.html>).
fn advice(error: &sqlx::Error) -> &'static str {
    const BUSY: i32 = 5;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const CONSTRAINT: i32 = 19;
    const NOTADB: i32 = 26;
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let extended = code.and_then(|text| text.parse::<i32>().ok());
    match extended.map(|code| code & 0xff) {
        Some(FULL) => "the disk is full; free some space on it and start the pool again",
        Some(IOERR) => "the disk did not read or write; check its space and health and start the pool again",
        Some(BUSY) => "another program holds a lock on the file; close that program and start the pool again",
        Some(READONLY | CANTOPEN) => {
            "the file may not be written; check the rights of its folder and start the pool again"
        }
        Some(CORRUPT | NOTADB) => {
            "the file is damaged, or is no database; restore the last backup and start the pool again"
        }
        Some(CONSTRAINT) => {
            "a row contradicts what is stored; nothing was written, start the pool again and report this"
        }
        _ => "see the cause; nothing was written",
    }
}
