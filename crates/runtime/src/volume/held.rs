//! A file system kept mounted between the end of a command and the collection of its outputs.
//!
//! The mount belongs to no folder: it exists as an open file of this process, nobody else can
//! enter it, and it is gone when this process is, however it ends. It saves the daemon from
//! mounting the disk anew for each look into it.
//!
//! Invariant: here only the presence of one name is ever asked; no content is read.

use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The mounted root of a volume.
#[derive(Debug)]
pub(super) struct Held(OwnedFd);

impl Held {
    /// Mounts the file system on `device`.
    pub(super) fn mount(device: &str) -> io::Result<Self> {
        let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "source", device)?;
        // The tables are zero already; the kernel need not write them.
        fsconfig_set_flag(&context, "noinit_itable")?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_NOATIME;
        Ok(Self(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// True where there certainly is no such name at the root.
    pub(super) fn lacks(&self, name: &str) -> bool {
        matches!(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
