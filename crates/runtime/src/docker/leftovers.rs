//! What an agent that was killed, or stands still, leaves with the daemon.
//!
//! Invariant: only what carries the instance's label is touched.

use super::{check_instance, daemon, sweep};
use crate::reaper::{self, Leftovers, Reaped};
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use tokio::io::AsyncRead;

/// The containers and volumes of one instance.
#[derive(Debug, Clone)]
pub struct DockerLeftovers {
    instance: String,
    state: PathBuf,
    socket: Option<String>,
}

impl DockerLeftovers {
    /// Of `instance`, which keeps its disks in `state`; `socket` as in [`DockerConfig`](super::DockerConfig).
    ///
    /// # Errors
    /// Where `instance` is no label.
    pub fn new(instance: &str, state: &Path, socket: Option<&str>) -> Result<Self, String> {
        check_instance(instance)?;
        Ok(Self { instance: instance.to_owned(), state: state.to_owned(), socket: socket.map(str::to_owned) })
    }
}

#[async_trait]
impl Leftovers for DockerLeftovers {
    fn state(&self) -> &Path {
        &self.state
    }

    /// The daemon knows when each was made.
    fn begin(&self) {}

    async fn remove(&self, until: i64) -> Result<usize, String> {
        let docker = daemon::connect(self.socket.as_deref()).await?;
        sweep::containers(&docker, &self.instance, sweep::Which::MadeUntil(until)).await
    }
}

/// [`reaper::reap`] for Docker alone.
///
/// # Errors
/// A sentence for people where the daemon did not answer for ten minutes, or `instance` is no label.
pub async fn reap(
    instance: &str,
    state: &Path,
    socket: Option<&str>,
    stdin: impl AsyncRead + Unpin,
) -> Result<Reaped, String> {
    let left: Box<dyn Leftovers> = Box::new(DockerLeftovers::new(instance, state, socket)?);
    reaper::reap(&[left], stdin).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dismissed_reaper_asks_no_daemon() {
        let state = Path::new("/nowhere");
        assert_eq!(reap("i", state, Some("/nowhere.sock"), &b"q"[..]).await, Ok(Reaped::Dismissed));
        assert!(reap("not a label", state, Some("/nowhere.sock"), &b"q"[..]).await.is_err());
    }
}
