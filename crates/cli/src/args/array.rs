//! The options of arrays and of dependencies, and which elements of an array are meant.
//!
//! Invariant: indices are read here and nowhere else; what is no set of indices never leaves this
//! machine.

use clap::Args;
use hivemind_model::array::Indices;
use std::path::PathBuf;

/// What makes a task an array.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Arrays")]
pub struct ArrayOptions {
    /// One element for each index, such as 1-1000 or 1-10,20; each learns its own as HIVEMIND_INDEX
    #[arg(long, value_name = "INDICES", allow_hyphen_values = true, value_parser = indices)]
    pub array: Option<Indices>,
    /// One element for each line of a file (`-`: standard input), which it learns as HIVEMIND_ENTRY;
    /// with --array only for the lines of these numbers, counted from 1
    #[arg(long, value_name = "FILE", conflicts_with = "from_json")]
    pub each_line: Option<PathBuf>,
    /// One element for each item of a JSON list (`-`: standard input), which it learns as
    /// HIVEMIND_ENTRY: the text of an item that is a text of one line, else its JSON form on one line
    #[arg(long, value_name = "FILE")]
    pub from_json: Option<PathBuf>,
    /// With more failed elements than this, skip what has not ended [default: go on]
    #[arg(long, value_name = "N")]
    pub max_fails: Option<u32>,
}

/// What a task waits for.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Dependencies")]
pub struct AfterOptions {
    /// Wait until these tasks have completed (Slurm: afterok)
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub after: Vec<String>,
    /// Wait until these tasks have ended, however (Slurm: afterany)
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub after_end: Vec<String>,
    /// Each element waits until the element of the same index of these arrays has completed (Slurm: aftercorr)
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub after_each: Vec<String>,
    /// Where what is waited for does not complete: skip the elements that wait for it, or cancel
    /// the whole task [default: skip]
    #[arg(long, value_name = "WHAT", value_parser = ["skip", "cancel"])]
    pub if_dependency_fails: Option<String>,
}

/// Which elements of an array are meant.
#[derive(Debug, Clone, Default, Args)]
pub struct ElementsArg {
    /// Only the elements of these indices, such as 1-10,20; `task_42[1-10]` says the same
    #[arg(long, value_name = "INDICES", allow_hyphen_values = true, value_parser = indices)]
    pub elements: Option<Indices>,
}

/// Reads a set of indices.
fn indices(text: &str) -> Result<Indices, String> {
    text.parse().map_err(|bad: hivemind_model::array::BadIndices| bad.to_string())
}
