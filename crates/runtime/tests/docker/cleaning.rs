//! Nothing outlives its job or its agent.

use crate::rig::{DEADLINE, Rig, config};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use hivemind_model::state::Outcome;
use hivemind_runtime::docker::{DockerRuntime, Reaped, reap};
use hivemind_runtime::{Runtime, Verdict};
use std::collections::HashMap;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

/// A container as a killed agent leaves it: running.
async fn orphan(rig: &Rig, instance: &str, name: &str) {
    let labels = HashMap::from([
        ("hivemind.instance".to_owned(), instance.to_owned()),
        ("hivemind.attempt".to_owned(), "att_999.0.1".to_owned()),
    ]);
    let host_config = Some(HostConfig { network_mode: Some("none".into()), ..HostConfig::default() });
    let request = ContainerCreateBody {
        image: Some(crate::rig::IMAGE.into()),
        cmd: Some(vec!["sleep".into(), "600".into()]),
        labels: Some(labels),
        host_config,
        ..ContainerCreateBody::default()
    };
    rig.docker
        .create_container(Some(CreateContainerOptionsBuilder::default().name(name).build()), request)
        .await
        .expect("made");
    rig.docker.start_container(name, None).await.expect("started");
}

/// The agent's end of the pipe, and the helper behind it.
fn helper(rig: &Rig) -> (DuplexStream, JoinHandle<Result<Reaped, String>>) {
    let (agent, helper) = tokio::io::duplex(64);
    let (instance, state) = (rig.instance.clone(), rig.folder.path().to_owned());
    (agent, tokio::spawn(async move { reap(&instance, &state, None, helper).await }))
}

#[tokio::test]
async fn a_sweep_takes_the_dead_of_its_own_and_spares_the_living_and_the_others() {
    let Some(rig) = Rig::up("sweep").await else { return };
    let (other, name) = (format!("{}-other", rig.instance), format!("{}-other", rig.instance));
    orphan(&rig, &rig.instance, &format!("{}-orphan", rig.instance)).await;
    orphan(&rig, &other, &name).await;
    std::fs::write(rig.folder.path().join("volumes/att_999.0.1.img"), "").expect("written");
    let (running, ear, stop) = rig.start(rig.job(&["sleep", "600"]));
    ear.until(|ear| ear.starts() == 1).await;

    assert_eq!(rig.runtime.sweep().await, Ok(1));
    assert_eq!(rig.leftovers().await.0, 1, "only the living one stays");
    assert!(rig.docker.inspect_container(&name, None).await.is_ok(), "another instance's was taken");

    rig.docker
        .remove_container(&name, Some(RemoveContainerOptionsBuilder::default().force(true).build()))
        .await
        .expect("removed");
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    assert_eq!(rig.runtime.sweep().await, Ok(0));
    rig.down().await;
}

#[tokio::test]
async fn the_next_agent_sweeps_container_volume_device_and_file() {
    let Some(rig) = Rig::up("next").await else { return };
    let (running, ear, _stop) = rig.start(rig.job(&["sleep", "600"]));
    ear.until(|ear| ear.starts() == 1).await;
    assert_eq!(rig.leftovers().await.0, 1);
    // A second agent of the same instance knows nothing of the first one's job.
    let next = DockerRuntime::connect(config("next", rig.folder.path())).await.expect("connected");
    assert_eq!(next.sweep().await, Ok(1));
    assert_eq!(rig.leftovers().await, (0, 0, 0));
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    rig.down().await;
}

#[tokio::test]
async fn the_reaper_waits_for_the_agent_and_then_leaves_nothing_running() {
    let Some(rig) = Rig::up("reaper").await else { return };
    let name = format!("{}-orphan", rig.instance);
    orphan(&rig, &rig.instance, &name).await;
    let (agent, reaper) = helper(&rig);
    tokio::task::yield_now().await;
    assert!(!reaper.is_finished());
    assert!(rig.docker.inspect_container(&name, None).await.is_ok());
    drop(agent);
    assert_eq!(reaper.await.expect("ended"), Ok(Reaped::Removed(1)));
    rig.down().await;
}

#[tokio::test]
async fn the_reaper_takes_the_disk_of_a_killed_agent_too() {
    let Some(rig) = Rig::up("reaped-disk").await else { return };
    let (running, ear, _stop) = rig.start(rig.job(&["sleep", "600"]));
    ear.until(|ear| ear.starts() == 1).await;
    let (agent, reaper) = helper(&rig);
    drop(agent);
    assert_eq!(reaper.await.expect("ended"), Ok(Reaped::Removed(1)));
    assert_eq!(rig.leftovers().await, (0, 0, 0));
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    rig.down().await;
}

#[tokio::test]
async fn the_reaper_ends_what_has_no_lease_though_the_agent_lives() {
    let Some(rig) = Rig::up("reaped-lease").await else { return };
    let name = format!("{}-orphan", rig.instance);
    orphan(&rig, &rig.instance, &name).await;
    let (mut agent, reaper) = helper(&rig);
    agent.write_all(b"lease 600000\nlease 100\n").await.expect("told");
    let gone = async {
        while rig.docker.inspect_container(&name, None).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("it runs without a lease");
    // The agent goes on, with a new lease, and ends in an orderly way.
    agent.write_all(b"lease 600000\nq").await.expect("told");
    assert_eq!(reaper.await.expect("ended"), Ok(Reaped::Dismissed));
    rig.down().await;
}

#[tokio::test]
async fn health_names_everything_and_how_to_mend_it() {
    let Some(rig) = Rig::up("health").await else { return };
    let checks = rig.runtime.health().await;
    for name in ["docker daemon", "memory limit", "process limit", "seccomp", "disk limit of tasks", "free disk"] {
        assert!(checks.iter().any(|check| check.name == name), "{name} is not in {checks:?}");
    }
    for check in checks {
        assert_eq!(check.fix.is_empty(), check.verdict == Verdict::Good, "{check:?}");
    }
    rig.down().await;
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config("nobody", folder.path());
    config.socket = Some(folder.path().join("none.sock").display().to_string());
    let error = DockerRuntime::connect(config.clone()).await.expect_err("connected to nothing");
    assert!(error.contains("none.sock") && error.contains("is it running"), "{error}");
    config.instance = "not a label".into();
    assert!(DockerRuntime::connect(config).await.is_err());
}
