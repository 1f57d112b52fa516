//! The options about API keys and sessions.
//!
//! Invariant: a key is never an option's value: what is said here anybody on the machine can read.

use crate::quantity::parse_span;
use clap::Subcommand;
use hivemind_model::Scope;
use std::time::Duration;

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make an API key and print it; it is shown this once
    Create {
        /// What it is for, so that you know it again
        name: String,
        /// What it may be used for (may be repeated)
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = Scope::ALL.map(Scope::as_str))]
        scopes: Vec<String>,
        /// How long it can be used, at most 365d
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = parse_span)]
        valid: Duration,
    },
    /// List your API keys, newest first
    List,
    /// End an API key at once
    Revoke {
        /// Id of the key, such as hm_12
        key: String,
    },
}

/// What can be done with sessions of browsers.
#[derive(Debug, Subcommand)]
pub enum SessionsVerb {
    /// List where you are logged in with a browser, used last first
    List,
    /// Log a browser out
    End {
        /// Id of the session, such as sess_12
        session: String,
    },
}
