//! Folders that are open at the start, and what is in a folder.
//!
//! Invariant: a listing is in the order of names, and stays what it was when it began, so that what is
//! removed while it is read hides nothing.

use super::Call;
use super::fd::kind_number;
use super::fds::{Listing, Thing};
use crate::helper::errno::{Answer, Errno};
use crate::helper::vfs::{Facts, Ino, Kind};

/// Bytes of an entry before its name.
const HEAD: usize = 24;

fn given(call: &Call<'_>, fd: i32) -> Answer<&'static str> {
    match call.state.fds.get(fd)?.thing {
        Thing::Folder { given: Some(name), .. } => Ok(name),
        Thing::Folder { given: None, .. } | Thing::File { .. } | Thing::Stdin | Thing::Stdout | Thing::Stderr => {
            Err(Errno::Badf.into())
        }
    }
}

pub(super) fn fd_prestat_get(call: &mut Call<'_>, fd: i32, out: i32) -> Answer<()> {
    let length = u64::try_from(given(call, fd)?.len()).map_err(|_| Errno::Inval)?;
    call.put_u64(out, length << 32)
}

pub(super) fn fd_prestat_dir_name(call: &mut Call<'_>, fd: i32, at: i32, length: i32) -> Answer<()> {
    let name = given(call, fd)?.as_bytes();
    if (length.cast_unsigned() as usize) < name.len() {
        return Err(Errno::Nametoolong.into());
    }
    call.put(at, name)
}

fn begin(call: &mut Call<'_>, fd: i32, folder: Ino) -> Answer<Listing> {
    let inner = call.state.vfs.names(folder)?;
    let own: [(std::rc::Rc<str>, Ino); 2] = [(".".into(), folder), ("..".into(), call.state.vfs.parent(folder)?)];
    let listing: Listing = own.into_iter().chain(inner.iter().map(|(name, ino)| (name.clone(), *ino))).collect();
    call.spend(listing.len() as u64 * 100)?;
    call.state.fds.keep_listing(fd, &listing)?;
    Ok(listing)
}

pub(super) fn fd_readdir(call: &mut Call<'_>, fd: i32, at: i32, length: i32, cookie: i64, out: i32) -> Answer<()> {
    let folder = call.state.fds.folder(fd)?;
    let kept = match &call.state.fds.get(fd)?.thing {
        Thing::Folder { listing, .. } => listing.clone(),
        Thing::File { .. } | Thing::Stdin | Thing::Stdout | Thing::Stderr => None,
    };
    let listing = match kept {
        Some(listing) if cookie != 0 => listing,
        Some(_) | None => begin(call, fd, folder)?,
    };
    let room = length.cast_unsigned();
    call.bytes(at, room)?;
    let room = room as usize;
    let first = usize::try_from(cookie).map_err(|_| Errno::Inval)?;
    let mut bytes: Vec<u8> = Vec::new();
    for (index, (name, ino)) in listing.iter().enumerate().skip(first) {
        if bytes.len() >= room {
            break;
        }
        let kind = call.state.vfs.facts(*ino).map_or(Kind::File, |Facts { kind, .. }| kind);
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
        head[8..16].copy_from_slice(&ino.to_le_bytes());
        head[16..20].copy_from_slice(&u32::try_from(name.len()).map_err(|_| Errno::Inval)?.to_le_bytes());
        head[20] = kind_number(kind);
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes.truncate(room);
    call.spend(bytes.len() as u64)?;
    call.put(at, &bytes)?;
    call.put_u32(out, u32::try_from(bytes.len()).map_err(|_| Errno::Inval)?)
}
