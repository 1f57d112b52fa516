//! What the kernel wrote down about a container that was killed for its memory.
//!
//! The daemon hears of such a kill on another way than of the end, and a container's counters
//! vanish with it; on a loaded machine both can come too late. The kernel's own log stays.
//!
//! Invariant: only asked where a command was ended by SIGKILL and nobody else explains it.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Longest record that the kernel gives, in bytes.
const RECORD_BYTES: usize = 8192;
/// Most records that are looked at; more than a kernel's buffer holds.
const MOST_RECORDS: usize = 200_000;

/// True where the kernel's log says that something in the container `id` was killed for the
/// memory of that container. False where it does not say so, or may not be read.
pub(super) fn tells_oom(id: &str) -> bool {
    told_in(Path::new("/dev/kmsg"), id)
}

fn told_in(log: &Path, id: &str) -> bool {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let Ok(mut log) = OpenOptions::new().read(true).custom_flags(nonblocking).open(log) else { return false };
    let mut record = [0; RECORD_BYTES];
    for _ in 0..MOST_RECORDS {
        match log.read(&mut record) {
            Ok(0) => return false,
            Ok(length) if names(&String::from_utf8_lossy(&record[..length]), id) => return true,
            Ok(_) => {}
            // Overwritten while it was read: the next record is there.
            Err(error) if error.kind() == ErrorKind::BrokenPipe || error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    false
}

/// True of a record about a kill for the memory of the group that is named after `id`.
fn names(record: &str, id: &str) -> bool {
    let groups = record.split("oom_memcg=").skip(1).filter_map(|rest| rest.split([',', '\n']).next());
    groups.flat_map(|group| group.split('/')).any(|part| part == id || part == format!("docker-{id}.scope"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_container_s_own_group_counts() {
        let record = |group: &str| {
            format!(
                "4,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,cpuset=c0ffee,oom_memcg={group},task_memcg=/x,task=dd"
            )
        };
        assert!(names(&record("/docker/c0ffee"), "c0ffee"));
        assert!(names(&record("/system.slice/docker-c0ffee.scope"), "c0ffee"));
        assert!(!names(&record("/docker/c0ffee2"), "c0ffee"));
        assert!(!names(&record("/user.slice"), "c0ffee"), "the machine's own shortage is not the task's");
        assert!(!names("docker c0ffee", "c0ffee"));
    }

    #[test]
    fn a_log_that_cannot_be_read_tells_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!told_in(&folder.path().join("none"), "c0ffee"));
        let log = folder.path().join("log");
        std::fs::write(&log, "oom_memcg=/docker/c0ffee,").expect("written");
        assert!(told_in(&log, "c0ffee"));
    }
}
