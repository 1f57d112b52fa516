//! The bounds of each value.
//!
//! Invariant: every refusal names its field as it stands in the file.

use super::{BadPreferences, Hand, Mode, Preferences};
use crate::hours::MAX_INTERVALS;
use std::ops::RangeInclusive;

/// Most excluded programs.
const MAX_PROGRAMS: usize = 64;
/// Most patterns of images.
const MAX_IMAGES: usize = 256;
/// Longest of such names, in bytes.
const MAX_NAME_BYTES: usize = 256;

impl Preferences {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`BadPreferences::Value`] for the first that does not hold.
    pub fn check(&self) -> Result<(), BadPreferences> {
        hand("machine", &self.machine)?;
        hand("gpu", &Hand { mode: self.gpu.mode, until: self.gpu.until })?;
        within("gpu.stop_percent", self.gpu.stop_percent, 1..=100)?;
        self.check_idle()?;
        within("suspend.minutes", self.suspend.minutes, 0..=1440)?;
        within("battery.least_percent", self.battery.least_percent, 0..=100)?;
        for (day, intervals) in self.hours.days() {
            few(&format!("hours.{day}"), intervals.len(), MAX_INTERVALS)?;
        }
        within("shares.cpu_percent", self.shares.cpu_percent, 1..=100)?;
        within("shares.memory_percent", self.shares.memory_percent, 1..=100)?;
        self.check_heat()?;
        names("programs.pause_while", &self.programs.pause_while, MAX_PROGRAMS)?;
        if let Some(path) = self.programs.pause_while.iter().find(|name| name.contains('/')) {
            return refuse("programs.pause_while", format!("has `{path}`; write the name without its folder"));
        }
        within("network.mbit_per_second", self.network.mbit_per_second.unwrap_or(1), 1..=100_000)?;
        within("network.gib_per_day", self.network.gib_per_day.unwrap_or(1), 1..=1_000_000)?;
        names("images.allow", &self.images.allow, MAX_IMAGES)?;
        within("cache.limit_gib", self.cache.limit_gib.unwrap_or(1), 1..=1_000_000)
    }

    fn check_idle(&self) -> Result<(), BadPreferences> {
        let idle = &self.idle;
        within("idle.start_minutes", idle.start_minutes, 1..=1440)?;
        within("idle.resume_minutes", idle.resume_minutes, 1..=idle.start_minutes)?;
        if !(0.05..=1.0).contains(&idle.stop_load) {
            return refuse("idle.stop_load", format!("is {}; write a part of all cores, 0.05 to 1.0", idle.stop_load));
        }
        if !(0.0..idle.stop_load).contains(&idle.background_load) {
            let (is, stop) = (idle.background_load, idle.stop_load);
            return refuse(
                "idle.background_load",
                format!("is {is}; write a part of all cores below `idle.stop_load`, {stop}"),
            );
        }
        within("idle.load_seconds", idle.load_seconds, 0..=600)
    }

    fn check_heat(&self) -> Result<(), BadPreferences> {
        match (self.heat.stop_celsius, self.heat.resume_celsius) {
            (None, None) => Ok(()),
            (None, Some(_)) => refuse("heat.resume_celsius", "means nothing without `heat.stop_celsius`; write both"),
            (Some(stop), resume) => {
                within("heat.stop_celsius", stop, 40..=110)?;
                within("heat.resume_celsius", resume.unwrap_or(30), 30..=stop - 1)
            }
        }
    }
}

fn hand(table: &str, hand: &Hand) -> Result<(), BadPreferences> {
    match (hand.mode, hand.until) {
        (Mode::Start, Some(_)) => refuse(
            format!("{table}.until"),
            format!("is only for `finish` and `pause`; change `{table}.mode` or leave it out"),
        ),
        (Mode::Start | Mode::Finish | Mode::Pause, _) => Ok(()),
    }
}

fn within(field: &str, value: u32, bounds: RangeInclusive<u32>) -> Result<(), BadPreferences> {
    if bounds.contains(&value) {
        return Ok(());
    }
    refuse(field, format!("is {value}; write {} to {}", bounds.start(), bounds.end()))
}

fn few(field: &str, count: usize, most: usize) -> Result<(), BadPreferences> {
    if count <= most {
        return Ok(());
    }
    refuse(field, format!("has {count} entries; {most} are allowed"))
}

fn names(field: &str, names: &[String], most: usize) -> Result<(), BadPreferences> {
    few(field, names.len(), most)?;
    for name in names {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) || name.trim() != name {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
            return refuse(
                field,
                format!("has `{shown}`; write names of 1 to {MAX_NAME_BYTES} bytes, without blanks at their ends"),
            );
        }
    }
    Ok(())
}

fn refuse(field: impl Into<String>, why: impl Into<String>) -> Result<(), BadPreferences> {
    Err(BadPreferences::Value { field: field.into(), why: why.into() })
}
