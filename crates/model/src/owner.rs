//! Whether the owner of a machine lets it work now.
//!
//! The machine is its owner's: they come first, and what they decide here needs nobody's consent. An
//! operator's decision about a node is another thing: [`crate::service`].
//!
//! Invariant: nothing here costs the owner money or standing.

use serde::{Deserialize, Serialize};

/// Longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 200;

/// Whether a machine works for the pool now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Availability {
    /// It takes work.
    #[default]
    Open,
    /// What runs goes on; it takes nothing new.
    Finishing {
        /// Why, for people: `the owner said so`, `outside the hours of work`.
        reason: String,
    },
    /// What runs stands still, and is given back before long; it takes nothing new.
    Paused {
        /// Why, for people: `somebody uses the machine`.
        reason: String,
    },
}

impl Availability {
    /// True where new work is wanted.
    #[must_use]
    pub const fn takes_work(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Finishing { .. } => "finishing",
            Self::Paused { .. } => "paused",
        }
    }

    /// Why it takes no work; empty where it does.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Open => "",
            Self::Finishing { reason } | Self::Paused { reason } => reason,
        }
    }

    /// Reads [`Self::as_str`] and [`Self::reason`] back.
    #[must_use]
    pub fn parse(word: &str, reason: String) -> Option<Self> {
        match word {
            "open" => Some(Self::Open),
            "finishing" => Some(Self::Finishing { reason }),
            "paused" => Some(Self::Paused { reason }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        let reason = || "somebody uses the machine".to_owned();
        for state in [
            Availability::Open,
            Availability::Finishing { reason: reason() },
            Availability::Paused { reason: reason() },
        ] {
            assert_eq!(Availability::parse(state.as_str(), state.reason().to_owned()), Some(state.clone()));
            assert_eq!(state.takes_work(), state == Availability::Open);
        }
        assert_eq!(Availability::parse("gone", String::new()), None);
    }
}
