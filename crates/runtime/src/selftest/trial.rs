//! One attack container: what it is given, what it says, how it ends.
//!
//! Start at [`Bench::start`].
//!
//! Invariant: every wait has an end, and a trial that is dropped is stopped.

use super::evidence::{Word, read};
use crate::{Control, Finished, Image, Job, Runtime, Sink, Stop, Stream, Usage};
use hivemind_image::{Description, File};
use hivemind_model::spec::Digest;
use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{AttemptRef, Egress, ElementRef, Kind, Resources, TaskId};
use parking_lot::Mutex;
use sha2::Digest as _;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::sync::watch;

/// Longest trial, its image's preparation included: a machine under load needs long for a container.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most bytes of an attacker's words that are kept.
const MOST_BYTES: usize = 256 << 10;
/// Ends an attacker that the trial has forgotten.
const LONGEST: Millis = Millis(60_000);
/// Tasks of the self-test are numbered from here up, where no pool's are.
const FIRST_TASK: u64 = 1 << 63;

/// What all trials share: the attackers' image, and which attempts there have been.
pub(super) struct Bench<'a> {
    runtime: &'a dyn Runtime,
    scratch: &'a Path,
    image: Image,
    // Removed when it is dropped.
    _file: NamedTempFile,
    next: AtomicU64,
}

/// What an attacker is given.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) theme: &'static str,
    pub(super) options: Vec<String>,
    pub(super) resources: Resources,
    pub(super) max_runtime: Millis,
}

impl Order {
    /// An attack with modest limits.
    pub(super) fn new(theme: &'static str) -> Self {
        Self {
            theme,
            options: Vec::new(),
            resources: Resources {
                cpu: MilliCores(1000),
                memory: Bytes::from_mib(256),
                disk: Bytes::from_mib(16),
                gpus: 0,
            },
            max_runtime: LONGEST,
        }
    }

    pub(super) fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.options.push(format!("{key}={value}"));
        self
    }
}

/// The image of the attackers: the guest program, once as it is and once as root's with its rights, and a file
/// that everybody may write.
///
/// # Errors
/// Where `out` does not take it.
pub(crate) fn pack(out: impl Write) -> std::io::Result<String> {
    let files = [
        File { path: "guest", mode: 0o755, content: hivemind_guest::PROGRAM },
        File { path: "setuid", mode: 0o4755, content: hivemind_guest::PROGRAM },
        File { path: "writable", mode: 0o666, content: b"writable" },
    ];
    let what = Description { name: "hivemind-selftest:1", entrypoint: &["/guest"], env: &[] };
    hivemind_image::pack(&files, &what, out)
}

impl<'a> Bench<'a> {
    /// Packs the image into `scratch`.
    pub(super) fn prepare(runtime: &'a dyn Runtime, scratch: &'a Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| {
            format!("the attackers' image cannot be written into {}: {error}", scratch.display())
        };
        let mut content = Vec::new();
        pack(&mut content).map_err(failed)?;
        let mut file = NamedTempFile::new_in(scratch).map_err(failed)?;
        file.write_all(&content).and_then(|()| file.flush()).map_err(failed)?;
        let digest = Digest(sha2::Sha256::digest(&content).into());
        let image = Image::Content { digest, file: file.path().to_owned() };
        // So that two self-tests at once do not name the same attempts.
        let next = AtomicU64::new(FIRST_TASK + (u64::from(rand::random::<u32>()) << 8));
        Ok(Self { runtime, scratch, image, _file: file, next })
    }

    pub(super) fn runtime(&self) -> &'a dyn Runtime {
        self.runtime
    }

    fn attempt(&self) -> AttemptRef {
        ElementRef::only(TaskId(self.next.fetch_add(1, Ordering::Relaxed))).attempt(1)
    }

    /// A trial, ready to be run; nothing of it runs yet.
    pub(super) fn start(&self, order: Order) -> Trial<'_> {
        let nonce = nonce();
        let mut command = vec!["attack".to_owned(), order.theme.to_owned(), nonce.clone()];
        command.extend(order.options);
        let job = Job {
            attempt: self.attempt(),
            kind: Kind::Container,
            image: self.image.clone(),
            command,
            env: Vec::new(),
            files: Vec::new(),
            outputs: Vec::new(),
            egress: Egress::default(),
            warm: false,
            max_runtime: order.max_runtime,
            resources: order.resources,
        };
        let ear = Arc::new(Ear { heard: watch::channel(String::new()).0, torn: Mutex::default() });
        Trial { bench: self, job, nonce, ear, stop: Stop::new() }
    }

    /// Runs a trial to its end.
    pub(super) async fn run(&self, order: Order) -> Result<Ended, String> {
        self.start(order).finish().await
    }
}

/// 128 random bits, as text.
pub(super) fn nonce() -> String {
    format!("hivemind-{:032x}", rand::random::<u128>())
}

/// A trial that has not been run.
pub(super) struct Trial<'a> {
    bench: &'a Bench<'a>,
    job: Job,
    pub(super) nonce: String,
    ear: Arc<Ear>,
    pub(super) stop: Stop,
}

/// A trial that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) nonce: String,
    pub(super) said: String,
    pub(super) finished: Finished,
}

impl Ended {
    /// What the attacker told under `name`.
    pub(super) fn fact(&self, name: &str) -> Option<&str> {
        fact(&self.said, &self.nonce, name)
    }

    /// True where the attacker came to the end of its attacks.
    pub(super) fn is_complete(&self) -> bool {
        self.said.lines().any(|line| read(line, &self.nonce) == Some(Word::End))
    }
}

fn fact<'a>(said: &'a str, nonce: &str, name: &str) -> Option<&'a str> {
    said.lines().find_map(|line| match read(line, nonce)? {
        Word::Fact(known, value) if known == name => Some(value),
        Word::Fact(..) | Word::Held(..) | Word::Broken(..) | Word::End => None,
    })
}

impl Trial<'_> {
    /// Runs it to its end; gives it up after [`PATIENCE`].
    pub(super) async fn finish(self) -> Result<Ended, String> {
        let control = Control::stopping(self.stop.clone());
        let running = self.bench.runtime.run(self.job, self.ear.clone(), control, self.bench.scratch);
        // Dropped with the future, the runtime stops what it runs.
        let Ok(finished) = tokio::time::timeout(PATIENCE, running).await else {
            self.stop.cancel();
            return Err(format!("an attacker did not end within {} s", PATIENCE.as_secs()));
        };
        let said = self.ear.heard.borrow().clone();
        Ok(Ended { nonce: self.nonce, said, finished })
    }

    /// Watches for a fact while the trial runs elsewhere.
    pub(super) fn watch(&self, name: &'static str) -> Watch {
        Watch { heard: self.ear.heard.subscribe(), nonce: self.nonce.clone(), name }
    }
}

/// Waits for a fact.
pub(super) struct Watch {
    heard: watch::Receiver<String>,
    nonce: String,
    name: &'static str,
}

impl Watch {
    /// True once it was told; false where the trial ended, or too long a time passed, without.
    pub(super) async fn told(mut self) -> bool {
        let (nonce, name) = (self.nonce, self.name);
        let told = self.heard.wait_for(|said| fact(said, &nonce, name).is_some());
        matches!(tokio::time::timeout(PATIENCE, told).await, Ok(Ok(_)))
    }
}

/// Keeps the beginning of what an attacker writes, in whole lines.
struct Ear {
    heard: watch::Sender<String>,
    torn: Mutex<Vec<u8>>,
}

impl Sink for Ear {
    fn note(&self, _: &str) {}
    fn started(&self) {}

    fn output(&self, stream: Stream, data: &[u8]) {
        match stream {
            // What its own errors say goes into the detail of a line that could not be tried.
            Stream::Stderr => self.keep(data, "stderr: "),
            Stream::Stdout => self.keep(data, ""),
        }
    }

    fn progress(&self, _: u8) {}
    fn usage(&self, _: Usage) {}
}

impl Ear {
    fn keep(&self, data: &[u8], before: &str) {
        let mut torn = self.torn.lock();
        if torn.is_empty() {
            torn.extend_from_slice(before.as_bytes());
        }
        let room = MOST_BYTES.saturating_sub(torn.len());
        torn.extend_from_slice(&data[..data.len().min(room)]);
        let Some(end) = torn.iter().rposition(|byte| *byte == b'\n') else { return };
        let lines = torn.drain(..=end).collect::<Vec<u8>>();
        let lines = String::from_utf8_lossy(&lines).into_owned();
        self.heard.send_modify(|heard| {
            if heard.len() + lines.len() <= MOST_BYTES {
                heard.push_str(&lines);
            }
        });
    }
}
