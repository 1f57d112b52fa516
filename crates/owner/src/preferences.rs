//! What an owner has decided about their machine, as it stands in a file.
//!
//! Start at [`Preferences`]; each part of it is one table of the TOML file, and every key may be left out. `docs/OWNER.md`
//! tells what each means.
//!
//! Invariant: what was read or written here is within its bounds.

use crate::hours::Hours;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

mod check;
mod parts;
#[cfg(test)]
mod tests;

pub use parts::{Battery, Cache, Gpu, Heat, Idle, Images, Network, OnBattery, Programs, Shares, Suspend};

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: u64 = 128 * 1024;

/// What the owner chose by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Work, where the rules allow it.
    #[default]
    Start,
    /// What runs goes on; nothing new.
    Finish,
    /// Stand still.
    Pause,
}

/// What the owner chose by hand, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hand {
    /// What they chose.
    pub mode: Mode,
    /// From then on it is `start` again. Only with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Hand {
    /// What counts at `now`.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Mode {
        match self.until {
            Some(until) if now >= until => Mode::Start,
            Some(_) | None => self.mode,
        }
    }
}

/// Everything that an owner decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preferences {
    /// By hand, for the whole machine.
    pub machine: Hand,
    /// Graphics processors.
    pub gpu: Gpu,
    /// Whether to work only when nobody uses the machine.
    pub idle: Idle,
    /// What becomes of work that has to stop.
    pub suspend: Suspend,
    /// On battery.
    pub battery: Battery,
    /// The hours of work.
    pub hours: Hours,
    /// How much of the machine tasks get together.
    pub shares: Shares,
    /// How hot it may get.
    pub heat: Heat,
    /// Programs beside which nothing runs.
    pub programs: Programs,
    /// What tasks may do on the network.
    pub network: Network,
    /// What images are run.
    pub images: Images,
    /// What is kept of inputs and images.
    pub cache: Cache,
}

/// Preferences that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPreferences {
    /// The file does not have this form.
    #[error("the preferences cannot be read: {0}")]
    Form(#[from] toml::de::Error),
    /// A value is out of its bounds.
    #[error("`{field}` {why}")]
    Value {
        /// Its name in the file: `idle.start_minutes`.
        field: String,
        /// What is wrong, and what is right.
        why: String,
    },
    /// The disk refuses.
    #[error("the preferences in {path}: {error}")]
    Disk {
        /// Which file.
        path: String,
        /// Why.
        error: io::Error,
    },
}

impl Preferences {
    /// Reads the TOML form.
    ///
    /// # Errors
    /// [`BadPreferences`] where a key is not known or a value is out of its bounds; both are named.
    pub fn parse(text: &str) -> Result<Self, BadPreferences> {
        let preferences: Self = toml::from_str(text)?;
        preferences.check()?;
        Ok(preferences)
    }

    /// The TOML form. [`Self::parse`] reads the same back.
    ///
    /// # Errors
    /// [`BadPreferences`] where a value is out of its bounds.
    pub fn to_toml(&self) -> Result<String, BadPreferences> {
        self.check()?;
        toml::to_string(self).map_err(|error| BadPreferences::Value {
            field: "preferences".into(),
            why: format!("cannot be written: {error}"),
        })
    }

    /// Those in the file `path`, or the defaults where there is none.
    ///
    /// # Errors
    /// As [`Self::parse`], and where the file cannot be read or is larger than [`MAX_FILE_BYTES`].
    pub fn load(path: &Path) -> Result<Self, BadPreferences> {
        let disk = |error| BadPreferences::Disk { path: path.display().to_string(), error };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(disk(error)),
        };
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(disk)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(disk(io::Error::other(format!(
                "larger than {MAX_FILE_BYTES} bytes; remove what is not needed"
            ))));
        }
        Self::parse(&text)
    }

    /// Puts them into the file `path`, whole or not at all.
    ///
    /// # Errors
    /// Where a value is out of its bounds or the disk refuses; then the file is as it was.
    pub fn save(&self, path: &Path) -> Result<(), BadPreferences> {
        let text = self.to_toml()?;
        write(path, text.as_bytes()).map_err(|error| BadPreferences::Disk { path: path.display().to_string(), error })
    }

    /// How long work stands still before it is given back.
    #[must_use]
    pub fn bound(&self) -> Duration {
        minutes(self.suspend.minutes)
    }
}

/// So many minutes.
pub(crate) fn minutes(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 60)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}
