//! Whether a program runs alone: for this kind of machine, and without a library.
//!
//! The format is that of the System V ABI, chapters 4 and 5.
//!
//! Invariant: no number in the file decides how much is read.

use crate::failure::Failure;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const CLASS_64: u8 = 2;
const TYPE_EXECUTABLE: u16 = 2;
const TYPE_SHARED: u16 = 3;
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const TAG_NEEDED: u64 = 1;
/// Most of a table that is looked at.
const MOST_HEADERS: u16 = 256;
const MOST_DYNAMIC: u64 = 64 << 10;

/// Why a program does not run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is cut short, or a part of a program.
    NoProgram,
    /// It is for another kind of machine.
    OtherMachine,
    /// It needs libraries.
    Dynamic,
}

impl Bad {
    /// As it is told.
    pub(super) fn failure(self, shown: &str) -> Failure {
        let arch = std::env::consts::ARCH;
        match self {
            Self::NoProgram => Failure::usage(format!("{shown} is no whole program, but a library or a part of one"))
                .fix("name a program that is linked"),
            Self::OtherMachine => Failure::usage(format!("{shown} is a program for another kind of machine than {arch}"))
                .fix("build it for this kind, or make an image for the other one and name its archive"),
            Self::Dynamic => Failure::usage(format!("{shown} needs libraries, which are not where it would run")).fix(format!(
                "link it statically (Rust: `--target {arch}-unknown-linux-musl`; C: `-static`; Go: `CGO_ENABLED=0`), or put it into an image with what it needs"
            )),
        }
    }
}

/// What the fields of one class of files are.
struct Fields<'a> {
    file: &'a File,
    wide: bool,
}

/// Judges a program.
pub(super) fn judge(file: &File) -> io::Result<Result<(), Bad>> {
    let mut head = [0; 64];
    if file.read_at(&mut head, 0)? < 52 {
        return Ok(Err(Bad::NoProgram));
    }
    let little = if cfg!(target_endian = "little") { 1 } else { 2 };
    let wide = head[4] == CLASS_64;
    if wide != cfg!(target_pointer_width = "64") || head[5] != little || u16_at(&head, 18) != machine() {
        return Ok(Err(Bad::OtherMachine));
    }
    let kind = u16_at(&head, 16);
    let (entry, table) = if wide {
        (u64_at(&head, 24), u64_at(&head, 32))
    } else {
        (u32_at(&head, 24).into(), u32_at(&head, 28).into())
    };
    let (size, count) =
        if wide { (u16_at(&head, 54), u16_at(&head, 56)) } else { (u16_at(&head, 42), u16_at(&head, 44)) };
    if ![TYPE_EXECUTABLE, TYPE_SHARED].contains(&kind) || entry == 0 || count == 0 || count > MOST_HEADERS {
        return Ok(Err(Bad::NoProgram));
    }
    let fields = Fields { file, wide };
    for number in 0..count {
        let at = table.saturating_add(u64::from(number) * u64::from(size));
        let mut header = [0; 56];
        let length = if wide { 56 } else { 32 };
        if usize::from(size) < length || file.read_at(&mut header[..length], at)? < length {
            return Ok(Err(Bad::NoProgram));
        }
        let (offset, bytes) = if wide {
            (u64_at(&header, 8), u64_at(&header, 32))
        } else {
            (u32_at(&header, 4).into(), u32_at(&header, 16).into())
        };
        match u32_at(&header, 0) {
            INTERPRETER => return Ok(Err(Bad::Dynamic)),
            DYNAMIC if fields.needs_libraries(offset, bytes)? => return Ok(Err(Bad::Dynamic)),
            _ => {}
        }
    }
    Ok(Ok(()))
}

impl Fields<'_> {
    fn needs_libraries(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        let mut table = vec![0; usize::try_from(bytes.min(MOST_DYNAMIC)).unwrap_or(0)];
        let got = self.file.read_at(&mut table, offset)?;
        let entry = if self.wide { 16 } else { 8 };
        let tag = |entry: &[u8]| if self.wide { u64_at(entry, 0) } else { u32_at(entry, 0).into() };
        Ok(table[..got].chunks_exact(entry).map(tag).take_while(|tag| *tag != 0).any(|tag| tag == TAG_NEEDED))
    }
}

/// The number of this kind of machine; 0 for one that is not known.
const fn machine() -> u16 {
    if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else if cfg!(target_arch = "riscv64") {
        243
    } else if cfg!(target_arch = "powerpc64") {
        21
    } else if cfg!(target_arch = "s390x") {
        22
    } else if cfg!(target_arch = "arm") {
        40
    } else if cfg!(target_arch = "x86") {
        3
    } else {
        0
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
}
