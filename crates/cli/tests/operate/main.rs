//! What operators' tools get of the servers: real processes, asked as Prometheus and collectors of spans do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on is to panic")]

mod collector;
mod figures;
mod server;
mod spans;
