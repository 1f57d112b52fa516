//! Means over equal parts of time, the newest so many of them.
//!
//! Invariant: bounded; a part in which nothing was heard has no mean.

use hivemind_model::{Millis, Timestamp};
use hivemind_proto::worker::{Heartbeat, MachineUsage};
use std::collections::VecDeque;

/// Figures of a sample.
pub(crate) const FIGURES: usize = 8;

/// What a machine did: CPU, memory, disk and GPU in percent, bytes received and sent per second, degrees Celsius,
/// attempts that ran.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sample(pub(crate) [f32; FIGURES]);

impl Sample {
    /// What a heartbeat says, with the newest figures of the machine. What is no number counts as zero.
    pub(crate) fn of(beat: &Heartbeat, machine: &MachineUsage) -> Self {
        let percent = |value: f32| if (0.0..=100.0).contains(&value) { value } else { 0.0 };
        let gpu = machine.gpus.iter().map(|gpu| percent(gpu.busy)).fold(percent(beat.gpu_usage), f32::max);
        let figure = |value: f32| if value.is_finite() && value >= 0.0 { value } else { 0.0 };
        Self([
            percent(beat.cpu_usage),
            percent(beat.memory_usage),
            percent(beat.disk_usage),
            gpu,
            machine.received_bytes_per_second as f32,
            machine.sent_bytes_per_second as f32,
            figure(machine.temperature_celsius),
            beat.active_attempts as f32,
        ])
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, value)| *sum += value);
    }

    fn over(&self, count: u32) -> Self {
        Self(self.0.map(|sum| sum / count.max(1) as f32))
    }
}

/// The mean of one part of the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Part {
    /// Its number since 1970.
    pub(crate) number: i64,
    /// Samples in it.
    pub(crate) count: u32,
    /// Of all of them together.
    pub(crate) sum: Sample,
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ring {
    pub(crate) length: Millis,
    pub(crate) most: usize,
    pub(crate) parts: VecDeque<Part>,
}

impl Ring {
    /// Half minutes of two hours.
    pub(crate) fn fine() -> Self {
        Self { length: Millis::from_secs(30), most: 240, parts: VecDeque::new() }
    }

    /// Quarters of an hour of a week.
    pub(crate) fn coarse() -> Self {
        Self { length: Millis::from_secs(900), most: 672, parts: VecDeque::new() }
    }

    /// Takes in a sample; one that is older than the newest part is left out.
    pub(crate) fn add(&mut self, at: Timestamp, sample: &Sample) {
        let number = self.number(at);
        match self.parts.back_mut() {
            Some(last) if last.number == number => {
                last.count = last.count.saturating_add(1);
                last.sum.add(sample);
                return;
            }
            Some(last) if last.number > number => return,
            Some(_) | None => {}
        }
        if self.parts.len() == self.most {
            self.parts.pop_front();
        }
        self.parts.push_back(Part { number, count: 1, sum: *sample });
    }

    /// True where the ring is as long as from then to its newest part.
    pub(crate) fn reaches(&self, from: Timestamp) -> bool {
        let most = i64::try_from(self.most).unwrap_or(i64::MAX);
        self.parts.back().is_some_and(|last| self.number(from) > last.number.saturating_sub(most))
    }

    /// See [`super::Monitor::history`].
    pub(crate) fn parts(&self, from: Timestamp, to: Timestamp, points: u32) -> Vec<(Timestamp, Sample)> {
        let span = to.since(from).0.max(1);
        let width = span.div_ceil(u64::from(points.max(1))).max(self.length.0);
        let mut found: Vec<(u64, u32, Sample)> = Vec::new();
        for part in &self.parts {
            let middle = self.middle(part.number);
            if middle < from || middle >= to {
                continue;
            }
            let place = middle.since(from).0 / width;
            match found.last_mut() {
                Some((last, count, sum)) if *last == place => {
                    *count = count.saturating_add(part.count);
                    sum.add(&part.sum);
                }
                Some(_) | None => found.push((place, part.count, part.sum)),
            }
        }
        let told =
            |(place, count, sum): (u64, u32, Sample)| (from.after(Millis(place * width + width / 2)), sum.over(count));
        found.into_iter().map(told).collect()
    }

    fn number(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.length_millis())
    }

    fn middle(&self, number: i64) -> Timestamp {
        Timestamp(number.saturating_mul(self.length_millis()).saturating_add(self.length_millis() / 2))
    }

    fn length_millis(&self) -> i64 {
        i64::try_from(self.length.0).unwrap_or(i64::MAX).max(1)
    }
}
