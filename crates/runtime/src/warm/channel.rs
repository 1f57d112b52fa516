//! The agent's end of the way to a guest that runs commands.
//!
//! Start at [`Channel::open`]. One command runs at a time: [`Channel::run`], then [`Channel::next`] until it
//! says [`Said::Ended`].
//!
//! Invariant: at most one frame beyond its bound is held in memory, and none that is out of turn is passed on.

use crate::Stream;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use hivemind_guest::wire::{Ended, Frame, HEADER, MOST_REPLY, Malformed, Reply, Request, VERSION};
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why nothing more comes through a channel. The container behind it is of no use any more.
#[derive(Debug)]
pub enum Broken {
    /// The guest has ended.
    Gone,
    /// It cannot be reached.
    Io(io::Error),
    /// It says what is no frame.
    Malformed(Malformed),
    /// It says what it must not say now.
    OutOfTurn(&'static str),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the guest has ended"),
            Self::Io(_) => f.write_str("the guest cannot be reached"),
            Self::Malformed(_) => f.write_str("the guest says what cannot be understood"),
            Self::OutOfTurn(what) => write!(f, "the guest says {what} out of turn"),
        }
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Gone | Self::OutOfTurn(_) => None,
            Self::Io(error) => Some(error),
            Self::Malformed(error) => Some(error),
        }
    }
}

impl From<Malformed> for Broken {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

/// A command for the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; not empty.
    pub argv: Vec<String>,
    /// Set over what the container has in its environment.
    pub env: Vec<(String, String)>,
    /// Where it begins; empty: where the container did.
    pub cwd: String,
}

/// What is said of the command that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It runs.
    Started,
    /// It wrote this.
    Output(Stream, Bytes),
    /// It has ended, and nothing that it started is left.
    Ended(Ended),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Idle,
    Asked,
    Runs,
}

/// The way to a guest.
pub struct Channel {
    from: Box<dyn AsyncRead + Send + Unpin>,
    to: Box<dyn AsyncWrite + Send + Unpin>,
    received: BytesMut,
    turn: Turn,
    /// Of the last command.
    id: u64,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("turn", &self.turn).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Channel {
    /// Waits until the guest that is heard through `from` says that it is there. Give it a bound in time.
    ///
    /// # Errors
    /// Where it says something else, or ends.
    pub async fn open(
        from: impl AsyncRead + Send + Unpin + 'static,
        to: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, Broken> {
        let (from, to) = (Box::new(from), Box::new(to));
        let mut this = Self { from, to, received: BytesMut::new(), turn: Turn::Idle, id: 0 };
        let frame = this.frame().await?;
        let first = Frame::first(&frame, MOST_REPLY)?.ok_or(Broken::Gone)?;
        match Reply::read(first)? {
            Reply::Hello(VERSION) => Ok(this),
            Reply::Hello(_) => Err(Broken::OutOfTurn("another version")),
            Reply::Started | Reply::Stdout(_) | Reply::Stderr(_) | Reply::Ended(_) => {
                Err(Broken::OutOfTurn("something before hello"))
            }
        }
    }

    /// Hands `command` over. Not to be dropped before it is done.
    ///
    /// # Errors
    /// Where one runs already, where it is too long for a frame, and where the guest cannot be reached.
    pub async fn run(&mut self, command: Command) -> Result<(), Broken> {
        if self.turn != Turn::Idle {
            return Err(Broken::OutOfTurn("nothing yet, and is asked for more"));
        }
        self.id += 1;
        self.turn = Turn::Asked;
        let Command { argv, env, cwd } = command;
        self.ask(&Request::Run { argv, env, cwd }).await
    }

    /// Lets the guest kill the command and all that it started; its end is said as of any other.
    ///
    /// # Errors
    /// Where the guest cannot be reached.
    pub async fn kill(&mut self) -> Result<(), Broken> {
        self.ask(&Request::Kill).await
    }

    async fn ask(&mut self, request: &Request) -> Result<(), Broken> {
        let mut frame = Vec::with_capacity(256);
        request.write(self.id, &mut frame)?;
        self.to.write_all(&frame).await.map_err(Broken::Io)?;
        self.to.flush().await.map_err(Broken::Io)
    }

    /// What the guest says next of the command. Losing the race of a `select!` loses nothing.
    ///
    /// # Errors
    /// Where the guest ends, or says what it must not.
    pub async fn next(&mut self) -> Result<Said, Broken> {
        let frame = self.frame().await?;
        let parsed = Frame::first(&frame, MOST_REPLY)?.ok_or(Broken::Gone)?;
        let (id, reply) = (parsed.id, Reply::read(parsed)?);
        if self.turn == Turn::Idle {
            return Err(Broken::OutOfTurn("something unasked"));
        }
        if id != self.id {
            return Err(Broken::OutOfTurn("something of another command"));
        }
        let output = |stream| Ok(Said::Output(stream, frame.slice(HEADER..)));
        match (reply, self.turn) {
            (Reply::Started, Turn::Asked) => {
                self.turn = Turn::Runs;
                Ok(Said::Started)
            }
            (Reply::Stdout(_), Turn::Runs) => output(Stream::Stdout),
            (Reply::Stderr(_), Turn::Runs) => output(Stream::Stderr),
            (Reply::Ended(ended), turn) if (turn == Turn::Asked) == is_refusal(&ended) => {
                self.turn = Turn::Idle;
                Ok(Said::Ended(ended))
            }
            (Reply::Ended(_), _) => Err(Broken::OutOfTurn("an end")),
            (Reply::Hello(_), _) => Err(Broken::OutOfTurn("hello")),
            (Reply::Started, _) => Err(Broken::OutOfTurn("a start")),
            (Reply::Stdout(_) | Reply::Stderr(_), _) => Err(Broken::OutOfTurn("output")),
        }
    }

    /// True where the guest waits for a command, as far as it has said.
    pub fn is_ready(&mut self) -> bool {
        // Whatever is heard now is said unasked.
        self.turn == Turn::Idle && self.next().now_or_never().is_none()
    }

    /// The next whole frame.
    async fn frame(&mut self) -> Result<Bytes, Broken> {
        loop {
            if let Some(frame) = Frame::first(&self.received, MOST_REPLY)? {
                let length = frame.length();
                return Ok(self.received.split_to(length).freeze());
            }
            if self.from.read_buf(&mut self.received).await.map_err(Broken::Io)? == 0 {
                return Err(Broken::Gone);
            }
        }
    }
}

/// True of an end without a start.
fn is_refusal(ended: &Ended) -> bool {
    match ended.how {
        hivemind_guest::wire::How::NotStarted(_) => true,
        hivemind_guest::wire::How::Exited(_) | hivemind_guest::wire::How::Signalled(_) => false,
    }
}

#[cfg(test)]
mod tests;
