//! Why an archive is not taken.
//!
//! Invariant: a stranger's words appear shortened and without control characters.

use std::io;

/// Why an archive is not taken. Each kind of attack has a name of its own.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file itself cannot be read: nobody's fault but this machine's.
    #[error("the archive cannot be read: {0}")]
    Io(io::Error),
    /// It ends in the middle.
    #[error("the archive ends in the middle of {0}: it is truncated")]
    Truncated(&'static str),
    /// It is no tar archive, or no sound one.
    #[error("not a tar archive: {0}")]
    NotTar(&'static str),
    /// It is compressed in a way that is not read.
    #[error("it is compressed with {name}; give it plain, or its layers with gzip")]
    Compression {
        /// By which program.
        name: &'static str,
    },
    /// The compressed bytes are not sound.
    #[error("a layer's gzip stream is broken: {0}")]
    Gzip(io::Error),
    /// More bytes than are taken.
    #[error("{what} has {found} bytes or more; at most {most} are taken")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many at least.
        found: u64,
        /// How many are taken.
        most: u64,
    },
    /// More than are taken.
    #[error("it has {found} {what} or more; at most {most} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many at least.
        found: u64,
        /// How many are taken.
        most: u64,
    },
    /// So little unpacks to so much that it can only be meant to harm.
    #[error("a layer unpacks to more than {most} times its size: a decompression bomb")]
    Bomb {
        /// How many times are taken.
        most: u64,
    },
    /// A path that begins at the root.
    #[error("the path `{0}` is absolute")]
    Absolute(String),
    /// A path with `..`.
    #[error("the path `{0}` leads out by `..`")]
    Traversal(String),
    /// A path that nobody could unpack.
    #[error("the path `{path}` {why}")]
    Path {
        /// Shortened.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something behind a link of the same layer.
    #[error("the path `{path}` goes through the link `{link}` of the same layer")]
    ThroughLink {
        /// Shortened.
        path: String,
        /// Shortened.
        link: String,
    },
    /// A hard link to something that the layer does not have before it.
    #[error("the hard link `{path}` leads to `{target}`, which is no file of the same layer")]
    LinkOut {
        /// Shortened.
        path: String,
        /// Shortened.
        target: String,
    },
    /// A device, a pipe, a socket.
    #[error("`{0}` is a device or another special file")]
    Device(String),
    /// A file with holes.
    #[error("`{0}` is a sparse file: it would unpack to more than it has")]
    Sparse(String),
    /// Readers of archives would disagree on its size.
    #[error("`{path}` has two sizes, {first} and {second}")]
    TwoSizes {
        /// Shortened.
        path: String,
        /// Of its header.
        first: u64,
        /// Of its extension.
        second: u64,
    },
    /// Readers of archives would disagree on its name.
    #[error("`{0}` has two names")]
    TwoNames(String),
    /// An extension that is not sound, or too long.
    #[error("an entry's extension is {0}")]
    Extension(&'static str),
    /// The same path twice.
    #[error("`{0}` appears twice")]
    Duplicate(String),
    /// A kind of entry that is not known.
    #[error("`{path}` is of the unknown kind {kind:?}")]
    Kind {
        /// Shortened.
        path: String,
        /// As it is written.
        kind: char,
    },
    /// Something after the end.
    #[error("something stands after the archive's end")]
    AfterEnd,
    /// What the archive says of itself is missing or not sound.
    #[error("{0}")]
    Manifest(String),
    /// A content that is not what it is named by.
    #[error("{what} lies about its digest: it is named {named} and is {found}")]
    Digest {
        /// What.
        what: String,
        /// What it is called.
        named: String,
        /// What it is.
        found: String,
    },
}

impl Refusal {
    /// True where the archive is not to blame: another try, or another machine, may read it.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        matches!(self, Self::Io(_))
    }
}

/// A stranger's word, fit to be shown.
pub(super) fn shown(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).take(120).collect();
    if text.len() < raw.len() { text + "…" } else { text }
}
