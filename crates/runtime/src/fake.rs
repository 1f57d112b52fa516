//! A runtime without containers, for tests and benchmarks.
//!
//! The command is a word or two that says what should seem to happen; [`FakeRuntime`] has the
//! list. Nothing is executed.
//!
//! Invariant: no process, no container, no network; the only files are the inputs that a command
//! reads and the archive that one makes.

use crate::archive::{Kind, Packer};
use crate::{Check, Control, Finished, Image, Job, Runtime, Sink, Stop, Stream, Verdict};
use async_trait::async_trait;
use hivemind_model::spec::check_path;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::{Bytes, Millis};
use hivemind_model::{Isolation, Kinds};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt;

/// Bytes given to the sink at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Images whose name starts so do not exist.
const ABSENT_IMAGE: &str = "no-such-image";

/// How the fake behaves.
#[derive(Debug, Clone, Default)]
pub struct FakeConfig {
    /// What a container would take to start; zero by default.
    pub start_delay: Duration,
    /// How well it says that it isolates.
    pub isolation: Isolation,
}

/// Pretends to run jobs.
///
/// | Command | What seems to happen |
/// |---|---|
/// | nothing, or `true` | exit code 0 |
/// | `false` | exit code 1 |
/// | `exit N` | exit code N |
/// | `echo WORDS..` | the words and a newline on standard output |
/// | `warn WORDS..` | the words and a newline on standard error |
/// | `sleep MILLIS` | runs so long, unless stopped or out of time before |
/// | `cat PATH` | the input file with that path under /task |
/// | `env NAME` | the value of a `HIVEMIND_` variable and a newline on standard output; exit code 1 where there is none |
/// | `spew BYTES` | so many bytes on standard output |
/// | `produce PATH TEXT` | leaves a file under /task/output |
/// | `oom` | killed for its memory |
/// | `missing`, or any other word | the image has no such command |
/// | `fail-node` | a failure of the machine |
///
/// An image named `no-such-image...` does not exist.
#[derive(Debug, Default)]
pub struct FakeRuntime {
    config: FakeConfig,
    running: AtomicUsize,
}

impl FakeRuntime {
    /// A fake that behaves as `config` says.
    #[must_use]
    pub fn new(config: FakeConfig) -> Self {
        Self { config, running: AtomicUsize::new(0) }
    }

    /// How many jobs are between start and end at this moment.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }
}

/// Counts a job for as long as it lives, also where its future is dropped.
struct Live<'a>(&'a AtomicUsize);

impl<'a> Live<'a> {
    fn enter(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::AcqRel);
        Self(counter)
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn kinds(&self) -> Kinds {
        Kinds::ALL
    }

    fn no_network(&self) -> Option<String> {
        None
    }

    fn isolation(&self) -> Isolation {
        self.config.isolation
    }

    async fn run(&self, job: Job, sink: Arc<dyn Sink>, mut control: Control, scratch: &Path) -> Finished {
        let stop = control.stop.clone();
        if matches!(&job.image, Image::Named(name) if name.starts_with(ABSENT_IMAGE)) {
            let reason = format!("`{}` does not exist", job.image);
            return Finished {
                outcome: Outcome::BadImage { reason },
                metering: Metering::default(),
                image_id: String::new(),
                output: None,
            };
        }
        let image_id = format!("fake:{}", job.image);
        let _live = Live::enter(&self.running);
        if !self.config.start_delay.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(self.config.start_delay) => {}
                () = stop.cancelled() => {}
            }
        }
        tokio::select! {
            () = control.until_paused(false) => {}
            () = stop.cancelled() => {}
        }
        if stop.is_cancelled() {
            return Finished { outcome: Outcome::Cancelled, metering: Metering::default(), image_id, output: None };
        }
        let began = Instant::now();
        let limit = Duration::from_millis(job.max_runtime.0);
        let stood = Mutex::new(Duration::ZERO);
        let act = Act { job: &job, sink: &*sink, stop: &stop, scratch, limit, control: &control, stood: &stood };
        let (outcome, output) = act.perform().await;
        let wall = began.elapsed().saturating_sub(*stood.lock());
        let wall = Millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        let peak_memory = if outcome == Outcome::OutOfMemory { job.resources.memory } else { Bytes(0) };
        Finished { outcome, metering: Metering { wall, cpu: Millis(0), peak_memory }, image_id, output }
    }

    async fn sweep(&self) -> Result<usize, String> {
        Ok(0)
    }

    async fn health(&self) -> Vec<Check> {
        vec![Check {
            name: "runtime".into(),
            verdict: Verdict::Weak,
            detail: "the fake runtime executes nothing".into(),
            fix: "start the worker with the docker runtime to do real work".into(),
        }]
    }
}

type Ended = (Outcome, Option<NamedTempFile>);

fn exit(code: i32) -> Ended {
    (Outcome::Exited { code }, None)
}

/// One pretended execution.
struct Act<'a> {
    job: &'a Job,
    sink: &'a dyn Sink,
    stop: &'a Stop,
    scratch: &'a Path,
    limit: Duration,
    control: &'a Control,
    /// For how long it stood still.
    stood: &'a Mutex<Duration>,
}

impl Act<'_> {
    async fn perform(&self) -> Ended {
        let Some((program, words)) = self.job.command.split_first() else {
            self.sink.started();
            return exit(0);
        };
        match program.as_str() {
            "missing" => return cannot_start(program),
            "fail-node" => {
                return (Outcome::Infrastructure { reason: "the machine failed, as it was told to".into() }, None);
            }
            "true" | "false" | "exit" | "echo" | "warn" | "sleep" | "cat" | "env" | "spew" | "produce" | "oom" => {}
            unknown => return cannot_start(unknown),
        }
        self.sink.started();
        match (program.as_str(), words) {
            ("true", _) => exit(0),
            ("false", _) => exit(1),
            ("oom", _) => (Outcome::OutOfMemory, None),
            ("exit", [code]) => match code.parse() {
                Ok(code) => exit(code),
                Err(_) => self.usage("exit N"),
            },
            ("echo", words) => self.say(Stream::Stdout, words),
            ("warn", words) => self.say(Stream::Stderr, words),
            ("sleep", [millis]) => match millis.parse() {
                Ok(millis) => self.sleep(Duration::from_millis(millis)).await,
                Err(_) => self.usage("sleep MILLIS"),
            },
            ("cat", [path]) => self.cat(path).await,
            ("env", [name]) => self.env(name),
            ("spew", [bytes]) => match bytes.parse() {
                Ok(bytes) => self.spew(bytes).await,
                Err(_) => self.usage("spew BYTES"),
            },
            ("produce", [path, text]) => self.produce(path, text),
            (word, _) => self.usage(word),
        }
    }

    /// What a program does with arguments it does not take.
    fn usage(&self, right: &str) -> Ended {
        self.sink.output(Stream::Stderr, format!("usage: {right}\n").as_bytes());
        exit(2)
    }

    fn say(&self, stream: Stream, words: &[String]) -> Ended {
        let mut line = words.join(" ");
        line.push('\n');
        self.sink.output(stream, line.as_bytes());
        exit(0)
    }

    async fn sleep(&self, wanted: Duration) -> Ended {
        let mut control = self.control.clone();
        let mut left = wanted.min(self.limit);
        loop {
            let began = Instant::now();
            let stands = control.is_paused();
            let ended = tokio::select! {
                biased;
                () = self.stop.cancelled() => Some((Outcome::Cancelled, None)),
                () = control.until_paused(!stands) => None,
                () = tokio::time::sleep(left), if !stands => {
                    Some(if wanted > self.limit { (Outcome::TimedOut, None) } else { exit(0) })
                }
            };
            if stands {
                *self.stood.lock() += began.elapsed();
            } else {
                left = left.saturating_sub(began.elapsed());
            }
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    fn env(&self, name: &str) -> Ended {
        match self.job.environment().into_iter().find(|(known, _)| *known == name) {
            Some((_, value)) => self.say(Stream::Stdout, &[value]),
            None => exit(1),
        }
    }

    async fn cat(&self, path: &str) -> Ended {
        let wanted = path.strip_prefix("/task/").unwrap_or(path);
        let Some((_, source)) = self.job.files.iter().find(|(name, _)| name == wanted) else {
            self.sink.output(Stream::Stderr, format!("cat: {path}: No such file or directory\n").as_bytes());
            return exit(1);
        };
        match self.copy_out(source).await {
            Ok(()) if self.stop.is_cancelled() => (Outcome::Cancelled, None),
            Ok(()) => exit(0),
            Err(error) => {
                let reason = format!("the input file {} cannot be read: {error}", source.display());
                (Outcome::Infrastructure { reason }, None)
            }
        }
    }

    async fn copy_out(&self, source: &Path) -> std::io::Result<()> {
        let mut file = tokio::fs::File::open(source).await?;
        let mut buffer = vec![0; CHUNK_BYTES];
        while !self.stop.is_cancelled() {
            match file.read(&mut buffer).await? {
                0 => break,
                n => self.sink.output(Stream::Stdout, &buffer[..n]),
            }
        }
        Ok(())
    }

    async fn spew(&self, bytes: u64) -> Ended {
        let line = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQ\n";
        let chunk = line.repeat(CHUNK_BYTES / line.len());
        let mut left = bytes;
        while left > 0 {
            if self.stop.is_cancelled() {
                return (Outcome::Cancelled, None);
            }
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            self.sink.output(Stream::Stdout, &chunk[..now]);
            left -= now as u64;
            tokio::task::yield_now().await;
        }
        exit(0)
    }

    fn produce(&self, path: &str, text: &str) -> Ended {
        if let Err(rejection) = check_path("path", path) {
            self.sink.output(Stream::Stderr, format!("produce: {rejection}\n").as_bytes());
            return exit(1);
        }
        match archive_of(self.scratch, path, text) {
            Ok(archive) => (Outcome::Exited { code: 0 }, archive),
            Err(error) => {
                let reason = format!("the output archive cannot be written into {}: {error}", self.scratch.display());
                (Outcome::Infrastructure { reason }, None)
            }
        }
    }
}

fn cannot_start(program: &str) -> Ended {
    let reason = format!("exec: \"{program}\": executable file not found in $PATH");
    (Outcome::CannotStart { reason }, None)
}

fn archive_of(scratch: &Path, path: &str, text: &str) -> std::io::Result<Option<NamedTempFile>> {
    let mut packer = Packer::new(scratch)?;
    packer.add(Path::new(path), Kind::File, text.len() as u64, text.as_bytes())?;
    packer.finish()
}

#[cfg(test)]
mod tests;
