//! The system interface of a module: WASI preview 1, every function of it, and nothing of this machine.
//!
//! Start at [`link`]. Each function gets a [`Call`]: the module's memory, and the [`State`] of the job.
//! A call costs fuel, as what a module asks for takes time too; the clock is the fuel used so far.
//!
//! Invariant: equal calls give equal answers on every machine; none of them asks the kernel for anything
//! but bytes of files that are open already.

use super::errno::{Answer, Errno, Fail, Halt};
use super::limits::Limits;
use super::random::Random;
use super::vfs::Vfs;
use crate::wire::{Tell, Voice};
use fds::Fds;
use wasmtime::{Caller, Extern, Linker, Memory};

mod fd;
pub(super) mod fds;
mod listing;
mod misc;
mod path;

/// The module that the functions are imported from.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";
/// Fuel of a call, whatever it does; about half a microsecond.
const CALL_FUEL: u64 = 2_000;
/// Most bytes that one call reads or writes; the rest is for the next.
const MOST_TRANSFER: u32 = 1 << 20;
/// Most buffers of one call.
const MOST_BUFFERS: u32 = 1024;

/// What a job's module can see and change.
pub(super) struct State {
    pub(super) vfs: Vfs,
    pub(super) fds: Fds,
    /// The words of its command, its name first.
    pub(super) words: Vec<String>,
    /// `NAME=value`.
    pub(super) environment: Vec<String>,
    pub(super) random: Random,
    /// What it may use in all.
    pub(super) fuel: u64,
    pub(super) limits: Limits,
    pub(super) voice: Voice,
    /// What it last said to have done, in per cent.
    pub(super) progress: Option<u8>,
}

/// One call of a module.
pub(super) struct Call<'a> {
    memory: &'a mut [u8],
    state: &'a mut State,
    /// What is left.
    fuel: u64,
}

impl Call<'_> {
    /// Uses `fuel`.
    fn spend(&mut self, fuel: u64) -> Answer<()> {
        match self.fuel.checked_sub(fuel) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => {
                self.fuel = 0;
                Err(Fail::Halt(Halt::OutOfFuel))
            }
        }
    }

    fn bytes(&self, at: i32, length: u32) -> Answer<&[u8]> {
        let at = at.cast_unsigned() as usize;
        self.memory.get(at..at.saturating_add(length as usize)).ok_or_else(|| Errno::Fault.into())
    }

    fn bytes_mut(&mut self, at: i32, length: u32) -> Answer<&mut [u8]> {
        let at = at.cast_unsigned() as usize;
        self.memory.get_mut(at..at.saturating_add(length as usize)).ok_or_else(|| Errno::Fault.into())
    }

    fn put(&mut self, at: i32, bytes: &[u8]) -> Answer<()> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.bytes_mut(at, length)?.copy_from_slice(bytes);
        Ok(())
    }

    fn put_u32(&mut self, at: i32, value: u32) -> Answer<()> {
        self.put(at, &value.to_le_bytes())
    }

    fn put_u64(&mut self, at: i32, value: u64) -> Answer<()> {
        self.put(at, &value.to_le_bytes())
    }

    fn get_u32(&self, at: i32) -> Answer<u32> {
        self.bytes(at, 4)?.try_into().map(u32::from_le_bytes).map_err(|_| Errno::Fault.into())
    }

    fn get_u64(&self, at: i32) -> Answer<u64> {
        self.bytes(at, 8)?.try_into().map(u64::from_le_bytes).map_err(|_| Errno::Fault.into())
    }

    /// The buffers of a call that reads or writes, cut to what one call transfers; it is paid for.
    fn buffers(&mut self, at: i32, count: i32) -> Answer<Vec<(i32, u32)>> {
        if count.cast_unsigned() > MOST_BUFFERS {
            return Err(Errno::Inval.into());
        }
        let mut left = MOST_TRANSFER;
        let mut buffers = Vec::new();
        for index in 0..count {
            let entry = at.wrapping_add(index.wrapping_mul(8));
            let (start, length) = (self.get_u32(entry)?.cast_signed(), self.get_u32(entry.wrapping_add(4))?);
            self.bytes(start, length)?;
            let length = length.min(left);
            left -= length;
            if length > 0 {
                buffers.push((start, length));
            }
        }
        self.spend(u64::from(MOST_TRANSFER - left))?;
        Ok(buffers)
    }

    /// All of the buffers together.
    fn gather(&mut self, at: i32, count: i32) -> Answer<Vec<u8>> {
        let mut bytes = Vec::new();
        for (start, length) in self.buffers(at, count)? {
            bytes.extend_from_slice(self.bytes(start, length)?);
        }
        Ok(bytes)
    }

    /// A path, as it stands in memory.
    fn path(&self, at: i32, length: i32) -> Answer<Vec<u8>> {
        // Longer ones are refused, but not before they were looked at; so they are cut.
        Ok(self.bytes(at, length.cast_unsigned())?.iter().take(5000).copied().collect())
    }
}

/// The module's memory, by the name that every command gives it.
fn memory(caller: &mut Caller<'_, State>) -> Option<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Some(memory),
        Some(_) | None => None,
    }
}

/// Does one call and pays for it.
fn enter(mut caller: Caller<'_, State>, act: impl FnOnce(&mut Call<'_>) -> Answer<()>) -> wasmtime::Result<i32> {
    let Some(memory) = memory(&mut caller) else { return Ok(Errno::Fault as i32) };
    let fuel = caller.get_fuel()?;
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let mut call = Call { memory, state, fuel };
    let answer = call.spend(CALL_FUEL).and_then(|()| act(&mut call));
    let left = call.fuel;
    caller.set_fuel(left)?;
    match answer {
        Ok(()) => Ok(0),
        Err(Fail::Errno(errno)) => Ok(errno as i32),
        Err(Fail::Halt(halt)) => Err(wasmtime::Error::new(halt)),
    }
}

macro_rules! functions {
    ($linker:expr; $($file:ident::$name:ident($($argument:ident: $type:ty),*);)*) => {
        $($linker.func_wrap(
            MODULE,
            stringify!($name),
            |caller: Caller<'_, State>, $($argument: $type),*| -> wasmtime::Result<i32> {
                enter(caller, |call| $file::$name(call, $($argument),*))
            },
        )?;)*
    };
}

/// Gives `linker` every function of the interface.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    functions! { linker;
        misc::args_get(words: i32, text: i32);
        misc::args_sizes_get(count: i32, bytes: i32);
        misc::environ_get(words: i32, text: i32);
        misc::environ_sizes_get(count: i32, bytes: i32);
        misc::clock_res_get(clock: i32, out: i32);
        misc::clock_time_get(clock: i32, precision: i64, out: i32);
        misc::poll_oneoff(subscriptions: i32, events: i32, count: i32, out: i32);
        misc::proc_raise(signal: i32);
        misc::sched_yield();
        misc::random_get(at: i32, length: i32);
        misc::sock_accept(fd: i32, flags: i32, out: i32);
        misc::sock_recv(fd: i32, data: i32, count: i32, flags: i32, out: i32, out_flags: i32);
        misc::sock_send(fd: i32, data: i32, count: i32, flags: i32, out: i32);
        misc::sock_shutdown(fd: i32, how: i32);
        fd::fd_advise(fd: i32, offset: i64, length: i64, advice: i32);
        fd::fd_allocate(fd: i32, offset: i64, length: i64);
        fd::fd_close(fd: i32);
        fd::fd_datasync(fd: i32);
        fd::fd_fdstat_get(fd: i32, out: i32);
        fd::fd_fdstat_set_flags(fd: i32, flags: i32);
        fd::fd_fdstat_set_rights(fd: i32, base: i64, inheriting: i64);
        fd::fd_filestat_get(fd: i32, out: i32);
        fd::fd_filestat_set_size(fd: i32, size: i64);
        fd::fd_filestat_set_times(fd: i32, accessed: i64, modified: i64, flags: i32);
        fd::fd_pread(fd: i32, buffers: i32, count: i32, offset: i64, out: i32);
        fd::fd_pwrite(fd: i32, buffers: i32, count: i32, offset: i64, out: i32);
        fd::fd_read(fd: i32, buffers: i32, count: i32, out: i32);
        fd::fd_renumber(from: i32, to: i32);
        fd::fd_seek(fd: i32, offset: i64, whence: i32, out: i32);
        fd::fd_sync(fd: i32);
        fd::fd_tell(fd: i32, out: i32);
        fd::fd_write(fd: i32, buffers: i32, count: i32, out: i32);
        listing::fd_prestat_get(fd: i32, out: i32);
        listing::fd_prestat_dir_name(fd: i32, at: i32, length: i32);
        listing::fd_readdir(fd: i32, at: i32, length: i32, cookie: i64, out: i32);
        path::path_create_directory(fd: i32, path: i32, length: i32);
        path::path_filestat_get(fd: i32, follow: i32, path: i32, length: i32, out: i32);
        path::path_filestat_set_times(fd: i32, follow: i32, path: i32, length: i32, accessed: i64, modified: i64, flags: i32);
        path::path_link(fd: i32, follow: i32, path: i32, length: i32, to: i32, new: i32, new_length: i32);
        path::path_open(fd: i32, follow: i32, path: i32, length: i32, how: i32, base: i64, inheriting: i64, flags: i32, out: i32);
        path::path_readlink(fd: i32, path: i32, length: i32, at: i32, room: i32, out: i32);
        path::path_remove_directory(fd: i32, path: i32, length: i32);
        path::path_rename(fd: i32, path: i32, length: i32, to: i32, new: i32, new_length: i32);
        path::path_symlink(target: i32, target_length: i32, fd: i32, path: i32, length: i32);
        path::path_unlink_file(fd: i32, path: i32, length: i32);
    }
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Halt::Exit(code.cast_unsigned())))
    })?;
    Ok(())
}

/// Tells what the file of the progress says now, where it says something new.
fn tell_progress(state: &mut State) -> Answer<()> {
    let folder = state.vfs.child(super::vfs::ROOT, ".hivemind")?;
    let file = match folder {
        Some(folder) if state.vfs.names(folder).is_ok() => state.vfs.child(folder, "progress")?,
        Some(_) | None => None,
    };
    let Some(file) = file else { return Ok(()) };
    let mut text = [0; 16];
    let Ok(length) = state.vfs.read(file, 0, &mut text) else { return Ok(()) };
    let said = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.trim().parse::<u8>().ok());
    let Some(percent) = said.filter(|percent| *percent <= 100) else { return Ok(()) };
    if state.progress == Some(percent) {
        return Ok(());
    }
    state.progress = Some(percent);
    tell(state, Tell::Progress, &[percent])
}

/// Says something to the agent.
fn tell(state: &mut State, what: Tell, bytes: &[u8]) -> Answer<()> {
    state
        .voice
        .say(what, bytes)
        .map_err(|error| Fail::Halt(Halt::Fault(format!("the agent does not listen any more: {error}"))))
}
