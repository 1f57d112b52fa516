//! Whom to believe: trust from verified work, and when one of several results is accepted.
//!
//! Start at [`decide()`]: what to do with the copies of one element now. [`standing`] says what each
//! finding does to a node, [`coin`] when one copy more is asked for, [`recent`] what is looked at
//! again after a cheat. `docs/VERIFICATION.md` has the rules in plain words, and the bound.
//!
//! Invariant: pure integers; equal panels give equal decisions. Trust comes from compared results only.

pub mod coin;
pub mod credibility;
pub mod decide;
pub mod panel;
pub mod policy;
pub mod recent;
pub mod standing;

pub use coin::Secret;
pub use decide::{Decision, Proof, decide};
pub use panel::{Class, Panel, Refused, Vote};
pub use policy::TrustPolicy;
pub use recent::{Accepted, Recent};
pub use standing::{Basis, Finding, Spent};
