//! The pool from outside, over real TLS.
//!
//! Invariant: no test sleeps; each waits on a condition, with a deadline.
#![allow(clippy::unwrap_used)]

mod accounts;
mod admission;
mod arrays;
mod collect;
mod contents;
mod explain;
mod graphs;
mod guarded;
mod links;
mod live;
mod money;
mod monitoring;
mod nodes;
mod outputs;
mod projects;
mod quotes;
mod reads;
mod restart;
mod rewards;
mod service;
mod sessions;
mod statements;
mod storm;
mod streams;
mod submissions;
mod support;
