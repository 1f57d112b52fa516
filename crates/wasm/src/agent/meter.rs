//! What a helper's process has used, as the kernel counted it.
//!
//! Invariant: the helper is not asked.

use hivemind_model::units::{Bytes, Millis};
use rustix::process::Pid;
use std::path::PathBuf;

/// Looks at one process.
#[derive(Debug)]
pub(super) struct Meter {
    folder: PathBuf,
    /// What it had used before its job came.
    before: Sample,
}

/// Nanoseconds and bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    cpu: u64,
    memory: u64,
    peak: u64,
}

/// What a job has used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) cpu: Millis,
    pub(super) memory: Bytes,
    pub(super) peak: Bytes,
}

impl Meter {
    /// Counts from now on.
    pub(super) fn begin(pid: Pid) -> Self {
        let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let before = sample(&folder);
        Self { folder, before }
    }

    /// What was used since; of a process that has ended only the time.
    pub(super) fn used(&self) -> Used {
        let now = sample(&self.folder);
        Used {
            cpu: Millis(now.cpu.saturating_sub(self.before.cpu).div_ceil(1_000_000)),
            memory: Bytes(now.memory.saturating_sub(self.before.memory)),
            peak: Bytes(now.peak.saturating_sub(self.before.memory)),
        }
    }
}

fn sample(folder: &std::path::Path) -> Sample {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let status = text("status");
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
    };
    let cpu = text("schedstat").split(' ').next().and_then(|nanos| nanos.parse().ok());
    // A kernel without that counts in hundredths of a second.
    let cpu = cpu.or_else(|| {
        let stat = text("stat");
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some((user + system) * 10_000_000)
    });
    Sample { cpu: cpu.unwrap_or(0), memory: bytes("VmRSS"), peak: bytes("VmHWM") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let meter = Meter { folder: "/proc/self".into(), before: Sample::default() };
        let used = meter.used();
        assert!(used.memory.0 > 0 && used.peak >= used.memory, "{used:?}");
    }
}
