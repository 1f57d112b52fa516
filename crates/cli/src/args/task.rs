//! The options of a task, alike for `run`, `submit` and `plan`.
//!
//! Invariant: everything after the image belongs to the command, options included.

use crate::quantity::{parse_cores, parse_cpt, parse_size, parse_span};
use clap::Args;
use hivemind_model::{Bytes, Cpt};
use std::path::PathBuf;
use std::time::Duration;

/// What a task needs and gets.
#[derive(Debug, Clone, Default, Args)]
pub struct TaskOptions {
    /// A name for people
    #[arg(long, default_value = "", hide_default_value = true)]
    pub name: String,
    /// Whole processor cores [default: 1]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_cores)]
    pub cpus: Option<u32>,
    /// Memory, such as 512m or 2g; more is killed [default: 512m]
    #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true, value_parser = parse_size)]
    pub memory: Option<Bytes>,
    /// Disk space under /task, such as 2g [default: 1g]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = parse_size)]
    pub disk: Option<Bytes>,
    /// Whole graphics processors [default: 0]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub gpus: Option<u32>,
    /// Longest run time, such as 90s or 2h; sets the price cap [default: the pool's, 1h]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse_span)]
    pub timeout: Option<Duration>,
    /// 1 to 10, 10 most urgent [default: 5]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub priority: Option<u32>,
    /// Refuse where the price cap, the most it can cost, is above this many CPT, such as 2.5
    #[arg(long, value_name = "CPT", allow_hyphen_values = true, value_parser = parse_cpt)]
    pub max_price: Option<Cpt>,
    /// Only nodes of this contribution level or higher [default: any]
    #[arg(long, value_name = "LEVEL", value_parser = ["bronze", "silver", "gold", "platinum", "diamond"])]
    pub min_level: Option<String>,
    /// File or folder for the task, under /task/DEST [default: its own name] (may be repeated)
    #[arg(long, value_name = "PATH[:DEST]")]
    pub input: Vec<String>,
}

/// Image and command.
#[derive(Debug, Clone, Default, Args)]
pub struct Program {
    /// Image, such as python:3.12
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Program and arguments [default: the image's own]
    #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Options of `run`.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// What it needs.
    #[command(flatten)]
    pub options: TaskOptions,
    /// At the end, put what the task left under /task/output into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "detach")]
    pub output: Option<PathBuf>,
    /// Print the task's id and do not wait
    #[arg(short, long)]
    pub detach: bool,
    /// What to run.
    #[command(flatten)]
    pub program: Program,
}

/// Options of `submit`.
#[derive(Debug, Clone, Default, Args)]
pub struct SubmitArgs {
    /// What it needs.
    #[command(flatten)]
    pub options: TaskOptions,
    /// What to run.
    #[command(flatten)]
    pub program: Program,
}

/// Options of `plan`.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanArgs {
    /// What it would need.
    #[command(flatten)]
    pub options: TaskOptions,
    /// What would run.
    #[command(flatten)]
    pub program: Program,
}
