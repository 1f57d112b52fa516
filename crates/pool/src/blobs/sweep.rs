//! Removing blobs that nothing names.
//!
//! A blob has these names: users' rights (`refs/<user>/<digest>`), notes of outputs that are not reported yet
//! (`refs/outputs/`), and rows of the store: inputs, images and entries of tasks, outputs of their attempts. A
//! pass ([`crate::collect`]) begins, waits for the [uses](Use) that began before it, *marks* what has a name, in the
//! order rights, notes, rows, and only then removes what is not marked. The mark of a blob is its modification time,
//! which lies at or behind the moment of the pass.
//!
//! Why nothing that is named is removed: let a name of the blob be durable, or its use be open, when the
//! blob is looked at for removal. Either the use began after the pass did: then it found or stored the blob after
//! that moment and set its mark, or finds it gone and says so, as mark and removal exclude each other by the lock.
//! Or the use began before: then the pass waited for its end, and its name was durable before the marking began. Such a
//! name is seen and marked, or was replaced meanwhile: a note by the row of the attempt's end, which is durable
//! before the note goes, and is read after the notes; an open task by an ended one, which are read in this
//! order; anything else that gives a name is a use of its own.
//!
//! Marks only lengthen lives, and a right goes durably before its blob can: a crash at any line leaves garbage
//! for the next pass, never a name without content. Who reads a blob has it open, and is not disturbed.
//!
//! Invariant: one step looks at no more than so many files, and no lock is held for more than one of them.

use super::{Blobs, Inner, LOCKS, Use, blocking, not_found_is_none, parent};
use crate::collect::Walk;
use hivemind_model::spec::Digest;
use hivemind_model::{AttemptRef, ElementRef, TaskId};
use parking_lot::MutexGuard;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A right shows its last use this exactly, which spares the disk most of the writing.
const RIGHT_TOUCH: Duration = Duration::from_secs(60);
/// A note of an attempt that is not live has no use after so long.
const NOTE_KEPT: Duration = Duration::from_secs(24 * 3600);

/// A pass that has begun, and before which no use is open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    /// What is marked is not older.
    pub(crate) since: SystemTime,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    /// Files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

impl Freed {
    /// Adds what another step removed.
    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

impl Blobs {
    /// To be held while a blob is given a name: from before it is found or stored until the name is durable.
    pub(crate) fn begin_use(&self) -> Use {
        self.inner.uses.begin()
    }

    /// Begins a pass, and waits until the uses before it have ended.
    pub(crate) async fn begin_pass(&self) -> Pass {
        let (since, first) = self.inner.uses.begin_pass();
        self.inner.uses.over(first).await;
        Pass { since }
    }

    /// What is marked with this is younger than the newest pass.
    pub(crate) fn stamp(&self) -> SystemTime {
        self.inner.uses.stamp()
    }

    /// Marks those that are there.
    pub(crate) async fn mark(&self, digests: BTreeSet<Digest>) -> io::Result<()> {
        let inner = self.inner.clone();
        blocking(move || digests.iter().try_for_each(|digest| inner.find(digest).map(drop))).await
    }

    /// Everything that users have a right to, by user.
    pub(crate) fn rights(&self) -> io::Result<Walk> {
        Walk::of(&self.inner.root.join("refs"), |user| user.parse::<u64>().is_ok())
    }

    /// Marks what users have a right to; removes rights that were not used for `keep`.
    pub(crate) async fn check_rights(&self, files: Vec<PathBuf>, keep: Option<Duration>) -> io::Result<Freed> {
        let inner = self.inner.clone();
        blocking(move || {
            let (mut freed, mut changed) = (Freed::default(), BTreeSet::new());
            for path in &files {
                let Some(digest) = name_of(path).and_then(digest_in) else { continue };
                if inner.right_is_over(path, &digest, keep)? {
                    changed.insert(parent(path)?);
                    freed.files += 1;
                } else {
                    inner.find(&digest)?;
                }
            }
            changed.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())?;
            Ok(freed)
        })
        .await
    }

    /// Every note of an output.
    pub(crate) fn notes(&self) -> io::Result<Walk> {
        Walk::of(&self.inner.root.join("refs"), |folder| folder == "outputs")
    }

    /// Marks outputs that are not reported yet; removes old notes of attempts that are not live.
    pub(crate) async fn check_notes(
        &self,
        files: Vec<PathBuf>,
        is_live: impl Fn(AttemptRef) -> bool + Send + 'static,
    ) -> io::Result<Freed> {
        let inner = self.inner.clone();
        blocking(move || {
            let mut freed = Freed::default();
            for path in &files {
                let Some((attempt, digest)) = name_of(path).and_then(note_in) else { continue };
                let Some(metadata) = not_found_is_none(fs::metadata(path))? else { continue };
                if !is_live(attempt) && is_older(metadata.modified()?, NOTE_KEPT) {
                    not_found_is_none(fs::remove_file(path))?;
                    freed.files += 1;
                } else {
                    inner.find(&digest)?;
                }
            }
            Ok(freed)
        })
        .await
    }

    /// Every blob.
    pub(crate) fn all(&self) -> io::Result<Walk> {
        let is_shard = |name: &str| name.len() == 2 && name.bytes().all(|c| c.is_ascii_hexdigit());
        Walk::of(&self.inner.root, is_shard)
    }

    /// Removes blobs that were neither marked nor used by `pass`, nor for `unnamed_for` before it.
    pub(crate) async fn remove_unmarked(
        &self,
        files: Vec<PathBuf>,
        pass: Pass,
        unnamed_for: Duration,
    ) -> io::Result<Freed> {
        let inner = self.inner.clone();
        blocking(move || {
            let mut freed = Freed::default();
            for path in &files {
                let shard = path.parent().and_then(name_of).unwrap_or_default();
                let Some(digest) = name_of(path).and_then(|rest| digest_in(&format!("{shard}{rest}"))) else {
                    continue;
                };
                let _locked = inner.lock(&digest);
                let Some(metadata) = not_found_is_none(fs::metadata(path))? else { continue };
                let unmarked = metadata.modified()? < pass.since;
                if unmarked && pass.since.duration_since(metadata.modified()?).is_ok_and(|age| age >= unnamed_for) {
                    not_found_is_none(fs::remove_file(path))?;
                    freed.add(Freed { files: 1, bytes: metadata.len() });
                }
            }
            Ok(freed)
        })
        .await
    }
}

impl Inner {
    pub(super) fn lock(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        self.locks[usize::from(digest.0[0]) % LOCKS].lock()
    }

    /// The size of a blob, which shows from now on that it is needed; `None` where there is none.
    pub(super) fn find(&self, digest: &Digest) -> io::Result<Option<u64>> {
        let path = self.path(digest);
        let _locked = self.lock(digest);
        let Some(metadata) = not_found_is_none(fs::metadata(&path))? else { return Ok(None) };
        if metadata.modified()? < self.uses.since() {
            File::open(&path)?.set_modified(self.uses.stamp())?;
        }
        Ok(Some(metadata.len()))
    }

    /// Whether there is such a right; it shows from now on that it was used.
    pub(super) fn use_right(&self, path: &Path, digest: &Digest) -> io::Result<bool> {
        let _locked = self.lock(digest);
        let Some(metadata) = not_found_is_none(fs::metadata(path))? else { return Ok(false) };
        if is_older(metadata.modified()?, RIGHT_TOUCH) {
            File::open(path)?.set_modified(SystemTime::now())?;
        }
        Ok(true)
    }

    /// Removes a right that was not used for `keep`; whether it did.
    fn right_is_over(&self, path: &Path, digest: &Digest, keep: Option<Duration>) -> io::Result<bool> {
        let Some(keep) = keep else { return Ok(false) };
        let _locked = self.lock(digest);
        let Some(metadata) = not_found_is_none(fs::metadata(path))? else { return Ok(false) };
        let over = is_older(metadata.modified()?, keep);
        if over {
            not_found_is_none(fs::remove_file(path))?;
        }
        Ok(over)
    }
}

fn is_older(modified: SystemTime, than: Duration) -> bool {
    SystemTime::now().duration_since(modified).is_ok_and(|age| age > than)
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn digest_in(name: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    hex::decode_to_slice(name, &mut digest).ok()?;
    Some(Digest(digest))
}

/// The attempt and the output that a note is about.
fn note_in(name: &str) -> Option<(AttemptRef, Digest)> {
    let mut parts = name.split('.');
    let (task, index, number) = (parts.next()?, parts.next()?, parts.next()?);
    let element = ElementRef { task: TaskId(task.parse().ok()?), index: index.parse().ok()? };
    Some((element.attempt(number.parse().ok()?), digest_in(parts.next()?)?))
}

#[cfg(test)]
mod tests;
