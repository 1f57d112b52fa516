//! What a module has open.
//!
//! Invariant: every number stands for something in the job's folder or one of three streams.

use crate::helper::errno::{Answer, Errno};
use crate::helper::vfs::{Ino, MOST_ENTRIES, ROOT};
use std::rc::Rc;

/// Most descriptors at one time.
const MOST_OPEN: usize = 1024;
/// Most lines of all listings that are being read.
const MOST_LISTED: usize = 2 * MOST_ENTRIES;

/// Rights of WASI that are looked at: to read, and to write.
pub(super) const READ: u64 = 1 << 1;
pub(super) const WRITE: u64 = 1 << 6;
/// Every right there is.
pub(super) const ALL: u64 = (1 << 30) - 1;
/// Of a stream: reading, writing, and asking about it; not seeking, so that nobody takes it for a file.
pub(super) const STREAM: u64 = READ | WRITE | 1 << 3 | 1 << 21 | 1 << 27;

/// Write at the end.
pub(super) const APPEND: u16 = 1;

/// A folder as it was when its listing began.
pub(super) type Listing = Rc<[(Rc<str>, Ino)]>;

/// What a number stands for.
#[derive(Debug, Clone)]
pub(super) enum Thing {
    /// Standard input, which is empty.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, and where it is read or written next.
    File {
        /// Which.
        ino: Ino,
        /// In bytes.
        position: u64,
    },
    /// A folder.
    Folder {
        /// Which.
        ino: Ino,
        /// The name under which a module finds it open at its start.
        given: Option<&'static str>,
        /// Where it is being listed.
        listing: Option<Listing>,
    },
}

/// An open thing.
#[derive(Debug, Clone)]
pub(super) struct Descriptor {
    pub(super) thing: Thing,
    pub(super) flags: u16,
    pub(super) rights: u64,
    pub(super) inheriting: u64,
}

impl Descriptor {
    fn stream(thing: Thing) -> Self {
        Self { thing, flags: APPEND, rights: STREAM, inheriting: 0 }
    }

    fn given(name: &'static str) -> Self {
        let thing = Thing::Folder { ino: ROOT, given: Some(name), listing: None };
        Self { thing, flags: 0, rights: ALL, inheriting: ALL }
    }

    /// What it holds of the job's folder.
    pub(super) fn ino(&self) -> Option<Ino> {
        match &self.thing {
            Thing::File { ino, .. } | Thing::Folder { ino, .. } => Some(*ino),
            Thing::Stdin | Thing::Stdout | Thing::Stderr => None,
        }
    }

    fn listed(&self) -> usize {
        match &self.thing {
            Thing::Folder { listing, .. } => listing.as_ref().map_or(0, |listing| listing.len()),
            Thing::File { .. } | Thing::Stdin | Thing::Stdout | Thing::Stderr => 0,
        }
    }
}

/// All of them, by number.
#[derive(Debug)]
pub(crate) struct Fds {
    open: Vec<Option<Descriptor>>,
    /// Lines of all listings.
    listed: usize,
}

impl Fds {
    /// What a module finds open: the streams, and its folder as `/task` and as where relative paths begin.
    pub(crate) fn new() -> Self {
        let streams = [Thing::Stdin, Thing::Stdout, Thing::Stderr].map(Descriptor::stream);
        let folders = ["/task", "."].map(Descriptor::given);
        Self { open: streams.into_iter().chain(folders).map(Some).collect(), listed: 0 }
    }

    pub(super) fn get(&self, fd: i32) -> Answer<&Descriptor> {
        let index = usize::try_from(fd).map_err(|_| Errno::Badf)?;
        self.open.get(index).and_then(Option::as_ref).ok_or_else(|| Errno::Badf.into())
    }

    pub(super) fn get_mut(&mut self, fd: i32) -> Answer<&mut Descriptor> {
        let index = usize::try_from(fd).map_err(|_| Errno::Badf)?;
        self.open.get_mut(index).and_then(Option::as_mut).ok_or_else(|| Errno::Badf.into())
    }

    /// The folder that `fd` stands for.
    pub(super) fn folder(&self, fd: i32) -> Answer<Ino> {
        match &self.get(fd)?.thing {
            Thing::Folder { ino, .. } => Ok(*ino),
            Thing::File { .. } | Thing::Stdin | Thing::Stdout | Thing::Stderr => Err(Errno::Notdir.into()),
        }
    }

    /// True where one more can be opened.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < MOST_OPEN || self.open.iter().any(Option::is_none)
    }

    /// Gives `descriptor` the lowest free number.
    pub(super) fn add(&mut self, descriptor: Descriptor) -> Answer<u32> {
        let index = match self.open.iter().position(Option::is_none) {
            Some(free) => free,
            None if self.open.len() < MOST_OPEN => {
                self.open.push(None);
                self.open.len() - 1
            }
            None => return Err(Errno::Mfile.into()),
        };
        self.open[index] = Some(descriptor);
        u32::try_from(index).map_err(|_| Errno::Mfile.into())
    }

    /// Frees the number; gives what it stood for.
    pub(super) fn remove(&mut self, fd: i32) -> Answer<Descriptor> {
        let index = usize::try_from(fd).map_err(|_| Errno::Badf)?;
        let removed = self.open.get_mut(index).and_then(Option::take).ok_or(Errno::Badf)?;
        self.listed -= removed.listed();
        Ok(removed)
    }

    /// Puts `descriptor` where one was just removed.
    pub(super) fn put(&mut self, fd: i32, descriptor: Descriptor) -> Answer<()> {
        let index = usize::try_from(fd).map_err(|_| Errno::Badf)?;
        self.listed += descriptor.listed();
        *self.open.get_mut(index).ok_or(Errno::Badf)? = Some(descriptor);
        Ok(())
    }

    /// Keeps a listing with its folder, in the place of one before.
    pub(super) fn keep_listing(&mut self, fd: i32, fresh: &Listing) -> Answer<()> {
        let before = self.get(fd)?.listed();
        let listed = self.listed - before + fresh.len();
        if listed > MOST_LISTED {
            return Err(Errno::Nomem.into());
        }
        if let Thing::Folder { listing, .. } = &mut self.get_mut(fd)?.thing {
            *listing = Some(fresh.clone());
        }
        self.listed = listed;
        Ok(())
    }
}
