//! What is where in output archives, so that one file of them can be read without the rest.
//!
//! Start at [`Files::index`]. Of the archives that were looked at last it is remembered where their files lie.
//!
//! Invariant: nothing is unpacked, and what an archive says decides neither how much memory is taken nor what is
//! read but itself.

use crate::blobs::blocking;
use hivemind_model::spec::{BlobRef, Digest};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use tokio::sync::Semaphore;

mod archive;
mod name;

/// Archives that are read at once; the others wait in their order.
const READS_AT_ONCE: usize = 2;
/// Bounds of what is remembered: archives, and bytes of all of them.
const MOST_ARCHIVES: usize = 256;
const MOST_BYTES: usize = 32 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// One that may be executed.
    Program,
    /// A folder.
    Folder,
}

/// One file or folder of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its name as it is shown, and asked for.
    pub(crate) path: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Where its content begins in the archive.
    pub(crate) at: u64,
    /// Bytes of its content.
    pub(crate) size: u64,
}

/// What is where in one archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// In the order of the archive.
    pub(crate) items: Vec<Item>,
    /// True where the archive has more.
    pub(crate) cut: bool,
}

impl Index {
    fn bytes(&self) -> usize {
        self.items.iter().map(|item| size_of::<Item>() + item.path.len()).sum()
    }
}

#[derive(Default)]
struct Cache {
    /// With when it was used last.
    known: HashMap<Digest, (u64, Arc<Index>)>,
    uses: u64,
    bytes: usize,
}

impl Cache {
    fn get(&mut self, digest: &Digest) -> Option<Arc<Index>> {
        self.uses += 1;
        let (used, index) = self.known.get_mut(digest)?;
        *used = self.uses;
        Some(index.clone())
    }

    fn put(&mut self, digest: Digest, index: Arc<Index>) {
        self.uses += 1;
        self.bytes += index.bytes();
        if let Some((_, before)) = self.known.insert(digest, (self.uses, index)) {
            self.bytes -= before.bytes();
        }
        while self.known.len() > MOST_ARCHIVES || (self.bytes > MOST_BYTES && self.known.len() > 1) {
            let oldest = self.known.iter().min_by_key(|(_, (used, _))| *used).map(|(digest, _)| *digest);
            let Some((_, index)) = oldest.and_then(|oldest| self.known.remove(&oldest)) else { return };
            self.bytes -= index.bytes();
        }
    }
}

/// See the module.
pub(crate) struct Files {
    cache: Mutex<Cache>,
    reads: Semaphore,
}

impl Default for Files {
    fn default() -> Self {
        Self { cache: Mutex::default(), reads: Semaphore::new(READS_AT_ONCE) }
    }
}

impl Files {
    /// What is where in the archive `blob`, which is read from `file` where it is not known yet.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where it is no archive of plain files and folders, with what is wrong with it;
    /// the file system's.
    pub(crate) async fn index(&self, blob: BlobRef, file: File) -> io::Result<Arc<Index>> {
        if let Some(index) = self.cache.lock().get(&blob.digest) {
            return Ok(index);
        }
        let _turn = self.reads.acquire().await.map_err(io::Error::other)?;
        // Whoever waited may find that another has read it.
        if let Some(index) = self.cache.lock().get(&blob.digest) {
            return Ok(index);
        }
        let index = Arc::new(blocking(move || archive::read(&file, blob.size.0)).await?);
        self.cache.lock().put(blob.digest, index.clone());
        Ok(index)
    }
}

#[cfg(test)]
mod tests;
