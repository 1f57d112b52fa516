//! Removal of what an earlier process of the same agent left.
//!
//! Start at [`containers`]. Only what carries this instance's label is touched.
//!
//! Invariant: a thing that is gone already is a success.

use super::create::{LABEL_ATTEMPT, LABEL_INSTANCE};
use super::daemon;
use super::meter::Cgroup;
use bollard::Docker;
use bollard::models::{ContainerSummary, Volume};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use hivemind_model::AttemptRef;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Looks for a removal that the daemon has under way already.
const LOOKS: usize = 100;
/// Wait between two of them.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Which of an instance's things are removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    /// Those of every attempt but these.
    AllBut(&'a HashSet<AttemptRef>),
    /// Those made up to this second since 1970; later ones are a successor's.
    MadeUntil(i64),
}

impl Which<'_> {
    fn takes(self, labels: Option<&HashMap<String, String>>, made: Option<i64>) -> bool {
        match self {
            Self::AllBut(live) => {
                let attempt = labels.and_then(|labels| labels.get(LABEL_ATTEMPT)?.parse().ok());
                attempt.is_none_or(|attempt| !live.contains(&attempt))
            }
            Self::MadeUntil(end) => made.is_none_or(|made| made <= end),
        }
    }
}

/// Kills and removes containers and volumes of `instance`; how many containers there were.
///
/// Goes on to the end where one of them cannot be removed, and then says which.
pub(super) async fn containers(docker: &Docker, instance: &str, which: Which<'_>) -> Result<usize, String> {
    let mut stuck = Vec::new();
    let found = list_containers(docker, instance).await?;
    let mut count = 0;
    for container in found.iter().filter(|container| which.takes(container.labels.as_ref(), container.created)) {
        let Some(id) = &container.id else { continue };
        count += 1;
        // What stands still would not see that it is killed. By the daemon, so that it is known by whom.
        if let Some(cgroup) = Cgroup::locate(id) {
            cgroup.freeze(false);
        }
        if let Err(error) = remove_container(docker, id).await {
            stuck.push(format!("container {id}: {error}"));
        }
    }
    for volume in list_volumes(docker, instance).await? {
        let made = volume.created_at.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        if which.takes(Some(&volume.labels), made.map(jiff::Timestamp::as_second))
            && let Err(error) = remove_volume(docker, &volume.name).await
        {
            stuck.push(format!("volume {}: {error}", volume.name));
        }
    }
    if stuck.is_empty() {
        Ok(count)
    } else {
        Err(format!("left by an earlier process and not removed: {}", stuck.join("; ")))
    }
}

fn labelled(instance: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{LABEL_INSTANCE}={instance}")])])
}

async fn list_containers(docker: &Docker, instance: &str) -> Result<Vec<ContainerSummary>, String> {
    let options = ListContainersOptionsBuilder::default().all(true).filters(&labelled(instance)).build();
    docker
        .list_containers(Some(options))
        .await
        .map_err(|error| format!("the Docker daemon does not list its containers: {}", daemon::explain(&error)))
}

async fn list_volumes(docker: &Docker, instance: &str) -> Result<Vec<Volume>, String> {
    let options = ListVolumesOptionsBuilder::default().filters(&labelled(instance)).build();
    let listed = docker.list_volumes(Some(options)).await;
    let volumes =
        listed.map_err(|error| format!("the Docker daemon does not list its volumes: {}", daemon::explain(&error)))?;
    Ok(volumes.volumes.unwrap_or_default())
}

/// Kills and removes one container, with anonymous volumes, and waits until it is gone.
pub(super) async fn remove_container(docker: &Docker, name: &str) -> Result<(), String> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match docker.remove_container(name, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if daemon::is_absent(&error) => Ok(()),
        Err(error) if daemon::status(&error) == Some(409) => gone(docker, name).await,
        Err(error) => Err(daemon::explain(&error)),
    }
}

/// Waits for a removal that somebody else asked for.
async fn gone(docker: &Docker, name: &str) -> Result<(), String> {
    for _ in 0..LOOKS {
        match docker.inspect_container(name, None).await {
            Err(error) if daemon::is_absent(&error) => return Ok(()),
            Err(error) => return Err(daemon::explain(&error)),
            Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    Err("its removal is under way and does not end".into())
}

/// Removes one volume.
pub(super) async fn remove_volume(docker: &Docker, name: &str) -> Result<(), String> {
    match docker.remove_volume(name, Some(RemoveVolumeOptionsBuilder::default().build())).await {
        Ok(()) => Ok(()),
        Err(error) if daemon::is_absent(&error) => Ok(()),
        Err(error) => Err(daemon::explain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{ElementRef, TaskId};

    #[test]
    fn the_living_and_the_successor_s_are_left_alone() {
        let attempt = |n| ElementRef::only(TaskId(n)).attempt(1);
        let labels = |text: &str| HashMap::from([(LABEL_ATTEMPT.to_owned(), text.to_owned())]);
        let live = HashSet::from([attempt(1)]);
        let all_but = Which::AllBut(&live);
        assert!(!all_but.takes(Some(&labels("att_1.0.1")), None));
        assert!(all_but.takes(Some(&labels("att_1.0.2")), None));
        assert!(all_but.takes(Some(&labels("garbage")), None) && all_but.takes(None, None));
        let until = Which::MadeUntil(100);
        assert!(until.takes(None, Some(100)) && until.takes(None, None) && !until.takes(None, Some(101)));
    }
}
