//! What attempts use, as their runtimes tell it, for the heartbeats.
//!
//! Each heartbeat carries those of which something is new, at most [`MOST`]; the others wait in line. Start at
//! [`UsageBook::told`].
//!
//! Invariant: an attempt is in the line once, however often it speaks, and is gone from here when it is forgotten.

use hivemind_model::{AttemptRef, Millis};
use hivemind_proto::worker as wire;
use hivemind_runtime::Usage;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Most attempts in one heartbeat.
pub(crate) const MOST: usize = 256;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    usage: Usage,
    suspended: bool,
    queued: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct UsageBook {
    entries: HashMap<AttemptRef, Entry>,
    line: VecDeque<AttemptRef>,
    cpu_used: Duration,
}

impl UsageBook {
    /// An attempt has used so much so far.
    pub(crate) fn told(&mut self, attempt: AttemptRef, usage: Usage) {
        let before = self.of(attempt).cpu;
        self.cpu_used += Duration::from_millis(usage.cpu.0.saturating_sub(before.0));
        self.change(attempt, |entry| entry.usage = usage);
    }

    /// An attempt is over, and has used so much processor time in all.
    pub(crate) fn ended(&mut self, attempt: AttemptRef, cpu: Millis) {
        self.cpu_used += Duration::from_millis(cpu.0.saturating_sub(self.of(attempt).cpu.0));
    }

    /// Processor time of all attempts together, those that are over included; `None` where none was ever told.
    pub(crate) fn cpu_used(&self) -> Option<Duration> {
        (!self.cpu_used.is_zero()).then_some(self.cpu_used)
    }

    /// An attempt stands still from now on, or goes on.
    pub(crate) fn held(&mut self, attempt: AttemptRef, suspended: bool) {
        self.change(attempt, |entry| entry.suspended = suspended);
    }

    /// Nothing more is to be told of an attempt.
    pub(crate) fn forget(&mut self, attempt: AttemptRef) {
        self.entries.remove(&attempt);
        // Those in the line are looked up; it must not grow with what was forgotten.
        if self.line.len() > 2 * self.entries.len() + MOST {
            self.line.retain(|waiting| self.entries.contains_key(waiting));
        }
    }

    /// A new link knows nothing of what was told over others.
    pub(crate) fn repeat(&mut self) {
        self.line.clear();
        for (attempt, entry) in &mut self.entries {
            entry.queued = true;
            self.line.push_back(*attempt);
        }
    }

    /// What an attempt has used so far, as far as that is known.
    pub(crate) fn of(&self, attempt: AttemptRef) -> Usage {
        self.entries.get(&attempt).map(|entry| entry.usage).unwrap_or_default()
    }

    /// What is new of at most [`MOST`] attempts, those that waited longest first.
    pub(crate) fn take(&mut self) -> Vec<wire::AttemptUsage> {
        let mut news = Vec::new();
        while news.len() < MOST
            && let Some(attempt) = self.line.pop_front()
        {
            let Some(entry) = self.entries.get_mut(&attempt).filter(|entry| entry.queued) else { continue };
            entry.queued = false;
            let Usage { cpu, memory, disk, received, sent } = entry.usage;
            news.push(wire::AttemptUsage {
                attempt: Some(attempt.into()),
                cpu_ms: cpu.0,
                memory_bytes: memory.0,
                disk_bytes: disk.0,
                received_bytes: received.0,
                sent_bytes: sent.0,
                suspended: entry.suspended,
            });
        }
        news
    }

    fn change(&mut self, attempt: AttemptRef, how: impl FnOnce(&mut Entry)) {
        let entry = self.entries.entry(attempt).or_default();
        how(entry);
        if !entry.queued {
            entry.queued = true;
            self.line.push_back(attempt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{Bytes, ElementRef, TaskId};

    fn att(task: u64) -> AttemptRef {
        ElementRef::only(TaskId(task)).attempt(1)
    }

    fn tasks(news: &[wire::AttemptUsage]) -> Vec<u64> {
        news.iter().map(|usage| usage.attempt.unwrap().task).collect()
    }

    #[test]
    fn each_is_told_once_with_its_newest() {
        let mut book = UsageBook::default();
        let usage = |cpu| Usage { cpu: Millis(cpu), memory: Bytes(7), ..Usage::default() };
        book.told(att(1), usage(10));
        book.told(att(2), usage(20));
        book.told(att(1), usage(30));
        book.held(att(1), true);
        let news = book.take();
        assert_eq!(tasks(&news), [1, 2]);
        assert_eq!((news[0].cpu_ms, news[0].memory_bytes, news[0].suspended), (30, 7, true));
        assert!(book.take().is_empty(), "nothing is new");
        book.repeat();
        assert_eq!(book.take().len(), 2);
        assert_eq!(book.of(att(2)), usage(20));
        book.ended(att(1), Millis(35));
        book.forget(att(1));
        assert_eq!(book.cpu_used(), Some(Duration::from_millis(55)));
    }

    #[test]
    fn a_beat_is_bounded_and_the_rest_comes_with_the_next() {
        let mut book = UsageBook::default();
        for task in 0..MOST as u64 + 5 {
            book.told(att(task), Usage::default());
        }
        assert_eq!(book.take().len(), MOST);
        // What spoke last waits behind what was left.
        book.told(att(0), Usage::default());
        assert_eq!(tasks(&book.take()), [256, 257, 258, 259, 260, 0]);
    }

    #[test]
    fn what_is_forgotten_leaves_nothing() {
        let mut book = UsageBook::default();
        for task in 0..100_000 {
            book.told(att(task), Usage::default());
            book.forget(att(task));
        }
        assert!(book.entries.is_empty() && book.line.len() <= MOST + 2);
        assert!(book.take().is_empty());
        // Named again after it was forgotten, it stands in the line twice and is told once.
        book.told(att(1), Usage::default());
        book.forget(att(1));
        book.told(att(1), Usage::default());
        assert_eq!(book.take().len(), 1);
    }
}
