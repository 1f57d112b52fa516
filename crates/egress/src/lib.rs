//! The only way out of a task: a gate that lets through what was asked for and allowed.
//!
//! A container that may reach hosts has a network of its own with nothing but a loopback interface in it. The
//! [`Gate`] listens inside of that network and connects from outside, so there is no other way: no bridge, no
//! route, no rule of a firewall. Start at [`Gate::plan`] and [`Gate::open`]; what is let through is decided in
//! [`rules`] and [`address`] alone; `dial` does what they say.
//!
//! [docs/NETWORK.md](../../../docs/NETWORK.md) tells what a task sees.
//!
//! Invariant: nothing is connected to but an address that was checked, and no name is looked up twice for one
//! connection.

pub mod address;
mod bucket;
mod dial;
mod gate;
mod http;
mod journal;
mod meter;
mod namespace;
mod own;
mod plan;
mod resolve;
pub mod rules;
mod socks;

pub use dial::outside;
pub use gate::{Gate, Used};
pub use journal::Log;
pub use namespace::{cannot_enter, of_process};
pub use own::Own;
pub use plan::Plan;
pub use resolve::Resolver;
pub use rules::{Loosened, NetworkLimits, Refusal, Rules};
