//! The Docker runtime against a real daemon.
//!
//! Start at [`rig::Rig`]: every test has a runtime of its own, with an instance label of its own,
//! and ends by looking that nothing is left. Without a daemon the tests print a line and pass,
//! unless `HIVEMIND_REQUIRE_DOCKER=1`.

mod cleaning;
mod confinement;
mod endings;
mod files;
mod hostile;
mod images;
mod network;
mod owner;
mod registry;
mod restart;
mod rig;
mod selftest;
mod share;
mod slow_daemon;
mod warm;
