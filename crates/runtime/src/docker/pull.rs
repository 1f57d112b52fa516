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
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use hivemind_model::state::Outcome;
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
    board: Board,
}

impl Pulls {
    pub(super) fn new(docker: Docker, stall: Duration) -> Self {
        Self { docker, stall, board: Board::default() }
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
        tokio::spawn(drive(self.docker.clone(), reference.clone(), self.stall, self.board.clone(), sender));
        receiver
    }
}

/// Pulls until it is done or nobody waits any more.
async fn drive(docker: Docker, reference: Reference, stall: Duration, board: Board, stage: watch::Sender<Stage>) {
    let key = reference.to_string();
    let work = fetch(&docker, &reference, stall, &stage);
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

async fn fetch(
    docker: &Docker,
    reference: &Reference,
    stall: Duration,
    stage: &watch::Sender<Stage>,
) -> Result<(), Outcome> {
    // The digest goes where the tag goes; without either, the daemon would pull every tag.
    let version = reference.digest.as_ref().or(reference.tag.as_ref()).map_or("latest", String::as_str);
    let options = CreateImageOptionsBuilder::default().from_image(&reference.name).tag(version).build();
    let mut lines = std::pin::pin!(docker.create_image(Some(options), None, None));
    let mut progress = Progress::default();
    loop {
        let line = tokio::time::timeout(stall, lines.next()).await;
        match line {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(info))) => {
                let line = format!("pulling {reference}: {}", progress.take(info));
                stage.send_if_modified(|now| match now {
                    Stage::Underway(old) if *old == line => false,
                    _ => {
                        *now = Stage::Underway(line);
                        true
                    }
                });
            }
            Ok(Some(Err(error))) => return Err(judge(reference, &error)),
            Err(_) => {
                let reason = format!(
                    "the pull of {reference} showed no progress for {} s; is the way to its registry open?",
                    stall.as_secs()
                );
                return Err(Outcome::ImageUnavailable { reason });
            }
        }
    }
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
        let (current, total) = self
            .layers
            .values()
            .fold((0i64, 0i64), |sum, layer| (sum.0.saturating_add(layer.0), sum.1.saturating_add(layer.1)));
        if total == 0 {
            return "waiting for the registry".into();
        }
        let percent = i128::from(current) * 100 / i128::from(total);
        format!("{} %", percent.min(100))
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
