//! The options of a task, alike for `run`, `submit` and `plan`.
//!
//! Those of arrays and dependencies lie in [`super::array`], those about patience and verification
//! in [`super::verify`].
//!
//! The groups with a heading of their own come last, as what follows a heading stands under it.
//!
//! Invariant: everything after the image belongs to the command, options included.

use super::array::{AfterOptions, ArrayOptions};
use super::verify::{PatienceOptions, VerifyOptions};
use crate::quantity::{parse_cores, parse_cpt, parse_endpoint, parse_label, parse_size, parse_span};
use clap::Args;
use hivemind_model::egress::Endpoint;
use hivemind_model::node::Label;
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
    /// Only nodes that have this label (may be repeated: all of them)
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub label: Vec<Label>,
    /// Only nodes of this trust or higher, which verified work earns [default: any]
    #[arg(long, value_name = "TRUST", value_parser = ["known", "trusted", "proven"])]
    pub min_trust: Option<String>,
    /// Only nodes that keep tasks in at least so well [default: any]
    #[arg(long, value_name = "TIER", value_parser = ["rootless", "sandboxed"])]
    pub min_isolation: Option<String>,
    /// File or folder for the task, under /task/DEST [default: its own name] (may be repeated)
    #[arg(long, value_name = "PATH[:DEST]")]
    pub input: Vec<String>,
    /// File or folder under /task that is kept (may be repeated) [default: output]
    #[arg(long, value_name = "PATH")]
    pub output: Vec<String>,
    /// What it may reach, such as data.example.net:443 or '*.example.org:443' (may be repeated); only nodes whose owners
    /// allow it run it [default: nothing]
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_endpoint)]
    pub network: Vec<Endpoint>,
    /// Elements of an array may share a container on a node, one after the other
    #[arg(long)]
    pub warm: bool,
    /// Where an equal task of yours has completed, take its result, at once and for nothing
    #[arg(long)]
    pub reuse: bool,
}

/// Image and command.
#[derive(Debug, Clone, Default, Args)]
pub struct Program {
    /// Image, such as python:3.12 or sha256:... of a pushed one; or a file: ./module.wasm, ./static-program, ./image.tar
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Program and arguments [default: the image's own]
    #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Image and command, where there may be a file instead.
#[derive(Debug, Clone, Default, Args)]
pub struct MaybeProgram {
    /// Image, such as python:3.12 or sha256:... of a pushed one; or a file: ./module.wasm, ./static-program, ./image.tar
    #[arg(value_name = "IMAGE", required_unless_present = "graph")]
    pub image: Option<String>,
    /// Program and arguments [default: the image's own]
    #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// What a task waits for, how long it is waited for, how its results are verified.
#[derive(Debug, Clone, Default, Args)]
pub struct Conditions {
    /// Dependencies.
    #[command(flatten)]
    pub after: AfterOptions,
    /// Tries and patience.
    #[command(flatten)]
    pub patience: PatienceOptions,
    /// Verification.
    #[command(flatten)]
    pub verify: VerifyOptions,
}

/// Options of `run`.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// What it needs.
    #[command(flatten)]
    pub options: TaskOptions,
    /// At the end, put what the task left into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "detach")]
    pub to: Option<PathBuf>,
    /// Print the task's id and do not wait
    #[arg(short, long)]
    pub detach: bool,
    /// What to run.
    #[command(flatten)]
    pub program: Program,
    /// Under which conditions.
    #[command(flatten)]
    pub conditions: Conditions,
}

/// Options of `submit`.
#[derive(Debug, Clone, Default, Args)]
pub struct SubmitArgs {
    /// What it needs.
    #[command(flatten)]
    pub options: TaskOptions,
    /// Hand in all tasks of a TOML or JSON file that wait for one another (`-`: standard input): all, or none
    #[arg(long, value_name = "FILE", conflicts_with_all = NOT_WITH_GRAPH)]
    pub graph: Option<PathBuf>,
    /// Wait until it has ended; the exit code is 0 where everything completed, else 1
    #[arg(short, long)]
    pub wait: bool,
    /// What to run.
    #[command(flatten)]
    pub program: MaybeProgram,
    /// Its elements.
    #[command(flatten)]
    pub array: ArrayOptions,
    /// Under which conditions.
    #[command(flatten)]
    pub conditions: Conditions,
}

/// What the file of a graph says for each of its tasks.
const NOT_WITH_GRAPH: [&str; 21] = [
    "name",
    "cpus",
    "memory",
    "disk",
    "gpus",
    "timeout",
    "priority",
    "min_level",
    "label",
    "min_trust",
    "min_isolation",
    "input",
    "output",
    "network",
    "warm",
    "reuse",
    "image",
    "ArrayOptions",
    "AfterOptions",
    "PatienceOptions",
    "VerifyOptions",
];

/// Options of `plan`.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanArgs {
    /// What it would need.
    #[command(flatten)]
    pub options: TaskOptions,
    /// What would run.
    #[command(flatten)]
    pub program: Program,
    /// Its elements.
    #[command(flatten)]
    pub array: ArrayOptions,
    /// Under which conditions.
    #[command(flatten)]
    pub conditions: Conditions,
}
