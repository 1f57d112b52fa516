//! Disks whose agent was killed: image files, and the loop devices that stand on them.
//!
//! Start at [`Abandoned::watch`]. What is there is noted at the moment of the end, and removed
//! later, so that nothing of a successor is touched: its attempts have other names.
//!
//! Invariant: a device is detached only while it still stands on a file that was noted.

use super::{SUFFIX, absent_is_fine, detach, folder_of};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the kernel adds to the path of a file that is deleted.
const DELETED: &str = " (deleted)";

/// The folder of an agent's image files.
#[derive(Debug)]
pub(crate) struct Abandoned {
    folder: PathBuf,
}

/// What was found in it.
#[derive(Debug)]
pub(crate) struct Disks {
    files: BTreeSet<PathBuf>,
}

impl Abandoned {
    /// Of the agent whose images lie under `state`.
    pub(crate) fn watch(state: &Path) -> Self {
        let folder = folder_of(state);
        // As the kernel names it, and found while it exists: it may be deleted later.
        Self { folder: folder.canonicalize().unwrap_or(folder) }
    }

    /// Notes what is there now.
    pub(crate) fn find(&self) -> Disks {
        let is_image = |path: &PathBuf| {
            path.parent() == Some(&self.folder) && path.to_str().is_some_and(|text| text.ends_with(SUFFIX))
        };
        let listed = std::fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        Disks { files: listed.chain(devices().into_iter().map(|(_, file)| file)).filter(is_image).collect() }
    }
}

impl Disks {
    /// Detaches the devices and removes the files.
    pub(crate) async fn remove(self) -> Result<(), String> {
        let mut stuck = Vec::new();
        for (device, file) in devices() {
            if self.files.contains(&file)
                && let Err(error) = detach(&device).await
            {
                stuck.push(format!("{device}: {error}"));
            }
        }
        for file in &self.files {
            if let Err(error) = absent_is_fine(std::fs::remove_file(file)) {
                stuck.push(format!("{}: {error}", file.display()));
            }
        }
        if stuck.is_empty() {
            Ok(())
        } else {
            Err(format!("disks of a killed agent could not be removed: {}", stuck.join("; ")))
        }
    }
}

/// Every loop device with the file that it stands on.
fn devices() -> Vec<(String, PathBuf)> {
    let found = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let device = |entry: std::fs::DirEntry| {
        let file = std::fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        let file = file.trim_end_matches('\n');
        let file = PathBuf::from(file.strip_suffix(DELETED).unwrap_or(file));
        Some((format!("/dev/{}", entry.file_name().to_str()?), file))
    };
    found.filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_images_that_were_there_at_the_end_are_removed() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = folder_of(state.path());
        std::fs::create_dir(&folder).expect("made");
        for name in ["att_1.0.1.img", "notes.txt"] {
            std::fs::write(folder.join(name), "").expect("written");
        }
        let disks = Abandoned::watch(state.path()).find();
        std::fs::write(folder.join("att_2.0.1.img"), "").expect("written");
        disks.remove().await.expect("removed");
        let mut left: Vec<_> =
            std::fs::read_dir(&folder).expect("listed").map(|entry| entry.expect("entry").file_name()).collect();
        left.sort();
        assert_eq!(left, ["att_2.0.1.img", "notes.txt"]);
    }
}
