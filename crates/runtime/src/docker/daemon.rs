//! The way to the daemon, and what its refusals mean.
//!
//! Invariant: nothing is kept here; every question goes to the daemon.

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use hivemind_model::state::Outcome;
use std::path::Path;
use std::time::Duration;

/// Longest wait for the head of an answer, in seconds. Starting a container on a busy machine
/// takes many.
const ANSWER_SECONDS: u64 = 120;

/// Longest wait for the first answer. A daemon that cannot say its version runs nothing either.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Connects and agrees on a version of the API.
pub(super) async fn connect(socket: Option<&str>) -> Result<Docker, String> {
    connect_within(FIRST_ANSWER, socket).await
}

async fn connect_within(patience: Duration, socket: Option<&str>) -> Result<Docker, String> {
    let socket = find_socket(socket)?;
    let failed = |error: Error| {
        format!(
            "the Docker daemon at {socket} cannot be used: {}; is it running (`systemctl start docker`), and may this user open its socket (group `docker`)?",
            explain(&error)
        )
    };
    let docker = Docker::connect_with_unix(&socket, ANSWER_SECONDS, API_DEFAULT_VERSION).map_err(failed)?;
    match tokio::time::timeout(patience, docker.negotiate_version()).await {
        Ok(agreed) => agreed.map_err(failed),
        Err(_) => Err(format!(
            "the Docker daemon at {socket} takes calls and answers none within {} ms; start it anew (`systemctl restart docker`)",
            patience.as_millis()
        )),
    }
}

fn find_socket(given: Option<&str>) -> Result<String, String> {
    if let Some(socket) = given {
        return Ok(socket.to_owned());
    }
    if let Ok(host) = std::env::var("DOCKER_HOST")
        && !host.is_empty()
    {
        let reason = || {
            format!(
                "DOCKER_HOST is `{host}`, and only a daemon on this machine can be used: unset it, or set it to unix:///path/to/docker.sock"
            )
        };
        return host.strip_prefix("unix://").map(str::to_owned).ok_or_else(reason);
    }
    let usual = "/var/run/docker.sock";
    let rootless = std::env::var("XDG_RUNTIME_DIR").map(|folder| format!("{folder}/docker.sock")).ok();
    match rootless {
        Some(rootless) if !Path::new(usual).exists() && Path::new(&rootless).exists() => Ok(rootless),
        _ => Ok(usual.to_owned()),
    }
}

/// The status code of a refusal, if the daemon answered at all.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// True where the thing asked for does not exist.
pub(super) fn is_absent(error: &Error) -> bool {
    status(error) == Some(404)
}

/// What went wrong, without the words that every error of the client starts with.
pub(super) fn explain(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        Error::RequestTimeoutError => format!("no answer within {ANSWER_SECONDS} s"),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(inner) = source {
                let more = inner.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                source = inner.source();
            }
            text
        }
    }
}

/// The failure of this machine to do `what`.
pub(super) fn fault(what: &str, error: &Error) -> Outcome {
    Outcome::Infrastructure { reason: format!("{what}: {}", explain(error)) }
}

/// The failure of this machine to do `what`, for things outside the daemon.
pub(super) fn io_fault(what: &str, error: &std::io::Error) -> Outcome {
    Outcome::Infrastructure { reason: format!("{what}: {error}") }
}

/// What a refused start says about the job.
///
/// The daemon tells a command that cannot be executed from everything else by quoting it:
/// `exec: "word": executable file not found in $PATH`.
pub(super) fn refused_start(error: &Error) -> Outcome {
    let text = explain(error);
    if text.contains("OOM-killed") || text.contains("memory limit too low") {
        return Outcome::OutOfMemory;
    }
    if let Some(at) = text.find("exec: \"") {
        let reason = text[at..].trim_end_matches(": unknown").trim_end_matches(": unknown.").to_owned();
        return Outcome::CannotStart { reason };
    }
    // Such as a link in the image where a folder has to be; volumes that cannot be mounted are told in other words.
    if text.contains("to rootfs at") && !text.contains("cannot allocate memory") {
        let reason = format!("nothing can be mounted into the image: {}", text.trim_end_matches(": unknown"));
        return Outcome::BadImage { reason };
    }
    fault("the container could not be started", error)
}

/// What a refused creation says about the job.
pub(super) fn refused_create(error: &Error) -> Outcome {
    let text = explain(error);
    if text.contains("No command specified") || text.contains("no command specified") {
        return Outcome::CannotStart { reason: "the image has no command of its own; give one".into() };
    }
    fault("the container could not be made", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.into() }
    }

    #[test]
    fn only_a_quoted_command_is_the_task_s_own_fault() {
        let unknown = server(
            400,
            "failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"nope\": executable file not found in $PATH: unknown",
        );
        assert_eq!(
            refused_start(&unknown),
            Outcome::CannotStart { reason: "exec: \"nope\": executable file not found in $PATH".into() }
        );
        let denied = server(
            400,
            "runc create failed: unable to start container process: error during container init: exec: \"/task/x\": permission denied: unknown",
        );
        assert_eq!(
            refused_start(&denied),
            Outcome::CannotStart { reason: "exec: \"/task/x\": permission denied".into() }
        );
        let mount = server(
            500,
            "error while mounting volume '/var/lib/docker/volumes/v/_data': failed to mount local volume: no such device",
        );
        assert!(matches!(refused_start(&mount), Outcome::Infrastructure { .. }));
        let link = server(
            500,
            "runc create failed: unable to start container process: error during container init: error mounting \"tmpfs\" to rootfs at \"/tmp\": no such file or directory: unknown",
        );
        assert!(matches!(refused_start(&link), Outcome::BadImage { .. }));
        let small = server(500, "container init was OOM-killed (memory limit too low?)");
        assert_eq!(refused_start(&small), Outcome::OutOfMemory);
    }

    #[test]
    fn an_image_without_a_command_is_the_task_s_own_fault() {
        assert!(matches!(refused_create(&server(400, "No command specified")), Outcome::CannotStart { .. }));
        assert!(matches!(refused_create(&server(500, "no space left on device")), Outcome::Infrastructure { .. }));
    }

    #[tokio::test]
    async fn a_daemon_that_hangs_is_told_from_one_that_is_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        let _deaf = tokio::net::UnixListener::bind(&socket).expect("bound");
        let short = Duration::from_millis(20);
        let error = connect_within(short, socket.to_str()).await.expect_err("connected to nobody");
        assert!(error.contains("answers none within 20 ms"), "{error}");
    }

    #[test]
    fn only_a_socket_of_this_machine_is_taken() {
        assert_eq!(find_socket(Some("/x.sock")), Ok("/x.sock".into()));
    }
}
