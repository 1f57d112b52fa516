//! Where the bytes of the job's own files lie: in blocks of one file without a name.
//!
//! Start at [`Store`]. Whatever a file's length does not cover is zero in its last block, so that a
//! file that grows again never shows what was there before.
//!
//! Invariant: no path is ever opened; the file was given open, and ends with this process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a block.
pub(crate) const BLOCK: u64 = 4096;
/// A block that was never written: zeros.
const HOLE: u32 = u32::MAX;
static ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// The blocks of one file, from its beginning; what is missing at the end are holes.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Vec<u32>);

/// All blocks.
#[derive(Debug)]
pub(crate) struct Store {
    file: File,
    /// Blocks from here on were never used, and are zero.
    fresh: u32,
    /// Blocks that were used and are not any more.
    free: Vec<u32>,
}

/// How many blocks hold `bytes`.
pub(crate) const fn blocks_of(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK)
}

impl Store {
    /// A store in `file`, which is empty.
    pub(crate) fn new(file: File) -> Self {
        Self { file, fresh: 0, free: Vec::new() }
    }

    fn take(&mut self) -> io::Result<u32> {
        if let Some(block) = self.free.pop() {
            self.file.write_all_at(&ZEROS, u64::from(block) * BLOCK)?;
            return Ok(block);
        }
        let block = self.fresh;
        if block == HOLE {
            return Err(io::Error::other("more blocks than can be numbered"));
        }
        self.fresh += 1;
        Ok(block)
    }

    /// Reads from `offset` on; all of `into` lies within the file.
    pub(crate) fn read(&self, blocks: &Blocks, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < into.len() {
            let (block, at, length) = blocks.run(offset + done as u64, into.len() - done);
            let part = &mut into[done..done + length];
            match block {
                None => part.fill(0),
                Some(block) => self.file.read_exact_at(part, u64::from(block) * BLOCK + at).or_else(|error| {
                    // The end of the last block may never have been written.
                    if error.kind() == io::ErrorKind::UnexpectedEof {
                        self.read_short(part, block, at)
                    } else {
                        Err(error)
                    }
                })?,
            }
            done += length;
        }
        Ok(())
    }

    fn read_short(&self, part: &mut [u8], block: u32, at: u64) -> io::Result<()> {
        part.fill(0);
        let mut done = 0;
        while done < part.len() {
            match self.file.read_at(&mut part[done..], u64::from(block) * BLOCK + at + done as u64)? {
                0 => break,
                read => done += read,
            }
        }
        Ok(())
    }

    /// Writes from `offset` on.
    pub(crate) fn write(&mut self, blocks: &mut Blocks, offset: u64, from: &[u8]) -> io::Result<()> {
        if from.is_empty() {
            return Ok(());
        }
        let (first, last) = (index(offset), index(offset + from.len() as u64 - 1));
        if blocks.0.len() <= last {
            blocks.0.resize(last + 1, HOLE);
        }
        for slot in &mut blocks.0[first..=last] {
            if *slot == HOLE {
                *slot = self.take()?;
            }
        }
        let mut done = 0;
        while done < from.len() {
            let (block, at, length) = blocks.run(offset + done as u64, from.len() - done);
            let block = block.ok_or_else(|| io::Error::other("a block that was taken is gone"))?;
            self.file.write_all_at(&from[done..done + length], u64::from(block) * BLOCK + at)?;
            done += length;
        }
        Ok(())
    }

    /// Gives back what lies behind `size`, and clears the rest of the last block.
    pub(crate) fn shorten(&mut self, blocks: &mut Blocks, size: u64) -> io::Result<()> {
        let kept = usize::try_from(blocks_of(size)).unwrap_or(usize::MAX);
        if blocks.0.len() > kept {
            self.free.extend(blocks.0.drain(kept..).filter(|block| *block != HOLE));
        }
        let inside = size % BLOCK;
        match blocks.0.get(index(size)) {
            Some(&block) if inside > 0 && block != HOLE => {
                let rest = &ZEROS[..usize::try_from(BLOCK - inside).unwrap_or(0)];
                self.file.write_all_at(rest, u64::from(block) * BLOCK + inside)
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset / BLOCK).unwrap_or(usize::MAX)
}

impl Blocks {
    /// The block in which `offset` lies (`None`: a hole), where in it, and for how many of `most` bytes
    /// what follows lies right behind.
    fn run(&self, offset: u64, most: usize) -> (Option<u32>, u64, usize) {
        let at = offset % BLOCK;
        let block = |index: usize| self.0.get(index).copied().filter(|block| *block != HOLE);
        let first = block(index(offset));
        let mut length = usize::try_from(BLOCK - at).unwrap_or(0);
        let mut next = index(offset) + 1;
        let mut expected = first;
        while length < most {
            expected = expected.map(|block| block + 1);
            if block(next) != expected {
                break;
            }
            length += ZEROS.len();
            next += 1;
        }
        (first, at, length.min(most))
    }
}
