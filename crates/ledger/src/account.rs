//! Whose money it is.
//!
//! Invariant: an account has no state of its own; its balance is the sum of its postings.

use hivemind_model::UserId;
use serde::{Deserialize, Serialize};
use std::fmt;

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

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Treasury => f.write_str("treasury"),
            Self::Available(user) => write!(f, "available:{user}"),
            Self::Held(user) => write!(f, "held:{user}"),
        }
    }
}
