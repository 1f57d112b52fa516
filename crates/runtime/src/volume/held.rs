//! A file system kept mounted between the end of a command and the collection of its outputs.
//!
//! The mount belongs to no folder: it exists as an open file of this process, nobody else can
//! enter it, and it is gone when this process is, however it ends. It saves the daemon from
//! mounting the disk anew for each look into it.
//!
//! Invariant: whoever reads in it follows no link; the file system is a task's.

use super::USER_ID;
use rustix::fs::{AtFlags, Gid, Mode, Uid, chownat, fstatvfs, mkdirat, statat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The mounted root of a volume.
#[derive(Debug)]
pub(crate) struct Held(OwnedFd);

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

    /// Bytes that are in use; zero where that cannot be found out.
    pub(crate) fn used(&self) -> u64 {
        let Ok(stat) = fstatvfs(&self.0) else { return 0 };
        stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize)
    }

    /// Makes a folder at the root, of the job's user; where it is there already, nothing.
    pub(crate) fn make_folder(&self, name: &str) -> io::Result<()> {
        match mkdirat(&self.0, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let (user, group) = (Some(Uid::from_raw(USER_ID)), Some(Gid::from_raw(USER_ID)));
        Ok(chownat(&self.0, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// True where there certainly is no such name at the root.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        matches!(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
