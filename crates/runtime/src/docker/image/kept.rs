//! The images that this agent fetched, and which of them go.
//!
//! Start at [`Kept::used`] and [`Kept::due`]. What is known survives the agent in a small file.
//!
//! Invariant: what the owner had before is not in the list, and so is never removed.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most images that are remembered; beyond, the one that was used longest ago goes first.
const MOST: usize = 4096;
/// Longest file that is read.
const MOST_BYTES: u64 = 8 << 20;
/// What was used within this time is in use, or about to be.
const RECENT: Duration = Duration::from_secs(600);

/// An image that this agent fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fetched {
    /// What was asked for: a reference, or the digest of an archive.
    pub(super) key: String,
    /// The image's id.
    pub(super) id: String,
    /// On the disk.
    pub(super) bytes: u64,
    /// Seconds since 1970.
    pub(super) used: u64,
}

impl Fetched {
    /// True where it came out of an archive, and has no name of its own.
    pub(super) fn is_nameless(&self) -> bool {
        self.key.starts_with("sha256:")
    }

    /// What the daemon is asked to remove: of a pulled image the name, so that others of the owner's stay.
    pub(super) fn handle(&self) -> &str {
        if self.is_nameless() { &self.id } else { &self.key }
    }
}

/// The list.
#[derive(Debug)]
pub(super) struct Kept {
    file: PathBuf,
    images: Mutex<Vec<Fetched>>,
}

impl Kept {
    /// Reads the list; one that cannot be read is begun anew, and what it named stays on the disk.
    pub(super) fn open(file: PathBuf) -> Self {
        let images = match read(&file) {
            Ok(images) => images,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the list of fetched images is begun anew; what it named is not removed");
                Vec::new()
            }
        };
        Self { file, images: Mutex::new(images) }
    }

    /// The image that was fetched for `key`.
    pub(super) fn find(&self, key: &str) -> Option<String> {
        self.images.lock().iter().find(|known| known.key == key).map(|known| known.id.clone())
    }

    /// Takes note of an image that was fetched here.
    pub(super) fn fetched(&self, key: &str, id: &str, bytes: u64) {
        let mut images = self.images.lock();
        images.retain(|known| known.key != key);
        images.push(Fetched { key: key.to_owned(), id: id.to_owned(), bytes, used: now() });
        self.write(&images);
    }

    /// Takes note that the image of `key` is used, where it was fetched here.
    pub(super) fn used(&self, key: &str) {
        let (mut images, now) = (self.images.lock(), now());
        let Some(known) = images.iter_mut().find(|known| known.key == key) else { return };
        // Not for every element of an array: a few minutes decide nothing.
        let is_old = now.saturating_sub(known.used) > RECENT.as_secs() / 2;
        known.used = now.max(known.used);
        if is_old {
            self.write(&images);
        }
    }

    /// Forgets an image that has gone.
    pub(super) fn gone(&self, key: &str) {
        let mut images = self.images.lock();
        let before = images.len();
        images.retain(|known| known.key != key);
        if images.len() < before {
            self.write(&images);
        }
    }

    /// What is to be removed: unused for `idle`, then the longest unused until the rest has `most` bytes.
    pub(super) fn due(&self, most: u64, idle: Duration) -> Vec<Fetched> {
        due(&self.images.lock(), most, idle, now())
    }

    fn write(&self, images: &[Fetched]) {
        let list: Vec<Value> = images
            .iter()
            .map(|known| json!({ "key": known.key, "id": known.id, "bytes": known.bytes, "used": known.used }))
            .collect();
        let text = json!({ "version": 1, "images": list }).to_string();
        let written = (|| {
            let folder = self.file.parent().ok_or(io::ErrorKind::NotFound)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(&self.file).map(drop).map_err(io::Error::from)
        })();
        if let Err(error) = written {
            tracing::warn!(file = %self.file.display(), %error, "the list of fetched images is not kept: after a restart they stay on the disk");
        }
    }
}

fn due(images: &[Fetched], most: u64, idle: Duration, now: u64) -> Vec<Fetched> {
    let mut oldest: Vec<&Fetched> = images.iter().collect();
    oldest.sort_by_key(|known| known.used);
    let mut total: u64 = images.iter().map(|known| known.bytes).sum();
    let mut count = images.len();
    let mut due = Vec::new();
    for known in oldest {
        let unused = now.saturating_sub(known.used);
        if unused >= RECENT.as_secs() && (unused >= idle.as_secs() || total > most || count > MOST) {
            total = total.saturating_sub(known.bytes);
            count -= 1;
            due.push(known.clone());
        }
    }
    due
}

fn read(file: &PathBuf) -> io::Result<Vec<Fetched>> {
    use io::Read;
    let mut text = String::new();
    match std::fs::File::open(file) {
        Ok(opened) => opened.take(MOST_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let value: Value = serde_json::from_str(&text)?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "not a list of images");
    let list = value["images"].as_array().filter(|_| value["version"] == 1).ok_or_else(bad)?;
    let image = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        Some(Fetched {
            key: text("key")?,
            id: text("id")?,
            bytes: entry["bytes"].as_u64()?,
            used: entry["used"].as_u64()?,
        })
    };
    list.iter().map(image).collect::<Option<_>>().ok_or_else(bad)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(key: &str, bytes: u64, used: u64) -> Fetched {
        Fetched { key: key.into(), id: format!("sha256:{key}"), bytes, used }
    }

    #[test]
    fn the_longest_unused_go_first_and_the_present_ones_not_at_all() {
        let day = 24 * 3600;
        let images = [image("new", 5, 10 * day), image("old", 5, day), image("middle", 5, 5 * day)];
        let due = |most, idle, now| {
            let due = due(&images, most, Duration::from_secs(idle), now);
            due.into_iter().map(|known| known.key).collect::<Vec<_>>()
        };
        assert_eq!(due(15, 100 * day, 10 * day), [""; 0]);
        assert_eq!(due(14, 100 * day, 10 * day), ["old"]);
        assert_eq!(due(6, 100 * day, 10 * day), ["old", "middle"]);
        assert_eq!(due(0, 100 * day, 10 * day), ["old", "middle"], "the new one is in use");
        assert_eq!(due(0, 100 * day, 11 * day), ["old", "middle", "new"]);
        assert_eq!(due(15, 5 * day, 10 * day), ["old", "middle"]);
        assert_eq!(due(15, 0, 10 * day), ["old", "middle"], "what is about to be used stays for a while");
    }

    #[test]
    fn the_list_outlives_the_agent_and_a_broken_one_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("images.json");
        let kept = Kept::open(file.clone());
        kept.fetched("python:3", "sha256:a", 7);
        kept.fetched("sha256:archive", "sha256:b", 9);
        kept.gone("python:3");
        let again = Kept::open(file.clone());
        assert_eq!(again.find("sha256:archive").as_deref(), Some("sha256:b"));
        assert_eq!(again.find("python:3"), None);
        assert_eq!(again.due(0, Duration::ZERO), [], "it is in use");
        let long_ago =
            "{\"version\":1,\"images\":[{\"key\":\"sha256:archive\",\"id\":\"sha256:b\",\"bytes\":9,\"used\":0}]}";
        std::fs::write(&file, long_ago).expect("written");
        let due = Kept::open(file.clone()).due(100, Duration::from_secs(3600));
        assert_eq!(due.iter().map(Fetched::handle).collect::<Vec<_>>(), ["sha256:b"]);
        std::fs::write(&file, "{\"version\":1,\"images\":[{}]}").expect("written");
        assert_eq!(Kept::open(file).find("sha256:archive"), None);
    }
}
