//! Where the worker keeps what on disk, and the lock that makes it one worker's.
//!
//! ```text
//! DATA/worker/lock           held by the running worker
//!             identity.pem   key and certificate of the node (0600)
//!             ca.pem         the pool's authority
//!             page.token     what opens the owner's page (0600)
//!             pool.toml      the pool's address, the node's id and name
//!             spool.redb     results that wait for the pool
//!             logs/          streams of attempts, `att_1.0.1.out` and `.err`
//!             outputs/       output archives that wait for the pool, `att_1.0.1.tar`
//!             cache/         inputs by digest
//!             scratch/       emptied at every start
//! ```
//!
//! Start at [`Folders::lock`].
//!
//! Invariant: nothing outside DATA/worker is written or removed.

use crate::capture::{attempt_of, remove_if_there};
use anyhow::{Context, bail};
use hivemind_model::AttemptRef;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug)]
pub(crate) struct Folders {
    /// DATA/worker.
    pub root: PathBuf,
    /// Streams.
    pub logs: PathBuf,
    /// Output archives.
    pub outputs: PathBuf,
    /// Inputs.
    pub cache: PathBuf,
    /// Files under way.
    pub scratch: PathBuf,
}

/// Held for as long as the worker runs; the system lets go of it when the process ends, however.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for what its drop does")] File);

impl Folders {
    /// Makes the folders under `data` and takes the lock.
    ///
    /// # Errors
    /// Where another worker has it, or the disk refuses.
    pub(crate) fn lock(data: &Path) -> anyhow::Result<(Self, Lock)> {
        let root = data.join("worker");
        let sub = |name: &str| root.join(name);
        let folders =
            Self { logs: sub("logs"), outputs: sub("outputs"), cache: sub("cache"), scratch: sub("scratch"), root };
        make_private(&folders.root)?;
        let path = folders.root.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.with_context(|| format!("cannot open {}; is the folder this user's?", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another worker runs on {}; stop it first, or give this one its own data folder",
                    folders.root.display()
                );
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
        for folder in [&folders.logs, &folders.outputs, &folders.cache, &folders.scratch] {
            make_private(folder)?;
        }
        Ok((folders, Lock(file)))
    }

    /// Where the output archive of `attempt` waits for the pool.
    pub(crate) fn output(&self, attempt: AttemptRef) -> PathBuf {
        self.outputs.join(format!("{attempt}.tar"))
    }

    /// Removes what an earlier process left of attempts that are not in `kept`, and every file
    /// that was under way. Files that are none of ours are left alone.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn sweep(&self, kept: &BTreeSet<AttemptRef>) -> io::Result<()> {
        for entry in fs::read_dir(&self.scratch)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(&path)? } else { remove_if_there(&path)? }
        }
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if is_half_written(&entry.file_name().to_string_lossy()) {
                remove_if_there(&entry.path())?;
            }
        }
        for folder in [&self.logs, &self.outputs] {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let attempt = entry.file_name().to_str().and_then(attempt_of);
                if attempt.is_some_and(|attempt| !kept.contains(&attempt)) {
                    remove_if_there(&entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// True for what a process that was killed left of a file that it was about to replace: `.node-key.pem.77.0.tmp`.
fn is_half_written(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// DATA/worker and its folder for files under way, made where they are missing.
///
/// # Errors
/// What the disk says.
pub(crate) fn prepare(data: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let root = data.join("worker");
    let scratch = root.join("scratch");
    make_private(&scratch)?;
    Ok((root, scratch))
}

fn make_private(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{ElementRef, TaskId};

    #[test]
    fn two_workers_do_not_share_a_folder() {
        let data = tempfile::tempdir().unwrap();
        let first = Folders::lock(data.path()).unwrap();
        let refused = Folders::lock(data.path()).unwrap_err().to_string();
        assert!(refused.contains("another worker runs on"), "{refused}");
        drop(first);
        Folders::lock(data.path()).unwrap();
    }

    #[test]
    fn a_sweep_keeps_what_waits_for_the_pool_and_what_is_not_ours() {
        let data = tempfile::tempdir().unwrap();
        let (folders, _lock) = Folders::lock(data.path()).unwrap();
        let names = [
            "logs/att_1.0.1.out",
            "logs/att_2.0.1.err",
            "logs/notes.txt",
            "outputs/att_2.0.1.tar",
            "scratch/x",
            ".pool.toml.77.0.tmp",
            "notes.tmp",
        ];
        for name in names {
            fs::write(folders.root.join(name), "x").unwrap();
        }
        let kept = BTreeSet::from([ElementRef::only(TaskId(1)).attempt(1)]);
        folders.sweep(&kept).unwrap();
        let left: Vec<&str> = names.into_iter().filter(|name| folders.root.join(name).exists()).collect();
        assert_eq!(left, ["logs/att_1.0.1.out", "logs/notes.txt", "notes.tmp"]);
    }
}
