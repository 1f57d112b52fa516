//! Elements of an array that share a container.

use crate::rig::{Ear, Rig, groups, image, root_file_system};
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::{Bytes, Millis};
use hivemind_model::{ElementRef, Resources, TaskId};
use hivemind_runtime::{Finished, Job, Runtime};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// The element `index` of one array.
fn element(rig: &Rig, index: u32, script: &str) -> Job {
    let attempt = ElementRef { task: TaskId(7000), index }.attempt(1);
    Job { attempt, warm: true, ..rig.script(script) }
}

/// The names of this instance's containers.
fn containers(rig: &Rig) -> Vec<String> {
    let mut names = BTreeSet::new();
    for group in groups(&rig.instance) {
        let entries = std::fs::read_dir(&group).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        names.extend(folders.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    }
    names.into_iter().collect()
}

/// The processes of the container `name`.
fn processes(rig: &Rig, name: &str) -> Vec<i32> {
    let lists = groups(&rig.instance).into_iter().map(|group| group.join(name).join("cgroup.procs"));
    let texts = lists.filter_map(|list| std::fs::read_to_string(list).ok());
    texts.flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>()).collect()
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
    let first = containers(&rig);
    assert_eq!(first.len(), 1);
    let curious = "cat in/a b; echo $HIVEMIND_INDEX; find /task /tmp /dev/shm | sort; ls /proc | grep -c '^[0-9]*$'";
    let (finished, ear) = rig.run(with_input(element(&rig, 1, curious))).await;
    exited(&finished, 0, &ear);
    assert!(finished.output.is_none());
    let found = "/dev/shm\n/task\n/task/.hivemind\n/task/.hivemind/guest\n/task/b\n/task/in\n/task/in/a\n/tmp\n";
    // The guest, the shell, and the two of the last pipe.
    assert_eq!(ear.out(), format!("inputinput1\n{found}4\n"));
    assert_eq!(containers(&rig), first, "it is the same container");
    // Another one's elements do not meet them.
    let other = ElementRef { task: TaskId(7001), index: 0 }.attempt(1);
    let (finished, ear) = rig.run(with_input(Job { attempt: other, ..element(&rig, 2, "true") })).await;
    exited(&finished, 0, &ear);
    rig.runtime.settled().await;
    assert!(containers(&rig).is_empty());
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
    let first = containers(&rig);
    let (finished, ear) = rig.run(element(&rig, 1, "echo next")).await;
    exited(&finished, 0, &ear);
    assert_eq!((ear.out().as_str(), containers(&rig)), ("next\n", first), "the guest was not harmed");
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
    let first = containers(&rig);
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
    assert_eq!(containers(&rig), first, "none of this costs the container");
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
async fn one_that_waits_goes_by_itself() {
    let Some(rig) = Rig::up("warm-idle").await else { return };
    let (finished, ear) = rig.run(element(&rig, 0, "true")).await;
    exited(&finished, 0, &ear);
    assert_eq!(containers(&rig).len(), 1);
    let gone = async {
        while !containers(&rig).is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, gone).await.expect("it stays");
    // Another container that is made takes the place of one that waits.
    rig.run(element(&rig, 1, "true")).await;
    let first = containers(&rig);
    rig.run(rig.job(&["true"])).await;
    rig.run(element(&rig, 2, "true")).await;
    let away = async {
        while containers(&rig).contains(&first[0]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, away).await.expect("it stays");
    assert_eq!(containers(&rig).len(), 1);
    rig.down().await;
}

#[tokio::test]
async fn a_container_that_somebody_kills_is_not_the_element_s_fault() {
    let Some(rig) = Rig::up("warm-killed").await else { return };
    let kill = |name: &str| {
        for process in processes(&rig, name).into_iter().filter_map(rustix::process::Pid::from_raw) {
            // One may have gone with another.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
    };
    let (running, ear, _stop) = rig.start(element(&rig, 0, "echo up; sleep 600"));
    ear.until(|ear| ear.out() == "up\n").await;
    kill(&containers(&rig)[0]);
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. } | Outcome::Exited { code: 137 }), "{outcome:?}");
    rig.clean().await;
    // One that is killed while it waits is not noticed.
    let (finished, ear) = rig.run(element(&rig, 1, "true")).await;
    exited(&finished, 0, &ear);
    kill(&containers(&rig)[0]);
    while !processes(&rig, "att_7000.1.1").is_empty() {
        tokio::task::yield_now().await;
    }
    let (finished, ear) = rig.run(element(&rig, 2, "echo next")).await;
    exited(&finished, 0, &ear);
    assert_eq!(ear.out(), "next\n");
    rig.down().await;
}

#[tokio::test]
async fn the_image_s_entry_point_comes_first_and_its_folders_are_emptied() {
    let Some(rig) = Rig::up("warm-entry").await else { return };
    let made = |name: &str, own| image(rig.folder.path(), name, own, &[root_file_system("")]);
    let entry = made("entry", json!({"Entrypoint": ["echo", "entry"], "Cmd": ["own"]}));
    let job = |index, command: &[&str]| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Job { image: entry.clone(), command, ..element(&rig, index, "") }
    };
    let (finished, ear) = rig.run(job(0, &[])).await;
    exited(&finished, 0, &ear);
    assert_eq!(ear.out(), "entry own\n");
    let (_, ear) = rig.run(job(1, &["given"])).await;
    assert_eq!(ear.out(), "entry given\n");
    let data = made("data", json!({"Env": ["FROM=image"], "Volumes": {"/data": {}}}));
    let job = |index, script: &str| Job { image: data.clone(), ..element(&rig, index, script) };
    let (finished, ear) = rig.run(job(2, "echo $FROM $HOME; touch /data/x")).await;
    exited(&finished, 0, &ear);
    let (_, next) = rig.run(job(3, "find /data")).await;
    assert_eq!((ear.out().as_str(), next.out().as_str()), ("image /task\n", "/data\n"));
    rig.down().await;
}

#[tokio::test]
async fn one_that_stands_still_can_be_ended_and_its_time_does_not_count() {
    let Some(rig) = Rig::up("warm-still").await else { return };
    let job = Job { max_runtime: Millis(60_000), ..element(&rig, 0, "echo up; sleep 1; echo more; sleep 600") };
    let (running, ear, stop, pause) = rig.start_paused(job, true);
    assert_eq!(ear.starts(), 0);
    pause.send(false).expect("heard");
    ear.until(|ear| ear.out() == "up\n").await;
    pause.send(true).expect("heard");
    pause.send(false).expect("heard");
    ear.until(|ear| ear.out() == "up\nmore\n").await;
    pause.send(true).expect("heard");
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

#[tokio::test]
async fn a_sweep_takes_those_that_wait() {
    let Some(rig) = Rig::up("warm-sweep").await else { return };
    let (finished, ear) = rig.run(element(&rig, 0, "true")).await;
    exited(&finished, 0, &ear);
    assert_eq!(containers(&rig).len(), 1);
    assert_eq!(rig.runtime.sweep().await, Ok(0), "in an orderly way");
    assert!(containers(&rig).is_empty());
    rig.down().await;
}
