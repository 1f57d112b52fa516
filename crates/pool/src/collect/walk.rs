//! The files of many folders, a few at a time.
//!
//! Invariant: one step reads a bounded number of directory entries, whatever lies there.

use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

/// Directory entries that one step reads.
const STEP: usize = 256;

/// The files in the folders of a folder.
pub(crate) struct Walk {
    folders: ReadDir,
    wanted: Box<dyn Fn(&str) -> bool + Send>,
    within: Option<ReadDir>,
}

impl Walk {
    /// The files in those folders of `root` whose names are `wanted`.
    pub(crate) fn of(root: &Path, wanted: impl Fn(&str) -> bool + Send + 'static) -> io::Result<Self> {
        Ok(Self { folders: fs::read_dir(root)?, wanted: Box::new(wanted), within: None })
    }

    /// The next few; `None` at the end. There may be none and yet more to come.
    pub(crate) fn step(&mut self) -> io::Result<Option<Vec<PathBuf>>> {
        let mut files = Vec::new();
        for _ in 0..STEP {
            match self.within.as_mut().and_then(Iterator::next) {
                Some(file) => files.push(file?.path()),
                None => {
                    let Some(folder) = self.folders.next() else {
                        return Ok(if files.is_empty() { None } else { Some(files) });
                    };
                    let folder = folder?;
                    let wanted = folder.file_name().to_str().is_some_and(&self.wanted);
                    self.within = match wanted.then(|| fs::read_dir(folder.path())) {
                        Some(Ok(within)) => Some(within),
                        // It went since.
                        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
                        Some(Err(error)) => return Err(error),
                        None => None,
                    };
                }
            }
        }
        Ok(Some(files))
    }
}
