//! What is told to the task about its network.
//!
//! Start at [`Journal::tell`]. What is told again is counted, and told at ten times, a hundred times, and so on.
//!
//! Invariant: a task cannot make more than [`MOST_LINES`] lines of it, and at most one for each of
//! [`MOST_DIFFERENT`] more when it ends.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Most different lines.
pub(crate) const MOST_DIFFERENT: usize = 40;
/// Most lines before the end.
pub(crate) const MOST_LINES: usize = 100;
/// Longest line, in characters.
const MOST_CHARACTERS: usize = 400;

/// Hears lines for the task's log, each without an end of line: `hivemind: network: refused ...`. It does not block.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Counts what is told.
pub(crate) struct Journal {
    log: Log,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: usize,
    counts: BTreeMap<String, Count>,
    others: u64,
}

#[derive(Debug, Default)]
struct Count {
    seen: u64,
    told: u64,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("kept", &*self.kept.lock()).finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn new(log: Log) -> Self {
        Self { log, kept: Mutex::default() }
    }

    /// Tells `what`, or counts it where it was told before.
    pub(crate) fn tell(&self, what: &str) {
        let what: String = what.chars().take(MOST_CHARACTERS).map(|c| if c.is_control() { '?' } else { c }).collect();
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        if kept.counts.len() >= MOST_DIFFERENT && !kept.counts.contains_key(&what) {
            kept.others += 1;
            if kept.others == 1 {
                self.write("more than can be listed is refused; only its number is told from here on");
            }
            return;
        }
        let count = kept.counts.entry(what.clone()).or_default();
        count.seen += 1;
        let is_due = count.seen == 1 || count.seen >= count.told.saturating_mul(10);
        if is_due && kept.lines < MOST_LINES {
            kept.lines += 1;
            count.told = count.seen;
            self.write(&with_number(&what, count.seen));
        }
    }

    /// Tells the numbers that have grown since they were told.
    pub(crate) fn finish(&self) {
        let kept = std::mem::take(&mut *self.kept.lock());
        for (what, count) in kept.counts {
            if count.seen > count.told {
                self.write(&with_number(&what, count.seen));
            }
        }
        if kept.others > 1 {
            self.write(&format!("{} more that are not listed", kept.others));
        }
    }

    fn write(&self, text: &str) {
        (self.log)(&format!("hivemind: network: {text}"));
    }
}

fn with_number(what: &str, seen: u64) -> String {
    if seen == 1 { what.to_owned() } else { format!("{what}, {seen} times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (Journal, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = lines.clone();
        (Journal::new(Arc::new(move |line: &str| heard.lock().push(line.to_owned()))), lines)
    }

    #[test]
    fn repeated_lines_are_counted() {
        let (journal, lines) = journal();
        for _ in 0..123 {
            journal.tell("refused a:1 (no)");
        }
        journal.tell("refused b:1\n(no)");
        journal.finish();
        journal.finish();
        let expected = [
            "refused a:1 (no)",
            "refused a:1 (no), 10 times",
            "refused a:1 (no), 100 times",
            "refused b:1?(no)",
            "refused a:1 (no), 123 times",
        ];
        assert_eq!(*lines.lock(), expected.map(|line| format!("hivemind: network: {line}")));
    }

    #[test]
    fn a_flood_is_a_number() {
        let (journal, lines) = journal();
        for round in 0..100_000 {
            journal.tell(&format!("refused host{}:1 {}", round % 5000, "x".repeat(1000)));
        }
        assert!(lines.lock().len() <= MOST_LINES + 1);
        journal.finish();
        let lines = lines.lock();
        assert!(lines.len() <= MOST_LINES + 1 + MOST_DIFFERENT + 1);
        assert!(lines.iter().all(|line| line.len() < 500));
        assert_eq!(lines.last().map(String::as_str), Some("hivemind: network: 99200 more that are not listed"));
    }
}
