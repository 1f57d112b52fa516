//! What a command writes: one file per stream that was written to, with a bound.
//!
//! The job appends, the link reads from any offset, so that however much a command writes only
//! the file grows. Start at [`Capture::append`].
//!
//! Invariant: a command that writes nothing has no file, and memory holds no output.

use hivemind_model::rows::LogLengths;
use hivemind_model::{AttemptRef, Bytes};
use hivemind_runtime::Stream;
use parking_lot::Mutex;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most bytes kept of one stream; the rest is thrown away and the report says so.
pub(crate) const MAX_STREAM_BYTES: u64 = 16 << 20;

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// The streams of one attempt.
#[derive(Debug)]
pub(crate) struct Capture {
    dir: PathBuf,
    attempt: AttemptRef,
    limit: u64,
    stdout: Mutex<Written>,
    stderr: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    file: Option<File>,
    len: u64,
    cut: bool,
    fault: Option<String>,
}

impl Capture {
    /// Streams without a byte; `limit` bounds each.
    pub(crate) fn new(dir: &Path, attempt: AttemptRef, limit: u64) -> Self {
        let empty = || Mutex::new(Written::default());
        Self { dir: dir.to_owned(), attempt, limit, stdout: empty(), stderr: empty() }
    }

    /// The streams that an earlier process left.
    ///
    /// # Errors
    /// Where a file is there and cannot be opened.
    pub(crate) fn open(dir: &Path, attempt: AttemptRef) -> io::Result<Self> {
        let capture = Self::new(dir, attempt, MAX_STREAM_BYTES);
        for stream in STREAMS {
            match File::open(capture.path(stream)) {
                Ok(file) => {
                    let len = file.metadata()?.len();
                    *capture.written(stream).lock() = Written { file: Some(file), len, cut: false, fault: None };
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(capture)
    }

    /// Keeps `data`, as far as the bound allows. True where the attempt can go on; false once a
    /// byte could not be kept because the disk refused it ([`Capture::fault`] says why).
    pub(crate) fn append(&self, stream: Stream, data: &[u8]) -> bool {
        let mut written = self.written(stream).lock();
        if written.fault.is_some() {
            return false;
        }
        let room = usize::try_from(self.limit - written.len).unwrap_or(usize::MAX);
        let kept = &data[..data.len().min(room)];
        written.cut |= kept.len() < data.len();
        if kept.is_empty() {
            return true;
        }
        match self.write(&mut written, stream, kept) {
            Ok(()) => {
                written.len += kept.len() as u64;
                true
            }
            Err(e) => {
                written.fault =
                    Some(format!("the output could not be written to {}: {e}", self.path(stream).display()));
                false
            }
        }
    }

    fn write(&self, written: &mut Written, stream: Stream, data: &[u8]) -> io::Result<()> {
        let file = match &mut written.file {
            Some(file) => file,
            none => none.insert(
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(self.path(stream))?,
            ),
        };
        file.write_all(data)
    }

    /// Reads at most `most` bytes that lie behind `offset`; none where there are none.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn read(&self, stream: Stream, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let written = self.written(stream).lock();
        let Some(file) = &written.file else { return Ok(Vec::new()) };
        let there = usize::try_from(written.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut data = vec![0; there.min(most)];
        file.read_exact_at(&mut data, offset)?;
        Ok(data)
    }

    /// Bytes kept of standard output and standard error.
    pub(crate) fn lens(&self) -> (u64, u64) {
        (self.stdout.lock().len, self.stderr.lock().len)
    }

    /// Why a byte could not be kept.
    pub(crate) fn fault(&self) -> Option<String> {
        STREAMS.into_iter().find_map(|stream| self.written(stream).lock().fault.clone())
    }

    /// Makes what was kept durable and tells how much it is.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn seal(&self) -> io::Result<LogLengths> {
        let mut cut = false;
        for stream in STREAMS {
            let written = self.written(stream).lock();
            cut |= written.cut;
            if let Some(file) = &written.file {
                file.sync_data()?;
            }
        }
        let (stdout, stderr) = self.lens();
        Ok(LogLengths { stdout: Bytes(stdout), stderr: Bytes(stderr), cut })
    }

    /// True where no file was made.
    pub(crate) fn is_empty(&self) -> bool {
        STREAMS.into_iter().all(|stream| self.written(stream).lock().file.is_none())
    }

    /// Removes the files.
    ///
    /// # Errors
    /// What the disk says; a file that is gone already is none.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for stream in STREAMS {
            if self.written(stream).lock().file.take().is_some() {
                remove_if_there(&self.path(stream))?;
            }
        }
        Ok(())
    }

    fn path(&self, stream: Stream) -> PathBuf {
        let end = match stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        self.dir.join(format!("{}.{end}", self.attempt))
    }

    fn written(&self, stream: Stream) -> &Mutex<Written> {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

/// Which attempt a file of a capture (`att_1.0.1.out`) or an output (`att_1.0.1.tar`) belongs to.
pub(crate) fn attempt_of(file_name: &str) -> Option<AttemptRef> {
    let (attempt, end) = file_name.rsplit_once('.')?;
    matches!(end, "out" | "err" | "tar").then(|| attempt.parse().ok()).flatten()
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{ElementRef, TaskId};

    fn attempt() -> AttemptRef {
        ElementRef::only(TaskId(3)).attempt(1)
    }

    #[test]
    fn a_silent_command_has_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let capture = Capture::new(dir.path(), attempt(), 100);
        assert!(capture.append(Stream::Stdout, b""));
        assert!(capture.is_empty());
        assert_eq!(capture.seal().unwrap(), LogLengths::default());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn streams_are_kept_apart_cut_at_the_bound_and_read_from_any_offset() {
        let dir = tempfile::tempdir().unwrap();
        let capture = Capture::new(dir.path(), attempt(), 6);
        assert!(capture.append(Stream::Stdout, b"abcd"));
        assert!(capture.append(Stream::Stdout, b"efgh"));
        assert!(capture.append(Stream::Stderr, b"x"));
        assert_eq!(capture.lens(), (6, 1));
        assert_eq!(capture.seal().unwrap(), LogLengths { stdout: Bytes(6), stderr: Bytes(1), cut: true });
        for (offset, most, expect) in [(0, 100, "abcdef"), (2, 3, "cde"), (6, 1, ""), (99, 1, "")] {
            assert_eq!(capture.read(Stream::Stdout, offset, most).unwrap(), expect.as_bytes(), "{offset}");
        }
        let again = Capture::open(dir.path(), attempt()).unwrap();
        assert_eq!((again.lens(), again.read(Stream::Stderr, 0, 9).unwrap()), ((6, 1), b"x".to_vec()));
        again.remove().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_disk_that_refuses_is_told_once_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let capture = Capture::new(&dir.path().join("gone"), attempt(), 6);
        assert!(!capture.append(Stream::Stdout, b"abcd"));
        assert!(!capture.append(Stream::Stdout, b"abcd"));
        assert!(capture.fault().unwrap().contains("could not be written"));
    }

    #[test]
    fn file_names_tell_whose_they_are() {
        assert_eq!(attempt_of("att_3.0.1.out"), Some(attempt()));
        assert_eq!(attempt_of("att_3.0.1.tar"), Some(attempt()));
        for name in ["att_3.0.out", "x.out", "att_3.0.1", "att_3.0.1.txt"] {
            assert_eq!(attempt_of(name), None, "{name}");
        }
    }
}
