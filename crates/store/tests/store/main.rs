//! What the store promises: what is committed reads back, and nothing else is ever there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crash;
mod economy;
mod elements;
mod figures;
mod guards;
mod model;
mod reads;
mod samples;
mod schema;
