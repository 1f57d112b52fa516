//! Money: the wallet, projects and rewards.
//!
//! Invariant: nothing here adds or rounds; every amount is the pool's.

use super::{Amount, Micro};
use crate::wire::told;

told! {
    /// What a user has.
    Balance <= BalanceResponse {
        /// CPT that can be spent on tasks, free credit included, rounded down.
        balance: i64,
        /// The same in micro-CPT, exact.
        balance_micro: Micro,
        /// Set aside for open tasks.
        held_micro: Micro,
        /// The part of the balance that is free credit.
        promo_micro: Micro,
        /// The part of the balance that can be given to others.
        transferable_micro: Micro,
        /// Earned by attempts that still run on the user's nodes.
        pending_micro: Micro,
        /// Earned, and to be spent later.
        vesting_micro: Micro,
    }
}

told! {
    /// One side of a journal entry.
    StatementLine <= StatementLine {
        /// Number of the journal entry.
        entry: i64,
        /// At unix ms.
        at_unix_ms: i64,
        /// As in StatementRequest.
        kind: String,
        /// As in StatementRequest; in TaskEntries also treasury.
        account: String,
        /// User name of whose account it is; empty: the treasury.
        holder: String,
        /// Above zero: the account grew.
        amount_micro: Micro,
        /// Of that account, afterwards.
        balance_micro: Micro,
        /// Where it is about a task.
        task_id: String,
        /// Where it is about an attempt.
        attempt_id: String,
        /// The other user, the node or the project; empty where there is none.
        counterparty: String,
        /// What happened, for people.
        note: String,
    }
}

told! {
    /// Every journal entry about a task, oldest first.
    Entries <= TaskEntriesResponse {
        /// At most 10,000.
        lines: Vec<StatementLine>,
        /// There are more.
        cut: bool,
    }
}

told! {
    /// A project.
    ProjectSummary <= ProjectSummary {
        /// Project id.
        project_id: String,
        /// Name.
        name: String,
        /// Repository.
        repository: String,
        /// User name.
        owner: String,
        /// Open, closed.
        state: String,
        /// Registered at unix ms.
        registered_at_unix_ms: i64,
        /// How many.
        tips: i64,
        /// All together.
        tipped_micro: Micro,
    }
}

told! {
    /// A tip.
    TipSummary <= TipSummary {
        /// From 1.
        number: i64,
        /// User name.
        from: String,
        /// Amount micro.
        amount_micro: Micro,
        /// What the giver wrote.
        message: String,
        /// At unix ms.
        at_unix_ms: i64,
    }
}

told! {
    /// What was given to the owner.
    Collected <= CollectTipsResponse {
        /// What the owner got.
        amount_micro: Micro,
    }
}

told! {
    /// What one node was paid for one period.
    RewardLine <= RewardLine {
        /// Node.
        node: String,
        /// From unix ms.
        from_unix_ms: i64,
        /// To unix ms.
        to_unix_ms: i64,
        /// How long the node was registered in the period.
        registered_ms: i64,
        /// How long it was alive.
        alive_ms: i64,
        /// Attempts ended.
        attempts_ended: u32,
        /// Attempts completed.
        attempts_completed: u32,
        /// Complex completed.
        complex_completed: u32,
        /// Base micro.
        base_micro: Micro,
        /// Performance micro.
        performance_micro: Micro,
        /// Stability micro.
        stability_micro: Micro,
        /// Quality micro.
        quality_micro: Micro,
        /// Level.
        level: String,
        /// Multiplier tenths.
        multiplier_tenths: u32,
        /// Total micro.
        total_micro: Micro,
    }
}

impl From<hivemind_client::Balance> for Balance {
    fn from(told: hivemind_client::Balance) -> Self {
        Self {
            balance: told.available.whole(),
            balance_micro: Micro(told.available.micro()),
            held_micro: Micro(told.held.micro()),
            promo_micro: Micro(told.promo.micro()),
            transferable_micro: Micro(told.transferable.micro()),
            pending_micro: Micro(told.pending.micro()),
            vesting_micro: Micro(told.vesting.micro()),
        }
    }
}

/// Money for another user.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Who gets it.
    #[schema(max_length = 64)]
    pub to_username: String,
    /// How much.
    pub amount_micro: Amount,
}

/// Money for a project.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tip {
    /// How much.
    pub amount_micro: Amount,
    /// Public; at most 280 bytes.
    #[serde(default)]
    #[schema(max_length = 280)]
    pub message: String,
}

/// A new project of the caller.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterProject {
    /// 2 to 64 of a-z A-Z 0-9 . _ -, unique without regard to case.
    #[schema(min_length = 2, max_length = 64, pattern = "^[A-Za-z0-9._-]{2,64}$")]
    pub name: String,
    /// `https://...`
    #[schema(max_length = 2048)]
    pub repository: String,
}

/// What is left after money went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Left {
    /// What can be spent on tasks now.
    pub new_balance_micro: Micro,
}
