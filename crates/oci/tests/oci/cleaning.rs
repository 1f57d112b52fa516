//! Nothing outlives its job or its agent.

use crate::rig::{DEADLINE, Rig, config, groups};
use hivemind_model::state::Outcome;
use hivemind_oci::{OciLeftovers, OciRuntime};
use hivemind_runtime::reaper::{Reaped, reap};
use hivemind_runtime::{Runtime, Verdict};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Where the agent that is killed is told what to run; see [`an_agent_to_be_killed`].
const AGENT_FOLDER: &str = "HIVEMIND_OCI_TEST_AGENT_FOLDER";

/// Another process's part of the test below: an agent whose job never ends.
#[tokio::test]
async fn an_agent_to_be_killed() {
    let Ok(folder) = std::env::var(AGENT_FOLDER) else { return };
    let Some(rig) = Rig::with("killed", |mut config| {
        config.instance = "oci-test-killed".into();
        config.state = std::path::Path::new(&folder).join("state");
        config
    })
    .await
    else {
        return;
    };
    let (running, ear, _stop) = rig.start(rig.script("(trap '' TERM; sleep 600) & echo x > here; echo up; sleep 600"));
    ear.until(|ear| ear.out() == "up\n").await;
    std::fs::write(std::path::Path::new(&folder).join("up"), "").expect("written");
    let _ = running.await;
}

#[tokio::test]
async fn a_killed_agent_leaves_nothing() {
    let Some(rig) = Rig::with("killed-by", |mut config| {
        config.instance = "oci-test-killed".into();
        config
    })
    .await
    else {
        return;
    };
    let mut agent = tokio::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "cleaning::an_agent_to_be_killed", "--nocapture"])
        .env(AGENT_FOLDER, rig.folder.path())
        .kill_on_drop(true)
        .spawn()
        .expect("an agent");
    let up = rig.folder.path().join("up");
    let started = async {
        while !up.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, started).await.expect("the agent runs nothing");
    assert!(!rig.leftovers().is_empty());
    agent.kill().await.expect("killed");
    // Without anybody's doing.
    rig.clean().await;
    assert_eq!(rig.runtime.sweep().await, Ok(0));
    rig.down().await;
}

#[tokio::test]
async fn a_killed_helper_takes_its_container_along_and_is_not_the_task_s_fault() {
    let Some(rig) = Rig::up("helper").await else { return };
    let job = rig.script("(trap '' TERM; sleep 600) & echo up; sleep 600");
    let attempt = job.attempt;
    let (running, ear, _stop) = rig.start(job);
    ear.until(|ear| ear.out() == "up\n").await;
    let group = groups(&rig.instance).pop().expect("a group").join(attempt.to_string());
    let processes = std::fs::read_to_string(group.join("cgroup.procs")).expect("processes");
    let first = processes.lines().next().expect("a process");
    let status = std::fs::read_to_string(format!("/proc/{first}/status")).expect("its status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim();
    let parent = rustix::process::Pid::from_raw(parent.parse().expect("a number")).expect("a process");
    rustix::process::kill_process(parent, rustix::process::Signal::KILL).expect("killed");
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    rig.down().await;
}

#[tokio::test]
async fn a_sweep_takes_the_dead_of_its_own_and_spares_the_living() {
    let Some(rig) = Rig::up("sweep").await else { return };
    let (running, ear, stop) = rig.start(rig.job(&["sleep", "600"]));
    ear.until(|ear| ear.starts() == 1).await;
    for group in groups(&rig.instance) {
        std::fs::create_dir(group.join("att_999.0.1")).expect("made");
    }
    let state = rig.folder.path().join("state");
    std::fs::write(state.join("volumes/att_999.0.1.img"), "").expect("written");
    std::fs::create_dir_all(state.join("images/making/by-nobody/x")).expect("made");
    std::fs::create_dir_all(state.join("images/layers/unknown")).expect("made");
    assert_eq!(rig.runtime.sweep().await, Ok(1));
    assert!(!state.join("images/making/by-nobody").exists() && !state.join("images/layers/unknown").exists());
    assert!(!running.is_finished());
    // A second agent of the same instance knows nothing of the first one's job.
    let mut same = config("sweep", rig.folder.path());
    same.instance.clone_from(&rig.instance);
    let next = OciRuntime::open(same).await.expect("opened");
    assert_eq!(next.sweep().await, Ok(1));
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    drop(stop);
    rig.down().await;
}

#[tokio::test]
async fn whoever_watches_the_leases_can_end_everything() {
    let Some(rig) = Rig::up("leases").await else { return };
    let (running, ear, _stop) = rig.start(rig.job(&["sleep", "600"]));
    ear.until(|ear| ear.starts() == 1).await;
    assert_eq!(hivemind_oci::end_all(&rig.instance, std::path::Path::new("")), Ok(1));
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    assert_eq!(hivemind_oci::end_all(&rig.instance, std::path::Path::new("")), Ok(0));
    rig.down().await;
}

#[tokio::test]
async fn the_reaper_ends_what_has_no_lease_though_the_agent_lives() {
    let Some(rig) = Rig::up("reaper").await else { return };
    let (running, ear, _stop) = rig.start(rig.job(&["sleep", "600"]));
    ear.until(|ear| ear.starts() == 1).await;
    let (mut agent, helper) = tokio::io::duplex(64);
    let state = rig.folder.path().join("state");
    let left = OciLeftovers::new(&rig.instance, std::path::Path::new(""), &state).expect("sound");
    let reaping = tokio::spawn(async move { reap(&[Box::new(left)], helper).await });
    agent.write_all(b"lease 600000\nlease 0\n").await.expect("told");
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");

    // The agent goes on, with a new lease, and is killed.
    agent.write_all(b"lease 600000\n").await.expect("told");
    let (running, ear, _stop) = rig.start(rig.job(&["sleep", "600"]));
    ear.until(|ear| ear.starts() == 1).await;
    drop(agent);
    assert_eq!(reaping.await.expect("ended"), Ok(Reaped::Removed(1)));
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    rig.down().await;
}

#[tokio::test]
async fn health_names_everything_and_how_to_mend_it() {
    let Some(rig) = Rig::up("health").await else { return };
    let checks = rig.runtime.health().await;
    for name in
        ["built-in runtime", "seccomp", "user namespace", "pausing", "disk limit of tasks", "free disk", "images"]
    {
        assert!(checks.iter().any(|check| check.name == name), "{name} is not in {checks:?}");
    }
    for check in checks {
        assert_eq!(check.fix.is_empty(), check.verdict == Verdict::Good, "{check:?}");
    }
    rig.down().await;
}

#[tokio::test]
async fn a_config_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for change in [
        (|config: &mut hivemind_oci::OciConfig| config.instance = "not a label".into()) as fn(&mut _),
        |config| config.parent_group = "/absolute".into(),
        |config| config.parent_group = "a/../b".into(),
    ] {
        let mut config = config("refused", folder.path());
        change(&mut config);
        OciRuntime::open(config).await.expect_err("taken");
    }
}
