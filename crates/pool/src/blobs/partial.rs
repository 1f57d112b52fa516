//! Contents whose upload broke off, kept so that it can go on.
//!
//! They lie under `partial/<sender>/`, where no reader looks: only the same sender can go on with one,
//! by the digest of the whole. A sender has few of them; where there is no room for one more the longest
//! untouched goes. What is untouched for [`KEPT_FOR`] is removed. Start at [`Partials::claim`].
//!
//! Nothing here is made durable: what a power cut spoils is found by the digest at the end.
//!
//! Invariant: at any time one writer has a part, the one that claimed it last.

use super::{make_folder, not_found_is_none, parent};
use hivemind_model::spec::Digest;
use hivemind_model::{AttemptRef, NodeId, UserId};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Parts of one sender.
pub(super) const MOST_OF_ONE: usize = 32;
/// Bytes of all parts of one sender.
const MOST_BYTES_OF_ONE: u64 = 128 << 30;
/// A part that nobody touched for so long is removed.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// Which part: of whom, and of which content.
#[derive(Debug, Clone)]
pub(crate) struct PartName {
    folder: String,
    file: String,
}

impl PartName {
    /// An input of `user`.
    pub(crate) fn of_user(user: UserId, digest: &Digest) -> Self {
        Self { folder: format!("user-{}", user.0), file: hex::encode(digest.0) }
    }

    /// The output of an attempt, as `node` sends it.
    pub(crate) fn of_attempt(node: NodeId, attempt: AttemptRef, digest: &Digest) -> Self {
        let AttemptRef { element, number } = attempt;
        let file = format!("{}.{}.{number}.{}", element.task.0, element.index, hex::encode(digest.0));
        Self { folder: format!("node-{}", node.0), file }
    }
}

/// The number of the writer that claimed a part last.
type Turn = Arc<Mutex<u64>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Partials {
    root: PathBuf,
    /// Of parts that have a writer.
    turns: Mutex<HashMap<PathBuf, Turn>>,
}

/// The right to write a part, until another claims it.
#[derive(Debug)]
pub(super) struct Claim {
    partials: Arc<Partials>,
    path: PathBuf,
    turn: Turn,
    mine: u64,
}

/// A part that its writer can go on with.
#[derive(Debug)]
pub(super) struct Claimed {
    /// The right to.
    pub(super) claim: Claim,
    /// Its file, which ends where writing goes on.
    pub(super) file: File,
    /// Of all that is in it.
    pub(super) hash: Sha256,
}

/// What an idle part is.
struct Idle {
    path: PathBuf,
    bytes: u64,
    touched: SystemTime,
}

impl Partials {
    /// Those under `root`; removes what is stale.
    pub(super) fn open(root: PathBuf) -> io::Result<Arc<Self>> {
        make_folder(&root)?;
        let partials = Arc::new(Self { root, turns: Mutex::default() });
        partials.sweep(SystemTime::now())?;
        Ok(partials)
    }

    /// How much of a part is here.
    pub(super) fn received(&self, name: &PartName) -> io::Result<u64> {
        Ok(not_found_is_none(fs::metadata(self.path(name)))?.map_or(0, |metadata| metadata.len()))
    }

    /// Begins a part of `size` bytes, or goes on with it after its first `offset` bytes. A writer that
    /// still has it loses it. `Err` holds how much is here, where that is less than `offset`.
    pub(super) fn claim(self: &Arc<Self>, name: &PartName, size: u64, offset: u64) -> io::Result<Result<Claimed, u64>> {
        let path = self.path(name);
        let claim = {
            let mut turns = self.turns.lock();
            let here = not_found_is_none(fs::metadata(&path))?.map_or(0, |metadata| metadata.len());
            if offset > here {
                return Ok(Err(here));
            }
            let folder = parent(&path)?;
            make_folder(folder)?;
            make_room(folder, &path, &turns, size)?;
            let turn = turns.entry(path.clone()).or_default().clone();
            let mine = {
                let mut turn = turn.lock();
                *turn += 1;
                *turn
            };
            Claim { partials: self.clone(), path, turn, mine }
        };
        let (file, hash) = claim.while_mine(|| {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&claim.path)?;
            file.set_len(offset)?;
            hashed(file, offset)
        })?;
        Ok(Ok(Claimed { claim, file, hash }))
    }

    /// Removes what nobody has touched for [`KEPT_FOR`].
    pub(super) fn sweep(&self, now: SystemTime) -> io::Result<()> {
        for folder in fs::read_dir(&self.root)? {
            let folder = folder?.path();
            let turns = self.turns.lock();
            for idle in idle_in(&folder, &turns)? {
                if now.duration_since(idle.touched).is_ok_and(|age| age > KEPT_FOR) {
                    not_found_is_none(fs::remove_file(&idle.path))?;
                }
            }
            // A folder that still holds something stays.
            let _stays = fs::remove_dir(&folder);
        }
        Ok(())
    }

    fn path(&self, name: &PartName) -> PathBuf {
        self.root.join(&name.folder).join(&name.file)
    }
}

/// The file at its end, and the hash of all of it.
fn hashed(mut file: File, bytes: u64) -> io::Result<(File, Sha256)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut left = bytes;
    file.seek(SeekFrom::Start(0))?;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact(&mut buffer[..most])?;
        hash.update(&buffer[..most]);
        left -= most as u64;
    }
    Ok((file, hash))
}

/// Removes idle parts of a folder, the longest untouched first, until one more of `size` bytes may be there.
fn make_room(folder: &Path, wanted: &Path, turns: &HashMap<PathBuf, Turn>, size: u64) -> io::Result<()> {
    let mut idle = idle_in(folder, turns)?;
    idle.retain(|idle| idle.path != wanted);
    idle.sort_by_key(|idle| idle.touched);
    let busy = turns.keys().filter(|path| path.parent() == Some(folder) && path.as_path() != wanted).count();
    let mut bytes = idle.iter().fold(size, |sum, idle| sum.saturating_add(idle.bytes));
    let mut count = idle.len() + busy + 1;
    for idle in idle {
        if count <= MOST_OF_ONE && bytes <= MOST_BYTES_OF_ONE {
            return Ok(());
        }
        not_found_is_none(fs::remove_file(&idle.path))?;
        count -= 1;
        bytes = bytes.saturating_sub(idle.bytes);
    }
    Ok(())
}

fn idle_in(folder: &Path, turns: &HashMap<PathBuf, Turn>) -> io::Result<Vec<Idle>> {
    let mut idle = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if turns.contains_key(&path) {
            continue;
        }
        let metadata = entry.metadata()?;
        idle.push(Idle { path, bytes: metadata.len(), touched: metadata.modified()? });
    }
    Ok(idle)
}

impl Claim {
    /// Does what only the writer of the part may do.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] where another has claimed it since; what `work` says.
    pub(super) fn while_mine<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let turn = self.turn.lock();
        if *turn != self.mine {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the same content is sent anew by another call"));
        }
        work()
    }

    /// Gives the finished part its name in the store.
    pub(super) fn rename(&self, to: &Path) -> io::Result<()> {
        self.while_mine(|| fs::rename(&self.path, to))
    }

    /// Removes a part that is of no use.
    pub(super) fn discard(&self) -> io::Result<()> {
        self.while_mine(|| not_found_is_none(fs::remove_file(&self.path)).map(drop))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut turns = self.partials.turns.lock();
        // The table's own, and this one: clones are made under its lock only.
        if Arc::strong_count(&self.turn) == 2 {
            turns.remove(&self.path);
            // Nothing is lost with an empty part; that it could not be removed is found by the sweep.
            let _swept_later = match fs::metadata(&self.path) {
                Ok(metadata) if metadata.len() == 0 => fs::remove_file(&self.path),
                Ok(_) | Err(_) => Ok(()),
            };
        }
    }
}
