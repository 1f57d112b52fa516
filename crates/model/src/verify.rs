//! How a requester wants results to be verified.
//!
//! Invariant: only what was asked for; what came of it lives with the elements.

use crate::rejection::Rejection;
use crate::spec::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most copies of one element.
pub const MAX_REPLICAS: u8 = 16;

/// The chance of a wrong result that a requester accepts, in millionths: `--confidence 0.999` is 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Doubt(pub u32);

/// A text that is not a confidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a confidence; write a number from 0.5 to 0.999999, such as `0.999`")]
pub struct BadConfidence(String);

impl FromStr for Doubt {
    type Err = BadConfidence;

    /// Reads a confidence such as `0.999`.
    fn from_str(text: &str) -> Result<Self, BadConfidence> {
        let bad = || BadConfidence(text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect());
        let digits = text.strip_prefix("0.").ok_or_else(bad)?;
        if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let confidence: u32 = format!("{digits:0<6}").parse().map_err(|_| bad())?;
        if confidence < 500_000 { Err(bad()) } else { Ok(Self(1_000_000 - confidence)) }
    }
}

impl fmt::Display for Doubt {
    /// The confidence, as [`Doubt::from_str`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:06}", 1_000_000 - self.0.min(1_000_000));
        write!(f, "0.{}", digits.trim_end_matches('0'))
    }
}

/// When a result is good enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// The first that comes.
    #[default]
    First,
    /// `quorum` of `replicas` copies agree.
    Quorum {
        /// Copies at first.
        replicas: u8,
        /// Copies that must agree.
        quorum: u8,
    },
    /// Copies are added until the credibility of the best group passes it.
    Confidence {
        /// The chance of a wrong result that is left.
        doubt: Doubt,
    },
    /// The right result is known.
    Known {
        /// Digest of the right result.
        digest: Digest,
    },
}

/// When two results are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Compare {
    /// Equal exit codes and equal content: of the files left under `/task/output`, or, where
    /// there is none, of standard output.
    #[default]
    Exact,
    /// Equal exit codes, and texts that differ only in numbers, each by no more than so many
    /// billionths of the larger of the two.
    Numeric {
        /// Billionths.
        tolerance: u32,
    },
    /// A command in the task's own image is given both results and ends with 0 where they are the
    /// same, with 1 where they are not.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

/// How results are verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When a result is good enough.
    pub rule: Rule,
    /// When two results are the same.
    pub compare: Compare,
}

impl Verification {
    /// The most copies of one element that are paid for.
    #[must_use]
    pub fn most_paid(&self) -> u8 {
        match self.rule {
            Rule::First | Rule::Known { .. } => 1,
            Rule::Quorum { .. } | Rule::Confidence { .. } => MAX_REPLICAS,
        }
    }

    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// The first field that does not, by the name it has in the API.
    pub fn check(&self) -> Result<(), Rejection> {
        if let Rule::Quorum { replicas, quorum } = self.rule {
            if !(1..=MAX_REPLICAS).contains(&replicas) {
                return Err(Rejection::invalid("replicas", format!("{replicas} is outside 1 to {MAX_REPLICAS}")));
            }
            if quorum == 0 || quorum > replicas {
                return Err(Rejection::invalid(
                    "quorum",
                    format!("{quorum} of {replicas} replicas cannot agree; ask for 1 to {replicas}"),
                ));
            }
        }
        if let Compare::Command { argv } = &self.compare {
            if argv.first().is_none_or(String::is_empty) {
                return Err(Rejection::invalid("compare_argv", "its first word, the program, is empty"));
            }
            let bytes: usize = argv.iter().map(|word| word.len() + 1).sum();
            if bytes > crate::spec::MAX_COMMAND_BYTES || argv.iter().any(|word| word.contains('\0')) {
                return Err(Rejection::invalid("compare_argv", "is longer than 64 KiB or contains a NUL character"));
            }
        }
        if matches!(self.compare, Compare::Numeric { tolerance } if tolerance > 1_000_000_000) {
            return Err(Rejection::invalid(
                "compare_tolerance",
                "is above 1; give a part of the value, such as 0.000001",
            ));
        }
        if self.compare != Compare::Exact && matches!(self.rule, Rule::First | Rule::Known { .. }) {
            return Err(Rejection::invalid(
                "compare",
                "says how copies are compared, but there is only one; ask for replicas or a confidence",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_reads_back() {
        for text in ["0.999", "0.5", "0.999999", "0.95"] {
            assert_eq!(text.parse::<Doubt>().map(|doubt| doubt.to_string()), Ok(text.into()));
        }
        assert_eq!("0.999".parse(), Ok(Doubt(1000)));
        for text in ["", "1", "1.0", "0", "0.", "0.4", "0.9999999", "-0.9", "0,9", "0.9 ", "nan"] {
            assert!(text.parse::<Doubt>().is_err(), "{text:?} was taken");
        }
    }
}
