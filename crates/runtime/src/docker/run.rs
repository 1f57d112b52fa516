//! One attempt, from its image to its removal.
//!
//! Start at [`attempt`]. The order is: image; disk; container, listened to; input files; start;
//! then whichever comes first of its end, the stop, and the end of its time ([`super::follow`]); then what
//! it used and what it left ([`super::judge`]). An element that may share a container goes another way
//! ([`super::warm`]).
//!
//! Invariant: a request that makes or starts something is never dropped half-way, so the daemon
//! cannot bring to life what was given up here.

use super::cleaner::{Leftovers, Live};
use super::image::Image;
use super::judge::Times;
use super::meter::Meter;
use super::stand::Stand;
use super::volume::Volume;
use super::watch::Watch;
use super::{Inner, create, daemon, inputs, network, streams, volume, warm};
use crate::volume::Held;
use crate::{Control, Finished, Job, Sink, Stop};
use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use hivemind_egress::Used;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::Bytes;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for the daemon to kill before it is done without it.
pub(super) const KILL_SOON: Duration = Duration::from_millis(500);

/// What one attempt is made of.
pub(super) struct Attempt {
    pub(super) inner: Arc<Inner>,
    pub(super) job: Job,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) control: Control,
    pub(super) stop: Stop,
    pub(super) scratch: PathBuf,
    /// Of its container.
    pub(super) name: String,
    /// Out to the hosts that it may reach.
    pub(super) way: network::Way,
}

/// How the waiting for a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Own,
    /// We stopped it, because of this.
    Stopped,
    /// We stopped it, because of this.
    OutOfTime,
}

/// What came of the container.
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    pub(super) metering: Metering,
    pub(super) output: Option<tempfile::NamedTempFile>,
}

impl Ran {
    pub(super) fn not_at_all(outcome: Outcome) -> Self {
        Self { outcome, metering: Metering::default(), output: None }
    }
}

/// Runs `job` to its end.
pub(super) async fn attempt(
    inner: Arc<Inner>,
    job: Job,
    sink: Arc<dyn Sink>,
    control: Control,
    scratch: PathBuf,
) -> Finished {
    let stop = control.stop.clone();
    let finished = |ran: Ran, image_id: String| Finished {
        outcome: ran.outcome,
        metering: ran.metering,
        image_id,
        output: ran.output,
    };
    let Some(live) = inner.cleaner.enter(job.attempt) else {
        let reason = format!("{} runs here already", job.attempt);
        return finished(Ran::not_at_all(Outcome::Infrastructure { reason }), String::new());
    };
    let image = match inner.images.resolve(&job.image, &*sink, &stop).await {
        Ok(image) => image,
        Err(outcome) => return finished(Ran::not_at_all(outcome), String::new()),
    };
    if stop.is_cancelled() {
        return finished(Ran::not_at_all(Outcome::Cancelled), image.id);
    }
    let name = create::name_of(&inner.instance, job.attempt);
    let way = network::Way::default();
    let mut this = Attempt { inner: inner.clone(), job, sink, control, stop, scratch, name, way };
    let image_id = image.id.clone();
    let ran = if warm::fits(&this, &image) {
        warm::element(this, image, live).await
    } else {
        this.inner.warm.make_room(&this.inner.cleaner).await;
        match this.disk(0).await {
            Ok(volume) => this.alone(image, volume, live).await,
            Err(outcome) => Ran::not_at_all(outcome),
        }
    };
    finished(ran, image_id)
}

impl Attempt {
    /// In a container of its own.
    pub(super) async fn alone(&mut self, image: Image, volume: Volume, live: Live) -> Ran {
        let ran = self.contained(image, &volume).await;
        self.way.close(&*self.sink).await;
        let Used { received, sent } = self.way.used();
        tracing::debug!(attempt = %self.job.attempt, %received, %sent, "its network is closed");
        let networked = !self.job.egress.is_empty();
        let holder = networked.then(|| network::holder_of(&self.inner.instance, self.job.attempt));
        self.inner.cleaner.remove(Leftovers { container: Some(self.name.clone()), holder, volume, live }).await;
        ran
    }

    /// A fresh disk, with room for so many bytes beside the job's own.
    pub(super) async fn disk(&self, beside: u64) -> Result<Volume, Outcome> {
        let size = Bytes(self.job.resources.disk.0.saturating_add(beside));
        Volume::prepare(&self.inner.volumes, &self.inner.instance, self.job.attempt, size).await
    }

    /// From the container to what it left.
    async fn contained(&self, image: Image, volume: &Volume) -> Ran {
        let (id, attached) = match self.prepare(image, volume).await {
            Ok(prepared) => prepared,
            Err(outcome) => return Ran::not_at_all(outcome),
        };
        if !self.may_start().await {
            return Ran::not_at_all(Outcome::Cancelled);
        }
        let asked = Instant::now();
        if let Err(outcome) = self.begin(&id).await {
            return Ran::not_at_all(outcome);
        }
        self.sink.started();
        let started = Instant::now();
        let mut meter = Meter::new(&self.inner.docker, &id);
        let (mut stand, mut watch) = (Stand::new(), Watch::new(volume.held()));
        let end = self.follow(attached, &mut meter, &mut stand, &mut watch, started).await;
        let ran = self.judge(end, volume, &meter, Times { asked, started, stood: stand.total() }).await;
        watch.last(volume.percent().await, &*self.sink);
        ran
    }

    /// Waits until it need not stand still; false where it is stopped before.
    pub(super) async fn may_start(&self) -> bool {
        let mut control = self.control.clone();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = control.until_paused(false) => true,
        }
    }

    /// Starts the container `id`, or says why not.
    pub(super) async fn begin(&self, id: &str) -> Result<(), Outcome> {
        let Err(error) = self.start(id).await else { return Ok(()) };
        // A start that was not answered may still happen.
        if daemon::status(&error).is_none() {
            self.kill(&Meter::new(&self.inner.docker, id)).await;
        }
        Err(if self.stop.is_cancelled() { Outcome::Cancelled } else { daemon::refused_start(&error) })
    }

    /// Makes the container, listens to it, and puts the input files into it.
    async fn prepare(&self, image: Image, volume: &Volume) -> Result<(String, AttachContainerResults), Outcome> {
        let docker = &self.inner.docker;
        let source = &volume.source;
        if source.device.is_none() {
            volume::plain::own(docker, &self.inner.instance, self.job.attempt, &image, source).await?;
        }
        if let Some(held) = volume.held() {
            progress_folder(held).await?;
        }
        let mut request = create::request(&self.job, &image, source, &self.inner.instance);
        self.way.open(&self.inner, &self.job, &mut request).await?;
        let id = self.create(request).await?;
        let attached = streams::attach(docker, &self.name)
            .await
            .map_err(|error| daemon::fault("the container's output cannot be read", &error))?;
        if !self.job.files.is_empty() {
            tokio::select! {
                biased;
                // Nothing runs yet; a half-filled volume is removed with the container.
                () = self.stop.cancelled() => return Err(Outcome::Cancelled),
                uploaded = inputs::upload(docker, &self.name, self.job.files.clone()) => uploaded?,
            }
        }
        Ok((id, attached))
    }

    /// Makes the container and gives its id.
    pub(super) async fn create(&self, request: ContainerCreateBody) -> Result<String, Outcome> {
        let options = CreateContainerOptionsBuilder::default().name(&self.name).build();
        match self.inner.docker.create_container(Some(options), self.inner.profile.applied(request)).await {
            Ok(created) => Ok(created.id),
            Err(error) => {
                if daemon::is_absent(&error) {
                    self.inner.images.forget(&self.job.image.to_string());
                }
                Err(daemon::refused_create(&error))
            }
        }
    }

    /// Starts the container. Where the job is stopped meanwhile, what the daemon has brought to life
    /// without saying so is killed, again and again until it says how the start went.
    async fn start(&self, id: &str) -> Result<(), Error> {
        let start = self.inner.docker.start_container(&self.name, None);
        tokio::pin!(start);
        tokio::select! {
            biased;
            started = &mut start => return started,
            () = self.stop.cancelled() => {}
        }
        loop {
            match tokio::time::timeout(KILL_SOON, &mut start).await {
                Ok(started) => return started,
                Err(_) => Meter::new(&self.inner.docker, id).kill_directly().await,
            };
        }
    }
}

/// Makes the folder in which a command tells its progress.
async fn progress_folder(held: Arc<Held>) -> Result<(), Outcome> {
    let made = tokio::task::spawn_blocking(move || held.make_folder(crate::progress::FOLDER)).await;
    let made = made.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    made.map_err(|error| daemon::io_fault("the disk for /task could not be prepared", &error))
}
