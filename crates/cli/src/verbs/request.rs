//! From the options of a task to the message that submits it.
//!
//! Start at [`prepare`], which judges everything that can be judged here and reads what has to be
//! read; [`send`] uploads what does not travel inside the message.
//!
//! Invariant: every submission has a request id, so that sending it again submits nothing twice,
//! and nothing leaves this machine before the whole of it was judged.

use crate::args::TaskOptions;
use crate::args::array::{AfterOptions, ArrayOptions};
use crate::args::task::{Conditions, Program};
use crate::args::verify::{PatienceOptions, VerifyOptions};
use crate::entries::{self, Entries};
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::image::Local;
use crate::input::{Input, Way, gather};
use crate::progress::Bar;
use crate::quantity::Deadline;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hivemind_client::{Client, Source, Uploaded};
use hivemind_model::node::Labels;
use hivemind_model::{Bytes, Cpt};
use hivemind_proto::v1::{Dependency, InputFile, SubmitTaskRequest};
use std::path::Path;
use std::time::Duration;

/// All that is said of a task.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What it needs.
    pub options: &'a TaskOptions,
    /// Its elements.
    pub array: &'a ArrayOptions,
    /// Under which conditions.
    pub conditions: &'a Conditions,
    /// What runs.
    pub program: &'a Program,
}

/// A task that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The message without its files and entries.
    pub request: SubmitTaskRequest,
    /// Its files.
    pub inputs: Vec<Input>,
    /// What its elements are about.
    pub entries: Option<Entries>,
    /// What runs, where that is a file.
    pub image: Option<Local>,
}

/// Judges a task and reads what it needs; paths are relative to `base`.
///
/// # Errors
/// Something that was asked for is not possible, or a file cannot be read.
pub fn prepare(asked: Asked<'_>, base: &Path) -> Done<Prepared> {
    let mut request = message(asked)?;
    let inputs = gather(&relative(&asked.options.input, base)?)?;
    let entries = entries::read(asked.array, base)?;
    request.array = entries::indices(asked.array, entries.as_ref())?.map(|set| set.to_string()).unwrap_or_default();
    if request.array.is_empty() && asked.array.max_fails.is_some() {
        return Err(Failure::usage("--max-fails is about arrays, and this is a plain task")
            .fix("say which elements there are with --array, --each-line or --from-json"));
    }
    let image = Local::of(&request.docker_image, base)?;
    Ok(Prepared { request, inputs, entries, image })
}

fn relative(inputs: &[String], base: &Path) -> Done<Vec<String>> {
    let one = |input: &String| match base.join(input).into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(path) => Err(Failure::usage(format!("--input: the path {} is not UTF-8", path.display()))),
    };
    inputs.iter().map(one).collect()
}

/// Uploads what does not travel inside the message, and gives the message.
///
/// # Errors
/// An input cannot be used, or an upload fails.
pub async fn send(client: &Client, prepared: Prepared, face: &mut Face) -> Done<SubmitTaskRequest> {
    let Prepared { mut request, inputs, entries, image } = prepared;
    if let Some(local) = image {
        request.docker_image = push(client, &local, face).await?.blob.digest.to_string();
    }
    for input in &inputs {
        match input.way {
            Way::Inline => request.files.push(inline(input)?),
            Way::Upload => {
                let digest = upload(client, &input.source, face).await?;
                request.inputs.push(InputFile { path: input.dest.clone(), digest });
            }
        }
    }
    if let Some(entries) = entries {
        request.entries_digest = upload_entries(client, entries, face).await?;
    }
    Ok(request)
}

/// The message of a plan, and the kind of what would run: a file is named by its digest, and stays here.
///
/// # Errors
/// The file cannot be used.
pub async fn planned(prepared: Prepared) -> Done<(SubmitTaskRequest, &'static str)> {
    let Prepared { mut request, inputs: _, entries: _, image } = prepared;
    let Some(local) = image else { return Ok((request, "")) };
    local.architectures().await?;
    let content = local.content().await?;
    request.docker_image = Source::from(content.path.as_path()).blob().await?.digest.to_string();
    Ok((request, local.kind()))
}

/// Uploads what is to run, and tells where it was there already.
///
/// # Errors
/// It is no image, or the pool does not take it.
pub async fn push(client: &Client, local: &Local, face: &mut Face) -> Done<Uploaded> {
    local.architectures().await?;
    let content = local.content().await?;
    send_file(client, &content.path, &local.path.display().to_string(), face).await
}

/// Uploads a file and gives its digest.
///
/// # Errors
/// It cannot be read, or the pool does not take it.
pub async fn upload(client: &Client, source: &Path, face: &mut Face) -> Done<String> {
    let uploaded = send_file(client, source, &source.display().to_string(), face).await?;
    Ok(uploaded.blob.digest.to_string())
}

async fn send_file(client: &Client, source: &Path, shown: &str, face: &mut Face) -> Done<Uploaded> {
    let bar = Bar::of(face, &format!("uploading {shown}"));
    let uploaded = client.upload(source, |done, whole| bar.set(done, whole)).await?;
    bar.clear();
    if uploaded.sent == 0 && uploaded.blob.size.0 > 0 {
        face.say(&format!("{} is there already", crate::face::harmless(shown)));
    }
    Ok(uploaded)
}

/// Uploads entries and gives their digest.
///
/// # Errors
/// The pool does not take them.
pub async fn upload_entries(client: &Client, entries: Entries, face: &Face) -> Done<String> {
    let bar = Bar::of(face, "uploading the entries");
    let text = entries.text.into_bytes();
    Ok(client.upload(text, |done, whole| bar.set(done, whole)).await?.blob.digest.to_string())
}

fn inline(input: &Input) -> Done<String> {
    let content = std::fs::read(&input.source)
        .map_err(|error| Failure::io(format!("--input: {} cannot be read", input.source.display()), &error))?;
    if content.len() as u64 != input.bytes {
        return Err(Failure::usage(format!("--input: {} is being changed by somebody", input.source.display()))
            .fix("try again when it has settled"));
    }
    Ok(format!("{}={}", input.dest, STANDARD.encode(content)))
}

/// The message without its files and its elements.
fn message(asked: Asked<'_>) -> Done<SubmitTaskRequest> {
    let Asked { options, array, conditions, program } = asked;
    let labels = Labels::try_from(options.label.clone()).map_err(|bad| Failure::usage(format!("--label: {bad}")))?;
    let mut request = SubmitTaskRequest {
        task_name: options.name.clone(),
        docker_image: program.image.clone(),
        priority: whole("--priority", options.priority)?,
        max_runtime: seconds("--timeout", options.timeout)?,
        required_memory: mib("--memory", options.memory)?,
        required_cpu_cores: whole("--cpus", options.cpus)?,
        request_id: uuid::Uuid::now_v7().to_string(),
        argv: program.command.clone(),
        required_disk_mb: mib("--disk", options.disk)?,
        required_gpus: whole("--gpus", options.gpus)?,
        max_price_micro: options.max_price.map_or(0, Cpt::micro),
        min_level: options.min_level.clone().unwrap_or_default(),
        labels: labels.as_slice().iter().map(ToString::to_string).collect(),
        min_trust: options.min_trust.clone().unwrap_or_default(),
        min_isolation: options.min_isolation.clone().unwrap_or_default(),
        max_fails: array.max_fails,
        network: options.network.iter().map(ToString::to_string).collect(),
        outputs: options.output.iter().map(|path| under_task(path)).collect(),
        warm: options.warm,
        reuse: options.reuse,
        ..SubmitTaskRequest::default()
    };
    await_others(&conditions.after, &mut request)?;
    be_patient(&conditions.patience, &mut request)?;
    verify(&conditions.verify, &mut request)?;
    Ok(request)
}

/// A path of `--output` as the API has it; whether it can be one is judged there.
fn under_task(path: &str) -> String {
    path.strip_prefix("/task/").unwrap_or(path).trim_end_matches('/').trim_start_matches("./").to_owned()
}

fn await_others(after: &AfterOptions, request: &mut SubmitTaskRequest) -> Done<()> {
    for (flag, tasks, when, each) in [
        ("--after", &after.after, "success", false),
        ("--after-end", &after.after_end, "end", false),
        ("--after-each", &after.after_each, "success", true),
    ] {
        for text in tasks {
            let task = super::task_id(text.trim()).map_err(|bad| bad.at(flag))?;
            request.after.push(Dependency { task_id: task.to_string(), when: when.into(), each });
        }
    }
    request.unmet = after.if_dependency_fails.clone().unwrap_or_default();
    Ok(())
}

fn be_patient(patience: &PatienceOptions, request: &mut SubmitTaskRequest) -> Done<()> {
    request.retries = whole("--retries", patience.retries)?;
    request.max_wait_seconds = seconds("--max-wait", patience.max_wait)?;
    request.max_total_seconds = seconds("--max-total", patience.max_total)?;
    request.lost_after_seconds = seconds("--lost-after", patience.lost_after)?;
    request.deadline_unix_ms = match patience.deadline {
        None => 0,
        Some(Deadline::At(moment)) => moment.0,
        Some(Deadline::In(span)) => i64::try_from(span.as_millis())
            .ok()
            .and_then(|span| jiff::Timestamp::now().as_millisecond().checked_add(span))
            .ok_or_else(|| Failure::usage("--deadline: that is too long"))?,
    };
    Ok(())
}

fn verify(verify: &VerifyOptions, request: &mut SubmitTaskRequest) -> Done<()> {
    request.replicas = whole("--replicas", verify.replicas)?;
    request.quorum = whole("--quorum", verify.quorum)?;
    request.confidence = verify.confidence.map(|doubt| doubt.to_string()).unwrap_or_default();
    request.expect_digest = verify.expect.map(|digest| digest.to_string()).unwrap_or_default();
    let (tolerance, command) = (verify.compare_tolerance, &verify.compare_command);
    let implied = match (tolerance, command) {
        (Some(_), _) => Some("numeric"),
        (None, Some(_)) => Some("command"),
        (None, None) => None,
    };
    request.compare = match (verify.compare.as_deref(), implied) {
        (Some("command"), None) => {
            return Err(Failure::usage("--compare command: it is not said which").fix("say --compare-command 'WORDS'"));
        }
        (Some(said), Some(implied)) if said != implied => {
            let flag = if implied == "numeric" { "--compare-tolerance" } else { "--compare-command" };
            return Err(Failure::usage(format!("--compare {said} and {flag} exclude each other"))
                .fix(format!("say --compare {implied}, or leave {flag} out")));
        }
        (said, implied) => said.or(implied).unwrap_or_default().to_owned(),
    };
    request.compare_tolerance = tolerance.unwrap_or(0.0);
    request.compare_argv = command.as_ref().map(|words| words.0.clone()).unwrap_or_default();
    Ok(())
}

fn whole(name: &str, value: Option<u32>) -> Done<i32> {
    i32::try_from(value.unwrap_or(0)).map_err(|_| Failure::usage(format!("{name}: that is more than there can be")))
}

/// Whole MiB, rounded up: the task gets what it asked for, or a little more.
fn mib(name: &str, size: Option<Bytes>) -> Done<i64> {
    let bytes = size.map_or(0, |size| size.0);
    i64::try_from(bytes.div_ceil(1 << 20))
        .map_err(|_| Failure::usage(format!("{name}: that is more than any machine has")))
}

fn seconds(name: &str, span: Option<Duration>) -> Done<i64> {
    let Some(span) = span else { return Ok(0) };
    if span.subsec_nanos() != 0 {
        return Err(Failure::usage(format!("{name}: give whole seconds, such as 90s")));
    }
    i64::try_from(span.as_secs()).map_err(|_| Failure::usage(format!("{name}: that is too long")))
}

#[cfg(test)]
mod tests;
