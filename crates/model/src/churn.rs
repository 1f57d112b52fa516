//! What the operator decides about nodes that come, go and fail, and about what is handed to them in advance.
//!
//! Invariant: the only place where such a number has its default.

use crate::rejection::Rejection;
use crate::units::Millis;
use serde::{Deserialize, Serialize};

/// Longest of these times: 30 days.
const MAX_MILLIS: u64 = 30 * 24 * 3_600_000;

/// When so many nodes vanish together that the pool suspects itself first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Brake {
    /// More than this part of the linked nodes lost within [`Policy::lost_after`](crate::Policy::lost_after) is a mass
    /// loss.
    pub share_percent: u32,
    /// Fewer lost nodes than this never are.
    pub least: u32,
    /// How long the work of nodes that are lost from then on stays where it is. Zero: there is no brake.
    pub hold: Millis,
}

impl Default for Brake {
    fn default() -> Self {
        Self { share_percent: 50, least: 3, hold: Millis::from_secs(30) }
    }
}

/// How long a node that fails everything gets no new work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rest {
    /// After so many failures in a row. Zero: never.
    pub after: u32,
    /// The first time; doubles with each further failure.
    pub first: Millis,
    /// At most.
    pub longest: Millis,
}

impl Default for Rest {
    fn default() -> Self {
        Self { after: 3, first: Millis::from_secs(30), longest: Millis::from_secs(3600) }
    }
}

/// What a node is handed beyond its free room, so that short tasks do not wait for a round trip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backlog {
    /// Only nodes whose latest attempts ran for less than this on average have a backlog.
    pub short: Millis,
    /// Attempts for each core of the node, at least. Zero: there is no backlog.
    pub depth_per_core: u32,
    /// As many more as keep the node at work for this long at its pace: of very short ones, a few would be over before
    /// the pool has heard of the first. Zero: none.
    pub ahead: Millis,
    /// Attempts on one node at most.
    pub most: u32,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { short: Millis::from_secs(2), depth_per_core: 2, ahead: Millis(50), most: 256 }
    }
}

impl Brake {
    pub(crate) fn check(&self) -> Result<(), Rejection> {
        within("brake.share_percent", 1, self.share_percent.into(), 100)?;
        within("brake.least", 1, self.least.into(), u32::MAX.into())?;
        within("brake.hold", 0, self.hold.0, MAX_MILLIS)
    }
}

impl Rest {
    pub(crate) fn check(&self) -> Result<(), Rejection> {
        within("rest.first", 1, self.first.0, self.longest.0)?;
        within("rest.longest", 1, self.longest.0, MAX_MILLIS)
    }
}

impl Backlog {
    pub(crate) fn check(&self) -> Result<(), Rejection> {
        within("backlog.short", 1, self.short.0, MAX_MILLIS)?;
        within("backlog.depth_per_core", 0, self.depth_per_core.into(), 1024)?;
        within("backlog.ahead", 0, self.ahead.0, 60_000)?;
        within("backlog.most", 1, self.most.into(), 65_536)
    }
}

fn within(key: &str, least: u64, value: u64, most: u64) -> Result<(), Rejection> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Rejection::invalid(key, format!("{value} is outside {least} to {most}")))
}
