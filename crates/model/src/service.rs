//! Whether a node gets work, as people decided it.
//!
//! What its worker says of the link (it is up, it wants no more) is another thing and is not kept: a node
//! gets work where both allow it.
//!
//! Invariant: no load, no link and no attempt is in here.

use crate::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// Longest time between a drain and its deadline.
pub const MAX_DRAIN: Millis = Millis::from_secs(30 * 24 * 3600);
/// Longest reason of a ban, in bytes.
pub const MAX_BAN_REASON_BYTES: usize = 200;

/// Whether a node gets work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Service {
    /// It gets work.
    #[default]
    InService,
    /// It gets no new work; what runs goes on.
    Cordoned,
    /// As cordoned; what still runs at the deadline is given up, and it is cordoned from then on.
    Draining {
        /// The deadline.
        until: Timestamp,
    },
    /// It gets no work, and its link is refused.
    Banned {
        /// For its owner.
        reason: String,
    },
}

impl Service {
    /// The word in the API and for people.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::InService => "in service",
            Self::Cordoned => "cordoned",
            Self::Draining { .. } => "draining",
            Self::Banned { .. } => "banned",
        }
    }
}

/// What people do to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeChange {
    /// It gets no new work; what runs goes on.
    Cordon,
    /// It gets work again.
    Uncordon,
    /// It gets no new work, and what still runs after a time is tried elsewhere.
    Drain {
        /// How long what runs there may go on: up to [`MAX_DRAIN`].
        within: Millis,
    },
    /// It is out for good, and what runs there is tried elsewhere at once. Operators only.
    Ban {
        /// For its owner: 1 to [`MAX_BAN_REASON_BYTES`] bytes in one line.
        reason: String,
    },
    /// It may come back. Operators only.
    Unban,
}
