//! What an owner and a requester see and decide while a command runs: pauses, usage, progress.

use crate::rig::{DEADLINE, Ear, Heard, Rig};
use hivemind_model::state::Outcome;
use hivemind_model::units::{Bytes, Millis};
use hivemind_model::{ElementRef, TaskId};
use hivemind_runtime::{Control, Job, Stop};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A control, and both of its handles.
fn control(is_paused: bool) -> (Control, watch::Sender<bool>, Stop) {
    let (pause, paused) = watch::channel(is_paused);
    let stop = Stop::new();
    (Control { stop: stop.clone(), paused }, pause, stop)
}

/// Waits until `is_so`.
async fn until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("it did not come to that");
}

/// True where the kernel lets nothing of the container run.
async fn is_frozen(rig: &Rig, name: &str) -> bool {
    let found = rig.docker.inspect_container(name, None).await.ok();
    let Some(id) = found.and_then(|container| container.id) else { return false };
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let groups = [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")];
    groups.iter().any(|group| {
        read(format!("/sys/fs/cgroup/freezer/{group}/freezer.state")).trim() == "FROZEN"
            || read(format!("/sys/fs/cgroup/{group}/cgroup.events")).contains("frozen 1")
    })
}

fn ticks(ear: &Ear) -> usize {
    ear.out().lines().count()
}

const TICKING: &str = "while true; do echo tick; sleep 0.05; done";

/// The same job in a container of its own, and in one that elements share.
fn both(rig: &Rig, script: &str) -> [Job; 2] {
    let attempt = ElementRef { task: TaskId(7100), index: u32::try_from(script.len()).expect("short") }.attempt(1);
    [rig.script(script), Job { attempt, warm: true, ..rig.script(script) }]
}

#[tokio::test]
async fn a_pause_stops_everything_and_its_time_does_not_count() {
    let Some(rig) = Rig::up("pause").await else { return };
    for job in both(&rig, TICKING) {
        let name = rig.container(job.attempt);
        let limit = Duration::from_millis(1500);
        let (control, pause, _stop) = control(false);
        let began = Instant::now();
        let (running, ear) = rig.start_with(Job { max_runtime: Millis(1500), ..job }, control);
        ear.until(|ear| ticks(ear) >= 2).await;
        pause.send_replace(true);
        until(async || is_frozen(&rig, &name).await).await;
        let (since, before) = (Instant::now(), ticks(&ear));
        // For longer than it might run.
        until(async || since.elapsed() > limit + Duration::from_millis(500)).await;
        assert!(!running.is_finished() && is_frozen(&rig, &name).await, "it goes on");
        let stood = since.elapsed();
        pause.send_replace(false);
        ear.until(|ear| ticks(ear) > before).await;
        let finished = running.await.expect("ended");
        assert_eq!(finished.outcome, Outcome::TimedOut);
        let wall = Duration::from_millis(finished.metering.wall.0);
        assert!(wall + stood <= began.elapsed() + Duration::from_millis(1), "{wall:?} and {stood:?}");
        assert!(wall >= Duration::from_millis(1400), "{wall:?}");
    }
    rig.down().await;
}

#[tokio::test]
async fn a_stop_ends_what_stands_still() {
    let Some(rig) = Rig::up("paused-stop").await else { return };
    for job in both(&rig, TICKING) {
        let name = rig.container(job.attempt);
        let (control, pause, stop) = control(false);
        let (running, ear) = rig.start_with(job, control);
        ear.until(|ear| ticks(ear) >= 2).await;
        pause.send_replace(true);
        until(async || is_frozen(&rig, &name).await).await;
        stop.cancel();
        let finished = tokio::time::timeout(DEADLINE, running).await.expect("it stands for ever").expect("ended");
        assert_eq!(finished.outcome, Outcome::Cancelled);
    }
    rig.down().await;
}

#[tokio::test]
async fn what_is_prepared_waits_before_its_start() {
    let Some(rig) = Rig::up("paused-early").await else { return };
    for job in both(&rig, "exit 6") {
        let name = rig.container(job.attempt);
        let (control, pause, _stop) = control(true);
        let (running, ear) = rig.start_with(job, control);
        let state = async || rig.docker.inspect_container(&name, None).await.ok().and_then(|found| found.state);
        until(async || state().await.is_some()).await;
        assert_eq!((state().await.and_then(|state| state.running), ear.starts()), (Some(false), 0));
        pause.send_replace(false);
        assert_eq!(running.await.expect("ended").outcome, Outcome::Exited { code: 6 });
        let (control, _pause, stop) = self::control(true);
        let again = rig.script("true");
        let (running, ear) = rig.start_with(again, control);
        stop.cancel();
        assert_eq!((running.await.expect("ended").outcome, ear.starts()), (Outcome::Cancelled, 0));
    }
    rig.down().await;
}

#[tokio::test]
async fn a_paused_container_of_a_killed_agent_is_swept() {
    let Some(rig) = Rig::up("paused-sweep").await else { return };
    let job = rig.script(TICKING);
    let name = rig.container(job.attempt);
    let (control, pause, _stop) = control(false);
    let (running, ear) = rig.start_with(job, control);
    ear.until(|ear| ticks(ear) >= 2).await;
    pause.send_replace(true);
    until(async || is_frozen(&rig, &name).await).await;
    // As the helper of a killed agent does it.
    let reaped =
        hivemind_runtime::docker::reap(&rig.instance, &rig.folder.path().join("elsewhere"), None, &b""[..]).await;
    assert_eq!(reaped, Ok(hivemind_runtime::docker::Reaped::Removed(1)));
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    rig.down().await;
}

#[tokio::test]
async fn usage_and_progress_are_told_while_it_runs() {
    let Some(rig) = Rig::up("usage").await else { return };
    let script = "echo 10 > .hivemind/progress; head -c 1000000 /dev/zero > x; for i in 1 2 3 4 5 6 7 8; do head -c 30000000 /dev/zero | wc -c > /dev/null; sleep 0.5; done; echo 100 > /task/.hivemind/progress";
    for job in both(&rig, script) {
        let (running, ear, _stop) = rig.start(job);
        let finished = running.await.expect("ended");
        assert_eq!(finished.outcome, Outcome::Exited { code: 0 }, "{}", ear.err());
        let heard = ear.heard();
        let progress = heard.iter().filter_map(|one| match one {
            Heard::Progress(percent) => Some(*percent),
            Heard::Note(_) | Heard::Started | Heard::Output(..) | Heard::Usage(_) => None,
        });
        let progress: Vec<u8> = progress.collect();
        assert!(progress == [10, 100], "{progress:?}");
        let usage = heard.iter().find_map(|one| match one {
            Heard::Usage(usage) => Some(*usage),
            Heard::Note(_) | Heard::Started | Heard::Output(..) | Heard::Progress(_) => None,
        });
        let usage = usage.expect("nothing was told of what it uses");
        assert!(usage.cpu > Millis(0) && usage.memory > Bytes(0) && usage.disk > Bytes(1_000_000), "{usage:?}");
    }
    rig.down().await;
}
