//! Journal entries and the chain that makes them tamper-evident.
//!
//! Start at [`Entry::hash_after`], which fixes what the chain covers.
//!
//! Invariant: an entry is never changed once it has its hash.

use crate::account::Account;
use hivemind_model::{AttemptRef, Cpt, NodeId, ProjectId, TaskId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A running attempt has earned so much more; it is not accepted yet.
    Accrual {
        /// Which.
        #[serde(flatten)]
        attempt: AttemptRef,
    },
    /// An attempt was not accepted: what it had earned goes back to the hold.
    Return {
        /// Which.
        #[serde(flatten)]
        attempt: AttemptRef,
    },
    /// An accepted attempt's price is paid to an owner.
    Settlement {
        /// Which.
        #[serde(flatten)]
        attempt: AttemptRef,
    },
    /// A hold, or what is left of it, goes back.
    Release {
        /// Of which task.
        task: TaskId,
    },
    /// A hold, or what is left of it, goes back because its time is over.
    Expiry {
        /// Of which task.
        task: TaskId,
    },
    /// A node is rewarded for a period.
    Reward {
        /// Which.
        node: NodeId,
        /// Beginning of the period.
        from: Timestamp,
    },
    /// Earnings can be spent from now on.
    Vest {
        /// Whose.
        user: UserId,
        /// When they were due.
        due: Timestamp,
    },
    /// A tip to a project.
    Tip {
        /// Which.
        project: ProjectId,
        /// The number of the tip.
        number: u64,
    },
    /// The owner of a project takes what was tipped.
    Collect {
        /// Of which.
        project: ProjectId,
        /// Who.
        owner: UserId,
    },
}

/// One side of an entry: added to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Which account.
    pub account: Account,
    /// Above zero: it grows.
    pub amount: Cpt,
    /// What the account has after this.
    pub balance: Cpt,
}

/// One immutable line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// When, by the pool's clock; never before the entry before it.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// All sides; they sum to zero, but for genesis. One per account, none of zero.
    pub postings: Vec<Posting>,
    /// SHA-256 over the hash of the entry before and this entry's content.
    pub hash: [u8; 32],
}

/// Bytes of an encoded entry without its postings: hash, seq, time, reason, count.
const HEAD_BYTES: usize = 32 + 8 + 8 + 17 + 4;
/// Bytes of an encoded posting: account kind, holder, amount, balance.
const POSTING_BYTES: usize = 1 + 8 + 8 + 8;

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
    /// | 1 + 8 + 8 + 8 each | posting: account kind, holder (0 for the treasury), amount and balance in micro-CPT, signed |
    ///
    /// Reasons: 0 genesis; 1 sign-up (user); 2 transfer (from, to); 3 hold (task); 4 settlement
    /// (task, index << 32 | attempt); 5 release (task); 6 accrual and 7 return (as settlement);
    /// 8 expiry (task); 9 reward (node, beginning of the period); 10 vest (user, when due);
    /// 11 tip (project, number); 12 collect (project, owner). Accounts: 0 treasury; 1 available;
    /// 2 held; 3 promo; 4 pending; 5 owner; 6 reward; 7 project.
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
            bytes.push(posting.account.kind().code());
            bytes.extend_from_slice(&posting.account.holder().to_be_bytes());
            bytes.extend_from_slice(&posting.amount.micro().to_be_bytes());
            bytes.extend_from_slice(&posting.balance.micro().to_be_bytes());
        }
        Sha256::digest(&bytes).into()
    }

    /// The sum of the postings in micro-CPT; zero but for genesis.
    #[must_use]
    pub fn sum(&self) -> i128 {
        self.postings.iter().map(|posting| i128::from(posting.amount.micro())).sum()
    }

    /// The users whose accounts it touches: none, one or two, each once.
    #[must_use]
    pub fn users(&self) -> [Option<UserId>; 2] {
        let mut users = self.postings.iter().filter_map(|posting| posting.account.user());
        let first = users.next();
        [first, users.find(|user| Some(*user) != first)]
    }
}

impl Reason {
    /// The word on the wire, and that of the filter of statements.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::SignUp { .. } => "sign_up",
            Self::Transfer { .. } => "transfer",
            Self::Hold { .. } => "hold",
            Self::Accrual { .. } => "accrual",
            Self::Return { .. } => "return",
            Self::Settlement { .. } => "settlement",
            Self::Release { .. } => "release",
            Self::Expiry { .. } => "expiry",
            Self::Reward { .. } => "reward",
            Self::Vest { .. } => "vest",
            Self::Tip { .. } => "tip",
            Self::Collect { .. } => "collect",
        }
    }

    /// The words of [`Reason::as_str`] that a user's statement can have.
    pub const WORDS: [&'static str; 12] = [
        "sign_up",
        "transfer",
        "hold",
        "accrual",
        "return",
        "settlement",
        "release",
        "expiry",
        "reward",
        "vest",
        "tip",
        "collect",
    ];

    /// The task it is about, if any.
    #[must_use]
    pub const fn task(&self) -> Option<TaskId> {
        match self {
            Self::Hold { task } | Self::Release { task } | Self::Expiry { task } => Some(*task),
            Self::Accrual { attempt } | Self::Return { attempt } | Self::Settlement { attempt } => {
                Some(attempt.element.task)
            }
            Self::Genesis
            | Self::SignUp { .. }
            | Self::Transfer { .. }
            | Self::Reward { .. }
            | Self::Vest { .. }
            | Self::Tip { .. }
            | Self::Collect { .. } => None,
        }
    }

    /// The attempt it is about, if any.
    #[must_use]
    pub const fn attempt(&self) -> Option<AttemptRef> {
        match self {
            Self::Accrual { attempt } | Self::Return { attempt } | Self::Settlement { attempt } => Some(*attempt),
            Self::Genesis
            | Self::SignUp { .. }
            | Self::Transfer { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::Expiry { .. }
            | Self::Reward { .. }
            | Self::Vest { .. }
            | Self::Tip { .. }
            | Self::Collect { .. } => None,
        }
    }

    fn encoded(&self) -> (u8, u64, u64) {
        let of = |attempt: &AttemptRef| {
            let element = attempt.element;
            (element.task.0, u64::from(element.index) << 32 | u64::from(attempt.number))
        };
        let (kind, (first, second)) = match self {
            Self::Genesis => (0, (0, 0)),
            Self::SignUp { user } => (1, (user.0, 0)),
            Self::Transfer { from, to } => (2, (from.0, to.0)),
            Self::Hold { task } => (3, (task.0, 0)),
            Self::Settlement { attempt } => (4, of(attempt)),
            Self::Release { task } => (5, (task.0, 0)),
            Self::Accrual { attempt } => (6, of(attempt)),
            Self::Return { attempt } => (7, of(attempt)),
            Self::Expiry { task } => (8, (task.0, 0)),
            Self::Reward { node, from } => (9, (node.0, from.0.cast_unsigned())),
            Self::Vest { user, due } => (10, (user.0, due.0.cast_unsigned())),
            Self::Tip { project, number } => (11, (project.0, *number)),
            Self::Collect { project, owner } => (12, (project.0, owner.0)),
        };
        (kind, first, second)
    }
}
