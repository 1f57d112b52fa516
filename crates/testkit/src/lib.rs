//! Fixtures for tests of the whole: real processes, a grid inside one process, waiting on conditions.
//!
//! Start at [`grid::Grid`] for a pool with fake workers inside the test, at [`scene::Scene`] for
//! real `hivemind` processes that can be killed, at [`engine::Engine`] for a Docker engine that can.
//!
//! Invariant: nothing here sleeps for a fixed time in place of a condition, and every port is 0 or, where a server starts again on
//! it, one that the kernel gives to nobody ([`port::steady_address`]).

pub mod engine;
pub mod grid;
pub mod image;
pub mod port;
pub mod process;
pub mod scene;
pub mod wait;
