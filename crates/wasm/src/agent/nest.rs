//! Helpers: how they are started, and one kept ready while modules come.
//!
//! Start at [`Nest::take`]. They are started by a thread that lives as long as the nest: the kernel ends a
//! helper when the thread that started it ends.
//!
//! Invariant: a helper that was given a job is never given another.

use crate::wire::{Ready, Tell, parse, read_json};
use bytes::BytesMut;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Longest time that a helper takes to lock itself up.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// How a helper is started.
#[derive(Debug)]
pub(super) struct Launcher {
    pub(super) program: PathBuf,
    pub(super) words: Vec<OsString>,
    /// Folders of control groups that it enters first; they are made where they are not there.
    pub(super) groups: Vec<PathBuf>,
}

/// A process that waits for a job, or does one. It ends where this is dropped.
#[derive(Debug)]
pub(super) struct Helper {
    child: Child,
    socket: Option<UnixStream>,
    /// What it said of itself.
    pub(super) ready: Ready,
}

/// How a helper's life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// By itself.
    Own,
    /// By this signal.
    Signal(i32),
}

impl Launcher {
    fn start(&self) -> io::Result<Helper> {
        self.groups.iter().try_for_each(|group| make(group))?;
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command.args(&self.words).arg(std::process::id().to_string()).args(&self.groups);
        command.env_clear().current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdin(OwnedFd::from(theirs)).spawn()?;
        // The command still holds the other end; with it the end of the child would not be seen.
        drop(command);
        match greet(&ours) {
            Ok(ready) => Ok(Helper { child, socket: Some(ours), ready }),
            Err(error) => {
                // It may have ended already, which is why it said nothing.
                let _ = child.kill();
                child.wait()?;
                Err(error)
            }
        }
    }
}

/// Makes the folder of a control group below one that is there; whoever tidies up may have taken it away.
fn make(group: &Path) -> io::Result<()> {
    match std::fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let what = format!("the control group {} cannot be made: {error}", group.display());
            Err(io::Error::new(error.kind(), what))
        }
        _ => Ok(()),
    }
}

/// Waits until the helper is ready.
fn greet(mut socket: &UnixStream) -> io::Result<Ready> {
    socket.set_read_timeout(Some(READY_PATIENCE))?;
    let mut held = BytesMut::new();
    let mut piece = [0; 4096];
    loop {
        if let Some((tell, bytes)) = parse(&mut held)? {
            if tell == Tell::Ready {
                return read_json(&bytes);
            }
            return Err(io::Error::other(String::from_utf8_lossy(&bytes).into_owned()));
        }
        match socket.read(&mut piece)? {
            0 => return Err(io::Error::other("the helper ended before it was ready")),
            read => held.extend_from_slice(&piece[..read]),
        }
    }
}

impl Helper {
    /// Its number, which is not used again before this is dropped.
    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The agent's end of its socket; once.
    pub(super) fn socket(&mut self) -> io::Result<UnixStream> {
        self.socket.take().ok_or_else(|| io::Error::other("the helper is spoken to already"))
    }

    /// Makes it stand still, or go on.
    pub(super) fn pause(&self, stands: bool) -> io::Result<()> {
        let signal = if stands { Signal::STOP } else { Signal::CONT };
        kill_process(self.pid(), signal).map_err(io::Error::from)
    }

    /// Ends it at once, without waiting until it has ended.
    pub(super) fn kill(&mut self) {
        // It has ended already where it cannot be.
        let _ = self.child.kill();
    }

    /// Ends it where it has not ended, and waits until nothing of it is left.
    pub(super) async fn end(mut self) -> io::Result<Death> {
        self.kill();
        let ended = tokio::task::spawn_blocking(move || self.child.wait()).await;
        let status = ended.map_err(io::Error::other)??;
        Ok(status.signal().map_or(Death::Own, Death::Signal))
    }

    /// Ends it, and has what the kernel keeps of it taken away behind the caller's back: it runs no further
    /// instruction, but the end of its namespaces takes some milliseconds. `permit` bounds how many there are.
    pub(super) fn leave(mut self, permit: OwnedSemaphorePermit) {
        self.kill();
        tokio::task::spawn_blocking(move || {
            drop(self);
            drop(permit);
        });
    }

    /// Waits until it has ended by itself; ends it after `patience`.
    pub(super) async fn ended(mut self, patience: Duration) -> io::Result<Death> {
        let deadline = tokio::time::Instant::now() + patience;
        // It closed its socket and is about to end: the status is there at once or nearly so.
        while self.child.try_wait()?.is_none() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.end().await
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.kill();
        // Only where it was waited for already, or is not ours any more.
        let _ = self.child.wait();
    }
}

/// What is asked of the thread.
enum Ask {
    /// One helper, now.
    One(oneshot::Sender<Result<Helper, String>>),
    /// As many ready ones as are kept.
    Refill,
    /// None that waits any more, until the next is asked for.
    Empty(oneshot::Sender<()>),
}

/// The thread and what it keeps ready.
#[derive(Debug)]
pub(super) struct Nest {
    ready: Arc<Mutex<Vec<Helper>>>,
    asks: mpsc::Sender<Ask>,
}

impl Nest {
    pub(super) fn new(launcher: Launcher, spare: usize, keep: Duration) -> io::Result<Self> {
        let ready = Arc::new(Mutex::new(Vec::new()));
        let (asks, heard) = mpsc::channel();
        let kept = ready.clone();
        std::thread::Builder::new()
            .name("wasm-nest".into())
            .spawn(move || tend(&launcher, spare, keep, &kept, &heard))?;
        Ok(Self { ready, asks })
    }

    /// A helper that waits; another is made ready for the next.
    pub(super) async fn take(&self) -> Result<Helper, String> {
        let gone = || "the thread that starts helpers has ended".to_owned();
        let waiting = self.ready.lock().pop();
        if let Some(mut helper) = waiting
            && matches!(helper.child.try_wait(), Ok(None))
        {
            self.asks.send(Ask::Refill).map_err(|_| gone())?;
            return Ok(helper);
        }
        let (answer, helper) = oneshot::channel();
        self.asks.send(Ask::One(answer)).map_err(|_| gone())?;
        helper.await.map_err(|_| gone())?
    }

    /// Ends those that wait.
    pub(super) async fn empty(&self) {
        let (done, emptied) = oneshot::channel();
        // Without the thread none waits.
        if self.asks.send(Ask::Empty(done)).is_ok() {
            let _ = emptied.await;
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.ready.lock().len()
    }
}

fn tend(launcher: &Launcher, spare: usize, keep: Duration, ready: &Mutex<Vec<Helper>>, asks: &mpsc::Receiver<Ask>) {
    loop {
        // With nothing to give up there is nothing to wake for.
        let asked = if ready.lock().is_empty() {
            asks.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            asks.recv_timeout(keep)
        };
        match asked {
            Ok(Ask::One(answer)) => {
                let helper =
                    launcher.start().map_err(|error| format!("a helper for modules cannot be started: {error}"));
                // Whoever asked may have been stopped meanwhile; the helper ends then.
                drop(answer.send(helper));
            }
            Ok(Ask::Refill) => {}
            Ok(Ask::Empty(done)) => {
                let waiting = std::mem::take(&mut *ready.lock());
                drop(waiting);
                // Whoever asked may not wait for it any more.
                let _ = done.send(());
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {
                let idle = std::mem::take(&mut *ready.lock());
                drop(idle);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while ready.lock().len() < spare {
            match launcher.start() {
                Ok(helper) => ready.lock().push(helper),
                Err(error) => {
                    tracing::warn!("a helper for modules cannot be made ready: {error}");
                    break;
                }
            }
        }
    }
}
