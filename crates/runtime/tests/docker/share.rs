//! The part of the machine that all containers of an agent get together.

use crate::rig::{DEADLINE, Heard, Rig};
use hivemind_owner::preferences::Shares;
use hivemind_owner::{Capacity, Share};
use hivemind_runtime::Runtime;
use hivemind_runtime::docker::DockerConfig;
use std::path::{Path, PathBuf};

const QUARTER: Shares = Shares { cpu_percent: 25, memory_percent: 25 };

/// A quarter of the processors and of the memory; `None`, with a line, where no group can be made.
fn quarter(name: &str) -> Option<Share> {
    let instance = format!("test-{name}-{}", std::process::id());
    match Share::make(Path::new("/"), &instance, &QUARTER, Capacity::here()) {
        Ok(share) => Some(share),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// Where the container `id` is, below the folders of `share` that limit processors and memory.
fn groups_of(share: &Share, id: &str) -> Vec<PathBuf> {
    let names = [id.to_owned(), format!("docker-{id}.scope")];
    let all = share.folders().into_iter().flat_map(|folder| names.clone().map(|name| folder.join(name)));
    all.filter(|folder| folder.join("cgroup.procs").exists()).collect()
}

/// Microseconds of each period that the group may run, and the period; by the file of either generation.
fn quota(folder: &Path) -> Option<(u64, u64)> {
    let number = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    if let Ok(text) = std::fs::read_to_string(folder.join("cpu.max")) {
        let (quota, period) = text.trim().split_once(' ')?;
        return Some((quota.parse().ok()?, period.parse().ok()?));
    }
    Some((number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?))
}

#[tokio::test]
async fn a_container_is_within_the_quarter_that_its_worker_has() {
    let Some(share) = quarter("quarter") else { return };
    let parent = Some(share.name().to_owned());
    let Some(rig) = Rig::with("share", |config| DockerConfig { cgroup_parent: parent, ..config }).await else {
        share.remove().expect("removed");
        return;
    };
    // All of it for one; the first generation takes no more for a container than its parent has.
    let mut job = rig.script("echo on; while [ ! -e go ]; do :; done");
    (job.resources.cpu, _) = Capacity::here().shared(&QUARTER);
    let name = rig.container(job.attempt);
    let (running, ear, stop) = rig.start(job);
    ear.until(|ear| ear.out().contains("on")).await;
    let id = rig.docker.inspect_container(&name, None).await.expect("there").id.expect("an id");

    let groups = groups_of(&share, &id);
    assert!(!groups.is_empty(), "the container {id} is not in {}", share.name());
    let limits: Vec<(u64, u64)> = share.folders().iter().filter_map(|folder| quota(folder)).collect();
    let cores = u64::from(Capacity::here().cores);
    let [(quota, period)] = limits.as_slice() else { panic!("one limit of processors, not {limits:?}") };
    assert_eq!(quota * 4, cores * period, "a quarter of {cores} processors");
    let memory = |file: &str| {
        let texts = share.folders().into_iter().map(|folder| std::fs::read_to_string(folder.join(file)));
        texts.flatten().find_map(|text| text.trim().parse::<u64>().ok())
    };
    let most = memory("memory.max").or_else(|| memory("memory.limit_in_bytes")).expect("a limit");
    assert!(most <= Capacity::here().memory_bytes / 4, "{most}");

    // Its counters are found there, and it is ended there.
    ear.until(|ear| ear.heard().iter().any(|one| matches!(one, Heard::Usage(usage) if usage.cpu.0 > 0))).await;
    assert!(!share.cpu_used().is_zero());
    stop.cancel();
    let finished = tokio::time::timeout(DEADLINE, running).await.expect("in time").expect("no panic");
    assert_eq!(finished.outcome, hivemind_model::Outcome::Cancelled);
    rig.runtime.settled().await;
    assert_eq!(rig.runtime.sweep().await, Ok(0));
    rig.down().await;
    share.remove().expect("nothing is left in it");
}

#[tokio::test]
async fn a_group_that_is_no_agent_s_is_refused() {
    for name in ["system.slice", "../x", "hivemind_a/b.slice"] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = crate::rig::config("badgroup", folder.path());
        let config = DockerConfig { cgroup_parent: Some(name.into()), ..config };
        match hivemind_runtime::docker::DockerRuntime::connect(config).await {
            Err(why) if why.contains("cannot be the control group") => {}
            Err(why) if std::env::var("HIVEMIND_REQUIRE_DOCKER").is_err() => println!("skipped: {why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}
