//! A volume of the daemon without a limit of its own, for agents that are not root.
//!
//! Such a volume belongs to root, and the job's user could not write to it. A helper container
//! that is never started lends its root to change that.
//!
//! Invariant: the helper runs nothing.

use super::super::create::{TaskVolume, labels_of};
use super::super::image::Image;
use super::super::{daemon, sweep};
use crate::volume::USER_ID;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use hivemind_model::AttemptRef;
use hivemind_model::state::Outcome;

/// Makes `volume` and gives it to the job's user.
pub(in super::super) async fn own(
    docker: &Docker,
    instance: &str,
    attempt: AttemptRef,
    image: &Image,
    volume: &TaskVolume,
) -> Result<(), Outcome> {
    let helper = format!("{}-helper", volume.name);
    let made = make(docker, &helper, instance, attempt, image, volume).await;
    let removed = sweep::remove_container(docker, &helper).await;
    made?;
    removed
        .map_err(|error| Outcome::Infrastructure { reason: format!("the helper that prepares /task stays: {error}") })
}

async fn make(
    docker: &Docker,
    helper: &str,
    instance: &str,
    attempt: AttemptRef,
    image: &Image,
    volume: &TaskVolume,
) -> Result<(), Outcome> {
    let labels = labels_of(instance, attempt);
    let mount = Mount {
        typ: Some(MountType::VOLUME),
        target: Some("/task".into()),
        source: Some(volume.name.clone()),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(labels.clone()),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    };
    let request = ContainerCreateBody {
        image: Some(image.id.clone()),
        cmd: Some(vec!["never-started".into()]),
        labels: Some(labels),
        host_config: Some(HostConfig {
            network_mode: Some("none".into()),
            mounts: Some(vec![mount]),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let failed = |error: &bollard::errors::Error| daemon::fault("the volume for /task could not be prepared", error);
    let options = CreateContainerOptionsBuilder::default().name(helper).build();
    docker.create_container(Some(options), request).await.map_err(|error| failed(&error))?;
    let archive = folder().map_err(|error| daemon::io_fault("the volume for /task could not be prepared", &error))?;
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    docker
        .upload_to_container(helper, Some(options), bollard::body_full(archive.into()))
        .await
        .map_err(|error| failed(&error))
}

/// An archive of the folder `task` with the one for the progress in it, owned by the job's user.
fn folder() -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o755);
    header.set_uid(USER_ID.into());
    header.set_gid(USER_ID.into());
    header.set_mtime(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, "task/", std::io::empty())?;
    builder.append_data(&mut header, format!("task/{}/", crate::progress::FOLDER), std::io::empty())?;
    builder.into_inner()
}
