//! Processor time and memory of a running container.
//!
//! The kernel's counters vanish with the container, so they are read while it runs: often at
//! first, then once a second, and once more when its output ends, which is a moment before they
//! vanish. What is reported is therefore at most what was used, and may be zero for a command
//! that lived for less than the first interval.
//!
//! Start at [`Meter`]. [`Cgroup`] finds the counters of both generations of control groups; where
//! they cannot be read, the daemon is asked.
//!
//! Invariant: money does not depend on this; wall time alone is paid for.

use bollard::Docker;
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt;
use hivemind_model::units::{Bytes, Millis};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// First interval.
const SOONEST: Duration = Duration::from_millis(10);
/// Longest interval.
const LATEST: Duration = Duration::from_secs(1);
/// Longest wait for the daemon's own figures.
const ANSWER: Duration = Duration::from_secs(2);
/// Rounds of killing; a process may fork between the reading and the killing.
const KILL_ROUNDS: usize = 20;

/// Where the kernel keeps a container's counters.
#[derive(Debug, Clone)]
pub(super) struct Cgroup {
    cpu: PathBuf,
    /// The highest use where the kernel keeps it, else the present one.
    memory: PathBuf,
    processes: PathBuf,
    /// Kills all at once; only in the second generation.
    kill: Option<PathBuf>,
}

impl Cgroup {
    /// Finds the counters of the container with that id; `None` where they cannot be read.
    pub(super) fn locate(id: &str) -> Option<Self> {
        Self::locate_under(Path::new("/sys/fs/cgroup"), id)
    }

    fn locate_under(root: &Path, id: &str) -> Option<Self> {
        // With the daemon's two ways to name groups.
        for group in [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")] {
            let (memory, cpu) = (root.join("memory").join(&group), root.join("cpuacct").join(&group));
            if memory.join("cgroup.procs").exists() {
                return Some(Self { cpu: cpu.join("cpuacct.usage"), memory: memory.join("memory.max_usage_in_bytes"), processes: memory.join("cgroup.procs"), kill: None });
            }
            let unified = root.join(&group);
            if unified.join("cgroup.procs").exists() {
                let peak = unified.join("memory.peak");
                let memory = if peak.exists() { peak } else { unified.join("memory.current") };
                return Some(Self { cpu: unified.join("cpu.stat"), memory, processes: unified.join("cgroup.procs"), kill: Some(unified.join("cgroup.kill")) });
            }
        }
        None
    }

    /// Nanoseconds of processor time and bytes of memory, as far as they can still be read.
    fn read(&self) -> (Option<u64>, Option<u64>) {
        let cpu = std::fs::read_to_string(&self.cpu).ok().and_then(|text| nanoseconds(&text));
        let memory = std::fs::read_to_string(&self.memory).ok().and_then(|text| text.trim().parse().ok());
        (cpu, memory)
    }

    /// Kills every process without the daemon. True where none is left.
    pub(super) fn kill(&self) -> bool {
        for _ in 0..KILL_ROUNDS {
            if let Some(kill) = &self.kill {
                // Older kernels have no such file; their processes are killed one by one below.
                let _ = std::fs::write(kill, "1");
            }
            let Ok(text) = std::fs::read_to_string(&self.processes) else { return true };
            let processes: Vec<i32> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
            if processes.is_empty() {
                return true;
            }
            for process in processes {
                if let Some(process) = rustix::process::Pid::from_raw(process) {
                    // Gone in between, or not ours to kill: the next round sees which.
                    let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
                }
            }
            std::thread::yield_now();
        }
        false
    }
}

/// Reads both `123` (nanoseconds) and the lines of `cpu.stat` (microseconds).
fn nanoseconds(text: &str) -> Option<u64> {
    match text.lines().find_map(|line| line.strip_prefix("usage_usec ")) {
        Some(micros) => micros.trim().parse::<u64>().ok()?.checked_mul(1000),
        None => text.trim().parse().ok(),
    }
}

/// Takes samples of one container and keeps the highest.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    docker: &'a Docker,
    id: &'a str,
    cgroup: Option<Cgroup>,
    interval: Duration,
    cpu_nanos: u64,
    peak_bytes: u64,
}

impl<'a> Meter<'a> {
    /// Starts to watch the container `id`, which has just been started.
    pub(super) fn new(docker: &'a Docker, id: &'a str) -> Self {
        let cgroup = Cgroup::locate(id);
        let interval = if cgroup.is_some() { SOONEST } else { LATEST };
        Self { docker, id, cgroup, interval, cpu_nanos: 0, peak_bytes: 0 }
    }

    /// Waits until the next sample is due. Each interval is a quarter longer than the last, so
    /// that of a short life at most a fifth is missed.
    pub(super) async fn due(&self) {
        tokio::time::sleep(self.interval).await;
    }

    /// Takes a sample after [`Meter::due`].
    pub(super) async fn sample(&mut self) {
        self.interval = (self.interval * 5 / 4).min(LATEST);
        let (cpu, memory) = match &self.cgroup {
            Some(cgroup) => cgroup.read(),
            None => self.ask().await,
        };
        self.keep(cpu, memory);
    }

    /// Takes a last sample; only where that is cheap.
    pub(super) fn last_sample(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            let (cpu, memory) = cgroup.read();
            self.keep(cpu, memory);
        }
    }

    fn keep(&mut self, cpu: Option<u64>, memory: Option<u64>) {
        self.cpu_nanos = self.cpu_nanos.max(cpu.unwrap_or(0));
        self.peak_bytes = self.peak_bytes.max(memory.unwrap_or(0));
    }

    async fn ask(&self) -> (Option<u64>, Option<u64>) {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut answers = std::pin::pin!(self.docker.stats(self.id, Some(options)));
        match tokio::time::timeout(ANSWER, answers.next()).await {
            Ok(Some(Ok(stats))) => {
                let cpu = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage);
                let memory = stats.memory_stats.and_then(|memory| memory.max_usage.or(memory.usage));
                (cpu, memory)
            }
            // A sample less: the command may have ended meanwhile.
            _ => (None, None),
        }
    }

    /// Kills the container's processes without the daemon. True where none is left for sure.
    pub(super) fn kill_directly(&self) -> bool {
        self.cgroup.as_ref().is_some_and(Cgroup::kill)
    }

    /// The highest processor time and memory seen.
    pub(super) fn seen(&self) -> (Millis, Bytes) {
        (Millis(self.cpu_nanos / 1_000_000), Bytes(self.peak_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, content: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("written");
    }

    #[test]
    fn both_generations_and_both_namings_are_read() {
        for group in ["docker/ID", "system.slice/docker-ID.scope"] {
            let root = tempfile::tempdir().expect("a folder");
            write(root.path(), &format!("memory/{group}/cgroup.procs"), "");
            write(root.path(), &format!("memory/{group}/memory.max_usage_in_bytes"), "4096\n");
            write(root.path(), &format!("cpuacct/{group}/cpuacct.usage"), "7000000\n");
            let cgroup = Cgroup::locate_under(root.path(), "ID").expect("found");
            assert_eq!(cgroup.read(), (Some(7_000_000), Some(4096)));
            assert!(cgroup.kill());

            let root = tempfile::tempdir().expect("a folder");
            write(root.path(), &format!("{group}/cgroup.procs"), "");
            write(root.path(), &format!("{group}/memory.current"), "1\n");
            write(root.path(), &format!("{group}/cpu.stat"), "usage_usec 7000\nuser_usec 1\n");
            assert_eq!(Cgroup::locate_under(root.path(), "ID").expect("found").read(), (Some(7_000_000), Some(1)));
            write(root.path(), &format!("{group}/memory.peak"), "9\n");
            assert_eq!(Cgroup::locate_under(root.path(), "ID").expect("found").read().1, Some(9));
        }
    }

    #[test]
    fn counters_that_are_not_there_are_not_found() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(Cgroup::locate_under(root.path(), "ID").is_none());
        assert_eq!(nanoseconds("garbage"), None);
    }
}
