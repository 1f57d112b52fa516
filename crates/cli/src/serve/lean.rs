//! Keeps a worker small: it runs for months on a machine that its owner uses.
//!
//! Start at [`small_pages`], called first, and [`forget_the_start`], called when it is ready.
//!
//! Invariant: only what the kernel can bring back by itself is given up; nothing here can make a worker fail.

use rustix::mm::{Advice, madvise};
use std::ffi::c_void;
use std::fs;

/// Memory of this size and more is kept in small pages, in bytes: that of the allocator.
const LARGE: usize = 2 << 20;

/// Keeps the allocator's memory in small pages: in huge ones a few kilobytes of a lone buffer occupy two
/// megabytes. Only this process: what it starts may have huge ones.
pub(crate) fn small_pages() {
    advise(Advice::LinuxNoHugepage, |mapping| {
        mapping.access == "rw-p" && mapping.file.is_empty() && mapping.length >= LARGE
    });
}

/// Lets go of this program's own code that is in memory: most of it was needed once, to start. What runs on is
/// read again when it is used, from the page cache.
pub(super) fn forget_the_start() {
    let Ok(program) = fs::read_link("/proc/self/exe") else { return };
    let program = program.to_string_lossy();
    advise(Advice::LinuxDontNeed, |mapping| mapping.access == "r-xp" && mapping.file == program);
}

/// A line of the kernel's list.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    start: usize,
    length: usize,
    access: &'a str,
    file: &'a str,
}

/// Gives advice about the mappings that are `meant`; where the kernel tells none, or takes none, all stays as it was.
fn advise(advice: Advice, meant: impl Fn(&Mapping<'_>) -> bool) {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for mapping in maps.lines().filter_map(parse).filter(meant) {
        // SAFETY: both kinds of advice leave what the memory holds as it is: the one is about the size of pages, the
        // other is given only of mappings that cannot be written, whose pages the kernel reads from their file again.
        #[allow(unsafe_code, reason = "the call cannot know which advice keeps what memory holds")]
        let taken = unsafe { madvise(mapping.start as *mut c_void, mapping.length, advice) };
        if let Err(why) = taken {
            tracing::debug!("the kernel takes no advice about memory: {why}");
        }
    }
}

/// `None` of what is no such line.
fn parse(line: &str) -> Option<Mapping<'_>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let (access, rest) = rest.split_once(' ')?;
    // Offset, device and inode stand before the file; its name may hold spaces.
    let file = rest.splitn(4, ' ').nth(3).unwrap_or_default().trim_start();
    Some(Mapping { start, length: end.checked_sub(start)?, access, file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "7f00-9f00 r-xp 00002000 fe:00 1311 /a folder/hivemind";
        let mapping = Mapping { start: 0x7f00, length: 0x2000, access: "r-xp", file: "/a folder/hivemind" };
        assert_eq!(parse(line), Some(mapping));
        let line = "20000000000-20000100000 rw-p 00000000 00:00 0 ";
        assert_eq!(parse(line).map(|mapping| (mapping.length, mapping.file)), Some((1 << 20, "")));
        assert_eq!((parse(""), parse("9-7 rw-p 0 0 0 x"), parse("x-y r")), (None, None, None));
    }

    #[test]
    fn what_memory_holds_stays_as_it_was() {
        let held = vec![7_u8; 3 * LARGE];
        small_pages();
        forget_the_start();
        assert!(held.iter().all(|byte| *byte == 7));
    }
}
