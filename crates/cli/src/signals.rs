//! Ctrl-C and the polite request to end.
//!
//! Invariant: a signal that came is not lost between two looks.

use crate::failure::{Done, Failure};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask this process to end.
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From now on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Done<Self> {
        let on = |kind| signal(kind).map_err(|error| Failure::io("signals cannot be listened to", &error));
        Ok(Self { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    /// Ends when the next signal comes. Losing the race of a `select!` loses no signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
