//! What is seen of this machine.
//!
//! Each sensor is a small struct that reads files of the kernel below a folder that tests make up. [`Sensors`] has one of
//! each, and asks only those that the owner's rules need, each as often as it has to be.
//!
//! Everything here blocks for a moment; call it where that is allowed.
//!
//! Invariant: what is odd, missing or larger than it should be is not known; it is never a panic.

use crate::preferences::Preferences;
use crate::rules::{Observation, Power};
use std::path::Path;
use std::time::Duration;

mod battery;
mod devices;
mod gpus;
mod heat;
mod input;
mod load;
mod nvidia;
mod programs;
pub(crate) mod root;

pub use battery::Supply;
pub use gpus::{Gpu, Gpus};
pub use heat::Heat;
pub use input::{Input, Seen};
pub use load::Load;
pub(crate) use load::busy;
pub use programs::Programs;
pub use root::Root;

/// How often slow things are looked at.
const SLOW: Duration = Duration::from_secs(5);

/// What is ours on this machine, and so not other people's use of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ours {
    /// Processor time of everything that tasks have used so far: [`crate::Share::cpu_used`]. `None` where that is not known;
    /// then nothing is known of other people's load while an attempt runs.
    pub cpu: Option<Duration>,
    /// Name of the control group that everything of tasks is in: [`crate::Share::name`]. Empty: there is none.
    pub cgroup: String,
    /// An attempt runs or stands still here.
    pub working: bool,
    /// One of them has a graphics processor.
    pub gpu: bool,
}

/// All sensors that the rules need.
#[derive(Debug)]
pub struct Sensors {
    input: Input,
    load: Load,
    supply: Supply,
    heat: Heat,
    programs: Programs,
    gpus: Gpus,
    slow_at: Option<Duration>,
    slow: Slow,
}

/// The last look at slow things.
#[derive(Debug, Default)]
struct Slow {
    power: Power,
    celsius: Option<f32>,
    program: Option<String>,
    gpu: Option<f32>,
}

impl Sensors {
    /// Those of the machine whose files lie below `root`; `/` but in tests. What happened before is not known, so that a
    /// machine with a keyboard or a mouse counts as just used.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let root = Root::new(root);
        Self {
            input: Input::new(root.clone()),
            load: Load::new(root.clone()),
            supply: Supply::new(root.clone()),
            heat: Heat::new(root.clone()),
            programs: Programs::new(root.clone()),
            gpus: Gpus::new(root),
            slow_at: None,
            slow: Slow::default(),
        }
    }

    /// What there is to see at `now` ([`crate::Moment::steady`]), as far as `preferences` ask for it.
    pub fn look(&mut self, preferences: &Preferences, ours: &Ours, now: Duration) -> Observation {
        if self.slow_at.is_none_or(|at| now.saturating_sub(at) >= SLOW) {
            self.slow_at = Some(now);
            self.look_slowly(preferences, ours);
        }
        let (idle, others_load) = match preferences.idle.only {
            true => (self.input.read(now), self.others_load(ours, now)),
            false => (None, None),
        };
        Observation {
            idle,
            others_load,
            power: self.slow.power,
            temperature_celsius: self.slow.celsius,
            program: self.slow.program.clone(),
            gpu_others_percent: self.slow.gpu,
            working: ours.working,
        }
    }

    /// By what input is seen here, for the owner; nothing before the first look with `idle.only`.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.input.seen()
    }

    /// Work of ours must not look like somebody else's.
    fn others_load(&mut self, ours: &Ours, now: Duration) -> Option<f32> {
        match (ours.cpu, ours.working) {
            (Some(cpu), _) => self.load.read(cpu, now),
            (None, false) => self.load.read(Duration::ZERO, now),
            (None, true) => {
                self.load.forget();
                None
            }
        }
    }

    fn look_slowly(&mut self, preferences: &Preferences, ours: &Ours) {
        let names = &preferences.programs.pause_while;
        self.slow = Slow {
            power: self.supply.read().unwrap_or_default(),
            celsius: preferences.heat.limits().and_then(|_| self.heat.read()),
            program: self.programs.read(names, &ours.cgroup),
            gpu: preferences.idle.only.then(|| self.gpus.others(ours)).flatten(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use root::fake::Fake;

    #[test]
    fn only_what_the_rules_need_is_looked_at() {
        let fake = Fake::new();
        fake.file("dev/pts/0", "");
        fake.file("proc/stat", "cpu  0 0 0 0 0\ncpu0 0 0 0 0 0\n");
        fake.file("proc/7/comm", "steam\n");
        let mut sensors = Sensors::new(fake.path());
        let mut preferences = Preferences::default();
        let seen = sensors.look(&preferences, &Ours::default(), Duration::from_secs(100));
        assert_eq!(seen, Observation::default());
        preferences.idle.only = true;
        preferences.programs.pause_while.push("steam".into());
        // Slow things wait for their turn.
        let seen = sensors.look(&preferences, &Ours::default(), Duration::from_secs(101));
        assert!(seen.idle.is_some() && seen.program.is_none());
        let seen = sensors.look(&preferences, &Ours { working: true, ..Ours::default() }, Duration::from_secs(105));
        assert_eq!((seen.program.as_deref(), seen.working), (Some("steam"), true));
    }

    #[test]
    fn work_that_cannot_be_told_from_others_is_no_load() {
        let fake = Fake::new();
        let stat = |seconds: u64| {
            let ticks = seconds * rustix::param::clock_ticks_per_second();
            fake.file("proc/stat", format!("cpu  {ticks} 0 0 0 0 0 0\ncpu0 0\n"));
        };
        let mut preferences = Preferences::default();
        preferences.idle.only = true;
        let mut sensors = Sensors::new(fake.path());
        let mut load = |ours: &Ours, at: u64| {
            stat(at);
            sensors.look(&preferences, ours, Duration::from_secs(at)).others_load
        };
        let (rest, unknown) = (Ours::default(), Ours { working: true, ..Ours::default() });
        assert_eq!((load(&rest, 100), load(&unknown, 110), load(&unknown, 120)), (None, None, None));
        assert_eq!(load(&rest, 130), None);
        let others = load(&rest, 140).unwrap();
        assert!(others > 0.9, "{others}");
        let known = Ours { cpu: Some(Duration::from_secs(10)), ..unknown };
        assert!(load(&known, 150).is_some());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_the_files_say_nothing_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), lines in "([a-z0-9]{1,6}[ :]{1,2}[0-9-]{1,21}[ \n]){0,30}") {
            let fake = Fake::new();
            for (number, text) in [bytes.as_slice(), lines.as_bytes(), format!("cpu  {lines}\ncpu0\n").as_bytes()].into_iter().enumerate() {
                for path in [
                    "proc/stat", "proc/meminfo", "proc/loadavg", "proc/net/dev", "proc/interrupts", "proc/self/mountinfo", "proc/1/comm",
                    "proc/1/cgroup", "sys/class/power_supply/a/capacity", "sys/class/power_supply/a/status",
                    "sys/class/hwmon/hwmon0/temp1_input", "sys/class/thermal/thermal_zone0/temp",
                    "sys/class/input/event0/device/capabilities/key", "sys/class/drm/card0/device/gpu_busy_percent",
                    "sys/class/drm/card0/device/mem_info_vram_used", "dev/input/event0", "dev/pts/0",
                ] {
                    fake.file(path, text);
                }
                for (path, text) in [
                    ("sys/class/power_supply/a/type", "Battery"), ("sys/class/hwmon/hwmon0/name", "coretemp"),
                    ("sys/class/thermal/thermal_zone0/type", "cpu"), ("sys/class/drm/card0/device/vendor", "0x1002"),
                ] {
                    fake.file(path, text);
                }
                let mut preferences = Preferences::default();
                preferences.idle.only = true;
                preferences.heat.stop_celsius = Some(90);
                preferences.programs.pause_while.push("steam".into());
                let ours = Ours { cgroup: "a".into(), ..Ours::default() };
                let (mut sensors, mut machine) = (Sensors::new(fake.path()), crate::Machine::new(fake.path(), fake.path().into()));
                for at in [100, 110, 120 + number as u64] {
                    let now = Duration::from_secs(at);
                    let seen = sensors.look(&preferences, &ours, now);
                    proptest::prop_assert!(seen.others_load.is_none_or(|load| (0.0..=1.0).contains(&load)));
                    let usage = machine.sample(now);
                    proptest::prop_assert!((0.0..=100.0).contains(&usage.cpu_percent));
                }
                let share = crate::Share::make(fake.path(), "a", &preferences.shares, crate::Capacity { cores: 1, memory_bytes: 1 });
                proptest::prop_assert!(share.is_err());
            }
        }
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let mut preferences = Preferences::default();
        preferences.idle.only = true;
        preferences.heat.stop_celsius = Some(90);
        preferences.programs.pause_while.push("no such program".into());
        let mut sensors = Sensors::new(Path::new("/"));
        let seen = sensors.look(&preferences, &Ours::default(), crate::clock::steady());
        assert_eq!(seen.program, None);
        assert!(seen.idle.is_none_or(|idle| idle <= crate::clock::steady() + Duration::from_secs(10 * 365 * 86400)));
    }
}
