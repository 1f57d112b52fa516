//! The pipe between an agent and its helper: both its ends, and what is said through it.
//!
//! Invariant: the agent never waits for the helper, except at its own orderly end.

use rustix::fs::{OFlags, fcntl_setfl};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a living agent writes when it has cleaned up by itself.
const GOOD_BYE: u8 = b'q';
/// Longest line that is listened to.
const MOST_BYTES: usize = 64;
/// Longest span that a lease may have.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// What the helper hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The agent's containers may run for so long from now.
    Lease(Duration),
    /// The agent ends and has cleaned up by itself.
    GoodBye,
    /// The agent's end of the pipe is closed, or says what no agent says.
    Silence,
}

/// The helper's end of the pipe.
pub(super) struct Ear<R> {
    from: R,
    heard: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Ear<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, heard: Vec::new() }
    }

    /// The next word. Losing the race of a `select!` loses none.
    pub(super) async fn next(&mut self) -> Word {
        loop {
            if let Some(word) = self.take() {
                return word;
            }
            let mut piece = [0; MOST_BYTES];
            match self.from.read(&mut piece).await {
                Ok(length @ 1..) => self.heard.extend_from_slice(&piece[..length]),
                // An input that cannot be read is an agent that cannot be heard.
                Ok(0) | Err(_) => return Word::Silence,
            }
        }
    }

    fn take(&mut self) -> Option<Word> {
        if self.heard.first() == Some(&GOOD_BYE) {
            return Some(Word::GoodBye);
        }
        let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') else {
            return (self.heard.len() > MOST_BYTES).then_some(Word::Silence);
        };
        let line: Vec<u8> = self.heard.drain(..=end).collect();
        let millis =
            std::str::from_utf8(&line).ok().and_then(|line| line.trim_end().strip_prefix("lease ")?.parse().ok());
        Some(millis.map_or(Word::Silence, |millis| Word::Lease(Duration::from_millis(millis).min(LONGEST_LEASE))))
    }
}

/// The agent's end of the pipe. Dropping it without [`Reaper::dismiss`] lets the helper sweep.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
    pipe: Arc<ChildStdin>,
}

/// Tells the helper of leases; one that outlives its [`Reaper`] tells nobody.
#[derive(Debug, Clone)]
pub struct LeasePen(Weak<ChildStdin>);

/// Starts the helper: `exe` with `args`, which must lead to [`super::reap`] on its standard input.
///
/// It gets a process group of its own, so that Ctrl-C in a terminal reaches the agent alone.
///
/// # Errors
/// Where no process can be started from `exe`.
pub fn spawn_reaper<A: AsRef<OsStr>>(exe: &Path, args: impl IntoIterator<Item = A>) -> io::Result<Reaper> {
    let mut child =
        Command::new(exe).args(args).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn()?;
    let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // A helper that does not listen must not hold up its agent.
    fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
    Ok(Reaper { child, pipe: Arc::new(pipe) })
}

impl Reaper {
    /// The helper's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What tells the helper of leases.
    #[must_use]
    pub fn pen(&self) -> LeasePen {
        LeasePen(Arc::downgrade(&self.pipe))
    }

    /// Lets the helper end without touching anything, and waits for that.
    ///
    /// # Errors
    /// Where the helper has gone, or ended otherwise than well.
    pub async fn dismiss(self) -> io::Result<()> {
        tokio::task::spawn_blocking(|| self.dismiss_blocking()).await.map_err(io::Error::other)?
    }

    fn dismiss_blocking(self) -> io::Result<()> {
        let Self { mut child, pipe } = self;
        (&*pipe).write_all(&[GOOD_BYE])?;
        drop(pipe);
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the reaper ended with {status}"))) }
    }
}

impl LeasePen {
    /// The agent's containers may run for `span` from now; after that the helper removes them,
    /// unless it has heard of another lease by then.
    ///
    /// # Errors
    /// Where the helper has gone or does not listen. The lease before then still counts, so less
    /// runs than might, never more.
    pub fn lease(&self, span: Duration) -> io::Result<()> {
        let Some(pipe) = self.0.upgrade() else { return Ok(()) };
        // Far shorter than what a pipe takes at once: all of it is written, or nothing.
        (&*pipe).write_all(format!("lease {}\n", span.as_millis()).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn words(said: &[u8]) -> Vec<Word> {
        let mut ear = Ear::new(said);
        let mut words = Vec::new();
        loop {
            words.push(ear.next().await);
            if !matches!(words.last(), Some(Word::Lease(_))) {
                return words;
            }
        }
    }

    #[tokio::test]
    async fn what_is_said_is_understood_and_what_nobody_says_is_silence() {
        let lease = |millis| Word::Lease(Duration::from_millis(millis));
        assert_eq!(words(b"q").await, [Word::GoodBye]);
        assert_eq!(words(b"").await, [Word::Silence]);
        assert_eq!(words(b"x").await, [Word::Silence]);
        assert_eq!(words(b"lease 10\nlease 0\nq").await, [lease(10), lease(0), Word::GoodBye]);
        assert_eq!(words(b"lease 10\nlease 2").await, [lease(10), Word::Silence]);
        assert_eq!(words(b"lease -1\n").await, [Word::Silence]);
        assert_eq!(words(&[b'x'; 1000]).await, [Word::Silence]);
        assert_eq!(
            words(format!("lease {}\n", u64::MAX).as_bytes()).await,
            [Word::Lease(LONGEST_LEASE), Word::Silence]
        );
    }

    #[tokio::test]
    async fn the_helper_hears_the_leases_and_the_end_of_the_agent() {
        // `sh` stands in for the helper: it ends well only after a lease and the good-bye.
        let script = "read lease && [ \"$lease\" = 'lease 1500' ] && [ \"$(head -c 1)\" = q ]";
        let reaper = spawn_reaper(Path::new("/bin/sh"), ["-c", script]).expect("started");
        reaper.pen().lease(Duration::from_millis(1500)).expect("told");
        reaper.dismiss().await.expect("dismissed");
        let reaper = spawn_reaper(Path::new("/bin/sh"), ["-c", script]).expect("started");
        let pen = reaper.pen();
        let Reaper { mut child, pipe } = reaper;
        drop(pipe);
        assert!(!child.wait().expect("ended").success());
        pen.lease(Duration::from_secs(1)).expect("nobody is told");
    }

    #[test]
    fn a_helper_that_does_not_listen_holds_nobody_up() {
        let reaper = spawn_reaper(Path::new("/bin/sleep"), ["60"]).expect("started");
        let pen = reaper.pen();
        let full = (0..100_000).find_map(|_| pen.lease(Duration::from_secs(1)).err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        let Reaper { mut child, .. } = reaper;
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
}
