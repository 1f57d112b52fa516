//! The few calls into the kernel for which the standard library has no words.
//!
//! Invariant: `unsafe` is here and nowhere else in this program's `warm` verb.
#![allow(unsafe_code, reason = "calls of the C library, each with its reason beside it")]

use std::ffi::{c_int, c_long, c_ulong, c_void};
use std::fs::File;
use std::io::{self, Read};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// What an error without a number is called.
pub(super) const EIO: i32 = 5;
const EINTR: i32 = 4;
const SIGKILL: c_int = 9;
const SIGCHLD: c_int = 17;
const WNOHANG: c_int = 1;
const POLLIN: i16 = 1;
const F_SETFL: c_int = 4;
const O_NONBLOCK: c_int = 0o4000;
const PR_SET_DUMPABLE: c_int = 4;
const IPC_RMID: c_int = 0;
/// Kinds of limits that Linux has.
const LIMITS: c_int = 16;

#[repr(C)]
#[derive(Clone, Copy)]
struct PollFd {
    fd: c_int,
    events: i16,
    revents: i16,
}

/// `struct rusage` of Linux: two times, then fourteen numbers, of which the first is the memory.
#[repr(C)]
struct Usage {
    times: [[c_long; 2]; 2],
    peak_kib: c_long,
    others: [c_long; 13],
}

unsafe extern "C" {
    #[link_name = "poll"]
    fn c_poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
    fn wait4(pid: c_int, status: *mut c_int, options: c_int, usage: *mut Usage) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn signal(signal: c_int, action: usize) -> usize;
    fn write(fd: c_int, data: *const c_void, length: usize) -> isize;
    fn __errno_location() -> *mut c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
    fn getrlimit(kind: c_int, limit: *mut [c_ulong; 2]) -> c_int;
    fn getpriority(which: c_int, who: c_int) -> c_int;
    fn sched_getscheduler(pid: c_int) -> c_int;
    fn sched_getaffinity(pid: c_int, size: usize, mask: *mut u64) -> c_int;
    fn shmctl(id: c_int, command: c_int, data: *mut c_void) -> c_int;
    fn msgctl(id: c_int, command: c_int, data: *mut c_void) -> c_int;
    fn semctl(id: c_int, number: c_int, command: c_int, ...) -> c_int;
}

/// Lets nobody of the same user look into this process: its memory, its files, its environment.
pub(super) fn hide() -> io::Result<()> {
    // SAFETY: takes numbers only.
    if unsafe { prctl(PR_SET_DUMPABLE, c_ulong::from(0u8)) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Standard input or output as a file without a lock or a buffer.
pub(super) fn standard(number: RawFd) -> File {
    // SAFETY: 0 and 1 are open from the start on, and each is asked for once.
    unsafe { File::from_raw_fd(number) }
}

/// Where the signal's handler writes to.
static BELL: AtomicI32 = AtomicI32::new(-1);

extern "C" fn ring(_: c_int) {
    // SAFETY: one byte of a constant, and a place that every thread has; both calls are allowed in a handler.
    // A full pipe rings already, and whoever was interrupted finds errno as it was.
    unsafe {
        let errno = __errno_location();
        let before = *errno;
        write(BELL.load(Ordering::Relaxed), (&raw const BELL).cast(), 1);
        *errno = before;
    }
}

/// Becomes readable whenever a child has ended.
pub(super) fn tell_of_children() -> io::Result<File> {
    let (reader, writer) = io::pipe()?;
    never_block(&reader)?;
    never_block(&writer)?;
    BELL.store(writer.into_raw_fd(), Ordering::Relaxed);
    // SAFETY: `ring` is a handler of the right kind and lives for ever.
    let before = unsafe { signal(SIGCHLD, ring as extern "C" fn(c_int) as usize) };
    if before == usize::MAX {
        return Err(io::Error::last_os_error());
    }
    Ok(File::from(OwnedFd::from(reader)))
}

/// Empties the pipe of [`tell_of_children`].
pub(super) fn drain(mut bell: &File) {
    let mut rings = [0; 64];
    while matches!(bell.read(&mut rings), Ok(64)) {}
}

/// From now on a read or write says so where it would wait.
pub(super) fn never_block(file: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: takes numbers only; the descriptor is open, because it is borrowed.
    let done = unsafe { fcntl(file.as_raw_fd(), F_SETFL, O_NONBLOCK) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until one of `fds` can be read or is at its end, but not for longer than `patience`. A negative one
/// is left out.
pub(super) fn poll(fds: [RawFd; 4], patience: Option<Duration>) -> io::Result<[bool; 4]> {
    let mut looked = fds.map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
    // Rounded up, so that nobody turns in circles for less than a millisecond.
    let millis = patience.map_or(-1, |span| c_int::try_from(span.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX));
    // SAFETY: the array lives for the call, and its length is given.
    let found = unsafe { c_poll(looked.as_mut_ptr(), 4, millis) };
    if found < 0 {
        let error = io::Error::last_os_error();
        // A child has ended: its bell is readable at the next look.
        return if error.raw_os_error() == Some(EINTR) { Ok([false; 4]) } else { Err(error) };
    }
    Ok(looked.map(|fd| fd.revents != 0))
}

/// A child that was buried.
pub(super) struct Dead {
    pub(super) pid: i32,
    pub(super) code: i32,
    /// Zero where it ended by itself.
    pub(super) signal: i32,
    pub(super) cpu_micros: u64,
    pub(super) peak_kib: u64,
}

/// Buries a child that has ended, if there is one.
pub(super) fn wait_now() -> Option<Dead> {
    wait(WNOHANG)
}

/// Buries children until there are none.
pub(super) fn wait_for_all() {
    while wait(0).is_some() {}
}

fn wait(options: c_int) -> Option<Dead> {
    let (mut status, mut usage) = (0, MaybeUninit::<Usage>::zeroed());
    let pid = loop {
        // SAFETY: both places live for the call and have the kernel's layout.
        let pid = unsafe { wait4(-1, &raw mut status, options, usage.as_mut_ptr()) };
        if pid >= 0 || io::Error::last_os_error().raw_os_error() != Some(EINTR) {
            break pid;
        }
    };
    if pid <= 0 {
        return None;
    }
    // SAFETY: numbers for which every pattern of bits, all zero too, is a value.
    let usage = unsafe { usage.assume_init() };
    let micros = |[seconds, micros]: [c_long; 2]| {
        let (seconds, micros) = (u64::try_from(seconds).unwrap_or(0), u64::try_from(micros).unwrap_or(0));
        seconds.saturating_mul(1_000_000).saturating_add(micros)
    };
    Some(Dead {
        pid,
        code: (status >> 8) & 0xff,
        signal: status & 0x7f,
        cpu_micros: usage.times.into_iter().map(micros).fold(0, u64::saturating_add),
        peak_kib: u64::try_from(usage.peak_kib).unwrap_or(0),
    })
}

/// Kills everything but this process, if it is the first of its container; else the group that `leader` leads.
pub(super) fn kill_all(leader: i32) {
    let whom = if std::process::id() == 1 { -1 } else { -leader };
    // SAFETY: takes numbers only. For the first process of a namespace, "all" is what is in it.
    unsafe { kill(whom, SIGKILL) };
}

/// A limit of this process: now, and the most to which it may be set.
pub(super) fn limits() -> Vec<[u64; 2]> {
    let limit = |kind| {
        let mut limit = [0; 2];
        // SAFETY: the place lives for the call and has two words.
        unsafe { getrlimit(kind, &raw mut limit) };
        limit.map(|word| word as u64)
    };
    (0..LIMITS).map(limit).collect()
}

/// Priority, policy, and the processors on which it may run.
pub(super) fn schedule() -> (i32, i32, [u64; 16]) {
    let mut mask = [0; 16];
    // SAFETY: takes numbers, and a place of the size that is given.
    unsafe {
        sched_getaffinity(0, size_of::<[u64; 16]>(), mask.as_mut_ptr());
        (getpriority(0, 0), sched_getscheduler(0), mask)
    }
}

/// A kind of System V object.
#[derive(Clone, Copy)]
pub(super) enum Object {
    Memory,
    Messages,
    Semaphores,
}

/// Removes one. False where that failed.
pub(super) fn remove(object: Object, id: i32) -> bool {
    // SAFETY: this command takes no data.
    let done = unsafe {
        match object {
            Object::Memory => shmctl(id, IPC_RMID, std::ptr::null_mut()),
            Object::Messages => msgctl(id, IPC_RMID, std::ptr::null_mut()),
            Object::Semaphores => semctl(id, 0, IPC_RMID),
        }
    };
    done == 0
}
