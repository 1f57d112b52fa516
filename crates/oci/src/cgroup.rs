//! Control groups: the limits of a container, its counters, and its standing still.
//!
//! Start at [`Tree`]. Every container has a group of its own under a group of the agent's instance, in each
//! hierarchy that is used: those of the first generation where the memory controller is there, else the one
//! of the second.
//!
//! Invariant: only groups under the instance's own are made, changed or removed.

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod files;

use files::{delegate, named, put, remove_folder, value_of};

/// Controllers that limit; without one of them no container is run.
const NEEDED: [&str; 3] = ["memory", "cpu", "pids"];
/// Controllers of the first generation that only count or freeze.
const USEFUL: [&str; 2] = ["cpuacct", "freezer"];
/// What a container's sockets may hold where the kernel counts it apart: a quarter of its memory, within these.
const LEAST_SOCKET_BYTES: u64 = 4 << 20;
const MOST_SOCKET_BYTES: u64 = 64 << 20;
/// Span over which processor time is rationed, in microseconds.
const PERIOD_MICROS: u64 = 100_000;
/// Rounds of killing: a process may fork between the reading and the killing, and takes its time to end.
const KILL_ROUNDS: usize = 2500;
/// Wait between two of them.
const KILL_EVERY: Duration = Duration::from_millis(2);
/// Tries to remove a group whose last process has just ended.
const REMOVALS: usize = 200;
/// Wait between two of them.
const REMOVE_EVERY: Duration = Duration::from_millis(5);

/// A container's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    pub(crate) millicores: u64,
    pub(crate) processes: u64,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) cpu_nanos: u64,
    /// Now, without what the kernel could drop at once.
    pub(crate) memory_bytes: u64,
    pub(crate) peak_bytes: u64,
    /// How often something was killed for its memory.
    pub(crate) ooms: u64,
}

/// The hierarchies of this machine and the instance's place in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Controllers, with the mount point and the mount options of their hierarchy.
    First { hierarchies: BTreeMap<String, (PathBuf, String)>, place: PathBuf },
    /// The mount point of the only one.
    Second { root: PathBuf, place: PathBuf },
}

/// A container's groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Group {
    /// The folder of each controller, and the mount options of its hierarchy.
    First(BTreeMap<String, (PathBuf, String)>),
    /// The folder, and the mount point it is under.
    Second { folder: PathBuf, root: PathBuf },
}

impl Tree {
    /// Finds the hierarchies in the text of a `mountinfo` file. `place` is relative to their roots.
    ///
    /// # Errors
    /// What is missing, for people.
    pub(crate) fn find(mountinfo: &str, place: &Path) -> Result<Self, String> {
        let mut first = BTreeMap::new();
        let mut second = None;
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let (Some(point), mut right) = (left.split(' ').nth(4), right.split(' ')) else { continue };
            let (kind, options) = (right.next().unwrap_or_default(), right.nth(1).unwrap_or_default());
            match kind {
                "cgroup2" => second = second.or_else(|| Some(PathBuf::from(point))),
                "cgroup" => {
                    let all = NEEDED.into_iter().chain(USEFUL);
                    let names: Vec<&str> =
                        options.split(',').filter(|option| all.clone().any(|name| name == *option)).collect();
                    for name in &names {
                        first.entry((*name).to_owned()).or_insert_with(|| (PathBuf::from(point), names.join(",")));
                    }
                }
                _ => {}
            }
        }
        let place = place.to_owned();
        if first.contains_key("memory") {
            let missing: Vec<_> = NEEDED.into_iter().filter(|name| !first.contains_key(*name)).collect();
            if missing.is_empty() {
                return Ok(Self::First { hierarchies: first, place });
            }
            return Err(format!("the control group controllers {} are not mounted", missing.join(", ")));
        }
        let Some(root) = second else { return Err("no control groups are mounted".into()) };
        Ok(Self::Second { root, place })
    }

    /// Where groups of this machine are mounted.
    ///
    /// # Errors
    /// What is missing, for people.
    pub(crate) fn of_this_machine(place: &Path) -> Result<Self, String> {
        let text = fs::read_to_string("/proc/self/mountinfo")
            .map_err(|error| format!("/proc/self/mountinfo cannot be read: {error}"))?;
        let tree = Self::find(&text, place)?;
        if let Self::Second { root, .. } = &tree {
            let there = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            let missing: Vec<_> =
                NEEDED.into_iter().filter(|name| !there.split_whitespace().any(|word| word == *name)).collect();
            if !missing.is_empty() {
                return Err(format!("the kernel offers no control group controllers {}", missing.join(", ")));
            }
        }
        Ok(tree)
    }

    /// The path of the container `name`'s groups from the roots of the hierarchies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::First { place, .. } | Self::Second { place, .. } => place.join(name),
        }
    }

    /// The groups of the container `name`.
    pub(crate) fn group(&self, name: &str) -> Group {
        match self {
            Self::First { hierarchies, place } => {
                let folder = |(point, options): &(PathBuf, String)| (point.join(place).join(name), options.clone());
                Group::First(hierarchies.iter().map(|(controller, at)| (controller.clone(), folder(at))).collect())
            }
            Self::Second { root, place } => Group::Second { folder: root.join(place).join(name), root: root.clone() },
        }
    }

    /// The instance's own groups, which hold those of its containers.
    fn places(&self) -> BTreeSet<PathBuf> {
        match self {
            Self::First { hierarchies, place } => hierarchies.values().map(|(point, _)| point.join(place)).collect(),
            Self::Second { root, place } => BTreeSet::from([root.join(place)]),
        }
    }

    /// Removes the instance's own groups, where no container is in them; the next container makes them again.
    pub(crate) fn leave(&self) {
        for place in self.places() {
            let _not_there_or_in_use = fs::remove_dir(place);
        }
    }

    /// The names of the containers whose groups are there.
    pub(crate) fn names(&self) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for place in self.places() {
            let entries = match fs::read_dir(&place) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir()
                    && let Ok(name) = entry.file_name().into_string()
                {
                    names.insert(name);
                }
            }
        }
        Ok(names)
    }

    /// Removes the instance's own groups, which must be empty; for who will not come back.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match self {
            Self::First { hierarchies, place } => hierarchies
                .values()
                .map(|(point, _)| point)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .try_for_each(|point| remove_folder(&point.join(place))),
            Self::Second { root, place } => remove_folder(&root.join(place)),
        }
    }

    /// True where containers can be made to stand still.
    pub(crate) fn can_freeze(&self) -> bool {
        match self {
            Self::First { hierarchies, .. } => hierarchies.contains_key("freezer"),
            Self::Second { .. } => true,
        }
    }

    /// Which generation it is.
    pub(crate) fn generation(&self) -> &'static str {
        match self {
            Self::First { .. } => "cgroup v1",
            Self::Second { .. } => "cgroup v2",
        }
    }
}

impl Group {
    fn folders(&self) -> BTreeSet<&Path> {
        match self {
            Self::First(controllers) => controllers.values().map(|(folder, _)| folder.as_path()).collect(),
            Self::Second { folder, .. } => BTreeSet::from([folder.as_path()]),
        }
    }

    fn of(&self, controller: &str) -> Option<&Path> {
        match self {
            Self::First(controllers) => controllers.get(controller).map(|(folder, _)| folder.as_path()),
            Self::Second { folder, .. } => Some(folder),
        }
    }

    /// Makes the groups, with their limits.
    ///
    /// # Errors
    /// Which limit could not be set.
    pub(crate) fn create(&self, limits: &Limits) -> io::Result<()> {
        if let Self::Second { folder, root } = self {
            delegate(folder, root)?;
        }
        for folder in self.folders() {
            fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
        }
        let quota = limits.millicores.saturating_mul(PERIOD_MICROS) / 1000;
        let (memory, processes) = (limits.memory_bytes.to_string(), limits.processes.to_string());
        match self {
            Self::First(_) => {
                self.write("memory", "memory.limit_in_bytes", &memory)?;
                // Kernels that do not count swap have no such file; there it is asked not to swap.
                match self.write("memory", "memory.memsw.limit_in_bytes", &memory) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.write("memory", "memory.swappiness", "0")?;
                    }
                    other => other?,
                }
                // What sockets hold is not in that count here, and is counted at all once it has a limit; later kernels count it.
                let sockets = (limits.memory_bytes / 4).clamp(LEAST_SOCKET_BYTES, MOST_SOCKET_BYTES);
                match self.write("memory", "memory.kmem.tcp.limit_in_bytes", &sockets.to_string()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
                self.write("cpu", "cpu.cfs_period_us", &PERIOD_MICROS.to_string())?;
                self.write("cpu", "cpu.cfs_quota_us", &quota.to_string())?;
            }
            Self::Second { .. } => {
                self.write("memory", "memory.max", &memory)?;
                match self.write("memory", "memory.swap.max", "0") {
                    // Kernels without swap have no such file.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
                self.write("cpu", "cpu.max", &format!("{quota} {PERIOD_MICROS}"))?;
            }
        }
        self.write("pids", "pids.max", &processes)
    }

    /// Puts a process into the groups.
    pub(crate) fn join(&self, process: Pid) -> io::Result<()> {
        let process = process.as_raw_nonzero().to_string();
        for folder in self.folders() {
            put(&folder.join("cgroup.procs"), &process)?;
        }
        Ok(())
    }

    fn write(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        let folder = self.of(controller).ok_or_else(|| io::Error::other(format!("no controller {controller}")))?;
        put(&folder.join(file), value)
    }

    /// What a container sees of them: names and mount options by hierarchy; `None` of the second generation,
    /// which is one.
    pub(crate) fn views(&self) -> Option<BTreeMap<String, String>> {
        match self {
            Self::First(controllers) => {
                let options: BTreeSet<&String> = controllers.values().map(|(_, options)| options).collect();
                Some(options.into_iter().map(|options| (options.clone(), options.clone())).collect())
            }
            Self::Second { .. } => None,
        }
    }

    /// The counters, as far as they can be read; zero where they cannot.
    pub(crate) fn usage(&self) -> Usage {
        let text = |controller: &str, file: &str| {
            self.of(controller).and_then(|folder| fs::read_to_string(folder.join(file)).ok()).unwrap_or_default()
        };
        let number = |controller: &str, file: &str| text(controller, file).trim().parse().unwrap_or(0u64);
        let line = |controller: &str, file: &str, word: &str| value_of(&text(controller, file), word).unwrap_or(0);
        let usage = match self {
            Self::First(_) => Usage {
                cpu_nanos: number("cpuacct", "cpuacct.usage"),
                memory_bytes: number("memory", "memory.usage_in_bytes").saturating_sub(line(
                    "memory",
                    "memory.stat",
                    "total_inactive_file",
                )),
                peak_bytes: number("memory", "memory.max_usage_in_bytes"),
                ooms: line("memory", "memory.oom_control", "oom_kill"),
            },
            Self::Second { .. } => Usage {
                cpu_nanos: line("cpu", "cpu.stat", "usage_usec").saturating_mul(1000),
                memory_bytes: number("memory", "memory.current").saturating_sub(line(
                    "memory",
                    "memory.stat",
                    "inactive_file",
                )),
                peak_bytes: number("memory", "memory.peak"),
                ooms: line("memory", "memory.events", "oom_kill"),
            },
        };
        Usage { peak_bytes: usage.peak_bytes.max(usage.memory_bytes), ..usage }
    }

    /// Forgets the highest use of memory so far. False where the kernel cannot.
    pub(crate) fn forget_peak(&self) -> bool {
        match self {
            Self::First(_) => self.write("memory", "memory.max_usage_in_bytes", "0").is_ok(),
            // Newer kernels can, for one open file alone.
            Self::Second { .. } => false,
        }
    }

    /// Makes everything in it stand still, or go on.
    ///
    /// # Errors
    /// Where the kernel does not do so.
    pub(crate) fn freeze(&self, still: bool) -> io::Result<()> {
        match self {
            Self::First(_) => self.write("freezer", "freezer.state", if still { "FROZEN" } else { "THAWED" }),
            Self::Second { .. } => self.write("freezer", "cgroup.freeze", if still { "1" } else { "0" }),
        }
    }

    /// True while something runs in it.
    pub(crate) fn is_inhabited(&self) -> bool {
        let text = self.of("memory").and_then(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok());
        text.is_some_and(|text| !text.trim().is_empty())
    }

    /// Kills everything in it, standing still or not. True where nothing is left.
    pub(crate) fn kill(&self) -> bool {
        let folder = self.of("memory");
        let Some(folder) = folder else { return true };
        if let Self::Second { folder, .. } = self {
            // Since Linux 5.14; else one by one below.
            let _ = put(&folder.join("cgroup.kill"), "1");
        }
        for _ in 0..KILL_ROUNDS {
            let Ok(text) = fs::read_to_string(folder.join("cgroup.procs")) else { return true };
            // Zero stands for a process that cannot be seen from here.
            let processes: Vec<Pid> =
                text.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)).collect();
            for process in &processes {
                // Gone in between is as good.
                let _ = rustix::process::kill_process(*process, Signal::KILL);
            }
            // What stands still dies when it goes on; there may be nothing to go on, or no way to stand still.
            let _ = self.freeze(false);
            if processes.is_empty() {
                return true;
            }
            std::thread::sleep(KILL_EVERY);
        }
        false
    }

    /// Removes the groups, which hold no process any more.
    ///
    /// # Errors
    /// Which one stays.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.folders().into_iter().try_for_each(|folder| {
            for _ in 1..REMOVALS {
                match remove_folder(folder) {
                    // The kernel still takes away its last process.
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(REMOVE_EVERY),
                    other => return other,
                }
            }
            remove_folder(folder)
        })
    }
}

#[cfg(test)]
mod tests;
