//! Files of the kernel, below a folder.
//!
//! Invariant: no file is read beyond a bound, and nothing here waits for one.

use rustix::fs::{Mode, OFlags};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of one file. `/proc/interrupts` of a large machine is the longest.
const MOST_BYTES: u64 = 1 << 20;
/// Most entries of one folder.
const MOST_ENTRIES: usize = 1 << 16;

/// Where the files of a machine lie.
#[derive(Debug, Clone)]
pub struct Root(Arc<Path>);

impl Root {
    /// Those below `folder`; `/` but in tests.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self(folder.into())
    }

    /// A path below it.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The text of a file, up to its first megabyte; `None` where there is none that can be read.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        let file = self.open(path)?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        Some(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(odd) => String::from_utf8_lossy(odd.as_bytes()).into_owned(),
        })
    }

    /// The first line of a file, without blanks at its ends.
    #[must_use]
    pub fn line(&self, path: &str) -> Option<String> {
        self.text(path)?.lines().next().map(|line| line.trim().to_owned())
    }

    /// The number in a file.
    #[must_use]
    pub fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.line(path)?.parse().ok()
    }

    /// Opens a file to read, without waiting for it.
    #[must_use]
    pub fn open(&self, path: &str) -> Option<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::open(self.path(path), flags, Mode::empty()).ok().map(std::fs::File::from)
    }

    /// Names in a folder, sorted; none where there is none.
    #[must_use]
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else { return Vec::new() };
        let entries = entries.take(MOST_ENTRIES).flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// True where there is such a file.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }
}

#[cfg(test)]
pub(crate) mod fake {
    use super::*;

    /// A machine of files.
    pub(crate) struct Fake(tempfile::TempDir);

    impl Fake {
        pub(crate) fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        pub(crate) fn path(&self) -> &Path {
            self.0.path()
        }

        pub(crate) fn root(&self) -> Root {
            Root::new(self.path())
        }

        pub(crate) fn file(&self, path: &str, text: impl AsRef<[u8]>) {
            let path = self.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub(crate) fn read(&self, path: &str) -> String {
            std::fs::read_to_string(self.path().join(path)).unwrap_or_default()
        }

        pub(crate) fn remove(&self, path: &str) {
            std::fs::remove_file(self.path().join(path)).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::Fake;
    use super::*;

    #[test]
    fn odd_files_are_bounded_and_no_panic() {
        let fake = Fake::new();
        fake.file("long", vec![b'a'; 3 << 20]);
        fake.file("odd", [0xff, b'1', b'\n']);
        fake.file("empty", "");
        let root = fake.root();
        assert_eq!(root.text("long").map(|text| text.len()), Some(1 << 20));
        assert_eq!(root.line("odd").as_deref(), Some("\u{fffd}1"));
        assert_eq!((root.number::<u32>("odd"), root.line("empty"), root.text("none")), (None, None, None));
        assert_eq!(root.names("/"), ["empty", "long", "odd"]);
        assert_eq!(root.text("."), None);
    }

    #[test]
    fn a_pipe_without_a_writer_does_not_hold_it_up() {
        let fake = Fake::new();
        let pipe = fake.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!(fake.root().text("pipe").as_deref(), Some(""));
    }
}
