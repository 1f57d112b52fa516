//! What blocks: the sensors, the rules and the file of the preferences.
//!
//! Start at [`Eyes::look`].
//!
//! Invariant: what an owner chooses by hand counts at once, whether or not the disk takes it.

use super::file::PreferencesFile;
use super::limits::{Kept, Limits};
use crate::control::{Answer, Part, Request};
use hivemind_owner::preferences::Hand;
use hivemind_owner::{Decider, Decision, Mode, Moment, Ours, Preferences, Sensors};
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest time that can be chosen by hand: a year.
const MAX_HAND_MS: u64 = 366 * 24 * 3_600_000;

/// See the module.
pub(super) struct Eyes {
    sensors: Sensors,
    decider: Decider,
    file: PreferencesFile,
    /// True where what was chosen by hand is not in the file.
    unsaved: bool,
    limits: Limits,
    kept: Kept,
}

/// One look.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    /// What follows from it.
    pub decision: Decision,
    /// When it was, on the clock of `decision`.
    pub steady: Duration,
    /// What counts by hand.
    pub hand: Hand,
}

impl Eyes {
    /// # Errors
    /// The preferences cannot be read or made.
    pub(super) fn open(root: &Path, folder: &Path, scratch: PathBuf, limits: Limits) -> anyhow::Result<Self> {
        let (file, preferences) = PreferencesFile::open(folder, scratch)?;
        limits.apply(&preferences);
        let (sensors, decider) = (Sensors::new(root), Decider::new(preferences));
        Ok(Self { sensors, decider, file, unsaved: false, limits, kept: Kept::default() })
    }

    pub(super) fn preferences(&self) -> &Preferences {
        self.decider.preferences()
    }

    /// What is wrong with the file.
    pub(super) fn fault(&self) -> Option<&str> {
        self.file.fault()
    }

    /// What is wrong with the share.
    pub(super) fn share_fault(&self) -> Option<String> {
        self.limits.fault()
    }

    /// Takes in a changed file, looks at the machine and decides.
    pub(super) fn look(&mut self, ours: Ours) -> Looked {
        if let Some(preferences) = self.file.changed() {
            tracing::info!("the owner's preferences have changed");
            self.take(preferences);
        }
        let now = Moment::now();
        self.limits.keep(&mut self.kept, ours.working, now.steady);
        let ours = self.limits.ours(ours);
        let observation = self.sensors.look(self.decider.preferences(), &ours, now.steady);
        let decision = self.decider.observe(&observation, &now);
        let hand = &self.decider.preferences().machine;
        let mode = hand.at(now.local.timestamp());
        let hand = Hand { mode, until: hand.until.filter(|_| mode == hand.mode && mode != Mode::Start) };
        Looked { decision, steady: now.steady, hand }
    }

    /// What the file says now; but by hand, what was chosen last and could not be written there.
    fn take(&mut self, mut preferences: Preferences) {
        if self.unsaved {
            let before = self.decider.preferences();
            preferences.machine = before.machine.clone();
            (preferences.gpu.mode, preferences.gpu.until) = (before.gpu.mode, before.gpu.until);
            self.unsaved = self.file.save(&preferences).is_err();
        }
        self.prefer(preferences);
    }

    /// Decides by these from now on, and sets what holds by itself.
    fn prefer(&mut self, preferences: Preferences) {
        let before = self.decider.preferences();
        if (&before.shares, &before.cache) != (&preferences.shares, &preferences.cache) {
            self.limits.apply(&preferences);
        }
        if before.shares != preferences.shares && self.limits.share.is_some() {
            tracing::info!("tasks have the new shares at once; the pool is offered them at the worker's next start");
        }
        self.decider.prefer(preferences);
    }

    /// Does what the owner wants.
    pub(super) fn apply(&mut self, request: Request) -> Result<(), Box<Answer>> {
        match request {
            Request::Status | Request::Preferences => Ok(()),
            Request::Start { part } => self.choose(part, Mode::Start, None),
            Request::Finish { part, for_ms } => self.choose(part, Mode::Finish, for_ms),
            Request::Pause { part, for_ms } => self.choose(part, Mode::Pause, for_ms),
            Request::StopNow => self.choose(Part::Machine, Mode::Pause, None),
            Request::SetPreferences { toml } => self.replace(&toml),
        }
    }

    fn choose(&mut self, part: Part, mode: Mode, for_ms: Option<u64>) -> Result<(), Box<Answer>> {
        let until = for_ms.map(until).transpose()?;
        let mut preferences = self.decider.preferences().clone();
        match part {
            Part::Machine => preferences.machine = Hand { mode, until },
            Part::Gpu => (preferences.gpu.mode, preferences.gpu.until) = (mode, until),
        }
        // A file that cannot be read is the owner's to mend; what they wrote there is not thrown away.
        self.unsaved = self.file.fault().is_some() || self.file.save(&preferences).is_err();
        if self.unsaved {
            tracing::warn!("what the owner chose counts, but is not in the file of the preferences");
        }
        self.prefer(preferences);
        Ok(())
    }

    fn replace(&mut self, toml: &str) -> Result<(), Box<Answer>> {
        let refused = |why: &dyn std::fmt::Display| Box::new(Answer::refused("E_INVALID", why));
        let preferences = Preferences::parse(toml).map_err(|why| refused(&why))?;
        self.file.save(&preferences).map_err(|why| Box::new(Answer::refused("E_IO", why)))?;
        self.unsaved = false;
        self.prefer(preferences);
        Ok(())
    }

    /// The preferences, for their owner.
    pub(super) fn show(&self) -> Answer {
        match self.file.render(self.decider.preferences()) {
            Ok(toml) => Answer::Preferences { path: self.file.path().display().to_string(), toml },
            Err(why) => Answer::refused("E_INVALID", why),
        }
    }
}

fn until(for_ms: u64) -> Result<Timestamp, Box<Answer>> {
    let refused = || Box::new(Answer::refused("E_INVALID", "a time is at least one millisecond and at most 366 days"));
    if !(1..=MAX_HAND_MS).contains(&for_ms) {
        return Err(refused());
    }
    let span = SignedDuration::from_millis(i64::try_from(for_ms).map_err(|_| refused())?);
    Timestamp::now().checked_add(span).map_err(|_| refused())
}
