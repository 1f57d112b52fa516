//! Pulls, shared by all jobs that want the same image.
//!
//! A pull runs on its own task for as long as anybody waits for it. Start at [`Pulls::pull`].
//!
//! Invariant: a pull that shows no progress ends, and one that nobody waits for ends at once.

use super::daemon;
use super::image::Reference;
use crate::{Sink, Stop};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{CreateImageInfo, OciPlatform};
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use hivemind_model::state::Outcome;
use hivemind_model::units::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Shortest time between two notes to one job.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// Most layers whose progress is summed up.
const MOST_LAYERS: usize = 1024;

/// How far a pull is.
#[derive(Debug, Clone)]
enum Stage {
    /// A line for people.
    Underway(String),
    Done(Result<(), Outcome>),
}

type Board = Arc<Mutex<HashMap<String, watch::Sender<Stage>>>>;

/// The pulls under way.
#[derive(Debug)]
pub(super) struct Pulls {
    docker: Docker,
    stall: Duration,
    most: Bytes,
    board: Board,
}

impl Pulls {
    /// A pull of more than `most` bytes is given up.
    pub(super) fn new(docker: Docker, stall: Duration, most: Bytes) -> Self {
        Self { docker, stall, most, board: Board::default() }
    }

    /// Pulls `reference`, or waits for the pull of it that is under way.
    pub(super) async fn pull(&self, reference: &Reference, sink: &dyn Sink, stop: &Stop) -> Result<(), Outcome> {
        let mut stage = self.join(reference);
        let mut told: Option<Instant> = None;
        loop {
            match &*stage.borrow_and_update() {
                Stage::Done(result) => return result.clone(),
                Stage::Underway(line) if told.is_none_or(|at| at.elapsed() >= NOTE_EVERY) => {
                    sink.note(line);
                    told = Some(Instant::now());
                }
                Stage::Underway(_) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Outcome::Cancelled),
                changed = stage.changed() => if changed.is_err() {
                    return Err(Outcome::Infrastructure { reason: format!("the pull of {reference} was interrupted") });
                },
            }
        }
    }

    fn join(&self, reference: &Reference) -> watch::Receiver<Stage> {
        let key = reference.to_string();
        let mut board = self.board.lock();
        if let Some(underway) = board.get(&key) {
            return underway.subscribe();
        }
        let (sender, receiver) = watch::channel(Stage::Underway(format!("pulling {key}")));
        board.insert(key, sender.clone());
        let fetch =
            Fetch { docker: self.docker.clone(), reference: reference.clone(), stall: self.stall, most: self.most };
        tokio::spawn(drive(fetch, self.board.clone(), sender));
        receiver
    }
}

/// Pulls until it is done or nobody waits any more.
async fn drive(fetch: Fetch, board: Board, stage: watch::Sender<Stage>) {
    let key = fetch.reference.to_string();
    let work = fetch.run(&stage);
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = stage.closed() => {
                // Under the lock nobody can join between the look and the removal.
                let mut board = board.lock();
                if stage.receiver_count() == 0 {
                    board.remove(&key);
                    return;
                }
            }
        }
    };
    board.lock().remove(&key);
    stage.send_replace(Stage::Done(result));
}

/// One pull.
struct Fetch {
    docker: Docker,
    reference: Reference,
    stall: Duration,
    most: Bytes,
}

impl Fetch {
    async fn run(&self, stage: &watch::Sender<Stage>) -> Result<(), Outcome> {
        let Self { docker, reference, stall, most } = self;
        // The digest goes where the tag goes; without either, the daemon would pull every tag.
        let version = reference.digest.as_ref().or(reference.tag.as_ref()).map_or("latest", String::as_str);
        let options = CreateImageOptionsBuilder::default().from_image(&reference.name).tag(version).build();
        let mut lines = std::pin::pin!(docker.create_image(Some(options), None, None));
        let mut progress = Progress::default();
        loop {
            let line = match tokio::time::timeout(*stall, lines.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(info))) => format!("pulling {reference}: {}", progress.take(info)),
                Ok(Some(Err(error))) => return Err(self.refused(&error).await),
                Err(_) => {
                    let reason = format!(
                        "the pull of {reference} showed no progress for {} s; is the way to its registry open?",
                        stall.as_secs()
                    );
                    return Err(Outcome::ImageUnavailable { reason });
                }
            };
            // The daemon gives a pull up when nobody listens any more.
            if progress.sum().1 > most.0 {
                let reason =
                    format!("{reference} is larger than {most}, which is the most that this machine's owner fetches");
                return Err(Outcome::ImageUnavailable { reason });
            }
            stage.send_if_modified(|now| match now {
                Stage::Underway(old) if *old == line => false,
                Stage::Underway(_) | Stage::Done(_) => {
                    *now = Stage::Underway(line);
                    true
                }
            });
        }
    }

    /// What an error means; where there is nothing for this machine, for which there is.
    async fn refused(&self, error: &Error) -> Outcome {
        let outcome = judge(&self.reference, error);
        if !daemon::explain(error).contains("no matching manifest") {
            return outcome;
        }
        let name = self.reference.to_string();
        let asked = self.docker.inspect_registry_image(&name, None);
        let Ok(Ok(found)) = tokio::time::timeout(self.stall, asked).await else { return outcome };
        let offered: Vec<String> = found.platforms.iter().take(16).map(platform).collect();
        let reason = format!(
            "{} is for {}, and this machine is linux/{}",
            self.reference,
            offered.join(", "),
            hivemind_image::architecture()
        );
        Outcome::BadImage { reason }
    }
}

fn platform(offered: &OciPlatform) -> String {
    let part = |part: &Option<String>| {
        part.iter().flat_map(|text| text.chars()).filter(|c| !c.is_control()).take(40).collect::<String>()
    };
    format!("{}/{}", part(&offered.os), part(&offered.architecture))
}

/// Bytes of each layer, here and in all.
#[derive(Debug, Default)]
struct Progress {
    layers: HashMap<String, (i64, i64)>,
}

impl Progress {
    /// Adds a line of the daemon; gives what to tell people.
    fn take(&mut self, info: CreateImageInfo) -> String {
        let amounts = info.progress_detail.and_then(|detail| Some((detail.current?, detail.total?)));
        if let (Some(layer), Some((current, total))) = (info.id, amounts)
            && info.status.as_deref() == Some("Downloading")
            && (self.layers.len() < MOST_LAYERS || self.layers.contains_key(&layer))
        {
            self.layers.insert(layer, (current.max(0), total.max(0)));
        }
        let (current, total) = self.sum();
        if total == 0 {
            return "waiting for the registry".into();
        }
        let percent = u128::from(current) * 100 / u128::from(total);
        format!("{} %", percent.min(100))
    }

    /// Bytes here and in all, of the layers that were begun.
    fn sum(&self) -> (u64, u64) {
        let add = |sum: u64, more: i64| sum.saturating_add(more.unsigned_abs());
        self.layers.values().fold((0, 0), |sum, layer| (add(sum.0, layer.0), add(sum.1, layer.1)))
    }
}

/// Tells an image that is not there from a registry that is not.
fn judge(reference: &Reference, error: &Error) -> Outcome {
    let text = daemon::explain(error);
    let lower = text.to_lowercase();
    let network = [
        "dial tcp",
        "lookup ",
        "timeout",
        "tls handshake",
        "connection refused",
        "connection reset",
        "no route to host",
        "too many requests",
        "toomanyrequests",
        "eof",
        "x509",
    ];
    let refused = [
        "manifest unknown",
        "manifest for",
        "not found",
        "access denied",
        "denied:",
        "unauthorized",
        "no matching manifest",
        "invalid reference format",
        "name unknown",
        "does not exist",
    ];
    let is_network = network.iter().any(|word| lower.contains(word));
    let is_refused =
        matches!(daemon::status(error), Some(400 | 401 | 403 | 404)) || refused.iter().any(|word| lower.contains(word));
    if is_refused && !is_network {
        return Outcome::BadImage { reason: format!("{reference} cannot be pulled: {text}") };
    }
    Outcome::ImageUnavailable { reason: format!("{reference} could not be pulled: {text}") }
}

#[cfg(test)]
mod tests;
