//! How a pool does, for who watches over it.
//!
//! Invariant: asking changes nothing, and costs the writer nothing.

use crate::shared::Shared;
use crate::{disk, measure};
use std::sync::Arc;

/// Asks a pool how it does; copies ask the same one.
#[derive(Clone)]
pub struct Probe(pub(crate) Arc<Shared>);

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Probe")
    }
}

impl Probe {
    /// Whether it takes work: it is not stopping, its writer runs, and its disk has room.
    ///
    /// # Errors
    /// What keeps it from that, in a few words.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.0.closing.is_cancelled() {
            return Err("the pool is stopping");
        }
        if !self.0.writer.is_open() {
            return Err("the pool's writer has stopped");
        }
        match self.0.disk.room_for_commands() {
            Err(error) if disk::is_full(&error) => Err("the pool's disk is full"),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Brings the gauges up to date; to be awaited before what is measured is read out. At most once a second it costs a
    /// look at every linked node.
    ///
    /// # Errors
    /// Why there are no figures, for people.
    pub fn collect(&self) -> impl Future<Output = Result<(), String>> + Send + use<> {
        let shared = self.0.clone();
        async move { measure::states(&shared).await }
    }
}
