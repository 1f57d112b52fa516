//! Computes what the pool measures this machine by, on a thread of its own.
//!
//! Start at [`Measurement::start`].
//!
//! Invariant: dropping a [`Measurement`] ends its thread within a few milliseconds.

use crate::event::{Benchmark, Event};
use crate::job::Signal;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// Digests between two looks at whether they are still wanted.
const STEP: u32 = 10_000;

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
            let Some(digest) = chain(&ask.seed, ask.rounds, || seen.load(Ordering::Relaxed)) else { return };
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

/// SHA-256 of `seed`, then of each digest before, `rounds` of them; `None` once it is unwanted.
fn chain(seed: &[u8], rounds: u32, unwanted: impl Fn() -> bool) -> Option<[u8; 32]> {
    let mut digest: [u8; 32] = Sha256::digest(seed).into();
    for round in 1..rounds {
        if round % STEP == 0 && unwanted() {
            return None;
        }
        digest = Sha256::digest(digest).into();
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_so_many_digests() {
        let once: [u8; 32] = Sha256::digest(b"seed").into();
        assert_eq!(chain(b"seed", 1, || false), Some(once));
        assert_eq!(chain(b"seed", 2, || false), Some(Sha256::digest(once).into()));
    }

    #[test]
    fn what_is_unwanted_ends() {
        assert_eq!(chain(b"seed", u32::MAX, || true), None);
    }
}
