//! From a submission's message to a command: defaults, files, words.
//!
//! Start at [`prepare`]. What is allowed is decided by `TaskSpec::check` alone; here only what
//! has no place in a `TaskSpec` is refused (negative numbers, bad base64, unsplittable commands).
//!
//! Invariant: nothing is stored before every field has been checked.

use super::amount::once;
use super::image::{self, Pushed};
use super::wishes;
use crate::blobs::{Blobs, digest_of};
use crate::entries::Entries;
use crate::shared::Shared;
use crate::status;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hivemind_model::after::After;
use hivemind_model::command::Once;
use hivemind_model::spec::{BlobRef, InputFile, MAX_FILES, TaskSpec};
use hivemind_model::{
    Bytes as Size, Code, Cpt, Level, MilliCores, Millis, Policy, Rejection, Resources, Timestamp, UserId,
};
use hivemind_proto::v1::SubmitTaskRequest;
use prost::Message;
use std::io;
use tonic::Status;

/// All files of one submission together, decoded.
const MAX_INLINE: u64 = 8 << 20;
/// Urgency of a task that names none.
const DEFAULT_PRIORITY: u8 = 5;

/// A checked submission whose files are not stored yet.
pub(super) struct Draft {
    /// What to do; what it waits for is not in it yet.
    pub(super) spec: TaskSpec,
    /// Contents to store before it is submitted.
    pub(super) contents: Vec<Bytes>,
}

/// Why a submission has no command.
pub(super) enum Refusal {
    /// The requester's to repair.
    Rejected(Rejection),
    /// The pool's.
    Fault(Status),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// A file of a submission could not be read.
fn unreadable(error: io::Error) -> Refusal {
    Refusal::Fault(status::file("reading a submission's files", &error))
}

/// Fills in defaults, decodes and checks everything but what it waits for. A deadline must be after `after`.
pub(super) async fn prepare(
    shared: &Shared,
    user: UserId,
    request: SubmitTaskRequest,
    after: Timestamp,
) -> Result<Draft, Refusal> {
    if request.files.len() + request.inputs.len() > MAX_FILES {
        return Err(too_many_files().into());
    }
    let files = uploaded(user, &request, &shared.blobs).await?;
    let entries = match request.entries_digest.as_str() {
        "" => None,
        digest => Some(upload(user, "entries_digest", digest, &shared.blobs).await?),
    };
    let program = image::pushed(shared, user, &request.docker_image).await?;
    let given = Given { files, entries, program };
    let (spec, contents) = checked(request, given, &shared.policy, after).await?;
    check_entries(&shared.entries, &spec).await?;
    Ok(Draft { spec, contents })
}

/// What would be submitted, checked as a submission is, without its uploaded inputs. An image that is not
/// pushed yet is believed to be of the kind `said`. Nothing is stored.
pub(super) async fn preview(
    shared: &Shared,
    user: UserId,
    request: SubmitTaskRequest,
    said: &str,
) -> Result<TaskSpec, Refusal> {
    if request.files.len() > MAX_FILES {
        return Err(too_many_files().into());
    }
    max_price(request.max_price_micro)?;
    let kind = image::said_kind(said)?;
    let program = match image::pushed(shared, user, &request.docker_image).await {
        Err(Refusal::Rejected(rejection)) if rejection.code == Code::NotFound => {
            image::digest(&request.docker_image)?.map(|digest| Pushed { kind, blob: BlobRef { digest, size: Size(0) } })
        }
        found => found?,
    };
    let given = Given { files: Vec::new(), entries: None, program };
    Ok(checked(request, given, &shared.policy, shared.clock.now()).await?.0)
}

/// Contents of the pool that a submission names.
struct Given {
    files: Vec<InputFile>,
    entries: Option<BlobRef>,
    program: Option<Pushed>,
}

/// The specification of a submission with its files, uploaded ones first, and the contents of the others.
async fn checked(
    request: SubmitTaskRequest,
    given: Given,
    policy: &Policy,
    after: Timestamp,
) -> Result<(TaskSpec, Vec<Bytes>), Refusal> {
    let Given { mut files, entries, program } = given;
    let reuse = request.reuse;
    let (inline, contents) =
        if request.files.is_empty() { Default::default() } else { decode_off_thread(request.files.clone()).await? };
    files.extend(inline);
    let mut spec = spec(request, files, policy, after)?;
    if let Some(array) = &mut spec.array {
        array.entries = entries;
    }
    if let Some(Pushed { kind, blob }) = program {
        (spec.kind, spec.image_blob) = (kind, Some(blob));
    }
    if reuse {
        spec.reuse = Some(image::reuse_key(&spec)?);
    }
    spec.check(policy)?;
    Ok((spec, contents))
}

fn too_many_files() -> Rejection {
    Rejection::field(Code::TooLarge, "files", format!("more than {MAX_FILES} files; pack them into an archive"))
}

/// The most that the requester wants to pay; `None` where they did not say.
pub(super) fn max_price(micro: i64) -> Result<Option<Cpt>, Rejection> {
    match micro {
        0 => Ok(None),
        1.. => Ok(Some(Cpt::from_micro(micro))),
        below => Err(Rejection::invalid("max_price_micro", format!("{below} is negative; leave it 0 for no bound"))),
    }
}

/// The level that the requester wants of a node.
fn min_level(word: &str) -> Result<Level, Rejection> {
    if word.is_empty() {
        return Ok(Level::None);
    }
    Level::parse(word).ok_or_else(|| {
        let words: Vec<&str> = Level::ALL.iter().map(|level| level.as_str()).collect();
        Rejection::invalid(
            "min_level",
            format!("`{}` is none of {}; leave it empty for any", cut(word), words.join(", ")),
        )
    })
}

/// The client-made id of a submission.
pub(super) fn request_id(user: UserId, request: &SubmitTaskRequest) -> Result<Option<Once>, Rejection> {
    once("request_id", user, &request.request_id, || {
        let body = SubmitTaskRequest { token: String::new(), request_id: String::new(), ..request.clone() };
        body.encode_to_vec()
    })
}

fn spec(
    request: SubmitTaskRequest,
    files: Vec<InputFile>,
    policy: &Policy,
    after: Timestamp,
) -> Result<TaskSpec, Rejection> {
    let limits = &policy.limits;
    let or_default = |value: u64, make: fn(u64) -> Size, default: Size| if value == 0 { default } else { make(value) };
    let runtime = natural("max_runtime", request.max_runtime)?;
    let memory = natural("required_memory", request.required_memory)?;
    let disk = natural("required_disk_mb", request.required_disk_mb)?;
    let cores = natural("required_cpu_cores", request.required_cpu_cores.into())?.max(1);
    let gpus = natural("required_gpus", request.required_gpus.into())?;
    let priority = match request.priority {
        0 => DEFAULT_PRIORITY,
        given => u8::try_from(given).ok().filter(|given| (1..=10).contains(given)).ok_or_else(|| {
            Rejection::invalid("priority", format!("{given} is outside 1 to 10 (10 is the most urgent)"))
        })?,
    };
    Ok(TaskSpec {
        command: words(&request)?,
        min_level: min_level(&request.min_level)?,
        min_trust: wishes::min_trust(&request)?,
        min_isolation: wishes::min_isolation(&request)?,
        labels: wishes::labels(&request)?,
        array: wishes::array(&request)?,
        after: After { tasks: Vec::new(), unmet: wishes::unmet(&request)? },
        retries: wishes::retries(&request)?,
        patience: wishes::patience(&request, after)?,
        verify: wishes::verification(&request)?,
        egress: wishes::network(&request)?,
        outputs: request.outputs,
        warm: request.warm,
        name: request.task_name,
        image: request.docker_image,
        files,
        priority,
        max_runtime: if runtime == 0 { limits.default_runtime } else { Millis::from_secs(runtime) },
        resources: Resources {
            cpu: MilliCores::from_cores(u32::try_from(cores).unwrap_or(u32::MAX)),
            memory: or_default(memory, Size::from_mib, limits.default_memory),
            disk: or_default(disk, Size::from_mib, limits.default_disk),
            gpus: u32::try_from(gpus).unwrap_or(u32::MAX),
        },
        ..TaskSpec::default()
    })
}

pub(super) fn natural(field: &str, value: i64) -> Result<u64, Rejection> {
    u64::try_from(value)
        .map_err(|_| Rejection::invalid(field, format!("{value} is negative; leave it 0 for the default")))
}

fn words(request: &SubmitTaskRequest) -> Result<Vec<String>, Rejection> {
    match (request.command.is_empty(), request.argv.is_empty()) {
        (_, true) => shell_words::split(&request.command).map_err(|_| {
            Rejection::invalid("command", "a quotation mark is not closed; close it, or give exact words in argv")
        }),
        (true, false) => Ok(request.argv.clone()),
        (false, false) => Err(Rejection::invalid("argv", "is given beside command; give one of the two")),
    }
}

/// The uploaded inputs.
///
/// A digest is taken only from the user who uploaded the content. Anybody else gets "not found",
/// whether the pool has it or not: a digest that became known must neither open another tenant's
/// file nor tell that it is here.
async fn uploaded(user: UserId, request: &SubmitTaskRequest, blobs: &Blobs) -> Result<Vec<InputFile>, Refusal> {
    let mut files = Vec::with_capacity(request.inputs.len());
    for input in &request.inputs {
        let blob = upload(user, "inputs", &input.digest, blobs).await?;
        files.push(InputFile { path: input.path.clone(), blob });
    }
    Ok(files)
}

/// The content of that digest, which `field` names.
async fn upload(user: UserId, field: &str, digest: &str, blobs: &Blobs) -> Result<BlobRef, Refusal> {
    let digest = digest.parse().map_err(|bad| Rejection::invalid(field, format!("`{}`: {bad}", cut(digest))))?;
    let size = blobs.size_for(user, digest).await.map_err(unreadable)?;
    let size = size.ok_or_else(|| {
        Rejection::field(Code::NotFound, field, format!("{digest} was not uploaded by you; send it with Upload first"))
    })?;
    Ok(BlobRef { digest, size: Size(size) })
}

/// Each element needs a line of the text.
async fn check_entries(entries: &Entries, spec: &TaskSpec) -> Result<(), Refusal> {
    let Some((indices, text)) = spec.array.as_ref().and_then(|array| Some((&array.indices, array.entries?))) else {
        return Ok(());
    };
    let refuse = |why: String| Err(Rejection::invalid("entries_digest", why).into());
    match entries.check(text.digest).await.map_err(unreadable)? {
        Some(Ok(lines)) if indices.last() <= lines => Ok(()),
        Some(Ok(lines)) => refuse(format!(
            "the text has {lines} lines, but the array has the index {}; element i gets line i",
            indices.last()
        )),
        Some(Err(bad)) => refuse(bad.to_string()),
        None => Err(unreadable(io::Error::other(format!("{} is gone from the pool", text.digest)))),
    }
}

type Inline = (Vec<InputFile>, Vec<Bytes>);

async fn decode_off_thread(files: Vec<String>) -> Result<Inline, Refusal> {
    match tokio::task::spawn_blocking(move || decode(files)).await {
        Ok(decoded) => decoded.map_err(Refusal::Rejected),
        Err(error) => Err(unreadable(io::Error::other(error))),
    }
}

fn decode(files: Vec<String>) -> Result<Inline, Rejection> {
    let encoded: u64 = files.iter().map(|file| file.len() as u64).sum();
    let too_large = || {
        Rejection::field(
            Code::TooLarge,
            "files",
            format!(
                "together more than {}; send large files with Upload and name their digests in inputs",
                Size(MAX_INLINE)
            ),
        )
    };
    // Four characters hold three bytes; the slack is for paths.
    if encoded / 4 * 3 > MAX_INLINE + (MAX_FILES as u64) * 512 {
        return Err(too_large());
    }
    let (mut inputs, mut contents, mut total) = (Vec::with_capacity(files.len()), Vec::with_capacity(files.len()), 0);
    for file in &files {
        let Some((path, content)) = file.split_once('=') else {
            return Err(Rejection::invalid("files", format!("`{}` is not of the form path=<base64>", cut(file))));
        };
        let content = STANDARD.decode(content).map_err(|error| {
            Rejection::invalid("files", format!("the content of `{}` is not base64: {error}", cut(path)))
        })?;
        total += content.len() as u64;
        if total > MAX_INLINE {
            return Err(too_large());
        }
        let blob = BlobRef { digest: digest_of(&content), size: Size(content.len() as u64) };
        inputs.push(InputFile { path: path.to_owned(), blob });
        contents.push(content.into());
    }
    Ok((inputs, contents))
}

/// The beginning of a text that came from outside, fit for a message.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect()
}
