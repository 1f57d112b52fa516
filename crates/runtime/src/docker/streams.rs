//! What the command writes, on its way to the sink.
//!
//! Invariant: nothing is kept here; a chunk lives until the sink has seen it.

use super::daemon;
use crate::{Sink, Stream};
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures::StreamExt;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::StreamReader;

/// Listens to a container that does not run yet, so that not a byte is missed.
pub(super) async fn attach(docker: &Docker, name: &str) -> Result<AttachContainerResults, Error> {
    let options = AttachContainerOptionsBuilder::default()
        .stdin(false)
        .stdout(true)
        .stderr(true)
        .stream(true)
        .logs(false)
        .build();
    docker.attach_container(name, Some(options)).await
}

/// Listens and speaks to a warm container that does not run yet: what its guest says, and the way to it.
pub(super) async fn attach_guest(
    docker: &Docker,
    name: &str,
) -> Result<(impl AsyncRead + Send + Unpin + 'static, impl AsyncWrite + Send + Unpin + 'static), Error> {
    let options =
        AttachContainerOptionsBuilder::default().stdin(true).stdout(true).stderr(true).stream(true).logs(false).build();
    let attached = docker.attach_container(name, Some(options)).await?;
    let said = attached.output.filter_map(|chunk| {
        let said = match chunk {
            Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => Some(Ok(message)),
            Ok(LogOutput::StdErr { message }) => {
                let text: String = String::from_utf8_lossy(&message).chars().take(200).collect();
                tracing::debug!(text, "a guest complains");
                None
            }
            Ok(LogOutput::StdIn { .. }) => None,
            Err(error) => Some(Err(io::Error::other(daemon::explain(&error)))),
        };
        std::future::ready(said)
    });
    Ok((StreamReader::new(said), attached.input))
}

/// Hands every chunk to `sink`, to the end of both streams.
pub(super) async fn drain(attached: AttachContainerResults, sink: &dyn Sink) -> Result<(), Error> {
    let mut output = attached.output;
    while let Some(chunk) = output.next().await {
        match chunk? {
            LogOutput::StdOut { message } | LogOutput::Console { message } => sink.output(Stream::Stdout, &message),
            LogOutput::StdErr { message } => sink.output(Stream::Stderr, &message),
            LogOutput::StdIn { .. } => {}
        }
    }
    Ok(())
}
