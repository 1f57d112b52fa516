//! Code that modules were compiled to, by their digests.
//!
//! A file's name says of which module it is, by which compiler, and what its own digest is; that is compared
//! before the file is used for the first time by this process, which then keeps it open.
//!
//! Invariant: only what a helper of this folder's owner wrote is ever handed out; the folder is closed to
//! everybody else.

use hivemind_model::spec::Digest;
use parking_lot::Mutex;
use sha2::Digest as _;
use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::NamedTempFile;

/// How the names of whole files end, and of half-made ones begin.
const SUFFIX: &str = ".code";
const HALF: &str = "half-";
/// Most files that are kept open.
const MOST_OPEN: usize = 64;
/// Most refusals that are remembered.
const MOST_REFUSALS: usize = 256;

/// Which code: of a module, by a compiler with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) module: Digest,
    pub(super) config: String,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    digest: String,
    bytes: u64,
    /// The last use; larger is later.
    used: u64,
    /// Its content has been compared.
    open: Option<Arc<File>>,
}

#[derive(Debug, Default)]
struct Index {
    kept: HashMap<Key, Kept>,
    bytes: u64,
    turn: u64,
    refused: HashMap<Key, String>,
}

/// The folder.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    most: u64,
    index: Mutex<Index>,
}

fn hexed(digest: Digest) -> String {
    hex::encode(digest.0)
}

/// Reads a file's name back.
fn parse(name: &str) -> Option<(Key, String)> {
    let mut parts = name.strip_suffix(SUFFIX)?.split('-');
    let (module, config, digest) = (parts.next()?, parts.next()?, parts.next()?);
    let module = hex::decode(module).ok()?.try_into().ok().map(Digest)?;
    let is_sound = parts.next().is_none() && digest.len() == 64 && hex::decode(config).is_ok();
    is_sound.then(|| (Key { module, config: config.to_owned() }, digest.to_owned()))
}

impl Cache {
    /// Reads what is in `folder`, which is made.
    pub(super) fn open(folder: &Path, most: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            let Some((key, digest)) = entry.file_name().to_str().and_then(parse) else { continue };
            if facts.is_file() {
                found.push((
                    facts.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    key,
                    digest,
                    facts.len(),
                    entry.path(),
                ));
            }
        }
        found.sort_by_key(|(modified, ..)| *modified);
        let cache = Self { folder: folder.to_owned(), most, index: Mutex::default() };
        for (_, key, digest, bytes, path) in found {
            cache.index.lock().insert(key, Kept { path, digest, bytes, used: 0, open: None });
        }
        cache.index.lock().shrink(most);
        Ok(cache)
    }

    /// The code, open for reading; `None` where there is none that can be trusted.
    pub(super) fn find(&self, key: &Key) -> Option<Arc<File>> {
        let (path, digest) = {
            let mut index = self.index.lock();
            let used = index.next_turn();
            let kept = index.kept.get_mut(key)?;
            kept.used = used;
            if let Some(open) = &kept.open {
                return Some(open.clone());
            }
            (kept.path.clone(), kept.digest.clone())
        };
        match compared(&path, &digest) {
            Ok(file) => {
                let file = Arc::new(file);
                self.index.lock().keep_open(key, file.clone());
                Some(file)
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), "code is made anew: {error}");
                self.index.lock().remove(key);
                None
            }
        }
    }

    /// A file in the folder to write code into.
    pub(super) fn half(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(HALF).tempfile_in(&self.folder)
    }

    /// Keeps what a helper wrote.
    pub(super) fn keep(&self, key: &Key, half: NamedTempFile) -> io::Result<Arc<File>> {
        let (digest, bytes) = digest_of(&mut File::open(half.path())?)?;
        let name = format!("{}-{}-{digest}{SUFFIX}", hexed(key.module), key.config);
        let path = self.folder.join(name);
        half.persist(&path)?;
        let file = Arc::new(File::open(&path)?);
        file.set_modified(SystemTime::now())?;
        let mut index = self.index.lock();
        index.remove(key);
        let used = index.next_turn();
        index.insert(key.clone(), Kept { path, digest, bytes, used, open: None });
        index.keep_open(key, file.clone());
        index.shrink(self.most);
        Ok(file)
    }

    /// Why this module is not run; where that is known already.
    pub(super) fn refusal(&self, key: &Key) -> Option<String> {
        self.index.lock().refused.get(key).cloned()
    }

    /// Remembers why a module is not run.
    pub(super) fn refuse(&self, key: Key, reason: String) {
        let mut index = self.index.lock();
        if index.refused.len() >= MOST_REFUSALS {
            index.refused.clear();
        }
        index.refused.insert(key, reason);
    }

    /// Removes what was left half-made by a process that was killed.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(HALF)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Index {
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn insert(&mut self, key: Key, kept: Kept) {
        self.bytes += kept.bytes;
        if let Some(before) = self.kept.insert(key, kept) {
            self.bytes -= before.bytes;
            unlink(&before.path);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(kept) = self.kept.remove(key) {
            self.bytes -= kept.bytes;
            unlink(&kept.path);
        }
    }

    fn keep_open(&mut self, key: &Key, file: Arc<File>) {
        if self.kept.values().filter(|kept| kept.open.is_some()).count() >= MOST_OPEN
            && let Some(oldest) = self.kept.values_mut().filter(|kept| kept.open.is_some()).min_by_key(|kept| kept.used)
        {
            oldest.open = None;
        }
        if let Some(kept) = self.kept.get_mut(key) {
            kept.open = Some(file);
        }
    }

    /// Removes what was used longest ago, until the rest fits; the last one used stays.
    fn shrink(&mut self, most: u64) {
        while self.bytes > most && self.kept.len() > 1 {
            let Some(oldest) = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone()) else {
                return;
            };
            self.remove(&oldest);
        }
    }
}

fn unlink(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %path.display(), "old code cannot be removed: {error}");
    }
}

fn digest_of(file: &mut File) -> io::Result<(String, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        let read = io::Read::read(file, &mut buffer)?;
        if read == 0 {
            return Ok((hex::encode(hasher.finalize()), bytes));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Opens a file whose content has this digest.
fn compared(path: &Path, digest: &str) -> io::Result<File> {
    let mut file = File::open(path)?;
    let (found, _) = digest_of(&mut file)?;
    if found != digest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its content is not what was written"));
    }
    File::open(path)
}

#[cfg(test)]
mod tests;
