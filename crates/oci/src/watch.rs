//! What a running command uses, and how far it says that it is.
//!
//! Start at [`watch`]. What the command wrote for us is read through the agent's own mount of its disk, a few
//! bytes of it, and no link is followed.
//!
//! Invariant: money does not depend on this.

use crate::cgroup::Group;
use hivemind_egress::Used;
use hivemind_model::units::{Bytes, Millis};
use hivemind_runtime::volume::Unnamed;
use hivemind_runtime::{Sink, Usage};
use rustix::fs::{FileType, Mode, OFlags, fstat, fstatvfs, openat};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_secs(2);
/// Where a command says how far it is: a number from 0 to 100.
const PROGRESS: [&str; 2] = [".hivemind", "progress"];
/// Most of that file that is read.
const MOST_PROGRESS_BYTES: usize = 16;

/// Tells `sink` every few seconds, with what has passed through the `network`, and without the processor time that
/// had been used `before` (in nanoseconds); never returns.
pub(crate) async fn watch(
    group: &Group,
    disk: &Arc<Unnamed>,
    network: impl Fn() -> Used,
    before: u64,
    sink: &dyn Sink,
) {
    let mut told = None;
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    due.tick().await;
    loop {
        due.tick().await;
        let (group, disk) = (group.clone(), disk.clone());
        // A disk that the command keeps busy may let us wait.
        let looked =
            tokio::task::spawn_blocking(move || (look(&group, disk.root(), before), progress(disk.root()))).await;
        let Ok((usage, percent)) = looked else { continue };
        let Used { received, sent } = network();
        sink.usage(Usage { received, sent, ..usage });
        if percent.is_some() && percent != told {
            told = percent;
            percent.into_iter().for_each(|percent| sink.progress(percent));
        }
    }
}

fn look(group: &Group, disk: BorrowedFd<'_>, before: u64) -> Usage {
    let used = group.usage();
    Usage {
        cpu: Millis(used.cpu_nanos.saturating_sub(before) / 1_000_000),
        memory: Bytes(used.memory_bytes),
        disk: Bytes(in_use(disk)),
        received: Bytes(0),
        sent: Bytes(0),
    }
}

/// Bytes of `disk` that are in use; zero where that cannot be found out.
pub(crate) fn in_use(disk: BorrowedFd<'_>) -> u64 {
    fstatvfs(disk).map_or(0, |disk| disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize))
}

/// What the command says; `None` where it says nothing that can be understood.
fn progress(disk: BorrowedFd<'_>) -> Option<u8> {
    let careful = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let folder = openat(disk, PROGRESS[0], careful | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let file = openat(&folder, PROGRESS[1], careful, Mode::empty()).ok()?;
    if FileType::from_raw_mode(fstat(&file).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut text = [0; MOST_PROGRESS_BYTES];
    let length = rustix::io::read(&file, &mut text).ok()?;
    percent_of(&text[..length])
}

fn percent_of(text: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse().ok().filter(|percent| *percent <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn only_a_number_up_to_a_hundred_is_progress() {
        for (text, percent) in
            [("0", Some(0)), (" 42\n", Some(42)), ("99.9", Some(99)), ("100", Some(100)), ("101", None), ("-1", None)]
        {
            assert_eq!(percent_of(text.as_bytes()), percent, "{text}");
        }
        assert_eq!((percent_of(b""), percent_of(b"\xff")), (None, None));
    }

    #[test]
    fn no_link_and_no_pipe_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join(".hivemind");
        let open = || std::fs::File::open(folder.path()).expect("opened");
        assert_eq!(progress(open().as_fd()), None);
        std::fs::create_dir(&inner).expect("made");
        std::fs::write(folder.path().join("real"), "7").expect("written");
        std::os::unix::fs::symlink("../real", inner.join("progress")).expect("linked");
        assert_eq!(progress(open().as_fd()), None);
        std::fs::remove_file(inner.join("progress")).expect("removed");
        std::fs::write(inner.join("progress"), "7 of many more than sixteen bytes").expect("written");
        assert_eq!(progress(open().as_fd()), None);
        std::fs::write(inner.join("progress"), "7\n").expect("written");
        assert_eq!(progress(open().as_fd()), Some(7));
        std::fs::remove_file(inner.join("progress")).expect("removed");
        rustix::fs::mknodat(rustix::fs::CWD, inner.join("progress"), FileType::Fifo, Mode::from_raw_mode(0o644), 0)
            .expect("made");
        assert_eq!(progress(open().as_fd()), None, "and nobody waits for its writer");
    }
}
