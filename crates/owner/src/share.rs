//! How much of the machine all tasks together get, held by the kernel.
//!
//! One control group is the parent of everything that tasks run in: at most its part of the processors and the memory, a
//! tenth of the weight of the owner's own programs, and one switch that makes all of it stand still. Start at
//! [`Share::make`]; runtimes make their groups below [`Share::parent`].
//!
//! Its name ends in `.slice` and has no dash, because systemd then has it at the same place as everybody else, whichever of
//! them Docker asks to make groups. systemd may write its own values when it first sees the slice; [`Share::keep`] puts
//! ours back.
//!
//! Invariant: nothing outside of that one group is written, but the controllers that it needs.

use crate::preferences::Shares;
use crate::sensors::Root;
use hivemind_model::units::{Bytes, MilliCores};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(test)]
mod tests;
mod tree;

use tree::{Tree, Version};

/// How much of the processors it gets where others want them, too: they have 100. Less would let what runs go by its time
/// limit without its fault.
const WEIGHT: u64 = 10;
/// The length of a period of the processors' limit, in microseconds.
const PERIOD_US: u64 = 100_000;
/// The file of that limit, of version one.
const QUOTA: &str = "cpu.cfs_quota_us";
/// The least quota that the kernel takes, in microseconds.
const LEAST_QUOTA_US: u64 = 1_000;
/// Longest name of an instance, in bytes.
const MAX_INSTANCE_BYTES: usize = 64;

/// The parent of everything that tasks run in.
#[derive(Debug)]
pub struct Share {
    tree: Tree,
    name: String,
    shares: Shares,
    machine: Capacity,
}

/// What there is to share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processors.
    pub cores: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

impl Capacity {
    /// What this process sees of the machine.
    #[must_use]
    pub fn here() -> Self {
        let system = rustix::system::sysinfo();
        let memory_bytes = (system.totalram as u64).saturating_mul(u64::from(system.mem_unit));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { cores: u32::try_from(cores).unwrap_or(u32::MAX), memory_bytes }
    }

    /// What tasks get of it together. A worker offers no more, or tasks would end each other.
    #[must_use]
    pub fn shared(&self, shares: &Shares) -> (MilliCores, Bytes) {
        let part = |whole: u64, percent: u32| (u128::from(whole) * u128::from(percent.min(100)) / 100) as u64;
        let millicores = part(u64::from(self.cores) * 1000, shares.cpu_percent).max(1);
        let bytes = part(self.memory_bytes, shares.memory_percent);
        (MilliCores(u32::try_from(millicores).unwrap_or(u32::MAX)), Bytes(bytes))
    }
}

/// Who makes the groups of containers, as Docker calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Docker itself.
    Cgroupfs,
    /// systemd, asked by Docker.
    Systemd,
}

/// Why there is no such group.
#[derive(Debug, thiserror::Error)]
pub enum NoShare {
    /// The name of an instance cannot be one of a group.
    #[error("`{0}` cannot name a control group; use letters, digits, `_` and `-`, at most 64")]
    BadName(String),
    /// The kernel has no control groups here.
    #[error("this machine has no control groups for processors and memory; mount them at /sys/fs/cgroup")]
    NoControllers,
    /// It may not be made.
    #[error("the control group {path} cannot be made: {error}; run the worker as root, or the shares are not held")]
    NotAllowed {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A value of it cannot be written.
    #[error("{path} cannot be set to `{value}`: {error}")]
    NotSet {
        /// Which file.
        path: PathBuf,
        /// To what.
        value: String,
        /// Why.
        error: io::Error,
    },
    /// It cannot be removed.
    #[error("the control group {path} cannot be removed: {error}; end what runs in it first")]
    NotRemoved {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Share {
    /// Makes the group of `instance` below the file system at `root` (`/` but in tests), or takes the one that an earlier
    /// process left, thawed; and sets its limits to `shares` of `machine`.
    ///
    /// # Errors
    /// [`NoShare`], with what to do; then nothing is limited, and the owner should know.
    pub fn make(root: &Path, instance: &str, shares: &Shares, machine: Capacity) -> Result<Self, NoShare> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if instance.is_empty() || instance.len() > MAX_INSTANCE_BYTES || !instance.chars().all(fits) {
            return Err(NoShare::BadName(instance.chars().filter(|c| !c.is_control()).take(80).collect()));
        }
        // systemd reads a dash as a step down.
        let name = format!("hivemind_{}.slice", instance.replace('-', "_"));
        let tree = Tree::find(&Root::new(root)).ok_or(NoShare::NoControllers)?;
        let share = Self { tree, name, shares: shares.clone(), machine };
        share.tree.make(&share.name)?;
        let limited = share.freeze_to("0").and_then(|()| share.apply());
        if let Err(error) = limited {
            // What was made for nothing is taken away; the first error is the one that says why.
            let _first_counts = share.tree.remove(&share.name);
            return Err(error);
        }
        Ok(share)
    }

    /// The name of the group: a part of the path of every group below it. For [`crate::Ours::cgroup`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to give Docker as `cgroup_parent`.
    #[must_use]
    pub fn parent(&self, driver: Driver) -> String {
        match driver {
            // Without the slash it would be below the daemon's own group.
            Driver::Cgroupfs => format!("/{}", self.name),
            Driver::Systemd => self.name.clone(),
        }
    }

    /// The folders of the group, one for each hierarchy that there is. Of version one, only those for processors, memory and
    /// the freezer are made here; a runtime that needs others makes them.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        self.tree.folders(&self.name)
    }

    /// The folders of a group `leaf` below it, for processes that their runtime puts there itself: one for each hierarchy that
    /// limits or counts. The runtime makes them.
    #[must_use]
    pub fn below(&self, leaf: &str) -> Vec<PathBuf> {
        self.tree.folders_that_count(&self.name).map(|folder| folder.join(leaf)).collect()
    }

    /// Changes the limits, of what runs now, too.
    ///
    /// # Errors
    /// [`NoShare::NotSet`], such as for less memory than is used now and cannot be taken back. What was written before it
    /// counts; call again.
    pub fn set(&mut self, shares: &Shares) -> Result<(), NoShare> {
        self.shares = shares.clone();
        self.apply()
    }

    /// Puts back what others have changed. Cheap; to be called once in a while and after the first container. True where
    /// there was anything.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn keep(&self) -> Result<bool, NoShare> {
        let same = self.limits().into_iter().all(|limit| {
            let now = self.tree.read(&self.name, limit.controller, limit.file);
            now.is_some_and(|now| limit.is(&now))
        });
        if same {
            return Ok(false);
        }
        self.tree.make(&self.name)?;
        self.apply()?;
        Ok(true)
    }

    /// Everything of all tasks stands still, or goes on. For an emergency: a task that stands still so cannot be ended
    /// before it goes on. Runtimes have their own way for single tasks.
    ///
    /// # Errors
    /// [`NoShare::NotSet`].
    pub fn freeze(&self, still: bool) -> Result<(), NoShare> {
        self.freeze_to(if still { "1" } else { "0" })
    }

    /// What everything in it gets of the processors together.
    #[must_use]
    pub fn cpu(&self) -> MilliCores {
        self.machine.shared(&self.shares).0
    }

    /// Processor time that everything in it has used so far; zero where the kernel does not say.
    #[must_use]
    pub fn cpu_used(&self) -> Duration {
        match self.tree.version {
            Version::One => {
                let nanos = self.tree.read(&self.name, "cpuacct", "cpuacct.usage").and_then(|text| text.parse().ok());
                Duration::from_nanos(nanos.unwrap_or(0))
            }
            Version::Two => {
                let text = self.tree.read(&self.name, "cpu", "cpu.stat").unwrap_or_default();
                let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok());
                Duration::from_micros(micros.unwrap_or(0))
            }
        }
    }

    /// Removes the group. Nothing may run in it any more.
    ///
    /// # Errors
    /// [`NoShare::NotRemoved`]; the next start of the agent takes it over.
    pub fn remove(self) -> Result<(), NoShare> {
        self.tree.remove(&self.name)
    }

    fn apply(&self) -> Result<(), NoShare> {
        // Where one is refused the others count all the same.
        let mut refused = Ok(());
        for limit in self.limits() {
            let mut written = self.tree.write(&self.name, limit.controller, limit.file, &limit.value);
            if written.is_err() && limit.file == QUOTA {
                // Control groups of version one take no less for the whole than for a part of it.
                self.tree.lower_below(&self.name, limit.controller, limit.file, &limit.value);
                written = self.tree.write(&self.name, limit.controller, limit.file, &limit.value);
            }
            refused = refused.and(written);
        }
        refused
    }

    fn freeze_to(&self, still: &str) -> Result<(), NoShare> {
        match self.tree.version {
            Version::One => {
                let state = if still == "1" { "FROZEN" } else { "THAWED" };
                self.tree.write(&self.name, "freezer", "freezer.state", state)
            }
            Version::Two => self.tree.write(&self.name, "cpu", "cgroup.freeze", still),
        }
    }

    /// What the limits are, in the words of the kernel.
    fn limits(&self) -> Vec<Limit> {
        let (MilliCores(millicores), Bytes(bytes)) = self.machine.shared(&self.shares);
        let quota = (u64::from(millicores) * PERIOD_US / 1000).max(LEAST_QUOTA_US);
        let whole = self.shares.cpu_percent >= 100;
        // In pages, as the kernel keeps it.
        let bytes = bytes / 4096 * 4096;
        match self.tree.version {
            Version::One => vec![
                Limit::new("cpu", "cpu.shares", (WEIGHT * 1024 / 100).to_string()),
                Limit::new("cpu", "cpu.cfs_period_us", PERIOD_US.to_string()),
                Limit::new("cpu", QUOTA, if whole { "-1".into() } else { quota.to_string() }),
                Limit::new("memory", "memory.limit_in_bytes", bytes.to_string()),
            ],
            Version::Two => vec![
                Limit::new("cpu", "cpu.weight", WEIGHT.to_string()),
                Limit::new(
                    "cpu",
                    "cpu.max",
                    if whole { format!("max {PERIOD_US}") } else { format!("{quota} {PERIOD_US}") },
                ),
                Limit::new("memory", "memory.max", bytes.to_string()),
            ],
        }
    }
}

/// One value of the group.
#[derive(Debug)]
struct Limit {
    controller: &'static str,
    file: &'static str,
    value: String,
}

impl Limit {
    fn new(controller: &'static str, file: &'static str, value: impl Into<String>) -> Self {
        Self { controller, file, value: value.into() }
    }

    /// True where the file says the same; pages larger than 4 KiB round it down.
    fn is(&self, now: &str) -> bool {
        match (self.value.parse::<u64>(), now.trim().parse::<u64>()) {
            (Ok(wanted), Ok(now)) if self.controller == "memory" => now <= wanted && wanted - now < 1 << 21,
            _ => self.value == now.trim(),
        }
    }
}
