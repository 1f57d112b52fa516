//! Elements of an array that share a container.

use crate::rig::{Ear, Rig, make_image};
use bollard::query_parameters::{KillContainerOptionsBuilder, ListContainersOptionsBuilder};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::{Bytes, Millis};
use hivemind_model::{ElementRef, Resources, TaskId};
use hivemind_runtime::docker::{DiskLimit, DockerConfig};
use hivemind_runtime::{Control, Finished, Job, Runtime, Stop};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The element `index` of one array.
fn element(rig: &Rig, index: u32, script: &str) -> Job {
    let attempt = ElementRef { task: TaskId(7000), index }.attempt(1);
    Job { attempt, warm: true, ..rig.script(script) }
}

/// The ids of this instance's containers.
async fn containers(rig: &Rig) -> Vec<String> {
    let labels = HashMap::from([("label".to_owned(), vec![format!("hivemind.instance={}", rig.instance)])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&labels).build();
    let found = rig.docker.list_containers(Some(options)).await.expect("listed");
    let mut ids: Vec<_> = found.into_iter().filter_map(|container| container.id).collect();
    ids.sort();
    ids
}

fn exited(finished: &Finished, code: i32, ear: &Ear) {
    assert_eq!(finished.outcome, Outcome::Exited { code }, "{}{}", ear.out(), ear.err());
}

#[tokio::test]
async fn elements_share_a_container_and_nothing_else() {
    let Some(rig) = Rig::up("warm-share").await else { return };
    let input = rig.folder.path().join("input");
    std::fs::write(&input, "input").expect("written");
    let with_input = |job: Job| Job { files: vec![("in/a".into(), input.clone()), ("b".into(), input.clone())], ..job };
    let messy = "cat in/a b; echo $HIVEMIND_INDEX; mkdir output; echo mine > output/x; mkdir -p a/b/c in/own; touch a/b/c/d in/own/x /tmp/x /dev/shm/y; mkdir -m 0 /tmp/closed; sleep 600 & exit 3";
    let (finished, ear) = rig.run(with_input(element(&rig, 0, messy))).await;
    exited(&finished, 3, &ear);
    assert_eq!(ear.out(), "inputinput0\n");
    assert!(finished.output.is_some() && finished.metering.peak_memory > Bytes(0) && ear.starts() == 1);
    let first = containers(&rig).await;
    assert_eq!(first.len(), 1);
    let curious = "cat in/a b; echo $HIVEMIND_INDEX; find /task /tmp /dev/shm | sort; ls /proc | grep -c '^[0-9]*$'";
    let (finished, ear) = rig.run(with_input(element(&rig, 1, curious))).await;
    exited(&finished, 0, &ear);
    assert!(finished.output.is_none());
    let found = "/dev/shm\n/task\n/task/.hivemind\n/task/.hivemind/guest\n/task/b\n/task/in\n/task/in/a\n/tmp\n";
    // The guest, the shell, and the two of the last pipe.
    assert_eq!(ear.out(), format!("inputinput1\n{found}4\n"));
    assert_eq!(containers(&rig).await, first, "it is the same container");
    // Another one's elements do not meet them.
    let other = ElementRef { task: TaskId(7001), index: 0 }.attempt(1);
    let (finished, ear) = rig.run(with_input(Job { attempt: other, ..element(&rig, 2, "true") })).await;
    exited(&finished, 0, &ear);
    rig.runtime.settled().await;
    assert!(containers(&rig).await.is_empty());
    rig.down().await;
}

#[tokio::test]
async fn inputs_cannot_be_changed() {
    let Some(rig) = Rig::up("warm-inputs").await else { return };
    let input = rig.folder.path().join("input");
    std::fs::write(&input, "#!/bin/sh\necho input\n").expect("written");
    let job = |index, script: &str| Job { files: vec![("in/a".into(), input.clone())], ..element(&rig, index, script) };
    let attack = "for try in 'echo x > in/a' 'rm -f in/a' 'mv in/a in/b' 'mv in x' 'chmod 777 in/a' 'chmod 0 in' 'ln in/a in/b' 'mv .hivemind x' 'rm -f .hivemind/guest' 'echo x > .hivemind/guest' 'chmod 0 /task'; do sh -c \"$try\" 2>/dev/null && echo \"$try\"; done; in/a";
    let (finished, ear) = rig.run(job(0, attack)).await;
    exited(&finished, 0, &ear);
    assert_eq!(ear.out(), "input\n");
    let (finished, ear) = rig.run(job(1, "in/a")).await;
    exited(&finished, 0, &ear);
    assert_eq!(ear.out(), "input\n");
    rig.down().await;
}

#[tokio::test]
async fn an_element_cannot_reach_the_guest() {
    let Some(rig) = Rig::up("warm-forge").await else { return };
    let attack = "for way in /proc/1/fd/0 /proc/1/fd/1 /proc/1/mem /proc/1/environ /proc/1/oom_score_adj; do (echo x > $way) 2>/dev/null && echo wrote $way; (head -c 1 < $way) >/dev/null 2>&1 && [ $way != /proc/1/oom_score_adj ] && echo read $way; done; ls /proc/1/fd >/dev/null 2>&1 && echo listed; kill -9 1; kill -STOP 1; kill -CHLD 1; kill -TERM 1; kill -SEGV 1; echo done; exit 7";
    let (finished, ear) = rig.run(element(&rig, 0, attack)).await;
    exited(&finished, 7, &ear);
    assert_eq!(ear.out(), "done\n");
    let first = containers(&rig).await;
    let (finished, ear) = rig.run(element(&rig, 1, "echo next")).await;
    exited(&finished, 0, &ear);
    assert_eq!((ear.out().as_str(), containers(&rig).await), ("next\n", first), "the guest was not harmed");
    rig.down().await;
}

#[tokio::test]
async fn what_an_element_changes_for_the_next_one_costs_it_the_container() {
    let Some(rig) = Rig::up("warm-worn").await else { return };
    let many = "mkdir d; i=0; while touch d/file-with-a-rather-long-name-$i 2>/dev/null; do i=$((i+1)); done";
    for (index, change, look, fine) in [
        (0, "mkdir -p /tmp/a/b && chmod 0 /tmp/a/b /tmp/a", "find /tmp", "/tmp\n"),
        (2, "/bin/busybox renice -n 5 -p 1 || exit 9", "read stat < /proc/self/stat; set -- $stat; echo ${19}", "0\n"),
        (4, many, "find /task -name 'file*'", ""),
    ] {
        let (finished, ear) = rig.run(element(&rig, index, &format!("{change}; exit 4"))).await;
        exited(&finished, 4, &ear);
        let (finished, ear) = rig.run(element(&rig, index + 1, look)).await;
        exited(&finished, 0, &ear);
        assert_eq!(ear.out(), fine, "{change}");
    }
    rig.down().await;
}

#[tokio::test]
async fn objects_without_a_file_are_removed() {
    let Some(rig) = Rig::up("warm-ipc").await else { return };
    // Neither of busybox' words makes one; a message queue of POSIX is a file in its own file system.
    let (finished, ear) = rig.run(element(&rig, 0, "touch /dev/mqueue/q && ls /dev/mqueue")).await;
    exited(&finished, 0, &ear);
    assert_eq!(ear.out(), "q\n");
    let (finished, ear) = rig.run(element(&rig, 1, "ls /dev/mqueue; cat /proc/sysvipc/shm | wc -l")).await;
    exited(&finished, 0, &ear);
    assert_eq!(ear.out(), "1\n");
    rig.down().await;
}

#[tokio::test]
async fn every_end_is_the_element_s_own() {
    let Some(rig) = Rig::up("warm-ends").await else { return };
    for (index, script, code) in [(0, "exit 42", 42), (1, "kill -9 $$", 137), (2, "kill -15 $$", 143)] {
        let (finished, ear) = rig.run(element(&rig, index, script)).await;
        exited(&finished, code, &ear);
    }
    let first = containers(&rig).await;
    for (index, command, reason) in [
        (3, &["nope"][..], "exec: \"nope\": executable file not found in $PATH"),
        (4, &["/etc/secret"], "exec: \"/etc/secret\": permission denied"),
        (5, &["/no/such"], "exec: \"/no/such\": no such file or directory"),
        (6, &[], "the image has no command of its own; give one"),
    ] {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let (finished, ear) = rig.run(Job { command, ..element(&rig, index, "") }).await;
        assert_eq!(finished.outcome, Outcome::CannotStart { reason: reason.into() });
        assert_eq!((ear.starts(), finished.metering), (0, Metering::default()));
    }
    let job =
        Job { max_runtime: Millis(500), ..element(&rig, 7, "trap '' TERM; echo up; while true; do sleep 600; done") };
    let (finished, ear) = rig.run(job).await;
    assert_eq!((finished.outcome, ear.out().as_str()), (Outcome::TimedOut, "up\n"));
    assert!(finished.metering.wall >= Millis(450), "{:?}", finished.metering);
    let (running, ear, stop) = rig.start(element(&rig, 8, "trap '' TERM; echo up; while true; do sleep 600; done"));
    ear.until(|ear| ear.out() == "up\n").await;
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    let (finished, ear) = rig.run(element(&rig, 9, "yes 0123456 | head -c 1048576; echo err >&2")).await;
    exited(&finished, 0, &ear);
    assert!(ear.out() == "0123456\n".repeat(131_072) && ear.err() == "err\n", "{} bytes", ear.out().len());
    assert_eq!(containers(&rig).await, first, "none of this costs the container");
    rig.down().await;
}

#[tokio::test]
async fn too_much_memory_is_one_element_s_end() {
    let Some(rig) = Rig::up("warm-oom").await else { return };
    let resources = Resources { memory: Bytes::from_mib(16), ..rig.job(&[]).resources };
    let job = |index, script: &str| Job { resources, ..element(&rig, index, script) };
    let (finished, ear) = rig.run(job(0, "true")).await;
    exited(&finished, 0, &ear);
    let (finished, _) = rig.run(job(1, "exec dd if=/dev/zero of=/dev/null bs=64M count=1")).await;
    assert_eq!(finished.outcome, Outcome::OutOfMemory);
    let (finished, ear) = rig.run(job(2, "exit 9")).await;
    exited(&finished, 9, &ear);
    rig.down().await;
}

#[tokio::test]
async fn a_container_that_somebody_kills_is_not_the_element_s_fault() {
    let Some(rig) = Rig::up("warm-killed").await else { return };
    let kill = async |id: &str| {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        rig.docker.kill_container(id, Some(options)).await.expect("killed");
    };
    let (running, ear, _stop) = rig.start(element(&rig, 0, "echo up; sleep 600"));
    ear.until(|ear| ear.out() == "up\n").await;
    kill(&containers(&rig).await[0]).await;
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    rig.runtime.settled().await;
    // One that is killed while it waits is not noticed.
    let (finished, ear) = rig.run(element(&rig, 1, "true")).await;
    exited(&finished, 0, &ear);
    let waiting = containers(&rig).await;
    kill(&waiting[0]).await;
    let (finished, ear) = rig.run(element(&rig, 2, "true")).await;
    exited(&finished, 0, &ear);
    assert!(!containers(&rig).await.contains(&waiting[0]) || containers(&rig).await.len() > 1);
    rig.down().await;
}

#[tokio::test]
async fn one_that_waits_goes_by_itself() {
    let Some(rig) = Rig::up("warm-idle").await else { return };
    let (finished, ear) = rig.run(element(&rig, 0, "true")).await;
    exited(&finished, 0, &ear);
    assert_eq!(containers(&rig).await.len(), 1);
    let gone = async {
        while !containers(&rig).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, gone).await.expect("it stays");
    // Another container that is made takes the place of one that waits.
    rig.run(element(&rig, 1, "true")).await;
    let first = containers(&rig).await;
    rig.run(rig.job(&["true"])).await;
    rig.run(element(&rig, 2, "true")).await;
    let away = async {
        while containers(&rig).await.contains(&first[0]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, away).await.expect("it stays");
    assert_eq!(containers(&rig).await.len(), 1);
    rig.down().await;
}

#[tokio::test]
async fn the_image_s_entry_point_comes_first_and_its_folders_are_emptied() {
    let Some(rig) = Rig::up("warm-entry").await else { return };
    let image = "hivemind-runtime-test:warm-entry";
    let changes = ["ENTRYPOINT [\"echo\", \"entry\"]", "CMD [\"own\"]", "ENV FROM=image", "VOLUME /data"];
    make_image(&rig.docker, image, &changes).await;
    let job = |index, command: &[&str]| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Job { image: image.into(), command, ..element(&rig, index, "") }
    };
    let (finished, ear) = rig.run(job(0, &[])).await;
    exited(&finished, 0, &ear);
    assert_eq!(ear.out(), "entry own\n");
    let (_, ear) = rig.run(job(1, &["given"])).await;
    assert_eq!(ear.out(), "entry given\n");
    let image = "hivemind-runtime-test:warm-data";
    make_image(&rig.docker, image, &["ENV FROM=image", "VOLUME /data"]).await;
    let job = |index, script: &str| Job { image: image.into(), ..element(&rig, index, script) };
    let (finished, ear) = rig.run(job(2, "echo $FROM $HOME; touch /data/x")).await;
    exited(&finished, 0, &ear);
    let (_, next) = rig.run(job(3, "find /data")).await;
    assert_eq!((ear.out().as_str(), next.out().as_str()), ("image /task\n", "/data\n"));
    rig.down().await;
}

#[tokio::test]
async fn a_node_that_cannot_set_back_a_disk_runs_each_alone() {
    let Some(rig) = Rig::with("warm-plain", |config| DockerConfig { disk_limit: DiskLimit::None, ..config }).await
    else {
        return;
    };
    for index in 0..2 {
        let (finished, ear) = rig.run(element(&rig, index, "ls /task; echo $HIVEMIND_INDEX; touch x")).await;
        exited(&finished, 0, &ear);
        assert_eq!(ear.out(), format!("{index}\n"));
        rig.runtime.settled().await;
        assert!(containers(&rig).await.is_empty());
    }
    rig.down().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_element() {
    let Some(rig) = Rig::up("warm-dropped").await else { return };
    let (running, ear, _stop) = rig.start(element(&rig, 0, "echo up; while true; do sleep 600; done"));
    ear.until(|ear| ear.out() == "up\n").await;
    running.abort();
    assert!(running.await.is_err());
    // Its container waits, and goes.
    let gone = async {
        while rig.leftovers().await != (0, 0, 0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, gone).await.expect("the container stayed");
    rig.down().await;
}

/// How many elements that do nothing one node runs in a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test -p hivemind-runtime --test docker warm_throughput -- --ignored --nocapture"]
async fn warm_throughput() {
    let Some(rig) = Rig::up("warm-rate").await else { return };
    let (rig, next) = (Arc::new(rig), Arc::new(AtomicU32::new(0)));
    for lanes in [1, 2, 4, 8] {
        // Each lane's container is there before the time counts.
        lanes_for(&rig, &next, lanes, Duration::from_millis(1500)).await;
        let span = Duration::from_secs(5);
        let done = lanes_for(&rig, &next, lanes, span).await;
        println!("{lanes} at a time: {:.0} elements per second", f64::from(done) / span.as_secs_f64());
    }
    Arc::into_inner(rig).expect("nobody else has it").down().await;
}

/// Ends elements, so many at a time, for so long; how many.
async fn lanes_for(rig: &Arc<Rig>, next: &Arc<AtomicU32>, lanes: usize, span: Duration) -> u32 {
    let end = Instant::now() + span;
    let lane = |_| {
        let (rig, next) = (rig.clone(), next.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while Instant::now() < end {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let job = Job { command: vec!["true".into()], ..element(&rig, index, "") };
                let control = Control::stopping(Stop::new());
                let finished = rig.runtime.run(job, Arc::new(Ear::default()), control, rig.folder.path()).await;
                assert_eq!(finished.outcome, Outcome::Exited { code: 0 });
                done += 1;
            }
            done
        })
    };
    let lanes = futures::future::join_all((0..lanes).map(lane)).await;
    lanes.into_iter().map(|lane| lane.expect("ended")).sum()
}
