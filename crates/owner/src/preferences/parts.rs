//! The tables of the file, each with its defaults.
//!
//! Those of `idle` and `suspend` are HTCondor's for desktops (*Policy Configuration*: `StartIdleTime`, `ContinueIdleTime`,
//! `HighLoad`, `BackgroundLoad`, `CPUBusyTime`, `MaxSuspendTime`).
//!
//! Invariant: the only place where such a number has its default.

use super::Mode;
use hivemind_model::EgressPolicy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Graphics processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gpu {
    /// What the owner chose by hand for them. They work only while the machine does.
    pub mode: Mode,
    /// From then on it is `start` again. Only with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// With `idle.only`: stop where the owner's programs keep one this busy, in percent; 1 to 100.
    pub stop_percent: u32,
}

impl Default for Gpu {
    fn default() -> Self {
        Self { mode: Mode::Start, until: None, stop_percent: 30 }
    }
}

/// Whether to work only when nobody uses the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Idle {
    /// Work only then.
    pub only: bool,
    /// Without input for so long before work is taken; 1 to 1440.
    pub start_minutes: u32,
    /// Without input for so long before work that stands still goes on; 1 to `start_minutes`.
    pub resume_minutes: u32,
    /// Stop where others keep this part of all cores busy; 0.05 to 1.
    pub stop_load: f32,
    /// Go on where they keep no more than this part busy; below `stop_load`.
    pub background_load: f32,
    /// They do so for so long, in seconds; 0 to 600.
    pub load_seconds: u32,
}

impl Default for Idle {
    fn default() -> Self {
        Self {
            only: false,
            start_minutes: 15,
            resume_minutes: 5,
            stop_load: 0.5,
            background_load: 0.3,
            load_seconds: 120,
        }
    }
}

/// What becomes of work that has to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Suspend {
    /// It stands still for so long, and is given back then; 0 (at once) to 1440.
    pub minutes: u32,
}

impl Default for Suspend {
    fn default() -> Self {
        Self { minutes: 10 }
    }
}

/// What to do on battery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBattery {
    /// Stand still.
    #[default]
    Pause,
    /// Work, while there is charge enough.
    Run,
}

/// On battery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Battery {
    /// What to do.
    pub when: OnBattery,
    /// With `run`: the least charge, in percent; 0 to 100.
    pub least_percent: u32,
}

impl Default for Battery {
    fn default() -> Self {
        Self { when: OnBattery::Pause, least_percent: 50 }
    }
}

/// How much of the machine tasks get together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Of all cores, in percent; 1 to 100.
    pub cpu_percent: u32,
    /// Of the memory, in percent; 1 to 100.
    pub memory_percent: u32,
}

impl Default for Shares {
    fn default() -> Self {
        Self { cpu_percent: 100, memory_percent: 90 }
    }
}

/// How hot it may get. Without `stop_celsius`: the hardware protects itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heat {
    /// Stop at this temperature of the hottest sensor; 40 to 110.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_celsius: Option<u32>,
    /// Go on at this one; 30 to below `stop_celsius`. Ten below it where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_celsius: Option<u32>,
}

impl Heat {
    /// Where to stop and where to go on; `None` where there is no limit.
    #[must_use]
    pub fn limits(&self) -> Option<(u32, u32)> {
        let stop = self.stop_celsius?;
        Some((stop, self.resume_celsius.unwrap_or(stop.saturating_sub(10))))
    }
}

/// Programs beside which nothing runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Programs {
    /// Their names, as `ps -e` shows them; 64 at most.
    pub pause_while: Vec<String>,
}

/// What tasks may do on the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// What they may reach: nothing, a list of `HOST:PORT`, or `["public"]`.
    #[serde(with = "egress_words")]
    pub egress: EgressPolicy,
    /// How fast, all tasks together, each way; 1 to 100000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mbit_per_second: Option<u32>,
    /// How much a day, all tasks together, both ways; 1 to 1000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gib_per_day: Option<u32>,
}

impl Network {
    /// The rate in bytes per second.
    #[must_use]
    pub fn bytes_per_second(&self) -> Option<u64> {
        self.mbit_per_second.map(|rate| u64::from(rate) * 125_000)
    }

    /// The volume of a day in bytes.
    #[must_use]
    pub fn bytes_per_day(&self) -> Option<u64> {
        self.gib_per_day.map(|volume| u64::from(volume) << 30)
    }
}

mod egress_words {
    use hivemind_model::EgressPolicy;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(policy: &EgressPolicy, to: S) -> Result<S::Ok, S::Error> {
        policy.words().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EgressPolicy, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        EgressPolicy::parse(&words).map_err(serde::de::Error::custom)
    }
}

/// What images are run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Images {
    /// Names or beginnings of names (`python:*`); 256 at most. Empty: all.
    pub allow: Vec<String>,
}

impl Images {
    /// True where the image called `name` is run: it is listed as it is asked for, or a beginning of it is. Another name of the
    /// same image is another name.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        };
        self.allow.is_empty() || self.allow.iter().any(fits)
    }
}

/// What is kept of inputs and images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// How much at most; 1 to 1000000. Left out: what the worker was started with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_gib: Option<u32>,
}

impl Cache {
    /// The limit in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> Option<u64> {
        self.limit_gib.map(|limit| u64::from(limit) << 30)
    }
}
