//! What the command writes, on its way to the sink.
//!
//! Invariant: nothing is kept here; a chunk lives until the sink has seen it.

use crate::{Sink, Stream};
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures::StreamExt;

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
