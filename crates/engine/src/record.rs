//! How nodes did lately: how often they failed, and how fast they were beside others.
//!
//! Both are measured by the pool from real work, never told by the node, and only ever prefer one node
//! that fits to another. Start at [`Engine::note_run`].
//!
//! Invariant: derived from what happened since the start; forgotten at a restart.

use crate::Engine;
use hivemind_model::{ElementRef, Millis, NodeId};
use hivemind_placement::PER_MILLE;

/// Ends that a node is judged by.
const LATEST: u32 = 64;
/// Fewer ends, or fewer elements of one array, say nothing.
const LEAST: u32 = 8;
/// What is preferred changes in steps of so many thousandths, so that the fleet is not touched for less.
const STEP: u32 = 50;
/// Part that one run has in the speed of a node, and bounds of what is believed of one run.
const PART: u32 = 8;
const SLOWEST: u64 = 100;
const FASTEST: u64 = 10_000;

/// How a node did lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// One bit for each end, the newest lowest; set where the node was not at fault.
    ends: u64,
    count: u32,
    speed: u32,
    /// Runs that told its speed.
    runs: u32,
}

impl Default for Form {
    fn default() -> Self {
        Self { ends: 0, count: 0, speed: PER_MILLE.into(), runs: 0 }
    }
}

impl Form {
    fn note(&mut self, is_good: bool) {
        self.ends = self.ends << 1 | u64::from(is_good);
        self.count = (self.count + 1).min(LATEST);
    }

    fn note_speed(&mut self, measured: u32) {
        self.speed = (self.speed * (PART - 1) + measured) / PART;
        self.runs = self.runs.saturating_add(1);
    }

    /// A benchmark says how fast it is until real work does, and is what that begins from.
    fn note_benchmark(&mut self, speed: u32) {
        if self.runs == 0 {
            self.speed = u32::try_from(u64::from(speed).clamp(SLOWEST, FASTEST)).unwrap_or(PER_MILLE.into());
        }
    }

    /// As [`Self::speed`], of real work alone; `None` where that is too little to say.
    pub(crate) fn speed_in_tasks(&self) -> Option<u32> {
        (self.runs >= LEAST).then(|| self.speed())
    }

    /// Attempts of a thousand that did not fail through the node.
    pub(crate) fn reliability(&self) -> u16 {
        if self.count < LEAST {
            return PER_MILLE;
        }
        let kept = if self.count == LATEST { u64::MAX } else { (1 << self.count) - 1 };
        let per_mille = (self.ends & kept).count_ones() * u32::from(PER_MILLE) / self.count;
        u16::try_from(per_mille / STEP * STEP).unwrap_or(PER_MILLE)
    }

    /// Its speed in thousandths of that of others with the same work.
    pub(crate) fn speed(&self) -> u32 {
        self.speed / STEP * STEP
    }
}

/// How long the elements of an array took so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Walls {
    sum: u64,
    count: u32,
}

impl Walls {
    /// The speed of a run in thousandths of the mean of those before it; `None` where they are too few to say. Takes
    /// it in.
    fn note(&mut self, wall: Millis) -> Option<u32> {
        let mean = self.sum.checked_div(self.count.into()).filter(|mean| self.count >= LEAST && *mean > 0);
        self.sum = self.sum.saturating_add(wall.0);
        self.count = self.count.saturating_add(1);
        let speed = mean?.saturating_mul(PER_MILLE.into()) / wall.0.max(1);
        u32::try_from(speed.clamp(SLOWEST, FASTEST)).ok()
    }
}

impl Engine {
    /// Notes that a node ran an element to its end, in `wall`; of one that succeeded it tells the node's speed.
    pub(crate) fn note_run(&mut self, id: NodeId, at: ElementRef, wall: Millis, succeeded: bool) {
        let task = self.tasks.get_mut(&at.task).filter(|task| succeeded && task.row.spec.array.is_some());
        let measured = task.and_then(|task| task.walls.note(wall));
        self.note_form(id, |form| {
            form.note(true);
            measured.into_iter().for_each(|measured| form.note_speed(measured));
        });
    }

    /// Notes how fast the benchmark found a node.
    pub(crate) fn note_benchmark(&mut self, id: NodeId, speed: u32) {
        self.note_form(id, |form| form.note_benchmark(speed));
    }

    /// Notes that an attempt failed through its node.
    pub(crate) fn note_failure(&mut self, id: NodeId) {
        self.note_form(id, |form| form.note(false));
    }

    fn note_form(&mut self, id: NodeId, note: impl FnOnce(&mut Form)) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let before = (node.form.reliability(), node.form.speed());
        note(&mut node.form);
        if (node.form.reliability(), node.form.speed()) != before {
            self.refresh_placeable(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_lately_counts_and_is_forgotten() {
        let mut form = Form::default();
        (0..7).for_each(|_| form.note(false));
        assert_eq!(form.reliability(), 1000);
        form.note(true);
        assert_eq!(form.reliability(), 100);
        (0..64).for_each(|_| form.note(true));
        assert_eq!(form.reliability(), 1000);
        form.note(false);
        assert_eq!(form.reliability(), 950);
    }

    #[test]
    fn a_benchmark_counts_until_work_does() {
        let mut form = Form::default();
        form.note_benchmark(2000);
        assert_eq!((form.speed(), form.speed_in_tasks()), (2000, None));
        form.note_benchmark(u32::MAX);
        assert_eq!(form.speed(), 10_000, "no more is believed of one measure");
        (0..64).for_each(|_| form.note_speed(1000));
        form.note_benchmark(5000);
        assert_eq!(
            (form.speed(), form.speed_in_tasks()),
            (1000, Some(1000)),
            "whoever only benchmarks well is found out"
        );
    }

    #[test]
    fn speed_is_told_beside_others_with_the_same_work() {
        let mut walls = Walls::default();
        assert!((0..8).all(|_| walls.note(Millis(1000)).is_none()));
        assert_eq!(walls.note(Millis(500)), Some(2000));
        assert_eq!(walls.note(Millis(0)), Some(10_000));
        let mut form = Form::default();
        (0..40).for_each(|_| form.note_speed(2000));
        assert!((1900..=2000).contains(&form.speed()), "{}", form.speed());
    }
}
