//! A disk without a name: nothing on this machine leads to it but the mounts of those who use it.
//!
//! Its file is deleted as soon as it is mounted, and its device goes with the last mount. So nothing of it is
//! left whoever is killed when.
//!
//! Invariant: there is nothing to sweep once [`Volumes::unnamed`] returned.

use super::held::Held;
use super::{Volumes, absent_is_fine, loops, remove_image, spawn_blocking};
use hivemind_model::AttemptRef;
use hivemind_model::units::Bytes;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// The disk, kept mounted where nobody can enter it but through this.
#[derive(Debug)]
pub struct Unnamed {
    held: Held,
    device: PathBuf,
}

impl Unnamed {
    /// Its root.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }

    /// The block device, to be mounted a second time while this lives.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }
}

impl Volumes {
    /// A fresh disk with room for at least `size`, the file system's own tables apart.
    ///
    /// # Errors
    /// Where this machine has no room, no loop devices (Linux before 5.8) or no ext4, or this process may not
    /// mount.
    pub async fn unnamed(&self, attempt: AttemptRef, size: Bytes) -> io::Result<Unnamed> {
        let file = self.file_of(attempt);
        let made = match self.image(&file, size).await {
            Ok(()) => {
                let source = file.clone();
                spawn_blocking(move || mount(&source)).await
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(made) => absent_is_fine(std::fs::remove_file(&file)).map(|()| made),
            Err(error) => {
                if let Err(leftover) = remove_image(&file).await {
                    tracing::warn!(file = %file.display(), error = %leftover, "an image file stays until the next start");
                }
                Err(error)
            }
        }
    }
}

fn mount(file: &Path) -> io::Result<Unnamed> {
    let device = loops::attach(file)?;
    let name = device.path.to_str().ok_or_else(|| io::Error::other("a device without a plain name"))?;
    let held = Held::mount(name)?;
    Ok(Unnamed { held, device: device.path })
}
