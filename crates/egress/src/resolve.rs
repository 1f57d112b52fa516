//! Names to addresses.
//!
//! Invariant: a name is looked up as it is; no domain of this machine is put behind it, and no table of this machine's
//! own is read for it.

use async_trait::async_trait;
use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Lookups of all tasks at once: each occupies a thread for as long as a name server pleases.
const MOST_LOOKUPS: usize = 32;

static LOOKUPS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MOST_LOOKUPS)));

/// Looks up names.
#[async_trait]
pub trait Resolver: Debug + Send + Sync {
    /// The addresses of `name`, which is in lower case and has no dot at the end; the preferred first.
    ///
    /// # Errors
    /// Where it has none, or nobody answers.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// This machine's name servers.
#[derive(Debug)]
pub(crate) struct System;

#[async_trait]
impl Resolver for System {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let permit = LOOKUPS.clone().acquire_owned().await.map_err(io::Error::other)?;
        // The dot at the end: the name is whole, and no search domain of the owner's is tried behind it.
        let whole = format!("{name}.");
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (whole.as_str(), 0).to_socket_addrs().map(|found| found.map(|one| one.ip()).collect());
            // Not before the thread is free, however long ago the asker gave up.
            drop(permit);
            found
        });
        lookup.await.map_err(io::Error::other)?
    }
}
