//! The container's file systems.
//!
//! Start at [`root`]. The image's layers lie under a small layer of the container's own, in which the places
//! to mount on are made; then it becomes read-only. All of it exists in the container's own namespace only,
//! and goes with it.
//!
//! Invariant: no folder of this machine is mounted but the image's layers, and no device but /task's.

use super::spec::{Failure, Fault, Spec};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, lstat, mkdirat, mknodat, openat2, stat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, mount_bind, mount_change,
    mount_remount, move_mount, unmount,
};
use rustix::process::{chdir, pivot_root};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The container's own layer: places to mount on and three small files.
const OWN_LAYER: &str = "size=1m,nr_inodes=4k,mode=755";
/// /tmp; counts as memory of the job.
const TMP: &str = "size=64m,nr_inodes=64k,mode=1777";
/// /dev/shm; counts as memory of the job.
const SHARED_MEMORY: &str = "size=64m,nr_inodes=64k,mode=1777";
/// Each folder that an image declares as a volume.
const DECLARED_VOLUME: &str = "size=16m,nr_inodes=16k,mode=1777";
/// Folders at the root that something is mounted on.
const PLACES: [&str; 4] = ["proc", "sys", "dev", "task"];
/// Character devices of /dev: name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Links in /dev.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// What shows nothing: it tells of the machine, or has been a way out.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/bpf",
];
/// What can be read only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Mounts the disk of /task, not yet anywhere.
pub(super) fn disk(device: &Path) -> io::Result<OwnedFd> {
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", device)?;
    // The tables are zero already; the kernel need not write them.
    fsconfig_set_flag(&context, "noinit_itable")?;
    fsconfig_create(&context)?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOATIME;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Says what was being done.
fn doing<T>(what: impl std::fmt::Display, result: Result<T, Errno>) -> Result<T, Failure> {
    result.map_err(|error| Failure::machine(what, error))
}

fn text(value: &str) -> Result<CString, Failure> {
    CString::new(value).map_err(|error| Failure::machine("a path with a zero byte", error))
}

/// Gives this process, which has a mount namespace of its own, the container's root and nothing else.
pub(super) fn root(spec: &Spec, disk: OwnedFd) -> Result<(), Failure> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    doing("mounts could not be made private", mount_change("/", private))?;
    stack(spec)?;
    let own = MountFlags::NOSUID | MountFlags::NODEV;
    // With the same name twice the old root lies over the new one, and nothing of it is left after the detaching.
    doing("the root could not be changed", pivot_root(".", "."))?;
    doing("the machine's root could not be left", unmount(".", UnmountFlags::DETACH))?;
    doing("the root could not be entered", chdir("/"))?;
    places(spec)?;
    for (name, content) in
        [("etc/hostname", "task\n"), ("etc/hosts", spec.hosts.as_str()), ("etc/resolv.conf", spec.resolvers.as_str())]
    {
        own_file(name, content)
            .map_err(|error| Failure::machine(format_args!("/{name} could not be written"), error))?;
    }
    doing(
        "the root could not be made read-only",
        mount_remount("/", own | MountFlags::RDONLY | MountFlags::BIND, c""),
    )?;
    kernel_views(spec)?;
    devices()?;
    if !spec.volumes.iter().any(|path| path == "/tmp") {
        small(&own_place("/tmp")?, TMP)?;
    }
    for path in spec.volumes.iter().filter(|path| !path.starts_with("/task/") && *path != "/task") {
        declared(path)?;
    }
    doing("/task could not be mounted", onto(&disk, "task"))?;
    // An image may declare folders in /task, too.
    for path in spec.volumes.iter().filter(|path| path.starts_with("/task/")) {
        declared_folders(path)?;
        declared(path)?;
    }
    mask()?;
    doing("/task could not be entered", chdir("/task"))
}

/// Stacks the layers, and makes their root the present folder.
fn stack(spec: &Spec) -> Result<(), Failure> {
    let scratch = spec.scratch.as_path();
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    doing(
        format_args!("nothing could be mounted on {}", scratch.display()),
        mount("tmpfs", scratch, "tmpfs", flags, &*text(OWN_LAYER)?),
    )?;
    for name in ["upper", "work", "root"] {
        doing(
            "the container's own layer could not be made",
            mkdirat(CWD, scratch.join(name), Mode::from_raw_mode(0o755)),
        )?;
    }
    // Short names from here, because all of them together have to fit into a page.
    doing(format_args!("{} cannot be entered", spec.layers_folder.display()), chdir(&spec.layers_folder))?;
    let scratch = scratch.to_str().filter(|path| !path.contains([',', ':', '\\'])).ok_or_else(|| {
        Failure::machine("the runtime's folder has `,`, `:` or `\\` in its path", "give it another one")
    })?;
    // A layer that is there twice counts where it is highest: what is below is hidden by the same. The kernel takes none twice.
    let mut seen = BTreeSet::new();
    let layers: Vec<&str> = spec.layers.iter().map(String::as_str).filter(|layer| seen.insert(*layer)).collect();
    let options = format!("lowerdir={},upperdir={scratch}/upper,workdir={scratch}/work", layers.join(":"));
    let root = format!("{scratch}/root");
    doing("the image's layers could not be stacked", mount("overlay", &root, "overlay", flags, &*text(&options)?))?;
    doing("the root could not be entered", chdir(&root))
}

/// Makes what is mounted on. The image may have these as folders, and as nothing else.
fn places(spec: &Spec) -> Result<(), Failure> {
    for name in PLACES.into_iter().chain(["etc", "tmp"]) {
        match mkdirat(CWD, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                // What is mounted on has to be where its name says; the others may be links within the image.
                let found = if PLACES.contains(&name) { lstat(name) } else { stat(name) };
                if !found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory) {
                    return Err(Failure { fault: Fault::Image, reason: format!("the image's /{name} is no folder") });
                }
            }
            Err(error) => return doing(format_args!("/{name} could not be made"), Err(error)),
        }
    }
    spec.volumes.iter().filter(|path| !path.starts_with("/task")).try_for_each(|path| declared_folders(path))
}

/// As [`folders`], of a volume. What may be in its way is the image's.
fn declared_folders(path: &str) -> Result<(), Failure> {
    doing(format_args!("{path}, which the image declares as a volume, could not be made"), folders(path))
        .map_err(|failure| Failure { fault: Fault::Image, ..failure })
}

/// Makes the folders of `path` that are not there.
fn folders(path: &str) -> Result<(), Errno> {
    for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
        match mkdirat(CWD, &path[..at], Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes a file of the container's own, whatever the image has in its place.
fn own_file(name: &str, content: &str) -> io::Result<()> {
    match unlinkat(CWD, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        // A folder of that name stays as it is.
        Err(Errno::ISDIR | Errno::PERM) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat2(CWD, name, flags, Mode::from_raw_mode(0o644), ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH);
    match file {
        Ok(file) => std::fs::File::from(file).write_all(content.as_bytes()),
        // The image's /etc is a link: what it leads to is the image's own business.
        Err(Errno::LOOP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// /proc, /sys and the control groups.
fn kernel_views(spec: &Spec) -> Result<(), Failure> {
    let bare = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    doing("/proc could not be mounted", mount("proc", "/proc", "proc", bare, None::<&CStr>))?;
    doing("/sys could not be mounted", mount("sysfs", "/sys", "sysfs", bare | MountFlags::RDONLY, None::<&CStr>))?;
    let place = "/sys/fs/cgroup";
    let views = spec.group.views();
    let Some(controllers) = views else {
        return doing(
            format_args!("{place} could not be mounted"),
            mount("cgroup", place, "cgroup2", bare | MountFlags::RDONLY, None::<&CStr>),
        );
    };
    doing(format_args!("{place} could not be mounted"), mount("tmpfs", place, "tmpfs", bare, c"size=64k,mode=755"))?;
    for (name, options) in &controllers {
        let folder = format!("{place}/{name}");
        doing(format_args!("{folder} could not be made"), mkdirat(CWD, &folder, Mode::from_raw_mode(0o755)))?;
        doing(
            format_args!("{folder} could not be mounted"),
            mount("cgroup", &folder, "cgroup", bare | MountFlags::RDONLY, &*text(options)?),
        )?;
    }
    doing(
        format_args!("{place} could not be made read-only"),
        mount_remount(place, bare | MountFlags::RDONLY | MountFlags::BIND, c""),
    )
}

/// /dev with what every program may expect, and nothing of this machine's hardware.
fn devices() -> Result<(), Failure> {
    let bare = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::STRICTATIME;
    doing("/dev could not be mounted", mount("tmpfs", "/dev", "tmpfs", flags, c"size=64k,nr_inodes=1k,mode=755"))?;
    for (name, major, minor) in DEVICES {
        let path = format!("/dev/{name}");
        let number = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(0o666);
        let made = mknodat(CWD, &path, FileType::CharacterDevice, mode, number)
            // What the umask took.
            .and_then(|()| rustix::fs::chmod(&path, mode));
        doing(format_args!("{path} could not be made"), made)?;
    }
    for (name, target) in LINKS {
        doing(format_args!("/dev/{name} could not be made"), symlinkat(target, CWD, format!("/dev/{name}")))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        doing(
            format_args!("/dev/{name} could not be made"),
            mkdirat(CWD, format!("/dev/{name}"), Mode::from_raw_mode(0o755)),
        )?;
    }
    let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
    doing(
        "/dev/pts could not be mounted",
        mount("devpts", "/dev/pts", "devpts", terminals, c"newinstance,ptmxmode=0666,mode=0620,max=64"),
    )?;
    doing("/dev/mqueue could not be mounted", mount("mqueue", "/dev/mqueue", "mqueue", bare, None::<&CStr>))?;
    small("/dev/shm", SHARED_MEMORY)?;
    // Its devices stay usable: that is another flag.
    doing("/dev could not be made read-only", mount_remount("/dev", flags | MountFlags::RDONLY | MountFlags::BIND, c""))
}

/// A file system in memory, of a limited size, from which nothing is executed.
fn small(place: &str, options: &str) -> Result<(), Failure> {
    let bare = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    doing(format_args!("{place} could not be mounted"), mount("tmpfs", place, "tmpfs", bare, &*text(options)?))
}

/// Where `path` leads by the image's own links. Nothing of the kernel's is covered: what is hidden there stays so.
fn own_place(path: &str) -> Result<String, Failure> {
    let bad = |why: &dyn std::fmt::Display| Failure {
        fault: Fault::Image,
        reason: format!("the image's {path} is no folder of its own: {why}"),
    };
    let place = std::fs::canonicalize(path).map_err(|error| bad(&error))?;
    let is_taken = place == Path::new("/") || ["/proc", "/sys", "/dev"].iter().any(|taken| place.starts_with(taken));
    match place.to_str() {
        Some(place) if !is_taken => Ok(place.to_owned()),
        Some(_) | None => Err(bad(&"it leads elsewhere")),
    }
}

fn declared(path: &str) -> Result<(), Failure> {
    // Nothing is in the way of it but what the image has there.
    small(&own_place(path)?, DECLARED_VOLUME).map_err(|failure| Failure { fault: Fault::Image, ..failure })
}

/// Puts a mount on a folder.
fn onto(what: &impl AsFd, place: &str) -> Result<(), Errno> {
    move_mount(what, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Hides what is to show nothing, and makes read-only what is only to be read.
fn mask() -> Result<(), Failure> {
    let bare = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for path in MASKED {
        let hidden = match stat(path) {
            Err(Errno::NOENT) => continue,
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                mount("tmpfs", path, "tmpfs", bare | MountFlags::RDONLY, c"size=4k,nr_inodes=2")
            }
            Ok(_) => mount_bind("/dev/null", path),
            Err(error) => Err(error),
        };
        doing(format_args!("{path} could not be hidden"), hidden)?;
    }
    for path in READ_ONLY {
        match stat(path) {
            Err(Errno::NOENT) => continue,
            Ok(_) => {}
            Err(error) => return doing(format_args!("{path} cannot be looked at"), Err(error)),
        }
        let done = mount_bind(path, path)
            .and_then(|()| mount_remount(path, bare | MountFlags::RDONLY | MountFlags::BIND, c""));
        doing(format_args!("{path} could not be made read-only"), done)?;
    }
    Ok(())
}
