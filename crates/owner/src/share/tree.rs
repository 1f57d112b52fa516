//! Where control groups are, in both versions that the kernel has.
//!
//! Version one has a hierarchy for each controller, version two one for all. A machine that has both (*hybrid*) is used
//! through those of version one, where processors and memory are.
//!
//! Invariant: only a folder that bears the given name is made or removed.

use super::NoShare;
use crate::sensors::Root;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What a hierarchy of version one is needed for, beside the counting of processor time.
const NEEDED: [&str; 3] = ["cpu", "memory", "freezer"];
/// What is switched on below the top of version two, where there is such a controller.
const SWITCHED: [&str; 4] = ["cpu", "memory", "pids", "io"];
/// Most folders that are removed with it; containers leave a few.
const MOST_FOLDERS: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) version: Version,
    /// Each hierarchy with its controllers; of version two the only one.
    hierarchies: Vec<(PathBuf, Vec<String>)>,
}

impl Tree {
    /// By what is mounted; `None` where processors and memory have no controller.
    pub(super) fn find(root: &Root) -> Option<Self> {
        let mounts = root.text("proc/self/mountinfo")?;
        let (mut one, mut two) = (Vec::new(), None);
        for line in mounts.lines() {
            // 36 35 98:0 /root /mount/point options - type source super,options
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let Some(point) = before.split(' ').nth(4) else { continue };
            let mut after = after.split(' ');
            match (after.next(), after.nth(1)) {
                (Some("cgroup"), Some(options)) => {
                    one.push((root.path(point), options.split(',').map(str::to_owned).collect::<Vec<_>>()));
                }
                (Some("cgroup2"), _) => two = two.or_else(|| Some(root.path(point))),
                _ => {}
            }
        }
        let has = |name: &str| one.iter().any(|(_, options)| options.iter().any(|option| option == name));
        if NEEDED.into_iter().all(has) {
            // The same hierarchy may be mounted at several places.
            one.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
            one.dedup_by(|a, b| a.1 == b.1);
            // Docker has a group there, too, and leaves its parent.
            one.extend(two.map(|top| (top, Vec::new())));
            return Some(Self { version: Version::One, hierarchies: one });
        }
        let top = two?;
        let controllers = std::fs::read_to_string(top.join("cgroup.controllers")).ok()?;
        let controllers: Vec<String> = controllers.split_ascii_whitespace().map(str::to_owned).collect();
        let both = ["cpu", "memory"].into_iter().all(|name| controllers.iter().any(|known| known == name));
        both.then(|| Self { version: Version::Two, hierarchies: vec![(top, controllers)] })
    }

    /// The folder called `name` of each hierarchy.
    pub(super) fn folders(&self, name: &str) -> Vec<PathBuf> {
        self.hierarchies.iter().map(|(top, _)| top.join(name)).collect()
    }

    /// As [`Self::folders`], only where [`Self::make`] makes them.
    pub(super) fn folders_that_count(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let counts = self.hierarchies.iter().filter(|(_, controllers)| self.is_needed(controllers));
        counts.map(move |(top, _)| top.join(name))
    }

    /// Makes the group in every hierarchy that it is for, and switches on what it needs.
    pub(super) fn make(&self, name: &str) -> Result<(), NoShare> {
        for (top, controllers) in self.hierarchies.iter().filter(|(_, controllers)| self.is_needed(controllers)) {
            let path = top.join(name);
            if self.version == Version::Two {
                switch_on(top, controllers)?;
            }
            match std::fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(NoShare::NotAllowed { path, error }),
            }
            if self.version == Version::Two {
                switch_on(&path, controllers)?;
            }
        }
        Ok(())
    }

    /// A group in the others says nothing, and one for sets of processors would have to be filled in. Whoever makes groups
    /// below makes them there.
    fn is_needed(&self, controllers: &[String]) -> bool {
        match self.version {
            Version::One => controllers.iter().any(|name| NEEDED.contains(&name.as_str()) || name == "cpuacct"),
            Version::Two => true,
        }
    }

    /// The text of a file of the group, without blanks at its ends.
    pub(super) fn read(&self, name: &str, controller: &str, file: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.folder(name, controller)?.join(file)).ok()?;
        Some(text.trim().to_owned())
    }

    /// Writes a file of the group.
    pub(super) fn write(&self, name: &str, controller: &str, file: &str, value: &str) -> Result<(), NoShare> {
        let path = self.folder(name, controller).ok_or(NoShare::NoControllers)?.join(file);
        write(&path, value).map_err(|error| NoShare::NotSet { path, value: value.to_owned(), error })
    }

    /// Lowers a limit of the groups in the group that have more than `value`, the innermost first. What cannot be lowered shows
    /// when the group itself is.
    pub(super) fn lower_below(&self, name: &str, controller: &str, file: &str, value: &str) {
        let (Some(group), Ok(most)) = (self.folder(name, controller), value.parse::<i64>()) else { return };
        let mut left = MOST_FOLDERS;
        lower_in(&group, file, most, &mut left);
    }

    /// Removes the group, and the empty ones in it.
    pub(super) fn remove(&self, name: &str) -> Result<(), NoShare> {
        let mut first = None;
        for path in self.folders(name) {
            let mut left = MOST_FOLDERS;
            if let Err(error) = remove_below(&path, &mut left) {
                first = first.or(Some(NoShare::NotRemoved { path, error }));
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn folder(&self, name: &str, controller: &str) -> Option<PathBuf> {
        let of = |(_, controllers): &&(PathBuf, Vec<String>)| controllers.iter().any(|known| known == controller);
        self.hierarchies.iter().find(of).map(|(top, _)| top.join(name))
    }
}

/// Lets the groups below `path` have what there is.
fn switch_on(path: &Path, controllers: &[String]) -> Result<(), NoShare> {
    let file = path.join("cgroup.subtree_control");
    let is = std::fs::read_to_string(&file).unwrap_or_default();
    let is: BTreeSet<&str> = is.split_ascii_whitespace().collect();
    for wanted in
        SWITCHED.into_iter().filter(|wanted| controllers.iter().any(|known| known == wanted) && !is.contains(wanted))
    {
        let value = format!("+{wanted}");
        if let Err(error) = write(&file, &value) {
            let path = file;
            return Err(match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    NoShare::NotAllowed { path, error }
                }
                _ => NoShare::NotSet { path, value, error },
            });
        }
    }
    Ok(())
}

/// In one write, as the kernel wants it; a file that is not there is not made.
fn write(path: &Path, value: &str) -> io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().write(true).truncate(true).open(path)?.write_all(value.as_bytes())
}

fn lower_in(path: &Path, file: &str, most: i64, left: &mut usize) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for inner in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        lower_in(&inner, file, most, left);
        let now = std::fs::read_to_string(inner.join(file)).ok().and_then(|text| text.trim().parse::<i64>().ok());
        // Below zero is no limit, which the outer one is for.
        if now.is_some_and(|now| now > most)
            && let Err(error) = write(&inner.join(file), &most.to_string())
        {
            tracing::debug!("{} keeps its {file}: {error}", inner.display());
        }
    }
}

fn remove_below(path: &Path, left: &mut usize) -> io::Result<()> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("it has too many groups in it"))?;
            remove_below(&entry.path(), left)?;
        }
    }
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
