//! The options of the pages and the REST API.
//!
//! Invariant: what is said twice in conflict is refused while the arguments are read.

use super::server::LogArgs;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where browsers are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebAt {
    /// Nowhere.
    Off,
    /// There.
    At(SocketAddr),
}

/// How browsers are answered.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Web")]
pub struct WebArgs {
    /// Address for browsers and REST, or `off`; port 0 takes a free one [default: 127.0.0.1:8080, of `pool` 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR:PORT|off", value_parser = parse_at)]
    pub web: Option<WebAt>,
    /// Certificate chain (PEM) for browsers; with --web-key
    #[arg(long, value_name = "FILE", requires = "web_key")]
    pub web_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "web_cert")]
    pub web_key: Option<PathBuf>,
    /// A proxy speaks TLS with browsers, keeps Host and adds X-Forwarded-For; only it may reach this address, in plain HTTP
    #[arg(long, conflicts_with = "web_cert")]
    pub web_proxy: bool,
    /// Name or address by which browsers may ask, beside this machine's own (may be repeated); others are refused
    #[arg(long, value_name = "NAME")]
    pub web_host: Vec<String>,
}

/// Options of `master`.
#[derive(Debug, Args)]
pub struct MasterArgs {
    /// The pages.
    #[command(flatten)]
    pub web: WebArgs,
    /// The pool's `gateway.key`, so that its limits count for browsers and not for this gateway
    #[arg(long, value_name = "FILE")]
    pub gateway_key: Option<PathBuf>,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Reads `ADDR:PORT` or `off`.
fn parse_at(text: &str) -> Result<WebAt, String> {
    match text {
        "off" => Ok(WebAt::Off),
        address => address.parse().map(WebAt::At).map_err(|_bad| "it is neither ADDR:PORT nor `off`".to_owned()),
    }
}
