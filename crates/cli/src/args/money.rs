//! The options about money: wallet, projects, the books, invitations.
//!
//! Invariant: a list has a bound wherever all of it would have to be kept in memory.

use crate::quantity::{parse_moment, parse_span};
use clap::{Args, Subcommand};
use hivemind_model::Timestamp;

/// Lines of a list where nothing is said.
const USUAL: usize = 50;
/// Most lines of a list that is shown as a whole.
pub const MOST: usize = 100_000;

/// How much of a list is wanted.
#[derive(Debug, Clone, Default, Args)]
pub struct Much {
    /// At most so many lines, up to 100000 [default: 50; with --csv, where there is one: all]
    #[arg(long, value_name = "N", conflicts_with = "all", value_parser = clap::value_parser!(u32).range(1..=MOST as i64))]
    pub limit: Option<u32>,
    /// Every line (of more than 100000, the first ones)
    #[arg(short, long)]
    pub all: bool,
}

impl Much {
    /// The number of lines of a list that is shown as a whole.
    #[must_use]
    pub fn lines(&self) -> usize {
        match (self.all, self.limit) {
            (true, _) => MOST,
            (false, Some(limit)) => limit as usize,
            (false, None) => USUAL,
        }
    }

    /// The number of lines of a list that is passed on as it comes.
    #[must_use]
    pub fn streamed(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| limit as usize)
    }
}

/// What can be done with money.
#[derive(Debug, Subcommand)]
pub enum WalletVerb {
    /// Show what you have
    Balance,
    /// Show every movement on your accounts, newest first
    Statement(StatementArgs),
    /// Show what your nodes were rewarded, newest period first
    Rewards(RewardsArgs),
    /// Give CPT to another user
    Transfer {
        /// Name of who gets it
        username: String,
        /// Amount in CPT, such as 12 or 0.25
        #[arg(allow_hyphen_values = true)]
        amount: String,
        /// Makes a retry harmless: the same id moves the money once [default: a new one]
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// Give CPT to an open-source project
    Tip {
        /// Name of the project
        project: String,
        /// Amount in CPT, such as 12 or 0.25
        #[arg(allow_hyphen_values = true)]
        amount: String,
        /// What to say to it, at most 280 bytes; everybody can read it
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        message: String,
        /// Makes a retry harmless: the same id moves the money once [default: a new one]
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
}

/// Options of `wallet statement`.
#[derive(Debug, Clone, Default, Args)]
pub struct StatementArgs {
    /// From this moment on, such as 2026-01-31 (UTC) or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = parse_moment)]
    pub from: Option<Timestamp>,
    /// Up to this moment, itself left out
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, value_parser = parse_moment)]
    pub to: Option<Timestamp>,
    /// Only this kind of movement (may be repeated)
    #[arg(long, value_name = "KIND", value_parser = [
        "sign_up", "transfer", "hold", "accrual", "return", "settlement", "release", "expiry", "reward", "vest", "tip",
        "collect",
    ])]
    pub kind: Vec<String>,
    /// Only this one of your accounts (may be repeated)
    #[arg(long, value_name = "ACCOUNT", value_parser = ["available", "promo", "held", "pending", "owner", "reward"])]
    pub account: Vec<String>,
    /// Only what is about this task
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// How much of it.
    #[command(flatten)]
    pub much: Much,
    /// Comma-separated values (RFC 4180) for a spreadsheet
    #[arg(long)]
    pub csv: bool,
}

/// Options of `wallet rewards`.
#[derive(Debug, Clone, Default, Args)]
pub struct RewardsArgs {
    /// Only this node [default: every node of yours]
    #[arg(long, value_name = "NODE", default_value = "", hide_default_value = true)]
    pub node: String,
    /// How much of it.
    #[command(flatten)]
    pub much: Much,
    /// Comma-separated values (RFC 4180) for a spreadsheet
    #[arg(long)]
    pub csv: bool,
}

/// What can be done with projects.
#[derive(Debug, Subcommand)]
pub enum ProjectVerb {
    /// Register a project of yours, so that it can be tipped
    Register {
        /// 2 to 64 letters, digits, `.`, `_`, `-`
        name: String,
        /// Where its source is: an https:// address
        #[arg(long, value_name = "URL")]
        repository: String,
    },
    /// List projects, in the order of registration
    List {
        /// How much of it.
        #[command(flatten)]
        much: Much,
    },
    /// Show the tips of a project, newest first
    Tips {
        /// Name of the project
        project: String,
        /// How much of it.
        #[command(flatten)]
        much: Much,
    },
    /// Take what was tipped to a project of yours
    Collect {
        /// Name of the project
        project: String,
    },
    /// Let a project of yours take no more tips, for good, and take what is left
    Close {
        /// Name of the project
        project: String,
    },
}

/// What can be done with the books.
#[derive(Debug, Subcommand)]
pub enum LedgerVerb {
    /// Replay every entry and compare with the balances; exit code 1 where something is wrong
    Verify,
    /// Show what the accounts of each kind have together, and the supply
    TrialBalance {
        /// Comma-separated values (RFC 4180) for a spreadsheet
        #[arg(long)]
        csv: bool,
    },
}

/// Options of `invite`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// How many people can register with it, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub uses: u32,
    /// How long it can be used, at most 365d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_span)]
    pub valid: std::time::Duration,
}
