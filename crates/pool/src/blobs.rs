//! Content-addressed files: inputs and outputs of tasks.
//!
//! A blob lies under `DATA/blobs/<aa>/<the other 62 digits>`. It is written to `tmp/`, hashed on
//! the way, made durable, and renamed: a name in the store always has the whole content. What
//! is left in `tmp/` is removed at the start. A content whose digest its sender tells beforehand is
//! written to `partial/` instead, where it waits for its rest when the connection breaks. Start at
//! [`Blobs::writer`] and [`Blobs::resume`] for streams, at [`Blobs::put`] for small content.
//!
//! Whoever may use a blob as an input is written down beside it (`refs/<user>/<digest>`): knowing
//! a digest gives nobody the content, and nobody learns whether another user stored it. In the
//! same way an attempt's output is only what its own node sent for it (`refs/outputs/<attempt>`).
//!
//! Blobs that nothing names are removed in the background ([`crate::collect`]). Whoever gives one a new name,
//! durable or not yet, holds a [`Use`] from before it finds or stores the blob until the name is durable; finding
//! and storing show on the blob that it is needed, under a lock that its removal takes too ([`sweep`]).
//!
//! Invariant: nothing half-written is ever visible; no caller chooses a file name.

use crate::disk::{Disk, Promise};
use bytes::Bytes;
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::{AttemptRef, Bytes as Size, UserId};
use parking_lot::Mutex;
use partial::{Claim, Claimed, Partials};
use places::{Place, Places};
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::{NamedTempFile, TempPath};
use uses::Uses;

mod partial;
mod places;
mod sweep;
mod uses;
pub(crate) use partial::PartName;
pub(crate) use places::Sender;
pub(crate) use sweep::{Freed, Pass};
pub(crate) use uses::Use;

/// Locks of names.
const LOCKS: usize = 64;

/// Why content was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// More came than was announced or is allowed.
    #[error("more than the announced {0} bytes came")]
    TooLong(u64),
    /// Less came than was announced.
    #[error("{got} of the announced {announced} bytes came")]
    TooShort {
        /// What came.
        got: u64,
        /// What was announced.
        announced: u64,
    },
    /// It cannot go on there.
    #[error("{offset} is behind the {here} bytes that are here; ask how much is, and send on from there")]
    Offset {
        /// Where the sender wants to go on.
        offset: u64,
        /// What is here.
        here: u64,
    },
    /// What came has another digest.
    #[error(
        "what came has the digest {came}, and {announced} was announced; nothing of it was kept; send all of it again"
    )]
    WrongDigest {
        /// Of what came.
        came: Digest,
        /// What was announced.
        announced: Digest,
    },
    /// Too many are being written.
    #[error("too many uploads at once; try again later")]
    Busy,
    /// The disk is full, or fails.
    #[error(transparent)]
    Io(#[from] io::Error),
}

struct Inner {
    root: PathBuf,
    disk: Disk,
    places: Arc<Places>,
    partials: Arc<Partials>,
    uses: Arc<Uses>,
    /// A blob's name and its marks are looked at and changed under the lock of its digest's first byte.
    locks: [Mutex<()>; LOCKS],
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Blobs {
    inner: Arc<Inner>,
}

impl Blobs {
    /// The store under `root`; removes what was not finished.
    pub(crate) fn open(root: PathBuf, disk: Disk) -> io::Result<Self> {
        let unfinished = root.join("tmp");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        for folder in [root.clone(), unfinished, root.join("refs"), root.join("refs/outputs")] {
            make_folder(&folder)?;
        }
        let partials = Partials::open(root.join("partial"))?;
        let locks = [const { Mutex::new(()) }; LOCKS];
        let (places, uses) = (Arc::default(), Arc::default());
        Ok(Self { inner: Arc::new(Inner { root, disk, places, partials, uses, locks }) })
    }

    /// Begins a blob of exactly `size` bytes. Dropping the writer leaves nothing.
    ///
    /// # Errors
    /// [`BlobError::Busy`] where too many are being written; a full disk.
    pub(crate) async fn writer(&self, sender: Sender, size: u64) -> Result<BlobWriter, BlobError> {
        let place = self.inner.places.take(sender).ok_or(BlobError::Busy)?;
        let inner = self.inner.clone();
        let (promise, file) = blocking(move || {
            let promise = inner.disk.promise(size)?;
            Ok((promise, NamedTempFile::new_in(inner.root.join("tmp"))?))
        })
        .await?;
        Ok(BlobWriter {
            part: Some(Part::temporary(file, promise)),
            size,
            written: 0,
            announced: None,
            blobs: self.clone(),
            _place: place,
        })
    }

    /// Begins a blob whose content is told beforehand, or goes on with what an earlier try left of it, after
    /// its first `offset` bytes. Dropping the writer leaves what came, for another try.
    ///
    /// # Errors
    /// [`BlobError::Busy`] where too many are being written; [`BlobError::Offset`] where less is here; a full
    /// disk.
    pub(crate) async fn resume(
        &self,
        sender: Sender,
        name: PartName,
        whole: BlobRef,
        offset: u64,
    ) -> Result<BlobWriter, BlobError> {
        if offset > whole.size.0 {
            return Err(BlobError::TooLong(whole.size.0));
        }
        let place = self.inner.places.take(sender).ok_or(BlobError::Busy)?;
        let inner = self.inner.clone();
        let claimed = blocking(move || {
            let promise = inner.disk.promise(whole.size.0 - offset)?;
            Ok((promise, inner.partials.claim(&name, whole.size.0, offset)?))
        });
        let part = match claimed.await? {
            (promise, Ok(claimed)) => Part::kept(claimed, promise),
            (_, Err(here)) => return Err(BlobError::Offset { offset, here }),
        };
        Ok(BlobWriter {
            part: Some(part),
            size: whole.size.0,
            written: offset,
            announced: Some(whole.digest),
            blobs: self.clone(),
            _place: place,
        })
    }

    /// How much of a content is here of a try that broke off.
    pub(crate) async fn received(&self, name: PartName) -> io::Result<u64> {
        let inner = self.inner.clone();
        blocking(move || inner.partials.received(&name)).await
    }

    /// Removes what broke off long ago.
    pub(crate) async fn sweep_partials(&self, now: SystemTime) -> io::Result<()> {
        let inner = self.inner.clone();
        blocking(move || inner.partials.sweep(now)).await
    }

    /// Stores content that is in memory.
    pub(crate) async fn put(&self, content: Bytes) -> Result<BlobRef, BlobError> {
        let digest = digest_of(&content);
        let blob = BlobRef { digest, size: Size(content.len() as u64) };
        let inner = self.inner.clone();
        blocking(move || {
            if inner.find(&digest)?.is_some() {
                // Another writer may have renamed it a moment ago and not synced the folder yet.
                return File::open(parent(&inner.path(&digest))?)?.sync_all();
            }
            let _promise = inner.disk.promise(content.len() as u64)?;
            let mut file = NamedTempFile::new_in(inner.root.join("tmp"))?;
            file.write_all(&content)?;
            let (file, path) = file.into_parts();
            inner.keep(&file, Lies::Temporary(path), &digest)
        })
        .await?;
        Ok(blob)
    }

    /// The size of a stored blob; `None` where there is none. It is not removed while a [`Use`] lasts that began
    /// before.
    pub(crate) async fn size(&self, digest: Digest) -> io::Result<Option<u64>> {
        let inner = self.inner.clone();
        blocking(move || inner.find(&digest)).await
    }

    /// Opens a stored blob; `None` where there is none.
    pub(crate) async fn read(&self, digest: Digest) -> io::Result<Option<File>> {
        let inner = self.inner.clone();
        blocking(move || not_found_is_none(File::open(inner.path(&digest)))).await
    }

    /// Writes down, durably, that `user` may use the blob as an input.
    pub(crate) async fn allow(&self, user: UserId, digest: Digest) -> io::Result<()> {
        let inner = self.inner.clone();
        blocking(move || {
            let path = inner.reference(user, &digest);
            let folder = parent(&path)?;
            make_folder(folder)?;
            {
                let _locked = inner.lock(&digest);
                File::create(&path)?.set_modified(SystemTime::now())?;
            }
            File::open(folder)?.sync_all()
        })
        .await
    }

    /// The size of a blob that `user` may use as an input; `None` where there is none. This uses their right to it
    /// as [`Blobs::size`] uses the blob.
    pub(crate) async fn size_for(&self, user: UserId, digest: Digest) -> io::Result<Option<u64>> {
        let inner = self.inner.clone();
        let allowed = blocking(move || inner.use_right(&inner.reference(user, &digest), &digest)).await?;
        if allowed { self.size(digest).await } else { Ok(None) }
    }

    /// Writes down, durably, that the node of `attempt` sent the blob as its output.
    pub(crate) async fn note_output(&self, attempt: AttemptRef, digest: Digest) -> io::Result<()> {
        let inner = self.inner.clone();
        blocking(move || {
            let path = inner.output(attempt, &digest);
            File::create(&path)?;
            File::open(parent(&path)?)?.sync_all()
        })
        .await
    }

    /// The size of a blob that the node of `attempt` sent as its output; `None` where it sent none.
    pub(crate) async fn output_size(&self, attempt: AttemptRef, digest: Digest) -> io::Result<Option<u64>> {
        let inner = self.inner.clone();
        let sent = blocking(move || inner.output(attempt, &digest).try_exists()).await?;
        if sent { self.size(digest).await } else { Ok(None) }
    }

    /// Forgets what [`Blobs::note_output`] wrote, once the attempt's end is durable.
    pub(crate) async fn forget_output(&self, attempt: AttemptRef, digest: Digest) -> io::Result<()> {
        let inner = self.inner.clone();
        blocking(move || not_found_is_none(fs::remove_file(inner.output(attempt, &digest))).map(drop)).await
    }
}

impl Inner {
    fn path(&self, digest: &Digest) -> PathBuf {
        let name = hex::encode(digest.0);
        self.root.join(&name[..2]).join(&name[2..])
    }

    fn reference(&self, user: UserId, digest: &Digest) -> PathBuf {
        self.root.join("refs").join(user.0.to_string()).join(hex::encode(digest.0))
    }

    fn output(&self, attempt: AttemptRef, digest: &Digest) -> PathBuf {
        let AttemptRef { element, number } = attempt;
        let name = format!("{}.{}.{number}.{}", element.task.0, element.index, hex::encode(digest.0));
        self.root.join("refs/outputs").join(name)
    }

    /// Makes a finished file durable and gives it its name.
    fn keep(&self, file: &File, lies: Lies, digest: &Digest) -> io::Result<()> {
        let path = self.path(digest);
        let folder = parent(&path)?;
        make_folder(folder)?;
        file.set_modified(self.uses.stamp())?;
        file.sync_all()?;
        let locked = self.lock(digest);
        match lies {
            Lies::Temporary(from) => from.persist(&path).map_err(|error| error.error)?,
            Lies::Kept(claim) => claim.rename(&path)?,
        }
        drop(locked);
        File::open(folder)?.sync_all()
    }
}

/// Where the file of a blob lies that is being written.
enum Lies {
    /// Nowhere for long.
    Temporary(TempPath),
    /// Where it waits for its rest.
    Kept(Claim),
}

struct Part {
    file: File,
    lies: Lies,
    hash: Sha256,
    promise: Promise,
}

impl Part {
    fn temporary(file: NamedTempFile, promise: Promise) -> Self {
        let (file, path) = file.into_parts();
        Self { file, lies: Lies::Temporary(path), hash: Sha256::new(), promise }
    }

    fn kept(claimed: Claimed, promise: Promise) -> Self {
        let Claimed { claim, file, hash } = claimed;
        Self { file, lies: Lies::Kept(claim), hash, promise }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let file = &mut self.file;
        match &self.lies {
            Lies::Temporary(_) => file.write_all(data)?,
            Lies::Kept(claim) => claim.while_mine(|| file.write_all(data))?,
        }
        self.hash.update(data);
        self.promise.spend(data.len() as u64);
        Ok(())
    }
}

/// A blob that is being written.
pub(crate) struct BlobWriter {
    /// `None` after a failed write.
    part: Option<Part>,
    size: u64,
    written: u64,
    /// What it must be.
    announced: Option<Digest>,
    blobs: Blobs,
    _place: Place,
}

impl BlobWriter {
    /// Adds `data`.
    ///
    /// # Errors
    /// More than announced; a full or failing disk. What has no announced digest is lost then.
    pub(crate) async fn write(&mut self, data: Bytes) -> Result<(), BlobError> {
        let total = self.written.saturating_add(data.len() as u64);
        if total > self.size {
            return Err(BlobError::TooLong(self.size));
        }
        let mut part = self.part.take().ok_or_else(|| io::Error::other("the upload has failed before"))?;
        let part = blocking(move || part.write(&data).map(|()| part)).await?;
        self.part = Some(part);
        self.written = total;
        Ok(())
    }

    /// Ends the blob: it is durable and has its name when this returns.
    ///
    /// # Errors
    /// Less than announced; another digest than announced; a full or failing disk. Nothing is in the store
    /// then, and nothing is left of what has the wrong digest.
    pub(crate) async fn finish(mut self) -> Result<BlobRef, BlobError> {
        if self.written != self.size {
            return Err(BlobError::TooShort { got: self.written, announced: self.size });
        }
        let part = self.part.take().ok_or_else(|| io::Error::other("the upload has failed before"))?;
        let (inner, announced) = (self.blobs.inner.clone(), self.announced);
        let finished = blocking(move || {
            let came = Digest(part.hash.finalize().into());
            match (announced, part.lies) {
                (Some(announced), lies) if announced != came => {
                    match lies {
                        Lies::Temporary(path) => path.close()?,
                        Lies::Kept(claim) => claim.discard()?,
                    }
                    Ok(Err(BlobError::WrongDigest { came, announced }))
                }
                (_, lies) => inner.keep(&part.file, lies, &came).map(|()| Ok(came)),
            }
        });
        let digest = finished.await??;
        Ok(BlobRef { digest, size: Size(self.size) })
    }
}

/// SHA-256 of `content`.
pub(crate) fn digest_of(content: &[u8]) -> Digest {
    Digest(Sha256::digest(content).into())
}

/// Runs file work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| io::Error::other(format!("file work did not end: {error}")))?
}

fn not_found_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::other("a blob's path has a folder"))
}

/// Makes a folder for the pool's user alone, durably, where it is not there.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => File::open(parent(folder)?)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
