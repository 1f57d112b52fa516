//! Why the books do not take something.
//!
//! Invariant: a refusal changes nothing.

use hivemind_model::{AttemptRef, Cpt, TaskId, UserId};

/// The books do not take this; nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The account has less than is needed.
    #[error("needs {needed}, {available} is available")]
    Insufficient {
        /// What it would take.
        needed: Cpt,
        /// What is there.
        available: Cpt,
    },
    /// The treasury has less than a grant or a reward.
    #[error("the treasury has {left} left, less than {needed}")]
    TreasuryEmpty {
        /// The grant or reward.
        needed: Cpt,
        /// What is left in the treasury.
        left: Cpt,
    },
    /// An amount below zero, or of zero where something must move.
    #[error("{amount} is not an amount that can be moved")]
    BadAmount {
        /// What was given.
        amount: Cpt,
    },
    /// Both sides are the same user.
    #[error("{user} is both sides of the transfer")]
    SameUser {
        /// Who.
        user: UserId,
    },
    /// The task has a hold already.
    #[error("{task} has a hold already")]
    HoldExists {
        /// Which.
        task: TaskId,
    },
    /// The task has no open hold: it never had one, or it has ended.
    #[error("{task} has no open hold")]
    NoHold {
        /// Which.
        task: TaskId,
    },
    /// More than the hold has left.
    #[error("{amount} is more than the {left} that the hold of {task} has left")]
    AboveHold {
        /// Which.
        task: TaskId,
        /// What was to be paid.
        amount: Cpt,
        /// What is left.
        left: Cpt,
    },
    /// The hold cannot end while an attempt earns from it.
    #[error("{attempt} still earns from the hold of its task")]
    StillEarning {
        /// Which.
        attempt: AttemptRef,
    },
    /// An attempt that earns for one user cannot earn for another.
    #[error("{attempt} earns for {payee}")]
    OtherPayee {
        /// Which.
        attempt: AttemptRef,
        /// For whom it earns.
        payee: UserId,
    },
}
