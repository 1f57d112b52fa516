//! What is done with an open file or stream.
//!
//! Invariant: nothing here knows a path.

use super::fds::{APPEND, Descriptor, READ, Thing, WRITE};
use super::{Call, tell, tell_progress};
use crate::helper::errno::{Answer, Errno};
use crate::helper::vfs::{Ino, Kind};
use crate::wire::Tell;

/// Of a stream: none that WASI has a name for, as of a pipe. So nobody takes it for a terminal.
const STREAM: u8 = 0;
const FOLDER: u8 = 3;
const FILE: u8 = 4;
/// The number of the device that everything is on.
const DEVICE: u64 = 1;

/// What WASI calls the kind of something.
pub(super) fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Folder => FOLDER,
        Kind::File => FILE,
    }
}

/// The file behind `fd`, where it may be used so, and where it stands.
fn file(call: &Call<'_>, fd: i32, right: u64) -> Answer<(Ino, u64)> {
    let descriptor = call.state.fds.get(fd)?;
    match descriptor.thing {
        Thing::File { ino, position } if descriptor.rights & right == right => Ok((ino, position)),
        Thing::File { .. } => Err(Errno::Badf.into()),
        Thing::Folder { .. } => Err(Errno::Isdir.into()),
        Thing::Stdin | Thing::Stdout | Thing::Stderr => Err(Errno::Spipe.into()),
    }
}

fn set_position(call: &mut Call<'_>, fd: i32, to: u64) -> Answer<()> {
    match &mut call.state.fds.get_mut(fd)?.thing {
        Thing::File { position, .. } => *position = to,
        Thing::Folder { .. } | Thing::Stdin | Thing::Stdout | Thing::Stderr => {}
    }
    Ok(())
}

/// Only advice: nothing to do.
pub(super) fn fd_advise(call: &mut Call<'_>, fd: i32, _offset: i64, _length: i64, _advice: i32) -> Answer<()> {
    file(call, fd, 0).map(drop)
}

pub(super) fn fd_allocate(call: &mut Call<'_>, fd: i32, offset: i64, length: i64) -> Answer<()> {
    let (ino, _) = file(call, fd, WRITE)?;
    let end = offset.cast_unsigned().checked_add(length.cast_unsigned()).ok_or(Errno::Fbig)?;
    if end > call.state.vfs.facts(ino)?.size { call.state.vfs.set_size(ino, end) } else { Ok(()) }
}

pub(super) fn fd_close(call: &mut Call<'_>, fd: i32) -> Answer<()> {
    let removed = call.state.fds.remove(fd)?;
    removed.ino().map_or(Ok(()), |ino| call.state.vfs.release(ino))
}

pub(super) fn fd_datasync(call: &mut Call<'_>, fd: i32) -> Answer<()> {
    call.state.fds.get(fd).map(drop)
}

pub(super) fn fd_sync(call: &mut Call<'_>, fd: i32) -> Answer<()> {
    call.state.fds.get(fd).map(drop)
}

pub(super) fn fd_fdstat_get(call: &mut Call<'_>, fd: i32, out: i32) -> Answer<()> {
    let descriptor = call.state.fds.get(fd)?;
    let mut stat = [0; 24];
    stat[0] = match descriptor.thing {
        Thing::Stdin | Thing::Stdout | Thing::Stderr => STREAM,
        Thing::File { .. } => FILE,
        Thing::Folder { .. } => FOLDER,
    };
    stat[2..4].copy_from_slice(&descriptor.flags.to_le_bytes());
    stat[8..16].copy_from_slice(&descriptor.rights.to_le_bytes());
    stat[16..].copy_from_slice(&descriptor.inheriting.to_le_bytes());
    call.put(out, &stat)
}

pub(super) fn fd_fdstat_set_flags(call: &mut Call<'_>, fd: i32, flags: i32) -> Answer<()> {
    let flags = u16::try_from(flags).ok().filter(|flags| *flags < 32).ok_or(Errno::Inval)?;
    call.state.fds.get_mut(fd)?.flags = flags;
    Ok(())
}

/// Rights are only ever given up.
pub(super) fn fd_fdstat_set_rights(call: &mut Call<'_>, fd: i32, base: i64, inheriting: i64) -> Answer<()> {
    let (base, inheriting) = (base.cast_unsigned(), inheriting.cast_unsigned());
    let Descriptor { rights, inheriting: inherited, .. } = call.state.fds.get_mut(fd)?;
    if base & !*rights != 0 || inheriting & !*inherited != 0 {
        return Err(Errno::Notcapable.into());
    }
    (*rights, *inherited) = (base, inheriting);
    Ok(())
}

pub(super) fn fd_filestat_get(call: &mut Call<'_>, fd: i32, out: i32) -> Answer<()> {
    match call.state.fds.get(fd)?.ino() {
        Some(ino) => put_filestat(call, ino, out),
        None => {
            let mut stat = [0; 64];
            stat[16] = STREAM;
            stat[24] = 1;
            call.put(out, &stat)
        }
    }
}

/// Writes what is known of `ino`; all its times are the beginning of 1970.
pub(super) fn put_filestat(call: &mut Call<'_>, ino: Ino, out: i32) -> Answer<()> {
    let facts = call.state.vfs.facts(ino)?;
    let mut stat = [0; 64];
    stat[..8].copy_from_slice(&DEVICE.to_le_bytes());
    stat[8..16].copy_from_slice(&ino.to_le_bytes());
    stat[16] = kind_number(facts.kind);
    stat[24] = u8::from(facts.is_named);
    stat[32..40].copy_from_slice(&facts.size.to_le_bytes());
    call.put(out, &stat)
}

pub(super) fn fd_filestat_set_size(call: &mut Call<'_>, fd: i32, size: i64) -> Answer<()> {
    let (ino, _) = file(call, fd, WRITE)?;
    call.state.vfs.set_size(ino, size.cast_unsigned())
}

/// Nothing has a time, so none is kept.
pub(super) fn fd_filestat_set_times(call: &mut Call<'_>, fd: i32, _: i64, _: i64, _: i32) -> Answer<()> {
    call.state.fds.get(fd).map(drop)
}

/// Reads from `offset` on into the buffers; how many bytes.
fn read_into(call: &mut Call<'_>, ino: Ino, mut offset: u64, buffers: i32, count: i32) -> Answer<u32> {
    let mut read = 0;
    for (start, length) in call.buffers(buffers, count)? {
        let begin = start.cast_unsigned() as usize;
        let into = call.memory.get_mut(begin..begin.saturating_add(length as usize)).ok_or(Errno::Fault)?;
        let part = u32::try_from(call.state.vfs.read(ino, offset, into)?).map_err(|_| Errno::Inval)?;
        read += part;
        offset += u64::from(part);
        if part < length {
            break;
        }
    }
    Ok(read)
}

pub(super) fn fd_pread(call: &mut Call<'_>, fd: i32, buffers: i32, count: i32, offset: i64, out: i32) -> Answer<()> {
    let (ino, _) = file(call, fd, READ)?;
    let read = read_into(call, ino, offset.cast_unsigned(), buffers, count)?;
    call.put_u32(out, read)
}

pub(super) fn fd_read(call: &mut Call<'_>, fd: i32, buffers: i32, count: i32, out: i32) -> Answer<()> {
    if matches!(call.state.fds.get(fd)?.thing, Thing::Stdin) {
        return call.put_u32(out, 0);
    }
    let (ino, position) = file(call, fd, READ).map_err(as_badf)?;
    let read = read_into(call, ino, position, buffers, count)?;
    set_position(call, fd, position + u64::from(read))?;
    call.put_u32(out, read)
}

/// A stream in the wrong direction is one that is not open for this.
fn as_badf(fail: crate::helper::errno::Fail) -> crate::helper::errno::Fail {
    use crate::helper::errno::Fail;
    match fail {
        Fail::Errno(Errno::Spipe) => Errno::Badf.into(),
        other @ (Fail::Errno(_) | Fail::Halt(_)) => other,
    }
}

fn written(call: &mut Call<'_>, bytes: &[u8], out: i32) -> Answer<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| Errno::Inval)?;
    call.put_u32(out, length)
}

pub(super) fn fd_pwrite(call: &mut Call<'_>, fd: i32, buffers: i32, count: i32, offset: i64, out: i32) -> Answer<()> {
    let (ino, _) = file(call, fd, WRITE)?;
    let bytes = call.gather(buffers, count)?;
    call.state.vfs.write(ino, offset.cast_unsigned(), &bytes)?;
    tell_progress(call.state)?;
    written(call, &bytes, out)
}

pub(super) fn fd_write(call: &mut Call<'_>, fd: i32, buffers: i32, count: i32, out: i32) -> Answer<()> {
    let stream = match call.state.fds.get(fd)?.thing {
        Thing::Stdout => Some(Tell::Stdout),
        Thing::Stderr => Some(Tell::Stderr),
        Thing::Stdin => return Err(Errno::Badf.into()),
        Thing::File { .. } | Thing::Folder { .. } => None,
    };
    if let Some(stream) = stream {
        let bytes = call.gather(buffers, count)?;
        tell(call.state, stream, &bytes)?;
        return written(call, &bytes, out);
    }
    let (ino, position) = file(call, fd, WRITE)?;
    let at_end = call.state.fds.get(fd)?.flags & APPEND != 0;
    let position = if at_end { call.state.vfs.facts(ino)?.size } else { position };
    let bytes = call.gather(buffers, count)?;
    call.state.vfs.write(ino, position, &bytes)?;
    set_position(call, fd, position + bytes.len() as u64)?;
    tell_progress(call.state)?;
    written(call, &bytes, out)
}

pub(super) fn fd_renumber(call: &mut Call<'_>, from: i32, to: i32) -> Answer<()> {
    call.state.fds.get(to)?;
    if from == to {
        return Ok(());
    }
    let moved = call.state.fds.remove(from)?;
    let replaced = call.state.fds.remove(to)?;
    call.state.fds.put(to, moved)?;
    replaced.ino().map_or(Ok(()), |ino| call.state.vfs.release(ino))
}

pub(super) fn fd_seek(call: &mut Call<'_>, fd: i32, offset: i64, whence: i32, out: i32) -> Answer<()> {
    let (ino, position) = file(call, fd, 0)?;
    let base = match whence {
        0 => 0,
        1 => position,
        2 => call.state.vfs.facts(ino)?.size,
        _ => return Err(Errno::Inval.into()),
    };
    let to = base.checked_add_signed(offset).ok_or(Errno::Inval)?;
    set_position(call, fd, to)?;
    call.put_u64(out, to)
}

pub(super) fn fd_tell(call: &mut Call<'_>, fd: i32, out: i32) -> Answer<()> {
    let (_, position) = file(call, fd, 0)?;
    call.put_u64(out, position)
}
