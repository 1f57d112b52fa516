//! Elements that run one after the other in a container that stays.
//!
//! Start at [`element`]. The first element of a kind ([`Key`]) makes the container; those that follow take it
//! from the few that wait ([`Warm`]), and give it back unless something about it is doubtful. How one runs is
//! in [`run`].
//!
//! A container that waits goes after [`IDLE`], when another one is made, at a sweep and at the agent's end.
//!
//! Invariant: elements that share a container are of the same task and alike in everything that decides what
//! they may do and see.

use super::cleaner::{Cleaner, Leftovers, Live};
use super::image::Image;
use super::meter::Cgroup;
use super::run::{Attempt, Ran};
use super::volume::Volume;
use super::{Inner, create, daemon, streams};
use crate::warm::{Channel, Command, Folder};
use hivemind_guest::PROGRAM;
use hivemind_model::state::Outcome;
use hivemind_model::{Kind, Resources, TaskId};
use parking_lot::Mutex;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

mod run;

/// How long a container waits for the next element.
const IDLE: Duration = Duration::from_secs(5);
/// Most containers that wait.
const MOST_IDLE: usize = 16;
/// Longest wait for a guest that was started to say so.
const HELLO_PATIENCE: Duration = Duration::from_secs(30);

/// What elements that share a container have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    task: TaskId,
    image: String,
    resources: Resources,
    outputs: Vec<String>,
    files: Vec<(String, Source)>,
}

/// Which file an input comes from, and in which state: device, number, length, last change.
type Source = (u64, u64, u64, i64, i64);

/// A container in which nothing runs but its guest.
#[derive(Debug)]
struct Container {
    key: Key,
    name: String,
    id: String,
    /// `None`: its counters cannot be read, so that it is used once.
    cgroup: Option<Cgroup>,
    channel: Channel,
    folder: Arc<Folder>,
    /// Bytes of its disk that were in use before the first element.
    fresh: u64,
    volume: Volume,
    /// Of the attempt whose name it bears.
    live: Live,
}

impl Container {
    async fn remove(self, cleaner: &Cleaner) {
        let (container, holder) = (Some(self.name), None);
        cleaner.remove(Leftovers { container, holder, volume: self.volume, live: self.live }).await;
    }
}

/// The containers that wait for an element.
#[derive(Debug, Default)]
pub(super) struct Warm {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The one that waits longest comes first.
    containers: Vec<(Instant, Container)>,
    is_watched: bool,
}

impl Warm {
    /// One that is like `key`, the one that was used last.
    async fn take(&self, key: &Key, cleaner: &Cleaner) -> Option<Container> {
        loop {
            let mut found = {
                let mut idle = self.idle.lock();
                let at = idle.containers.iter().rposition(|(_, container)| container.key == *key)?;
                idle.containers.remove(at).1
            };
            if found.channel.is_ready() {
                return Some(found);
            }
            found.remove(cleaner).await;
        }
    }

    /// Lets `container` wait for the next element.
    async fn put(&self, inner: &Arc<Inner>, container: Container) {
        let (surplus, is_watched) = {
            let mut idle = self.idle.lock();
            idle.containers.push((Instant::now(), container));
            let surplus = (idle.containers.len() > MOST_IDLE).then(|| idle.containers.remove(0).1);
            (surplus, std::mem::replace(&mut idle.is_watched, true))
        };
        if !is_watched {
            tokio::spawn(watch(inner.clone()));
        }
        if let Some(surplus) = surplus {
            surplus.remove(&inner.cleaner).await;
        }
    }

    /// Removes the one that waits longest, before another container is made.
    pub(super) async fn make_room(&self, cleaner: &Cleaner) {
        let oldest = {
            let mut idle = self.idle.lock();
            (!idle.containers.is_empty()).then(|| idle.containers.remove(0).1)
        };
        if let Some(oldest) = oldest {
            oldest.remove(cleaner).await;
        }
    }

    /// Removes all that wait.
    pub(super) async fn retire(&self, cleaner: &Cleaner) {
        let all = std::mem::take(&mut self.idle.lock().containers);
        for (_, container) in all {
            container.remove(cleaner).await;
        }
    }

    /// Those that have waited for too long, or the moment at which the next one has; `None` where none waits,
    /// and nobody watches any more.
    fn overdue(&self) -> Option<Result<Container, Instant>> {
        let mut idle = self.idle.lock();
        let Some(end) = idle.containers.first().map(|(since, _)| *since + IDLE) else {
            idle.is_watched = false;
            return None;
        };
        Some(if end <= Instant::now() { Ok(idle.containers.remove(0).1) } else { Err(end) })
    }
}

/// Removes what waits for too long, until nothing waits.
async fn watch(inner: Arc<Inner>) {
    while let Some(overdue) = inner.warm.overdue() {
        match overdue {
            Ok(container) => container.remove(&inner.cleaner).await,
            Err(moment) => tokio::time::sleep_until(moment).await,
        }
    }
}

/// True where `attempt` may share a container and can have one here: with a disk that the agent can set back,
/// and without a network, which would be the same one for all.
pub(super) fn fits(attempt: &Attempt, image: &Image) -> bool {
    let job = &attempt.job;
    // Such a folder lies on the disk that is set back, and is none of it.
    let is_within = |path: &String| Path::new(path).starts_with("/task") && path != "/task";
    job.warm
        && job.kind == Kind::Container
        && job.egress.is_empty()
        && attempt.inner.volumes.unlimited().is_none()
        && !image.volumes.iter().any(is_within)
}

/// Runs one element, in a container that waits or in a fresh one.
pub(super) async fn element(mut attempt: Attempt, image: Image, live: Live) -> Ran {
    let command = match command(&attempt, &image) {
        Ok(command) => command,
        Err(outcome) => return Ran::not_at_all(outcome),
    };
    let key = match key(&attempt, &image) {
        Ok(key) => key,
        Err(error) => {
            return Ran::not_at_all(daemon::io_fault("the input files could not be read", &error));
        }
    };
    let inner = attempt.inner.clone();
    let (mut container, _live) = match inner.warm.take(&key, &inner.cleaner).await {
        Some(container) => {
            attempt.name.clone_from(&container.name);
            (container, Some(live))
        }
        None => match make(&mut attempt, image, key, live).await {
            Ok(container) => (container, None),
            Err(ran) => return ran,
        },
    };
    let (ran, is_sound) = run::one(&attempt, &mut container, command).await;
    if is_sound && container.cgroup.is_some() {
        inner.warm.put(&inner, container).await;
    } else {
        container.remove(&inner.cleaner).await;
    }
    ran
}

/// What is executed: the image's entry point, and the job's command or the image's own.
fn command(attempt: &Attempt, image: &Image) -> Result<Command, Outcome> {
    let job = &attempt.job;
    let own = if job.command.is_empty() { &image.command } else { &job.command };
    let argv: Vec<String> = image.entrypoint.iter().chain(own).cloned().collect();
    if argv.is_empty() {
        return Err(Outcome::CannotStart { reason: "the image has no command of its own; give one".into() });
    }
    let env = job.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Command { argv, env, cwd: String::new() })
}

fn key(attempt: &Attempt, image: &Image) -> io::Result<Key> {
    let job = &attempt.job;
    let source = |path: &Path| -> io::Result<Source> {
        let found = std::fs::metadata(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    let files = job.files.iter().map(|(path, from)| Ok((path.clone(), source(from)?)));
    Ok(Key {
        task: job.attempt.element.task,
        image: image.id.clone(),
        resources: job.resources,
        outputs: job.outputs.clone(),
        files: files.collect::<io::Result<_>>()?,
    })
}

/// Makes a container with a guest that waits for its first command; else what came of the element.
async fn make(attempt: &mut Attempt, image: Image, key: Key, live: Live) -> Result<Container, Ran> {
    let inner = attempt.inner.clone();
    inner.warm.make_room(&inner.cleaner).await;
    // The guest takes nothing of what the job was promised.
    let volume = attempt.disk(PROGRAM.len() as u64).await.map_err(Ran::not_at_all)?;
    if volume.held().is_none() {
        return Err(attempt.alone(image, volume, live).await);
    }
    match begin(attempt, &image, &volume).await {
        Ok((id, folder, channel)) => {
            let (name, cgroup, folder) = (attempt.name.clone(), Cgroup::locate(&id), Arc::new(folder));
            let fresh = volume.held().map_or(0, |held| held.used());
            Ok(Container { key, name, id, cgroup, channel, folder, fresh, volume, live })
        }
        Err(outcome) => {
            let leftovers = Leftovers { container: Some(attempt.name.clone()), holder: None, volume, live };
            inner.cleaner.remove(leftovers).await;
            Err(Ran::not_at_all(outcome))
        }
    }
}

async fn begin(attempt: &Attempt, image: &Image, volume: &Volume) -> Result<(String, Folder, Channel), Outcome> {
    let inner = &attempt.inner;
    let folder = lay(attempt, volume).await?;
    let id = attempt.create(create::warm_request(&attempt.job, image, &volume.source, &inner.instance)).await?;
    let (from, to) = streams::attach_guest(&inner.docker, &attempt.name)
        .await
        .map_err(|error| daemon::fault("the container cannot be spoken to", &error))?;
    if !attempt.may_start().await {
        return Err(Outcome::Cancelled);
    }
    attempt.begin(&id).await.map_err(ours)?;
    let opening = tokio::time::timeout(HELLO_PATIENCE, Channel::open(from, to));
    let opened = tokio::select! {
        biased;
        () = attempt.stop.cancelled() => return Err(Outcome::Cancelled),
        opened = opening => opened,
    };
    let why = match opened {
        Ok(Ok(channel)) => return Ok((id, folder, channel)),
        Ok(Err(broken)) => broken.to_string(),
        Err(_) => format!("it said nothing for {} s", HELLO_PATIENCE.as_secs()),
    };
    Err(Outcome::Infrastructure { reason: format!("the guest in the warm container cannot be used: {why}") })
}

/// The program that could not be started is not the job's.
fn ours(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::CannotStart { reason } => {
            Outcome::Infrastructure { reason: format!("the guest could not be started: {reason}") }
        }
        other => other,
    }
}

async fn lay(attempt: &Attempt, volume: &Volume) -> Result<Folder, Outcome> {
    let Some(held) = volume.held() else {
        return Err(Outcome::Infrastructure { reason: "the disk for /task cannot be reached".into() });
    };
    let (files, stop) = (attempt.job.files.clone(), attempt.stop.clone());
    let work = move || Folder::lay(held.as_fd(), &files, PROGRAM, &|| stop.is_cancelled());
    match tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(folder) => Ok(folder),
        Err(_) if attempt.stop.is_cancelled() => Err(Outcome::Cancelled),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(Outcome::CannotStart {
            reason: "the input files do not fit into the task's disk; ask for more disk".into(),
        }),
        Err(error) => Err(daemon::io_fault("the input files could not be put into /task", &error)),
    }
}
