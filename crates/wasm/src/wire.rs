//! What the agent and a helper say to each other, through one socket.
//!
//! Each message is a letter, the length of what follows as four bytes, and that. Start at [`Order`], which
//! is what the agent says once; files travel beside it, open. [`Tell`] is what a helper says.
//!
//! Invariant: what a helper says is a stranger's word; every length is bounded before it is believed.

use bytes::{Bytes, BytesMut};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Most bytes of one message of a helper.
pub(crate) const MOST_TOLD: usize = (1 << 20) + 64;
/// Most bytes of an order.
const MOST_ORDER: usize = 16 << 20;
/// Most files that travel at once.
pub(crate) const FILES_AT_ONCE: usize = 32;
/// Bytes of a message's head.
pub(crate) const HEAD: usize = 5;

/// What a helper says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tell {
    /// It is locked up and waits: [`Ready`].
    Ready = b'R',
    /// It could not be locked up, or has understood nothing: a text.
    Failed = b'!',
    /// The module begins.
    Started = b'S',
    /// It wrote on its standard output.
    Stdout = b'1',
    /// It wrote on its standard error.
    Stderr = b'2',
    /// It has done so much: one byte.
    Progress = b'P',
    /// It ended: [`Ending`].
    Ended = b'E',
    /// Something that is kept: [`Entry`].
    Entry = b'F',
    /// Bytes of the last entry.
    Data = b'D',
    /// That was all: how many were left out, and the first of them.
    Done = b'X',
    /// What came of compiling: `Result<(), String>`.
    Compiled = b'C',
    /// What came of trying what is forbidden: `Vec<Tried>`.
    Tried = b'T',
}

impl Tell {
    const ALL: [Self; 12] = [
        Self::Ready,
        Self::Failed,
        Self::Started,
        Self::Stdout,
        Self::Stderr,
        Self::Progress,
        Self::Ended,
        Self::Entry,
        Self::Data,
        Self::Done,
        Self::Compiled,
        Self::Tried,
    ];

    fn of(letter: u8) -> io::Result<Self> {
        let found = Self::ALL.into_iter().find(|tell| *tell as u8 == letter);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the helper says what none says"))
    }
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Compile the first file into the second.
    Compile,
    /// Run the first file, a compiled module, with the second for what it writes, and the rest as inputs.
    Run(Box<Run>),
    /// Try what is forbidden.
    Try,
}

/// One job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The element; what chance is drawn from.
    pub(crate) element: String,
    pub(crate) words: Vec<String>,
    /// `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// Paths and sizes of the inputs.
    pub(crate) inputs: Vec<(String, u64)>,
    /// What is kept.
    pub(crate) outputs: Vec<String>,
    pub(crate) fuel: u64,
    pub(crate) memory: u64,
    pub(crate) disk: u64,
}

/// A helper that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// A digest of everything that decides what code a module becomes.
    pub(crate) config: String,
    /// How it is locked up.
    pub(crate) locks: Vec<Lock>,
}

/// One thing that keeps a helper in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Lock {
    pub(crate) name: String,
    /// Why it could not be had here.
    pub(crate) problem: Option<String>,
}

/// Something forbidden that was tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tried {
    pub(crate) name: String,
    pub(crate) was_refused: bool,
}

/// How a module ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Exited(i32),
    /// It did what none may; why.
    Trapped(String),
    OutOfFuel,
    OutOfMemory,
    /// Its inputs do not fit into its disk.
    NoRoom,
    /// This machine failed it; how.
    Fault(String),
}

/// Something that is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Relative to the job's folder.
    pub(crate) path: String,
    /// The size of a file; `None` for a folder.
    pub(crate) size: Option<u64>,
}

/// What of the outputs was not kept.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    pub(crate) count: u64,
    pub(crate) first: String,
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A message in one piece.
pub(crate) fn message(letter: u8, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(bytes.len()).map_err(invalid)?;
    let mut message = Vec::with_capacity(HEAD + bytes.len());
    message.push(letter);
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(bytes);
    Ok(message)
}

/// Takes the first message out of `held` where it is there whole.
pub(crate) fn parse(held: &mut BytesMut) -> io::Result<Option<(Tell, Bytes)>> {
    let Some((&letter, rest)) = held.split_first() else { return Ok(None) };
    let tell = Tell::of(letter)?;
    let Some(length) = rest.first_chunk() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MOST_TOLD {
        return Err(invalid("the helper says more at once than any does"));
    }
    if held.len() < HEAD + length {
        return Ok(None);
    }
    let mut message = held.split_to(HEAD + length);
    Ok(Some((tell, message.split_off(HEAD).freeze())))
}

/// Reads what was written as JSON.
pub(crate) fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(invalid)
}

/// An order as it travels.
pub(crate) fn order(order: &Order) -> io::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(order).map_err(invalid)?;
    if bytes.len() > MOST_ORDER {
        return Err(invalid("the job has more words and files than a helper takes"));
    }
    message(b'J', &bytes)
}

/// The helper's end of the socket; cloned freely.
#[derive(Debug, Clone)]
pub(crate) struct Voice(Arc<UnixStream>);

impl Voice {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self(Arc::new(stream))
    }

    /// Says something, in as many messages as it takes.
    pub(crate) fn say(&self, what: Tell, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return (&*self.0).write_all(&message(what as u8, bytes)?);
        }
        bytes.chunks(1 << 20).try_for_each(|part| (&*self.0).write_all(&message(what as u8, part)?))
    }

    /// Says something that is written as JSON.
    pub(crate) fn say_json<T: Serialize>(&self, what: Tell, value: &T) -> io::Result<()> {
        self.say(what, &serde_json::to_vec(value).map_err(invalid)?)
    }

    /// Waits for the order. `None` where the agent went away.
    pub(crate) fn hear(&self) -> io::Result<Option<Order>> {
        let mut head = [0; HEAD];
        match (&*self.0).read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [_, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        if length > MOST_ORDER {
            return Err(invalid("too long an order"));
        }
        let mut bytes = vec![0; length];
        (&*self.0).read_exact(&mut bytes)?;
        read_json(&bytes).map(Some)
    }

    /// Takes `count` files.
    pub(crate) fn take_files(&self, count: usize) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        while files.len() < count {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_AT_ONCE))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let received = rustix::net::recvmsg(
                &*self.0,
                &mut [IoSliceMut::new(&mut byte)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )?;
            if received.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let before = files.len();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    files.extend(fds.map(File::from));
                }
            }
            if files.len() == before {
                return Err(invalid("no files came"));
            }
        }
        Ok(files)
    }

    /// Waits until the agent goes away.
    pub(crate) fn until_left(&self) {
        let mut byte = [0];
        // Whatever is said now, and whatever goes wrong, there is nothing left to do.
        let _ = (&*self.0).read(&mut byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_in_any_pieces() {
        let whole = [message(b'1', b"one").expect("short"), message(b'P', &[7]).expect("short")].concat();
        for cut in 0..=whole.len() {
            let mut held = BytesMut::from(&whole[..cut]);
            let mut read = Vec::new();
            for rest in [&b""[..], &whole[cut..]] {
                held.extend_from_slice(rest);
                while let Some((tell, bytes)) = parse(&mut held).expect("sound") {
                    read.push((tell, bytes.to_vec()));
                }
            }
            assert_eq!(read, [(Tell::Stdout, b"one".to_vec()), (Tell::Progress, vec![7])], "cut at {cut}");
        }
    }

    #[test]
    fn what_no_helper_says_is_refused_at_once() {
        for bad in [&b"?"[..], b"J\x01\0\0\0x", b"1\xff\xff\xff\xff"] {
            assert!(parse(&mut BytesMut::from(bad)).is_err(), "{bad:?}");
        }
    }
}
