//! The disk behind /task: a file system of exactly the promised size.
//!
//! Start at [`Volumes::disk`], for who mounts by the name of a device, and [`Volumes::unnamed`], for who
//! mounts by itself. A sparse file of the wanted size is formatted and attached to a loop device, so that a
//! task that writes too much gets ENOSPC and the owner's disk stays free. Formatting takes two processes;
//! what they wrote is kept per size and copied from then on.
//!
//! Invariant: nothing of a task's content is ever read here.

use hivemind_model::AttemptRef;
use hivemind_model::units::Bytes;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tokio::process::Command;

mod abandoned;
mod held;
mod loops;
mod template;
mod unnamed;
pub(crate) use abandoned::Abandoned;
pub(crate) use held::Held;
use template::Template;
pub use unnamed::Unnamed;

/// `nobody` and `nogroup`: a user that owns nothing on any machine, and everything on a disk made here.
pub const USER_ID: u32 = 65534;
/// Most sizes whose fresh file system is kept.
const MOST_TEMPLATES: usize = 16;
/// Ends the name of each image file.
const SUFFIX: &str = ".img";
/// Stands in the file names before the attempt.
const TRIAL: &str = "trial";

/// How the size of /task is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskLimit {
    /// By a file system of that size where this process may make one, else not.
    Detect,
    /// Not at all: a plain volume. For a machine where the agent is not root.
    None,
}

/// The volumes of this agent.
#[derive(Debug)]
pub struct Volumes {
    folder: PathBuf,
    /// Why no limited volumes can be made; `None` where they can.
    unlimited: Option<String>,
    templates: Mutex<HashMap<u64, Arc<Template>>>,
}

/// A file system of its own, and what it stands on.
#[derive(Debug)]
pub(crate) struct Disk {
    device: String,
    file: PathBuf,
    held: Option<Arc<Held>>,
}

impl Volumes {
    /// Opens `folder` and tries whether limited volumes can be made.
    ///
    /// # Errors
    /// A sentence for people where the folder cannot be made.
    pub async fn open(folder: &Path, limit: DiskLimit) -> Result<Self, String> {
        let folder = folder_of(folder);
        // Nobody else on this machine has to see what a task keeps in it.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
            format!(
                "the folder {} cannot be made: {error}; give the agent a data folder that it may write",
                folder.display()
            )
        })?;
        let mut volumes = Self { folder, unlimited: None, templates: Mutex::default() };
        volumes.unlimited = match limit {
            DiskLimit::None => Some("switched off".into()),
            DiskLimit::Detect => volumes.trial().await.err(),
        };
        Ok(volumes)
    }

    /// Why volumes have no limit, or `None` where they have one.
    #[must_use]
    pub fn unlimited(&self) -> Option<&str> {
        self.unlimited.as_deref()
    }

    /// Where the image files lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A fresh file system with room for at least `size`, its own tables apart, on a device.
    pub(crate) async fn disk(&self, attempt: AttemptRef, size: Bytes) -> io::Result<Disk> {
        let file = self.file_of(attempt);
        match self.make(&file, size).await {
            Ok(device) => Ok(Disk { held: hold(&device).await, device, file }),
            Err(error) => {
                if let Err(leftover) = remove_image(&file).await {
                    tracing::warn!(file = %file.display(), error = %leftover, "an image file stays until the next start");
                }
                Err(error)
            }
        }
    }

    fn file_of(&self, attempt: AttemptRef) -> PathBuf {
        self.folder.join(format!("{attempt}{SUFFIX}"))
    }

    async fn make(&self, path: &Path, size: Bytes) -> io::Result<String> {
        self.image(path, size).await?;
        attach(path).await
    }

    /// Makes the file `path` with a fresh file system in it.
    async fn image(&self, path: &Path, size: Bytes) -> io::Result<()> {
        let bytes = size_of_image(size);
        let known = self.templates.lock().get(&bytes).cloned();
        match known {
            Some(template) => {
                let path = path.to_owned();
                spawn_blocking(move || template.write(&path)).await
            }
            None => self.format(path, bytes).await,
        }
    }

    async fn format(&self, path: &Path, bytes: u64) -> io::Result<()> {
        private_file(path)?.set_len(bytes)?;
        // No journal: the file system lives as long as one attempt. No reserve for root.
        let options = format!("lazy_itable_init=1,nodiscard,root_owner={USER_ID}:{USER_ID}");
        let target = path.as_os_str();
        run(
            "mkfs.ext4",
            &[
                "-q".as_ref(),
                "-F".as_ref(),
                "-m".as_ref(),
                "0".as_ref(),
                "-O".as_ref(),
                "^has_journal".as_ref(),
                "-E".as_ref(),
                options.as_ref(),
                target,
            ],
        )
        .await?;
        // A task that lists /task sees its own files only.
        run("debugfs", &["-w".as_ref(), "-R".as_ref(), "rmdir lost+found".as_ref(), target]).await?;
        let source = path.to_owned();
        if let Some(template) = spawn_blocking(move || Template::read(&source)).await? {
            let mut templates = self.templates.lock();
            if templates.len() < MOST_TEMPLATES {
                templates.insert(bytes, Arc::new(template));
            }
        }
        Ok(())
    }

    /// Makes and removes a small one.
    async fn trial(&self) -> Result<(), String> {
        if !rustix::process::geteuid().is_root() {
            return Err("the agent is not root, and only root can make loop devices".into());
        }
        // Named by the process: two agents of one machine may share the folder by mistake.
        let path = self.folder.join(format!("{TRIAL}-{}{SUFFIX}", std::process::id()));
        let made = match remove_image(&path).await {
            Ok(()) => self.make(&path, Bytes::from_mib(4)).await.map(drop),
            Err(error) => Err(error),
        };
        let removed = remove_image(&path).await;
        made.and(removed).map_err(|error| format!("loop devices cannot be used here: {error}"))
    }

    /// Removes the image files of attempts that are not in `live`.
    ///
    /// # Errors
    /// Which could not be removed, for people.
    pub async fn sweep(&self, live: &HashSet<AttemptRef>) -> Result<(), String> {
        let failed = |error: io::Error| format!("the folder {} cannot be swept: {error}", self.folder.display());
        let mut stuck = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(stem) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(SUFFIX)) else { continue };
            if stem.parse().is_ok_and(|attempt| live.contains(&attempt)) {
                continue;
            }
            if let Err(error) = remove_image(&path).await {
                stuck.push(format!("{}: {error}", path.display()));
            }
        }
        if stuck.is_empty() { Ok(()) } else { Err(format!("image files could not be removed: {}", stuck.join("; "))) }
    }
}

impl Disk {
    /// True where the task certainly left nothing of that name in /task.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        self.held.as_ref().is_some_and(|held| held.lacks(name))
    }

    /// The file system, where this process keeps it mounted. It stays mounted for as long as anybody has it.
    pub(crate) fn held(&self) -> Option<Arc<Held>> {
        self.held.clone()
    }

    /// The block device, as a path.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// Takes away the device and the file; nobody may have it mounted any more.
    pub(crate) async fn release(&mut self) -> io::Result<()> {
        if let Some(held) = self.held.take() {
            // What the task wrote last is written out here.
            spawn_blocking(move || {
                drop(held);
                Ok(())
            })
            .await?;
        }
        detach(&self.device).await?;
        absent_is_fine(std::fs::remove_file(&self.file))
    }
}

/// Keeps the file system on `device` mounted; `None` on kernels before 5.2, where the daemon is
/// asked instead.
async fn hold(device: &str) -> Option<Arc<Held>> {
    let source = device.to_owned();
    let held = spawn_blocking(move || Held::mount(&source)).await;
    held.inspect_err(|error| tracing::debug!(device, %error, "the disk is not kept mounted")).ok().map(Arc::new)
}

/// The size of the image: what was asked for, and about what ext4 takes for its tables.
fn size_of_image(size: Bytes) -> u64 {
    const PAGE: u64 = 4096;
    let wanted = size.0.saturating_add(size.0 / 32).saturating_add(1 << 20);
    wanted.div_ceil(PAGE).saturating_mul(PAGE)
}

/// Where the image files lie under an agent's folder.
fn folder_of(state: &Path) -> PathBuf {
    state.join("volumes")
}

/// Makes a file that must not exist and that nobody else may read.
fn private_file(path: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Detaches whatever device stands on `path`, and removes it.
async fn remove_image(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    if rustix::process::geteuid().is_root() {
        let devices = run(
            "losetup",
            &["--noheadings".as_ref(), "--output".as_ref(), "NAME".as_ref(), "--associated".as_ref(), path.as_os_str()],
        )
        .await?;
        for device in devices.lines().map(str::trim).filter(|line| !line.is_empty()) {
            detach(device).await?;
        }
    }
    absent_is_fine(std::fs::remove_file(path))
}

async fn attach(path: &Path) -> io::Result<String> {
    let device = run("losetup", &["--find".as_ref(), "--show".as_ref(), path.as_os_str()]).await?;
    let device = device.trim();
    if device.starts_with("/dev/") {
        return Ok(device.to_owned());
    }
    Err(io::Error::other(format!("losetup named no device but `{device}`")))
}

async fn detach(device: &str) -> io::Result<()> {
    match run("losetup", &["--detach".as_ref(), device.as_ref()]).await {
        // Detached already, by an earlier try.
        Err(error) if error.to_string().contains("No such device") => Ok(()),
        other => other.map(drop),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

async fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Runs one of the system's disk tools and gives what it printed.
async fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> io::Result<String> {
    // These live in sbin, which is not in everybody's search path.
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let done = Command::new(program)
        .args(arguments)
        .env("PATH", places)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let done = done.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said: String = String::from_utf8_lossy(&done.stderr).trim().chars().take(500).collect();
    Err(io::Error::other(format!("{program} failed ({}): {said}", done.status)))
}

#[cfg(test)]
mod tests;
