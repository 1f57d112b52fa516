//! Contribution levels: what a node has reached by being there.
//!
//! A node rises with its cumulated runtime and never falls; an owner stands where their best node
//! stands. Start at [`Level::of`].
//!
//! Invariant: the only place where hours, multipliers and benefits of a level are written down.

use crate::units::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A contribution level, lowest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below 100 hours.
    #[default]
    None,
    /// From 100 hours.
    Bronze,
    /// From 500 hours: preferred at equal fit.
    Silver,
    /// From 1,000 hours: gets tasks that ask for a level.
    Gold,
    /// From 2,000 hours: sees beta features.
    Platinum,
    /// From 5,000 hours: has a vote.
    Diamond,
}

impl Level {
    /// Every level, lowest first.
    pub const ALL: [Self; 6] = [Self::None, Self::Bronze, Self::Silver, Self::Gold, Self::Platinum, Self::Diamond];

    /// The level of a node that was alive for `runtime` altogether.
    #[must_use]
    pub fn of(runtime: Millis) -> Self {
        let reached = |level: &&Self| runtime >= level.needs();
        Self::ALL.iter().rev().find(reached).copied().unwrap_or_default()
    }

    /// The runtime from which on a node has this level.
    #[must_use]
    pub const fn needs(self) -> Millis {
        let hours = match self {
            Self::None => 0,
            Self::Bronze => 100,
            Self::Silver => 500,
            Self::Gold => 1000,
            Self::Platinum => 2000,
            Self::Diamond => 5000,
        };
        Millis::from_secs(hours * 3600)
    }

    /// What rewards are multiplied with, in tenths.
    #[must_use]
    pub const fn multiplier_tenths(self) -> u32 {
        match self {
            Self::None | Self::Bronze => 10,
            Self::Silver => 12,
            Self::Gold => 15,
            Self::Platinum => 20,
            Self::Diamond => 30,
        }
    }

    /// True where its nodes go first among nodes that fit equally well.
    #[must_use]
    pub fn is_preferred(self) -> bool {
        self >= Self::Silver
    }

    /// True where its owner sees beta features.
    #[must_use]
    pub fn has_beta(self) -> bool {
        self >= Self::Platinum
    }

    /// True where its owner has a vote.
    #[must_use]
    pub fn has_vote(self) -> bool {
        self >= Self::Diamond
    }

    /// The next higher level; `None` above the highest.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|level| *level > self)
    }

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
            Self::Platinum => "platinum",
            Self::Diamond => "diamond",
        }
    }

    /// Reads [`Level::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_table_of_levels() {
        let mut table = String::new();
        for level in Level::ALL {
            let (whole, tenth) = (level.multiplier_tenths() / 10, level.multiplier_tenths() % 10);
            let _ = writeln!(
                table,
                "{level}: {} h, {whole}.{tenth}x, preferred {}, beta {}, vote {}",
                level.needs().secs() / 3600,
                level.is_preferred(),
                level.has_beta(),
                level.has_vote()
            );
        }
        insta::assert_snapshot!(table, @r"
        none: 0 h, 1.0x, preferred false, beta false, vote false
        bronze: 100 h, 1.0x, preferred false, beta false, vote false
        silver: 500 h, 1.2x, preferred true, beta false, vote false
        gold: 1000 h, 1.5x, preferred true, beta false, vote false
        platinum: 2000 h, 2.0x, preferred true, beta true, vote false
        diamond: 5000 h, 3.0x, preferred true, beta true, vote true
        ");
    }

    #[test]
    fn a_level_begins_with_its_last_millisecond() {
        for level in Level::ALL.into_iter().skip(1) {
            assert_eq!(Level::of(level.needs()), level);
            assert!(Level::of(Millis(level.needs().0 - 1)) < level);
            assert_eq!(Level::parse(level.as_str()), Some(level));
        }
        assert_eq!((Level::Diamond.next(), Level::None.next()), (None, Some(Level::Bronze)));
    }
}
