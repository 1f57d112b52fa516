//! Computes what the pool measures this machine by, on a thread of its own.
//!
//! Start at [`Measurement::start`].
//!
//! Invariant: dropping a [`Measurement`] ends its thread within a few milliseconds.

use crate::event::{Benchmark, Event};
use crate::job::Signal;
use hivemind_owner::benchmark;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// A chain that is being computed.
#[derive(Debug)]
pub(crate) struct Measurement {
    unwanted: Arc<AtomicBool>,
}

impl Measurement {
    /// Computes `ask` and says [`Event::Measured`], unless it is dropped before.
    pub(crate) fn start(ask: Benchmark, signals: UnboundedSender<Signal>) -> Self {
        let unwanted = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&unwanted);
        tokio::task::spawn_blocking(move || {
            let digest = match benchmark::chain(&ask.seed, ask.rounds, &seen) {
                Ok(digest) => digest,
                Err(benchmark::NoDigest::Stopped) => return,
                Err(why @ benchmark::NoDigest::TooMuch { .. }) => return tracing::warn!("{why}"),
            };
            // The listener is gone only while the worker ends.
            let _unheard = signals.send(Signal::Event(Event::Measured { nonce: ask.nonce, digest }));
        });
        Self { unwanted }
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }
}
