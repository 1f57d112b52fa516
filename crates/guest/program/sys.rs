//! The few calls to the kernel that the standard library does not have.
//!
//! Each gives what the kernel answered. The attacks among them do no harm where they succeed: what they
//! change is their own container's, or is what it was before.
//!
//! Invariant: no pointer outlives its call.

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::io;

unsafe extern "C" {
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn umount2(target: *const c_char, flags: c_int) -> c_int;
    fn unshare(flags: c_int) -> c_int;
    fn chroot(path: *const c_char) -> c_int;
    fn setuid(user: u32) -> c_int;
    fn geteuid() -> u32;
    fn getuid() -> u32;
    fn getegid() -> u32;
    fn sethostname(name: *const c_char, length: usize) -> c_int;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn ioctl(file: c_int, request: c_ulong, ...) -> c_int;
    fn close(file: c_int) -> c_int;
    fn fork() -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn setsid() -> c_int;
    fn pause() -> c_int;
    fn alarm(seconds: u32) -> u32;
    fn signal(signal: c_int, action: usize) -> usize;
    fn shmget(key: c_int, size: usize, flags: c_int) -> c_int;
    fn shmctl(memory: c_int, command: c_int, about: *mut c_void) -> c_int;
    fn ptrace(request: c_long, process: c_int, address: *mut c_void, data: *mut c_void) -> c_long;
    fn syscall(number: c_long, ...) -> c_long;
}

/// New mounts, a file system root of one's own.
pub const NEW_MOUNTS: c_int = 0x0002_0000;
/// Users of one's own.
pub const NEW_USERS: c_int = 0x1000_0000;
/// What is there is seen at another place, too.
pub const BIND: c_ulong = 4096;
/// Other flags for what is mounted already.
pub const REMOUNT: c_ulong = 32;
/// IPv4.
pub const INET: c_int = 2;
/// Frames as they are on the wire.
pub const PACKET: c_int = 17;
/// A socket that sends what it is given.
pub const RAW: c_int = 3;
/// A socket for single messages.
pub const DATAGRAM: c_int = 2;

/// Numbers of the calls that the C library has no name for; `None` where this processor's are not known
/// here, and the attack is left out.
#[cfg(target_arch = "x86_64")]
mod number {
    use std::ffi::c_long;
    pub const PIVOT_ROOT: Option<c_long> = Some(155);
    pub const INIT_MODULE: Option<c_long> = Some(175);
    pub const DELETE_MODULE: Option<c_long> = Some(176);
    pub const ADD_KEY: Option<c_long> = Some(248);
    pub const KEYCTL: Option<c_long> = Some(250);
    pub const MKNODAT: Option<c_long> = Some(259);
    pub const PERF_EVENT_OPEN: Option<c_long> = Some(298);
    pub const OPEN_BY_HANDLE_AT: Option<c_long> = Some(304);
    pub const BPF: Option<c_long> = Some(321);
    pub const USERFAULTFD: Option<c_long> = Some(323);
}
#[cfg(target_arch = "aarch64")]
mod number {
    use std::ffi::c_long;
    pub const PIVOT_ROOT: Option<c_long> = Some(41);
    pub const INIT_MODULE: Option<c_long> = Some(105);
    pub const DELETE_MODULE: Option<c_long> = Some(106);
    pub const ADD_KEY: Option<c_long> = Some(217);
    pub const KEYCTL: Option<c_long> = Some(219);
    pub const MKNODAT: Option<c_long> = Some(33);
    pub const PERF_EVENT_OPEN: Option<c_long> = Some(241);
    pub const OPEN_BY_HANDLE_AT: Option<c_long> = Some(265);
    pub const BPF: Option<c_long> = Some(280);
    pub const USERFAULTFD: Option<c_long> = Some(282);
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod number {
    use std::ffi::c_long;
    pub const PIVOT_ROOT: Option<c_long> = None;
    pub const INIT_MODULE: Option<c_long> = None;
    pub const DELETE_MODULE: Option<c_long> = None;
    pub const ADD_KEY: Option<c_long> = None;
    pub const KEYCTL: Option<c_long> = None;
    pub const MKNODAT: Option<c_long> = None;
    pub const PERF_EVENT_OPEN: Option<c_long> = None;
    pub const OPEN_BY_HANDLE_AT: Option<c_long> = None;
    pub const BPF: Option<c_long> = None;
    pub const USERFAULTFD: Option<c_long> = None;
}

/// The answer to a call: `Err` where the kernel refused.
pub type Answer = io::Result<c_long>;

fn answer(returned: c_long) -> Answer {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

fn text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// Mounts; an empty `kind` is none.
pub fn mount_at(source: &str, target: &str, kind: &str, flags: c_ulong) -> Answer {
    let (source, target, kind) = (text(source), text(target), text(kind));
    // SAFETY: three strings that end in a zero and live until the call has returned; no data.
    answer(unsafe { mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) }.into())
}

/// Unmounts.
pub fn unmount(target: &str) -> Answer {
    let target = text(target);
    // SAFETY: a string that ends in a zero.
    answer(unsafe { umount2(target.as_ptr(), 0) }.into())
}

/// Leaves the namespaces that `flags` names.
pub fn leave(flags: c_int) -> Answer {
    // SAFETY: takes a number only.
    answer(unsafe { unshare(flags) }.into())
}

/// Makes `path` the root.
pub fn change_root(path: &str) -> Answer {
    let path = text(path);
    // SAFETY: a string that ends in a zero.
    answer(unsafe { chroot(path.as_ptr()) }.into())
}

/// Becomes this user.
pub fn become_user(user: u32) -> Answer {
    // SAFETY: takes a number only.
    answer(unsafe { setuid(user) }.into())
}

/// Who this process is: the user it was started by, the user and the group it acts as.
pub fn whoami() -> (u32, u32, u32) {
    // SAFETY: these three take nothing and cannot fail.
    unsafe { (getuid(), geteuid(), getegid()) }
}

/// Names the machine.
pub fn name_machine(name: &str) -> Answer {
    // SAFETY: as many bytes as the string has.
    answer(unsafe { sethostname(name.as_ptr().cast(), name.len()) }.into())
}

/// Opens a socket and closes it.
pub fn try_socket(domain: c_int, kind: c_int, protocol: c_int) -> Answer {
    // SAFETY: numbers only; what was opened is closed and not used again.
    unsafe {
        let opened = answer(socket(domain, kind, protocol).into())?;
        close(c_int::try_from(opened).unwrap_or(-1));
        Ok(opened)
    }
}

/// Sets the flags of the network interface `lo` to what is asked: 1 is up.
pub fn set_loopback(flags: u16) -> Answer {
    const SET_FLAGS: c_ulong = 0x8914;
    // `struct ifreq`: the name in 16 bytes, then the flags; 40 bytes at most.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the structure lives until the call has returned; the socket is closed and not used again.
    unsafe {
        let opened = answer(socket(INET, DATAGRAM, 0).into())?;
        let file = c_int::try_from(opened).unwrap_or(-1);
        let set = answer(ioctl(file, SET_FLAGS, request.as_mut_ptr()).into());
        close(file);
        set
    }
}

/// Whose turn it is after a fork.
pub enum Forked {
    /// The new process.
    Child,
    /// The old one, and the number of the new one.
    Parent(c_int),
}

/// Forks. Only for a process of one thread.
pub fn split() -> io::Result<Forked> {
    // SAFETY: this process has one thread where it forks, so the child finds no lock held by another.
    let process = unsafe { fork() };
    match answer(process.into())? {
        0 => Ok(Forked::Child),
        _ => Ok(Forked::Parent(process)),
    }
}

/// Kills one child and waits for its end.
pub fn end(process: c_int) -> Answer {
    const KILL: c_int = 9;
    // Zero and less would be whole groups, or everything.
    if process <= 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: takes numbers only; how it ended is not asked for.
    unsafe {
        answer(kill(process, KILL).into())?;
        answer(waitpid(process, std::ptr::null_mut(), 0).into())
    }
}

/// Waits for ever; only a signal that ends the process ends it.
pub fn wait_for_ever() -> ! {
    loop {
        // SAFETY: takes nothing.
        unsafe { pause() };
    }
}

/// Becomes a session of its own, without a terminal.
pub fn new_session() -> Answer {
    // SAFETY: takes nothing.
    answer(unsafe { setsid() }.into())
}

/// The kernel ends this process after so many seconds: an attack that nobody ends must not last.
pub fn end_after(seconds: u32) {
    // SAFETY: takes a number.
    unsafe { alarm(seconds) };
}

/// Ignores the polite requests to end: hang-up, interrupt, quit, terminate.
pub fn ignore_polite_signals() {
    const IGNORE: usize = 1;
    for number in [1, 2, 3, 15] {
        // SAFETY: ignoring needs no handler.
        unsafe { signal(number, IGNORE) };
    }
}

/// Opens the shared memory with this key; makes it where `make`.
pub fn shared_memory(key: i32, make: bool) -> Answer {
    const MAKE: c_int = 0o1000;
    // SAFETY: takes numbers only.
    answer(unsafe { shmget(key, 4096, if make { MAKE | 0o666 } else { 0 }) }.into())
}

/// Removes a piece of shared memory; the kernel frees it when the last one lets it go.
pub fn remove_shared_memory(memory: c_long) -> Answer {
    const REMOVE: c_int = 0;
    let memory = c_int::try_from(memory).map_err(io::Error::other)?;
    // SAFETY: this command reads and writes no memory.
    answer(unsafe { shmctl(memory, REMOVE, std::ptr::null_mut()) }.into())
}

/// Attaches to another process as a debugger does, without stopping it.
pub fn trace(process: i32) -> Answer {
    const SEIZE: c_long = 0x4206;
    // SAFETY: no memory is read or written by this request.
    answer(unsafe { ptrace(SEIZE, process, std::ptr::null_mut(), std::ptr::null_mut()) })
}

/// The calls that are tried by their number, each with what it is; the arguments do nothing where it is
/// allowed. `None`: not known for this processor.
pub fn raw(call: Raw) -> Option<Answer> {
    let here = -100; // the current folder
    let (slash, device, empty, kind) = (c"/", c"/task/device", c"", c"user");
    let mut attributes = [0u8; 128];
    // perf_event_attr: type "software", its own size, event "cpu clock".
    attributes[0..4].copy_from_slice(&1u32.to_ne_bytes());
    attributes[4..8].copy_from_slice(&112u32.to_ne_bytes());
    let mut handle = [0u8; 136];
    handle[0..4].copy_from_slice(&8u32.to_ne_bytes());
    handle[4..8].copy_from_slice(&1i32.to_ne_bytes());
    let (zero, all) = (0 as c_long, -1 as c_long);
    // SAFETY: strings that end in a zero, and buffers as long as the kernel reads, which live until the call
    // has returned.
    let returned = unsafe {
        match call {
            Raw::PivotRoot => syscall(number::PIVOT_ROOT?, slash.as_ptr(), slash.as_ptr()),
            Raw::LoadModule => syscall(number::INIT_MODULE?, empty.as_ptr(), zero, empty.as_ptr()),
            Raw::UnloadModule => syscall(number::DELETE_MODULE?, c"hivemind_no_such_module".as_ptr(), zero),
            Raw::AddKey => {
                syscall(number::ADD_KEY?, kind.as_ptr(), kind.as_ptr(), kind.as_ptr(), 4 as c_long, -3 as c_long)
            }
            Raw::Keyring => syscall(number::KEYCTL?, zero, -3 as c_long, zero),
            // A block device, the first disk; a character device, all of the memory.
            Raw::MakeDisk => {
                syscall(number::MKNODAT?, here as c_long, device.as_ptr(), 0o060_666 as c_long, 0x0800 as c_long)
            }
            Raw::MakeMemory => {
                syscall(number::MKNODAT?, here as c_long, device.as_ptr(), 0o020_666 as c_long, 0x0101 as c_long)
            }
            Raw::Measure => syscall(number::PERF_EVENT_OPEN?, attributes.as_mut_ptr(), zero, all, all, zero),
            Raw::OpenByHandle => syscall(number::OPEN_BY_HANDLE_AT?, here as c_long, handle.as_mut_ptr(), zero),
            Raw::Filter => syscall(number::BPF?, 5 as c_long, attributes.as_mut_ptr(), 128 as c_long),
            Raw::CatchFaults => syscall(number::USERFAULTFD?, zero),
        }
    };
    Some(answer(returned))
}

/// One of the calls of [`raw`].
#[derive(Debug, Clone, Copy)]
pub enum Raw {
    /// Swaps the root.
    PivotRoot,
    /// Loads a part of the kernel; this one is empty.
    LoadModule,
    /// Unloads a part of the kernel; there is none of that name.
    UnloadModule,
    /// Puts something onto the kernel's ring of keys.
    AddKey,
    /// Asks for the kernel's ring of keys.
    Keyring,
    /// Makes a disk's device file.
    MakeDisk,
    /// Makes the memory's device file.
    MakeMemory,
    /// Measures every process.
    Measure,
    /// Opens a file by its number, past all folders.
    OpenByHandle,
    /// Runs a program in the kernel.
    Filter,
    /// Handles the faults of memory.
    CatchFaults,
}
