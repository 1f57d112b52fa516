//! Containers through the Docker runtime beside the same containers through the bare Docker API.
//!
//! Both run `true` of the same image, in turns, so that a drift of the machine hits both, and
//! both without a network and without a log driver, which are what a container's start costs
//! most. Ours has the rest of the profile besides: the limited volume, the captured streams, the
//! metering, the collected outputs; and its time goes until everything is removed again. The
//! bare one creates, starts, waits and removes, and looks at nothing.

use crate::machine;
use crate::report::{Report, percentile};
use anyhow::{Context, ensure};
use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::StreamExt;
use futures::future::try_join_all;
use hivemind_model::{Bytes, ElementRef, MilliCores, Millis, Outcome, Resources, TaskId};
use hivemind_runtime::docker::{DockerConfig, DockerRuntime};
use hivemind_runtime::{Control, Job, Runtime, Sink, Stop, Stream, Usage};
use hivemind_testkit::image;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["docker_overhead_sequential", "docker_overhead_4"];

const PAIRS: usize = 24;
const WARM_UP: usize = 2;

struct Silence;

impl Sink for Silence {
    fn note(&self, _: &str) {}
    fn started(&self) {}
    fn output(&self, _: Stream, _: &[u8]) {}
    fn progress(&self, _: u8) {}
    fn usage(&self, _: Usage) {}
}

struct Rig<'a> {
    docker: Docker,
    runtime: DockerRuntime,
    scratch: &'a Path,
    instance: String,
    next: AtomicU64,
}

/// Measures [`FIGURES`]; leaves them out where no daemon answers.
///
/// # Errors
/// Where a container does not run.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let Some(docker) = image::daemon().await? else { return Ok(()) };
    image::make_busybox(&docker).await?;
    let dir = machine::scratch()?;
    let instance = format!("bench-{}", std::process::id());
    let runtime =
        DockerRuntime::connect(DockerConfig::new(instance.as_str(), dir.path())).await.map_err(anyhow::Error::msg)?;
    let rig = Rig { docker, runtime, scratch: dir.path(), instance, next: AtomicU64::new(1) };
    for (name, at_once) in FIGURES.iter().zip([1, 4]) {
        report.begin(&format!("containers, {at_once} at once: {PAIRS} pairs of rounds"));
        let (mut ours, mut bare) = (Vec::with_capacity(PAIRS), Vec::with_capacity(PAIRS));
        for pair in 0..WARM_UP + PAIRS {
            // Whoever comes first in one pair comes second in the next.
            let (our, their) = if pair % 2 == 0 {
                let our = rig.ours(at_once).await?;
                (our, rig.bare(at_once).await?)
            } else {
                let their = rig.bare(at_once).await?;
                (rig.ours(at_once).await?, their)
            };
            if pair >= WARM_UP {
                ours.push(our);
                bare.push(their);
            }
        }
        let (our, their) = (percentile(&mut ours, 0.5), percentile(&mut bare, 0.5));
        println!("  medians per container: {our:.0} ms, bare {their:.0} ms");
        report.add(
            name,
            our / their,
            "ratio",
            Some(("bare Docker API: create, start, wait, remove; no network, no log".to_owned(), 1.0)),
        );
    }
    rig.runtime.sweep().await.map_err(anyhow::Error::msg)?;
    Ok(())
}

impl Rig<'_> {
    /// Milliseconds per container, until all are removed.
    async fn ours(&self, at_once: usize) -> anyhow::Result<f64> {
        let begin = Instant::now();
        try_join_all((0..at_once).map(|_| self.one_of_ours())).await?;
        self.runtime.settled().await;
        Ok(begin.elapsed().as_secs_f64() * 1e3 / at_once as f64)
    }

    async fn one_of_ours(&self) -> anyhow::Result<()> {
        let job = Job {
            attempt: ElementRef::only(TaskId(self.next.fetch_add(1, Ordering::Relaxed))).attempt(1),
            image: image::BUSYBOX.into(),
            command: vec!["true".into()],
            files: Vec::new(),
            kind: hivemind_model::Kind::Container,
            outputs: vec![hivemind_model::spec::OUTPUT.into()],
            egress: hivemind_model::Egress::default(),
            warm: false,
            env: Vec::new(),
            max_runtime: Millis::from_secs(60),
            resources: Resources {
                cpu: MilliCores::from_cores(1),
                memory: Bytes::from_mib(64),
                disk: Bytes::from_mib(64),
                gpus: 0,
            },
        };
        let finished = self.runtime.run(job, Arc::new(Silence), Control::stopping(Stop::new()), self.scratch).await;
        ensure!(finished.outcome == Outcome::Exited { code: 0 }, "a container ended otherwise: {:?}", finished.outcome);
        Ok(())
    }

    async fn bare(&self, at_once: usize) -> anyhow::Result<f64> {
        let begin = Instant::now();
        try_join_all((0..at_once).map(|_| self.one_bare())).await?;
        Ok(begin.elapsed().as_secs_f64() * 1e3 / at_once as f64)
    }

    async fn one_bare(&self) -> anyhow::Result<()> {
        let name = format!("hivemind-bench-bare-{}-{}", self.instance, self.next.fetch_add(1, Ordering::Relaxed));
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let host = HostConfig {
            network_mode: Some("none".into()),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            host_config: Some(host),
            image: Some(image::BUSYBOX.into()),
            cmd: Some(vec!["true".into()]),
            ..ContainerCreateBody::default()
        };
        self.docker.create_container(Some(options), body).await?;
        let ran = async {
            self.docker.start_container(&name, None).await?;
            let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
            let mut waiting = std::pin::pin!(self.docker.wait_container(&name, Some(options)));
            let ended = waiting.next().await.context("the daemon does not say how the container ended")??;
            ensure!(ended.status_code == 0, "a bare container ended with {}", ended.status_code);
            anyhow::Ok(())
        };
        let ran = ran.await;
        self.docker.remove_container(&name, Some(RemoveContainerOptionsBuilder::default().force(true).build())).await?;
        ran
    }
}
