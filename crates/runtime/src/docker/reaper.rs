//! The last will of an agent that was killed.
//!
//! The agent starts a helper process with a pipe as its standard input, and holds the other end.
//! When the agent ends, however it ends, the kernel closes the pipe; the helper sees the end of
//! its input, and kills and removes what the agent left. Start at [`spawn_reaper`] on the
//! agent's side and at [`reap`] on the helper's.
//!
//! Invariant: the helper does nothing as long as the agent lives, and ends soon after it.

use super::{check_instance, daemon, sweep};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::signal::unix::{SignalKind, signal};

/// What a living agent writes when it has cleaned up by itself.
const DISMISSED: u8 = b'q';
/// Tries before the helper gives up; the sweep at the agent's next start is left then.
const TRIES: u32 = 60;
/// Wait between two tries.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// How the helper's life went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// The agent ended in an orderly way; nothing was touched.
    Dismissed,
    /// The agent was killed; so many containers were removed.
    Removed(usize),
}

/// Blocks until `stdin` ends, then kills and removes everything that `instance` left.
///
/// Ignores the signals that end an agent, which usually reach its helper too.
///
/// # Errors
/// A sentence for people where the daemon did not answer for a minute, or `instance` is no label.
pub async fn reap(instance: &str, socket: Option<&str>, stdin: impl AsyncRead + Unpin) -> Result<Reaped, String> {
    check_instance(instance)?;
    let _deaf = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    if dismissed(stdin).await {
        return Ok(Reaped::Dismissed);
    }
    // What a successor of the agent makes after this moment is not touched.
    let until = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(i64::MAX, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let mut last = String::new();
    for round in 0..TRIES {
        if round > 0 {
            tokio::time::sleep(TRY_EVERY).await;
        }
        let swept = match daemon::connect(socket).await {
            Ok(docker) => sweep::containers(&docker, instance, sweep::Which::MadeUntil(until)).await,
            Err(error) => Err(error),
        };
        match swept {
            Ok(count) => return Ok(Reaped::Removed(count)),
            Err(error) => last = error,
        }
    }
    Err(format!("containers of a killed agent may still run: {last}"))
}

/// True where the agent said good-bye; false where its end of the pipe just closed.
async fn dismissed(mut stdin: impl AsyncRead + Unpin) -> bool {
    let mut byte = [0];
    // An input that cannot be read is an agent that cannot be heard.
    matches!(stdin.read(&mut byte).await, Ok(1) if byte[0] == DISMISSED)
}

/// The agent's end of the pipe. Dropping it without [`Reaper::dismiss`] lets the helper sweep.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
    pipe: Option<ChildStdin>,
}

/// Starts the helper: `exe` with `args`, which must lead to [`reap`] on its standard input.
///
/// It gets a process group of its own, so that Ctrl-C in a terminal reaches the agent alone.
///
/// # Errors
/// Where no process can be started from `exe`.
pub fn spawn_reaper<A: AsRef<OsStr>>(exe: &Path, args: impl IntoIterator<Item = A>) -> io::Result<Reaper> {
    let mut child =
        Command::new(exe).args(args).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn()?;
    let pipe = child.stdin.take();
    Ok(Reaper { child, pipe })
}

impl Reaper {
    /// The helper's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets the helper end without touching anything, and waits for that.
    ///
    /// # Errors
    /// Where the helper has gone, or ended otherwise than well.
    pub async fn dismiss(self) -> io::Result<()> {
        tokio::task::spawn_blocking(|| self.dismiss_blocking()).await.map_err(io::Error::other)?
    }

    fn dismiss_blocking(mut self) -> io::Result<()> {
        if let Some(mut pipe) = self.pipe.take() {
            pipe.write_all(&[DISMISSED])?;
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the reaper ended with {status}"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_good_bye_dismisses() {
        assert!(dismissed(&b"q"[..]).await);
        assert!(!dismissed(&b""[..]).await);
        assert!(!dismissed(&b"x"[..]).await);
    }

    #[tokio::test]
    async fn a_dismissed_reaper_asks_no_daemon() {
        assert_eq!(reap("i", Some("/nowhere.sock"), &b"q"[..]).await, Ok(Reaped::Dismissed));
        assert!(reap("not a label", Some("/nowhere.sock"), &b"q"[..]).await.is_err());
    }

    #[tokio::test]
    async fn the_helper_hears_the_end_of_the_agent() {
        // `sh` stands in for the helper: it ends well only after the good-bye.
        let script = "[ \"$(head -c 1)\" = q ]";
        let reaper = spawn_reaper(Path::new("/bin/sh"), ["-c", script]).expect("started");
        reaper.dismiss().await.expect("dismissed");
        let mut reaper = spawn_reaper(Path::new("/bin/sh"), ["-c", script]).expect("started");
        drop(reaper.pipe.take());
        assert!(!reaper.child.wait().expect("ended").success());
    }
}
