//! Tells what is kept of the job's folder, in the order of paths.
//!
//! Invariant: a name that no machine could unpack is left out here, and said so.

use super::errno::Fail;
use super::vfs::path::find;
use super::vfs::{Ino, Kind, ROOT, Vfs};
use crate::wire::{Entry, LeftOut, Tell, Voice};
use std::io;

/// Bytes told at once.
const PIECE_BYTES: usize = 64 << 10;
/// Longest path, and most folders of one, that are unpacked.
const MOST_PATH_BYTES: usize = 4096;
const MOST_DEPTH: usize = 64;

fn failed(fail: Fail) -> io::Error {
    match fail {
        Fail::Errno(errno) => io::Error::other(format!("the outputs changed while they were read: {errno:?}")),
        Fail::Halt(halt) => io::Error::other(halt),
    }
}

/// Sends each of `wanted` that is there, with all that is in it.
pub(super) fn send(voice: &Voice, vfs: &Vfs, wanted: &[String]) -> io::Result<()> {
    let mut left_out = LeftOut::default();
    let mut waiting: Vec<(String, Ino)> = Vec::new();
    for path in wanted {
        if let Ok(ino) = find(vfs, ROOT, path.as_bytes()) {
            waiting.push((path.clone(), ino));
        }
    }
    waiting.sort_by(|one, other| other.0.cmp(&one.0));
    while let Some((path, ino)) = waiting.pop() {
        if path.len() > MOST_PATH_BYTES || path.split('/').count() > MOST_DEPTH || path.contains(char::is_control) {
            if left_out.count == 0 {
                left_out.first = path.chars().filter(|c| !c.is_control()).take(100).collect();
            }
            left_out.count += 1;
            continue;
        }
        let facts = vfs.facts(ino).map_err(failed)?;
        match facts.kind {
            Kind::Folder => {
                voice.say_json(Tell::Entry, &Entry { path: path.clone(), size: None })?;
                // The last one pushed is the next.
                let names = vfs.names(ino).map_err(failed)?;
                waiting.extend(names.iter().rev().map(|(name, ino)| (format!("{path}/{name}"), *ino)));
            }
            Kind::File => {
                voice.say_json(Tell::Entry, &Entry { path, size: Some(facts.size) })?;
                send_file(voice, vfs, ino, facts.size)?;
            }
        }
    }
    voice.say_json(Tell::Done, &left_out)
}

fn send_file(voice: &Voice, vfs: &Vfs, ino: Ino, size: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut done = 0;
    while done < size {
        let read = vfs.read(ino, done, &mut piece).map_err(failed)?;
        if read == 0 {
            return Err(io::Error::other("an output became shorter while it was read"));
        }
        voice.say(Tell::Data, &piece[..read])?;
        done += read as u64;
    }
    Ok(())
}
