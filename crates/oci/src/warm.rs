//! Elements that run one after the other in a container that stays.
//!
//! Start at [`element`]. The first element of a kind ([`Key`]) makes the container; those that follow take it
//! from the few that wait ([`Warm`]), and give it back unless something about it is doubtful. How one runs is
//! in [`run`]. What an element can rely on is in `docs/WARM.md`.
//!
//! A container that waits goes after [`IDLE`], when another one is made, at a sweep and at the agent's end.
//!
//! Invariant: elements that share a container are of the same task and alike in everything that decides what
//! they may do and see.

use crate::cgroup::Group;
use crate::images::Image;
use crate::launch;
use crate::run::{Attempt, Ran, environment};
use crate::{Inner, Live, watch};
use hivemind_guest::PROGRAM;
use hivemind_model::state::Outcome;
use hivemind_model::{AttemptRef, Resources, TaskId};
use hivemind_runtime::volume::Unnamed;
use hivemind_runtime::warm::{Channel, Command, EMPTIED, Folder, GUEST};
use parking_lot::Mutex;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

mod run;

/// How long a container waits for the next element.
const IDLE: Duration = Duration::from_secs(5);
/// Most containers that wait.
const MOST_IDLE: usize = 16;
/// Longest wait for a guest that was started to say so.
const HELLO_PATIENCE: Duration = Duration::from_secs(30);
/// Most of a guest's complaints that is looked at together.
const COMPLAINT_BYTES: usize = 512;

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
    /// Whose name it bears.
    attempt: AttemptRef,
    made: launch::Container,
    group: Group,
    channel: Channel,
    folder: Arc<Folder>,
    /// Bytes of its disk that were in use before the first element.
    fresh: u64,
    disk: Arc<Unnamed>,
    tasks: TaskTracker,
    _live: Live,
}

impl Container {
    async fn remove(self) {
        let Self { attempt, made, disk, tasks, .. } = self;
        if let Err(error) = made.discard().await {
            tracing::error!(%attempt, %error, "something of a container stays; it is swept at the agent's next start");
        }
        // What was written last is written out by the last one to let go of the disk.
        tasks.spawn_blocking(move || drop(disk));
    }
}

/// The containers that wait for an element.
#[derive(Debug, Default)]
pub(crate) struct Warm {
    idle: Arc<Mutex<Idle>>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The one that waits longest comes first.
    containers: Vec<(Instant, Container)>,
    is_watched: bool,
}

impl Warm {
    /// One that is like `key`, the one that was used last.
    async fn take(&self, key: &Key) -> Option<Container> {
        loop {
            let mut found = {
                let mut idle = self.idle.lock();
                let at = idle.containers.iter().rposition(|(_, container)| container.key == *key)?;
                idle.containers.remove(at).1
            };
            // The end of the channel shows later than that of the guest.
            if found.channel.is_ready() && found.group.is_inhabited() {
                return Some(found);
            }
            found.remove().await;
        }
    }

    /// Lets `container` wait for the next element.
    async fn put(&self, container: Container) {
        let (surplus, is_watched) = {
            let mut idle = self.idle.lock();
            idle.containers.push((Instant::now(), container));
            let surplus = (idle.containers.len() > MOST_IDLE).then(|| idle.containers.remove(0).1);
            (surplus, std::mem::replace(&mut idle.is_watched, true))
        };
        if !is_watched {
            tokio::spawn(watch_idle(self.idle.clone()));
        }
        if let Some(surplus) = surplus {
            surplus.remove().await;
        }
    }

    /// Removes the one that waits longest, before another container is made.
    pub(crate) async fn make_room(&self) {
        let oldest = {
            let mut idle = self.idle.lock();
            (!idle.containers.is_empty()).then(|| idle.containers.remove(0).1)
        };
        if let Some(oldest) = oldest {
            oldest.remove().await;
        }
    }

    /// Removes all that wait.
    pub(crate) async fn retire(&self) {
        let all = std::mem::take(&mut self.idle.lock().containers);
        for (_, container) in all {
            container.remove().await;
        }
    }
}

impl Idle {
    /// One that has waited for too long, or the moment at which the next one has; `None` where none waits, and
    /// nobody watches any more.
    fn overdue(&mut self) -> Option<Result<Container, Instant>> {
        let Some(end) = self.containers.first().map(|(since, _)| *since + IDLE) else {
            self.is_watched = false;
            return None;
        };
        Some(if end <= Instant::now() { Ok(self.containers.remove(0).1) } else { Err(end) })
    }
}

/// Removes what waits for too long, until nothing waits.
async fn watch_idle(idle: Arc<Mutex<Idle>>) {
    loop {
        let overdue = idle.lock().overdue();
        match overdue {
            None => return,
            Some(Ok(container)) => container.remove().await,
            Some(Err(moment)) => tokio::time::sleep_until(moment).await,
        }
    }
}

/// True where `attempt` may share a container and can have one here: without a network, which would be the same
/// one for all.
pub(crate) fn fits(attempt: &Attempt, image: &Image) -> bool {
    // Such a folder lies on the disk that is set back, and is none of it.
    let is_within = |path: &String| Path::new(path).starts_with("/task") && path != "/task";
    attempt.job.warm && attempt.job.egress.is_empty() && !image.volumes().iter().any(is_within)
}

/// Runs one element, in a container that waits or in a fresh one.
pub(crate) async fn element(attempt: &Attempt, image: &Image, live: Live) -> Result<Ran, Outcome> {
    let command = command(attempt, image)?;
    let key = key(attempt, image)
        .map_err(|error| Outcome::Infrastructure { reason: format!("the input files could not be read: {error}") })?;
    let warm = &attempt.inner.warm;
    let (mut container, _live) = match warm.take(&key).await {
        Some(container) => (container, Some(live)),
        None => (make(attempt, image, key, live).await?, None),
    };
    let (ran, is_sound) = run::one(attempt, &mut container, command).await;
    if is_sound {
        warm.put(container).await;
    } else {
        container.remove().await;
    }
    Ok(ran)
}

/// What is executed: the image's entry point, and the job's command or the image's own.
fn command(attempt: &Attempt, image: &Image) -> Result<Command, Outcome> {
    let job = &attempt.job;
    let argv = image.argv(&job.command);
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
        image: image.id().to_owned(),
        resources: job.resources,
        outputs: job.outputs.clone(),
        files: files.collect::<io::Result<_>>()?,
    })
}

/// Makes a container with a guest that waits for its first command.
async fn make(attempt: &Attempt, image: &Image, key: Key, live: Live) -> Result<Container, Outcome> {
    let inner: &Inner = &attempt.inner;
    inner.warm.make_room().await;
    attempt.stopped()?;
    // The guest takes nothing of what the job was promised.
    let disk = attempt.disk(PROGRAM.len() as u64).await?;
    let folder = lay(attempt, &disk).await?;
    let mut spec = attempt.spec(image, &disk);
    let emptied = EMPTIED.into_iter().chain(spec.volumes.iter().map(String::as_str).filter(|path| *path != "/task"));
    spec.argv = [GUEST, "warm"].into_iter().chain(emptied).map(str::to_owned).collect();
    // What is an element's own comes with its command.
    spec.env = environment(image, crate::run::place_variables().into());
    spec.speaks = true;
    let launched = launch::Container::launch_speaking(&inner.helper, &spec).await;
    let (mut made, socket, complaints) = launched.map_err(|error| Outcome::Infrastructure {
        reason: format!("{} could not be run: {error}", inner.helper.program.display()),
    })?;
    tokio::spawn(hear(complaints));
    let begun = match attempt.begin(&mut made).await {
        Ok(_) => open(attempt, socket).await,
        Err(outcome) => Err(ours(outcome)),
    };
    match begun {
        Ok(channel) => {
            let (folder, fresh, tasks) = (Arc::new(folder), watch::in_use(disk.root()), inner.tasks.clone());
            let (attempt, group) = (attempt.job.attempt, spec.group);
            Ok(Container { key, attempt, made, group, channel, folder, fresh, disk, tasks, _live: live })
        }
        Err(outcome) => {
            attempt.given_back(made.discard().await);
            inner.tasks.spawn_blocking(move || drop(disk));
            Err(outcome)
        }
    }
}

/// Waits until the guest says that it is there.
async fn open(attempt: &Attempt, socket: tokio::net::UnixStream) -> Result<Channel, Outcome> {
    let (from, to) = socket.into_split();
    let opening = tokio::time::timeout(HELLO_PATIENCE, Channel::open(from, to));
    let opened = tokio::select! {
        biased;
        () = attempt.control.stop.cancelled() => return Err(Outcome::Cancelled),
        opened = opening => opened,
    };
    let why = match opened {
        Ok(Ok(channel)) => return Ok(channel),
        Ok(Err(broken)) => broken.to_string(),
        Err(_) => format!("it said nothing for {} s", HELLO_PATIENCE.as_secs()),
    };
    Err(Outcome::Infrastructure { reason: format!("the guest in the warm container cannot be used: {why}") })
}

/// Listens to a guest's complaints, so that it can make them.
async fn hear(mut complaints: ChildStderr) {
    let mut piece = [0; COMPLAINT_BYTES];
    while let Ok(length @ 1..) = complaints.read(&mut piece).await {
        let text: String = String::from_utf8_lossy(&piece[..length]).chars().take(200).collect();
        tracing::debug!(text, "a guest complains");
    }
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

async fn lay(attempt: &Attempt, disk: &Arc<Unnamed>) -> Result<Folder, Outcome> {
    let (files, stop, disk) = (attempt.job.files.clone(), attempt.control.stop.clone(), disk.clone());
    let work = move || Folder::lay(disk.root(), &files, PROGRAM, &|| stop.is_cancelled());
    match tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(folder) => Ok(folder),
        Err(_) if attempt.control.stop.is_cancelled() => Err(Outcome::Cancelled),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(Outcome::CannotStart {
            reason: "the input files do not fit into the task's disk; ask for more disk".into(),
        }),
        Err(error) => {
            Err(Outcome::Infrastructure { reason: format!("the input files could not be put into /task: {error}") })
        }
    }
}
