//! What an operator may decide about trust.
//!
//! The weights are not here: the bound on wrong results rests on them (see [`crate::credibility`]).
//!
//! Invariant: no setting can make a result pass that its requester's rule would refuse.

use hivemind_model::Millis;
use serde::{Deserialize, Serialize};

/// Settings of trust, with their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustPolicy {
    /// Attempts a day that a fresh node may take, for each of its cores.
    pub first_quota: u32,
    /// Most that the quota grows to, for each core.
    pub most_quota: u32,
    /// How long a wrong result of one node weighs on all nodes of its owner.
    pub memory: Millis,
    /// Least chance of a spot check, in millionths.
    pub spot_floor: u32,
}

impl Default for TrustPolicy {
    fn default() -> Self {
        Self { first_quota: 100, most_quota: 102_400, memory: Millis::from_secs(30 * 24 * 60 * 60), spot_floor: 50_000 }
    }
}
