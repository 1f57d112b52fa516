//! Inputs of tasks, by digest, shared between attempts.
//!
//! An input is fetched once, however many attempts want it at the same time, and appears only
//! when all of it was verified. What breaks off stays for the next try, in this process or another, and goes
//! on where it broke. What nobody uses goes when room is needed, the longest unused first. Start at
//! [`InputCache::hold`].
//!
//! Invariant: a file in the cache has the digest it is named after, and one in use stays.

use crate::capture::remove_if_there;
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::{AttemptRef, Bytes};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
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
    /// Gives the content of `digest`, which is an input of `attempt`, from `offset` on to `pieces`.
    fn fetch(
        &self,
        attempt: AttemptRef,
        digest: Digest,
        offset: u64,
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
    /// Most bytes together.
    limit: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct InputCache {
    dir: PathBuf,
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
            // What is here of it is worth its room until that is needed.
            let is_begun = || fs::metadata(self.cache.part(self.digest, entry.size)).is_ok();
            if entry.users == 0 && !entry.ready && !is_begun() {
                state.total -= entry.size;
                state.entries.remove(&self.digest);
            }
        }
        // What was in use when the limit fell goes now.
        self.cache.trim(state);
    }
}

impl InputCache {
    /// The cache in `dir`, with what an earlier process verified; at most `limit` together.
    /// After a failed fetch it waits `first_wait`, and twice as long each time.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(dir: &Path, limit: Bytes, first_wait: Duration) -> io::Result<Self> {
        let mut state = State { limit: limit.0, ..State::default() };
        for found in fs::read_dir(dir)? {
            let found = found?;
            let name = found.file_name();
            let name = name.to_string_lossy();
            let whole = digest_of(&name).map(|digest| (digest, true));
            let Some((digest, ready)) = whole.or_else(|| part_of(&name).map(|(digest, _)| (digest, false))) else {
                if name.starts_with(TEMPORARY) {
                    remove_if_there(&found.path())?;
                }
                continue;
            };
            let size = part_of(&name).map_or(found.metadata()?.len(), |(_, size)| size);
            // Beside the whole its part is of no use, and of two parts one is wrong.
            if !ready && state.entries.contains_key(&digest) {
                remove_if_there(&found.path())?;
            } else if let Some(before) = state.entries.insert(digest, Entry::new(size, ready)) {
                state.total = state.total.saturating_sub(before.size).saturating_add(size);
                remove_if_there(&dir.join(part_name(digest, before.size)))?;
            } else {
                state.total = state.total.saturating_add(size);
            }
        }
        Ok(Self { dir: dir.to_owned(), first_wait, state: Mutex::new(state) })
    }

    /// At most `limit` together from now on. What nobody uses goes at once, the longest unused first; what is in use, as
    /// far as it is too much, when it is not any more.
    pub(crate) fn limit(&self, limit: Bytes) {
        let mut state = self.state.lock();
        state.limit = limit.0;
        self.trim(&mut state);
    }

    /// The most that is kept.
    pub(crate) fn most(&self) -> Bytes {
        Bytes(self.state.lock().limit)
    }

    /// What is kept, with what is on its way.
    pub(crate) fn used(&self) -> Bytes {
        Bytes(self.state.lock().total)
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
        let is_left_over = |entry: &Entry| entry.users == 0 && !entry.ready && entry.size != blob.size.0;
        if let Some(entry) = state.entries.get(&blob.digest).filter(|entry| is_left_over(entry)) {
            // An earlier process was told another size.
            let size = entry.size;
            remove_if_there(&self.part(blob.digest, size)).map_err(|e| format!("no room can be made for it: {e}"))?;
            state.total -= size;
            state.entries.remove(&blob.digest);
        }
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
        while state.total.checked_add(size).is_none_or(|sum| sum > state.limit) {
            if !self.evict(state).map_err(|e| format!("no room can be made for it: {e}"))? {
                return Err(format!(
                    "it has {} and the inputs in use leave no room in the {} for inputs",
                    Bytes(size),
                    Bytes(state.limit)
                ));
            }
        }
        Ok(())
    }

    /// Removes what nobody uses for as long as there is more than there may be.
    fn trim(&self, state: &mut State) {
        while state.total > state.limit {
            match self.evict(state) {
                Ok(true) => {}
                Ok(false) => return,
                Err(why) => {
                    tracing::warn!("an input that is too much cannot be removed from {}: {why}", self.dir.display());
                    return;
                }
            }
        }
    }

    /// Removes the input that was unused for longest. False where all are in use.
    fn evict(&self, state: &mut State) -> io::Result<bool> {
        let unused = state.entries.iter().filter(|(_, entry)| entry.users == 0).min_by_key(|(_, entry)| entry.used_at);
        let Some((digest, size)) = unused.map(|(digest, entry)| (*digest, entry.size)) else { return Ok(false) };
        for path in [self.path(digest), self.part(digest, size)] {
            remove_if_there(&path)?;
        }
        state.total -= size;
        state.entries.remove(&digest);
        Ok(true)
    }

    /// True where the file is there; one that somebody removed is fetched again.
    fn is_ready(&self, blob: BlobRef, path: &Path) -> bool {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.get_mut(&blob.digest) else { return false };
        entry.ready &= fs::metadata(path).is_ok_and(|there| there.len() == blob.size.0);
        entry.ready
    }

    /// One try: goes on with what is here of it.
    async fn fetch(
        &self,
        attempt: AttemptRef,
        blob: BlobRef,
        source: &impl Source,
        path: &Path,
    ) -> Result<(), FetchError> {
        let part = self.part(blob.digest, blob.size.0);
        let opened = tokio::task::spawn_blocking({
            let part = part.clone();
            move || begun(&part, blob.size.0)
        });
        let (mut file, mut hash, offset) = opened.await.map_err(|e| disk(io::Error::other(e)))?.map_err(disk)?;
        let mut size = offset;
        let mut take = |data: &[u8]| {
            size += data.len() as u64;
            if size > blob.size.0 {
                return Err(FetchError::Final(format!("the pool sent more than the {} bytes it has", blob.size.0)));
            }
            hash.update(data);
            file.write_all(data).map_err(disk)
        };
        let fetched = source.fetch(attempt, blob.digest, offset, &mut take).await;
        if let Err(why) = fetched {
            if matches!(why, FetchError::Final(_)) {
                remove_if_there(&part).map_err(disk)?;
            }
            return Err(why);
        }
        if size < blob.size.0 {
            return Err(FetchError::Transient(format!("only {size} of {} bytes arrived", blob.size.0)));
        }
        let digest = Digest(hash.finalize().into());
        if digest != blob.digest {
            remove_if_there(&part).map_err(disk)?;
            let why = format!("what the pool sent has the digest {digest} instead of {}", blob.digest);
            // What was here before may have been spoilt, by a power cut for one.
            return Err(if offset > 0 { FetchError::Transient(why) } else { FetchError::Final(why) });
        }
        file.sync_data().map_err(disk)?;
        fs::rename(&part, path).map_err(disk)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(hex_of(digest))
    }

    fn part(&self, digest: Digest, size: u64) -> PathBuf {
        self.dir.join(part_name(digest, size))
    }
}

/// Begins the names of files under way.
const TEMPORARY: &str = "fetch-";

fn disk(error: io::Error) -> FetchError {
    FetchError::Final(format!("it cannot be written to this node's disk: {error}"))
}

fn hex_of(digest: Digest) -> String {
    digest.to_string().trim_start_matches("sha256:").to_owned()
}

/// The name of what is here of a content of that size.
fn part_name(digest: Digest, size: u64) -> String {
    format!("{TEMPORARY}{}-{size}", hex_of(digest))
}

fn digest_of(hex: &str) -> Option<Digest> {
    format!("sha256:{hex}").parse().ok()
}

/// Reads [`part_name`] back.
fn part_of(name: &str) -> Option<(Digest, u64)> {
    let (hex, size) = name.strip_prefix(TEMPORARY)?.split_once('-')?;
    Some((digest_of(hex)?, size.parse().ok()?))
}

/// The file of a part at its end, with the hash of what is in it; more than `most` is none of it.
fn begun(part: &Path, most: u64) -> io::Result<(File, Sha256, u64)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(part)?;
    if file.metadata()?.len() > most {
        file.set_len(0)?;
    }
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 128 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((file, hash, size)),
            got => {
                hash.update(&buffer[..got]);
                size += got as u64;
            }
        }
    }
}

impl Entry {
    fn new(size: u64, ready: bool) -> Self {
        Self { size, users: 0, used_at: 0, ready, gate: Arc::default() }
    }
}

#[cfg(test)]
mod tests;
