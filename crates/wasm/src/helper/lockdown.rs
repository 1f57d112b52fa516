//! A helper locks itself up, before it has seen anything of a stranger.
//!
//! Start at [`lock_up`]. What must hold everywhere is an error where it does not; what only some machines
//! allow is told, and `doctor` says so.
//!
//! Invariant: nothing is unlocked again: every step holds for the rest of the process's life.

use super::seccomp;
use crate::wire::Lock;
use rustix::fd::{AsRawFd, RawFd};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid, UnshareFlags};
use std::io;

/// The user that nothing belongs to.
const NOBODY: u32 = 65_534;
/// Descriptors that a helper may have: its inputs and a few.
const MOST_FILES: u64 = 1100;
/// Its own stack; a module's is a part of it.
const STACK_BYTES: u64 = 16 << 20;
/// Folders one of which every machine has; the empty root is mounted there, where nobody else sees it.
const STEPS: [&str; 3] = ["/tmp", "/proc", "/dev"];

fn because(what: &str) -> impl Fn(rustix::io::Errno) -> io::Error + '_ {
    move |errno| io::Error::new(errno.kind(), format!("{what}: {}", io::Error::from(errno)))
}

/// A process that is locked up.
pub(super) struct Locked {
    /// How; what could not be had here is said.
    pub(super) locks: Vec<Lock>,
    /// Bytes of memory that it could write to before it had its order. Some allocators reserve a great deal.
    held: u64,
}

/// Gives up everything that compiling and running a module does not need.
///
/// # Errors
/// Where one of the locks that must hold does not, or the agent `agent` has gone.
pub(super) fn lock_up(agent: i32) -> io::Result<Locked> {
    close_others()?;
    let held = held_memory()?;
    // Fails only for who leads a group already.
    let _ = rustix::process::setsid();
    let is_root = rustix::process::geteuid().is_root();
    let mut locks = Vec::new();
    let mut note = |name: &str, result: io::Result<()>| {
        locks.push(Lock { name: name.to_owned(), problem: result.err().map(|error| error.to_string()) });
    };
    note("namespaces", own_namespaces(is_root));
    note("empty root", empty_root());
    lasting_limits()?;
    if is_root {
        become_nobody()?;
    } else {
        note("no capabilities", drop_capabilities());
    }
    rustix::thread::set_no_new_privs(true).map_err(because("no new privileges"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(because("no dumps"))?;
    // After the user has changed, which would undo it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(because("end with the agent"))?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(agent) {
        return Err(io::Error::other("the agent has gone"));
    }
    seccomp::install()?;
    Ok(Locked { locks, held })
}

/// Whatever the agent had open by mistake.
fn close_others() -> io::Result<()> {
    let own = std::fs::read_dir("/proc/self/fd")?;
    let open: Vec<RawFd> =
        own.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|fd: &RawFd| *fd > 2).collect();
    let link = |fd: RawFd| rustix::fs::readlink(format!("/proc/self/fd/{fd}"), Vec::new());
    let socket = link(io::stdin().as_raw_fd())?;
    for fd in open {
        // The listing has just been closed, and the voice speaks through a copy of the socket.
        if link(fd).map_or(true, |link| link == socket) {
            continue;
        }
        // SAFETY: it is open, is neither a standard stream nor the socket, and nothing in this process has
        // opened any other yet that it would use later.
        #[allow(unsafe_code, reason = "a descriptor without an owner can only be closed so")]
        unsafe {
            rustix::io::close(fd);
        }
    }
    Ok(())
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the table of descriptors is not among the flags, and this process has one thread.
    #[allow(unsafe_code, reason = "the safe form is the same call under an older name")]
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(because("new namespaces"))
}

/// A network without interfaces, and mounts, names and messages of its own.
fn own_namespaces(is_root: bool) -> io::Result<()> {
    let parts = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if is_root {
        return unshare(parts);
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(parts | UnshareFlags::NEWUSER)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Nothing is left under `/`.
fn empty_root() -> io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(because("private mounts"))?;
    let step = STEPS.iter().find(|step| std::path::Path::new(step).is_dir());
    let step = step.ok_or_else(|| io::Error::other("no folder to mount an empty root on"))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("none", *step, "tmpfs", flags, c"size=4k,nr_inodes=2,mode=0555")
        .map_err(because("mount an empty root"))?;
    std::env::set_current_dir(step)?;
    rustix::process::pivot_root(".", ".").map_err(because("enter the empty root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(because("leave the old root"))?;
    std::env::set_current_dir("/")
}

fn become_nobody() -> io::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[]).map_err(because("leave all groups"))?;
    rustix::thread::set_thread_res_gid(group, group, group).map_err(because("become nobody's group"))?;
    rustix::thread::set_thread_res_uid(user, user, user).map_err(because("become nobody"))
}

/// Those that a user namespace of its own has given it.
fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(because("drop capabilities"))
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let hard = rustix::process::getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
    let limits = Rlimit { current: Some(hard), maximum: Some(hard) };
    rustix::process::setrlimit(resource, limits).map_err(because("a limit"))
}

fn lasting_limits() -> io::Result<()> {
    limit(Resource::Core, 0)?;
    limit(Resource::Nproc, 0)?;
    limit(Resource::Memlock, 0)?;
    limit(Resource::Stack, STACK_BYTES)?;
    limit(Resource::Nofile, MOST_FILES)
}

/// Bytes that this process can write to, as its limit counts them.
fn held_memory() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other("the kernel does not say how much memory this is"))
}

impl Locked {
    /// Memory that this process can write to beside what it held before.
    pub(super) fn limit_memory(&self, most: u64) -> io::Result<()> {
        limit(Resource::Data, self.held.saturating_add(most))
    }

    /// The longest file that it can write.
    pub(super) fn limit_files(&self, most: u64) -> io::Result<()> {
        limit(Resource::Fsize, most)
    }

    /// All that compiling may take.
    pub(super) fn limit_work(&self, cpu_seconds: u64, memory: u64, file: u64) -> io::Result<()> {
        // A little later for certain, as at the hard limit the kernel does not say why it ends a process.
        let limits = Rlimit { current: Some(cpu_seconds), maximum: Some(cpu_seconds + 5) };
        rustix::process::setrlimit(Resource::Cpu, limits).map_err(because("a limit of time"))?;
        self.limit_memory(memory)?;
        self.limit_files(file)
    }
}
