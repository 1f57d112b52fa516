//! Loop devices without the programs that make them, and without a trace of them.
//!
//! Such a device detaches itself when nobody has it open or mounted any more, however that comes about: the
//! death of every process that held it is enough.
//!
//! Invariant: the only unsafe calls are two `ioctl`s of the kernel's loop driver.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Tries to get a device; another process may take the free one in between.
const TRIES: usize = 64;
/// `LO_FLAGS_AUTOCLEAR`.
const AUTOCLEAR: u32 = 4;
/// `LOOP_CTL_GET_FREE`.
const GET_FREE: libc::c_ulong = 0x4C82;
/// `LOOP_CONFIGURE`, since Linux 5.8.
const CONFIGURE: libc::c_ulong = 0x4C0A;

/// The kernel's `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// The kernel's `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// A device that is attached for as long as this, or a mount of it, exists.
#[derive(Debug)]
pub(super) struct Loop {
    _open: File,
    pub(super) path: PathBuf,
}

/// Attaches a device to `image`.
pub(super) fn attach(image: &Path) -> io::Result<Loop> {
    let backing = OpenOptions::new().read(true).write(true).open(image)?;
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    for _ in 0..TRIES {
        let path = PathBuf::from(format!("/dev/loop{}", free_number(&control)?));
        let open = OpenOptions::new().read(true).write(true).open(&path)?;
        match configure(&open, &backing) {
            Ok(()) => return Ok(Loop { _open: open, path }),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("others took every free loop device"))
}

#[allow(unsafe_code, reason = "an ioctl")]
fn free_number(control: &File) -> io::Result<libc::c_int> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument and touches no memory of this process.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE as _) };
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
}

#[allow(unsafe_code, reason = "an ioctl")]
fn configure(device: &File, backing: &File) -> io::Result<()> {
    let fd = u32::try_from(backing.as_raw_fd()).map_err(io::Error::other)?;
    // SAFETY: all fields are integers, for which zero is a value.
    let mut config: Config = unsafe { std::mem::zeroed() };
    config.fd = fd;
    config.info.flags = AUTOCLEAR;
    // SAFETY: LOOP_CONFIGURE reads one `struct loop_config`, which `config` is and which outlives the call.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE as _, &raw const config) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
