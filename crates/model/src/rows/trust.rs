//! The row of trust: what a node's verified work has shown, and what it may still take today.
//!
//! Invariant: it counts; what the counts mean is said by the rules of trust, in one place.

use crate::ids::NodeId;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of a node by its verified work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustRow {
    /// Which.
    pub node: NodeId,
    /// Results that were compared and found right since the last wrong one; halved at each error.
    pub valid: u16,
    /// Results that were found wrong in its whole life.
    pub wrong: u16,
    /// When the last of those was found; `None` where there is none.
    pub wrong_at: Option<Timestamp>,
    /// Attempts that it may take in one day while it is new.
    pub quota: u32,
    /// How many of them it has taken on `day`.
    pub used: u32,
    /// Days since 1970 in UTC.
    pub day: i64,
}
