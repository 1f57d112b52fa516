//! The runtimes beside Docker's: a container without a daemon, a module, an element in a container that is there.
//!
//! Each runs a program that does nothing, through its whole promise: limits, captured streams, metering, outputs. Beside the
//! first two `docker run` does the same in turns, so that a drift of the machine hits both; beside the third HyperQueue starts
//! processes.

use crate::machine;
use crate::peer::Cluster;
use crate::report::{Report, percentile};
use anyhow::{Context, ensure};
use futures::future::try_join_all;
use hivemind_model::spec::OUTPUT;
use hivemind_model::{Bytes, Egress, ElementRef, Kind, MilliCores, Millis, Outcome, Resources, TaskId};
use hivemind_oci::{Helper, OciConfig, OciRuntime};
use hivemind_runtime::docker::{DockerConfig, DockerRuntime};
use hivemind_runtime::{Control, Image, Job, Runtime, Sink, Stop, Stream, Usage};
use hivemind_testkit::image;
use hivemind_wasm::{WasmConfig, WasmRuntime};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tokio::process::Command;

/// What is measured here.
pub(crate) const FIGURES: &[&str] =
    &["builtin_container_ms", "wasm_task_ms", "wasm_task_busy_ms", "warm_element_throughput"];

const ROUNDS: usize = 60;
const WARM_UP: usize = 3;
/// Elements that one measurement of warm ones runs, and how many at once.
const ELEMENTS: u32 = 6000;
const AT_ONCE: u32 = 8;
/// Processes of the peer.
const PEER_TASKS: u32 = 2000;

/// A module that does nothing: `(module (memory (export "memory") 1) (func (export "_start")))`.
const NOTHING: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\
    \x07\x13\x02\x06memory\x02\0\x06_start\0\0\x0a\x04\x01\x02\0\x0b";

struct Silence;

impl Sink for Silence {
    fn note(&self, _: &str) {}
    fn started(&self) {}
    fn output(&self, _: Stream, _: &[u8]) {}
    fn progress(&self, _: u8) {}
    fn usage(&self, _: Usage) {}
}

/// Measures [`FIGURES`]; leaves out what cannot be had here.
///
/// # Errors
/// Where something does not run.
pub(crate) async fn measure(report: &mut Report, peer: Option<&mut Cluster>) -> anyhow::Result<()> {
    let dir = machine::scratch()?;
    let docker = image::daemon().await?;
    if let Some(docker) = &docker {
        image::make_busybox(docker).await?;
    }
    let with_docker = docker.is_some();
    containers(report, dir.path(), with_docker).await?;
    modules(report, dir.path(), with_docker).await?;
    if with_docker {
        elements(report, dir.path(), peer).await?;
    }
    Ok(())
}

/// Medians of `ours` and, where there is one, of `docker run`, in turns.
async fn beside_docker(
    with_docker: bool,
    mut ours: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<(f64, Option<f64>)> {
    let (mut our, mut their) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for round in 0..WARM_UP + ROUNDS {
        let begin = Instant::now();
        ours().await?;
        let spent = begin.elapsed().as_secs_f64() * 1e3;
        // Ten of the slow one say enough.
        let compare = with_docker && (round < WARM_UP || round % 6 == 0);
        let docker = if compare { Some(docker_run().await?) } else { None };
        if round >= WARM_UP {
            our.push(spent);
            their.extend(docker);
        }
    }
    let their = if their.is_empty() { None } else { Some(percentile(&mut their, 0.5)) };
    Ok((percentile(&mut our, 0.5), their))
}

/// Milliseconds of `docker run` of a no-op, with its removal.
async fn docker_run() -> anyhow::Result<f64> {
    let begin = Instant::now();
    let status = Command::new("docker")
        .args(["run", "--rm", "--network", "none", image::BUSYBOX, "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await
        .context("docker cannot be started")?;
    ensure!(status.success(), "docker run ended with {status}");
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

async fn containers(report: &mut Report, dir: &Path, with_docker: bool) -> anyhow::Result<()> {
    report.begin(&format!("built-in containers, one after the other: {ROUNDS} no-ops"));
    let mut archive = Vec::new();
    let files = [hivemind_image::File { path: "guest", mode: 0o755, content: hivemind_guest::PROGRAM }];
    let what = hivemind_image::Description { name: "bench:1", entrypoint: &["/guest"], env: &[] };
    hivemind_image::pack(&files, &what, &mut archive)?;
    let image = content(dir, "image.tar", &archive)?;
    let config = OciConfig::new(format!("bench-{}", std::process::id()), dir.join("oci"), Helper::this_program());
    let runtime = match OciRuntime::open(config).await {
        Ok(runtime) => runtime,
        Err(why) => {
            println!("  left out: {why}");
            return Ok(());
        }
    };
    let next = AtomicU32::new(0);
    // Without a verb the guest says how it is used and ends: nothing that costs anything.
    let measured = beside_docker(with_docker, async || {
        run(&runtime, dir, job(&image, Kind::Container, &[], &next, false), 2).await
    });
    let (ours, theirs) = measured.await?;
    runtime.retire().await.map_err(anyhow::Error::msg)?;
    report.add("builtin_container_ms", ours, "ms", theirs.map(|ms| ("docker run --rm --network none".to_owned(), ms)));
    Ok(())
}

async fn modules(report: &mut Report, dir: &Path, with_docker: bool) -> anyhow::Result<()> {
    report.begin(&format!("modules, one after the other: {ROUNDS} no-ops"));
    let image = content(dir, "nothing.wasm", NOTHING)?;
    let runtime = match WasmRuntime::open(WasmConfig::new(dir.join("wasm"))) {
        Ok(runtime) => runtime,
        Err(why) => {
            println!("  left out: {why}");
            return Ok(());
        }
    };
    let next = AtomicU32::new(0);
    let one = async || run(&runtime, dir, job(&image, Kind::Wasm, &[], &next, false), 0).await;
    let (busy, theirs) = beside_docker(with_docker, one).await?;
    // A node that is not busy: the helper stands ready, and nothing is left of the module before.
    let mut idle = Vec::with_capacity(ROUNDS);
    for round in 0..WARM_UP + ROUNDS {
        runtime.settled().await;
        while runtime.waiting() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let begin = Instant::now();
        one().await?;
        if round >= WARM_UP {
            idle.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    runtime.settled().await;
    let peer = theirs.map(|ms| ("docker run --rm --network none".to_owned(), ms));
    report.add("wasm_task_ms", percentile(&mut idle, 0.5), "ms", peer.clone());
    report.add("wasm_task_busy_ms", busy, "ms", peer);
    Ok(())
}

async fn elements(report: &mut Report, dir: &Path, peer: Option<&mut Cluster>) -> anyhow::Result<()> {
    report.begin(&format!("warm elements: {ELEMENTS} no-ops, {AT_ONCE} at once"));
    let peers = match peer {
        Some(peer) => peer.throughput(PEER_TASKS).await.map(|rate| (crate::peer::HYPERQUEUE.name.to_owned(), rate)),
        None => None,
    };
    let config = DockerConfig::new(format!("bench-warm-{}", std::process::id()), dir.join("docker"));
    let runtime = DockerRuntime::connect(config).await.map_err(anyhow::Error::msg)?;
    let image = Image::Named(image::BUSYBOX.into());
    let next = AtomicU32::new(0);
    let lane = async |count: u32| -> anyhow::Result<()> {
        for _ in 0..count {
            run(&runtime, dir, job(&image, Kind::Container, &["true"], &next, true), 0).await?;
        }
        Ok(())
    };
    // The containers are made, as an array's first elements make them.
    try_join_all((0..AT_ONCE).map(|_| lane(1))).await?;
    let begin = Instant::now();
    try_join_all((0..AT_ONCE).map(|_| lane(ELEMENTS / AT_ONCE))).await?;
    let rate = f64::from(ELEMENTS) / begin.elapsed().as_secs_f64();
    runtime.sweep().await.map_err(anyhow::Error::msg)?;
    report.add("warm_element_throughput", rate, "tasks/s per node", peers);
    Ok(())
}

/// Writes what a job is to be made of.
fn content(dir: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<Image> {
    let file = dir.join(name);
    std::fs::write(&file, bytes)?;
    Ok(Image::Content { digest: hivemind_model::spec::Digest(Sha256::digest(bytes).into()), file })
}

fn job(image: &Image, kind: Kind, command: &[&str], next: &AtomicU32, warm: bool) -> Job {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Job {
        attempt: ElementRef { task: TaskId(1), index }.attempt(1),
        kind,
        image: image.clone(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        env: Vec::new(),
        files: Vec::new(),
        outputs: vec![OUTPUT.into()],
        egress: Egress::default(),
        warm,
        max_runtime: Millis::from_secs(60),
        resources: Resources {
            cpu: MilliCores::from_cores(1),
            memory: Bytes::from_mib(64),
            disk: Bytes::from_mib(64),
            gpus: 0,
        },
    }
}

async fn run(runtime: &dyn Runtime, scratch: &Path, job: Job, code: i32) -> anyhow::Result<()> {
    let finished = runtime.run(job, Arc::new(Silence), Control::stopping(Stop::new()), scratch).await;
    ensure!(finished.outcome == Outcome::Exited { code }, "a task ended otherwise: {:?}", finished.outcome);
    Ok(())
}
