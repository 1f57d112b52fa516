//! Figures of this process, under the names that all of Prometheus's libraries give them.
//!
//! Start at [`Process::look`].
//!
//! Invariant: a figure that the kernel does not tell keeps its last value.

use super::{counter, gauge};
use metrics::{Counter, Gauge};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::fs;

/// Ticks of the kernel's clock in a second, as it tells them to programs; the same on every Linux.
const TICKS: u64 = 100;

pub(super) struct Process {
    cpu: Counter,
    memory: Gauge,
    files: Gauge,
    started: Gauge,
}

impl Process {
    pub(super) fn new(recorder: &PrometheusRecorder) -> Self {
        let gauge = |name, help| gauge(recorder, name, help, &[]);
        Self {
            cpu: counter(recorder, "process_cpu_seconds_total", "Processor time of this process, whole seconds.", &[]),
            memory: gauge("process_resident_memory_bytes", "Memory of this process."),
            files: gauge("process_open_fds", "Files and connections that this process has open."),
            started: gauge("process_start_time_seconds", "When this process began, seconds since 1970."),
        }
    }

    pub(super) fn look(&self) {
        if let Some((cpu, since_boot)) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(times) {
            self.cpu.absolute(cpu / TICKS);
            let boot = fs::read_to_string("/proc/stat").ok().as_deref().and_then(|text| number(text, "btime "));
            if let Some(boot) = boot {
                self.started.set((boot + since_boot / TICKS) as f64);
            }
        }
        let status = fs::read_to_string("/proc/self/status").ok();
        if let Some(kib) = status.as_deref().and_then(|text| number(text, "VmRSS:")) {
            self.memory.set((kib << 10) as f64);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.files.set(files.count() as f64);
        }
    }
}

/// Ticks of processor time, and when the process began, from its line in `/proc`.
fn times(line: &str) -> Option<(u64, u64)> {
    // The name in parentheses may have blanks; the state is the third field.
    let mut fields = line.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let cpu = next()? + next()?;
    let since_boot = fields.nth(6)?.parse().ok()?;
    Some((cpu, since_boot))
}

fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_process_is_read_whatever_its_name() {
        let line = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 4200 1 2";
        assert_eq!(times(line), Some((200, 4200)));
        assert_eq!(times("7 (a) S 1"), None);
        assert_eq!(number("a 1\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
    }
}
