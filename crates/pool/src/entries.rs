//! The entries of arrays: the line of an uploaded text that each element finds in its environment.
//!
//! A text is read once when an array is submitted ([`Entries::check`]), and an element's line when the
//! element is handed out ([`Entries::line`]). Between the two only where the lines are is kept, of the texts
//! that were used last, and of each the block that was read last: elements go out in the order of their lines.
//!
//! Invariant: no text is in memory whole, and nothing is read on a thread that serves calls.

use crate::blobs::{Blobs, blocking};
use hivemind_model::spec::{BlobRef, Digest};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::Semaphore;

mod text;
pub(crate) use text::BadText;
use text::{Block, Place, Text};

/// Texts whose lines are known at once.
const MOST_TEXTS: usize = 256;
/// Texts that are read whole at once; the others wait in their order.
const SCANS_AT_ONCE: usize = 2;
/// What a reader asks of the file system at once.
const READ_BYTES: usize = 256 << 10;

/// Why an element has no entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// It was there when the array was submitted.
    #[error("the text of its entries, {0}, is missing in the pool")]
    Gone(Digest),
    /// It was another when the array was submitted.
    #[error("the text of its entries, {0}, is damaged in the pool")]
    Damaged(Digest),
    /// The file system's.
    #[error("the text of its entries cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A text that was read whole.
struct Known {
    text: Result<Text, BadText>,
    /// The block that was read last.
    block: Mutex<Option<Arc<Block>>>,
}

#[derive(Default)]
struct Cache {
    texts: HashMap<Digest, (u64, Arc<Known>)>,
    uses: u64,
}

/// See the module.
pub(crate) struct Entries {
    blobs: Blobs,
    cache: Mutex<Cache>,
    scans: Arc<Semaphore>,
}

impl Entries {
    /// Entries in the texts of `blobs`.
    pub(crate) fn new(blobs: Blobs) -> Self {
        Self { blobs, cache: Mutex::default(), scans: Arc::new(Semaphore::new(SCANS_AT_ONCE)) }
    }

    /// How many lines the text has, or why it holds no entries; `None` where there is no such text.
    pub(crate) async fn check(&self, digest: Digest) -> io::Result<Option<Result<u32, BadText>>> {
        Ok(self.known(digest).await?.map(|known| known.text.as_ref().map(Text::lines).map_err(Clone::clone)))
    }

    /// The line of that number, from 1.
    pub(crate) async fn line(&self, entries: &BlobRef, number: u32) -> Result<String, LineError> {
        let digest = entries.digest;
        let known = self.known(digest).await?.ok_or(LineError::Gone(digest))?;
        if let Some(line) = known.block.lock().as_ref().and_then(|block| block.line(number)) {
            return Ok(line);
        }
        let place = known.text.as_ref().ok().and_then(|text| text.place(number));
        let place = place.ok_or(LineError::Damaged(digest))?;
        let file = self.blobs.read(digest).await?.ok_or(LineError::Gone(digest))?;
        let block = Arc::new(blocking(move || read(&file, place)).await?);
        let line = block.line(number).ok_or(LineError::Damaged(digest))?;
        *known.block.lock() = Some(block);
        Ok(line)
    }

    async fn known(&self, digest: Digest) -> io::Result<Option<Arc<Known>>> {
        if let Some(known) = self.cache.lock().get(digest) {
            return Ok(Some(known));
        }
        let turn = self.scans.clone().acquire_owned().await.map_err(io::Error::other)?;
        // Another may have read it while this one waited.
        if let Some(known) = self.cache.lock().get(digest) {
            return Ok(Some(known));
        }
        let Some(file) = self.blobs.read(digest).await? else { return Ok(None) };
        let text = blocking(move || {
            // A caller that has gone does not stop the reading: its turn ends with it.
            let _turn = turn;
            Text::scan(BufReader::with_capacity(READ_BYTES, file))
        });
        let known = Arc::new(Known { text: text.await?, block: Mutex::default() });
        self.cache.lock().put(digest, known.clone());
        Ok(Some(known))
    }
}

impl Cache {
    fn get(&mut self, digest: Digest) -> Option<Arc<Known>> {
        self.uses += 1;
        let (used, known) = self.texts.get_mut(&digest)?;
        *used = self.uses;
        Some(known.clone())
    }

    fn put(&mut self, digest: Digest, known: Arc<Known>) {
        if self.texts.len() >= MOST_TEXTS {
            let oldest = self.texts.iter().min_by_key(|(_, (used, _))| *used).map(|(digest, _)| *digest);
            oldest.map(|digest| self.texts.remove(&digest));
        }
        self.uses += 1;
        self.texts.insert(digest, (self.uses, known));
    }
}

fn read(file: &File, place: Place) -> io::Result<Block> {
    let mut bytes = vec![0; usize::try_from(place.len).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, place.offset)?;
    Ok(Block::new(place, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;

    async fn stored(dir: &std::path::Path, text: &'static str) -> (Blobs, BlobRef) {
        let blobs = Blobs::open(dir.join("blobs"), Disk::new(dir, 0, 0)).unwrap();
        let blob = blobs.put(text.into()).await.unwrap();
        (blobs, blob)
    }

    #[tokio::test]
    async fn each_element_finds_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let (blobs, blob) = stored(dir.path(), "one\ntwo\nthree\n").await;
        let entries = Entries::new(blobs);
        assert_eq!(entries.check(blob.digest).await.unwrap(), Some(Ok(3)));
        assert_eq!(entries.line(&blob, 2).await.unwrap(), "two");
        assert_eq!(entries.line(&blob, 3).await.unwrap(), "three");
        assert!(matches!(entries.line(&blob, 4).await, Err(LineError::Damaged(_))));
        assert_eq!(entries.check(Digest([7; 32])).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_text_that_is_gone_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (blobs, blob) = stored(dir.path(), "one\ntwo\n").await;
        let name = hex::encode(blob.digest.0);
        std::fs::remove_file(dir.path().join("blobs").join(&name[..2]).join(&name[2..])).unwrap();
        let told = Entries::new(blobs).line(&blob, 1).await.unwrap_err();
        assert!(matches!(told, LineError::Gone(digest) if digest == blob.digest), "{told}");
    }

    #[test]
    fn the_texts_that_were_used_last_stay_known() {
        let mut cache = Cache::default();
        let known = || Arc::new(Known { text: Err(BadText::TooManyLines), block: Mutex::default() });
        let digest = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            Digest(bytes)
        };
        for number in 0..MOST_TEXTS {
            cache.put(digest(number), known());
        }
        assert!(cache.get(digest(0)).is_some());
        cache.put(digest(MOST_TEXTS), known());
        assert_eq!(cache.texts.len(), MOST_TEXTS);
        assert!(cache.get(digest(0)).is_some() && cache.get(digest(1)).is_none());
    }
}
