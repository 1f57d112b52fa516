//! The options of the servers.
//!
//! Invariant: every server takes port 0 and works without any option.

use super::owner::WorkerVerb;
use super::web::WebArgs;
use crate::quantity::{parse_cores, parse_label, parse_size};
use clap::{Args, ValueEnum};
use hivemind_model::Bytes;
use hivemind_model::node::Label;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How the log on standard error looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The way tasks are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum RuntimeKind {
    /// Docker where it answers, else the built-in runtime; and modules.
    #[default]
    Auto,
    /// Containers by Docker; and modules.
    Docker,
    /// Containers without a daemon, as root; and modules.
    Builtin,
    /// WebAssembly modules alone.
    Wasm,
    /// Nothing isolated, nothing real: for tests and benchmarks only.
    #[value(hide = true)]
    Fake,
}

/// When the promises of this machine's runtime are attacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SelftestWhen {
    /// At the first start, and again when the program, the runtime or the kernel is another.
    #[default]
    Once,
    /// At every start.
    Always,
    /// Not at all.
    Never,
}

/// The log.
#[derive(Debug, Clone, Default, Args)]
pub struct LogArgs {
    /// How the log on standard error looks; HIVEMIND_LOG filters it, such as `debug`
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// What join tokens are to name must be what a worker can use.
fn advertised(url: &str) -> Result<String, hivemind_client::ClientError> {
    hivemind_client::parse_server(url).map(|_| url.to_owned())
}

/// How the pool is reached.
#[derive(Debug, Clone, Args)]
pub struct ListenArgs {
    /// Address to serve on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Address that other machines use, such as https://pool.example:50051; goes into join tokens
    #[arg(long, value_name = "URL", value_parser = advertised)]
    pub advertise: Option<String>,
    /// Further name or IP address of this pool, for its certificate (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub cert_name: Vec<String>,
    /// TOML file with prices and bounds; what it leaves out keeps its default
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Offer gRPC reflection to other machines too
    #[arg(long)]
    pub reflection: bool,
}

/// What this machine offers.
#[derive(Debug, Clone, Default, Args)]
pub struct OfferArgs {
    /// Whole cores to offer [default: all]
    #[arg(long, value_name = "N", value_parser = parse_cores)]
    pub cpus: Option<u32>,
    /// Memory to offer, such as 8g [default: 80 % of it]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<Bytes>,
    /// Disk space to offer, such as 50g; cached inputs may take as much again [default: 40 % of what is free]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub disk: Option<Bytes>,
    /// Name of this node, unique in the pool [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What requesters may ask for, such as location=berlin (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub label: Vec<Label>,
    /// The way tasks are run
    #[arg(long, value_enum, default_value_t)]
    pub runtime: RuntimeKind,
    /// When to attack this machine's isolation from inside; a worker whose isolation does not hold does not start
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub selftest: SelftestWhen,
}

/// Where the owner's page is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageAt {
    /// Nowhere.
    Off,
    /// There.
    At(SocketAddr),
}

impl std::str::FromStr for PageAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            address => address
                .parse()
                .map(Self::At)
                .map_err(|_| format!("`{address}` is no address with a port, such as 127.0.0.1:8082, and not `off`")),
        }
    }
}

/// The owner's page of a worker.
#[derive(Debug, Clone, Default)]
pub struct PageWish {
    /// Where; `None`: where it usually is, or on a free port.
    pub web: Option<PageAt>,
    /// Names by which other machines' browsers may ask for it.
    pub web_host: Vec<String>,
}

/// The owner's page, of `worker`.
#[derive(Debug, Clone, Default, Args)]
pub struct PageArgs {
    /// Address of the page for this machine's owner; port 0 takes a free one [default: 127.0.0.1:8082, or a free port]
    #[arg(long, value_name = "ADDR:PORT|off")]
    pub web: Option<PageAt>,
    /// Name or address by which browsers on other machines may open that page (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub web_host: Vec<String>,
}

/// The same, of `up`, which serves other pages, too.
#[derive(Debug, Clone, Default, Args)]
pub struct UpPageArgs {
    /// Address of the page for this machine's owner; port 0 takes a free one [default: 127.0.0.1:8082, or a free port]
    #[arg(long, value_name = "ADDR:PORT|off")]
    pub worker_web: Option<PageAt>,
    /// Name or address by which browsers on other machines may open that page (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub worker_web_host: Vec<String>,
}

impl From<&PageArgs> for PageWish {
    fn from(args: &PageArgs) -> Self {
        Self { web: args.web, web_host: args.web_host.clone() }
    }
}

impl From<&UpPageArgs> for PageWish {
    fn from(args: &UpPageArgs) -> Self {
        Self { web: args.worker_web, web_host: args.worker_web_host.clone() }
    }
}

/// Options of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The pool.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// The worker.
    #[command(flatten)]
    pub offer: OfferArgs,
    /// The worker's page.
    #[command(flatten)]
    pub page: UpPageArgs,
    /// The pages.
    #[command(flatten)]
    pub web: WebArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Options of `pool`.
#[derive(Debug, Args)]
pub struct PoolArgs {
    /// The pool.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// The pages.
    #[command(flatten)]
    pub web: WebArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Options of `worker`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WorkerArgs {
    /// What its owner wants of a worker that runs; nothing: run one.
    #[command(subcommand)]
    pub verb: Option<WorkerVerb>,
    /// Token from `hivemind nodes join-token`, `-` for standard input; needed the first time only
    #[arg(long, value_name = "TOKEN", env = "HIVEMIND_JOIN", hide_env_values = true)]
    pub join: Option<String>,
    /// The worker.
    #[command(flatten)]
    pub offer: OfferArgs,
    /// Its page.
    #[command(flatten)]
    pub page: PageArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}
