//! What the machine did in the last day, for its owner's page.
//!
//! Start at [`History::push`] and [`History::since`].
//!
//! Invariant: a day at most; the oldest sample makes room for the newest.

use hivemind_owner::MachineUsage;
use serde::Serialize;
use std::collections::VecDeque;

/// A day of samples, one every ten seconds.
const MOST: usize = 8640;

/// One look, or the mean of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When; of a mean: in its middle.
    pub at_unix_ms: i64,
    /// Percent of all cores.
    pub cpu_percent: f32,
    /// Percent of the memory.
    pub memory_percent: f32,
    /// Percent, the mean of all graphics processors.
    pub gpu_percent: f32,
    /// The hottest processor; zero: unknown.
    pub temperature_celsius: f32,
    /// All real interfaces together.
    pub received_bytes_per_second: f32,
    /// All real interfaces together.
    pub sent_bytes_per_second: f32,
}

impl Sample {
    /// Of a look at the whole machine.
    pub(crate) fn of(at_unix_ms: i64, cpu_percent: f32, memory_percent: f32, whole: &MachineUsage) -> Self {
        Self {
            at_unix_ms,
            cpu_percent,
            memory_percent,
            gpu_percent: whole.gpu_percent(),
            temperature_celsius: whole.temperature_celsius,
            received_bytes_per_second: whole.received_bytes_per_second as f32,
            sent_bytes_per_second: whole.sent_bytes_per_second as f32,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct History(VecDeque<Sample>);

impl History {
    /// Keeps one more.
    pub(crate) fn push(&mut self, sample: Sample) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// Those since `from_unix_ms`, oldest first, in at most `points` means of equally many.
    pub(crate) fn since(&self, from_unix_ms: i64, points: usize) -> Vec<Sample> {
        let kept: Vec<Sample> = self.0.iter().copied().filter(|sample| sample.at_unix_ms >= from_unix_ms).collect();
        let size = kept.len().div_ceil(points.max(1)).max(1);
        kept.chunks(size).map(mean).collect()
    }
}

fn mean(samples: &[Sample]) -> Sample {
    let count = samples.len().max(1) as f32;
    let of = |figure: fn(&Sample) -> f32| samples.iter().map(figure).sum::<f32>() / count;
    Sample {
        at_unix_ms: samples.get(samples.len() / 2).map_or(0, |sample| sample.at_unix_ms),
        cpu_percent: of(|sample| sample.cpu_percent),
        memory_percent: of(|sample| sample.memory_percent),
        gpu_percent: of(|sample| sample.gpu_percent),
        temperature_celsius: of(|sample| sample.temperature_celsius),
        received_bytes_per_second: of(|sample| sample.received_bytes_per_second),
        sent_bytes_per_second: of(|sample| sample.sent_bytes_per_second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_kept_and_given_in_means() {
        let mut history = History::default();
        for at in 0..20_000 {
            history.push(Sample { at_unix_ms: at, cpu_percent: (at % 2) as f32, ..Sample::default() });
        }
        assert_eq!(history.0.len(), MOST);
        let all = history.since(0, 100);
        assert_eq!(all.len(), 100);
        assert!(all.iter().all(|sample| (0.4..0.6).contains(&sample.cpu_percent)));
        assert_eq!(history.since(19_998, 100).len(), 2);
        assert_eq!(history.since(0, 0).len(), 1);
        assert!(history.since(i64::MAX, 10).is_empty());
    }
}
