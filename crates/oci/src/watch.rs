//! What a running command uses, and how far it says that it is.
//!
//! Start at [`watch`]. What the command wrote for us is read through the agent's own mount of its disk.
//!
//! Invariant: money does not depend on this.

use crate::cgroup::Group;
use hivemind_egress::Used;
use hivemind_model::units::{Bytes, Millis};
use hivemind_runtime::progress::percent;
use hivemind_runtime::volume::Unnamed;
use hivemind_runtime::{Sink, Usage};
use rustix::fs::fstatvfs;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_secs(2);

/// Tells `sink` every few seconds, with what has passed through the `network`, and without the processor time that
/// had been used `before` (in nanoseconds); never returns.
pub(crate) async fn watch(
    group: &Group,
    disk: &Arc<Unnamed>,
    network: impl Fn() -> Used,
    before: u64,
    sink: &dyn Sink,
) {
    let mut told = None;
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    due.tick().await;
    loop {
        due.tick().await;
        let (group, disk) = (group.clone(), disk.clone());
        // A disk that the command keeps busy may let us wait.
        let looked =
            tokio::task::spawn_blocking(move || (look(&group, disk.root(), before), percent(disk.root()))).await;
        let Ok((usage, percent)) = looked else { continue };
        let Used { received, sent } = network();
        sink.usage(Usage { received, sent, ..usage });
        if percent.is_some() && percent != told {
            told = percent;
            percent.into_iter().for_each(|percent| sink.progress(percent));
        }
    }
}

fn look(group: &Group, disk: BorrowedFd<'_>, before: u64) -> Usage {
    let used = group.usage();
    Usage {
        cpu: Millis(used.cpu_nanos.saturating_sub(before) / 1_000_000),
        memory: Bytes(used.memory_bytes),
        disk: Bytes(in_use(disk)),
        received: Bytes(0),
        sent: Bytes(0),
    }
}

/// Bytes of `disk` that are in use; zero where that cannot be found out.
pub(crate) fn in_use(disk: BorrowedFd<'_>) -> u64 {
    fstatvfs(disk).map_or(0, |disk| disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize))
}
