//! How far a command says that it is: a number from 0 to 100 in a file of its own disk.
//!
//! Start at [`percent`].
//!
//! Invariant: what the file says is a stranger's word; no link is followed, no pipe waited for, a few bytes read.

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use std::os::fd::BorrowedFd;

/// The folder under /task in which a command tells its progress.
pub const FOLDER: &str = ".hivemind";
/// The file, under /task.
const FILE: &str = ".hivemind/progress";
/// Longest content that is looked at.
const MOST_BYTES: usize = 16;

/// What the progress file in the folder `task` says; `None` where there is none, or it says nothing such.
pub fn percent(task: BorrowedFd<'_>) -> Option<u8> {
    let within =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    // A pipe without a writer is not waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = openat2(task, FILE, flags, Mode::empty(), within).ok()?;
    if FileType::from_raw_mode(fstat(&file).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut content = [0; MOST_BYTES];
    let length = rustix::io::read(&file, &mut content).ok()?;
    parse(&content[..length])
}

fn parse(content: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(content).ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|percent| is_number && *percent <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    #[test]
    fn only_a_number_up_to_a_hundred_is_progress() {
        for (content, percent) in [
            (&b"0"[..], Some(0)),
            (b" 42\n", Some(42)),
            (b"100\n", Some(100)),
            (b"101", None),
            (b"+5", None),
            (b"-1", None),
            (b"4.2", None),
            (b"7 of many more than sixteen bytes", None),
            (b"", None),
            (b"42\n43\n", None),
            (b"\xff\xff", None),
            (b"0000000000000042", Some(42)),
        ] {
            assert_eq!(parse(content), percent, "{content:?}");
        }
    }

    #[test]
    fn only_a_plain_file_is_read() {
        let task = tempfile::tempdir().expect("a folder");
        let (folder, file) = (task.path().join(FOLDER), task.path().join(FILE));
        let opened = File::open(task.path()).expect("opened");
        let seen = || percent(opened.as_fd());
        assert_eq!(seen(), None);
        fs::create_dir(&folder).expect("made");
        fs::write(&file, "7\n").expect("written");
        assert_eq!(seen(), Some(7));
        fs::rename(&file, task.path().join("elsewhere")).expect("moved");
        std::os::unix::fs::symlink("../elsewhere", &file).expect("made");
        assert_eq!(seen(), None);
        fs::remove_file(&file).expect("removed");
        rustix::fs::mknodat(rustix::fs::CWD, &file, FileType::Fifo, Mode::from_raw_mode(0o666), 0).expect("made");
        assert_eq!(seen(), None);
        fs::remove_file(&file).expect("removed");
        fs::create_dir(&file).expect("made");
        assert_eq!(seen(), None);
    }
}
