//! A daemon that does what it is told and does not say so.

use crate::rig::{DEADLINE, Rig};
use hivemind_model::state::Outcome;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// A socket before the daemon's own, on which the answer to a start waits for `released`.
fn before_the_daemon(folder: &Path, released: CancellationToken) -> PathBuf {
    let socket = folder.join("slow.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, released.clone()));
        }
    });
    socket
}

async fn pass(client: UnixStream, released: CancellationToken) {
    let daemon = UnixStream::connect("/var/run/docker.sock").await.expect("a daemon");
    let ((mut from_client, mut to_client), (mut from_daemon, mut to_daemon)) =
        (client.into_split(), daemon.into_split());
    let started = CancellationToken::new();
    let asked = started.clone();
    let asking = async move {
        let mut piece = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_client.read(&mut piece).await {
            if String::from_utf8_lossy(&piece[..length]).contains("/start HTTP") {
                asked.cancel();
            }
            if to_daemon.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
    };
    let answering = async move {
        let mut piece = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_daemon.read(&mut piece).await {
            if started.is_cancelled() {
                released.cancelled().await;
            }
            if to_client.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(asking, answering);
}

#[tokio::test]
async fn a_job_that_is_stopped_while_it_starts_is_dead_at_once() {
    let released = CancellationToken::new();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = before_the_daemon(folder.path(), released.clone());
    let slow = |config| hivemind_runtime::docker::DockerConfig { socket: Some(socket.display().to_string()), ..config };
    let Some(rig) = Rig::with("slow", slow).await else { return };
    let job = rig.job(&["sleep", "600"]);
    let name = rig.container(job.attempt);
    let (running, ear, stop) = rig.start(job);
    let is_running = async || {
        let state = rig.docker.inspect_container(&name, None).await.ok().and_then(|container| container.state);
        state.and_then(|state| state.running) == Some(true)
    };
    let becomes = async |wanted: bool| {
        while is_running().await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, becomes(true)).await.expect("it was not started");
    stop.cancel();
    // Long before the daemon would be given up.
    tokio::time::timeout(Duration::from_secs(10), becomes(false)).await.expect("it runs though it was stopped");
    assert!(!running.is_finished(), "how the start went is not known yet");
    released.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    assert!(ear.out().is_empty());
    rig.down().await;
}
