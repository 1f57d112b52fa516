//! One real `hivemind` process, its output, and its end.

use crate::wait::DEADLINE;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Which end of standing still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Still {
    /// It begins.
    From,
    /// It is over.
    Until,
}

/// A server process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    talk: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `exe` with `args` and more of the environment; both its streams are read to their end.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn start(exe: &Path, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut child = Command::new(exe)
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", exe.display()))?;
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let talk = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(child.stderr.take().context("stderr is piped")?);
        let heard = Arc::clone(&talk);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                if let Ok(mut heard) = heard.lock() {
                    heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
                }
            }
        });
        Ok(Self { child, lines, talk })
    }

    /// Waits for the ready line and gives its value for `key`, such as `grpc`.
    ///
    /// # Errors
    /// Where the process ends first, or at the deadline, with what it said on standard error.
    pub fn ready(&mut self, key: &str) -> anyhow::Result<String> {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let Some(fields) = line.strip_prefix("ready ") else { continue };
                    let wanted = fields.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
                    return wanted.map(str::to_owned).with_context(|| format!("no {key} in `{line}`"));
                }
                Err(RecvTimeoutError::Timeout) => bail!("not ready after {DEADLINE:?}; it said: {}", self.talk()),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("ended with {status} before it was ready; it said: {}", self.talk())
                }
            }
        }
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn talk(&self) -> String {
        self.talk.lock().map(|talk| talk.clone()).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes it stand still (SIGSTOP), or go on (SIGCONT).
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub fn freeze(&self, still: Still) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a process id")?;
        let signal = match still {
            Still::From => Signal::STOP,
            Still::Until => Signal::CONT,
        };
        Ok(kill_process(pid, signal)?)
    }

    /// Ends it as a power cut would: SIGKILL.
    ///
    /// # Errors
    /// Where it cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
