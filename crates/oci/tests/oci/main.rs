//! Real containers of the built-in runtime. Where they cannot be had here, the tests say so and pass, unless
//! `HIVEMIND_REQUIRE_DOCKER=1`.
//!
//! Invariant: a test leaves no group, device, folder or process behind.

mod cleaning;
mod confinement;
mod endings;
mod files;
mod images;
mod network;
mod registry;
mod rig;
mod selftest;
mod warm;
