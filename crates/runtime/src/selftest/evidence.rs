//! What attackers say, and what follows from it for each promise.
//!
//! Start at [`Evidence::hear`].
//!
//! Invariant: silence is never taken for a promise that held.

use super::promise::{Line, Promise, Verdict};
use std::collections::BTreeMap;

/// Longest detail of a line, in characters.
const DETAIL: usize = 300;

/// What is known of each promise so far.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    promises: BTreeMap<Promise, Known>,
}

#[derive(Debug, Default)]
struct Known {
    held: u64,
    broken: Vec<String>,
    /// What was to be tried and was not.
    untried: Vec<String>,
    skipped: Option<String>,
}

/// A line of an attacker, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    Held(Promise, u64),
    Broken(Promise, &'a str),
    Fact(&'a str, &'a str),
    End,
}

/// Reads a line; `None` where it is not one of the attacker with that nonce.
pub(super) fn read<'a>(line: &'a str, nonce: &str) -> Option<Word<'a>> {
    let words = line.strip_prefix(nonce)?.strip_prefix(' ')?;
    let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
    let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "held" => Some(Word::Held(Promise::parse(first)?, more.parse().ok()?)),
        "broken" => Some(Word::Broken(Promise::parse(first)?, more)),
        "fact" => Some(Word::Fact(first, more)),
        "end" => Some(Word::End),
        _ => None,
    }
}

impl Evidence {
    fn of(&mut self, promise: Promise) -> &mut Known {
        self.promises.entry(promise).or_default()
    }

    /// Takes what the attacker with `nonce` said.
    pub(super) fn hear(&mut self, said: &str, nonce: &str) {
        for word in said.lines().filter_map(|line| read(line, nonce)) {
            match word {
                Word::Held(promise, count) => self.held(promise, count),
                Word::Broken(promise, what) => self.broken(promise, what),
                Word::Fact(..) | Word::End => {}
            }
        }
    }

    pub(super) fn held(&mut self, promise: Promise, count: u64) {
        self.of(promise).held += count;
    }

    pub(super) fn broken(&mut self, promise: Promise, what: impl Into<String>) {
        self.of(promise).broken.push(what.into());
    }

    /// One attempt, judged outside.
    pub(super) fn check(&mut self, promise: Promise, holds: bool, otherwise: impl FnOnce() -> String) {
        if holds { self.held(promise, 1) } else { self.broken(promise, otherwise()) }
    }

    pub(super) fn untried(&mut self, promises: &[Promise], why: &str) {
        for promise in promises {
            self.of(*promise).untried.push(why.to_owned());
        }
    }

    pub(super) fn skip(&mut self, promise: Promise, why: &str) {
        self.of(promise).skipped = Some(why.to_owned());
    }

    /// What was found does not count for `promise`, because of this.
    pub(super) fn excuse(&mut self, promise: Promise, why: &str) {
        let known = self.of(promise);
        if !known.broken.is_empty() {
            known.broken.clear();
            known.skipped = Some(why.to_owned());
        }
    }

    /// The line of `promise`, from all that is known.
    pub(super) fn line(&self, promise: Promise) -> Line {
        let nothing = Known::default();
        let known = self.promises.get(&promise).unwrap_or(&nothing);
        let (verdict, detail) = known.verdict();
        let fix = if verdict == Verdict::Fail { promise.fix().to_owned() } else { String::new() };
        let detail = detail.chars().filter(|c| !c.is_control()).take(DETAIL).collect();
        Line { promise, required: promise.is_required(), verdict, detail, fix }
    }
}

impl Known {
    fn verdict(&self) -> (Verdict, String) {
        if let Some(first) = self.broken.first() {
            let more = self.broken.len() - 1;
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            return (Verdict::Fail, format!("{first}{more}"));
        }
        if let Some(why) = self.untried.first() {
            return (Verdict::Fail, format!("could not be tried: {why}"));
        }
        match (&self.skipped, self.held) {
            (Some(why), _) => (Verdict::Skipped, why.clone()),
            (None, 0) => (Verdict::Fail, "could not be tried: no attack told of it".into()),
            (None, 1) => (Verdict::Pass, "1 attempt failed".into()),
            (None, count) => (Verdict::Pass, format!("{count} attempts failed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(said: &str) -> (Verdict, String) {
        let mut evidence = Evidence::default();
        evidence.hear(said, "n0nce");
        let line = evidence.line(Promise::Network);
        (line.verdict, line.detail)
    }

    #[test]
    fn only_what_was_tried_and_refused_passes() {
        for (said, expected) in [
            ("n0nce held network 3\nn0nce end", (Verdict::Pass, "3 attempts failed")),
            ("n0nce broken network has routes\nn0nce held network 3", (Verdict::Fail, "has routes")),
            ("n0nce broken network a\nn0nce broken network b", (Verdict::Fail, "a (and 1 more)")),
            ("", (Verdict::Fail, "could not be tried: no attack told of it")),
            ("n0nce held network 0", (Verdict::Fail, "could not be tried: no attack told of it")),
            ("other held network 3", (Verdict::Fail, "could not be tried: no attack told of it")),
            ("n0nce held memory 3", (Verdict::Fail, "could not be tried: no attack told of it")),
            ("n0nce held network many", (Verdict::Fail, "could not be tried: no attack told of it")),
        ] {
            assert_eq!(verdict(said), (expected.0, expected.1.to_owned()), "{said}");
        }
    }

    #[test]
    fn what_was_not_tried_fails_whatever_else_held() {
        let mut evidence = Evidence::default();
        evidence.held(Promise::Network, 5);
        evidence.untried(&[Promise::Network], "the second attacker never ran");
        assert_eq!(evidence.line(Promise::Network).verdict, Verdict::Fail);
    }
}
