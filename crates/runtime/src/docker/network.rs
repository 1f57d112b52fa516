//! The network of the tasks that asked for one.
//!
//! A container has a network of its own with nothing but loopback in it. For a job that may reach hosts, a small
//! container (the holder) is made first: it keeps such a network, with the names of the hosts in its `/etc/hosts`, and
//! does nothing. A gate ([`hivemind_egress`]) opens its doors in that network, and then the job's container is made within
//! the same network. Start at [`Way::open`].
//!
//! Invariant: no bridge, no virtual cable and no rule of a firewall is made, and the job's profile is the same otherwise.

use super::create::{labels_of, name_of};
use super::{Inner, daemon};
use crate::volume::USER_ID;
use crate::{Check, Job, Sink, way};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, ResourcesUlimits,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, ImportImageOptionsBuilder};
use futures::StreamExt;
use hivemind_egress::{Gate, Plan, Rules, Used, cannot_enter, of_process};
use hivemind_image::{Description, File, pack};
use hivemind_model::state::Outcome;
use hivemind_model::{AttemptRef, Isolation};
use parking_lot::Mutex;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

/// Under which name the holder's image is listed. It is used by its digest alone.
const IMAGE_NAME: &str = concat!("hivemind-guest:", env!("CARGO_PKG_VERSION"));
/// Memory of a holder: what starts it needs more than what runs then.
const MEMORY_BYTES: i64 = 32 << 20;
/// Processes and threads of a holder; as with memory, most are for its start.
const PIDS: i64 = 32;
/// Share of a core, in billionths: a start takes milliseconds of it, and then it is idle.
const NANO_CPUS: i64 = 500_000_000;
/// /dev/shm of a holder, which the daemon makes whether it is used or not.
const SHARED_MEMORY_BYTES: i64 = 64 << 10;

/// What all attempts' networks share.
#[derive(Debug)]
pub(super) struct Network {
    rules: Arc<Rules>,
    /// Why there is none here.
    missing: Option<String>,
    /// The digest under which the daemon has the holder's image.
    image: Mutex<Option<String>>,
}

impl Network {
    pub(super) fn new(rules: Rules, isolation: Isolation) -> Self {
        let sandboxed =
            "gVisor keeps a loopback of its own for each container, which no gate can be opened in; let the \
                         daemon use runc for tasks with a network"
                .to_owned();
        let missing = match isolation {
            Isolation::Sandboxed => Some(sandboxed),
            Isolation::Basic | Isolation::Rootless => cannot_enter(),
        };
        Self { rules: Arc::new(rules), missing, image: Mutex::default() }
    }

    /// Why tasks have no network here, with what to do about it.
    pub(super) fn missing(&self) -> Option<String> {
        self.missing.clone()
    }

    /// How it is, for people.
    pub(super) fn check(&self) -> Check {
        way::check(self.missing.as_deref(), &self.rules.policy)
    }

    /// Makes and starts the holder `name`. Gives its id.
    async fn hold(&self, docker: &Docker, name: &str, request: ContainerCreateBody) -> Result<String, Outcome> {
        let known = self.image.lock().clone();
        let made = match known {
            Some(image) => make(docker, name, request.clone(), image).await,
            None => Err(Error::DockerResponseServerError { status_code: 404, message: "not looked for yet".into() }),
        };
        let made = match made {
            // Somebody removed the image; it is small and here.
            Err(error) if daemon::is_absent(&error) => {
                let image = image(docker).await?;
                *self.image.lock() = Some(image.clone());
                make(docker, name, request, image).await
            }
            made => made,
        };
        let failed =
            |error: Error| daemon::fault("the container that keeps the task's network could not be made", &error);
        let id = made.map_err(failed)?;
        docker.start_container(name, None).await.map_err(failed)?;
        Ok(id)
    }
}

/// The way out of one attempt; closed until it is opened.
#[derive(Debug, Default)]
pub(super) struct Way {
    opened: OnceLock<way::Way>,
    /// What had passed when it was closed.
    last: Used,
}

/// The name of an attempt's holder.
pub(super) fn holder_of(instance: &str, attempt: AttemptRef) -> String {
    format!("{}-network", name_of(instance, attempt))
}

impl Way {
    /// Where `job` may reach hosts, opens a way to them and puts the container of `request` at its beginning.
    ///
    /// # Errors
    /// `Infrastructure` where this machine cannot do it. What was made is the caller's to remove.
    pub(super) async fn open(
        &self,
        inner: &Inner,
        job: &Job,
        request: &mut ContainerCreateBody,
    ) -> Result<(), Outcome> {
        if job.egress.is_empty() {
            return Ok(());
        }
        if let Some(why) = inner.network.missing() {
            return Err(Outcome::Infrastructure { reason: format!("tasks have no network here: {why}") });
        }
        let plan = Gate::plan(&job.egress);
        let name = holder_of(&inner.instance, job.attempt);
        // In the share, too: what it takes is taken for a task.
        let wanted = inner.profile.placed(holder(&plan, &inner.instance, job.attempt));
        let id = inner.network.hold(&inner.docker, &name, wanted).await?;
        let network = network_of(&inner.docker, &id).await?;
        let opened = way::Way::open(&plan, network, inner.network.rules.clone()).await;
        let opened = opened
            .map_err(|error| daemon::io_fault("the way out of the task's network could not be opened", &error))?;
        enter(request, &plan, &id);
        // A second opening is none: an attempt has one container.
        self.opened.get_or_init(|| opened);
        Ok(())
    }

    /// The next line for the task's log; never where there is no way. Losing the race of a `select!` loses none.
    pub(super) async fn line(&self) -> String {
        match self.opened.get() {
            Some(opened) => opened.line().await,
            None => std::future::pending().await,
        }
    }

    /// What has passed so far.
    pub(super) fn used(&self) -> Used {
        self.opened.get().map_or(self.last, way::Way::used)
    }

    /// Closes it and tells `sink` what had not been told.
    pub(super) async fn close(&mut self, sink: &dyn Sink) {
        if let Some(opened) = self.opened.take() {
            self.last = opened.close(sink).await;
        }
    }
}

/// The network that the container `id` keeps.
async fn network_of(docker: &Docker, id: &str) -> Result<OwnedFd, Outcome> {
    let what = "the container that keeps the task's network cannot be looked at";
    let shown = docker.inspect_container(id, None).await.map_err(|error| daemon::fault(what, &error))?;
    let state = shown.state.unwrap_or_default();
    let found = match state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0) {
        Some(pid) => of_process(pid, id),
        None => Err(io::Error::other(format!("it ended at once: {}", state.error.unwrap_or_default()))),
    };
    found.map_err(|error| daemon::io_fault(what, &error))
}

/// Makes the container of `request` part of the network of the container `id`, which has a hostname already.
fn enter(request: &mut ContainerCreateBody, plan: &Plan, id: &str) {
    request.hostname = None;
    let env = plan.env.iter().map(|(name, value)| format!("{name}={value}"));
    request.env.get_or_insert_default().extend(env);
    request.host_config.get_or_insert_default().network_mode = Some(format!("container:{id}"));
}

/// The request for a holder, but for its image.
fn holder(plan: &Plan, instance: &str, attempt: AttemptRef) -> ContainerCreateBody {
    let limit =
        |name: &str, most: i64| ResourcesUlimits { name: Some(name.into()), soft: Some(most), hard: Some(most) };
    let host_config = HostConfig {
        network_mode: Some("none".into()),
        extra_hosts: Some(plan.hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
        // Nobody answers there, so that a program hears at once that it has no name server; and the machine's own
        // servers and domains stay its own.
        dns: Some(vec![plan.name_server.to_string()]),
        dns_search: Some(vec![".".into()]),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges:true".into()]),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        memory: Some(MEMORY_BYTES),
        memory_swap: Some(MEMORY_BYTES),
        oom_kill_disable: Some(false),
        nano_cpus: Some(NANO_CPUS),
        pids_limit: Some(PIDS),
        shm_size: Some(SHARED_MEMORY_BYTES),
        ulimits: Some(vec![limit("nofile", 64), limit("core", 0)]),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        ipc_mode: Some("private".into()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        init: Some(false),
        auto_remove: Some(false),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        cmd: Some(vec!["pause".into()]),
        user: Some(format!("{USER_ID}:{USER_ID}")),
        hostname: Some("task".into()),
        labels: Some(labels_of(instance, attempt)),
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        open_stdin: Some(false),
        tty: Some(false),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() }),
        stop_timeout: Some(1),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    }
}

async fn make(docker: &Docker, name: &str, request: ContainerCreateBody, image: String) -> Result<String, Error> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let request = ContainerCreateBody { image: Some(image), ..request };
    Ok(docker.create_container(Some(options), request).await?.id)
}

/// The holder's image, loaded where it is not here. Found by its content: another image of its name is not taken.
async fn image(docker: &Docker) -> Result<String, Outcome> {
    let fault = |error| daemon::io_fault("the image that keeps a task's network could not be packed", &error);
    let (archive, digests) = packed().map_err(fault)?;
    if let Some(found) = find(docker, &digests).await? {
        return Ok(found);
    }
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let mut lines = std::pin::pin!(docker.import_image(options, bollard::body_full(archive.into()), None));
    while let Some(line) = lines.next().await {
        line.map_err(|error| daemon::fault("the image that keeps a task's network could not be loaded", &error))?;
    }
    find(docker, &digests).await?.ok_or_else(|| Outcome::Infrastructure {
        reason: "the daemon loaded the image that keeps a task's network, and does not have it".into(),
    })
}

async fn find(docker: &Docker, digests: &[String]) -> Result<Option<String>, Outcome> {
    for digest in digests {
        match docker.inspect_image(digest).await {
            Ok(_) => return Ok(Some(digest.clone())),
            Err(error) if daemon::is_absent(&error) => {}
            Err(error) => return Err(daemon::fault("the local images cannot be looked up", &error)),
        }
    }
    Ok(None)
}

/// The image's archive, and the digests under which daemons know such an image: some that of its configuration, some
/// that of its manifest.
fn packed() -> io::Result<(Vec<u8>, Vec<String>)> {
    let files = [File { path: "guest", mode: 0o555, content: hivemind_guest::PROGRAM }];
    let mut archive = Vec::new();
    let mut digests =
        vec![pack(&files, &Description { name: IMAGE_NAME, entrypoint: &["/guest"], env: &[] }, &mut archive)?];
    for entry in tar::Archive::new(archive.as_slice()).entries()? {
        let entry = entry?;
        let path = entry.path()?;
        if let Ok(digest) = path.strip_prefix("blobs/sha256") {
            digests.push(format!("sha256:{}", digest.display()));
        }
    }
    Ok((archive, digests))
}

#[cfg(test)]
mod tests;
