//! What machines and attempts use, and used: for charts and lists.
//!
//! Samples come with heartbeats. Of each node two rings of means are kept, a fine and a coarse one ([`ring`]); they are
//! written to a file now and then and at the end, so that a chart survives a restart, at the price of the last minutes
//! after a crash. Of each live attempt the newest figures are kept. Start at [`Monitor::hear`].
//!
//! Invariant: nothing here decides anything, and no figure of an attempt outlives it by more than a sweep.

use hivemind_model::{AttemptRef, NodeId, Timestamp};
use hivemind_proto::worker::{AttemptUsage, GpuUsage, Heartbeat, MachineUsage};
use parking_lot::Mutex;
use ring::Ring;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;

pub(crate) mod benchmark;
mod file;
mod ring;

pub(crate) use ring::Sample;

const SHARDS: usize = 64;
/// A sample is taken of a node that often, at most.
const SAMPLE_EVERY_MILLIS: u64 = 10_000;
/// Attempts of one node of which figures are kept.
const MOST_ATTEMPTS: usize = 4096;
/// Graphics processors of one node of which figures are kept; a message has room for millions.
const MOST_GPUS: usize = 32;
/// Nodes of which a history is kept; of more, there is none.
const MOST_NODES: usize = 8192;

/// The median speed of all nodes that were measured; `None` where none was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace(Option<f64>);

/// What is known of a node.
#[derive(Debug)]
struct Entry {
    fine: Ring,
    coarse: Ring,
    sampled_at: Option<Timestamp>,
    machine: MachineUsage,
    attempts: BTreeMap<AttemptRef, AttemptUsage>,
    /// Rounds of the benchmark per second.
    speed: Option<f64>,
}

/// See the module.
pub(crate) struct Monitor {
    shards: [Mutex<HashMap<NodeId, Entry>>; SHARDS],
    path: PathBuf,
}

impl Monitor {
    /// What was written to `path` before; a file that cannot be read is left aside with a warning.
    pub(crate) fn open(path: PathBuf) -> Self {
        let monitor = Self { shards: std::array::from_fn(|_| Mutex::default()), path };
        match file::read(&monitor.path) {
            Ok(histories) => {
                for (node, [fine, coarse], speed) in histories.into_iter().take(MOST_NODES) {
                    let entry = Entry { fine, coarse, speed, ..Entry::default() };
                    monitor.shard(node).lock().insert(node, entry);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %monitor.path.display(), %error, "the history of the nodes cannot be read and begins anew");
            }
        }
        monitor
    }

    /// Takes in what a heartbeat says; `is_live` tells which attempts are the node's own.
    pub(crate) fn hear(&self, node: NodeId, beat: &Heartbeat, now: Timestamp, is_live: impl Fn(AttemptRef) -> bool) {
        if beat.machine.is_none() && beat.attempts.is_empty() && !self.is_due(node, now) {
            return;
        }
        let mut shard = self.shard(node).lock();
        if !shard.contains_key(&node) && shard.len() >= MOST_NODES / SHARDS {
            return;
        }
        let entry = shard.entry(node).or_default();
        if let Some(machine) = &beat.machine {
            entry.machine = kept(machine);
        }
        if entry.sampled_at.is_none_or(|at| now.since(at).0 >= SAMPLE_EVERY_MILLIS) {
            entry.sampled_at = Some(now);
            let sample = Sample::of(beat, &entry.machine);
            entry.fine.add(now, &sample);
            entry.coarse.add(now, &sample);
        }
        for usage in beat.attempts.iter().take(MOST_ATTEMPTS) {
            let Ok(attempt) = hivemind_proto::convert::attempt(usage.attempt) else { continue };
            if is_live(attempt) && (entry.attempts.len() < MOST_ATTEMPTS || entry.attempts.contains_key(&attempt)) {
                entry.attempts.insert(attempt, *usage);
            }
        }
        if entry.attempts.len() > beat.active_attempts as usize {
            entry.attempts.retain(|attempt, _| is_live(*attempt));
        }
    }

    fn is_due(&self, node: NodeId, now: Timestamp) -> bool {
        let sampled_at = self.shard(node).lock().get(&node).and_then(|entry| entry.sampled_at);
        sampled_at.is_none_or(|at| now.since(at).0 >= SAMPLE_EVERY_MILLIS)
    }

    /// What a live attempt on a node uses, as the node last said.
    pub(crate) fn attempt(&self, node: NodeId, attempt: AttemptRef) -> Option<AttemptUsage> {
        self.shard(node).lock().get(&node)?.attempts.get(&attempt).copied()
    }

    /// The hottest sensor of a node, in degrees Celsius; 0 where it is not known.
    pub(crate) fn temperature(&self, node: NodeId) -> f32 {
        self.shard(node).lock().get(&node).map_or(0.0, |entry| entry.machine.temperature_celsius)
    }

    /// Means of at most `points` equal parts of the time from `from` to `to`, oldest first, each with the middle of its
    /// part; parts in which nothing was heard are left out.
    pub(crate) fn history(
        &self,
        node: NodeId,
        from: Timestamp,
        to: Timestamp,
        points: u32,
    ) -> Vec<(Timestamp, Sample)> {
        let shard = self.shard(node).lock();
        let Some(entry) = shard.get(&node) else { return Vec::new() };
        let ring = if entry.fine.reaches(from) { &entry.fine } else { &entry.coarse };
        ring.parts(from, to, points)
    }

    /// Notes how fast a node did the benchmark, in rounds per second.
    pub(crate) fn note_speed(&self, node: NodeId, rounds_per_second: f64) {
        let mut shard = self.shard(node).lock();
        if shard.contains_key(&node) || shard.len() < MOST_NODES / SHARDS {
            shard.entry(node).or_default().speed = Some(rounds_per_second);
        }
    }

    /// True where the node was measured.
    pub(crate) fn is_measured(&self, node: NodeId) -> bool {
        self.shard(node).lock().get(&node).is_some_and(|entry| entry.speed.is_some())
    }

    /// The median speed of all that were measured, which one machine alone cannot move far. Looks at every node.
    pub(crate) fn pace(&self) -> Pace {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().values().filter_map(|entry| entry.speed));
        }
        if all.is_empty() {
            return Pace(None);
        }
        let (middle, is_even) = (all.len() / 2, all.len().is_multiple_of(2));
        let (below, upper, _) = all.select_nth_unstable_by(middle, f64::total_cmp);
        let upper = *upper;
        let lower = if is_even { below.iter().copied().fold(0.0, f64::max) } else { upper };
        Pace(Some((lower + upper) / 2.0))
    }

    /// The speed of a node in parts of `pace`; `None` where it was not measured.
    pub(crate) fn speed(&self, node: NodeId, pace: Pace) -> Option<f64> {
        Some(self.shard(node).lock().get(&node)?.speed? / pace.0?)
    }

    /// Writes the histories to the file.
    ///
    /// # Errors
    /// The disk does not take it; the file before it stays.
    pub(crate) fn save(&self) -> io::Result<()> {
        let mut histories = Vec::new();
        for shard in &self.shards {
            for (node, entry) in shard.lock().iter() {
                histories.push((*node, [entry.fine.clone(), entry.coarse.clone()], entry.speed));
            }
        }
        file::write(&self.path, &histories)
    }

    fn shard(&self, node: NodeId) -> &Mutex<HashMap<NodeId, Entry>> {
        &self.shards[usize::try_from(node.0 % SHARDS as u64).unwrap_or(0)]
    }
}

/// What is kept of a machine's own figures.
fn kept(machine: &MachineUsage) -> MachineUsage {
    let nameless = |gpu: &GpuUsage| GpuUsage { name: String::new(), ..*gpu };
    MachineUsage { gpus: machine.gpus.iter().take(MOST_GPUS).map(nameless).collect(), ..*machine }
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            fine: Ring::fine(),
            coarse: Ring::coarse(),
            sampled_at: None,
            machine: MachineUsage::default(),
            attempts: BTreeMap::new(),
            speed: None,
        }
    }
}

#[cfg(test)]
mod tests;
