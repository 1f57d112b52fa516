//! Rows of the economy: what nodes did, what they were rewarded, projects and tips, invitations.
//!
//! Invariant: amounts here tell what the journal says; the books themselves lie in the ledger.

use crate::ids::{NodeId, ProjectId, UserId};
use crate::level::Level;
use crate::units::{Cpt, Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// What a node has done, in its whole life and in the reward period that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingRow {
    /// Which.
    pub node: NodeId,
    /// How long it was alive in its whole life, up to `alive_since` where it is alive.
    pub runtime: Millis,
    /// Since when it is alive without a break that was counted; `None` where it is not.
    pub alive_since: Option<Timestamp>,
    /// In the period that goes on.
    pub period: Tally,
}

/// What a node did in one reward period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How long it was alive, without what began with `alive_since`.
    pub alive: Millis,
    /// Attempts that ended.
    pub ended: u32,
    /// Attempts that were accepted.
    pub completed: u32,
    /// Accepted attempts of complex tasks.
    pub complex: u32,
}

/// One line of a reward period: what a node was paid, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardRow {
    /// Whom for.
    pub node: NodeId,
    /// Who got it.
    pub owner: UserId,
    /// Beginning of the period.
    pub from: Timestamp,
    /// End of the period.
    pub to: Timestamp,
    /// How long the node was registered in it.
    pub registered: Millis,
    /// What it did.
    pub tally: Tally,
    /// For its runtime.
    pub base: Cpt,
    /// For attempts that were accepted.
    pub performance: Cpt,
    /// For being alive throughout.
    pub stability: Cpt,
    /// For complex tasks.
    pub quality: Cpt,
    /// Whose multiplier was used.
    pub level: Level,
    /// What was paid: the four together, times the multiplier.
    pub total: Cpt,
}

/// Whether a project takes tips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectState {
    /// It does.
    Open,
    /// Its owner has closed it, for good.
    Closed,
}

impl ProjectState {
    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }

    /// Reads [`ProjectState::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Closed].into_iter().find(|state| state.as_str() == word)
    }
}

/// An open-source project that can be tipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRow {
    /// Given at registration.
    pub id: ProjectId,
    /// Unique in the pool without regard to case; as it was given.
    pub name: String,
    /// Where its source is: an `https://` address.
    pub repository: String,
    /// Who collects the tips.
    pub owner: UserId,
    /// Whether it takes tips.
    pub state: ProjectState,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Number of tips.
    pub tips: u64,
    /// All tips together, collected or not.
    pub tipped: Cpt,
}

/// One tip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TipRow {
    /// Its number among the tips of the project, from 1.
    pub number: u64,
    /// To which project.
    pub project: ProjectId,
    /// By whom.
    pub from: UserId,
    /// How much.
    pub amount: Cpt,
    /// What the giver says; may be empty.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// An invitation code, known by its digest only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRow {
    /// SHA-256 of the code.
    pub digest: [u8; 32],
    /// How many accounts it can still make.
    pub uses_left: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who made it.
    pub made_by: UserId,
}

/// Where the pool stands in time; one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRow {
    /// When the pool was last known to be awake.
    pub awake_at: Timestamp,
    /// Beginning of the reward period that goes on.
    pub period_from: Timestamp,
    /// Its end.
    pub period_to: Timestamp,
}

/// What a requester has used of the pool, for fair share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// Who.
    pub user: UserId,
    /// Millionths of the pool times milliseconds, what was used earlier counted less; as it stood at `at`.
    pub used: u64,
    /// When it changed last.
    pub at: Timestamp,
}
