//! The command line as types: what can be said, and its help.
//!
//! Start at [`Cli`]. The options of a task lie in [`task`], those about money in [`money`], those of
//! the servers in [`server`].
//!
//! Invariant: nothing here touches the network, the disk or an async runtime, so `--help` is quick.

use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;

pub mod access;
pub mod array;
pub mod money;
pub mod owner;
pub mod server;
pub mod task;
pub mod verify;
pub mod web;

pub use access::{KeysVerb, SessionsVerb};
pub use array::ElementsArg;
pub use money::{InviteArgs, LedgerVerb, Much, ProjectVerb, WalletVerb};
pub use server::{PoolArgs, UpArgs, WorkerArgs};
pub use task::{PlanArgs, RunArgs, SubmitArgs, TaskOptions};
pub use web::MasterArgs;

/// Where clients look for a pool when nothing else is said.
pub const DEFAULT_SERVER: &str = "https://127.0.0.1:50051";

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 login needed, 5 forbidden or no invitation,
6 not enough CPT or a price cap above --max-price, 7 conflict, 8 timed out, 9 pool unreachable;
`run`: 125 platform failure, else the task's own; 130 on Ctrl-C.";

/// Runs containers on other people's machines, pays for them in CPT, and earns with your own.
#[derive(Debug, Parser)]
#[command(name = "hivemind", version, after_help = EXIT_CODES, max_term_width = 100, propagate_version = false)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every command; they may stand before or after it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Folder that holds everything kept on this machine [default: `hivemind` in the user's data folder]
    #[arg(long, global = true, env = "HIVEMIND_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address of the pool [default: the one of the last login, else https://127.0.0.1:50051]
    #[arg(long, global = true, env = "HIVEMIND_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Certificate of the pool's authority [default: DATA/ca.pem, else the one of the last login]
    #[arg(long, global = true, env = "HIVEMIND_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// File that holds a login token or an API key, for scripts [default: the last login]
    #[arg(long, global = true, env = "HIVEMIND_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// One JSON document on standard output; errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Only the bare result on standard output, no talk on standard error
    #[arg(short, long, global = true, conflicts_with = "json")]
    pub quiet: bool,
    /// Tell more of what is done (twice: everything)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start a pool and a worker here, with no configuration
    Up(UpArgs),
    /// Start a pool
    Pool(PoolArgs),
    /// Serve the pages and the REST API of a pool that runs elsewhere
    Master(MasterArgs),
    /// Run tasks on this machine, for a pool; or speak with the worker that runs here
    Worker(Box<WorkerArgs>),
    /// Remove containers once the worker that made them is gone
    #[command(hide = true, name = "worker-reaper")]
    WorkerReaper(ReaperArgs),
    /// Make an account and log in
    Register(RegisterArgs),
    /// Log in, and remember the pool
    Login(LoginArgs),
    /// Forget the login
    Logout,
    /// Tell who is logged in
    Whoami,
    /// Run a command in an image, stream its output, exit with its code
    Run(RunArgs),
    /// Hand in a task and print its id
    Submit(SubmitArgs),
    /// Tell what a task would cost and who could run it; submits nothing
    Plan(PlanArgs),
    /// Wait until tasks have ended
    Wait(WaitArgs),
    /// Tell everything about a task
    Status(StatusArgs),
    /// Tell why a task waits or failed, and the cheapest change that would make it run
    Explain(ExplainArgs),
    /// List tasks
    Ps(PsArgs),
    /// Print what a task wrote
    Logs(LogsArgs),
    /// Get the files a task left
    Fetch(FetchArgs),
    /// Images that are sent to the pool and named by their digest
    #[command(subcommand)]
    Image(ImageVerb),
    /// End tasks that have not ended
    Cancel(CancelArgs),
    /// Hand in again what did not complete of tasks that have ended, as a new task
    Retry(RetryArgs),
    /// List nodes, let a machine join, or decide whether a node gets work
    Nodes(NodesArgs),
    /// Show or move CPT
    #[command(subcommand)]
    Wallet(WalletVerb),
    /// Open-source projects, and the tips they get
    #[command(subcommand)]
    Project(ProjectVerb),
    /// Check the books of the pool (operators)
    #[command(subcommand)]
    Ledger(LedgerVerb),
    /// Print a code with which people can register (operators)
    Invite(InviteArgs),
    /// API keys, which scripts use in place of a login
    #[command(subcommand)]
    Keys(KeysVerb),
    /// Browsers that are logged in
    #[command(subcommand)]
    Sessions(SessionsVerb),
    /// Check this machine, the pool and the login, with a fix for each fault
    Doctor,
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Print the version
    Version,
}

/// How a password is given: never as a value, which other users could see.
#[derive(Debug, Clone, Args)]
pub struct PasswordArgs {
    /// File whose first line is the password; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Options of `register`.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// 3 to 32 letters, digits, `.`, `_`, `-`
    pub username: String,
    /// Where the operator can reach you [default: asked for at a terminal]
    #[arg(long, value_name = "NAME@DOMAIN")]
    pub email: Option<String>,
    /// The password.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// File whose first line is the invitation code; `-` is standard input, after the password where
    /// that comes from there too [default: asked for at a terminal where the pool wants one]
    #[arg(long, value_name = "FILE")]
    pub invitation_file: Option<PathBuf>,
    /// Make the account, but do not log in
    #[arg(long)]
    pub no_login: bool,
}

/// Options of `login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The name of the account
    pub username: String,
    /// The password.
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Id of the task, such as task_42, or of elements of an array, such as 'task_42[1-10]'
    pub task: String,
    /// Every journal entry about it instead: what was set aside, earned, paid and given back
    #[arg(long, conflicts_with_all = ["failed", "failures", "state", "elements"])]
    pub entries: bool,
    /// What went wrong: the failed elements, those together that failed alike
    #[arg(long, conflicts_with_all = ["failed", "state", "elements"])]
    pub failures: bool,
    /// Which elements: each in a line.
    #[command(flatten)]
    pub elements: ElementsArg,
    /// The failed elements, each in a line
    #[arg(long, conflicts_with = "state")]
    pub failed: bool,
    /// The elements in this state, each in a line (may be repeated)
    #[arg(long, value_name = "STATE", value_parser = ["waiting", "live", "completed", "failed", "cancelled"])]
    pub state: Vec<String>,
    /// How many of them.
    #[command(flatten)]
    pub much: Much,
}

/// Options of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The tasks.
    #[command(flatten)]
    pub tasks: TasksArg,
    /// Which elements.
    #[command(flatten)]
    pub elements: ElementsArg,
}

/// Options of `retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Id of the task, such as task_42, or of elements of an array, such as 'task_42[1-10]'
    pub task: String,
    /// Which elements [default: those that did not complete]
    #[command(flatten)]
    pub elements: ElementsArg,
    /// Only what failed, not what was cancelled or skipped
    #[arg(long, conflicts_with = "elements")]
    pub failed: bool,
    /// Refuse where the price cap, the most it can cost, is above this many CPT, such as 2.5
    #[arg(long, value_name = "CPT", allow_hyphen_values = true, value_parser = crate::quantity::parse_cpt)]
    pub max_price: Option<hivemind_model::Cpt>,
    /// Wait until it has ended; the exit code is 0 where everything completed, else 1
    #[arg(short, long)]
    pub wait: bool,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Id of the task, such as task_42
    pub task: String,
}

/// Some tasks.
#[derive(Debug, Args)]
pub struct TasksArg {
    /// Ids of the tasks, such as task_42
    #[arg(required = true, value_name = "TASK")]
    pub tasks: Vec<String>,
}

/// Options of `wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The tasks.
    #[command(flatten)]
    pub tasks: TasksArg,
    /// Give up after this long, such as 90s or 2h (exit code 8); the tasks go on
    #[arg(long, value_name = "TIME", value_parser = crate::quantity::parse_span)]
    pub timeout: Option<std::time::Duration>,
}

/// Options of `ps`.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Every task, not only open ones and the 20 newest that ended
    #[arg(short, long)]
    pub all: bool,
    /// Only tasks in this state (may be repeated)
    #[arg(long, value_name = "STATE", value_parser = ["pending", "running", "completed", "failed", "cancelled"])]
    pub state: Vec<String>,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Id of the task, such as task_42, or of elements of an array, such as 'task_42[3]'
    pub task: String,
    /// Which elements, one after the other.
    #[command(flatten)]
    pub elements: ElementsArg,
    /// Go on until the task has ended
    #[arg(short, long)]
    pub follow: bool,
}

/// Options of `fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// Id of the task, such as task_42, or of elements of an array, such as 'task_42[1-10]'
    pub task: String,
    /// Which elements.
    #[command(flatten)]
    pub elements: ElementsArg,
    /// Folder to put the files into, of an array each element's into a folder of its own there [default:
    /// a new folder with the task's id]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Put them in the place of files that are there already
    #[arg(long, visible_alias = "force")]
    pub replace: bool,
    /// Only list the files; of an array those of one element
    #[arg(long, conflicts_with_all = ["file", "to", "replace"])]
    pub list: bool,
    /// Get only this file, as --list names it, into the current folder or --to; of an array that of one element
    #[arg(value_name = "PATH")]
    pub file: Option<String>,
}

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Send an image and print the sha256:... that stands for it as IMAGE; what is there is not sent again
    Push {
        /// Archive of an image (`docker save`, or an OCI layout as tar), WebAssembly module, or statically linked program
        file: PathBuf,
    },
}

/// Options of `nodes`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct NodesArgs {
    /// What to do; nothing: list.
    #[command(subcommand)]
    pub verb: Option<NodesVerb>,
    /// Every node of the pool, not only your own (operators)
    #[arg(short, long)]
    pub all: bool,
}

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub enum NodesVerb {
    /// Print a one-time token with which a machine joins as yours
    JoinToken {
        /// How long it can be used, at most 15m
        #[arg(long, value_name = "TIME", default_value = "15m", value_parser = crate::quantity::parse_span)]
        valid: std::time::Duration,
    },
    /// Give a node no new work; what runs there goes on
    Cordon {
        /// Name of the node
        node: String,
    },
    /// Let a node have work again
    Uncordon {
        /// Name of the node
        node: String,
    },
    /// Give a node no new work, and try elsewhere what still runs there at the deadline
    Drain {
        /// Name of the node
        node: String,
        /// How long what runs may go on, at most 30d
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::quantity::parse_span)]
        deadline: std::time::Duration,
    },
    /// Put a node out of the pool for good; what runs there is tried elsewhere at once (operators)
    Ban {
        /// Name of the node
        node: String,
        /// What its owner is told
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Let a banned node come back (operators)
    Unban {
        /// Name of the node
        node: String,
    },
    /// Tell everything about a node: its level and hours, what it earns just now
    Show {
        /// Name of the node
        node: String,
        /// Any node of the pool, not only your own (operators)
        #[arg(short, long)]
        all: bool,
    },
}

/// Options of `completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Options of the hidden helper of the worker.
#[derive(Debug, Args)]
pub struct ReaperArgs {
    /// The label of what that worker makes
    pub instance: String,
    /// Where Docker runs its containers: the folder of the disks that it makes
    #[arg(long)]
    pub docker: Option<PathBuf>,
    /// Where the built-in runtime does: its folder
    #[arg(long, requires = "group")]
    pub oci: Option<PathBuf>,
    /// The control group of all its tasks; may be empty
    #[arg(long)]
    pub group: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
