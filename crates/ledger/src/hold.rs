//! Money on its way: set aside, earned but not accepted, accepted but not vested.
//!
//! A hold opens when a task is admitted and ends exactly once (L3): by the settlement of the
//! task's last element, by a release, or by expiry. An accrual takes from the hold while an attempt
//! runs and ends with the attempt: posted, or returned to the hold.
//!
//! Invariant: no clock here; what ends one of these arrives as a call.

use crate::account::{Account, Purse};
use hivemind_model::{AttemptRef, Cpt, TaskId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Money set aside for one open task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// For which task.
    pub task: TaskId,
    /// Whose money.
    pub user: UserId,
    /// What is still set aside.
    pub left: Purse,
    /// When it is to be expired.
    pub expires_at: Timestamp,
}

/// What a running attempt has earned so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accrual {
    /// Which attempt.
    pub attempt: AttemptRef,
    /// Who earns it.
    pub payee: UserId,
    /// Out of the hold of the attempt's task.
    pub amount: Purse,
}

/// What vests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Pay for accepted work.
    Work,
    /// Rewards.
    Reward,
}

impl Source {
    /// The account where it waits.
    #[must_use]
    pub const fn account(self, user: UserId) -> Account {
        match self {
            Self::Work => Account::Owner(user),
            Self::Reward => Account::Reward(user),
        }
    }
}

/// Names one [`Vest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VestKey {
    /// When it can be spent.
    pub due: Timestamp,
    /// By whom.
    pub user: UserId,
    /// Where it comes from.
    pub source: Source,
}

/// Earnings that can be spent from some moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vest {
    /// When, by whom, where from.
    pub key: VestKey,
    /// How much.
    pub amount: Cpt,
}
