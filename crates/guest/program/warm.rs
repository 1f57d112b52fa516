//! `guest warm [FOLDER ...]`: runs many commands one after the other in one container, as its process 1.
//!
//! Requests come on standard input, answers go to standard output ([`crate::wire`]). A command gets pipes
//! of its own and never sees those two. After each one everything that it left is killed and reaped, the
//! FOLDERs are emptied, System V objects are removed, and limits and priorities are looked at; `/task` is the
//! agent's business. Start at [`run`].
//!
//! Invariant: no command may look into this process (it is not dumpable) or end it by a signal (it is the
//! container's first); one command at a time.

use crate::wire::{Ended, Frame, HEADER, How, MOST_REPLY, MOST_REQUEST, Reply, Request, VERSION};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

mod clean;
mod sys;

/// Bytes that are taken from a pipe at once.
const PIECE: usize = 32 << 10;
/// Bytes that may wait for being said.
const MOST_WAITING: usize = PIECE;
/// Longest time that something waits for being said; most commands that end soon are told of at once.
const MOST_WAIT: Duration = Duration::from_millis(1);

/// Serves until standard input ends.
pub(crate) fn run(folders: &[&str]) -> ExitCode {
    match Server::new(folders).and_then(|mut server| server.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest warm: {error}");
            ExitCode::from(3)
        }
    }
}

/// A command that runs.
struct Running {
    id: u64,
    pid: i32,
    /// Its standard output and error, while they are open.
    pipes: [Option<PipeReader>; 2],
}

/// Between two commands, or beside one.
struct Server<'a> {
    folders: &'a [&'a str],
    requests: File,
    replies: File,
    child_ended: File,
    received: Vec<u8>,
    waiting: Vec<u8>,
    /// Since when something waits for being said.
    since: Option<Instant>,
    own: clean::Marks,
    running: Option<Running>,
}

impl<'a> Server<'a> {
    fn new(folders: &'a [&'a str]) -> io::Result<Self> {
        sys::hide()?;
        let mut waiting = Vec::new();
        Reply::Hello(VERSION).write(0, &mut waiting).map_err(io::Error::other)?;
        Ok(Self {
            folders,
            requests: sys::standard(0),
            replies: sys::standard(1),
            child_ended: sys::tell_of_children()?,
            received: Vec::new(),
            waiting,
            since: Some(Instant::now()),
            own: clean::Marks::read(),
            running: None,
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            if self.running.is_none() || self.since.is_some_and(|since| since.elapsed() >= MOST_WAIT) {
                self.flush()?;
            }
            let pipe = |at: usize| {
                let open = self.running.as_ref().and_then(|running| running.pipes[at].as_ref());
                open.map_or(-1, AsRawFd::as_raw_fd)
            };
            let fds = [self.requests.as_raw_fd(), self.child_ended.as_raw_fd(), pipe(0), pipe(1)];
            let patience = self.since.map(|since| MOST_WAIT.saturating_sub(since.elapsed()));
            let [request, child, out, err] = sys::poll(fds, patience)?;
            if out {
                self.pass_on(0)?;
            }
            if err {
                self.pass_on(1)?;
            }
            if child {
                self.reap()?;
            }
            if request && !self.hear()? {
                return Ok(());
            }
        }
    }

    fn say(&mut self, id: u64, reply: Reply<'_>) -> io::Result<()> {
        reply.write(id, &mut self.waiting).map_err(io::Error::other)?;
        self.since.get_or_insert_with(Instant::now);
        if self.waiting.len() >= MOST_WAITING { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.replies.write_all(&self.waiting)?;
        self.waiting.clear();
        self.since = None;
        Ok(())
    }

    /// Reads requests. False where there will be none any more.
    fn hear(&mut self) -> io::Result<bool> {
        let before = self.received.len();
        self.received.resize(before + PIECE, 0);
        let length = self.requests.read(&mut self.received[before..])?;
        self.received.truncate(before + length);
        if length == 0 {
            return Ok(false);
        }
        while let Some(frame) = Frame::first(&self.received, MOST_REQUEST).map_err(io::Error::other)? {
            let (id, length) = (frame.id, frame.length());
            let request = Request::read(frame).map_err(io::Error::other)?;
            self.received.drain(..length);
            match request {
                Request::Run { argv, env, cwd } => self.start(id, &argv, &env, &cwd)?,
                Request::Kill => {
                    if let Some(running) = self.running.as_ref().filter(|running| running.id == id) {
                        sys::kill_all(running.pid);
                    }
                }
            }
        }
        Ok(true)
    }

    fn start(&mut self, id: u64, argv: &[String], env: &[(String, String)], cwd: &str) -> io::Result<()> {
        let Some((program, arguments)) = argv.split_first().filter(|_| self.running.is_none()) else {
            return Err(io::Error::other("a request cannot be served: one at a time, and each has a command"));
        };
        match spawn(program, arguments, env, cwd) {
            Ok((pid, pipes)) => {
                self.running = Some(Running { id, pid, pipes: pipes.map(Some) });
                self.say(id, Reply::Started)
            }
            Err(error) => {
                let how = How::NotStarted(error.raw_os_error().unwrap_or(sys::EIO));
                self.say(id, Reply::Ended(Ended { how, cpu_micros: 0, peak_kib: 0, worn: false }))
            }
        }
    }

    /// Says what a pipe holds now; false where it is at its end, or empty.
    fn pass_on(&mut self, at: usize) -> io::Result<bool> {
        let Some(running) = &mut self.running else { return Ok(false) };
        let (id, Some(pipe)) = (running.id, &mut running.pipes[at]) else { return Ok(false) };
        let mut piece = [0; PIECE];
        const { assert!(PIECE + HEADER <= MOST_REPLY) };
        match pipe.read(&mut piece) {
            Ok(0) => {
                running.pipes[at] = None;
                Ok(false)
            }
            Ok(length) => {
                let data = &piece[..length];
                self.say(id, if at == 0 { Reply::Stdout(data) } else { Reply::Stderr(data) })?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Buries what has ended; where the command itself has, everything else follows.
    fn reap(&mut self) -> io::Result<()> {
        sys::drain(&self.child_ended);
        while let Some(dead) = sys::wait_now() {
            if let Some(running) = &self.running
                && running.pid == dead.pid
            {
                sys::kill_all(dead.pid);
                sys::wait_for_all();
                while self.pass_on(0)? {}
                while self.pass_on(1)? {}
                return self.end(dead);
            }
        }
        Ok(())
    }

    fn end(&mut self, dead: sys::Dead) -> io::Result<()> {
        let Some(Running { id, .. }) = self.running.take() else { return Ok(()) };
        let is_clean = clean::all(self.folders) && clean::Marks::read() == self.own;
        let how = if dead.signal == 0 { How::Exited(dead.code) } else { How::Signalled(dead.signal) };
        let ended = Ended { how, cpu_micros: dead.cpu_micros, peak_kib: dead.peak_kib, worn: !is_clean };
        self.say(id, Reply::Ended(ended))
    }
}

/// Starts a command. Its pipes never block a reader.
fn spawn(
    program: &str,
    arguments: &[String],
    env: &[(String, String)],
    cwd: &str,
) -> io::Result<(i32, [PipeReader; 2])> {
    let (out, its_out) = io::pipe()?;
    let (err, its_err) = io::pipe()?;
    sys::never_block(&out)?;
    sys::never_block(&err)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(env.iter().map(|(name, value)| (name, value))).process_group(0);
    command.stdin(Stdio::null()).stdout(its_out).stderr(its_err);
    if !cwd.is_empty() {
        command.current_dir(cwd);
    }
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok((pid, [out, err]))
}
