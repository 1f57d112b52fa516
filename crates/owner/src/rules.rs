//! The rules: from what was seen, and what the owner prefers, to what the machine does now.
//!
//! Start at [`Decider::observe`]. Going down is immediate: one look, and what runs stands still. Going up takes a quiet time
//! for each rule that can flap, so that nobody is annoyed twice by the same thing. What stands still is given back after a
//! bound; at once, where it is known that it cannot go on before.
//!
//! Invariant: no clock and no I/O; equal observations at equal moments give equal decisions.

use crate::clock::Moment;
use crate::preferences::{Hand, Mode, OnBattery, Preferences, minutes};
use crate::reason::{Reason, sentence};
use gate::Gate;
use hivemind_model::Availability;
use jiff::Zoned;
use standstill::Standstill;
use std::time::Duration;

mod gate;
mod standstill;
#[cfg(test)]
mod tests;

/// Input this young is use. HTCondor's `KeyboardBusy` has the same minute.
const FRESH: Duration = Duration::from_secs(60);
/// How long battery, heat and programs have to be fine before work goes on.
const SETTLED: Duration = Duration::from_secs(60);
/// A battery has to have so much more charge, in percent, before work goes on.
const CHARGE_MARGIN: u32 = 5;
/// Between two looks where input has to be seen at once.
const LOOK_OFTEN: Duration = Duration::from_secs(1);
/// Between two looks otherwise.
const LOOK_SELDOM: Duration = Duration::from_secs(5);

/// Where the machine's power comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Power {
    /// The mains, or it is not known.
    #[default]
    Mains,
    /// A battery.
    Battery {
        /// Its charge, where that is known.
        percent: Option<u32>,
    },
}

/// What was seen at one look. What is not known stops nothing, but for `idle`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// How long ago the last input was; `None`: nothing here tells.
    pub idle: Option<Duration>,
    /// The part of all cores that others keep busy, 0 to 1.
    pub others_load: Option<f32>,
    /// Where the power comes from.
    pub power: Power,
    /// The hottest sensor, in degrees Celsius.
    pub temperature_celsius: Option<f32>,
    /// A program of `programs.pause_while` that runs.
    pub program: Option<String>,
    /// How busy others keep the graphics processor that they use most, in percent.
    pub gpu_others_percent: Option<f32>,
    /// True where an attempt runs or stands still here.
    pub working: bool,
}

/// What the machine does now.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// For the pool, and for people.
    pub availability: Availability,
    /// True where everything stands still.
    pub suspend: bool,
    /// At this [`Moment::steady`] what stands still is given back. It may be now.
    pub give_back_at: Option<Duration>,
    /// The same for what uses a graphics processor; never more than the whole machine does.
    pub gpu: Availability,
    /// As above, for what uses a graphics processor.
    pub gpu_give_back_at: Option<Duration>,
    /// Every reason that holds, the weightiest first; those of the graphics processors last.
    pub why: Vec<Reason>,
    /// When to look again. Where work begins before, look at once.
    pub look_again: Duration,
}

impl Decision {
    /// One sentence for the owner: `Paused: somebody uses the machine; goes on after 5 min without input`.
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.availability {
            Availability::Open => "Open: takes work".into(),
            Availability::Finishing { reason } => format!("Finishing: {reason}"),
            Availability::Paused { reason } => format!("Paused: {reason}"),
        }
    }

    /// True where what stands still is to be given back at `now`.
    #[must_use]
    pub fn gives_back(&self, now: &Moment) -> bool {
        self.give_back_at.is_some_and(|at| now.steady >= at)
    }

    /// The same for what uses a graphics processor.
    #[must_use]
    pub fn gives_back_gpu(&self, now: &Moment) -> bool {
        self.gpu_give_back_at.is_some_and(|at| now.steady >= at)
    }
}

/// Decides, look after look.
#[derive(Debug)]
pub struct Decider {
    preferences: Preferences,
    last: Option<Duration>,
    /// Closed while the machine is in use, and at first.
    unused: Gate,
    load: Gate,
    busy_since: Option<Duration>,
    battery: Gate,
    heat: Gate,
    programs: Gate,
    program: String,
    gpus: Gate,
    machine: Standstill,
    gpu: Standstill,
}

/// Reasons that hold now, and whether one of them is known to hold for longer than work may stand still.
#[derive(Default)]
struct Found {
    why: Vec<Reason>,
    hopeless: bool,
}

impl Decider {
    /// Decides by `preferences`. Where the owner wants work only while nobody uses the machine, that has to be seen first.
    #[must_use]
    pub fn new(preferences: Preferences) -> Self {
        Self {
            preferences,
            last: None,
            unused: Gate::closed(),
            load: Gate::default(),
            busy_since: None,
            battery: Gate::default(),
            heat: Gate::default(),
            programs: Gate::default(),
            program: String::new(),
            gpus: Gate::default(),
            machine: Standstill::default(),
            gpu: Standstill::default(),
        }
    }

    /// What it decides by.
    #[must_use]
    pub fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    /// The owner changed their mind; counts from the next look. What was seen of use so far is kept; a rule that is another
    /// one now begins anew.
    pub fn prefer(&mut self, preferences: Preferences) {
        let before = &self.preferences;
        if before.battery != preferences.battery {
            self.battery = Gate::default();
        }
        if before.heat != preferences.heat {
            self.heat = Gate::default();
        }
        if before.programs != preferences.programs {
            self.programs = Gate::default();
        }
        if before.idle != preferences.idle {
            (self.load, self.busy_since) = (Gate::default(), None);
        }
        if before.gpu != preferences.gpu {
            self.gpus = Gate::default();
        }
        self.preferences = preferences;
    }

    /// What follows from `seen`.
    pub fn observe(&mut self, seen: &Observation, now: &Moment) -> Decision {
        let mut found = Found::default();
        self.by_hand(&mut found, now);
        self.by_hours(&mut found, now);
        self.by_use(&mut found, seen, now.steady);
        self.by_program(&mut found, seen, now.steady);
        self.by_power(&mut found, seen, now.steady);
        self.by_heat(&mut found, seen, now.steady);
        self.by_load(&mut found, seen, now.steady);
        let mut gpu = Found::default();
        self.gpu_by_hand(&mut gpu, now);
        self.gpu_by_use(&mut gpu, seen, now.steady);
        self.last = Some(now.steady);

        let bound = self.preferences.bound();
        let availability = found.availability();
        let give_back_at = self.machine.step(&availability, seen.working, found.hopeless, bound, now.steady);
        let gpu_hopeless = found.hopeless || gpu.hopeless;
        let why: Vec<Reason> = found.why.into_iter().chain(gpu.why).collect();
        let gpu = Found { why: why.clone(), hopeless: gpu_hopeless }.availability();
        let gpu_give_back_at = self.gpu.step(&gpu, seen.working, gpu_hopeless, bound, now.steady);
        let suspend = matches!(availability, Availability::Paused { .. });
        let often = !suspend && (seen.working || availability.takes_work());
        let look_again = if often { LOOK_OFTEN } else { LOOK_SELDOM };
        Decision { availability, suspend, give_back_at, gpu, gpu_give_back_at, why, look_again }
    }

    fn by_hand(&self, found: &mut Found, now: &Moment) {
        let hand = &self.preferences.machine;
        let until = until(hand, now);
        match hand.at(now.local.timestamp()) {
            Mode::Start => {}
            Mode::Finish => found.why.push(Reason::Finishing { until }),
            Mode::Pause => {
                found.hopeless |= self.is_long(hand, now);
                found.why.push(Reason::Paused { until });
            }
        }
    }

    fn gpu_by_hand(&self, found: &mut Found, now: &Moment) {
        let hand = Hand { mode: self.preferences.gpu.mode, until: self.preferences.gpu.until };
        let until = until(&hand, now);
        match hand.at(now.local.timestamp()) {
            Mode::Start => {}
            Mode::Finish => found.why.push(Reason::GpuFinishing { until }),
            Mode::Pause => {
                found.hopeless |= self.is_long(&hand, now);
                found.why.push(Reason::GpuPaused { until });
            }
        }
    }

    /// True where a pause has an end that is known to come too late for what stands still.
    fn is_long(&self, hand: &Hand, now: &Moment) -> bool {
        hand.until.is_some_and(|until| {
            is_beyond(now, &until.to_zoned(now.local.time_zone().clone()), self.preferences.bound())
        })
    }

    fn by_hours(&self, found: &mut Found, now: &Moment) {
        let hours = &self.preferences.hours;
        if hours.allow(&now.local) {
            return;
        }
        let opening = hours.next_opening(&now.local);
        found.hopeless |= opening.as_ref().is_none_or(|at| is_beyond(now, at, self.preferences.bound()));
        found.why.push(Reason::Hours { opens: opening.map(|at| shown(&at, now)).unwrap_or_default() });
    }

    fn by_use(&mut self, found: &mut Found, seen: &Observation, now: Duration) {
        let idle = &self.preferences.idle;
        if !idle.only {
            self.unused = Gate::closed();
            return;
        }
        let Some(unused) = seen.idle else {
            self.unused = Gate::closed();
            found.why.push(Reason::Unseen);
            return;
        };
        // Input since the last look is use, however long ago that look was.
        let since_last = self.last.map_or(Duration::ZERO, |last| now.saturating_sub(last));
        let held = self.machine.holds(now).unwrap_or(seen.working);
        let wanted = if held { idle.resume_minutes } else { idle.start_minutes };
        let fresh = unused < FRESH.max(since_last).min(minutes(wanted));
        if self.unused.step(fresh, unused >= minutes(wanted), Duration::ZERO, now) {
            let (in_use, lately) = (Reason::InUse { minutes: wanted }, Reason::UsedLately { minutes: wanted });
            found.why.push(if held || fresh { in_use } else { lately });
        }
    }

    fn by_program(&mut self, found: &mut Found, seen: &Observation, now: Duration) {
        if self.preferences.programs.pause_while.is_empty() {
            self.programs = Gate::default();
            return;
        }
        if let Some(program) = &seen.program {
            self.program.clone_from(program);
        }
        if self.programs.step(seen.program.is_some(), seen.program.is_none(), SETTLED, now) {
            found.why.push(Reason::Program { name: self.program.clone() });
        }
    }

    fn by_power(&mut self, found: &mut Found, seen: &Observation, now: Duration) {
        let battery = &self.preferences.battery;
        let least = battery.least_percent;
        let (bad, fine, reason) = match (battery.when, seen.power) {
            (OnBattery::Pause, power) => (power != Power::Mains, power == Power::Mains, Reason::Battery),
            (OnBattery::Run, Power::Mains | Power::Battery { percent: None }) => {
                (false, true, Reason::Charge { least })
            }
            (OnBattery::Run, Power::Battery { percent: Some(charge) }) => {
                // A full battery is enough, whatever the margin says.
                let enough = charge >= least.saturating_add(CHARGE_MARGIN).min(100);
                (charge < least, enough, Reason::Charge { least })
            }
        };
        if self.battery.step(bad, fine, SETTLED, now) {
            found.why.push(reason);
        }
    }

    fn by_heat(&mut self, found: &mut Found, seen: &Observation, now: Duration) {
        let (Some((stop, resume)), Some(celsius)) = (self.preferences.heat.limits(), seen.temperature_celsius) else {
            self.heat = Gate::default();
            return;
        };
        if self.heat.step(celsius >= stop as f32, celsius <= resume as f32, SETTLED, now) {
            found.why.push(Reason::Hot { stop, resume });
        }
    }

    fn by_load(&mut self, found: &mut Found, seen: &Observation, now: Duration) {
        let idle = &self.preferences.idle;
        let (true, Some(load)) = (idle.only, seen.others_load) else {
            (self.load, self.busy_since) = (Gate::default(), None);
            return;
        };
        self.busy_since = (load >= idle.stop_load).then(|| self.busy_since.unwrap_or(now));
        let patience = Duration::from_secs(u64::from(idle.load_seconds));
        let bad = self.busy_since.is_some_and(|since| now.saturating_sub(since) >= patience);
        if self.load.step(bad, load <= idle.background_load, minutes(idle.resume_minutes), now) {
            found.why.push(Reason::Load { percent: (idle.stop_load * 100.0).round() as u32 });
        }
    }

    fn gpu_by_use(&mut self, found: &mut Found, seen: &Observation, now: Duration) {
        let (true, Some(busy)) = (self.preferences.idle.only, seen.gpu_others_percent) else {
            self.gpus = Gate::default();
            return;
        };
        let percent = self.preferences.gpu.stop_percent;
        let (stop, quiet) = (percent as f32, minutes(self.preferences.idle.resume_minutes));
        if self.gpus.step(busy >= stop, busy <= stop / 2.0, quiet, now) {
            found.why.push(Reason::GpuBusy { percent });
        }
    }
}

impl Found {
    fn availability(&self) -> Availability {
        // The weightier ones first: what stops before what lets finish.
        let pausing: Vec<&Reason> = self.why.iter().filter(|reason| !reason.lets_finish()).collect();
        if !pausing.is_empty() {
            return Availability::Paused { reason: sentence(pausing) };
        }
        match self.why.as_slice() {
            [] => Availability::Open,
            finishing => Availability::Finishing { reason: sentence(finishing) },
        }
    }
}

/// When what was chosen by hand ends, for people.
fn until(hand: &Hand, now: &Moment) -> String {
    hand.until.map(|until| shown(&until.to_zoned(now.local.time_zone().clone()), now)).unwrap_or_default()
}

/// `Monday 18:00`, or with its date where that is a week away.
fn shown(at: &Zoned, now: &Moment) -> String {
    let days = at.date().duration_since(now.local.date()).as_hours() / 24;
    let form = if days < 7 { "%A %H:%M" } else { "%Y-%m-%d %H:%M" };
    at.strftime(form).to_string()
}

fn is_beyond(now: &Moment, at: &Zoned, bound: Duration) -> bool {
    Duration::try_from(at.duration_since(&now.local)).is_ok_and(|left| left > bound)
}
