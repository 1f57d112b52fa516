//! Tasks that behave as badly as they can: each ends by name, and nothing of it is left.

use crate::rig::{DEADLINE, Rig};
use hivemind_model::state::Outcome;
use hivemind_model::{ElementRef, TaskId};
use hivemind_runtime::{Control, Finished, Job, Runtime, Sink, Stop, Stream, Usage};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// The same job in a container of its own, and in one that elements share.
fn both(rig: &Rig, index: u32, script: &str) -> [Job; 2] {
    let attempt = ElementRef { task: TaskId(7200), index }.attempt(1);
    [rig.script(script), Job { attempt, warm: true, ..rig.script(script) }]
}

fn exited(finished: &Finished) -> i32 {
    match finished.outcome {
        Outcome::Exited { code } => code,
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_goes_into_the_background_ends_with_the_command() {
    let Some(rig) = Rig::up("daemons").await else { return };
    // They keep the command's output open, ignore signals, and have sessions of their own.
    let script = "for i in 1 2 3 4 5; do (trap '' TERM HUP INT; /bin/busybox setsid sh -c 'while true; do sleep 600; done' & ) ; done; echo done; exit 8";
    for job in both(&rig, 0, script) {
        let (finished, ear) = rig.run(job).await;
        assert_eq!((exited(&finished), ear.out().as_str()), (8, "done\n"), "{}", ear.err());
    }
    let [_, next] = both(&rig, 1, "ls /proc | grep -c '^[0-9]*$'");
    let (_, ear) = rig.run(next).await;
    assert_eq!(ear.out(), "4\n", "the guest, the shell, and the two of its pipe");
    rig.down().await;
}

#[tokio::test]
async fn a_fork_bomb_is_bounded_and_stopped() {
    let Some(rig) = Rig::up("bomb").await else { return };
    for job in both(&rig, 0, "echo up; bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 600") {
        let (running, ear, stop) = rig.start(job);
        ear.until(|ear| ear.out() == "up\n").await;
        stop.cancel();
        let finished = tokio::time::timeout(DEADLINE, running).await.expect("it does not end").expect("ended");
        assert_eq!(finished.outcome, Outcome::Cancelled);
    }
    rig.down().await;
}

#[tokio::test]
async fn a_full_disk_is_the_task_s_own_and_not_the_next_element_s() {
    let Some(rig) = Rig::up("fill").await else { return };
    let fill = "dd if=/dev/zero of=/task/x bs=1M count=64 2>/dev/null || echo full; exit 2";
    let exhaust =
        "mkdir d; i=0; while touch d/$i 2>/dev/null; do i=$((i+1)); done; [ $i -gt 100 ] && echo full; exit 3";
    for (index, script, code) in [(0, fill, 2), (1, exhaust, 3)] {
        for job in both(&rig, index, script) {
            let (finished, ear) = rig.run(job).await;
            assert_eq!((exited(&finished), ear.out().as_str()), (code, "full\n"), "{}", ear.err());
        }
    }
    let [_, next] = both(&rig, 2, "dd if=/dev/zero of=/task/x bs=1M count=4 2>/dev/null && touch y && echo room");
    let (_, ear) = rig.run(next).await;
    assert_eq!(ear.out(), "room\n");
    rig.down().await;
}

#[tokio::test]
async fn a_full_disk_still_gives_what_was_named() {
    let Some(rig) = Rig::up("named").await else { return };
    let script =
        "mkdir -p a/b; echo one > a/b/c; echo two > d; ln -s d e; dd if=/dev/zero of=x bs=1M 2>/dev/null; exit 0";
    let outputs: Vec<String> = ["a/b", "d", "e", "none"].map(str::to_owned).into();
    for job in both(&rig, 0, script) {
        let (finished, ear) = rig.run(Job { outputs: outputs.clone(), ..job }).await;
        assert_eq!(exited(&finished), 0, "{}", ear.err());
        let archive = std::fs::File::open(finished.output.expect("outputs").path()).expect("opened");
        let mut archive = tar::Archive::new(archive);
        let paths = archive
            .entries()
            .expect("entries")
            .map(|entry| entry.expect("sound").path().expect("a path").display().to_string());
        assert_eq!(paths.collect::<Vec<_>>(), ["a", "a/b", "a/b/c", "d"]);
        let said = ear.err();
        assert!(
            said.contains("hivemind: 1 under /task left out") && said.contains("nothing to keep at `/task/none`"),
            "{said}"
        );
    }
    rig.down().await;
}

/// Counts what it hears, and keeps nothing.
#[derive(Default)]
struct Counter {
    bytes: AtomicU64,
    more: Notify,
}

impl Sink for Counter {
    fn note(&self, _: &str) {}
    fn started(&self) {}
    fn output(&self, _: Stream, data: &[u8]) {
        self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.more.notify_one();
    }
    fn progress(&self, _: u8) {}
    fn usage(&self, _: Usage) {}
}

#[tokio::test]
async fn a_flood_of_output_is_kept_up_with_and_stopped() {
    let Some(rig) = Rig::up("flood").await else { return };
    for job in
        both(&rig, 0, "yes 0123456789012345678901234567890123456789012345678901234567890 & exec yes 0123456789 >&2")
    {
        let (sink, stop) = (Arc::new(Counter::default()), Stop::new());
        let (runtime, heard, control) = (rig.runtime.clone(), sink.clone(), Control::stopping(stop.clone()));
        let scratch = rig.folder.path().to_owned();
        let running = tokio::spawn(async move { runtime.run(job, heard, control, &scratch).await });
        let flooded = async {
            while sink.bytes.load(Ordering::Relaxed) < 64 << 20 {
                sink.more.notified().await;
            }
        };
        tokio::time::timeout(DEADLINE, flooded).await.expect("it is not kept up with");
        stop.cancel();
        let finished = tokio::time::timeout(DEADLINE, running).await.expect("it is not stopped").expect("ended");
        assert_eq!(finished.outcome, Outcome::Cancelled);
    }
    rig.down().await;
}
