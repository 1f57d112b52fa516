//! Ways to the machine's files, devices and kernel.
//!
//! Invariant: what could do harm is only opened, never written; what is made is removed.

use super::{Options, Report, network};
use crate::sys::{self, Raw};
use std::fs::{self, File};
use std::io;
use std::path::Path;

const FILES: &str = "host-files";

/// The devices that every container has.
const HARMLESS: [&str; 17] = [
    "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd", "stdin",
    "stdout", "stderr", "core", "log",
];
/// What would change the machine, were it opened to write.
const SWITCHES: [&str; 14] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/hostname",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sysrq-trigger",
    "/proc/irq/0/smp_affinity",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/module/apparmor/parameters/enabled",
    "/sys/fs/cgroup/release_agent",
    "/sys/fs/cgroup/cgroup.procs",
];
/// What would tell of the machine, were it read.
const SECRETS: [&str; 6] =
    ["/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port", "/sys/firmware/acpi/tables/FACP", "/dev/kmsg"];
/// Where the daemons of containers listen.
const DAEMONS: [&str; 6] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/systemd/private",
];

/// Tries them all.
pub fn run(report: &mut Report, options: &Options<'_>) {
    bait(report, options.text("bait"));
    mounts_of_others(report);
    switches(report);
    devices(report);
    calls(report);
    for path in DAEMONS {
        report.refused(FILES, format!("talked to {path}"), network::asks(path));
    }
    let cores = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let cores = cores.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    let most = cores.split_whitespace().nth(5).unwrap_or_default();
    report.check(FILES, format!("may leave `{most}` bytes of core dumps"), most == "0");
}

/// A file of the machine, by its own path and by all that could lead to it.
fn bait(report: &mut Report, bait: &str) {
    if bait.is_empty() {
        return;
    }
    let around = [
        "",
        "/proc/1/root",
        "/proc/self/root",
        "/proc/1/cwd",
        "/host",
        "/mnt",
        "/rootfs",
        "/..",
        "/proc/self/cwd/../..",
    ];
    for before in around {
        let path = format!("{before}{bait}");
        report.refused(FILES, format!("opened {path}, a file of the machine"), File::open(&path));
    }
    // Through every mount: it may show a part of the machine only.
    let name = Path::new(bait).file_name().unwrap_or_default();
    for point in mount_points() {
        let point = Path::new(&point.place);
        report.refused(FILES, format!("found the machine's file in {}", point.display()), File::open(point.join(name)));
        let below = point.join(bait.trim_start_matches('/'));
        if point != Path::new("/") {
            report.refused(FILES, format!("opened {}", below.display()), File::open(&below));
        }
    }
}

/// A line of /proc/self/mountinfo.
pub struct MountPoint {
    /// Where it is seen.
    pub place: String,
    /// The kind of its file system.
    pub kind: String,
}

/// What is mounted here.
pub fn mount_points() -> Vec<MountPoint> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        Some(MountPoint {
            place: head.split(' ').nth(4)?.replace("\\040", " "),
            kind: tail.split(' ').next()?.to_owned(),
        })
    };
    text.lines().filter_map(of).collect()
}

/// Only what a container is made of is mounted.
fn mounts_of_others(report: &mut Report) {
    let made_by_runtimes = ["/", "/task", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv"];
    for point in mount_points() {
        let of_the_kernel = ["proc", "sys", "dev"].iter().any(|top| {
            point
                .place
                .strip_prefix('/')
                .and_then(|rest| rest.strip_prefix(top))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let in_memory = point.kind == "tmpfs";
        let is_ours = made_by_runtimes.contains(&point.place.as_str()) || of_the_kernel || in_memory;
        report.check(FILES, format!("{} is mounted from outside ({})", point.place, point.kind), is_ours);
    }
}

fn switches(report: &mut Report) {
    for path in SWITCHES {
        report.refused(FILES, format!("opened {path} to write"), File::options().write(true).open(path));
    }
    for path in SECRETS {
        report.check(FILES, format!("read {path}"), !says_something(path));
    }
    // The switches of each controller of control groups, where they are of the first generation.
    for entry in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        for name in ["release_agent", "cgroup.procs", "notify_on_release", "devices.allow", "memory.limit_in_bytes"] {
            let path = entry.path().join(name);
            let opened = File::options().write(true).open(&path);
            report.refused(FILES, format!("opened {} to write", path.display()), opened);
        }
    }
}

/// Runtimes cover such files with nothing; an empty file tells nothing.
fn says_something(path: &str) -> bool {
    use io::Read;
    let mut byte = [0];
    File::options()
        .read(true)
        .custom_flags_nonblocking()
        .open(path)
        .and_then(|mut file| file.read(&mut byte))
        .is_ok_and(|count| count > 0)
}

/// Opens without waiting for a device that has nothing to say.
trait Nonblocking {
    fn custom_flags_nonblocking(&mut self) -> &mut Self;
}

impl Nonblocking for fs::OpenOptions {
    fn custom_flags_nonblocking(&mut self) -> &mut Self {
        const NONBLOCKING: i32 = 0o4000;
        std::os::unix::fs::OpenOptionsExt::custom_flags(self, NONBLOCKING)
    }
}

fn devices(report: &mut Report) {
    use std::os::unix::fs::FileTypeExt;
    for entry in fs::read_dir("/dev").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_device = entry.file_type().is_ok_and(|kind| kind.is_block_device() || kind.is_char_device());
        if is_device && name.starts_with("watchdog") {
            // To open it starts a clock that restarts the machine.
            report.check(FILES, format!("sees /dev/{name}"), false);
        } else if is_device && !HARMLESS.contains(&name.as_str()) {
            let opened = File::options().read(true).custom_flags_nonblocking().open(entry.path());
            report.refused(FILES, format!("opened /dev/{name}"), opened);
        }
    }
    for (what, call) in [("made a disk's device", Raw::MakeDisk), ("made the memory's device", Raw::MakeMemory)] {
        report.refused_if_known(FILES, what, sys::raw(call));
        match fs::remove_file("/task/device") {
            Ok(()) => report.check(FILES, format!("{what} in /task"), false),
            Err(error) => report.check(FILES, what, error.kind() == io::ErrorKind::NotFound),
        }
    }
}

fn calls(report: &mut Report) {
    for (what, answer) in [
        ("mounted a file system in memory", sys::mount_at("none", "/tmp", "tmpfs", 0)),
        ("mounted processes", sys::mount_at("none", "/tmp", "proc", 0)),
        ("mounted control groups", sys::mount_at("none", "/tmp", "cgroup", 0)),
        ("mounted the kernel's switches", sys::mount_at("none", "/tmp", "sysfs", 0)),
        ("mounted a disk", sys::mount_at("/dev/vda", "/tmp", "ext4", 0)),
        ("bound the root elsewhere", sys::mount_at("/", "/tmp", "", sys::BIND)),
        ("made the root writable", sys::mount_at("none", "/", "", sys::REMOUNT)),
        ("made /proc writable", sys::mount_at("none", "/proc/sys", "", sys::REMOUNT | sys::BIND)),
        ("unmounted /task", sys::unmount("/task")),
        ("unmounted a cover of /proc", sys::unmount("/proc/kcore")),
        ("changed the root", sys::change_root("/tmp")),
        ("left the mounts", sys::leave(sys::NEW_MOUNTS)),
    ] {
        report.refused(FILES, what, answer);
    }
    for (what, call) in [
        ("swapped the root", Raw::PivotRoot),
        ("loaded a part of the kernel", Raw::LoadModule),
        ("unloaded a part of the kernel", Raw::UnloadModule),
    ] {
        report.refused_if_known(FILES, what, sys::raw(call));
    }
}
