//! The file of the owner's preferences: made with comments, read again when it changes.
//!
//! Start at [`PreferencesFile::open`].
//!
//! Invariant: a file that cannot be understood changes nothing and is not written over.

use anyhow::Context;
use hivemind_owner::{BadPreferences, Preferences};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Its name in DATA/worker.
pub(crate) const FILE: &str = "owner.toml";

const HEAD: &str = "\
# What this machine may do for the pool. Its owner comes first.
# The worker reads this file again when it changes, and writes it when you use `hivemind worker start|finish|pause`;
# your own comments are lost then. A key that is left out has its default; one that is not known is refused.
";

/// What stands above each table.
pub(super) const COMMENTS: [(&str, &str); 12] = [
    (
        "machine",
        "By hand, for all of it: mode = \"start\", \"finish\" or \"pause\"; until = a moment, from which on it is \"start\" again.",
    ),
    ("gpu", "The same for what uses a graphics processor, and how busy (percent) others may keep one with idle.only."),
    (
        "idle",
        "only = true: work only while nobody uses the machine. start_minutes without input before work is taken,\n# resume_minutes before work that stands still goes on. Loads are parts of all cores that others keep busy.",
    ),
    ("suspend", "Work that has to stop stands still for so many minutes, and is given back then."),
    ("battery", "On battery: when = \"pause\", or \"run\" while there is at least least_percent of charge."),
    ("hours", "The hours of work; empty: always."),
    ("shares", "How much of the machine all tasks together may use, in percent."),
    ("heat", "stop_celsius = 85: stand still when it is that hot; resume_celsius: go on at that."),
    ("programs", "pause_while = [\"steam\"]: nothing runs beside these programs."),
    (
        "network",
        "What tasks may reach: egress = [\"example.org:443\"] or [\"public\"]; empty: nothing. mbit_per_second, gib_per_day: how much.",
    ),
    ("images", "allow = [\"python:*\"]: only images whose names begin so; empty: all."),
    ("cache", "limit_gib = 20: the most that is kept of inputs and images."),
];

/// A file as it was read or written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    len: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PreferencesFile {
    path: PathBuf,
    scratch: PathBuf,
    stamp: Option<Stamp>,
    fault: Option<String>,
}

impl PreferencesFile {
    /// Reads the one in `folder`, or makes it with the defaults.
    ///
    /// # Errors
    /// It cannot be understood, or the disk refuses.
    pub(super) fn open(folder: &Path, scratch: PathBuf) -> anyhow::Result<(Self, Preferences)> {
        let path = folder.join(FILE);
        let mut file = Self { path, scratch, stamp: None, fault: None };
        file.stamp = stamp(&file.path).with_context(|| format!("cannot read {}", file.path.display()))?;
        let preferences = Preferences::load(&file.path).with_context(|| {
            format!("{} is not usable; correct it, or move it away to begin with the defaults", file.path.display())
        })?;
        if file.stamp.is_none() {
            file.save(&preferences).with_context(|| format!("cannot make {}", file.path.display()))?;
        }
        Ok((file, preferences))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it since it was changed last.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// What it says, where that is new. One that is gone says the defaults.
    pub(super) fn changed(&mut self) -> Option<Preferences> {
        let now = match stamp(&self.path) {
            Ok(now) => now,
            Err(why) => return self.fail(&format!("{}: {why}", self.path.display())),
        };
        if now == self.stamp {
            return None;
        }
        self.stamp = now;
        match Preferences::load(&self.path) {
            Ok(preferences) => {
                self.fault = None;
                Some(preferences)
            }
            Err(why) => self.fail(&why.to_string()),
        }
    }

    fn fail(&mut self, why: &str) -> Option<Preferences> {
        if self.fault.as_deref() != Some(why) {
            tracing::warn!("the older preferences count: {why}");
            self.fault = Some(why.to_owned());
        }
        None
    }

    /// Puts `preferences` into it, whole or not at all.
    ///
    /// # Errors
    /// The disk refuses, or a value is out of its bounds.
    pub(super) fn save(&mut self, preferences: &Preferences) -> Result<(), BadPreferences> {
        let text = self.render(preferences)?;
        self.write(&text).map_err(|error| BadPreferences::Disk { path: self.path.display().to_string(), error })?;
        self.fault = None;
        Ok(())
    }

    /// Half-written files lie where every start cleans up.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.scratch)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        if let Some(folder) = self.path.parent() {
            fs::File::open(folder)?.sync_all()?;
        }
        self.stamp = stamp(&self.path)?;
        Ok(())
    }

    /// `preferences` with a comment above each table.
    ///
    /// # Errors
    /// A value is out of its bounds.
    pub(super) fn render(&self, preferences: &Preferences) -> Result<String, BadPreferences> {
        let mut text = HEAD.to_owned();
        for line in preferences.to_toml()?.lines() {
            let table = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            if let Some((_, comment)) = COMMENTS.iter().find(|(name, _)| Some(*name) == table) {
                text.push_str("# ");
                text.push_str(comment);
                text.push('\n');
            }
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }
}

fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(about) => Ok(Some(Stamp { modified: about.modified()?, len: about.len() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
