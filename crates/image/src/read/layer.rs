//! One layer: every entry looked at, every byte counted and hashed, nothing unpacked.
//!
//! Start at [`check_layer`].
//!
//! Invariant: what was read is forgotten, but for the paths.

use super::refusal::{Refusal, shown};
use super::tar::{Entry, Kind, Scanner, Source};
use super::{Limits, Packing};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, BufReader, Read};

/// Longest path, and most folders of one, that a file system takes.
const MOST_PATH_BYTES: usize = 4096;
const MOST_NAME_BYTES: usize = 255;
const MOST_DEPTH: usize = 256;
/// Bytes of all paths of a layer together; they are held in memory.
const MOST_PATHS_BYTES: u64 = 256 << 20;
/// So much may unpack from however little.
const FREE_BYTES: u64 = 64 << 20;

/// What a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The digest of the bytes as they were given, as `sha256:<hex>`.
    pub packed_digest: String,
    /// The digest of the tar in them, as `sha256:<hex>`.
    pub diff_id: String,
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Reads a layer to its end.
///
/// # Errors
/// Why it is not taken, by name; [`Refusal::Io`] where `from` fails.
pub fn check_layer(from: impl Read, packing: Packing, limits: &Limits) -> Result<Summary, Refusal> {
    let mut from = from;
    check(&mut from, packing, limits)
}

pub(super) fn check(from: &mut dyn Read, packing: Packing, limits: &Limits) -> Result<Summary, Refusal> {
    let watch = Watch::default();
    let mut packed = Hashed { from, hash: Sha256::new(), count: &watch.packed };
    // Both read to the end of what they are given, so that all of it is in the digest.
    let (walk, diff_id) = match packing {
        Packing::Plain => unpack(&mut packed, &watch, limits)?,
        Packing::Gzip => {
            let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, &mut packed));
            unpack(&mut decoder, &watch, limits).map_err(of_gzip)?
        }
    };
    Ok(Summary { packed_digest: packed.digest(), diff_id, entries: walk.entries, bytes: walk.bytes })
}

/// A broken stream is the archive's fault, not this machine's.
fn of_gzip(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Refusal::Truncated("a layer"),
        Refusal::Io(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Refusal::Gzip(error)
        }
        other => other,
    }
}

fn unpack<'a>(from: &mut dyn Read, watch: &Watch, limits: &'a Limits) -> Result<(Walk<'a>, String), Refusal> {
    let mut plain = Hashed { from, hash: Sha256::new(), count: &watch.plain };
    let mut walk = Walk { limits, paths: HashMap::new(), path_bytes: 0, entries: 0, bytes: 0 };
    let guarded = Guarded { from: &mut plain, watch, limits, tripped: Cell::new(None) };
    let mut scanner = Scanner::new(guarded);
    loop {
        match scanner.next() {
            Ok(Some(entry)) => walk.take(&entry)?,
            Ok(None) => break,
            Err(refusal) => return Err(scanner.tripped().unwrap_or(refusal)),
        }
    }
    let digest = plain.digest();
    Ok((walk, digest))
}

/// Bytes that went by.
#[derive(Debug, Default)]
struct Watch {
    packed: Cell<u64>,
    plain: Cell<u64>,
}

/// Hashes and counts what is read through it.
struct Hashed<'a> {
    from: &'a mut dyn Read,
    hash: Sha256,
    count: &'a Cell<u64>,
}

impl Hashed<'_> {
    fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.hash.clone().finalize()))
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.hash.update(&into[..count]);
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// Stops the reading of what unpacks to too much.
struct Guarded<'a, 'b> {
    from: &'a mut Hashed<'b>,
    watch: &'a Watch,
    limits: &'a Limits,
    tripped: Cell<Option<Trip>>,
}

#[derive(Debug, Clone, Copy)]
enum Trip {
    Bytes(u64),
    Ratio,
}

impl Guarded<'_, '_> {
    fn look(&self) -> io::Result<()> {
        let (packed, plain) = (self.watch.packed.get(), self.watch.plain.get());
        // The archive's own headers are bytes, too.
        let most =
            self.limits.unpacked_bytes.saturating_add(self.limits.entries.saturating_mul(1024)).saturating_add(2 << 20);
        let trip = if plain > most {
            Trip::Bytes(plain)
        } else if plain > FREE_BYTES && plain / packed.max(1) > self.limits.ratio {
            Trip::Ratio
        } else {
            return Ok(());
        };
        self.tripped.set(Some(trip));
        Err(io::Error::other("too much"))
    }
}

impl Read for Guarded<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.look()?;
        Ok(count)
    }
}

impl Source for Guarded<'_, '_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        let mut left = count;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            match self.read(&mut piece[..most])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => left -= read as u64,
            }
        }
        Ok(())
    }
}

impl Scanner<Guarded<'_, '_>> {
    fn tripped(&self) -> Option<Refusal> {
        let guarded = self.source();
        guarded.tripped.get().map(|trip| match trip {
            Trip::Bytes(found) => Refusal::TooLarge { what: "its content", found, most: guarded.limits.unpacked_bytes },
            Trip::Ratio => Refusal::Bomb { most: guarded.limits.ratio },
        })
    }
}

/// What stands at a path so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    kind: Kind,
    /// False for a folder that only something in it tells of.
    is_entry: bool,
}

/// The paths of a layer.
struct Walk<'a> {
    limits: &'a Limits,
    paths: HashMap<Vec<u8>, Known>,
    path_bytes: u64,
    entries: u64,
    bytes: u64,
}

impl Walk<'_> {
    fn take(&mut self, entry: &Entry) -> Result<(), Refusal> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Refusal::TooMany { what: "entries", found: self.entries, most: self.limits.entries });
        }
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > self.limits.unpacked_bytes {
            let most = self.limits.unpacked_bytes;
            return Err(Refusal::TooLarge { what: "its content", found: self.bytes, most });
        }
        let path = clean(&entry.path)?;
        match entry.kind {
            Kind::File | Kind::Folder | Kind::Link | Kind::HardLink => {}
            Kind::Device => return Err(Refusal::Device(shown(&path))),
            Kind::Sparse => return Err(Refusal::Sparse(shown(&path))),
            Kind::Other(kind) => return Err(Refusal::Kind { path: shown(&path), kind: kind.into() }),
        }
        if path.is_empty() {
            let why = "is the root, which is no file";
            return if entry.kind == Kind::Folder { Ok(()) } else { Err(Refusal::Path { path: "/".into(), why }) };
        }
        self.parents(&path)?;
        match entry.kind {
            Kind::HardLink => self.hard_link(&path, &entry.target)?,
            Kind::Link
                if entry.target.is_empty() || entry.target.len() > MOST_PATH_BYTES || entry.target.contains(&0) =>
            {
                return Err(Refusal::Path { path: shown(&path), why: "is a link to nothing that could be a path" });
            }
            Kind::File | Kind::Folder | Kind::Link | Kind::Device | Kind::Sparse | Kind::Other(_) => {}
        }
        let kind = if entry.kind == Kind::HardLink { Kind::File } else { entry.kind };
        self.put(path, Known { kind, is_entry: true })
    }

    /// Everything above `path` is a folder of this layer, or of one below it.
    fn parents(&mut self, path: &[u8]) -> Result<(), Refusal> {
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let parent = &path[..at];
            match self.paths.get(parent).map(|known| known.kind) {
                Some(Kind::Folder) => {}
                Some(Kind::Link) => return Err(Refusal::ThroughLink { path: shown(path), link: shown(parent) }),
                Some(Kind::File | Kind::HardLink | Kind::Device | Kind::Sparse | Kind::Other(_)) => {
                    return Err(Refusal::Path { path: shown(path), why: "is in a file of the same layer" });
                }
                None => self.put(parent.to_vec(), Known { kind: Kind::Folder, is_entry: false })?,
            }
        }
        Ok(())
    }

    fn hard_link(&self, path: &[u8], target: &[u8]) -> Result<(), Refusal> {
        let out = || Refusal::LinkOut { path: shown(path), target: shown(target) };
        let cleaned = clean(target).map_err(|_| out())?;
        match self.paths.get(&cleaned) {
            Some(Known { kind: Kind::File | Kind::Link, is_entry: true }) => Ok(()),
            Some(_) | None => Err(out()),
        }
    }

    fn put(&mut self, path: Vec<u8>, known: Known) -> Result<(), Refusal> {
        match self.paths.get(&path) {
            None => {}
            // A folder may be told of twice; what is in it came in between.
            Some(Known { kind: Kind::Folder, .. }) if known.kind == Kind::Folder => {}
            Some(_) => return Err(Refusal::Duplicate(shown(&path))),
        }
        self.path_bytes += path.len() as u64;
        if self.path_bytes > MOST_PATHS_BYTES {
            let (what, found, most) = ("all paths of a layer", self.path_bytes, MOST_PATHS_BYTES);
            return Err(Refusal::TooLarge { what, found, most });
        }
        self.paths.insert(path, known);
        Ok(())
    }
}

/// A path from the image's root, without what means nothing: `./a//b/` is `a/b`.
pub(super) fn clean(raw: &[u8]) -> Result<Vec<u8>, Refusal> {
    let bad = |why| Err(Refusal::Path { path: shown(raw), why });
    if raw.starts_with(b"/") {
        return Err(Refusal::Absolute(shown(raw)));
    }
    if raw.len() > MOST_PATH_BYTES {
        return bad("is longer than 4096 bytes");
    }
    if raw.contains(&0) {
        return bad("has a zero in it");
    }
    let mut path = Vec::with_capacity(raw.len());
    for (depth, part) in raw.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").enumerate() {
        if part == b".." {
            return Err(Refusal::Traversal(shown(raw)));
        }
        if part.len() > MOST_NAME_BYTES || depth >= MOST_DEPTH {
            return bad("has a name of more than 255 bytes, or more than 256 folders");
        }
        if depth > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    Ok(path)
}
