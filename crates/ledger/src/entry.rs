//! Journal entries and the chain that makes them tamper-evident.
//!
//! Start at [`Entry::hash_after`], which fixes what the chain covers.
//!
//! Invariant: an entry is never changed once it has its hash.

use crate::account::Account;
use hivemind_model::{Cpt, TaskId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why money moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// The whole supply enters the treasury; the first entry, and the only one that does not sum to zero.
    Genesis,
    /// The sign-up grant.
    SignUp {
        /// Who signed up.
        user: UserId,
    },
    /// From user to user.
    Transfer {
        /// Who pays.
        from: UserId,
        /// Who gets it.
        to: UserId,
    },
    /// Set aside for a task.
    Hold {
        /// For which.
        task: TaskId,
    },
    /// A task's price is paid to an owner, and its part of the hold ends.
    Settlement {
        /// Of which task.
        task: TaskId,
        /// Of which element.
        index: u32,
        /// For which of its attempts.
        attempt: u32,
    },
    /// A hold, or what is left of it, goes back.
    Release {
        /// Of which task.
        task: TaskId,
    },
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
    /// Both sides; they sum to zero, but for genesis. One per account, none of zero.
    pub postings: Vec<Posting>,
    /// SHA-256 over the hash of the entry before and this entry's content.
    pub hash: [u8; 32],
}

/// Bytes of an encoded entry without its postings: hash, seq, time, reason, count.
const HEAD_BYTES: usize = 32 + 8 + 8 + 17 + 4;
/// Bytes of an encoded posting: account kind, user, amount.
const POSTING_BYTES: usize = 1 + 8 + 8;

impl Entry {
    /// The hash that this entry must have where `previous` is the hash of the entry before it
    /// (32 zero bytes before the first).
    ///
    /// SHA-256 over, every integer big-endian and every field of fixed width, so that no two
    /// entries share an encoding:
    ///
    /// | Bytes | Field |
    /// |---|---|
    /// | 32 | `previous` |
    /// | 8 | `seq` |
    /// | 8 | `at`, milliseconds, signed |
    /// | 1 + 8 + 8 | reason: kind, then two fields, unused ones zero |
    /// | 4 | number of postings |
    /// | 1 + 8 + 8 each | posting: account kind, user (0 for the treasury), micro-CPT, signed |
    ///
    /// Reasons: 0 genesis; 1 sign-up (user); 2 transfer (from, to); 3 hold (task); 4 settlement
    /// (task, index << 32 | attempt); 5 release (task). Accounts: 0 treasury; 1 available; 2 held.
    #[must_use]
    pub fn hash_after(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + POSTING_BYTES * self.postings.len());
        bytes.extend_from_slice(previous);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.at.0.to_be_bytes());
        let (kind, first, second) = self.reason.encoded();
        bytes.push(kind);
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes.extend_from_slice(&second.to_be_bytes());
        let count = u32::try_from(self.postings.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_be_bytes());
        for posting in &self.postings {
            let (kind, user) = match posting.account {
                Account::Treasury => (0, 0),
                Account::Available(user) => (1, user.0),
                Account::Held(user) => (2, user.0),
            };
            bytes.push(kind);
            bytes.extend_from_slice(&user.to_be_bytes());
            bytes.extend_from_slice(&posting.amount.micro().to_be_bytes());
        }
        Sha256::digest(&bytes).into()
    }

    /// The sum of the postings in micro-CPT; zero but for genesis.
    #[must_use]
    pub fn sum(&self) -> i128 {
        self.postings.iter().map(|posting| i128::from(posting.amount.micro())).sum()
    }
}

impl Reason {
    fn encoded(&self) -> (u8, u64, u64) {
        match *self {
            Self::Genesis => (0, 0, 0),
            Self::SignUp { user } => (1, user.0, 0),
            Self::Transfer { from, to } => (2, from.0, to.0),
            Self::Hold { task } => (3, task.0, 0),
            Self::Settlement { task, index, attempt } => (4, task.0, u64::from(index) << 32 | u64::from(attempt)),
            Self::Release { task } => (5, task.0, 0),
        }
    }
}
