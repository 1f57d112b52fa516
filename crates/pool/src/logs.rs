//! What attempts write: one append-only file per stream and attempt.
//!
//! Files lie under `DATA/logs/<task / 1024>/<task>.<index>.<number>.out` and `.err`; where an
//! attempt writes nothing there is no file. Bytes are taken only at the exact end of a stream, so
//! a worker that sends again after a broken link repeats nothing and leaves out nothing. Start at
//! [`Logs::append`].
//!
//! Logs of tasks that ended long ago are removed ([`crate::collect`]), but for those that show by their modification
//! time that another task has taken the result.
//!
//! Invariant: a byte once taken is never changed; no message of a worker chooses a file name.

use crate::blobs::{Freed, make_folder};
use crate::collect::Walk;
use crate::disk::Disk;
use hivemind_model::{AttemptRef, ElementRef, TaskId};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::watch;

/// Tasks whose files share a folder.
const TASKS_PER_FOLDER: u64 = 1024;

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    const fn extension(self) -> &'static str {
        match self {
            Self::Stdout => "out",
            Self::Stderr => "err",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

/// How much of an attempt's streams is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// Bytes of standard output.
    pub(crate) stdout: u64,
    /// Bytes of standard error.
    pub(crate) stderr: u64,
}

/// What followers see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Bytes that can be read.
    pub(crate) lengths: Lengths,
    /// True once nothing more will come.
    pub(crate) ended: bool,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is there, as far as the cap lets it be.
    Taken,
    /// Bytes before it are missing; this is what is there.
    Gap(Lengths),
}

/// No file stays open: a stranger's node may have any number of attempts, the pool has not any
/// number of file descriptors.
struct AttemptLog {
    lengths: Mutex<[u64; 2]>,
    seen: watch::Sender<Seen>,
}

/// See the module.
pub(crate) struct Logs {
    root: PathBuf,
    cap: u64,
    disk: Disk,
    open: Mutex<HashMap<AttemptRef, Arc<AttemptLog>>>,
    /// Held while a mark is set or looked at, or a folder is made.
    marks: Mutex<()>,
}

impl Logs {
    /// Logs under `root`, each stream at most `cap` bytes.
    pub(crate) fn open(root: PathBuf, cap: u64, disk: Disk) -> io::Result<Self> {
        make_folder(&root)?;
        Ok(Self { root, cap, disk, open: Mutex::default(), marks: Mutex::default() })
    }

    /// Most bytes of one stream.
    pub(crate) const fn cap(&self) -> u64 {
        self.cap
    }

    /// Adds `data`, which begins at `offset` of the stream. What is there already is skipped,
    /// what is above the cap is dropped.
    ///
    /// # Errors
    /// The file system's, a full disk among them; the stream is as it was.
    pub(crate) fn append(&self, attempt: AttemptRef, stream: Stream, offset: u64, data: &[u8]) -> io::Result<Appended> {
        let log = self.log(attempt)?;
        let mut lengths = log.lengths.lock();
        let have = lengths[stream.index()];
        if offset > have && have < self.cap {
            return Ok(Appended::Gap((*lengths).into()));
        }
        let skip = usize::try_from(have.saturating_sub(offset)).unwrap_or(usize::MAX);
        let room = usize::try_from(self.cap - have.min(self.cap)).unwrap_or(usize::MAX);
        let fresh = data.get(skip..).unwrap_or_default();
        let fresh = &fresh[..fresh.len().min(room)];
        if fresh.is_empty() {
            return Ok(Appended::Taken);
        }
        self.disk.room_for(fresh.len() as u64)?;
        self.writable(attempt, stream)?.write_all_at(fresh, have)?;
        lengths[stream.index()] = have + fresh.len() as u64;
        log.seen.send_modify(|seen| seen.lengths = (*lengths).into());
        Ok(Appended::Taken)
    }

    /// How much of the attempt's streams is there.
    pub(crate) fn lengths(&self, attempt: AttemptRef) -> io::Result<Lengths> {
        if let Some(log) = self.open.lock().get(&attempt).cloned() {
            return Ok((*log.lengths.lock()).into());
        }
        Ok(self.read_lengths(attempt)?.into())
    }

    /// Makes what is there survive a power cut.
    pub(crate) fn sync(&self, attempt: AttemptRef) -> io::Result<()> {
        let mut any = false;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let file = match File::open(self.path(attempt, stream)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            file.sync_data()?;
            any = true;
        }
        if any {
            File::open(self.folder(attempt))?.sync_all()?;
        }
        Ok(())
    }

    /// Tells followers that nothing more comes, and forgets the attempt.
    pub(crate) fn end(&self, attempt: AttemptRef) {
        let log = self.open.lock().remove(&attempt);
        if let Some(log) = log {
            log.seen.send_modify(|seen| seen.ended = true);
        }
    }

    /// Follows a live attempt: lengths as they grow, until [`Logs::end`].
    pub(crate) fn follow(&self, attempt: AttemptRef) -> io::Result<watch::Receiver<Seen>> {
        Ok(self.log(attempt)?.seen.subscribe())
    }

    /// Reads at most `most` bytes from `offset`; fewer only at the end of what is there.
    pub(crate) fn read(&self, attempt: AttemptRef, stream: Stream, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let file = match File::open(self.path(attempt, stream)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let left = file.metadata()?.len().saturating_sub(offset);
        let mut data = vec![0; usize::try_from(left).unwrap_or(most).min(most)];
        let mut filled = 0;
        while filled < data.len() {
            match file.read_at(&mut data[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        data.truncate(filled);
        Ok(data)
    }

    /// Everything that attempts wrote.
    pub(crate) fn all(&self) -> io::Result<Walk> {
        Walk::of(&self.root, |folder| folder.parse::<u64>().is_ok())
    }

    /// Shows on an ended attempt's logs that they are needed since `stamp`; tells how much of them there is.
    pub(crate) fn mark(&self, attempt: AttemptRef, stamp: SystemTime) -> io::Result<Lengths> {
        let _locked = self.marks.lock();
        for stream in [Stream::Stdout, Stream::Stderr] {
            match File::open(self.path(attempt, stream)) {
                Ok(file) => file.set_modified(stamp)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.read_lengths(attempt)?.into())
    }

    /// Removes logs that do not show that they are needed since then, and their folders where they were the last.
    pub(crate) fn remove_unmarked(&self, files: &[PathBuf], since: SystemTime) -> io::Result<Freed> {
        let mut freed = Freed::default();
        for path in files {
            let _locked = self.marks.lock();
            let metadata = match fs::metadata(path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if metadata.modified()? < since {
                fs::remove_file(path)?;
                freed.add(Freed { files: 1, bytes: metadata.len() });
            }
        }
        for folder in files.iter().filter_map(|path| path.parent()).collect::<BTreeSet<_>>() {
            let _locked = self.marks.lock();
            // A folder that still holds something stays.
            let _stays = fs::remove_dir(folder);
        }
        Ok(freed)
    }

    fn log(&self, attempt: AttemptRef) -> io::Result<Arc<AttemptLog>> {
        let mut open = self.open.lock();
        if let Some(log) = open.get(&attempt) {
            return Ok(log.clone());
        }
        let lengths = self.read_lengths(attempt)?;
        let seen = Seen { lengths: lengths.into(), ended: false };
        let log = Arc::new(AttemptLog { lengths: Mutex::new(lengths), seen: watch::channel(seen).0 });
        open.insert(attempt, log.clone());
        Ok(log)
    }

    fn writable(&self, attempt: AttemptRef, stream: Stream) -> io::Result<File> {
        let path = self.path(attempt, stream);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let _locked = self.marks.lock();
                make_folder(&self.folder(attempt))?;
                options.open(&path)
            }
            opened => opened,
        }
    }

    fn read_lengths(&self, attempt: AttemptRef) -> io::Result<[u64; 2]> {
        Ok([length_of(&self.path(attempt, Stream::Stdout))?, length_of(&self.path(attempt, Stream::Stderr))?])
    }

    fn folder(&self, attempt: AttemptRef) -> PathBuf {
        self.root.join((attempt.element.task.0 / TASKS_PER_FOLDER).to_string())
    }

    fn path(&self, attempt: AttemptRef, stream: Stream) -> PathBuf {
        let AttemptRef { element, number } = attempt;
        self.folder(attempt).join(format!("{}.{}.{number}.{}", element.task.0, element.index, stream.extension()))
    }
}

impl From<[u64; 2]> for Lengths {
    fn from([stdout, stderr]: [u64; 2]) -> Self {
        Self { stdout, stderr }
    }
}

/// The attempt that wrote a file.
pub(crate) fn named(path: &Path) -> Option<AttemptRef> {
    let mut parts = path.file_name()?.to_str()?.split('.');
    let (task, index, number) = (parts.next()?, parts.next()?, parts.next()?);
    let element = ElementRef { task: TaskId(task.parse().ok()?), index: index.parse().ok()? };
    Some(element.attempt(number.parse().ok()?))
}

fn length_of(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32) -> AttemptRef {
        ElementRef::only(TaskId(2049)).attempt(number)
    }

    #[test]
    fn repeated_bytes_are_skipped_and_gaps_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::open(dir.path().join("logs"), 10, Disk::new(dir.path(), 0, 0)).unwrap();
        assert_eq!(logs.append(attempt(1), Stream::Stdout, 0, b"abc").unwrap(), Appended::Taken);
        assert_eq!(logs.append(attempt(1), Stream::Stdout, 1, b"bcde").unwrap(), Appended::Taken);
        assert_eq!(logs.append(attempt(1), Stream::Stdout, 0, b"abc").unwrap(), Appended::Taken);
        let gap = Appended::Gap(Lengths { stdout: 5, stderr: 0 });
        assert_eq!(logs.append(attempt(1), Stream::Stdout, 6, b"x").unwrap(), gap);
        assert_eq!(logs.read(attempt(1), Stream::Stdout, 1, 100).unwrap(), b"bcde");
        assert_eq!(logs.append(attempt(1), Stream::Stdout, 5, b"fghijklmn").unwrap(), Appended::Taken);
        assert_eq!(logs.append(attempt(1), Stream::Stdout, 14, b"later").unwrap(), Appended::Taken);
        assert_eq!(logs.read(attempt(1), Stream::Stdout, 0, 100).unwrap(), b"abcdefghij");
    }

    #[test]
    fn what_was_written_is_found_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::open(dir.path().join("logs"), 100, Disk::new(dir.path(), 0, 0)).unwrap();
        logs.append(attempt(1), Stream::Stderr, 0, b"oh").unwrap();
        logs.sync(attempt(1)).unwrap();
        drop(logs);
        let logs = Logs::open(dir.path().join("logs"), 100, Disk::new(dir.path(), 0, 0)).unwrap();
        assert_eq!(logs.lengths(attempt(1)).unwrap(), Lengths { stdout: 0, stderr: 2 });
        assert_eq!(logs.append(attempt(1), Stream::Stderr, 2, b" no").unwrap(), Appended::Taken);
        assert_eq!(logs.read(attempt(1), Stream::Stderr, 0, 100).unwrap(), b"oh no");
        assert_eq!(logs.read(attempt(2), Stream::Stderr, 0, 100).unwrap(), b"");
    }

    #[test]
    fn attempts_that_write_keep_no_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::open(dir.path().join("logs"), 100, Disk::new(dir.path(), 0, 0)).unwrap();
        let below = |folder: &Path| {
            let open =
                fs::read_dir("/proc/self/fd").unwrap().filter_map(|link| fs::read_link(link.unwrap().path()).ok());
            open.filter(|path| path.starts_with(folder)).count()
        };
        for number in 1..20 {
            logs.append(attempt(number), Stream::Stdout, 0, b"x").unwrap();
            logs.append(attempt(number), Stream::Stderr, 0, b"y").unwrap();
        }
        assert_eq!(below(dir.path()), 0);
        assert_eq!(logs.lengths(attempt(19)).unwrap(), Lengths { stdout: 1, stderr: 1 });
    }

    #[test]
    fn no_other_user_of_the_machine_may_look() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::open(dir.path().join("logs"), 100, Disk::new(dir.path(), 0, 0)).unwrap();
        logs.append(attempt(1), Stream::Stdout, 0, b"x").unwrap();
        for path in [logs.root.clone(), logs.folder(attempt(1)), logs.path(attempt(1), Stream::Stdout)] {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        }
    }

    #[test]
    fn an_attempt_without_output_has_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::open(dir.path().join("logs"), 100, Disk::new(dir.path(), 0, 0)).unwrap();
        logs.append(attempt(1), Stream::Stdout, 0, b"").unwrap();
        logs.sync(attempt(1)).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), 0);
    }
}
