//! How busy others keep the processors.
//!
//! What all processors did, less what tasks and this process did, as a mean over the last minute.
//!
//! Invariant: what tasks use is never taken for other people's use.

use super::root::Root;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::time::Duration;

/// The mean is over so long.
const WINDOW: Duration = Duration::from_secs(60);
/// What is younger says too little.
const LEAST: Duration = Duration::from_secs(1);
/// Most samples that are kept.
const MOST: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Load {
    root: Root,
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    all: Duration,
    ours: Duration,
}

/// What the processors have done since the start, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) busy: Duration,
    pub(crate) cores: u32,
}

impl Load {
    /// Of the machine below `root`.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self { root, samples: VecDeque::new() }
    }

    /// The part of all cores that others keep busy, 0 to 1; `None` before there are two looks a second apart.
    ///
    /// `tasks` is the processor time that tasks have used so far; where it falls, the measurement begins anew.
    pub fn read(&mut self, tasks: Duration, now: Duration) -> Option<f32> {
        self.take(tasks.saturating_add(own()), now)
    }

    /// Begins anew at the next call.
    pub fn forget(&mut self) {
        self.samples.clear();
    }

    fn take(&mut self, ours: Duration, now: Duration) -> Option<f32> {
        let Busy { busy: all, cores } = busy(&self.root)?;
        if self.samples.back().is_some_and(|last| ours < last.ours || all < last.all || now < last.at) {
            self.samples.clear();
        }
        while self.samples.get(1).is_some_and(|second| now.saturating_sub(second.at) >= WINDOW) {
            self.samples.pop_front();
        }
        // Looks that follow one another faster than they should replace the last one.
        if self.samples.len() >= MOST {
            self.samples.pop_back();
        }
        self.samples.push_back(Sample { at: now, all, ours });
        let first = self.samples.front()?;
        let passed = now.saturating_sub(first.at);
        if passed < LEAST {
            return None;
        }
        let others = all.saturating_sub(first.all).saturating_sub(ours.saturating_sub(first.ours));
        Some((others.as_secs_f64() / (passed.as_secs_f64() * f64::from(cores))).clamp(0.0, 1.0) as f32)
    }
}

/// The processor time of this process.
fn own() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What `/proc/stat` says: time for programs, the kernel and interrupts; not waiting, and not what a hypervisor took.
pub(crate) fn busy(root: &Root) -> Option<Busy> {
    let text = root.text("proc/stat")?;
    let mut lines = text.lines().take_while(|line| line.starts_with("cpu"));
    let all = lines.next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = all.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, interrupts @ ..] = ticks.as_slice() else { return None };
    let interrupts = interrupts.iter().take(2);
    let sum = interrupts.chain([user, nice, system]).fold(0u64, |sum, ticks| sum.saturating_add(*ticks));
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let busy = Duration::try_from_secs_f64(sum as f64 / per_second as f64).ok()?;
    Some(Busy { busy, cores: u32::try_from(lines.count()).ok()?.max(1) })
}

#[cfg(test)]
mod tests {
    use super::super::root::fake::Fake;
    use super::*;

    fn stat(fake: &Fake, seconds: u64) {
        let ticks = seconds * rustix::param::clock_ticks_per_second();
        fake.file("proc/stat", format!("cpu  {ticks} 0 0 99999 7 0 0 5 0 0\ncpu0 1 2 3\ncpu1 1 2 3\nintr 1 2\n"));
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_all_less_ours_over_the_last_minute() {
        let fake = Fake::new();
        let mut load = Load::new(fake.root());
        stat(&fake, 1000);
        assert_eq!(load.take(at(50), at(100)), None);
        // Ten seconds of two cores: 15 used, 5 of it ours.
        stat(&fake, 1015);
        assert_eq!(load.take(at(55), at(110)), Some(0.5));
        // A minute later nothing was used since.
        assert_eq!(load.take(at(55), at(170)), Some(0.0));
        assert_eq!(load.samples.len(), 2);
    }

    #[test]
    fn counters_that_fall_begin_anew_and_more_of_ours_than_of_all_is_none() {
        let fake = Fake::new();
        let mut load = Load::new(fake.root());
        stat(&fake, 1000);
        load.take(at(50), at(100));
        assert_eq!(load.take(at(49), at(110)), None);
        stat(&fake, 1001);
        assert_eq!(load.take(at(60), at(120)), Some(0.0));
    }

    #[test]
    fn looks_in_quick_succession_are_bounded() {
        let fake = Fake::new();
        let mut load = Load::new(fake.root());
        stat(&fake, 1000);
        for ms in 0..1000 {
            load.take(at(0), at(100) + Duration::from_millis(ms));
        }
        assert_eq!(load.samples.len(), MOST);
        assert_eq!(load.take(at(0), at(130)), Some(0.0));
    }

    #[test]
    fn odd_texts_are_not_known() {
        for text in ["", "cpu\n", "cpu  1 2\n", "intr 1\n", "cpu  a b c d e\n"] {
            let fake = Fake::new();
            fake.file("proc/stat", text);
            assert_eq!(busy(&fake.root()), None, "{text}");
        }
        assert!(busy(&Root::new(std::path::Path::new("/"))).is_some());
    }
}
