//! How an array gets on: how many elements stand where, how fast, how long still.
//!
//! Invariant: the time left is an estimate from what has ended so far, and none is given before
//! something has.

use super::tasks::Task;
use crate::quantity::show_span;
use hivemind_model::{Millis, Timestamp};
use hivemind_proto::v1::{Dependency, ElementCounts};
use serde::Serialize;

/// Width of the bar, in characters.
const BAR: u64 = 24;

/// How many elements of a task stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub total: u32,
    /// Not yet handed out, or about to start.
    pub waiting: u32,
    /// Running.
    pub running: u32,
    /// Ended well.
    pub completed: u32,
    /// Ended otherwise.
    pub failed: u32,
    /// Ended on the requester's word, or skipped.
    pub cancelled: u32,
}

impl From<ElementCounts> for Counts {
    fn from(counts: ElementCounts) -> Self {
        let ElementCounts { total, completed, failed, cancelled, running } = counts;
        let elsewhere = [completed, failed, cancelled, running].into_iter().fold(0u32, u32::saturating_add);
        Self { total, waiting: total.saturating_sub(elsewhere), running, completed, failed, cancelled }
    }
}

impl Counts {
    /// How many have ended.
    #[must_use]
    pub const fn ended(&self) -> u32 {
        self.completed.saturating_add(self.failed).saturating_add(self.cancelled)
    }

    /// Whole percent that have ended; 100 only where all have.
    #[must_use]
    pub fn percent(&self) -> u64 {
        u64::from(self.ended()) * 100 / u64::from(self.total.max(1))
    }

    /// A sentence: how many stand where.
    #[must_use]
    pub fn sentence(&self) -> String {
        let others = [
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.running, "running"),
            (self.waiting, "waiting"),
        ];
        let others = others.into_iter().filter(|(count, _)| *count > 0);
        let others: String = others.map(|(count, word)| format!(", {} {word}", grouped(count.into()))).collect();
        format!("{} of {} completed{others}", grouped(self.completed.into()), grouped(self.total.into()))
    }

    /// The bar and the sentence.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.bar(), self.sentence())
    }

    /// `#` completed, `x` failed or cancelled, `>` running, `.` waiting.
    fn bar(&self) -> String {
        let upto = |count: u64| (count * BAR / u64::from(self.total.max(1))) as usize;
        let mut bar = String::from("[");
        let mut count = 0u64;
        for (part, mark) in [
            (self.completed, "#"),
            (self.failed.saturating_add(self.cancelled), "x"),
            (self.running, ">"),
            (self.waiting, "."),
        ] {
            let from = upto(count);
            count += u64::from(part);
            bar.push_str(&mark.repeat(upto(count).saturating_sub(from)));
        }
        bar.push(']');
        bar
    }
}

/// Digits in groups of three: `1,000,000`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 file`, `1,000 files`.
#[must_use]
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// How an array gets on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Percent that have ended.
    pub percent: u64,
    /// Elements that completed or failed in a second, since it was submitted.
    pub rate_per_second: Option<f64>,
    /// Time left at that rate, in milliseconds; nothing before one has ended, or after all have.
    pub left_ms: Option<u64>,
    /// Elements that failed, by what they said; the most frequent first.
    pub failures: Vec<Failed>,
    /// There are more failed elements than were looked at.
    pub more_failures: bool,
}

/// Elements that failed with the same words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// `E_CODE: sentence`.
    pub message: String,
    /// How many.
    pub count: u32,
    /// The index of the first.
    pub first: u32,
}

impl Progress {
    /// How `task` gets on at the moment `now`; `None` where it is no array.
    #[must_use]
    pub fn of(task: &Task, now: Timestamp) -> Option<Self> {
        let counts = task.elements.filter(|_| task.array.is_some())?;
        let until = if task.ended_at.is_some() { Timestamp(task.ended_at_unix_ms) } else { now };
        let elapsed = until.since(Timestamp(task.submitted_at_unix_ms)).0;
        // What was cancelled or skipped took no time.
        let worked = u64::from(counts.completed.saturating_add(counts.failed));
        let left = u64::from(counts.total.saturating_sub(counts.ended()));
        let known = worked > 0 && elapsed > 0;
        let rate_per_second = known.then(|| worked as f64 * 1000.0 / elapsed as f64);
        let left_ms = (known && left > 0 && task.ended_at.is_none())
            .then(|| u64::try_from(u128::from(elapsed) * u128::from(left) / u128::from(worked)).unwrap_or(u64::MAX));
        Some(Self { percent: counts.percent(), rate_per_second, left_ms, failures: Vec::new(), more_failures: false })
    }

    /// The time left, for people.
    #[must_use]
    pub fn left(&self) -> Option<String> {
        let rate = self.rate_per_second.map(|rate| match rate {
            fast if fast >= 10.0 => format!("{} elements a second", grouped(fast as u64)),
            slow if slow >= 0.1 => format!("{slow:.1} elements a second"),
            _ => format!("{:.1} elements an hour", rate * 3600.0),
        })?;
        let span = match self.left_ms? {
            0..1000 => "less than 1s".into(),
            millis => format!("about {}", show_span(Millis(millis))),
        };
        Some(format!("{span} at {rate}"))
    }
}

/// One task that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// Its id.
    pub task: String,
    /// success, end.
    pub when: String,
    /// Element by element.
    pub each: bool,
}

impl From<Dependency> for Waits {
    fn from(on: Dependency) -> Self {
        let when = if on.when.is_empty() { "success".into() } else { on.when };
        Self { task: on.task_id, when, each: on.each }
    }
}

/// What is waited for, for people.
pub(super) fn waits_for(after: &[Waits]) -> String {
    let one = |on: &Waits| {
        let when = if on.when == "end" { " to end" } else { "" };
        let each = if on.each { " element by element" } else { "" };
        format!("{}{when}{each}", on.task)
    };
    const MOST: usize = 10;
    let mut texts: Vec<String> = after.iter().take(MOST).map(one).collect();
    if after.len() > MOST {
        texts.push(format!("{} more", after.len() - MOST));
    }
    texts.join(", ")
}
