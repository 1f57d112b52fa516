//! What the machine does, all of it, the owner's own work included.
//!
//! Start at [`Machine::sample`]; rates are means since the sample before.
//!
//! Invariant: a value that cannot be read is zero, and none is made up.

use crate::sensors::root::Root;
use crate::sensors::{Gpus, Heat};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::sensors::Gpu as GpuUsage;

/// Most network interfaces.
const MOST_INTERFACES: usize = 256;

/// One look at the machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MachineUsage {
    /// Percent of all cores.
    pub cpu_percent: f32,
    /// Memory that is not available to programs.
    pub memory_used_bytes: u64,
    /// All memory.
    pub memory_bytes: u64,
    /// Of the file system that has the worker's folder.
    pub disk_used_bytes: u64,
    /// All of it.
    pub disk_bytes: u64,
    /// All real interfaces together.
    pub received_bytes_per_second: u64,
    /// All real interfaces together.
    pub sent_bytes_per_second: u64,
    /// Programs that run or want to, as a mean of one minute.
    pub load: f32,
    /// The hottest processor in degrees Celsius; zero: unknown.
    pub temperature_celsius: f32,
    /// Each graphics processor.
    pub gpus: Vec<GpuUsage>,
}

impl MachineUsage {
    /// Percent of the memory that is used.
    #[must_use]
    pub fn memory_percent(&self) -> f32 {
        percent(self.memory_used_bytes, self.memory_bytes)
    }

    /// Percent of the disk that is used.
    #[must_use]
    pub fn disk_percent(&self) -> f32 {
        percent(self.disk_used_bytes, self.disk_bytes)
    }

    /// The mean over all graphics processors, in percent; zero where there is none.
    #[must_use]
    pub fn gpu_percent(&self) -> f32 {
        match self.gpus.len() {
            0 => 0.0,
            count => self.gpus.iter().map(|gpu| gpu.busy).sum::<f32>() / count as f32,
        }
    }
}

/// Samples the machine.
#[derive(Debug)]
pub struct Machine {
    root: Root,
    disk: PathBuf,
    heat: Heat,
    gpus: Gpus,
    before: Option<Before>,
}

/// Counters at the last sample.
#[derive(Debug, Clone, Copy)]
struct Before {
    at: Duration,
    busy: Duration,
    traffic: Traffic,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Traffic {
    received: u64,
    sent: u64,
}

impl Machine {
    /// The machine whose files lie below `root` (`/` but in tests), and the file system that has `disk`.
    #[must_use]
    pub fn new(root: &Path, disk: PathBuf) -> Self {
        let root = Root::new(root);
        Self { heat: Heat::new(root.clone()), gpus: Gpus::new(root.clone()), root, disk, before: None }
    }

    /// Looks at everything, at `now` ([`crate::Moment::steady`]). Blocks as long as the disk takes to answer; call it where
    /// that is allowed. The first sample has no rates.
    pub fn sample(&mut self, now: Duration) -> MachineUsage {
        let busy = crate::sensors::busy(&self.root);
        let traffic = self.traffic();
        let mut usage = MachineUsage { load: self.load(), gpus: self.gpus.read(), ..MachineUsage::default() };
        (usage.memory_used_bytes, usage.memory_bytes) = self.memory();
        (usage.disk_used_bytes, usage.disk_bytes) = disk(&self.disk);
        let hot = usage.gpus.iter().map(|gpu| gpu.temperature_celsius);
        usage.temperature_celsius = hot.chain(self.heat.read()).fold(0.0, f32::max);
        if let Some(before) = self.before {
            let seconds = now.saturating_sub(before.at).as_secs_f64();
            if seconds > 0.0 {
                let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds) as u64;
                usage.received_bytes_per_second = rate(traffic.received, before.traffic.received);
                usage.sent_bytes_per_second = rate(traffic.sent, before.traffic.sent);
                let worked = busy.map(|busy| (busy.busy.saturating_sub(before.busy), busy.cores));
                usage.cpu_percent = worked.map_or(0.0, |(worked, cores)| {
                    (worked.as_secs_f64() / (seconds * f64::from(cores)) * 100.0).clamp(0.0, 100.0) as f32
                });
            }
        }
        self.before = Some(Before { at: now, busy: busy.map_or(Duration::ZERO, |busy| busy.busy), traffic });
        usage
    }

    /// Used and all, in bytes.
    fn memory(&self) -> (u64, u64) {
        let text = self.root.text("proc/meminfo").unwrap_or_default();
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
            kib.map(|kib| kib.saturating_mul(1024))
        };
        let all = bytes("MemTotal").unwrap_or(0);
        (all.saturating_sub(bytes("MemAvailable").unwrap_or(all)), all)
    }

    fn load(&self) -> f32 {
        let line = self.root.line("proc/loadavg").unwrap_or_default();
        line.split(' ').next().and_then(|word| word.parse().ok()).filter(|load: &f32| load.is_finite()).unwrap_or(0.0)
    }

    /// Of interfaces with a device behind them: bridges, tunnels and pairs would count the same bytes again.
    fn traffic(&self) -> Traffic {
        let text = self.root.text("proc/net/dev").unwrap_or_default();
        let interfaces = text.lines().filter_map(|line| line.split_once(':')).take(MOST_INTERFACES);
        let real = interfaces.filter(|(name, _)| self.root.has(&format!("sys/class/net/{}/device", name.trim())));
        real.fold(Traffic::default(), |sum, (_, counters)| {
            let mut counters = counters.split_ascii_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
            let (received, sent) = (counters.next().unwrap_or(0), counters.nth(7).unwrap_or(0));
            Traffic { received: sum.received.wrapping_add(received), sent: sum.sent.wrapping_add(sent) }
        })
    }
}

/// Used and all, in bytes.
fn disk(path: &Path) -> (u64, u64) {
    let Ok(disk) = rustix::fs::statvfs(path) else { return (0, 0) };
    let used = disk.f_blocks.saturating_sub(disk.f_bavail).saturating_mul(disk.f_frsize);
    (used, disk.f_blocks.saturating_mul(disk.f_frsize))
}

fn percent(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 100.0) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::root::fake::Fake;

    fn net(fake: &Fake, received: u64, sent: u64) {
        let head = "Inter-|   Receive                                                |  Transmit\n face |bytes\n";
        let line = |name: &str| format!("{name}: {received} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n");
        fake.file("proc/net/dev", format!("{head}{}{}{}", line("    lo"), line("  eth0"), line("docker0")));
    }

    #[test]
    fn everything_is_read_and_rates_are_between_two_samples() {
        let fake = Fake::new();
        let ticks = rustix::param::clock_ticks_per_second();
        fake.file("proc/stat", format!("cpu  {} 0 0 5 0 0 0\ncpu0 1\ncpu1 1\n", ticks * 10));
        fake.file("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n");
        fake.file("proc/loadavg", "1.25 0.5 0.1 1/100 4\n");
        fake.file("sys/class/net/eth0/device/vendor", "x");
        fake.file("sys/class/thermal/thermal_zone0/type", "cpu-thermal");
        fake.file("sys/class/thermal/thermal_zone0/temp", "50500");
        net(&fake, 1000, 500);
        let mut machine = Machine::new(fake.path(), fake.path().into());
        let first = machine.sample(Duration::from_secs(100));
        assert_eq!((first.cpu_percent, first.received_bytes_per_second), (0.0, 0));
        assert_eq!((first.memory_used_bytes, first.memory_bytes, first.memory_percent()), (614_400, 1_024_000, 60.0));
        assert_eq!((first.load, first.temperature_celsius, first.gpu_percent()), (1.25, 50.5, 0.0));
        assert!(first.disk_bytes > 0 && (0.0..=100.0).contains(&first.disk_percent()));
        net(&fake, 3000, 1500);
        fake.file("proc/stat", format!("cpu  {} 0 0 5 0 0 0\ncpu0 1\ncpu1 1\n", ticks * 12));
        let second = machine.sample(Duration::from_secs(102));
        assert_eq!((second.received_bytes_per_second, second.sent_bytes_per_second), (1000, 500));
        assert_eq!(second.cpu_percent, 50.0);
        // Counters that fall are an interface that was taken away.
        net(&fake, 0, 0);
        assert_eq!(machine.sample(Duration::from_secs(103)).sent_bytes_per_second, 0);
    }

    #[test]
    fn nothing_to_read_is_nothing() {
        let fake = Fake::new();
        let mut machine = Machine::new(fake.path(), fake.path().join("none"));
        machine.sample(Duration::from_secs(1));
        assert_eq!(machine.sample(Duration::from_secs(2)), MachineUsage::default());
    }

    #[test]
    fn this_machine_has_memory_and_a_disk() {
        let usage = Machine::new(Path::new("/"), "/".into()).sample(crate::clock::steady());
        assert!(usage.memory_used_bytes > 0 && usage.memory_used_bytes <= usage.memory_bytes, "{usage:?}");
        assert!(usage.disk_bytes > 0, "{usage:?}");
    }
}
