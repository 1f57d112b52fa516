//! What a command has used so far and how far it says it is, told while it runs.
//!
//! Start at [`Watch::tick`]. The progress file and the disk are looked at on another thread, because a task
//! that keeps its disk busy must not hold up its own end.
//!
//! Invariant: nothing is looked at between two samples of the meter; what the file says is a stranger's word.

use super::meter::Meter;
use crate::volume::Held;
use crate::{Sink, Usage};
use hivemind_egress::Used;
use hivemind_model::units::Bytes;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The folder under /task in which a command tells its progress.
pub(super) const FOLDER: &str = ".hivemind";
/// The file, under /task.
const FILE: &str = ".hivemind/progress";
/// Between two reports.
const EVERY: Duration = Duration::from_secs(2);
/// Longest content that is looked at.
const MOST_BYTES: usize = 16;

/// What was seen on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    disk: u64,
    percent: Option<u8>,
}

/// Tells about one command.
#[derive(Debug)]
pub(super) struct Watch {
    held: Option<Arc<Held>>,
    due: Instant,
    look: Option<JoinHandle<Look>>,
    told: Option<u8>,
}

impl Watch {
    /// Of a command that has just been started; `held` is its disk, where it can be read.
    pub(super) fn new(held: Option<Arc<Held>>) -> Self {
        Self { held, due: Instant::now() + EVERY, look: None, told: None }
    }

    /// After a sample: begins a look where it is time for one.
    pub(super) fn tick(&mut self) {
        if self.look.is_none() && Instant::now() >= self.due {
            self.due = Instant::now() + EVERY;
            let held = self.held.clone();
            self.look = Some(tokio::task::spawn_blocking(move || held.map(|held| look(&held)).unwrap_or_default()));
        }
    }

    /// Tells `sink` what a look has seen, and what has passed through its `network`; never resolves while none is under way. Losing the race of a
    /// `select!` loses nothing.
    pub(super) async fn report(&mut self, meter: &Meter<'_>, network: Used, sink: &dyn Sink) {
        let Some(look) = &mut self.look else { return std::future::pending().await };
        let seen = look.await.unwrap_or_default();
        self.look = None;
        let (cpu, _) = meter.seen();
        let Used { received, sent } = network;
        sink.usage(Usage { cpu, memory: meter.present(), disk: Bytes(seen.disk), received, sent });
        self.tell(seen.percent, sink);
    }

    /// After the end: tells what the file says last.
    pub(super) fn last(&mut self, percent: Option<u8>, sink: &dyn Sink) {
        self.tell(percent, sink);
    }

    fn tell(&mut self, percent: Option<u8>, sink: &dyn Sink) {
        if let Some(percent) = percent
            && self.told != Some(percent)
        {
            self.told = Some(percent);
            sink.progress(percent);
        }
    }
}

fn look(held: &Held) -> Look {
    Look { disk: held.used(), percent: percent(held.as_fd()) }
}

/// What the progress file in the folder `task` says; `None` where there is none, or it says nothing such.
pub(super) fn percent(task: BorrowedFd<'_>) -> Option<u8> {
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
