//! What can go wrong in a store, in words that say what to do.
//!
//! Invariant: no text here repeats the driver's; that one is the source.

use std::path::PathBuf;

/// The store could not do what it was asked. The batch, if there was one, is not written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("database: {context}")]
    Database {
        /// What was being done, and what to do about it.
        context: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A row does not read back.
    #[error("row of {table} is damaged: {detail}; restore the database from its last backup")]
    Damaged {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// An entry of the journal does not read back as it was written.
    #[error("journal entry {seq} is damaged: {detail}; restore the database from its last backup")]
    BadEntry {
        /// Which entry.
        seq: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The batch contradicts what is stored.
    #[error(
        "the batch does not fit what is stored in {table}: {detail}; nothing of it was written, start the pool again from its database"
    )]
    Conflict {
        /// Which table.
        table: &'static str,
        /// What does not fit.
        detail: String,
    },
    /// Another process has this database.
    #[error("{} is in use by {holder}; stop that pool first, or give this one another data folder", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who has it, as far as it said so.
        holder: String,
    },
    /// A newer HiveMind wrote this database.
    #[error("{} has schema version {found}, this program knows up to {known}; run the HiveMind that wrote it, or a newer one", path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// The file is a database, but not one of a pool.
    #[error("{} is a database of another program; give the pool a data folder of its own", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// A file beside the database could not be made or opened.
    #[error("{action} {} failed; check that the folder exists and that this user may write to it", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
