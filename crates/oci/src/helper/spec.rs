//! What the agent tells a helper, and what the helper tells the agent: lines of JSON on one socket.
//!
//! Invariant: nothing that ran in a container writes on it.

use crate::cgroup::{Group, Limits, Usage};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Longest line in either direction.
pub(crate) const MOST_LINE_BYTES: u64 = 16 << 20;

/// Everything that a container is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The folder of all layers.
    pub(crate) layers_folder: PathBuf,
    /// Names in it, the uppermost first.
    pub(crate) layers: Vec<String>,
    /// An empty folder to mount on; nothing outside the container's own namespace sees what is mounted there.
    pub(crate) scratch: PathBuf,
    /// The block device of /task.
    pub(crate) device: PathBuf,
    /// Folders that get a small file system each.
    pub(crate) volumes: Vec<String>,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
    /// What `/etc/hosts` has in it.
    pub(crate) hosts: String,
    /// What `/etc/resolv.conf` has in it.
    pub(crate) resolvers: String,
    /// True where its standard output is a socket, and its standard input is to be the same one.
    pub(crate) speaks: bool,
    /// True where a user namespace is to be its last wall.
    pub(crate) user_namespace: bool,
    /// Its control groups.
    pub(crate) group: Group,
    /// Its limits.
    pub(crate) limits: Limits,
}

/// A word of the agent. The end of its words means [`Order::Kill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Run the command.
    Start,
    /// End it.
    Kill,
}

/// Whose fault it is that a container did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// The command's.
    Command,
    /// The image's.
    Image,
    /// This machine's.
    Machine,
}

/// Why a container did not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Whose fault it is.
    pub(crate) fault: Fault,
    /// For people.
    pub(crate) reason: String,
}

impl Failure {
    pub(crate) fn machine(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self { fault: Fault::Machine, reason: format!("{what}: {error}") }
    }
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// The exit code, 128 + n where signal n ended it.
    pub(crate) code: i32,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Whether it had set itself a limit of processor time, at which the kernel ends it by SIGKILL.
    pub(crate) had_own_limit: bool,
    /// From the start of the command to its end.
    pub(crate) wall_micros: u64,
    /// The last reading of its counters.
    pub(crate) usage: Usage,
}

/// A word of the helper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// Everything is made, and waits for [`Order::Start`].
    Created {
        /// The container's first process.
        pid: i32,
    },
    /// The command runs.
    Started,
    /// It did not come to that.
    Failed(Failure),
    /// It has ended, and nothing of it runs.
    Ended(End),
}
