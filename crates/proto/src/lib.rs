//! Wire messages and services, and their conversions to and from the model.
//!
//! The files under `proto/` are the contract. Start at [`v1`] for the public API, at [`worker`]
//! for the link to the workers, at [`convert`] for what a message means.
//!
//! Invariant: a conversion from the wire checks form only; what is allowed is decided by the model.

pub mod codec;
pub mod convert;

/// The public API, package `hivemind.v1`.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("hivemind.v1");
}

/// The link between pool and workers, package `hivemind.worker.v1`.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod worker {
    tonic::include_proto!("hivemind.worker.v1");
}

/// The compiled descriptor set of every file, for reflection and for generating clients.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hivemind.bin"));
