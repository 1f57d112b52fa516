//! Every way in which a command can end, told apart.

use crate::rig::{Heard, Rig, groups};
use hivemind_model::Resources;
use hivemind_model::state::Outcome;
use hivemind_model::units::{Bytes, Millis};
use hivemind_runtime::{Control, Job, Runtime, Stop};

#[tokio::test]
async fn exit_codes_are_the_command_s_own() {
    let Some(rig) = Rig::up("exit").await else { return };
    for (command, code) in
        [(&["true"][..], 0), (&["false"], 1), (&["sh", "-c", "exit 42"], 42), (&["sh", "-c", "nope"], 127)]
    {
        let (finished, ear) = rig.run(rig.job(command)).await;
        assert_eq!(finished.outcome, Outcome::Exited { code }, "{command:?}: {}", ear.err());
        assert_eq!(ear.starts(), 1);
        assert!(finished.image_id.starts_with("sha256:") && finished.output.is_none());
    }
    rig.down().await;
}

#[tokio::test]
async fn output_is_whole_and_in_order() {
    let Some(rig) = Rig::up("output").await else { return };
    let (finished, ear) =
        rig.run(rig.script("yes 0123456 | head -c 1048576; for i in 1 2 3; do echo e$i >&2; done")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 });
    assert!(ear.out() == "0123456\n".repeat(131_072), "{} bytes of output", ear.out().len());
    assert_eq!(ear.err(), "e1\ne2\ne3\n");
    let begun = ear.heard().into_iter().find(|one| !matches!(one, Heard::Note(_)));
    assert_eq!(begun, Some(Heard::Started));
    rig.down().await;
}

#[tokio::test]
async fn short_outputs_are_never_lost() {
    let Some(rig) = Rig::up("short").await else { return };
    for round in 0..5 {
        let (_, ear) = rig.run(rig.job(&["echo", "here"])).await;
        assert_eq!(ear.out(), "here\n", "round {round}");
    }
    rig.down().await;
}

#[tokio::test]
async fn too_much_memory_is_told_from_a_failure() {
    let Some(rig) = Rig::up("oom").await else { return };
    let resources = Resources { memory: Bytes::from_mib(16), ..rig.job(&[]).resources };
    let hog = "dd if=/dev/zero of=/dev/null bs=64M count=1";
    let (finished, _) = rig.run(Job { resources, ..rig.script(&format!("exec {hog}")) }).await;
    assert_eq!(finished.outcome, Outcome::OutOfMemory);
    // A command that survives the end of its child ended by itself.
    let (finished, _) = rig.run(Job { resources, ..rig.script(&format!("{hog}; exit 5")) }).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 5 });
    rig.down().await;
}

#[tokio::test]
async fn a_limit_that_it_sets_itself_is_its_own_end() {
    let Some(rig) = Rig::up("ulimit").await else { return };
    // The kernel ends the first process, too, at the second that it may have.
    let (finished, ear) = rig.run(rig.script("echo result; ulimit -t 1; while :; do :; done")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 137 }, "{}", ear.err());
    assert!(ear.out() == "result\n" && finished.metering.cpu > Millis(0), "{:?}", finished.metering);
    rig.down().await;
}

#[tokio::test]
async fn too_much_time_is_told_from_a_failure() {
    let Some(rig) = Rig::up("time").await else { return };
    let (finished, ear) =
        rig.run(Job { max_runtime: Millis(1000), ..rig.script("echo before; sleep 600; echo after") }).await;
    assert_eq!(finished.outcome, Outcome::TimedOut);
    assert_eq!(ear.out(), "before\n");
    assert!(finished.metering.wall >= Millis(900), "{:?}", finished.metering);
    rig.down().await;
}

#[tokio::test]
async fn a_stop_ends_a_job_that_ignores_signals() {
    let Some(rig) = Rig::up("stop").await else { return };
    let (running, ear, stop) = rig.start(rig.script("trap '' TERM INT HUP; echo up; while true; do sleep 600; done"));
    ear.until(|ear| ear.out() == "up\n").await;
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

#[tokio::test]
async fn a_stop_before_the_start_starts_nothing() {
    let Some(rig) = Rig::up("early").await else { return };
    let (ear, stop) = (std::sync::Arc::new(crate::rig::Ear::default()), Stop::new());
    stop.cancel();
    let finished = rig.runtime.run(rig.job(&["true"]), ear.clone(), Control::stopping(stop), rig.folder.path()).await;
    assert_eq!((finished.outcome, ear.starts()), (Outcome::Cancelled, 0));
    rig.down().await;
}

#[tokio::test]
async fn what_cannot_be_executed_is_the_task_s_own_fault() {
    let Some(rig) = Rig::up("cannot").await else { return };
    for (command, reason) in [
        (&["nope"][..], "executable file not found"),
        (&["/etc/secret"], "permission denied"),
        (&["/no/such"], "no such file"),
        (&[], "no command"),
    ] {
        let (finished, ear) = rig.run(rig.job(command)).await;
        let Outcome::CannotStart { reason: said } = finished.outcome else {
            panic!("{command:?} gave {:?}", finished.outcome)
        };
        assert!(said.contains(reason), "{command:?}: {said}");
        assert_eq!(ear.starts(), 0);
    }
    rig.down().await;
}

/// The processes of the attempt, as this machine numbers them.
fn processes(rig: &Rig, attempt: hivemind_model::AttemptRef) -> Vec<i32> {
    let group = groups(&rig.instance).pop().expect("a group").join(attempt.to_string());
    let text = std::fs::read_to_string(group.join("cgroup.procs")).expect("processes");
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[tokio::test]
async fn a_container_that_somebody_else_kills_is_not_the_task_s_fault() {
    let Some(rig) = Rig::up("foreign").await else { return };
    let job = rig.job(&["sleep", "600"]);
    let attempt = job.attempt;
    let (running, ear, _stop) = rig.start(job);
    ear.until(|ear| ear.starts() == 1).await;
    let [process] = processes(&rig, attempt)[..] else { panic!("more than one process") };
    let process = rustix::process::Pid::from_raw(process).expect("a process");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("killed");
    let outcome = running.await.expect("ended").outcome;
    assert!(matches!(outcome, Outcome::Infrastructure { .. }), "{outcome:?}");
    // The same exit code from inside is the task's own, and from inside its first process cannot be killed.
    let (finished, _) = rig.run(rig.script("kill -9 $$; exit 137")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 137 });
    rig.down().await;
}

#[tokio::test]
async fn daemons_that_a_command_leaves_end_with_it() {
    let Some(rig) = Rig::up("daemons").await else { return };
    let (finished, _) =
        rig.run(rig.script("(trap '' TERM HUP; sleep 600) & (sleep 600 < /dev/null > /dev/null 2>&1 &); exit 3")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 3 });
    rig.down().await;
}

/// Text and counts of one tick after the other, while the command stands still and while it does not.
#[tokio::test]
async fn a_paused_job_stands_still_and_its_time_too() {
    let Some(rig) = Rig::up("paused").await else { return };
    let script = "echo up; i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i > now; sleep 0.05; done; echo done";
    let job = Job { max_runtime: Millis(20_000), ..rig.script(script) };
    let attempt = job.attempt;
    let (running, ear, _stop, pause) = rig.start_paused(job, true);
    // It is made, and waits.
    let made = async {
        while groups(&rig.instance).is_empty() || processes(&rig, attempt).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, made).await.expect("it was not made");
    assert_eq!(ear.starts(), 0);
    pause.send_replace(false);
    ear.until(|ear| ear.out() == "up\n").await;
    pause.send_replace(true);
    frozen(&rig.instance, attempt).await;
    let used = || usage(&rig.instance, attempt);
    let before = used();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(used(), before, "it runs though it was to stand still");
    pause.send_replace(false);
    let finished = running.await.expect("ended");
    assert_eq!((finished.outcome, ear.out().as_str()), (Outcome::Exited { code: 0 }, "up\ndone\n"));
    rig.down().await;
}

#[tokio::test]
async fn a_stop_ends_what_stands_still() {
    let Some(rig) = Rig::up("still").await else { return };
    let job = rig.script("echo up; trap '' TERM; while true; do sleep 1; done");
    let attempt = job.attempt;
    let (running, ear, stop, pause) = rig.start_paused(job, false);
    ear.until(|ear| ear.out() == "up\n").await;
    pause.send_replace(true);
    frozen(&rig.instance, attempt).await;
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

/// Waits until the kernel says that the attempt stands still.
async fn frozen(instance: &str, attempt: hivemind_model::AttemptRef) {
    let still = || {
        groups(instance).iter().any(|group| {
            let read =
                |file: &str| std::fs::read_to_string(group.join(attempt.to_string()).join(file)).unwrap_or_default();
            read("freezer.state").starts_with("FROZEN") || read("cgroup.events").contains("frozen 1")
        })
    };
    let waiting = async {
        while !still() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::rig::DEADLINE, waiting).await.expect("it does not stand still");
}

/// What the kernel counted of the attempt's processor time.
fn usage(instance: &str, attempt: hivemind_model::AttemptRef) -> String {
    let read = |group: std::path::PathBuf| {
        let folder = group.join(attempt.to_string());
        std::fs::read_to_string(folder.join("cpuacct.usage"))
            .or_else(|_| std::fs::read_to_string(folder.join("cpu.stat")))
    };
    groups(instance).into_iter().find_map(|group| read(group).ok()).expect("a counter")
}

#[tokio::test]
async fn progress_and_use_are_told_while_it_runs() {
    let Some(rig) = Rig::up("progress").await else { return };
    let (running, ear, stop) = rig.start(
        rig.script("mkdir .hivemind; echo 42 > .hivemind/progress; dd if=/dev/zero of=x bs=1M count=4; sleep 600"),
    );
    ear.until(|ear| ear.heard().contains(&Heard::Progress(42))).await;
    let used = ear.heard().into_iter().find_map(|one| match one {
        Heard::Usage(usage) => Some(usage),
        Heard::Note(_) | Heard::Started | Heard::Output(..) | Heard::Progress(_) => None,
    });
    let used = used.expect("told");
    assert!(used.disk >= Bytes::from_mib(4) && used.disk < Bytes::from_mib(16) && used.memory > Bytes(0), "{used:?}");
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_running() {
    let Some(rig) = Rig::up("dropped").await else { return };
    let (running, ear, _stop) = rig.start(rig.job(&["sleep", "600"]));
    ear.until(|ear| ear.starts() == 1).await;
    running.abort();
    assert!(running.await.is_err());
    rig.clean().await;
    rig.down().await;
}

#[tokio::test]
async fn what_was_used_is_measured() {
    let Some(rig) = Rig::up("meter").await else { return };
    let (finished, _) = rig.run(rig.script("i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done")).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 });
    let used = finished.metering;
    assert!(used.wall > Millis(0) && used.cpu > Millis(0) && used.peak_memory > Bytes(0), "{used:?}");
    assert!(used.peak_memory <= Bytes::from_mib(64), "{used:?}");
    rig.down().await;
}

#[tokio::test]
async fn one_attempt_does_not_run_twice_at_once() {
    let Some(rig) = Rig::up("twice").await else { return };
    let job = rig.job(&["sleep", "600"]);
    let (running, ear, stop) = rig.start(job.clone());
    ear.until(|ear| ear.starts() == 1).await;
    let (finished, _) = rig.run(job).await;
    assert!(matches!(finished.outcome, Outcome::Infrastructure { .. }));
    stop.cancel();
    assert_eq!(running.await.expect("ended").outcome, Outcome::Cancelled);
    rig.down().await;
}

#[tokio::test]
async fn what_this_runtime_does_not_have_is_said_and_nothing_is_started() {
    let Some(rig) = Rig::up("other").await else { return };
    let job = rig.job(&["true"]);
    let resources = Resources { gpus: 1, ..job.resources };
    for job in [Job { resources, ..job }, Job { kind: hivemind_model::Kind::Wasm, ..rig.job(&["true"]) }] {
        let (finished, ear) = rig.run(job).await;
        assert!(matches!(finished.outcome, Outcome::Infrastructure { .. }), "{:?}", finished.outcome);
        assert_eq!(ear.starts(), 0);
    }
    rig.down().await;
}
