//! What a command has used so far and how far it says it is, told while it runs.
//!
//! Start at [`Watch::tick`]. The progress file and the disk are looked at on another thread, because a task
//! that keeps its disk busy must not hold up its own end.
//!
//! Invariant: nothing is looked at between two samples of the meter; what the file says is a stranger's word.

use super::meter::Meter;
use crate::progress::percent;
use crate::volume::Held;
use crate::{Sink, Usage};
use hivemind_egress::Used;
use hivemind_model::units::Bytes;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Between two reports.
const EVERY: Duration = Duration::from_secs(2);

/// What was seen on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    disk: u64,
    percent: Option<u8>,
}

/// Tells about one command.
#[derive(Debug)]
pub(super) struct Watch {
    held: Option<Arc<Held>>,
    due: Instant,
    look: Option<JoinHandle<Look>>,
    told: Option<u8>,
}

impl Watch {
    /// Of a command that has just been started; `held` is its disk, where it can be read.
    pub(super) fn new(held: Option<Arc<Held>>) -> Self {
        Self { held, due: Instant::now() + EVERY, look: None, told: None }
    }

    /// After a sample: begins a look where it is time for one.
    pub(super) fn tick(&mut self) {
        if self.look.is_none() && Instant::now() >= self.due {
            self.due = Instant::now() + EVERY;
            let held = self.held.clone();
            self.look = Some(tokio::task::spawn_blocking(move || held.map(|held| look(&held)).unwrap_or_default()));
        }
    }

    /// Tells `sink` what a look has seen, and what has passed through its `network`; never resolves while none is under way. Losing the race of a
    /// `select!` loses nothing.
    pub(super) async fn report(&mut self, meter: &Meter<'_>, network: Used, sink: &dyn Sink) {
        let Some(look) = &mut self.look else { return std::future::pending().await };
        let seen = look.await.unwrap_or_default();
        self.look = None;
        let (cpu, _) = meter.seen();
        let Used { received, sent } = network;
        sink.usage(Usage { cpu, memory: meter.present(), disk: Bytes(seen.disk), received, sent });
        self.tell(seen.percent, sink);
    }

    /// After the end: tells what the file says last.
    pub(super) fn last(&mut self, percent: Option<u8>, sink: &dyn Sink) {
        self.tell(percent, sink);
    }

    fn tell(&mut self, percent: Option<u8>, sink: &dyn Sink) {
        if let Some(percent) = percent
            && self.told != Some(percent)
        {
            self.told = Some(percent);
            sink.progress(percent);
        }
    }
}

fn look(held: &Held) -> Look {
    Look { disk: held.used(), percent: percent(held.as_fd()) }
}
