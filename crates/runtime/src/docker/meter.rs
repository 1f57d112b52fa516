//! Processor time and memory of a running container, and the ways to kill it and to make it stand still
//! without the daemon.
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

use super::{kernel_log, parent};
use bollard::Docker;
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt;
use hivemind_model::units::{Bytes, Millis};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// First interval.
const SOONEST: Duration = Duration::from_millis(10);
/// Longest interval.
const LATEST: Duration = Duration::from_secs(1);
/// Longest wait for the daemon's own figures.
const ANSWER: Duration = Duration::from_secs(2);
/// Rounds of killing; a process may fork between the reading and the killing.
const KILL_ROUNDS: usize = 50;
/// Between two rounds: what was killed has to die, on a machine that is busy.
const KILL_PAUSE: Duration = Duration::from_millis(2);

/// Where the kernel keeps a container's counters.
#[derive(Debug, Clone)]
pub(super) struct Cgroup {
    cpu: PathBuf,
    /// The highest use where the kernel keeps it, else the present one.
    memory: PathBuf,
    /// The present use.
    present: PathBuf,
    /// Counts what was killed for its memory.
    ooms: PathBuf,
    processes: PathBuf,
    /// Kills all at once; only in the second generation.
    kill: Option<PathBuf>,
    freezer: Freezer,
}

/// Where all of a group is made to stand still.
#[derive(Debug, Clone)]
struct Freezer {
    file: PathBuf,
    freeze: &'static str,
    thaw: &'static str,
}

impl Cgroup {
    /// Finds the counters of the container with that id; `None` where they cannot be read.
    pub(super) fn locate(id: &str) -> Option<Self> {
        Self::locate_under(Path::new("/sys/fs/cgroup"), id)
    }

    fn locate_under(root: &Path, id: &str) -> Option<Self> {
        for group in places(root, id) {
            let (memory, cpu) = (root.join("memory").join(&group), root.join("cpuacct").join(&group));
            if memory.join("cgroup.procs").exists() {
                return Some(Self {
                    cpu: cpu.join("cpuacct.usage"),
                    ooms: memory.join("memory.oom_control"),
                    processes: memory.join("cgroup.procs"),
                    memory: memory.join("memory.max_usage_in_bytes"),
                    present: memory.join("memory.usage_in_bytes"),
                    kill: None,
                    freezer: Freezer {
                        file: root.join("freezer").join(&group).join("freezer.state"),
                        freeze: "FROZEN",
                        thaw: "THAWED",
                    },
                });
            }
            let unified = root.join(&group);
            if unified.join("cgroup.procs").exists() {
                let peak = unified.join("memory.peak");
                let present = unified.join("memory.current");
                let memory = if peak.exists() { peak } else { present.clone() };
                return Some(Self {
                    cpu: unified.join("cpu.stat"),
                    memory,
                    present,
                    ooms: unified.join("memory.events"),
                    processes: unified.join("cgroup.procs"),
                    kill: Some(unified.join("cgroup.kill")),
                    freezer: Freezer { file: unified.join("cgroup.freeze"), freeze: "1", thaw: "0" },
                });
            }
        }
        None
    }

    /// The counters, as far as they can still be read.
    fn read(&self) -> Sample {
        let text = |path: &Path| std::fs::read_to_string(path).ok();
        Sample {
            cpu_nanos: text(&self.cpu).and_then(|text| nanoseconds(&text)),
            memory_bytes: text(&self.memory).and_then(|text| text.trim().parse().ok()),
            present_bytes: text(&self.present).and_then(|text| text.trim().parse().ok()),
            ooms: text(&self.ooms).and_then(|text| value_of(&text, "oom_kill")),
        }
    }

    /// Makes everything in it stand still, or go on. False where that cannot be had so.
    pub(super) fn freeze(&self, still: bool) -> bool {
        let word = if still { self.freezer.freeze } else { self.freezer.thaw };
        // Never made here: the group may have gone.
        let opened = std::fs::OpenOptions::new().write(true).open(&self.freezer.file);
        opened.and_then(|mut file| std::io::Write::write_all(&mut file, word.as_bytes())).is_ok()
    }

    /// Forgets the highest use so far; where the kernel cannot, only present uses count from now on.
    fn forget_peak(&mut self) {
        if self.kill.is_some() || std::fs::write(&self.memory, "0").is_err() {
            self.memory.clone_from(&self.present);
        }
    }

    /// Kills every process without the daemon, also where they stand still. True where none is left.
    pub(super) async fn kill(&self) -> bool {
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
            // In the first generation what stands still dies when it goes on.
            self.freeze(false);
            tokio::time::sleep(KILL_PAUSE).await;
        }
        false
    }
}

/// Where the group of the container `id` may be: at the daemon's own place or within an agent's share, with the daemon's
/// two ways to name groups. Whose share it is need not be known: ids are used once.
fn places(root: &Path, id: &str) -> Vec<String> {
    let mut places = vec![format!("docker/{id}"), format!("system.slice/docker-{id}.scope")];
    // Where there is no such folder there are no shares in it either.
    let entries = [root.join("memory"), root.to_owned()].into_iter().flat_map(std::fs::read_dir).flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        if name.starts_with(parent::PREFIX) && name.ends_with(parent::SUFFIX) {
            places.extend([format!("{name}/{id}"), format!("{name}/docker-{id}.scope")]);
        }
    }
    places
}

/// What was read at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sample {
    cpu_nanos: Option<u64>,
    memory_bytes: Option<u64>,
    present_bytes: Option<u64>,
    ooms: Option<u64>,
}

/// The number after `word` at the beginning of a line.
fn value_of(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Reads both `123` (nanoseconds) and the lines of `cpu.stat` (microseconds).
fn nanoseconds(text: &str) -> Option<u64> {
    match value_of(text, "usage_usec") {
        Some(micros) => micros.checked_mul(1000),
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
    next: Instant,
    /// The counters at the beginning.
    base: Sample,
    cpu_nanos: u64,
    peak_bytes: u64,
    present_bytes: u64,
    ooms: u64,
}

impl<'a> Meter<'a> {
    /// Starts to watch the container `id`, which has just been started.
    pub(super) fn new(docker: &'a Docker, id: &'a str) -> Self {
        let cgroup = Cgroup::locate(id);
        Self::of(docker, id, cgroup)
    }

    fn of(docker: &'a Docker, id: &'a str, cgroup: Option<Cgroup>) -> Self {
        let interval = if cgroup.is_some() { SOONEST } else { LATEST };
        let (base, next) = (Sample::default(), Instant::now() + interval);
        Self { docker, id, cgroup, interval, next, base, cpu_nanos: 0, peak_bytes: 0, present_bytes: 0, ooms: 0 }
    }

    /// Starts to watch the container `id` anew: what it used up to now does not count. The first sample
    /// comes late, because the last one loses nothing here.
    pub(super) fn again(docker: &'a Docker, id: &'a str, mut cgroup: Cgroup) -> Self {
        cgroup.forget_peak();
        let base = cgroup.read();
        Self { base, interval: LATEST, next: Instant::now() + LATEST, ..Self::of(docker, id, Some(cgroup)) }
    }

    /// Waits until the next sample is due. Each interval is a quarter longer than the last, so
    /// that of a short life at most a fifth is missed.
    pub(super) async fn due(&self) {
        tokio::time::sleep_until(self.next).await;
    }

    /// Takes a sample after [`Meter::due`].
    pub(super) async fn sample(&mut self) {
        self.interval = (self.interval * 5 / 4).min(LATEST);
        let sample = match &self.cgroup {
            Some(cgroup) => cgroup.read(),
            None => self.ask().await,
        };
        self.keep(sample);
        self.next = Instant::now() + self.interval;
    }

    /// Takes a last sample; only where that is cheap.
    pub(super) fn last_sample(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            let sample = cgroup.read();
            self.keep(sample);
        }
    }

    fn keep(&mut self, sample: Sample) {
        let since = |now: Option<u64>, then: Option<u64>| now.unwrap_or(0).saturating_sub(then.unwrap_or(0));
        self.cpu_nanos = self.cpu_nanos.max(since(sample.cpu_nanos, self.base.cpu_nanos));
        self.peak_bytes = self.peak_bytes.max(sample.memory_bytes.unwrap_or(0));
        self.present_bytes = sample.present_bytes.unwrap_or(self.present_bytes);
        self.ooms = self.ooms.max(since(sample.ooms, self.base.ooms));
    }

    async fn ask(&self) -> Sample {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut answers = std::pin::pin!(self.docker.stats(self.id, Some(options)));
        match tokio::time::timeout(ANSWER, answers.next()).await {
            Ok(Some(Ok(stats))) => {
                let cpu_nanos = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage);
                let memory = stats.memory_stats.unwrap_or_default();
                let memory_bytes = memory.max_usage.or(memory.usage);
                Sample { cpu_nanos, memory_bytes, present_bytes: memory.usage, ooms: None }
            }
            // A sample less: the command may have ended meanwhile.
            _ => Sample::default(),
        }
    }

    /// Kills the container's processes without the daemon. True where none is left for sure.
    pub(super) async fn kill_directly(&self) -> bool {
        match &self.cgroup {
            Some(cgroup) => cgroup.kill().await,
            None => false,
        }
    }

    /// Makes the container's processes stand still, or go on, without the daemon. False where that cannot
    /// be had so.
    pub(super) fn freeze_directly(&self, still: bool) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| cgroup.freeze(still))
    }

    /// True where the kernel's counter tells of a kill for memory.
    pub(super) fn counted_oom(&self) -> bool {
        self.ooms > 0
    }

    /// True where the kernel killed something for its memory, by its counter or, where that
    /// vanished too soon, by its log. The daemon's own word may come too late: it hears of it on
    /// another way than of the end.
    pub(super) fn saw_oom(&self) -> bool {
        self.ooms > 0 || kernel_log::tells_oom(self.id)
    }

    /// Memory at the last sample.
    pub(super) fn present(&self) -> Bytes {
        Bytes(self.present_bytes)
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

    #[tokio::test]
    async fn both_generations_and_both_namings_are_read() {
        for group in
            ["docker/ID", "system.slice/docker-ID.scope", "hivemind_a.slice/ID", "hivemind_a.slice/docker-ID.scope"]
        {
            let root = tempfile::tempdir().expect("a folder");
            write(root.path(), "memory/hivemind_b.slice/other/cgroup.procs", "");
            write(root.path(), &format!("memory/{group}/cgroup.procs"), "");
            write(root.path(), &format!("memory/{group}/memory.max_usage_in_bytes"), "4096\n");
            write(root.path(), &format!("memory/{group}/memory.usage_in_bytes"), "2048\n");
            write(root.path(), &format!("freezer/{group}/freezer.state"), "");
            write(root.path(), &format!("cpuacct/{group}/cpuacct.usage"), "7000000\n");
            write(
                root.path(),
                &format!("memory/{group}/memory.oom_control"),
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            );
            let mut cgroup = Cgroup::locate_under(root.path(), "ID").expect("found");
            let expected = Sample {
                cpu_nanos: Some(7_000_000),
                memory_bytes: Some(4096),
                present_bytes: Some(2048),
                ooms: Some(2),
            };
            assert_eq!(cgroup.read(), expected);
            assert!(cgroup.kill().await && cgroup.freeze(true));
            let state = std::fs::read_to_string(root.path().join(format!("freezer/{group}/freezer.state")));
            assert_eq!(state.expect("read"), "FROZEN");
            cgroup.forget_peak();
            assert_eq!(cgroup.read().memory_bytes, Some(0));

            let root = tempfile::tempdir().expect("a folder");
            write(root.path(), &format!("{group}/cgroup.procs"), "");
            write(root.path(), &format!("{group}/memory.current"), "1\n");
            write(root.path(), &format!("{group}/cpu.stat"), "usage_usec 7000\nuser_usec 1\n");
            write(root.path(), &format!("{group}/memory.events"), "oom 3\noom_kill 1\noom_group_kill 0\n");
            let cgroup = Cgroup::locate_under(root.path(), "ID").expect("found");
            let expected =
                Sample { cpu_nanos: Some(7_000_000), memory_bytes: Some(1), present_bytes: Some(1), ooms: Some(1) };
            assert_eq!(cgroup.read(), expected);
            assert!(!cgroup.freeze(true), "a file that is not there is not made");
            write(root.path(), &format!("{group}/memory.peak"), "9\n");
            let mut cgroup = Cgroup::locate_under(root.path(), "ID").expect("found");
            assert_eq!(cgroup.read().memory_bytes, Some(9));
            cgroup.forget_peak();
            assert_eq!(cgroup.read().memory_bytes, Some(1));
        }
    }

    #[test]
    fn counters_that_are_not_there_are_not_found() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(Cgroup::locate_under(root.path(), "ID").is_none());
        assert_eq!(nanoseconds("garbage"), None);
    }
}
