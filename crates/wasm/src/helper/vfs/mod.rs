//! The job's folder as its module sees it: a tree in memory, and bytes in a store of blocks.
//!
//! Start at [`Vfs`]. Inputs are read where they lie and copied when they are first written to. Listings
//! are sorted, inodes are numbered from 1 as things are made, and nothing has a time.
//!
//! Invariant: no path of a module ever reaches the kernel, so none can lead anywhere.

use super::errno::{Answer, Errno, Fail};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use store::{Blocks, Store, blocks_of};

pub(crate) mod path;
pub(crate) mod store;
#[cfg(test)]
mod tests;

/// The number of a file or folder; never used twice.
pub(crate) type Ino = u64;

/// The job's folder itself.
pub(crate) const ROOT: Ino = 1;
/// Most files and folders.
pub(crate) const MOST_ENTRIES: usize = 100_000;
/// Most bytes that the job's files may have together; what a task asks for beyond is not used.
pub(crate) const MOST_BYTES: u64 = 64 << 30;
/// Bytes copied at once.
const COPY_BYTES: usize = 256 << 10;

/// What a folder holds, by name.
pub(crate) type Names = BTreeMap<Rc<str>, Ino>;

/// Where a file's bytes are.
#[derive(Debug)]
enum Content {
    /// In the input with this place.
    Given(usize),
    /// In these blocks.
    Own(Blocks),
}

/// A file or a folder.
#[derive(Debug)]
enum Body {
    Folder { names: Names, parent: Ino },
    File { size: u64, content: Content },
}

#[derive(Debug)]
struct Node {
    body: Body,
    /// Descriptors that hold it.
    opens: u32,
    /// False where it has no name any more.
    is_named: bool,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
}

/// What is known of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) is_named: bool,
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Vfs {
    nodes: BTreeMap<Ino, Node>,
    next: Ino,
    store: Store,
    inputs: Vec<File>,
    /// Blocks that all files together would take, holes too.
    used: u64,
    most: u64,
}

impl Vfs {
    /// An empty folder that may hold `most` bytes, in blocks of [`store::BLOCK`].
    pub(crate) fn new(backing: File, most: u64) -> Self {
        let root = Node { body: Body::Folder { names: Names::new(), parent: ROOT }, opens: 1, is_named: true };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            store: Store::new(backing),
            inputs: Vec::new(),
            used: 0,
            most: most.min(MOST_BYTES) / store::BLOCK,
        }
    }

    /// Puts an input file of `size` bytes at `path`, with the folders on its way.
    pub(crate) fn add_input(&mut self, path: &str, size: u64, file: File) -> Answer<()> {
        let mut folder = ROOT;
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder = match self.child(folder, part)? {
                Some(found) => found,
                None => self.make_folder(folder, part)?,
            };
        }
        self.charge(0, size)?;
        self.inputs.push(file);
        let content = Content::Given(self.inputs.len() - 1);
        self.insert(folder, name, Body::File { size, content }).map(drop)
    }

    fn node(&self, ino: Ino) -> Answer<&Node> {
        self.nodes.get(&ino).ok_or(Fail::Errno(Errno::Noent))
    }

    fn node_mut(&mut self, ino: Ino) -> Answer<&mut Node> {
        self.nodes.get_mut(&ino).ok_or(Fail::Errno(Errno::Noent))
    }

    /// What `ino` holds.
    ///
    /// # Errors
    /// Where it is no folder.
    pub(crate) fn names(&self, ino: Ino) -> Answer<&Names> {
        match &self.node(ino)?.body {
            Body::Folder { names, .. } => Ok(names),
            Body::File { .. } => Err(Errno::Notdir.into()),
        }
    }

    fn names_mut(&mut self, ino: Ino) -> Answer<&mut Names> {
        match &mut self.node_mut(ino)?.body {
            Body::Folder { names, .. } => Ok(names),
            Body::File { .. } => Err(Errno::Notdir.into()),
        }
    }

    /// What is called `name` in the folder `folder`.
    pub(crate) fn child(&self, folder: Ino, name: &str) -> Answer<Option<Ino>> {
        Ok(self.names(folder)?.get(name).copied())
    }

    /// The folder in which the folder `ino` lies; of the job's folder itself that folder.
    pub(crate) fn parent(&self, ino: Ino) -> Answer<Ino> {
        match &self.node(ino)?.body {
            Body::Folder { parent, .. } => Ok(*parent),
            Body::File { .. } => Err(Errno::Notdir.into()),
        }
    }

    /// What is known of `ino`.
    pub(crate) fn facts(&self, ino: Ino) -> Answer<Facts> {
        let node = self.node(ino)?;
        let (kind, size) = match &node.body {
            Body::Folder { .. } => (Kind::Folder, 0),
            Body::File { size, .. } => (Kind::File, *size),
        };
        Ok(Facts { kind, size, is_named: node.is_named })
    }

    /// Moves the count of blocks from a file of `from` bytes to one of `to`.
    fn charge(&mut self, from: u64, to: u64) -> Answer<()> {
        let used = self.used.saturating_sub(blocks_of(from)).saturating_add(blocks_of(to));
        if used > self.most && to > from {
            return Err(Errno::Nospc.into());
        }
        self.used = used;
        Ok(())
    }

    fn insert(&mut self, folder: Ino, name: &str, body: Body) -> Answer<Ino> {
        if !self.node(folder)?.is_named {
            return Err(Errno::Noent.into());
        }
        if self.nodes.len() > MOST_ENTRIES {
            return Err(Errno::Nospc.into());
        }
        let ino = self.next;
        if self.names_mut(folder)?.insert(name.into(), ino).is_some() {
            return Err(Fail::Halt(super::errno::Halt::Fault(format!("`{name}` was there twice"))));
        }
        self.next += 1;
        self.nodes.insert(ino, Node { body, opens: 0, is_named: true });
        Ok(ino)
    }

    /// Makes an empty folder; `name` is free.
    pub(crate) fn make_folder(&mut self, parent: Ino, name: &str) -> Answer<Ino> {
        if self.child(parent, name)?.is_some() {
            return Err(Errno::Exist.into());
        }
        self.insert(parent, name, Body::Folder { names: Names::new(), parent })
    }

    /// Makes an empty file; `name` is free.
    pub(crate) fn make_file(&mut self, folder: Ino, name: &str) -> Answer<Ino> {
        if self.child(folder, name)?.is_some() {
            return Err(Errno::Exist.into());
        }
        self.insert(folder, name, Body::File { size: 0, content: Content::Own(Blocks::default()) })
    }

    /// One more descriptor holds `ino`.
    pub(crate) fn hold(&mut self, ino: Ino) -> Answer<()> {
        self.node_mut(ino)?.opens += 1;
        Ok(())
    }

    /// One descriptor less holds `ino`.
    pub(crate) fn release(&mut self, ino: Ino) -> Answer<()> {
        let node = self.node_mut(ino)?;
        node.opens = node.opens.saturating_sub(1);
        self.drop_if_unused(ino)
    }

    fn drop_if_unused(&mut self, ino: Ino) -> Answer<()> {
        let node = self.node(ino)?;
        if node.is_named || node.opens > 0 {
            return Ok(());
        }
        if let Some(Node { body: Body::File { size, content }, .. }) = self.nodes.remove(&ino) {
            self.charge(size, 0)?;
            if let Content::Own(mut blocks) = content {
                self.store.shorten(&mut blocks, 0).map_err(|error| Fail::disk(&error))?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, folder: Ino, name: &str, ino: Ino) -> Answer<()> {
        self.names_mut(folder)?.remove(name);
        self.node_mut(ino)?.is_named = false;
        self.drop_if_unused(ino)
    }

    /// Takes the name of a file away.
    pub(crate) fn remove_file(&mut self, folder: Ino, name: &str) -> Answer<()> {
        let ino = self.child(folder, name)?.ok_or(Errno::Noent)?;
        match self.facts(ino)?.kind {
            Kind::Folder => Err(Errno::Isdir.into()),
            Kind::File => self.forget(folder, name, ino),
        }
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&mut self, folder: Ino, name: &str) -> Answer<()> {
        let ino = self.child(folder, name)?.ok_or(Errno::Noent)?;
        if !self.names(ino)?.is_empty() {
            return Err(Errno::Notempty.into());
        }
        self.forget(folder, name, ino)
    }

    /// Gives what is called `name` in `from` another name, in the place of what has that.
    pub(crate) fn rename(&mut self, (from, name): (Ino, &str), (to, new): (Ino, &str)) -> Answer<()> {
        let ino = self.child(from, name)?.ok_or(Errno::Noent)?;
        let kind = self.facts(ino)?.kind;
        if !self.node(to)?.is_named {
            return Err(Errno::Noent.into());
        }
        if kind == Kind::Folder && self.lies_within(to, ino)? {
            return Err(Errno::Inval.into());
        }
        match self.child(to, new)? {
            Some(same) if same == ino => return Ok(()),
            Some(other) => match (kind, self.facts(other)?.kind) {
                (Kind::File, Kind::Folder) => return Err(Errno::Isdir.into()),
                (Kind::Folder, Kind::File) => return Err(Errno::Notdir.into()),
                (Kind::File, Kind::File) => self.remove_file(to, new)?,
                (Kind::Folder, Kind::Folder) => self.remove_folder(to, new)?,
            },
            None => {}
        }
        self.names_mut(from)?.remove(name);
        self.names_mut(to)?.insert(new.into(), ino);
        if let Body::Folder { parent, .. } = &mut self.node_mut(ino)?.body {
            *parent = to;
        }
        Ok(())
    }

    /// True where `folder` is `outer`, or lies somewhere in it.
    fn lies_within(&self, mut folder: Ino, outer: Ino) -> Answer<bool> {
        while folder != outer {
            if folder == ROOT {
                return Ok(false);
            }
            folder = self.parent(folder)?;
        }
        Ok(true)
    }

    /// Reads from `offset` on; how many bytes there were, up to the length of `into`.
    pub(crate) fn read(&self, ino: Ino, offset: u64, into: &mut [u8]) -> Answer<usize> {
        let Body::File { size, content } = &self.node(ino)?.body else { return Err(Errno::Isdir.into()) };
        let length = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(into.len());
        let into = &mut into[..length];
        let read = match content {
            Content::Own(blocks) => self.store.read(blocks, offset, into),
            Content::Given(input) => match self.inputs.get(*input) {
                Some(file) => file.read_exact_at(into, offset),
                None => Err(std::io::Error::other("an input is gone")),
            },
        };
        read.map_err(|error| Fail::disk(&error))?;
        Ok(length)
    }

    /// Writes all of `from` at `offset`, or nothing where it does not fit.
    pub(crate) fn write(&mut self, ino: Ino, offset: u64, from: &[u8]) -> Answer<()> {
        let end = offset.checked_add(from.len() as u64).filter(|end| *end <= MOST_BYTES).ok_or(Errno::Fbig)?;
        let facts = self.facts(ino)?;
        if facts.kind == Kind::Folder {
            return Err(Errno::Isdir.into());
        }
        if from.is_empty() {
            return Ok(());
        }
        self.charge(facts.size, facts.size.max(end))?;
        self.own(ino, facts.size)?;
        let Some(Node { body: Body::File { size, content: Content::Own(blocks) }, .. }) = self.nodes.get_mut(&ino)
        else {
            return Err(Errno::Badf.into());
        };
        *size = facts.size.max(end);
        self.store.write(blocks, offset, from).map_err(|error| Fail::disk(&error))
    }

    /// Makes a file longer, by zeros, or shorter.
    pub(crate) fn set_size(&mut self, ino: Ino, wanted: u64) -> Answer<()> {
        let facts = self.facts(ino)?;
        if facts.kind == Kind::Folder {
            return Err(Errno::Isdir.into());
        }
        if wanted > MOST_BYTES {
            return Err(Errno::Fbig.into());
        }
        self.charge(facts.size, wanted)?;
        self.own(ino, facts.size.min(wanted))?;
        let Some(Node { body: Body::File { size, content: Content::Own(blocks) }, .. }) = self.nodes.get_mut(&ino)
        else {
            return Err(Errno::Badf.into());
        };
        *size = wanted;
        if wanted < facts.size {
            self.store.shorten(blocks, wanted).map_err(|error| Fail::disk(&error))
        } else {
            Ok(())
        }
    }

    /// Copies the first `length` bytes of an input, so that it can be written to.
    fn own(&mut self, ino: Ino, length: u64) -> Answer<()> {
        let Some(Node { body: Body::File { content, .. }, .. }) = self.nodes.get_mut(&ino) else {
            return Err(Errno::Badf.into());
        };
        let Content::Given(input) = content else { return Ok(()) };
        let file = self.inputs.get(*input).ok_or(Errno::Badf)?;
        let mut blocks = Blocks::default();
        let mut buffer = vec![0; COPY_BYTES];
        let mut done = 0;
        while done < length {
            let part = usize::try_from(length - done).unwrap_or(usize::MAX).min(buffer.len());
            let copied = file
                .read_exact_at(&mut buffer[..part], done)
                .and_then(|()| self.store.write(&mut blocks, done, &buffer[..part]));
            copied.map_err(|error| Fail::disk(&error))?;
            done += part as u64;
        }
        *content = Content::Own(blocks);
        Ok(())
    }
}
