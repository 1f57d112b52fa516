//! What an owner says to the worker on their machine.
//!
//! Invariant: none of these needs a pool or a login.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// What an owner wants of a worker that runs.
#[derive(Debug, Subcommand)]
pub enum WorkerVerb {
    /// Show what runs on this machine, and what its owner's rules say
    Status,
    /// Work, where the rules allow it
    Start(PartArgs),
    /// Let what runs end, and take nothing new
    Finish(SpanArgs),
    /// Let what runs stand still, and take nothing new; what stood still for too long is given back
    Pause(SpanArgs),
    /// End everything that runs at once, and pause
    StopNow,
    /// Attack this machine's isolation from inside, and show which promises hold
    Selftest(SelftestArgs),
    /// Show the owner's preferences, or set them
    #[command(args_conflicts_with_subcommands = true)]
    Preferences {
        /// What to do; nothing: show.
        #[command(subcommand)]
        verb: Option<PreferencesVerb>,
    },
    /// Make the worker a service of systemd that starts with the machine
    Install(InstallArgs),
    /// Remove that service; the worker's data stays
    Uninstall(PrintArgs),
}

/// What can be done with preferences.
#[derive(Debug, Subcommand)]
pub enum PreferencesVerb {
    /// Show them in the form of their file
    Get,
    /// Take them from a file instead; what it leaves out has its default
    Set {
        /// TOML file; `-` is standard input
        file: PathBuf,
    },
}

/// Options of `worker selftest`.
#[derive(Debug, Clone, Default, Args)]
pub struct SelftestArgs {
    /// What is attacked
    #[arg(long, value_enum, default_value_t)]
    pub runtime: super::server::RuntimeKind,
}

/// What of the machine is meant.
#[derive(Debug, Clone, Default, Args)]
pub struct PartArgs {
    /// Only what uses a graphics processor
    #[arg(long)]
    pub gpu: bool,
}

/// What of the machine is meant, and for how long.
#[derive(Debug, Clone, Default, Args)]
pub struct SpanArgs {
    /// What.
    #[command(flatten)]
    pub part: PartArgs,
    /// For so long, such as 2h; then it is `start` again [default: until you say otherwise]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::quantity::parse_span)]
    pub span: Option<Duration>,
}

/// Options of `worker install`.
#[derive(Debug, Clone, Args)]
pub struct InstallArgs {
    /// Whom it runs as; others than root cannot limit disks and processors, nor see whether somebody uses the machine
    #[arg(long, value_name = "NAME", default_value = "root")]
    pub user: String,
    /// Whether to do it.
    #[command(flatten)]
    pub print: PrintArgs,
}

/// Whether to do it.
#[derive(Debug, Clone, Default, Args)]
pub struct PrintArgs {
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub print: bool,
}
