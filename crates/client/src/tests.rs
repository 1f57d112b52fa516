//! The client against a small pool that does as it is told, over real TLS on loopback.

mod arrays;
mod calls;
mod contents;
mod economy;
mod local;
mod pool;
mod reads;
mod sessions;
mod streams;

use crate::{Client, Target, Trust};
use pool::Pool;
use std::future::Future;
use std::time::Duration;

/// Waits for something that must happen, within a bound that only a hang reaches.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it never happened")
}

fn target(pool: &Pool) -> Target {
    Target { server: pool.server(), trust: Trust::CaPem(pool.ca_pem().to_owned()), identity: None }
}

async fn client(pool: &Pool) -> Client {
    soon(Client::connect(&target(pool), Some("good".to_owned()))).await.expect("connected")
}
