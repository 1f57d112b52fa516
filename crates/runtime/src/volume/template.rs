//! A fresh file system, kept as the few pieces of it that are not zero.
//!
//! Invariant: read once, just after formatting; never from a volume that a task has seen.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file system with more tables than this is formatted each time instead.
const MOST_BYTES: u64 = 32 << 20;

/// What formatting wrote.
#[derive(Debug)]
pub(super) struct Template {
    length: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Template {
    /// Reads the pieces of `path` that hold data; `None` where there are too many to keep.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let (mut pieces, mut at, mut total) = (Vec::new(), 0, 0u64);
        while let Some(start) = next(&file, rustix::fs::SeekFrom::Data(at))? {
            let end = next(&file, rustix::fs::SeekFrom::Hole(start))?.unwrap_or(length).min(length);
            total += end - start;
            if total > MOST_BYTES {
                return Ok(None);
            }
            let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, start)?;
            pieces.push((start, bytes));
            at = end;
        }
        Ok(Some(Self { length, pieces }))
    }

    /// Makes the file `path`, which must not exist, with this content.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let file = super::private_file(path)?;
        file.set_len(self.length)?;
        self.pieces.iter().try_for_each(|(start, bytes)| file.write_all_at(bytes, *start))
    }
}

/// Where the next piece of that kind begins; `None` past the last one.
fn next(file: &File, from: rustix::fs::SeekFrom) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, from) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
