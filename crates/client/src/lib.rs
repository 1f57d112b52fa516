//! Typed client of the pool's API.
//!
//! Used by the command line, the worker, the gateway and the tests. Start at [`Client`]; at
//! [`connect`] for a bare channel; at [`profile`] for what the command line remembers.
//!
//! What is safe to repeat is repeated for a while when the pool does not answer, so that its
//! restart goes unnoticed. Everything that is not an answer is a [`ClientError`], whose text says
//! what, why and what to do.
//!
//! Invariant: no rule of the pool is repeated here; whatever is asked for is sent as it is, and
//! the pool's refusal is handed on.

mod archive;
mod arrays;
mod blobs;
mod client;
mod connect;
mod error;
mod logs;
mod money;
mod nodes;
mod pages;
mod passing;
mod pool;
pub mod profile;
mod projects;
mod reads;
mod retry;
mod sessions;
mod statement;
mod tasks;
mod token;
mod unpack;
mod watch;

pub use arrays::{Again, GraphSubmitted, Wanted};
pub use blobs::{Downloaded, Source, Uploaded};
pub use client::{Client, Invitation, Session};
pub use connect::{Target, connect};
pub use error::ClientError;
pub use hivemind_pki::{NodeIdentity, Trust};
pub use hivemind_proto::v1;
pub use logs::{LogPart, LogPlace, LogStream, Until};
pub use money::{Balance, Transfer};
pub use nodes::{JoinToken, Whose};
pub use passing::Passing;
pub use reads::FileContent;
pub use sessions::{NewKey, Opened};
pub use tasks::Submitted;
pub use token::{JoinClaims, join_token_peek};
pub use unpack::{Existing, UnpackLimits, Unpacked, unpack};

/// A stream of what the pool sends, or the error that ends it.
pub type Events<T> = futures::stream::BoxStream<'static, Result<T, ClientError>>;

#[cfg(test)]
mod tests;
