//! Repository chores. `hivemind-xtask check` looks for what no compiler sees.
//!
//! Start at [`check::run`]; each rule is one module with one pure function that returns findings.
//!
//! Invariant: nothing here changes a file, and nothing but the repository is read.

mod arrows;
mod check;
mod fences;
mod finding;
mod papers;
mod tidy;
mod tree;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Chores of this repository")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Checks arrows between crates, fences of floor 0, the map of the crates, sizes and paths in files.
    Check {
        /// Root of the repository.
        #[arg(long, default_value = ".")]
        root: PathBuf,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let Chore::Check { root } = Args::parse().chore;
    let report = check::run(&root)?;
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    if report.findings.is_empty() {
        println!("check: {} crates, {} files: nothing found", report.crates, report.files);
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("check: {} findings", report.findings.len());
    Ok(ExitCode::FAILURE)
}
