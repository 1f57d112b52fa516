//! What is done by path.
//!
//! Links are not there: a file has one name, and a name is a file or a folder.
//!
//! Invariant: every path goes through [`walk`](crate::helper::vfs::path::walk).

use super::fd::put_filestat;
use super::fds::{Descriptor, Thing, WRITE};
use super::{Call, tell_progress};
use crate::helper::errno::{Answer, Errno};
use crate::helper::vfs::path::{Place, find, named, walk};
use crate::helper::vfs::{Ino, Kind};

const CREATE: i32 = 1;
const IS_FOLDER: i32 = 2;
const EXCLUSIVE: i32 = 4;
const TRUNCATE: i32 = 8;

pub(super) fn path_create_directory(call: &mut Call<'_>, fd: i32, path: i32, length: i32) -> Answer<()> {
    let (base, path) = (call.state.fds.folder(fd)?, call.path(path, length)?);
    match walk(&call.state.vfs, base, &path)? {
        Place::Folder(_) => Err(Errno::Exist.into()),
        Place::Named { folder, name, .. } => call.state.vfs.make_folder(folder, name).map(drop),
    }
}

pub(super) fn path_filestat_get(call: &mut Call<'_>, fd: i32, _: i32, path: i32, length: i32, out: i32) -> Answer<()> {
    let (base, path) = (call.state.fds.folder(fd)?, call.path(path, length)?);
    let ino = find(&call.state.vfs, base, &path)?;
    put_filestat(call, ino, out)
}

/// Nothing has a time, so none is kept.
#[allow(clippy::too_many_arguments, reason = "that is how many the interface gives it")]
pub(super) fn path_filestat_set_times(
    call: &mut Call<'_>,
    fd: i32,
    _: i32,
    path: i32,
    length: i32,
    _: i64,
    _: i64,
    _: i32,
) -> Answer<()> {
    let (base, path) = (call.state.fds.folder(fd)?, call.path(path, length)?);
    find(&call.state.vfs, base, &path).map(drop)
}

#[allow(clippy::too_many_arguments, reason = "that is how many the interface gives it")]
pub(super) fn path_link(
    _: &mut Call<'_>,
    _fd: i32,
    _follow: i32,
    _path: i32,
    _length: i32,
    _to: i32,
    _new: i32,
    _new_length: i32,
) -> Answer<()> {
    Err(Errno::Notsup.into())
}

pub(super) fn path_symlink(_: &mut Call<'_>, _target: i32, _: i32, _fd: i32, _path: i32, _length: i32) -> Answer<()> {
    Err(Errno::Notsup.into())
}

pub(super) fn path_readlink(
    call: &mut Call<'_>,
    fd: i32,
    path: i32,
    length: i32,
    _at: i32,
    _room: i32,
    _out: i32,
) -> Answer<()> {
    let (base, path) = (call.state.fds.folder(fd)?, call.path(path, length)?);
    find(&call.state.vfs, base, &path)?;
    // What is there is no link.
    Err(Errno::Inval.into())
}

/// What is to be opened, made where it is to be.
fn opened(call: &mut Call<'_>, base: Ino, path: &[u8], how: i32) -> Answer<Ino> {
    let vfs = &mut call.state.vfs;
    let place = walk(vfs, base, path)?;
    let (folder, name, is_folder) = match place {
        Place::Folder(_) if how & (CREATE | EXCLUSIVE) == CREATE | EXCLUSIVE => return Err(Errno::Exist.into()),
        Place::Folder(_) if how & CREATE != 0 => return Err(Errno::Isdir.into()),
        Place::Folder(ino) => return Ok(ino),
        Place::Named { folder, name, is_folder } => (folder, name, is_folder),
    };
    match vfs.child(folder, name)? {
        Some(_) if how & (CREATE | EXCLUSIVE) == CREATE | EXCLUSIVE => Err(Errno::Exist.into()),
        Some(ino) if is_folder && vfs.facts(ino)?.kind == Kind::File => Err(Errno::Notdir.into()),
        Some(ino) => Ok(ino),
        None if how & CREATE == 0 => Err(Errno::Noent.into()),
        None if is_folder || how & IS_FOLDER != 0 => Err(Errno::Inval.into()),
        None => vfs.make_file(folder, name),
    }
}

#[allow(clippy::too_many_arguments, reason = "that is how many the interface gives it")]
pub(super) fn path_open(
    call: &mut Call<'_>,
    fd: i32,
    _follow: i32,
    path: i32,
    length: i32,
    how: i32,
    base: i64,
    inheriting: i64,
    flags: i32,
    out: i32,
) -> Answer<()> {
    let (folder, path) = (call.state.fds.folder(fd)?, call.path(path, length)?);
    let from = call.state.fds.get(fd)?.inheriting;
    let (rights, inheriting) = (base.cast_unsigned() & from, inheriting.cast_unsigned() & from);
    let flags = u16::try_from(flags).ok().filter(|flags| *flags < 32).ok_or(Errno::Inval)?;
    // Before anything is made: a call that fails changes nothing.
    if !call.state.fds.has_room() {
        return Err(Errno::Mfile.into());
    }
    call.bytes(out, 4)?;
    let ino = opened(call, folder, &path, how)?;
    let thing = match call.state.vfs.facts(ino)?.kind {
        Kind::Folder if how & TRUNCATE != 0 => return Err(Errno::Isdir.into()),
        Kind::Folder => Thing::Folder { ino, given: None, listing: None },
        Kind::File if how & IS_FOLDER != 0 => return Err(Errno::Notdir.into()),
        Kind::File if how & TRUNCATE != 0 && rights & WRITE == 0 => return Err(Errno::Inval.into()),
        Kind::File => Thing::File { ino, position: 0 },
    };
    if how & TRUNCATE != 0 {
        call.state.vfs.set_size(ino, 0)?;
    }
    call.state.vfs.hold(ino)?;
    let number = call.state.fds.add(Descriptor { thing, flags, rights, inheriting })?;
    call.put_u32(out, number)
}

pub(super) fn path_remove_directory(call: &mut Call<'_>, fd: i32, path: i32, length: i32) -> Answer<()> {
    let (base, path) = (call.state.fds.folder(fd)?, call.path(path, length)?);
    let (folder, name, _) = named(&call.state.vfs, base, &path)?;
    call.state.vfs.remove_folder(folder, name)
}

pub(super) fn path_unlink_file(call: &mut Call<'_>, fd: i32, path: i32, length: i32) -> Answer<()> {
    let (base, path) = (call.state.fds.folder(fd)?, call.path(path, length)?);
    let (folder, name, is_folder) = named(&call.state.vfs, base, &path)?;
    if is_folder {
        return Err(Errno::Notdir.into());
    }
    call.state.vfs.remove_file(folder, name)
}

pub(super) fn path_rename(
    call: &mut Call<'_>,
    fd: i32,
    path: i32,
    length: i32,
    to: i32,
    new: i32,
    new_length: i32,
) -> Answer<()> {
    let (base, path) = (call.state.fds.folder(fd)?, call.path(path, length)?);
    let (new_base, new) = (call.state.fds.folder(to)?, call.path(new, new_length)?);
    let (from, name, is_folder) = named(&call.state.vfs, base, &path)?;
    let (to, new, is_new_folder) = named(&call.state.vfs, new_base, &new)?;
    let ino = call.state.vfs.child(from, name)?.ok_or(Errno::Noent)?;
    if (is_folder || is_new_folder) && call.state.vfs.facts(ino)?.kind == Kind::File {
        return Err(Errno::Notdir.into());
    }
    call.state.vfs.rename((from, name), (to, new))?;
    tell_progress(call.state)
}
