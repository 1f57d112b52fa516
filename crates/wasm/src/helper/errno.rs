//! What a function of the system interface answers a module.
//!
//! Invariant: no number here comes from this machine's kernel; they are those of WASI preview 1.

use std::fmt;

/// An error number of WASI preview 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Errno {
    /// The descriptor is not open, or not open for this.
    Badf = 8,
    /// It is there already.
    Exist = 20,
    /// The address is outside of the module's memory.
    Fault = 21,
    /// Larger than a file can be.
    Fbig = 22,
    /// A path is not text.
    Ilseq = 25,
    /// An argument makes no sense.
    Inval = 28,
    /// It is a folder.
    Isdir = 31,
    /// Too many descriptors.
    Mfile = 33,
    /// A name or path is too long.
    Nametoolong = 37,
    /// There is no such thing.
    Noent = 44,
    /// Too many open listings of folders.
    Nomem = 48,
    /// The job's disk, or its number of files, is used up.
    Nospc = 51,
    /// There is no such function here.
    Nosys = 52,
    /// It is no folder.
    Notdir = 54,
    /// The folder has something in it.
    Notempty = 55,
    /// It is no socket.
    Notsock = 57,
    /// Links are not supported.
    Notsup = 58,
    /// The path leads out of what the module was given.
    Notcapable = 76,
    /// A stream has no position.
    Spipe = 70,
}

/// Why the module is not run any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// It said so.
    Exit(u32),
    /// Its time is used up.
    OutOfFuel,
    /// This machine failed it.
    Fault(String),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "the module ended with {code}"),
            Self::OutOfFuel => f.write_str("the module's time is used up"),
            Self::Fault(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Halt {}

/// Why a call gives nothing.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The module is told.
    Errno(Errno),
    /// The module ends.
    Halt(Halt),
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Fail {
    /// The disk behind the job's folder failed.
    pub(crate) fn disk(error: &std::io::Error) -> Self {
        Self::Halt(Halt::Fault(format!("the job's folder cannot be kept on this machine's disk: {error}")))
    }
}

/// What a call gives.
pub(crate) type Answer<T> = Result<T, Fail>;
