//! Stops, pauses, the end of the agent, and what the lock is worth.

mod kit;

use hivemind_model::state::Outcome;
use hivemind_model::units::Millis;
use hivemind_owner::preferences::Shares;
use hivemind_owner::{Capacity, Share};
use hivemind_runtime::{Job, Runtime, Verdict};
use kit::{Heard, Kit, doing, steering};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = "HIVEMIND_WASM_TEST_FOLDER";

/// Waits for a condition; fails after half a minute.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within half a minute: {what}");
}

fn endless() -> Vec<u8> {
    doing("(loop $l (br $l))")
}

#[tokio::test]
async fn a_stop_ends_it_at_once() {
    let kit = Kit::new();
    let (control, stop, _pause) = steering();
    let heard = Arc::new(Heard::default());
    let run = kit.runtime.run(kit.job(&endless()), heard.clone(), control, kit.folder.path());
    let stopped = async {
        heard.started.cancelled().await;
        stop.cancel();
    };
    let (finished, ()) = tokio::join!(run, stopped);
    assert_eq!(finished.outcome, Outcome::Cancelled);
    assert!(kit.helpers().len() <= 1, "only the one that waits for the next");
}

#[tokio::test]
async fn a_stop_before_the_start_is_heard() {
    let kit = Kit::new();
    let (control, stop, _pause) = steering();
    stop.cancel();
    let heard = Arc::new(Heard::default());
    let finished = kit.runtime.run(kit.job(&endless()), heard.clone(), control, kit.folder.path()).await;
    assert_eq!(finished.outcome, Outcome::Cancelled);
    assert!(!heard.started.is_cancelled());
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_nothing() {
    let kit = Kit::new();
    let (control, _stop, _pause) = steering();
    let heard = Arc::new(Heard::default());
    {
        let run = kit.runtime.run(kit.job(&endless()), heard.clone(), control, kit.folder.path());
        tokio::select! {
            finished = run => panic!("{finished:?}"),
            () = heard.started.cancelled() => {}
        }
    }
    until("its helper ends", || kit.helpers().len() <= 1).await;
}

#[tokio::test]
async fn paused_it_stands_still() {
    let kit = Kit::new();
    let (control, stop, pause) = steering();
    let heard = Arc::new(Heard::default());
    let job = Job { max_runtime: Millis(3_600_000), ..kit.job(&endless()) };
    let run = kit.runtime.run(job, heard.clone(), control, kit.folder.path());
    let steered = async {
        heard.started.cancelled().await;
        pause.send(true).expect("heard");
        until("it stands still", || kit.helpers().iter().any(|(_, stat)| stat.starts_with('T'))).await;
        pause.send(false).expect("heard");
        until("it goes on", || kit.helpers().iter().any(|(_, stat)| stat.starts_with('R'))).await;
        heard.used.notified().await;
        pause.send(true).expect("heard");
        until("it stands still", || kit.helpers().iter().any(|(_, stat)| stat.starts_with('T'))).await;
        stop.cancel();
    };
    let (finished, ()) = tokio::join!(run, steered);
    assert_eq!(finished.outcome, Outcome::Cancelled);
    assert!(finished.metering.cpu.0 > 0 && finished.metering.wall.0 > 0, "{:?}", finished.metering);
    assert!(heard.usage.lock().expect("sound").iter().all(|usage| usage.cpu.0 > 0));
}

#[tokio::test]
async fn paused_before_the_start_it_is_held() {
    let kit = Kit::new();
    let (control, _stop, pause) = steering();
    pause.send(true).expect("heard");
    let heard = Arc::new(Heard::default());
    let run = kit.runtime.run(kit.job(&doing("")), heard.clone(), control, kit.folder.path());
    tokio::pin!(run);
    // Its code is made meanwhile.
    tokio::select! {
        finished = &mut run => panic!("{finished:?}"),
        () = until("compiled", || std::fs::read_dir(kit.folder.path().join("state/code")).is_ok_and(|all| all.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "code")))) => {}
    }
    assert!(!heard.started.is_cancelled());
    pause.send(false).expect("heard");
    assert_eq!(run.await.outcome, Outcome::Exited { code: 0 });
}

/// Not a test: the agent that the next one kills.
#[tokio::test]
#[ignore = "started by the next one"]
async fn an_agent() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let runtime = Kit::open(folder, &folder.join("helper-of-this-test"));
    let (control, _stop, _pause) = steering();
    let heard = Arc::new(Heard::default());
    let job = Job { max_runtime: Millis(3_600_000), ..kit::job(folder, &endless()) };
    let run = runtime.run(job, heard.clone(), control, folder);
    let told = async {
        heard.started.cancelled().await;
        std::fs::write(folder.join("started"), "").expect("written");
    };
    tokio::join!(run, told);
}

#[tokio::test]
async fn nothing_outlives_an_agent_that_is_killed() {
    let kit = Kit::new();
    let folder = kit.folder.path();
    let mut agent = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "an_agent", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    until("it runs", || folder.join("started").exists()).await;
    assert!(!kit.helpers().is_empty());
    agent.kill().expect("killed");
    agent.wait().expect("waited");
    until("its helpers end", || kit.helpers().iter().all(|(_, stat)| stat.starts_with('Z'))).await;
    std::fs::write(folder.join("state/code/half-1"), "").expect("written");
    assert_eq!(kit.runtime.sweep().await, Ok(0));
    let left: Vec<_> =
        std::fs::read_dir(folder.join("state")).expect("read").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["code"]);
    assert!(!folder.join("state/code/half-1").exists());
}

#[tokio::test]
async fn the_lock_holds() {
    let kit = Kit::new();
    for check in kit.runtime.health().await {
        assert_ne!(check.verdict, Verdict::Bad, "{check:?}");
        assert_eq!(check.fix.is_empty(), check.verdict == Verdict::Good, "{check:?}");
    }
    assert_eq!(kit.runtime.isolation(), hivemind_model::Isolation::Sandboxed);
    assert!(kit.runtime.no_network().is_some());
}

#[tokio::test]
async fn a_helper_is_nobody_and_sees_nothing() {
    let kit = Kit::new();
    let (control, stop, _pause) = steering();
    let heard = Arc::new(Heard::default());
    let run = kit.runtime.run(kit.job(&endless()), heard.clone(), control, kit.folder.path());
    let looked = async {
        heard.started.cancelled().await;
        let helpers = kit.helpers();
        for (pid, _) in &helpers {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            if status.is_empty() || !status.contains("Seccomp:\t2") {
                continue;
            }
            assert!(status.contains("NoNewPrivs:\t1"), "{status}");
            assert!(status.contains("CapEff:\t0000000000000000") && status.contains("CapPrm:\t0000000000000000"));
            if rustix::process::geteuid().is_root() {
                assert!(
                    status.contains("Uid:\t65534\t65534\t65534\t65534") && status.contains("Groups:\t \n"),
                    "{status}"
                );
            }
        }
        assert!(!helpers.is_empty());
        stop.cancel();
    };
    let (finished, ()) = tokio::join!(run, looked);
    assert_eq!(finished.outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn an_idle_runtime_keeps_no_helper() {
    let kit = Kit::new();
    let config = hivemind_wasm::WasmConfig {
        program: Some(kit.program.clone()),
        keep: Duration::from_millis(50),
        ..hivemind_wasm::WasmConfig::new(kit.folder.path().join("other"))
    };
    let runtime = hivemind_wasm::WasmRuntime::open(config).expect("opened");
    let (control, _stop, _pause) = steering();
    runtime.run(kit.job(&doing("")), Arc::new(Heard::default()), control, kit.folder.path()).await;
    until("none waits", || runtime.waiting() == 0 && kit.helpers().is_empty()).await;
}

#[tokio::test]
async fn a_module_is_within_the_share_that_the_owner_gives() {
    let kit = Kit::new();
    let instance = format!("test-modules-{}", std::process::id());
    let shares = Shares { cpu_percent: 25, memory_percent: 25 };
    let share = match Share::make(Path::new("/"), &instance, &shares, Capacity::here()) {
        Ok(share) => share,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let config = hivemind_wasm::WasmConfig {
        program: Some(kit.program.clone()),
        groups: share.below("modules"),
        ..hivemind_wasm::WasmConfig::new(kit.folder.path().join("within"))
    };
    let runtime = hivemind_wasm::WasmRuntime::open(config).expect("opened");
    let (control, stop, _pause) = steering();
    let heard = Arc::new(Heard::default());
    let run = runtime.run(kit.job(&endless()), heard.clone(), control, kit.folder.path());
    let looked = async {
        heard.started.cancelled().await;
        let name = format!("/{}/modules", share.name());
        let is_within = |pid: i32| {
            let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            groups.lines().filter(|line| line.ends_with(&name)).count() == share.below("modules").len()
        };
        // The one that runs, and one that is made ready for the next.
        until("all are within", || {
            let helpers = kit.helpers();
            !helpers.is_empty() && helpers.into_iter().all(|(pid, _)| is_within(pid))
        })
        .await;
        until("the share counts it", || share.cpu_used() > Duration::from_millis(100)).await;
        stop.cancel();
    };
    let (finished, ()) = tokio::join!(run, looked);
    assert_eq!(finished.outcome, Outcome::Cancelled);
    // The groups of a worker that ends are removed after this.
    assert_eq!(runtime.sweep().await, Ok(0));
    assert!(kit.helpers().is_empty(), "none waits any more");
    share.remove().expect("nothing is left in it");
}

#[tokio::test]
async fn without_its_group_nothing_of_a_module_runs() {
    let kit = Kit::new();
    let group = kit.folder.path().join("no group");
    let config = hivemind_wasm::WasmConfig {
        program: Some(kit.program.clone()),
        groups: vec![group.clone()],
        ..hivemind_wasm::WasmConfig::new(kit.folder.path().join("without"))
    };
    let runtime = hivemind_wasm::WasmRuntime::open(config).expect("opened");
    let (control, _stop, _pause) = steering();
    let finished = runtime.run(kit.job(&doing("")), Arc::new(Heard::default()), control, kit.folder.path()).await;
    let Outcome::Infrastructure { reason } = finished.outcome else { panic!("{:?}", finished.outcome) };
    assert!(reason.contains("cannot be entered") && reason.contains(&*group.to_string_lossy()), "{reason}");
}
