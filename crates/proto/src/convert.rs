//! What the worker link's messages mean in the model's words.
//!
//! Towards the wire everything is representable. From the wire a message may lack a part or hold
//! a number that no pool gives out: that is a [`BadMessage`]. Texts for people are cut and
//! cleaned, because the other end of the link is a stranger's machine.
//!
//! Invariant: nothing here decides what is allowed, only what is well formed.

use crate::worker;
use hivemind_model::command::NodeOffer;
use hivemind_model::egress::{Egress, EgressPolicy};
use hivemind_model::owner::{Availability, MAX_REASON_BYTES};
use hivemind_model::rows::{LogLengths, Report};
use hivemind_model::spec::{BlobRef, Digest, InputFile, MAX_FILES, MAX_OUTPUTS, Patience, TaskSpec, check_path};
use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{AttemptRef, ElementRef, Isolation, Kind, Kinds, Labels, Metering, Outcome, Resources, TaskId};

/// Longest text for people that is taken from the wire, in bytes.
pub const MAX_TEXT_BYTES: usize = 4 << 10;
/// Longest name or identifier that is taken from the wire, in bytes.
const MAX_WORD_BYTES: usize = 512;

/// A message that no honest peer of this release sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct BadMessage {
    /// The part at fault, as the .proto file names it.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl BadMessage {
    /// A fault of `field`.
    #[must_use]
    pub fn new(field: &'static str, why: impl Into<String>) -> Self {
        Self { field, why: why.into() }
    }
}

/// At most [`MAX_TEXT_BYTES`] of a text for people, cut between characters, with control
/// characters (but line breaks and tabs) replaced: it may end up on a terminal.
#[must_use]
pub fn bounded(text: &str) -> String {
    let clean =
        text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c });
    let mut kept = String::with_capacity(text.len().min(MAX_TEXT_BYTES));
    for c in clean {
        if kept.len() + c.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        kept.push(c);
    }
    kept
}

impl From<AttemptRef> for worker::AttemptRef {
    fn from(attempt: AttemptRef) -> Self {
        Self { task: attempt.element.task.0, index: attempt.element.index, number: attempt.number }
    }
}

/// The attempt that a message is about.
///
/// # Errors
/// Where it is missing, or its numbers are none that a pool gives out.
pub fn attempt(message: Option<worker::AttemptRef>) -> Result<AttemptRef, BadMessage> {
    let named = message.ok_or_else(|| missing("attempt"))?;
    if named.number == 0 {
        return Err(BadMessage::new("attempt.number", "is 0; attempts are numbered from 1"));
    }
    let task = TaskId(storable("attempt.task", named.task)?);
    Ok(ElementRef { task, index: named.index }.attempt(named.number))
}

/// Each of several attempts.
///
/// # Errors
/// As of [`attempt`], of the first that is not well formed.
pub fn attempts(messages: &[worker::AttemptRef]) -> Result<Vec<AttemptRef>, BadMessage> {
    messages.iter().map(|message| attempt(Some(*message))).collect()
}

impl From<&TaskSpec> for worker::TaskSpec {
    fn from(spec: &TaskSpec) -> Self {
        let file = |file: &InputFile| worker::InputFile {
            path: file.path.clone(),
            digest: file.blob.digest.to_string(),
            size: file.blob.size.0,
        };
        Self {
            image: spec.image.clone(),
            command: spec.command.clone(),
            files: spec.files.iter().map(file).collect(),
            max_runtime_ms: spec.max_runtime.0,
            cpu_millicores: spec.resources.cpu.0,
            memory_bytes: spec.resources.memory.0,
            disk_bytes: spec.resources.disk.0,
            gpus: spec.resources.gpus,
            name: spec.name.clone(),
            priority: u32::from(spec.priority),
            lost_after_ms: spec.patience.lost_after.map_or(0, |time| time.0),
            kind: spec.kind.as_str().to_owned(),
            image_content: spec.image_blob.map(|blob| worker::InputFile {
                path: String::new(),
                digest: blob.digest.to_string(),
                size: blob.size.0,
            }),
            egress: spec.egress.as_slice().iter().map(ToString::to_string).collect(),
            outputs: spec.outputs.clone(),
            warm: spec.warm,
        }
    }
}

/// What a worker is to do.
///
/// # Errors
/// Where a part is missing, a path would leave the task's folder, or a digest is none.
pub fn task_spec(message: Option<worker::TaskSpec>) -> Result<TaskSpec, BadMessage> {
    let spec = message.ok_or_else(|| missing("spec"))?;
    if spec.image.is_empty() {
        return Err(missing("spec.image"));
    }
    if spec.files.len() > MAX_FILES {
        return Err(BadMessage::new("spec.files", format!("{} files; at most {MAX_FILES}", spec.files.len())));
    }
    if spec.max_runtime_ms == 0 {
        return Err(missing("spec.max_runtime_ms"));
    }
    let priority = u8::try_from(spec.priority).ok().filter(|value| (1..=10).contains(value));
    let lost_after = storable("spec.lost_after_ms", spec.lost_after_ms)?;
    let lost_after = (lost_after > 0).then_some(Millis(lost_after));
    let resources = resources("spec", spec.cpu_millicores, spec.memory_bytes, spec.disk_bytes, spec.gpus)?;
    Ok(TaskSpec {
        name: bounded(&spec.name),
        image: spec.image,
        command: spec.command,
        files: spec.files.into_iter().map(input_file).collect::<Result<_, _>>()?,
        priority: priority
            .ok_or_else(|| BadMessage::new("spec.priority", format!("{} is outside 1 to 10", spec.priority)))?,
        max_runtime: Millis(storable("spec.max_runtime_ms", spec.max_runtime_ms)?),
        resources,
        patience: Patience { lost_after, ..Patience::default() },
        kind: kind(&spec.kind)?,
        image_blob: spec.image_content.as_ref().map(content).transpose()?,
        egress: Egress::parse(&spec.egress).map_err(|bad| BadMessage::new("spec.egress", bad.to_string()))?,
        outputs: outputs(spec.outputs)?,
        warm: spec.warm,
        ..TaskSpec::default()
    })
}

fn kind(word: &str) -> Result<Kind, BadMessage> {
    match word {
        "" => Ok(Kind::Container),
        word => Kind::parse(word)
            .ok_or_else(|| BadMessage::new("spec.kind", format!("`{}` is none of container, wasm", bounded(word)))),
    }
}

fn content(message: &worker::InputFile) -> Result<BlobRef, BadMessage> {
    let size = Bytes(storable("spec.image_content.size", message.size)?);
    Ok(BlobRef { digest: digest("spec.image_content.digest", &message.digest)?, size })
}

fn outputs(paths: Vec<String>) -> Result<Vec<String>, BadMessage> {
    if paths.len() > MAX_OUTPUTS {
        return Err(BadMessage::new("spec.outputs", format!("{} paths; at most {MAX_OUTPUTS}", paths.len())));
    }
    for path in &paths {
        check_path("outputs", path).map_err(|why| BadMessage::new("spec.outputs", why.text))?;
    }
    Ok(paths)
}

fn input_file(message: worker::InputFile) -> Result<InputFile, BadMessage> {
    check_path("path", &message.path).map_err(|why| BadMessage::new("spec.files.path", why.text))?;
    let digest = digest("spec.files.digest", &message.digest)?;
    let size = Bytes(storable("spec.files.size", message.size)?);
    Ok(InputFile { path: message.path, blob: BlobRef { digest, size } })
}

impl From<&Outcome> for worker::Outcome {
    fn from(outcome: &Outcome) -> Self {
        use worker::outcome::Kind;
        let (kind, exit_code, reason) = match outcome {
            Outcome::Exited { code } => (Kind::Exited, *code, ""),
            Outcome::OutOfMemory => (Kind::OutOfMemory, 0, ""),
            Outcome::TimedOut => (Kind::TimedOut, 0, ""),
            Outcome::CannotStart { reason } => (Kind::CannotStart, 0, reason.as_str()),
            Outcome::BadImage { reason } => (Kind::BadImage, 0, reason.as_str()),
            Outcome::ImageUnavailable { reason } => (Kind::ImageUnavailable, 0, reason.as_str()),
            // Only the pool ends an attempt as expired; to a worker that is being stopped.
            Outcome::Cancelled
            | Outcome::Expired
            | Outcome::OutOfPatience { .. }
            | Outcome::Skipped { .. }
            | Outcome::Poison { .. }
            | Outcome::Disputed { .. } => (Kind::Cancelled, 0, ""),
            Outcome::Infrastructure { reason } => (Kind::Infrastructure, 0, reason.as_str()),
        };
        Self { kind: kind.into(), exit_code, reason: bounded(reason) }
    }
}

/// How an attempt ended.
///
/// # Errors
/// Where it is missing or of no known kind.
pub fn outcome(message: Option<&worker::Outcome>) -> Result<Outcome, BadMessage> {
    use worker::outcome::Kind;
    let told = message.ok_or_else(|| missing("outcome"))?;
    let reason = || bounded(&told.reason);
    match Kind::try_from(told.kind) {
        Ok(Kind::Exited) => Ok(Outcome::Exited { code: told.exit_code }),
        Ok(Kind::OutOfMemory) => Ok(Outcome::OutOfMemory),
        Ok(Kind::TimedOut) => Ok(Outcome::TimedOut),
        Ok(Kind::CannotStart) => Ok(Outcome::CannotStart { reason: reason() }),
        Ok(Kind::BadImage) => Ok(Outcome::BadImage { reason: reason() }),
        Ok(Kind::ImageUnavailable) => Ok(Outcome::ImageUnavailable { reason: reason() }),
        Ok(Kind::Cancelled) => Ok(Outcome::Cancelled),
        Ok(Kind::Infrastructure) => Ok(Outcome::Infrastructure { reason: reason() }),
        Ok(Kind::Unspecified) | Err(_) => {
            Err(BadMessage::new("outcome.kind", format!("{} is no kind of outcome", told.kind)))
        }
    }
}

/// The message that reports the end of `attempt`.
#[must_use]
pub fn attempt_finished(attempt: AttemptRef, report: &Report) -> worker::AttemptFinished {
    worker::AttemptFinished {
        attempt: Some(attempt.into()),
        outcome: Some((&report.outcome).into()),
        wall_ms: report.metering.wall.0,
        cpu_ms: report.metering.cpu.0,
        peak_memory_bytes: report.metering.peak_memory.0,
        stdout_bytes: report.logs.stdout.0,
        stderr_bytes: report.logs.stderr.0,
        logs_cut: report.logs.cut,
        image_id: report.image_id.clone(),
        output_digest: report.output.map(|blob| blob.digest.to_string()).unwrap_or_default(),
        output_bytes: report.output.map_or(0, |blob| blob.size.0),
    }
}

/// Which attempt ended, and what is reported of it.
///
/// # Errors
/// Where a part is missing or a number cannot be stored.
pub fn report(message: &worker::AttemptFinished) -> Result<(AttemptRef, Report), BadMessage> {
    let metering = Metering {
        wall: Millis(storable("wall_ms", message.wall_ms)?),
        cpu: Millis(storable("cpu_ms", message.cpu_ms)?),
        peak_memory: Bytes(storable("peak_memory_bytes", message.peak_memory_bytes)?),
    };
    let logs = LogLengths {
        stdout: Bytes(storable("stdout_bytes", message.stdout_bytes)?),
        stderr: Bytes(storable("stderr_bytes", message.stderr_bytes)?),
        cut: message.logs_cut,
    };
    let report = Report {
        outcome: outcome(message.outcome.as_ref())?,
        metering,
        logs,
        image_id: word("image_id", &message.image_id)?,
        output: output(message)?,
        digest: None,
    };
    Ok((attempt(message.attempt)?, report))
}

fn output(message: &worker::AttemptFinished) -> Result<Option<BlobRef>, BadMessage> {
    match (message.output_digest.as_str(), message.output_bytes) {
        ("", 0) => Ok(None),
        ("", _) => Err(missing("output_digest")),
        (text, size) => {
            Ok(Some(BlobRef { digest: digest("output_digest", text)?, size: Bytes(storable("output_bytes", size)?) }))
        }
    }
}

/// The message in which a machine says what it offers, with the kind of runtime and the release
/// of its worker for people.
#[must_use]
pub fn wire_offer(offer: &NodeOffer, runtime: &str, version: &str) -> worker::NodeOffer {
    worker::NodeOffer {
        name: offer.name.clone(),
        cpu_millicores: offer.capacity.cpu.0,
        memory_bytes: offer.capacity.memory.0,
        disk_bytes: offer.capacity.disk.0,
        gpus: offer.capacity.gpus,
        gpu_info: offer.gpu_info.clone(),
        runtime: runtime.to_owned(),
        version: version.to_owned(),
        labels: offer.labels.as_slice().iter().map(ToString::to_string).collect(),
        isolation: offer.isolation.as_str().to_owned(),
        kinds: offer.kinds.words().into_iter().map(str::to_owned).collect(),
        egress: offer.egress.words(),
    }
}

/// What a machine offers. Its name is checked by the engine.
///
/// # Errors
/// Where it is missing, its name is too long to be one, a number cannot be stored, or a label or the
/// isolation is none.
pub fn node_offer(message: Option<&worker::NodeOffer>) -> Result<NodeOffer, BadMessage> {
    let offer = message.ok_or_else(|| missing("offer"))?;
    Ok(NodeOffer {
        name: word("offer.name", &offer.name)?,
        capacity: resources("offer", offer.cpu_millicores, offer.memory_bytes, offer.disk_bytes, offer.gpus)?,
        gpu_info: bounded(&offer.gpu_info),
        labels: Labels::parse(&offer.labels).map_err(|bad| BadMessage::new("offer.labels", bad.to_string()))?,
        isolation: isolation(&offer.isolation)?,
        kinds: kinds(&offer.kinds)?,
        egress: EgressPolicy::parse(&offer.egress).map_err(|bad| BadMessage::new("offer.egress", bad.to_string()))?,
    })
}

fn kinds(words: &[String]) -> Result<Kinds, BadMessage> {
    if words.is_empty() {
        return Ok(Kinds::CONTAINER);
    }
    Kinds::parse(words).ok_or_else(|| BadMessage::new("offer.kinds", "one is none of container, wasm"))
}

/// The message that tells whether the owner lets the machine work.
#[must_use]
pub fn owner_state(state: &Availability) -> worker::OwnerState {
    worker::OwnerState { state: state.as_str().to_owned(), reason: state.reason().to_owned() }
}

/// Whether the owner lets the machine work.
///
/// # Errors
/// Where the word is none.
pub fn availability(message: &worker::OwnerState) -> Result<Availability, BadMessage> {
    let reason: String = bounded(&message.reason).chars().take(MAX_REASON_BYTES / 4).collect();
    Availability::parse(&message.state, reason).ok_or_else(|| {
        BadMessage::new("owner.state", format!("`{}` is none of open, finishing, paused", bounded(&message.state)))
    })
}

fn isolation(word: &str) -> Result<Isolation, BadMessage> {
    match word {
        "" => Ok(Isolation::Basic),
        word => Isolation::parse(word).ok_or_else(|| {
            let why = format!("`{}` is none of basic, rootless, sandboxed", bounded(word));
            BadMessage::new("offer.isolation", why)
        }),
    }
}

/// Longest value that a command finds in its environment, in bytes.
pub const MAX_ENV_BYTES: usize = hivemind_model::array::MAX_ENTRY_BYTES;
/// Most variables that are set for one attempt.
const MAX_ENV: usize = 16;

/// What a command finds in its environment, as a message.
#[must_use]
pub fn wire_env(env: &[(String, String)]) -> Vec<worker::EnvVar> {
    env.iter().map(|(name, value)| worker::EnvVar { name: name.clone(), value: value.clone() }).collect()
}

/// What a command finds in its environment.
///
/// # Errors
/// Where there is too much of it, a name is not `HIVEMIND_...`, or a value holds a NUL character.
pub fn env(messages: Vec<worker::EnvVar>) -> Result<Vec<(String, String)>, BadMessage> {
    if messages.len() > MAX_ENV {
        return Err(BadMessage::new("env", format!("{} variables; at most {MAX_ENV}", messages.len())));
    }
    let read = |message: worker::EnvVar| {
        let own = message.name.strip_prefix("HIVEMIND_");
        if !own.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')) {
            return Err(BadMessage::new("env.name", format!("`{}` is not HIVEMIND_...", bounded(&message.name))));
        }
        if message.value.len() > MAX_ENV_BYTES || message.value.contains('\0') {
            return Err(BadMessage::new("env.value", format!("is longer than {MAX_ENV_BYTES} bytes or holds a NUL")));
        }
        Ok((message.name, message.value))
    };
    messages.into_iter().map(read).collect()
}

/// How much of an attempt's streams one side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Of which attempt.
    pub attempt: AttemptRef,
    /// Bytes of standard output.
    pub stdout: Bytes,
    /// Bytes of standard error.
    pub stderr: Bytes,
}

impl From<LogPosition> for worker::LogPosition {
    fn from(position: LogPosition) -> Self {
        Self {
            attempt: Some(position.attempt.into()),
            stdout_bytes: position.stdout.0,
            stderr_bytes: position.stderr.0,
        }
    }
}

/// How much of an attempt's streams the other side has.
///
/// # Errors
/// Where a part is missing or a number cannot be stored.
pub fn log_position(message: Option<worker::LogPosition>) -> Result<LogPosition, BadMessage> {
    let position = message.ok_or_else(|| missing("position"))?;
    Ok(LogPosition {
        attempt: attempt(position.attempt)?,
        stdout: Bytes(storable("position.stdout_bytes", position.stdout_bytes)?),
        stderr: Bytes(storable("position.stderr_bytes", position.stderr_bytes)?),
    })
}

fn resources(of: &'static str, cpu: u32, memory: u64, disk: u64, gpus: u32) -> Result<Resources, BadMessage> {
    Ok(Resources { cpu: MilliCores(cpu), memory: Bytes(storable(of, memory)?), disk: Bytes(storable(of, disk)?), gpus })
}

/// A digest in its usual form.
///
/// # Errors
/// Names `field` where it is none.
pub fn digest(field: &'static str, text: &str) -> Result<Digest, BadMessage> {
    text.parse().map_err(|why: hivemind_model::spec::BadDigest| BadMessage::new(field, why.to_string()))
}

/// Databases store signed numbers: what does not fit in 63 bits is refused at the door.
fn storable(field: &'static str, value: u64) -> Result<u64, BadMessage> {
    if i64::try_from(value).is_ok() {
        Ok(value)
    } else {
        Err(BadMessage::new(field, format!("{value} is larger than any real quantity")))
    }
}

fn word(field: &'static str, text: &str) -> Result<String, BadMessage> {
    if text.len() > MAX_WORD_BYTES || text.chars().any(char::is_control) {
        return Err(BadMessage::new(field, "is longer than 512 bytes or contains a control character"));
    }
    Ok(text.to_owned())
}

fn missing(field: &'static str) -> BadMessage {
    BadMessage::new(field, "is missing")
}

#[cfg(test)]
mod tests;
