//! From the options of a task to the message that submits it.
//!
//! Invariant: every submission has a request id, so that sending it again submits nothing twice.

use crate::args::TaskOptions;
use crate::args::task::Program;
use crate::face::Face;
use crate::failure::{Done, Failure};
use crate::input::{Input, Way, gather};
use crate::progress::Bar;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hivemind_client::Client;
use hivemind_model::{Bytes, Cpt};
use hivemind_proto::v1::{InputFile, SubmitTaskRequest};
use std::time::Duration;

/// Makes the message; uploads what does not travel inside it.
///
/// # Errors
/// An input cannot be used, or an upload fails.
pub async fn build(
    client: &Client,
    options: &TaskOptions,
    program: &Program,
    face: &mut Face,
) -> Done<SubmitTaskRequest> {
    let inputs = gather(&options.input)?;
    let mut request = plain(options, program)?;
    for input in &inputs {
        match input.way {
            Way::Inline => request.files.push(inline(input)?),
            Way::Upload => {
                let bar = Bar::start(face.is_live(), &format!("uploading {}", input.source.display()));
                let blob = client.upload(input.source.as_path(), |done, whole| bar.set(done, whole)).await?;
                request.inputs.push(InputFile { path: input.dest.clone(), digest: blob.digest.to_string() });
            }
        }
    }
    Ok(request)
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

/// The message without its files.
///
/// # Errors
/// An amount does not fit.
pub fn plain(options: &TaskOptions, program: &Program) -> Done<SubmitTaskRequest> {
    Ok(SubmitTaskRequest {
        task_name: options.name.clone(),
        docker_image: program.image.clone(),
        priority: whole("--priority", options.priority)?,
        max_runtime: seconds(options.timeout)?,
        required_memory: mib("--memory", options.memory)?,
        required_cpu_cores: whole("--cpus", options.cpus)?,
        request_id: uuid::Uuid::now_v7().to_string(),
        argv: program.command.clone(),
        required_disk_mb: mib("--disk", options.disk)?,
        required_gpus: whole("--gpus", options.gpus)?,
        max_price_micro: options.max_price.map_or(0, Cpt::micro),
        min_level: options.min_level.clone().unwrap_or_default(),
        ..SubmitTaskRequest::default()
    })
}

fn whole(name: &str, value: Option<u32>) -> Done<i32> {
    i32::try_from(value.unwrap_or(0)).map_err(|_| Failure::usage(format!("{name}: that is more than any machine has")))
}

/// Whole MiB, rounded up: the task gets what it asked for, or a little more.
fn mib(name: &str, size: Option<Bytes>) -> Done<i64> {
    let bytes = size.map_or(0, |size| size.0);
    i64::try_from(bytes.div_ceil(1 << 20))
        .map_err(|_| Failure::usage(format!("{name}: that is more than any machine has")))
}

fn seconds(span: Option<Duration>) -> Done<i64> {
    let Some(span) = span else { return Ok(0) };
    if span.subsec_nanos() != 0 {
        return Err(Failure::usage("--timeout: give whole seconds, such as 90s"));
    }
    i64::try_from(span.as_secs()).map_err(|_| Failure::usage("--timeout: that is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_left_to_the_pool() {
        let program = Program { image: "bb:1".into(), command: vec!["sh".into(), "-c".into(), "a b".into()] };
        let request = plain(&TaskOptions::default(), &program).unwrap();
        assert_eq!(
            (request.required_memory, request.required_cpu_cores, request.max_runtime, request.priority),
            (0, 0, 0, 0)
        );
        assert_eq!(request.argv, ["sh", "-c", "a b"]);
        assert_eq!((request.command.as_str(), request.min_level.as_str(), request.max_price_micro), ("", "", 0));
        assert!(!request.request_id.is_empty());
    }

    #[test]
    fn amounts_are_given_in_the_units_of_the_api() {
        let options = TaskOptions {
            memory: Some(Bytes((1 << 20) + 1)),
            disk: Some(Bytes::from_gib(2)),
            timeout: Some(Duration::from_secs(90)),
            gpus: Some(1),
            max_price: Some(Cpt::from_micro(2_250_000)),
            min_level: Some("gold".into()),
            ..TaskOptions::default()
        };
        let request = plain(&options, &Program::default()).unwrap();
        assert_eq!(
            (request.required_memory, request.required_disk_mb, request.max_runtime, request.required_gpus),
            (2, 2048, 90, 1)
        );
        assert_eq!((request.max_price_micro, request.min_level.as_str()), (2_250_000, "gold"));
        let uneven = TaskOptions { timeout: Some(Duration::from_millis(1500)), ..TaskOptions::default() };
        assert!(plain(&uneven, &Program::default()).is_err());
    }
}
