//! The books: accounts, balanced journal entries, holds and supply.
//!
//! Start at [`Ledger`]. Every movement of money is one [`Entry`] whose postings sum to zero; the
//! entries form a hash chain; a replay from genesis gives the balances.
//!
//! Invariant: nothing here knows what a task does, and no method changes anything when it refuses.

use hivemind_model::{Cpt, TaskId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Whose money, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What was never given out.
    Treasury,
    /// What a user can spend.
    Available(UserId),
    /// What is set aside for a user's open tasks, all holds together.
    Held(UserId),
}

/// Why money moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// The whole supply enters the treasury; the first entry, and the only one that does not sum to zero.
    Genesis,
    /// The sign-up grant.
    SignUp { user: UserId },
    /// From user to user.
    Transfer { from: UserId, to: UserId },
    /// Set aside for a task.
    Hold { task: TaskId },
    /// A task's price is paid to an owner, and its part of the hold ends.
    Settlement { task: TaskId, index: u32, attempt: u32 },
    /// A hold, or what is left of it, goes back.
    Release { task: TaskId },
}

/// One side of an entry: added to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Which account.
    pub account: Account,
    /// Above zero: it grows.
    pub amount: Cpt,
}

/// One immutable line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// When, by the pool's clock.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// Both sides; they sum to zero, but for genesis.
    pub postings: Vec<Posting>,
    /// SHA-256 over the hash of the entry before and this entry's content.
    pub hash: [u8; 32],
}

/// Money set aside for one open task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// For which task.
    pub task: TaskId,
    /// Whose money.
    pub user: UserId,
    /// What is still set aside.
    pub left: Cpt,
}

/// What a batch changed in the books.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LedgerChanges {
    /// New entries, in order.
    pub entries: Vec<Entry>,
    /// Balances after the batch, of the accounts that it changed.
    pub balances: Vec<(Account, Cpt)>,
    /// New or changed holds.
    pub holds: Vec<Hold>,
    /// Holds that ended.
    pub ended_holds: Vec<TaskId>,
}

/// The books as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerImage {
    /// All accounts.
    pub balances: Vec<(Account, Cpt)>,
    /// All open holds.
    pub holds: Vec<Hold>,
    /// Number of the newest entry.
    pub last_seq: u64,
    /// Its hash.
    pub last_hash: [u8; 32],
}
