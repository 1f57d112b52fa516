//! What the kernel says of this machine and of a process on it.

use anyhow::Context;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Parts of a second in which Linux tells processor time to programs (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// The load average of the last minute; NaN where the kernel does not tell.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

/// Processor time that a process has used so far, in user and kernel mode, all threads.
///
/// # Errors
/// Where there is no such process.
pub(crate) fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name before it may contain blanks, but nothing after its closing parenthesis does.
    let (_, fields) = text.rsplit_once(')').with_context(|| format!("{path} has another form"))?;
    let ticks = |field: usize| -> anyhow::Result<u64> {
        Ok(fields.split_whitespace().nth(field).with_context(|| format!("{path} is too short"))?.parse()?)
    };
    let (user, system) = (ticks(11)?, ticks(12)?);
    Ok(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

/// Processor time of the processes of a measurement, from its start to its end.
#[derive(Debug)]
pub(crate) struct Meters<const N: usize> {
    processes: [(&'static str, u32); N],
    before: [Duration; N],
}

impl<const N: usize> Meters<N> {
    /// Begins to watch `processes`, each with the name of what it is.
    ///
    /// # Errors
    /// Where one of them is not there.
    pub(crate) fn start(processes: [(&'static str, u32); N]) -> anyhow::Result<Self> {
        Ok(Self { processes, before: all_cpu(&processes)? })
    }

    /// Microseconds of each for one of `count` things that they have done since; prints them.
    ///
    /// # Errors
    /// Where one of them has ended.
    pub(crate) fn stop(self, what: &str, count: f64) -> anyhow::Result<[f64; N]> {
        let after = all_cpu(&self.processes)?;
        let mut each = [0.0; N];
        for (micros, (after, before)) in each.iter_mut().zip(after.into_iter().zip(self.before)) {
            *micros = after.saturating_sub(before).as_secs_f64() * 1e6 / count;
        }
        let told = self.processes.iter().zip(each).map(|((name, _), micros)| format!("{name} {micros:.1} us"));
        println!("  processor time per {what}: {}", told.collect::<Vec<_>>().join(", "));
        Ok(each)
    }
}

fn all_cpu<const N: usize>(processes: &[(&'static str, u32); N]) -> anyhow::Result<[Duration; N]> {
    let mut used = [Duration::ZERO; N];
    for (used, (_, pid)) in used.iter_mut().zip(processes) {
        *used = cpu_of(*pid)?;
    }
    Ok(used)
}

/// Memory that a process has in use now, in bytes.
///
/// # Errors
/// Where there is no such process.
pub(crate) fn memory_of(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib =
        text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} does not tell VmRSS"))? << 10)
}

/// Files that a process may have open once it has raised its limit as far as it may; this one has then.
pub(crate) fn most_files() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Lowering to or keeping the maximum is always allowed; where it is not, the old limit holds.
    if setrlimit(Resource::Nofile, limit).is_err() {
        limit = getrlimit(Resource::Nofile);
    }
    limit.current.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

/// Where cargo built this program: the folder above that of the profile.
///
/// # Errors
/// Where the program does not know its own place.
pub(crate) fn target_folder() -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe().context("this program cannot find itself")?;
    let folder = exe.parent().and_then(|profile| profile.parent());
    Ok(folder.context("this program is not in a target folder")?.to_owned())
}

/// The folder on the disk of the target folder in which benchmarks keep what is theirs. A folder
/// in memory would make every flush of the disk free.
///
/// # Errors
/// Where it cannot be made.
pub(crate) fn bench_folder() -> anyhow::Result<PathBuf> {
    let folder = target_folder()?.join("bench-data");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// A fresh folder in [`bench_folder`], removed when it is dropped.
///
/// # Errors
/// Where it cannot be made.
pub(crate) fn scratch() -> anyhow::Result<TempDir> {
    Ok(tempfile::tempdir_in(bench_folder()?)?)
}
