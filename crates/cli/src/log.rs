//! Where the program tells what it does: standard error, filtered by HIVEMIND_LOG.
//!
//! Invariant: standard output is never logged to, and no secret is logged.

use crate::args::server::LogFormat;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// Who logs: servers tell what they do, clients only what they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// A pool or a worker.
    Server,
    /// Everything else.
    Client,
}

/// Starts the log. `verbose` is how often `-v` was said.
pub fn start(speaker: Speaker, format: LogFormat, verbose: u8) {
    let usual = match (speaker, verbose) {
        (Speaker::Client, 0) => "error",
        (Speaker::Client, 1) => "warn,hivemind=info",
        (Speaker::Server, 0) => {
            "warn,hivemind=info,hivemind_pool=info,hivemind_worker=info,hivemind_runtime=info,hivemind_trace=info,hivemind_cli=info"
        }
        (Speaker::Client, 2) | (Speaker::Server, 1) => {
            "info,hivemind_client=debug,hivemind_pool=debug,hivemind_worker=debug,hivemind_runtime=debug"
        }
        _ => "debug",
    };
    let wanted = std::env::var("HIVEMIND_LOG").unwrap_or_default();
    let (filter, refusal) = match EnvFilter::try_new(&wanted) {
        _ if wanted.is_empty() => (EnvFilter::new(usual), None),
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(usual), Some(error)),
    };
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_timer(SystemTime);
    // A second start in one process (tests) keeps the first log.
    let _ = match format {
        LogFormat::Json => base.json().try_init(),
        LogFormat::Human => base.with_ansi(colours()).with_target(verbose > 0).try_init(),
    };
    if let Some(error) = refusal {
        tracing::warn!("HIVEMIND_LOG is not a filter ({error}); the usual one is used");
    }
}

fn colours() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
