//! The options about how long a task is waited for, and how its results are verified.
//!
//! Invariant: only the form is read here; what is allowed is decided by the pool.

use crate::quantity::{Deadline, parse_deadline, parse_span};
use clap::Args;
use hivemind_model::spec::Digest;
use hivemind_model::verify::Doubt;
use std::time::Duration;

/// Tries and patience.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tries and patience")]
pub struct PatienceOptions {
    /// Try an element that failed by its own doing again, so often; each try is paid [default: 0]
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// Give up an element that no node took for this long, such as 30m
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub max_wait: Option<Duration>,
    /// Give up what has not ended this long after it was submitted
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub max_total: Option<Duration>,
    /// Give up what has not ended by then: a moment such as 2026-01-31T12:00:00Z, or a time from now such as 8h
    #[arg(long, value_name = "WHEN", value_parser = parse_deadline)]
    pub deadline: Option<Deadline>,
    /// Wait this long for a node that went silent before its elements are tried elsewhere [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub lost_after: Option<Duration>,
}

/// Verification.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Verification")]
pub struct VerifyOptions {
    /// Run so many copies of each element, on nodes of different owners; each copy is paid
    #[arg(long, value_name = "N", conflicts_with_all = ["confidence", "expect"], value_parser = clap::value_parser!(u32).range(1..))]
    pub replicas: Option<u32>,
    /// So many of them must agree [default: all]
    #[arg(long, value_name = "N", requires = "replicas", value_parser = clap::value_parser!(u32).range(1..))]
    pub quorum: Option<u32>,
    /// Add copies until the result is as credible, such as 0.999
    #[arg(long, value_name = "P", allow_hyphen_values = true, conflicts_with = "expect", value_parser = confidence)]
    pub confidence: Option<Doubt>,
    /// How copies are compared: exact, numeric (numbers may differ by --compare-tolerance), or by
    /// --compare-command [default: exact]
    #[arg(long, value_name = "HOW", value_parser = ["exact", "numeric", "command"])]
    pub compare: Option<String>,
    /// How much numbers may differ, as a part of the larger [default: 0.000001]
    #[arg(long, value_name = "PART", allow_hyphen_values = true, value_parser = tolerance)]
    pub compare_tolerance: Option<f64>,
    /// Words of a command in the task's image that is given two results under /task/a and /task/b
    /// and ends with 0 where they are the same
    #[arg(long, value_name = "WORDS", conflicts_with = "compare_tolerance", value_parser = command)]
    pub compare_command: Option<Command>,
    /// The digest of the right result (sha256:...), where it is known
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub expect: Option<Digest>,
}

/// The words of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command(pub Vec<String>);

fn confidence(text: &str) -> Result<Doubt, String> {
    text.parse().map_err(|bad: hivemind_model::verify::BadConfidence| bad.to_string())
}

fn digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|bad: hivemind_model::spec::BadDigest| bad.to_string())
}

fn tolerance(text: &str) -> Result<f64, String> {
    let part: f64 = text.parse().map_err(|_| "give a part such as 0.000001".to_owned())?;
    // Not a number is neither.
    if part > 0.0 && part <= 1.0 { Ok(part) } else { Err("give a part above 0 and at most 1, such as 0.000001".into()) }
}

fn command(text: &str) -> Result<Command, String> {
    match shell_words::split(text) {
        Ok(words) if words.is_empty() => Err("it has no words".into()),
        Ok(words) => Ok(Command(words)),
        Err(_) => Err("a quotation mark is not closed".into()),
    }
}
