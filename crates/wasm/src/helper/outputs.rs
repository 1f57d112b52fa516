//! Tells what is kept of the job's folder, in the order of paths.
//!
//! Invariant: a name that no machine could unpack is left out here, and said so.

use super::errno::Fail;
use super::vfs::path::find;
use super::vfs::{Ino, Kind, ROOT, Vfs};
use crate::wire::{Entry, LeftOut, Tell, Voice};
use std::io;
use std::rc::Rc;

/// Bytes told at once.
const PIECE_BYTES: usize = 64 << 10;
/// Most bytes of all paths together.
const MOST_NAME_BYTES: usize = 64 << 20;
/// Longest path, and most folders of one, that are unpacked.
const MOST_PATH_BYTES: usize = 4096;
const MOST_DEPTH: usize = 64;

fn failed(fail: Fail) -> io::Error {
    match fail {
        Fail::Errno(errno) => io::Error::other(format!("the outputs changed while they were read: {errno:?}")),
        Fail::Halt(halt) => io::Error::other(halt),
    }
}

/// A folder that is being told: its path, and what in it is still to come, the next one last.
struct Level {
    path: String,
    rest: Vec<(Rc<str>, Ino)>,
}

/// On the way through what is kept.
struct Sender<'a> {
    voice: &'a Voice,
    vfs: &'a Vfs,
    left_out: LeftOut,
    name_bytes: usize,
}

/// Sends each of `wanted` that is there, with all that is in it.
pub(super) fn send(voice: &Voice, vfs: &Vfs, wanted: &[String]) -> io::Result<()> {
    let mut sender = Sender { voice, vfs, left_out: LeftOut::default(), name_bytes: 0 };
    let mut wanted: Vec<&String> = wanted.iter().collect();
    wanted.sort_by(|one, other| one.split('/').cmp(other.split('/')));
    for path in wanted {
        if let Ok(ino) = find(vfs, ROOT, path.as_bytes()) {
            sender.send_tree(path, ino)?;
        }
    }
    voice.say_json(Tell::Done, &sender.left_out)
}

impl Sender<'_> {
    /// Sends what is at `path`, and all that is in it.
    fn send_tree(&mut self, path: &str, ino: Ino) -> io::Result<()> {
        let mut levels: Vec<Level> = Vec::new();
        levels.extend(self.send_one(path.to_owned(), ino)?);
        while let Some(level) = levels.last_mut() {
            match level.rest.pop() {
                Some((name, ino)) => {
                    let path = format!("{}/{name}", level.path);
                    levels.extend(self.send_one(path, ino)?);
                }
                None => drop(levels.pop()),
            }
        }
        Ok(())
    }

    /// Sends one thing; of a folder what is in it.
    fn send_one(&mut self, path: String, ino: Ino) -> io::Result<Option<Level>> {
        let is_plain = path.len() <= MOST_PATH_BYTES
            && path.split('/').count() <= MOST_DEPTH
            && !path.contains(char::is_control)
            && self.name_bytes + path.len() <= MOST_NAME_BYTES;
        if !is_plain {
            if self.left_out.count == 0 {
                self.left_out.first = path.chars().filter(|c| !c.is_control()).take(100).collect();
            }
            self.left_out.count += 1;
            return Ok(None);
        }
        self.name_bytes += path.len();
        let facts = self.vfs.facts(ino).map_err(failed)?;
        match facts.kind {
            Kind::Folder => {
                self.voice.say_json(Tell::Entry, &Entry { path: path.clone(), size: None })?;
                let names = self.vfs.names(ino).map_err(failed)?;
                let rest = names.iter().rev().map(|(name, ino)| (name.clone(), *ino)).collect();
                Ok(Some(Level { path, rest }))
            }
            Kind::File => {
                self.voice.say_json(Tell::Entry, &Entry { path, size: Some(facts.size) })?;
                send_file(self.voice, self.vfs, ino, facts.size)?;
                Ok(None)
            }
        }
    }
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
