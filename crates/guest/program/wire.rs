//! What an agent and the guest's `warm` verb say to each other, byte for byte.
//!
//! A stream of frames each way: eight bytes of [`HEADER`] with the length of what follows, the frame's kind
//! and 24 bits of zero; then eight bytes with the number of the element; then the payload. Numbers are
//! little-endian. The guest speaks first: [`Reply::Hello`]. This file is compiled into both ends.
//!
//! Invariant: a frame that is longer than its bound is refused before it is held in memory.

use std::fmt;

/// Of this way of speaking; another one is not understood.
pub const VERSION: u16 = 1;
/// Bytes of a frame before its payload.
pub const HEADER: usize = 16;
/// Longest payload towards the guest.
pub const MOST_REQUEST: usize = 1 << 20;
/// Longest payload from the guest.
pub const MOST_REPLY: usize = 64 << 10;

/// What is not a frame of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// One frame at the beginning of what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: u8,
    /// Of which element.
    pub id: u64,
    /// The rest.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of `received`; `None` where it is not whole yet. It takes
    /// [`Frame::length`] bytes.
    ///
    /// # Errors
    /// Where its payload is longer than `most`, or the header is none.
    pub fn first(received: &'a [u8], most: usize) -> Result<Option<Self>, Malformed> {
        let Some((header, rest)) = received.split_at_checked(HEADER) else { return Ok(None) };
        let mut header = Reader(header);
        let length = usize::try_from(header.u32()?).map_err(|_| Malformed("a frame is too long"))?;
        let kind = header.u8()?;
        if header.take(3)? != [0; 3] {
            return Err(Malformed("a header is none"));
        }
        if length > most {
            return Err(Malformed("a frame is too long"));
        }
        let id = header.u64()?;
        Ok(rest.get(..length).map(|payload| Self { kind, id, payload }))
    }

    /// Bytes that it takes, its header included.
    #[must_use]
    pub fn length(&self) -> usize {
        HEADER + self.payload.len()
    }
}

/// What an agent asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Run a command, with nothing on its standard input.
    Run {
        /// Program and arguments; not empty.
        argv: Vec<String>,
        /// Set over the guest's own environment.
        env: Vec<(String, String)>,
        /// Where it begins; empty: where the guest did.
        cwd: String,
    },
    /// Kill the command with that number and everything that it started; where it has ended, nothing.
    Kill,
}

const RUN: u8 = 1;
const KILL: u8 = 2;

impl Request {
    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// Where its payload would be longer than [`MOST_REQUEST`]; `out` is as before then.
    pub fn write(&self, id: u64, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Self::Run { argv, env, cwd } => frame(RUN, id, MOST_REQUEST, out, |out| {
                number(argv.len(), out);
                argv.iter().for_each(|word| text(word, out));
                number(env.len(), out);
                for (name, value) in env {
                    text(name, out);
                    text(value, out);
                }
                text(cwd, out);
            }),
            Self::Kill => frame(KILL, id, MOST_REQUEST, out, |_| {}),
        }
    }

    /// Reads what a frame holds.
    ///
    /// # Errors
    /// Where it is no request.
    pub fn read(frame: Frame<'_>) -> Result<Self, Malformed> {
        let mut from = Reader(frame.payload);
        let request = match frame.kind {
            RUN => {
                // No room is made by a number: only by what is there.
                let argv = (0..from.u32()?).map(|_| from.text()).collect::<Result<Vec<_>, _>>()?;
                let env = (0..from.u32()?).map(|_| Ok((from.text()?, from.text()?))).collect::<Result<Vec<_>, _>>()?;
                Self::Run { argv, env, cwd: from.text()? }
            }
            KILL => Self::Kill,
            _ => return Err(Malformed("a request is unknown")),
        };
        from.end()?;
        Ok(request)
    }
}

/// What the guest answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// It is there, and speaks this version.
    Hello(u16),
    /// The command runs.
    Started,
    /// The command wrote this on its standard output.
    Stdout(&'a [u8]),
    /// The command wrote this on its standard error.
    Stderr(&'a [u8]),
    /// The command has ended, and nothing that it started is left.
    Ended(Ended),
}

/// How a command ended, as the guest saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The way.
    pub how: How,
    /// Processor time of the command and of those of its children for which it waited.
    pub cpu_micros: u64,
    /// The most memory that one of them held.
    pub peak_kib: u64,
    /// True where something that it changed could not be set back: the container is not to be used again.
    pub worn: bool,
}

/// In which way a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It could not be executed, for this reason (`errno`).
    NotStarted(i32),
}

const HELLO: u8 = 16;
const STARTED: u8 = 17;
const STDOUT: u8 = 18;
const STDERR: u8 = 19;
const ENDED: u8 = 20;

impl<'a> Reply<'a> {
    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// Where its payload would be longer than [`MOST_REPLY`]; `out` is as before then.
    pub fn write(&self, id: u64, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut framed = |kind, body: &dyn Fn(&mut Vec<u8>)| frame(kind, id, MOST_REPLY, out, body);
        match self {
            Self::Hello(version) => framed(HELLO, &|out| out.extend(version.to_le_bytes())),
            Self::Started => framed(STARTED, &|_| {}),
            Self::Stdout(data) => framed(STDOUT, &|out| out.extend_from_slice(data)),
            Self::Stderr(data) => framed(STDERR, &|out| out.extend_from_slice(data)),
            Self::Ended(Ended { how, cpu_micros, peak_kib, worn }) => framed(ENDED, &|out| {
                let (way, value) = match how {
                    How::Exited(code) => (0u8, *code),
                    How::Signalled(signal) => (1, *signal),
                    How::NotStarted(errno) => (2, *errno),
                };
                out.push(way);
                out.extend(value.to_le_bytes());
                out.extend(cpu_micros.to_le_bytes());
                out.extend(peak_kib.to_le_bytes());
                out.push(u8::from(*worn));
            }),
        }
    }

    /// Reads what a frame holds.
    ///
    /// # Errors
    /// Where it is no reply.
    pub fn read(frame: Frame<'a>) -> Result<Self, Malformed> {
        let mut from = Reader(frame.payload);
        let reply = match frame.kind {
            HELLO => Self::Hello(u16::from_le_bytes(from.array()?)),
            STARTED => Self::Started,
            STDOUT => return Ok(Self::Stdout(frame.payload)),
            STDERR => return Ok(Self::Stderr(frame.payload)),
            ENDED => {
                let (way, value) = (from.u8()?, i32::from_le_bytes(from.array()?));
                let how = match way {
                    0 => How::Exited(value),
                    1 => How::Signalled(value),
                    2 => How::NotStarted(value),
                    _ => return Err(Malformed("an end is unknown")),
                };
                let (cpu_micros, peak_kib) = (from.u64()?, from.u64()?);
                let worn = match from.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Malformed("an end is unknown")),
                };
                Self::Ended(Ended { how, cpu_micros, peak_kib, worn })
            }
            _ => return Err(Malformed("a reply is unknown")),
        };
        from.end()?;
        Ok(reply)
    }
}

fn frame(kind: u8, id: u64, most: usize, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) -> Result<(), Malformed> {
    let before = out.len();
    out.extend([0, 0, 0, 0, kind, 0, 0, 0]);
    out.extend(id.to_le_bytes());
    body(out);
    let length = out.len() - before - HEADER;
    match u32::try_from(length) {
        Ok(written) if length <= most => {
            out[before..before + 4].copy_from_slice(&written.to_le_bytes());
            Ok(())
        }
        Ok(_) | Err(_) => {
            out.truncate(before);
            Err(Malformed("a frame is too long"))
        }
    }
}

/// A number of things in memory; more than fit into a frame are refused by its length.
fn number(count: usize, out: &mut Vec<u8>) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) {
    number(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// What is left of a payload.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("a frame is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed("a frame is too short"))
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed("a frame is too short"))?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("a frame is too long")) }
    }
}
