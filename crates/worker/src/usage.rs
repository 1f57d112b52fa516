//! How busy this machine is, for the heartbeats.
//!
//! Start at [`Monitor::watch`]: one task looks once in a while, and whoever asks gets the last
//! look without waiting.
//!
//! Invariant: nothing here waits for the network, and nothing waits for this.

use history::{History, Sample};
use hivemind_owner::{GpuUsage, Machine, MachineUsage};
use hivemind_proto::worker::{self as wire, Heartbeat};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use sysinfo::System;

pub(crate) mod history;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Percent of what there is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Usage {
    cpu: f32,
    memory: f32,
    disk: f32,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Monitor(Arc<Mutex<Looks>>);

#[derive(Debug, Default)]
struct Looks {
    usage: Usage,
    gpu: f32,
    /// The whole of the machine, until a heartbeat has taken it.
    machine: Option<MachineUsage>,
    /// The whole of the machine at the last look at it; `None` before the first.
    whole: Option<MachineUsage>,
    history: History,
}

/// What a machine does now, for its owner.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MachineNow {
    /// Percent of all cores, a second ago at most.
    pub cpu_percent: f32,
    /// Percent of the memory, a second ago at most.
    pub memory_percent: f32,
    /// Percent of the disk of the worker's folder.
    pub disk_percent: f32,
    /// Everything else, ten seconds ago at most.
    pub whole: MachineUsage,
}

/// Looks between two at the whole of the machine.
const WHOLE_EVERY: u32 = 10;

impl Monitor {
    /// Looks at the machine whose files lie below `root` and at the disk of `data`, for as long as it is polled.
    pub(crate) fn watch(&self, root: &Path, data: PathBuf) -> impl Future<Output = ()> + Send + 'static {
        let machine = Machine::new(root, data.clone());
        watch(Arc::clone(&self.0), machine, data)
    }

    /// The last look.
    pub(crate) fn now(&self) -> MachineNow {
        let looks = self.0.lock();
        let Usage { cpu, memory, disk } = looks.usage;
        let whole = looks.whole.clone().unwrap_or_default();
        MachineNow { cpu_percent: cpu, memory_percent: memory, disk_percent: disk, whole }
    }

    /// What was kept since `from_unix_ms`, in at most `points` means.
    pub(crate) fn history(&self, from_unix_ms: i64, points: usize) -> Vec<Sample> {
        self.0.lock().history.since(from_unix_ms, points)
    }

    /// A heartbeat with the last look.
    pub(crate) fn heartbeat(&self, sequence: u64, active_attempts: u32) -> Heartbeat {
        let mut looks = self.0.lock();
        let Usage { cpu, memory, disk } = looks.usage;
        Heartbeat {
            sequence,
            cpu_usage: cpu,
            memory_usage: memory,
            disk_usage: disk,
            gpu_usage: looks.gpu,
            active_attempts,
            machine: looks.machine.take().map(wire),
            ..Heartbeat::default()
        }
    }
}

fn wire(usage: MachineUsage) -> wire::MachineUsage {
    let gpu = |gpu: GpuUsage| wire::GpuUsage {
        name: gpu.name,
        busy: gpu.busy,
        memory_used_bytes: gpu.memory_used_bytes,
        memory_bytes: gpu.memory_bytes,
        temperature_celsius: gpu.temperature_celsius,
    };
    wire::MachineUsage {
        memory_used_bytes: usage.memory_used_bytes,
        memory_bytes: usage.memory_bytes,
        disk_used_bytes: usage.disk_used_bytes,
        disk_bytes: usage.disk_bytes,
        received_bytes_per_second: usage.received_bytes_per_second,
        sent_bytes_per_second: usage.sent_bytes_per_second,
        load: usage.load,
        temperature_celsius: usage.temperature_celsius,
        gpus: usage.gpus.into_iter().map(gpu).collect(),
    }
}

async fn watch(shared: Arc<Mutex<Looks>>, mut machine: Machine, data: PathBuf) {
    let mut system = match System::new() {
        Ok(system) => system,
        Err(why) => {
            tracing::warn!("the machine's usage cannot be read: {why}");
            return;
        }
    };
    for count in (0..WHOLE_EVERY).cycle() {
        // A disk that hangs must hold up nothing else.
        let data = data.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let usage = look(&mut system, &data);
            let whole = (count == 0).then(|| machine.sample(hivemind_owner::clock::steady()));
            (system, machine, usage, whole)
        });
        match looked.await {
            Ok((system_back, machine_back, usage, whole)) => {
                (system, machine) = (system_back, machine_back);
                let mut looks = shared.lock();
                looks.usage = usage;
                if let Some(whole) = whole {
                    looks.gpu = whole.gpu_percent();
                    looks.history.push(Sample::of(crate::enroll::now().0, usage.cpu, usage.memory, &whole));
                    looks.whole = Some(whole.clone());
                    looks.machine = Some(whole);
                }
            }
            Err(why) => {
                tracing::warn!("the machine's usage cannot be read: {why}");
                return;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn look(system: &mut System, data: &Path) -> Usage {
    system.refresh_cpu_usage();
    system.refresh_memory();
    let percent = |part: u64, whole: u64| if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 100.0) as f32 };
    let disk = rustix::fs::statvfs(data)
        .map_or(0.0, |disk| percent(disk.f_blocks.saturating_sub(disk.f_bavail), disk.f_blocks));
    Usage { cpu: system.global_cpu_usage(), memory: percent(system.used_memory(), system.total_memory()), disk }
}

/// Finds out how long the machine was suspended: the monotonic clock stands still then, the time
/// since boot does not.
#[derive(Debug, Default)]
pub(crate) struct SleepWatch {
    lag: Option<Duration>,
    origin: Option<std::time::Instant>,
}

/// Below this, the difference of two clocks is only how they are read.
const NOTICEABLE: Duration = Duration::from_millis(500);

impl SleepWatch {
    /// How long it slept since the last call, where it did.
    pub(crate) fn slept(&mut self) -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = text.split(' ').next()?.parse().ok()?;
        let origin = *self.origin.get_or_insert_with(std::time::Instant::now);
        let uptime = Duration::try_from_secs_f64(seconds).ok()?;
        self.judge(uptime.saturating_sub(origin.elapsed()))
    }

    fn judge(&mut self, lag: Duration) -> Option<Duration> {
        let before = *self.lag.get_or_insert(lag);
        let slept = lag.saturating_sub(before);
        if slept < NOTICEABLE {
            return None;
        }
        self.lag = Some(lag);
        Some(slept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_jump_of_the_boot_clock_is_sleep() {
        let mut watch = SleepWatch::default();
        let ms = Duration::from_millis;
        for (lag, slept) in [
            (100_000, None),
            (100_010, None),
            (100_400, None),
            (130_000, Some(ms(30_000))),
            (130_000, None),
            (129_990, None),
        ] {
            assert_eq!(watch.judge(ms(lag)), slept, "{lag}");
        }
    }

    #[test]
    fn the_whole_of_the_machine_goes_with_one_heartbeat() {
        let monitor = Monitor::default();
        let gpu = GpuUsage { name: "a".into(), busy: 12.0, ..GpuUsage::default() };
        monitor.0.lock().machine = Some(MachineUsage { load: 1.5, gpus: vec![gpu], ..MachineUsage::default() });
        let machine = monitor.heartbeat(1, 0).machine.unwrap();
        assert_eq!((machine.load, machine.gpus[0].busy), (1.5, 12.0));
        assert_eq!(monitor.heartbeat(2, 0).machine, None);
    }

    #[test]
    fn this_machine_has_memory_and_a_disk() {
        let usage = look(&mut System::new().unwrap(), Path::new("/"));
        assert!(usage.memory > 0.0 && usage.memory <= 100.0 && (0.0..=100.0).contains(&usage.disk), "{usage:?}");
    }
}
