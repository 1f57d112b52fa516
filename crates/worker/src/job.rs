//! One job: its inputs, its run, what it leaves.
//!
//! Start at [`Job::run`]. Whatever happens to it, a panic included, it ends in exactly one
//! [`Event::Ended`].
//!
//! Invariant: a job decides nothing about its attempt; that is the agent's.

use crate::agent::attempt::no_fault;
use crate::cache::{Held, InputCache};
use crate::capture::Capture;
use crate::event::{Event, Work};
use crate::folders::Folders;
use crate::progress::ProgressLines;
use crate::share::HeldShare;
use crate::transfer::Transfer;
use futures::FutureExt;
use hivemind_model::rows::{LogLengths, Report};
use hivemind_model::spec::{BlobRef, Digest};
use hivemind_model::{AttemptRef, Bytes, MilliCores, Outcome, Resources};
use hivemind_runtime::{Control, Finished, Image, Job as RuntimeJob, Runtime, Sink, Stop, Stream, Usage};
use hivemind_trace::{Kind, Span};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// Longest note, in characters.
const MAX_NOTE_CHARS: usize = 200;

/// What comes from jobs, the spool and transfers.
///
/// The channel has no bound of its own, because a [`Sink`] may not wait: each attempt has at
/// most a handful of these under way: its events, and one [`Signal::Spoke`].
#[derive(Debug)]
pub(crate) enum Signal {
    /// For the agent.
    Event(Event),
    /// A job wrote something, or has other news, since the last such signal was taken.
    Spoke(Arc<Voice>),
}

/// What a job told since it was heard last; of each the newest.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// For people, about the preparation.
    pub note: Option<String>,
    /// How much is done, 0 to 100.
    pub percent: Option<u8>,
    /// What it used.
    pub usage: Option<Usage>,
}

/// The job's side of what it tells while it runs.
#[derive(Debug)]
pub(crate) struct Voice {
    /// Whose.
    pub attempt: AttemptRef,
    /// Its streams.
    pub capture: Arc<Capture>,
    signals: UnboundedSender<Signal>,
    stop: Stop,
    spoke: AtomicBool,
    heard: Mutex<Heard>,
    /// What stands half-written in standard output and standard error.
    lines: Mutex<(ProgressLines, ProgressLines)>,
}

impl Voice {
    /// A voice that speaks into `signals`, and stops the job with `stop` where its output cannot
    /// be kept.
    pub(crate) fn new(
        attempt: AttemptRef,
        capture: Arc<Capture>,
        signals: UnboundedSender<Signal>,
        stop: Stop,
    ) -> Self {
        let spoke = AtomicBool::new(false);
        Self { attempt, capture, signals, stop, spoke, heard: Mutex::default(), lines: Mutex::default() }
    }

    /// What is new. From here on the next word gives a new signal.
    pub(crate) fn heard(&self) -> Heard {
        self.spoke.store(false, Ordering::Release);
        std::mem::take(&mut *self.heard.lock())
    }

    /// Looks for lines that tell how much is done.
    fn read(&self, stream: Stream, data: &[u8]) {
        let mut lines = self.lines.lock();
        let told = match stream {
            Stream::Stdout => lines.0.read(data),
            Stream::Stderr => lines.1.read(data),
        };
        if told.is_some() {
            let mut heard = self.heard.lock();
            heard.percent = heard.percent.max(told);
        }
    }

    fn speak(self: &Arc<Self>) {
        if !self.spoke.swap(true, Ordering::AcqRel) {
            // The listener is gone only while the worker ends.
            let _unheard = self.signals.send(Signal::Spoke(Arc::clone(self)));
        }
    }

    fn say(&self, event: Event) {
        // The listener is gone only while the worker ends.
        let _unheard = self.signals.send(Signal::Event(event));
    }
}

/// The sink of one job; a handle, because the signal carries the voice with it.
struct Mouth(Arc<Voice>);

impl Sink for Mouth {
    fn note(&self, text: &str) {
        self.0.heard.lock().note = Some(text.chars().take(MAX_NOTE_CHARS).collect());
        self.0.speak();
    }

    fn started(&self) {
        self.0.say(Event::Started { attempt: self.0.attempt });
    }

    fn output(&self, stream: Stream, data: &[u8]) {
        if !self.0.capture.append(stream, data) {
            self.0.stop.cancel();
        }
        self.0.read(stream, data);
        self.0.speak();
    }

    fn progress(&self, percent: u8) {
        let mut heard = self.0.heard.lock();
        heard.percent = heard.percent.max(Some(percent.min(100)));
        drop(heard);
        self.0.speak();
    }

    fn usage(&self, usage: Usage) {
        self.0.heard.lock().usage = Some(usage);
        self.0.speak();
    }
}

/// What every job needs.
#[derive(Clone)]
pub(crate) struct Tools {
    /// The machine's name in the pool.
    pub node: Arc<str>,
    /// Runs it.
    pub runtime: Arc<dyn Runtime>,
    /// Has the inputs.
    pub cache: Arc<InputCache>,
    /// The way to the pool for contents.
    pub transfer: Arc<Transfer>,
    /// Where files lie.
    pub folders: Arc<Folders>,
    /// What all tasks have together, where it is held.
    pub share: Option<HeldShare>,
}

/// One job.
pub(crate) struct Job {
    /// See there.
    pub tools: Tools,
    /// What to do.
    pub work: Arc<Work>,
    /// Kills it, or lets it stand still.
    pub control: Control,
    /// Tells what happens.
    pub voice: Arc<Voice>,
}

impl Job {
    /// Runs to the end and says how it was.
    pub(crate) async fn run(self) {
        let span = Span::begin(Kind::Work, None, || "attempt");
        let report = match AssertUnwindSafe(self.perform()).catch_unwind().await {
            Ok(report) => report,
            Err(panic) => no_fault(&format!("the worker failed while it ran the attempt: {}", panic_text(&*panic))),
        };
        self.tell(span, &report.outcome);
        self.voice.say(Event::Ended { attempt: self.voice.attempt, report: Box::new(report) });
    }

    /// The end of the attempt's span. Nothing that the task said is in it.
    fn tell(&self, span: Span, outcome: &Outcome) {
        let attempt = self.voice.attempt;
        span.set("hivemind.task", || attempt.element.task.to_string());
        span.set("hivemind.element", || i64::from(attempt.element.index));
        span.set("hivemind.attempt", || i64::from(attempt.number));
        span.set("hivemind.node", || self.tools.node.to_string());
        span.set("hivemind.runtime", || self.tools.runtime.name());
        span.set("hivemind.outcome", || word(outcome));
        if let Outcome::Infrastructure { .. } = outcome {
            span.fail(word(outcome));
        }
        span.end();
    }

    async fn perform(&self) -> Report {
        let attempt = self.voice.attempt;
        let Work { spec, env } = &*self.work;
        let mut held = Vec::with_capacity(spec.files.len());
        for file in &spec.files {
            match self.fetch(&format!("the input {}", file.path), file.blob).await {
                Ok(input) => held.push((file.path.clone(), input)),
                Err(report) => return *report,
            }
        }
        let content = match spec.image_blob {
            None => None,
            Some(blob) => match self.fetch("the image", blob).await {
                Ok(content) => Some((blob.digest, content)),
                Err(report) => return *report,
            },
        };
        if !held.is_empty() || content.is_some() {
            self.voice.say(Event::Prepared { attempt });
        }
        let job = RuntimeJob {
            attempt,
            kind: spec.kind,
            image: match &content {
                None => Image::Named(spec.image.clone()),
                Some((digest, content)) => Image::Content { digest: *digest, file: content.path().to_owned() },
            },
            command: spec.command.clone(),
            env: env.clone(),
            files: held.iter().map(|(path, input)| (path.clone(), input.path().to_owned())).collect(),
            outputs: spec.kept().map(str::to_owned).collect(),
            egress: spec.egress.clone(),
            warm: spec.warm,
            max_runtime: spec.max_runtime,
            resources: Resources { cpu: self.most(spec.resources.cpu), ..spec.resources },
        };
        let sink = Arc::new(Mouth(Arc::clone(&self.voice)));
        let control = self.control.clone();
        let finished = self.tools.runtime.run(job, sink, control, &self.tools.folders.scratch).await;
        drop((held, content));
        self.report(finished).await
    }

    /// As much of `cpu` as all tasks have together now. The pool may have placed it before the owner gave less, and older control
    /// groups take no more for a part than the whole has.
    fn most(&self, cpu: MilliCores) -> MilliCores {
        let share = self.tools.share.as_ref().and_then(HeldShare::cpu);
        share.map_or(cpu, |share| cpu.min(share))
    }

    /// Content of the pool, held on this machine; else how the attempt ends.
    async fn fetch(&self, what: &str, blob: BlobRef) -> Result<Held, Box<Report>> {
        tokio::select! {
            () = self.control.stop.cancelled() => Err(Box::new(Report { outcome: Outcome::Cancelled, ..no_fault("") })),
            fetched = self.tools.cache.hold(self.voice.attempt, blob, &*self.tools.transfer) => {
                fetched.map_err(|why| Box::new(no_fault(&format!("{what} could not be fetched: {why}"))))
            }
        }
    }

    /// Brings what the job left to rest on disk. Where that fails the result cannot be kept, and
    /// that is this machine's fault.
    async fn report(&self, finished: Finished) -> Report {
        let capture = Arc::clone(&self.voice.capture);
        let Finished { outcome, metering, image_id, output } = finished;
        if let Some(fault) = capture.fault() {
            let (stdout, stderr) = capture.lens();
            let logs = LogLengths { stdout: Bytes(stdout), stderr: Bytes(stderr), cut: true };
            return Report { metering, image_id, logs, ..no_fault(&fault) };
        }
        if capture.is_empty() && output.is_none() {
            return Report { outcome, metering, logs: LogLengths::default(), image_id, output: None, digest: None };
        }
        let place = self.tools.folders.output(self.voice.attempt);
        let settled = tokio::task::spawn_blocking(move || -> io::Result<(LogLengths, Option<BlobRef>)> {
            let logs = capture.seal()?;
            let blob = output.map(|file| keep_output(file, &place)).transpose()?;
            Ok((logs, blob))
        });
        match settled.await {
            Ok(Ok((logs, output))) => Report { outcome, metering, logs, image_id, output, digest: None },
            Ok(Err(why)) => Report {
                metering,
                image_id,
                ..no_fault(&format!("the result could not be written to the node's disk: {why}"))
            },
            Err(why) => Report { metering, image_id, ..no_fault(&format!("the result could not be kept: {why}")) },
        }
    }
}

/// How an attempt ended, in a word.
const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Exited { code: 0 } => "completed",
        Outcome::Exited { .. } => "failed",
        Outcome::OutOfMemory => "out_of_memory",
        Outcome::TimedOut => "timed_out",
        Outcome::CannotStart { .. } => "cannot_start",
        Outcome::BadImage { .. } => "bad_image",
        Outcome::ImageUnavailable { .. } => "image_unavailable",
        Outcome::Cancelled => "cancelled",
        Outcome::Expired => "expired",
        Outcome::OutOfPatience { .. } => "out_of_patience",
        Outcome::Skipped { .. } => "skipped",
        Outcome::Poison { .. } => "poison",
        Outcome::Disputed { .. } => "disputed",
        Outcome::Infrastructure { .. } => "infrastructure",
    }
}

/// Moves an archive to where it stays until the pool has it.
fn keep_output(file: tempfile::NamedTempFile, place: &Path) -> io::Result<BlobRef> {
    let blob = digest_of(file.path())?;
    let kept = file.persist(place).map_err(|e| e.error)?;
    kept.sync_all()?;
    Ok(blob)
}

/// Size and SHA-256 of a file.
pub(crate) fn digest_of(path: &Path) -> io::Result<BlobRef> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(BlobRef { digest: Digest(hash.finalize().into()), size: Bytes(size) });
        }
        hash.update(&buffer[..read]);
        size += read as u64;
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}
