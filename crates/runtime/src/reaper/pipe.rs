//! The pipe between an agent and its helper: both its ends, and what is said through it.
//!
//! Invariant: the agent never waits for the helper, except at its own orderly end.

use parking_lot::Mutex;
use rustix::fs::{OFlags, fcntl_setfl};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a living agent writes when it has cleaned up by itself.
const GOOD_BYE: u8 = b'q';
/// Longest line that is listened to.
const MOST_BYTES: usize = 64;
/// One that ends sooner is not started again at once.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
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
pub struct Reaper(Arc<Helped>);

/// Tells the helper of leases; one that outlives its [`Reaper`] tells nobody.
#[derive(Debug, Clone)]
pub struct LeasePen(Weak<Helped>);

/// A helper, and how to have another one.
#[derive(Debug)]
struct Helped {
    exe: PathBuf,
    args: Vec<OsString>,
    again_after: Duration,
    helper: Mutex<Helper>,
}

#[derive(Debug)]
struct Helper {
    child: Child,
    /// Until it is dismissed.
    pipe: Option<ChildStdin>,
    since: Instant,
}

/// Starts the helper: `exe` with `args`, which must lead to [`super::reap`] on its standard input.
///
/// It gets a process group of its own, so that Ctrl-C in a terminal reaches the agent alone. One that ends before its agent, as when
/// somebody kills it, is started again with the next lease.
///
/// # Errors
/// Where no process can be started from `exe`.
pub fn spawn_reaper<A: AsRef<OsStr>>(exe: &Path, args: impl IntoIterator<Item = A>) -> io::Result<Reaper> {
    spawn(exe, args, AGAIN_AFTER)
}

fn spawn<A: AsRef<OsStr>>(exe: &Path, args: impl IntoIterator<Item = A>, again_after: Duration) -> io::Result<Reaper> {
    let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let helper = Mutex::new(Helper::start(exe, &args)?);
    Ok(Reaper(Arc::new(Helped { exe: exe.to_owned(), args, again_after, helper })))
}

impl Helper {
    fn start(exe: &Path, args: &[OsString]) -> io::Result<Self> {
        let mut child =
            Command::new(exe).args(args).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn()?;
        let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // A helper that does not listen must not hold up its agent.
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Self { child, pipe: Some(pipe), since: Instant::now() })
    }

    /// Says something; nothing once it is dismissed.
    fn say(&self, words: &[u8]) -> io::Result<()> {
        // Far shorter than what a pipe takes at once: all of it is written, or nothing.
        self.pipe.as_ref().map_or(Ok(()), |mut pipe| pipe.write_all(words))
    }
}

impl Reaper {
    /// The helper's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.helper.lock().child.id()
    }

    /// What tells the helper of leases.
    #[must_use]
    pub fn pen(&self) -> LeasePen {
        LeasePen(Arc::downgrade(&self.0))
    }

    /// Lets the helper end without touching anything, and waits for that.
    ///
    /// # Errors
    /// Where the helper has gone, or ended otherwise than well.
    pub async fn dismiss(self) -> io::Result<()> {
        tokio::task::spawn_blocking(move || self.dismiss_blocking()).await.map_err(io::Error::other)?
    }

    fn dismiss_blocking(self) -> io::Result<()> {
        let mut helper = self.0.helper.lock();
        helper.say(&[GOOD_BYE])?;
        helper.pipe = None;
        let status = helper.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the reaper ended with {status}"))) }
    }
}

impl LeasePen {
    /// The agent's containers may run for `span` from now; after that the helper removes them,
    /// unless it has heard of another lease by then.
    ///
    /// # Errors
    /// Where the helper does not listen, or has gone and cannot be started again. The lease before then still counts, so
    /// less runs than might, never more.
    pub fn lease(&self, span: Duration) -> io::Result<()> {
        let Some(helped) = self.0.upgrade() else { return Ok(()) };
        let words = format!("lease {}\n", span.as_millis());
        let mut helper = helped.helper.lock();
        match helper.say(words.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && helper.since.elapsed() >= helped.again_after => {
                // Nobody listens; where it has not ended yet, it has by a later lease.
                let Some(ended) = helper.child.try_wait()? else { return Err(error) };
                *helper = Helper::start(&helped.exe, &helped.args)?;
                tracing::warn!("the clean-up helper ended with {ended}, and was started again");
                helper.say(words.as_bytes())
            }
            said => said,
        }
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
        reaper.0.helper.lock().pipe = None;
        assert!(!reaper.0.helper.lock().child.wait().expect("ended").success());
        drop(reaper);
        pen.lease(Duration::from_secs(1)).expect("nobody is told");
    }

    #[test]
    fn a_helper_that_does_not_listen_holds_nobody_up() {
        let reaper = spawn_reaper(Path::new("/bin/sleep"), ["60"]).expect("started");
        let pen = reaper.pen();
        let full = (0..100_000).find_map(|_| pen.lease(Duration::from_secs(1)).err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        let mut helper = reaper.0.helper.lock();
        helper.child.kill().expect("killed");
        helper.child.wait().expect("ended");
    }

    #[test]
    fn a_helper_that_ended_is_started_again_with_the_next_lease() {
        let folder = tempfile::tempdir().expect("a folder");
        let heard = folder.path().join("heard");
        // Each hears one word and ends.
        let script = format!("read -r word; echo $word >> '{}'", heard.display());
        let reaper = spawn(Path::new("/bin/sh"), ["-c", &script], Duration::ZERO).expect("started");
        let (pen, deadline) = (reaper.pen(), Instant::now() + Duration::from_secs(60));
        let lines = || std::fs::read_to_string(&heard).unwrap_or_default().lines().count();
        for wanted in 1..=3 {
            while lines() < wanted {
                assert!(Instant::now() < deadline, "{wanted} were heard");
                // Between the end of one and the start of the next nobody listens.
                let _nobody = pen.lease(Duration::from_secs(wanted as u64)).is_err();
                std::thread::yield_now();
            }
        }
        drop(reaper);
        assert!(pen.lease(Duration::ZERO).is_ok(), "nobody is told any more");
    }
}
