//! The agent's end of a helper's socket.
//!
//! Invariant: what is held of a helper's words is bounded by one message and one read.

use crate::wire::{FILES_AT_ONCE, Order, Tell, order, parse};
use bytes::{Bytes, BytesMut};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as Blocking;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// Bytes read at once.
const PIECE_BYTES: usize = 64 << 10;
/// Longest silence of a helper that sends its outputs.
pub(super) const OUTPUT_PATIENCE: Duration = Duration::from_secs(60);

/// What a helper says, one message after the other.
pub(super) struct Frames {
    stream: UnixStream,
    held: BytesMut,
}

impl Frames {
    pub(super) fn new(socket: Blocking) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(socket)?, held: BytesMut::new() })
    }

    /// Says what is to be done.
    pub(super) async fn give(&mut self, what: &Order) -> io::Result<()> {
        self.stream.write_all(&order(what)?).await
    }

    /// Gives files that are open here.
    pub(super) async fn give_files(&mut self, files: &[&File]) -> io::Result<()> {
        for part in files.chunks(FILES_AT_ONCE) {
            let fds: Vec<BorrowedFd<'_>> = part.iter().map(|file| file.as_fd()).collect();
            self.stream.writable().await?;
            let stream = &self.stream;
            stream.async_io(Interest::WRITABLE, || send(stream.as_fd(), &fds)).await?;
        }
        Ok(())
    }

    /// Opens files for reading and gives them, a few at a time.
    pub(super) async fn give_paths(&mut self, paths: &[&Path]) -> io::Result<()> {
        for part in paths.chunks(FILES_AT_ONCE) {
            let files = part.iter().map(File::open).collect::<io::Result<Vec<File>>>()?;
            self.give_files(&files.iter().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    /// The next message; `None` where the helper has ended. Losing the race of a `select!` loses none.
    pub(super) async fn next(&mut self) -> io::Result<Option<(Tell, Bytes)>> {
        loop {
            if let Some(message) = parse(&mut self.held)? {
                return Ok(Some(message));
            }
            self.held.reserve(PIECE_BYTES);
            match self.stream.read_buf(&mut self.held).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// For a thread that may wait; `first` was heard already and comes again.
    pub(super) fn blocking(self, first: (Tell, Bytes)) -> io::Result<BlockingFrames> {
        let stream = self.stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(OUTPUT_PATIENCE))?;
        Ok(BlockingFrames { stream, held: self.held, first: Some(first) })
    }
}

fn send(stream: BorrowedFd<'_>, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many files at once"));
    }
    rustix::net::sendmsg(stream, &[IoSlice::new(b"F")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The same, for a thread that may wait.
pub(super) struct BlockingFrames {
    stream: Blocking,
    held: BytesMut,
    first: Option<(Tell, Bytes)>,
}

impl BlockingFrames {
    /// What is said into the other end of `stream`.
    #[cfg(test)]
    pub(super) fn of(stream: Blocking) -> Self {
        Self { stream, held: BytesMut::new(), first: None }
    }

    /// The next message.
    pub(super) fn next(&mut self) -> io::Result<(Tell, Bytes)> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let mut piece = [0; 8 << 10];
        loop {
            if let Some(message) = parse(&mut self.held)? {
                return Ok(message);
            }
            match self.stream.read(&mut piece)? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the helper has ended")),
                read => self.held.extend_from_slice(&piece[..read]),
            }
        }
    }
}
