//! The daemon's volume for /task, and the disk behind it.
//!
//! Start at [`Volume::prepare`]. The daemon mounts a device with a file system of exactly the promised size.
//! Where this process may not make such devices, a plain volume of the daemon is used, and `health` says that
//! it has no limit.
//!
//! Invariant: nothing of a task's content is ever read here; who does so, through what is held, follows no link.

use super::create::{TaskVolume, name_of};
use super::daemon::io_fault;
use crate::volume::{Disk, Held, Volumes};
use hivemind_model::AttemptRef;
use hivemind_model::state::Outcome;
use hivemind_model::units::Bytes;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

pub(super) mod plain;

/// One volume, and what it stands on.
#[derive(Debug)]
pub(super) struct Volume {
    /// As the container's request names it.
    pub(super) source: TaskVolume,
    disk: Option<Disk>,
}

impl Volume {
    /// A fresh volume with room for at least `size`, the file system's own tables apart.
    pub(super) async fn prepare(
        volumes: &Volumes,
        instance: &str,
        attempt: AttemptRef,
        size: Bytes,
    ) -> Result<Self, Outcome> {
        let name = name_of(instance, attempt);
        if volumes.unlimited().is_some() {
            return Ok(Self { source: TaskVolume { name, device: None }, disk: None });
        }
        let disk = volumes.disk(attempt, size).await.map_err(|error| {
            io_fault(
                &format!("the disk for /task ({size}) could not be made in {}", volumes.folder().display()),
                &error,
            )
        })?;
        Ok(Self { source: TaskVolume { name, device: Some(disk.device().to_owned()) }, disk: Some(disk) })
    }

    /// The file system, where this process keeps it mounted. It stays mounted for as long as anybody has it.
    pub(super) fn held(&self) -> Option<Arc<Held>> {
        self.disk.as_ref().and_then(Disk::held)
    }

    /// What the progress file says last.
    pub(super) async fn percent(&self) -> Option<u8> {
        let held = self.held()?;
        tokio::task::spawn_blocking(move || crate::progress::percent(held.as_fd())).await.ok().flatten()
    }

    /// True where the task certainly left nothing of that name in /task.
    pub(super) fn lacks(&self, name: &str) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.lacks(name))
    }

    /// Takes away the device and the file; the daemon's volume must be gone already.
    pub(super) async fn release(&mut self) -> io::Result<()> {
        match &mut self.disk {
            Some(disk) => disk.release().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::DiskLimit;
    use hivemind_model::{ElementRef, TaskId};

    #[tokio::test]
    async fn a_plain_volume_has_neither_device_nor_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let volumes = Volumes::open(folder.path(), DiskLimit::None).await.expect("opened");
        assert_eq!(volumes.unlimited(), Some("switched off"));
        let attempt = ElementRef::only(TaskId(1)).attempt(1);
        let mut volume = Volume::prepare(&volumes, "i", attempt, Bytes::from_mib(4)).await.expect("prepared");
        assert_eq!(volume.source, TaskVolume { name: "hivemind-i-att_1.0.1".into(), device: None });
        assert!(!volume.lacks("output"), "nobody looked");
        volume.release().await.expect("released");
    }
}
