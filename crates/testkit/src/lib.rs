//! Fixtures for tests of the whole: real processes, a grid inside one process, waiting on conditions.
//!
//! Start at [`grid::Grid`] for a pool with fake workers inside the test, at [`scene::Scene`] for
//! real `hivemind` processes that can be killed.
//!
//! Invariant: nothing here sleeps for a fixed time in place of a condition, and every port is 0.

pub mod grid;
pub mod image;
pub mod process;
pub mod scene;
pub mod wait;
