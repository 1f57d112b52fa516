//! An image made of this machine's static busybox, without any network.

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::{CreateImageOptionsBuilder, ListContainersOptionsBuilder};
use futures::StreamExt;
use std::collections::HashMap;

/// The image's name.
pub const BUSYBOX: &str = "hivemind-test:busybox";

const COMMANDS: [&str; 10] = ["sh", "cat", "echo", "false", "id", "ls", "mkdir", "sleep", "touch", "true"];

/// A daemon, or `None` with a printed line where none answers and none is required
/// (`HIVEMIND_REQUIRE_DOCKER=1`).
///
/// # Errors
/// Where a daemon is required and none answers.
pub async fn daemon() -> anyhow::Result<Option<Docker>> {
    let connected = async { Docker::connect_with_unix_defaults()?.negotiate_version().await };
    match connected.await {
        Ok(docker) => Ok(Some(docker)),
        Err(error) if std::env::var("HIVEMIND_REQUIRE_DOCKER").is_ok_and(|value| value == "1") => {
            Err(error).context("a Docker daemon is required")
        }
        Err(error) => {
            println!("skipped: no Docker daemon answers: {error}");
            Ok(None)
        }
    }
}

/// Makes [`BUSYBOX`] unless it is there.
///
/// # Errors
/// Where busybox is not installed or the daemon refuses.
pub async fn make_busybox(docker: &Docker) -> anyhow::Result<()> {
    if docker.inspect_image(BUSYBOX).await.is_ok() {
        return Ok(());
    }
    let (repository, tag) = BUSYBOX.split_once(':').context("the name has a tag")?;
    let options = CreateImageOptionsBuilder::default().from_src("-").repo(repository).tag(tag).build();
    let body = bollard::body_full(root_file_system()?.into());
    let mut progress = std::pin::pin!(docker.create_image(Some(options), Some(body), None));
    while let Some(line) = progress.next().await {
        line?;
    }
    Ok(())
}

fn root_file_system() -> anyhow::Result<Vec<u8>> {
    let busybox = std::fs::read("/bin/busybox").context("/bin/busybox: install busybox-static")?;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(busybox.len() as u64);
    archive.append_data(&mut header, "bin/busybox", busybox.as_slice())?;
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    for name in COMMANDS {
        archive.append_link(&mut header, format!("bin/{name}"), "busybox")?;
    }
    Ok(archive.into_inner()?)
}

/// Ids of the running containers of one task.
///
/// # Errors
/// Where the daemon does not answer.
pub async fn containers_of(docker: &Docker, task: impl std::fmt::Display) -> anyhow::Result<Vec<String>> {
    let label = HashMap::from([("label".to_owned(), vec![format!("hivemind.task={task}")])]);
    let options = ListContainersOptionsBuilder::default().filters(&label).build();
    let found = docker.list_containers(Some(options)).await?;
    Ok(found.into_iter().filter_map(|container| container.id).collect())
}
