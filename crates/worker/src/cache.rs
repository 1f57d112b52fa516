//! Inputs of tasks, by digest, shared between attempts.
//!
//! An input is fetched once, however many attempts want it at the same time, and appears only
//! when all of it was verified. What nobody uses goes when room is needed, the longest unused
//! first. Start at [`InputCache::hold`].
//!
//! Invariant: a file in the cache has the digest it is named after, and one in use stays.

use crate::capture::remove_if_there;
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::{AttemptRef, Bytes};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Tries to fetch one input before the attempt is given back.
const MAX_TRIES: u32 = 5;

/// Wait before the second try; doubles each time.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Why a source did not give a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// The way there failed; another try may succeed.
    Transient(String),
    /// It will not.
    Final(String),
}

/// Takes a content piece by piece.
pub(crate) type Pieces<'a> = dyn FnMut(&[u8]) -> Result<(), FetchError> + Send + 'a;

/// Has contents.
pub(crate) trait Source: Sync {
    /// Gives the content of `digest`, which is an input of `attempt`, to `pieces`.
    fn fetch(
        &self,
        attempt: AttemptRef,
        digest: Digest,
        pieces: &mut Pieces<'_>,
    ) -> impl Future<Output = Result<(), FetchError>> + Send;
}

#[derive(Debug)]
struct Entry {
    size: u64,
    users: u32,
    used_at: u64,
    ready: bool,
    /// Held by the one that fetches.
    gate: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Digest, Entry>,
    total: u64,
    uses: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct InputCache {
    dir: PathBuf,
    limit: u64,
    first_wait: Duration,
    state: Mutex<State>,
}

/// An input that stays on disk for as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    cache: Arc<InputCache>,
    digest: Digest,
    path: PathBuf,
}

impl Held {
    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        let state = &mut *state;
        if let Some(entry) = state.entries.get_mut(&self.digest) {
            entry.users = entry.users.saturating_sub(1);
            if entry.users == 0 && !entry.ready {
                state.total -= entry.size;
                state.entries.remove(&self.digest);
            }
        }
    }
}

impl InputCache {
    /// The cache in `dir`, with what an earlier process verified; at most `limit` together.
    /// After a failed fetch it waits `first_wait`, and twice as long each time.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(dir: &Path, limit: Bytes, first_wait: Duration) -> io::Result<Self> {
        let mut state = State::default();
        for found in fs::read_dir(dir)? {
            let found = found?;
            let name = found.file_name();
            match name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()) {
                Some(digest) => {
                    let size = found.metadata()?.len();
                    state.total += size;
                    state.entries.insert(digest, Entry::new(size, true));
                }
                // A fetch that the end of the process cut off.
                None if name.to_string_lossy().starts_with(TEMPORARY) => remove_if_there(&found.path())?,
                None => {}
            }
        }
        Ok(Self { dir: dir.to_owned(), limit: limit.0, first_wait, state: Mutex::new(state) })
    }

    /// The content of `blob` on this disk, fetched from `source` where it is not there yet.
    ///
    /// # Errors
    /// A sentence: the source does not give it, what it gives is not it, or there is no room.
    pub(crate) async fn hold(
        self: &Arc<Self>,
        attempt: AttemptRef,
        blob: BlobRef,
        source: &impl Source,
    ) -> Result<Held, String> {
        let gate = self.reserve(blob)?;
        let held = Held { cache: Arc::clone(self), digest: blob.digest, path: self.path(blob.digest) };
        if self.is_ready(blob, held.path()) {
            return Ok(held);
        }
        let _only_one = gate.lock().await;
        if self.is_ready(blob, held.path()) {
            return Ok(held);
        }
        let mut wait = self.first_wait;
        for attempt_left in (0..MAX_TRIES).rev() {
            match self.fetch(attempt, blob, source, held.path()).await {
                Ok(()) => break,
                Err(FetchError::Transient(_)) if attempt_left > 0 => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(FetchError::Transient(why) | FetchError::Final(why)) => return Err(why),
            }
        }
        if let Some(entry) = self.state.lock().entries.get_mut(&blob.digest) {
            entry.ready = true;
        }
        Ok(held)
    }

    /// Counts a user, and makes room where the content is new.
    fn reserve(&self, blob: BlobRef) -> Result<Arc<tokio::sync::Mutex<()>>, String> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if !state.entries.contains_key(&blob.digest) {
            self.make_room(state, blob.size.0)?;
            state.total += blob.size.0;
            state.entries.insert(blob.digest, Entry::new(blob.size.0, false));
        }
        state.uses += 1;
        let entry = state.entries.get_mut(&blob.digest).ok_or("the input was removed while it was wanted")?;
        if entry.size != blob.size.0 {
            return Err(format!("the pool says it has {} bytes, and said {} before", blob.size.0, entry.size));
        }
        entry.users += 1;
        entry.used_at = state.uses;
        Ok(Arc::clone(&entry.gate))
    }

    fn make_room(&self, state: &mut State, size: u64) -> Result<(), String> {
        while state.total.checked_add(size).is_none_or(|sum| sum > self.limit) {
            let unused =
                state.entries.iter().filter(|(_, entry)| entry.users == 0).min_by_key(|(_, entry)| entry.used_at);
            let Some((digest, size)) = unused.map(|(digest, entry)| (*digest, entry.size)) else {
                return Err(format!(
                    "it has {} and the inputs in use leave no room in the {} for inputs",
                    Bytes(size),
                    Bytes(self.limit)
                ));
            };
            remove_if_there(&self.path(digest)).map_err(|e| format!("no room can be made for it: {e}"))?;
            state.total -= size;
            state.entries.remove(&digest);
        }
        Ok(())
    }

    /// True where the file is there; one that somebody removed is fetched again.
    fn is_ready(&self, blob: BlobRef, path: &Path) -> bool {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.get_mut(&blob.digest) else { return false };
        entry.ready &= fs::metadata(path).is_ok_and(|there| there.len() == blob.size.0);
        entry.ready
    }

    async fn fetch(
        &self,
        attempt: AttemptRef,
        blob: BlobRef,
        source: &impl Source,
        path: &Path,
    ) -> Result<(), FetchError> {
        let disk = |e: io::Error| FetchError::Final(format!("it cannot be written to this node's disk: {e}"));
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.dir).map_err(disk)?;
        let mut hash = Sha256::new();
        let mut size: u64 = 0;
        let mut take = |data: &[u8]| {
            size += data.len() as u64;
            if size > blob.size.0 {
                return Err(FetchError::Final(format!("the pool sent more than the {} bytes it has", blob.size.0)));
            }
            hash.update(data);
            file.write_all(data).map_err(disk)
        };
        source.fetch(attempt, blob.digest, &mut take).await?;
        if size < blob.size.0 {
            return Err(FetchError::Transient(format!("only {size} of {} bytes arrived", blob.size.0)));
        }
        let digest = Digest(hash.finalize().into());
        if digest != blob.digest {
            return Err(FetchError::Final(format!(
                "what the pool sent has the digest {digest} instead of {}",
                blob.digest
            )));
        }
        file.as_file().sync_data().map_err(disk)?;
        file.persist(path).map_err(|e| disk(e.error))?;
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(digest.to_string().trim_start_matches("sha256:"))
    }
}

/// Begins the names of files under way.
const TEMPORARY: &str = "fetch-";

impl Entry {
    fn new(size: u64, ready: bool) -> Self {
        Self { size, users: 0, used_at: 0, ready, gate: Arc::default() }
    }
}

#[cfg(test)]
mod tests;
