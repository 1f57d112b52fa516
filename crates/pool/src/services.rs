//! The services of the wire contract, one file each.
//!
//! Invariant: a service turns messages into commands and rows into messages; it decides nothing.

mod amount;
mod auth;
mod books;
mod dependencies;
mod elements;
mod explain;
mod failures;
mod files;
mod follow;
mod graph;
mod grid;
pub(crate) mod health;
mod image;
mod journal;
mod kept;
mod look;
mod machine;
mod node;
mod node_change;
mod output;
mod page;
mod pool;
mod project;
mod queue;
mod quote;
mod reuse;
mod rewards;
mod sessions;
mod statement;
mod submission;
mod submit;
mod summary;
mod task;
mod ticks;
mod timeline;
mod token;
mod watch;
mod watch_pool;
mod wishes;
mod words;
pub(crate) mod worker;

pub(crate) use auth::AuthCalls;
pub(crate) use node::NodeCalls;
pub(crate) use pool::PoolCalls;
pub(crate) use project::ProjectCalls;
pub(crate) use task::TaskCalls;
pub(crate) use ticks::tell_watchers;
pub(crate) use token::TokenCalls;
pub(crate) use worker::WorkerCalls;

use crate::status;
use crate::writer::Refused;
use hivemind_model::{Rejection, Reply};
use tonic::Status;

/// Splits what a seed call answers in its message (a refusal) from what becomes a status (a fault).
fn refusal_or_fault(outcome: Result<Reply, Refused>) -> Result<Result<Reply, Rejection>, Status> {
    match outcome {
        Ok(reply) => Ok(Ok(reply)),
        Err(Refused::Rejected(rejection)) => Ok(Err(rejection)),
        Err(fault) => Err(status::refused(&fault)),
    }
}

/// A reply that the command cannot have: a bug, told as such.
fn wrong_reply(reply: &Reply) -> Status {
    tracing::error!(?reply, "the engine answered a command with another one's reply");
    Status::internal("E_INTERNAL: the pool answered itself wrongly, which is a bug; the operation may have been done")
}
