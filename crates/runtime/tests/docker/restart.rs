//! A daemon that goes away under running commands, and comes back.

use crate::rig::{DEADLINE, Rig};
use hivemind_model::state::Outcome;
use hivemind_model::{ElementRef, TaskId};
use hivemind_runtime::Job;
use hivemind_runtime::docker::DockerConfig;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// A socket before the daemon's own, on which nobody is there while `is_up` is false.
fn before_the_daemon(folder: &Path, is_up: watch::Receiver<bool>) -> PathBuf {
    let socket = folder.join("restarted.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, is_up.clone()));
        }
    });
    socket
}

async fn pass(mut client: UnixStream, mut is_up: watch::Receiver<bool>) {
    let mut daemon = UnixStream::connect("/var/run/docker.sock").await.expect("a daemon");
    tokio::select! {
        biased;
        _ = is_up.wait_for(|is_up| !is_up) => {}
        _ = tokio::io::copy_bidirectional(&mut client, &mut daemon) => {}
    }
}

#[tokio::test]
async fn a_daemon_that_goes_away_ends_what_runs_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (switch, is_up) = watch::channel(true);
    let socket = before_the_daemon(folder.path(), is_up);
    let through = |config| DockerConfig { socket: Some(socket.display().to_string()), ..config };
    let Some(rig) = Rig::with("restart", through).await else { return };
    let attempt = ElementRef { task: TaskId(7300), index: 0 }.attempt(1);
    for job in [rig.script("echo up; sleep 600"), Job { attempt, warm: true, ..rig.script("echo up; sleep 600") }] {
        let name = rig.container(job.attempt);
        let (running, ear, _stop) = rig.start(job);
        ear.until(|ear| ear.out() == "up\n").await;
        switch.send_replace(false);
        let finished = tokio::time::timeout(DEADLINE, running).await.expect("it waits for ever").expect("ended");
        let Outcome::Infrastructure { reason } = finished.outcome else { panic!("{:?}", finished.outcome) };
        assert!(reason.contains("the Docker daemon went away"), "{reason}");
        // Killed though nobody could be asked to.
        let dead = async {
            loop {
                let found = rig.docker.inspect_container(&name, None).await.expect("it is still there");
                if found.state.and_then(|state| state.running) == Some(false) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, dead).await.expect("it runs on");
        switch.send_replace(true);
    }
    rig.down().await;
}
