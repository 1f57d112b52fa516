//! What an operator may decide about trust.
//!
//! The weights are not here: the bound on wrong results rests on them (see [`crate::credibility`]).
//!
//! Invariant: no setting can make a result pass that its requester's rule would refuse.

pub use hivemind_model::policy::TrustPolicy;
