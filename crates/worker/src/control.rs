//! What an owner says to their worker, and what it answers.
//!
//! One JSON object a line, each way, through a socket in the worker's folder. Start at [`Request`] and [`ask`]; the worker's
//! side is [`serve`].
//!
//! Invariant: what is read here is bounded, and a peer that is slow or hostile holds up nobody but itself.

use crate::socket;
use crate::status::Running;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Longest line that the worker reads, in bytes.
const MAX_REQUEST_BYTES: u64 = 256 << 10;

/// Longest line that is read of a worker, in bytes.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// Peers that are heard at once; more wait.
const MAX_PEERS: usize = 8;

/// Requests of one peer.
const MAX_REQUESTS: usize = 1000;

/// How long a peer may take for a line, and the worker for its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client waits for its answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(45);

/// What an owner wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// To see how things stand.
    Status,
    /// Work, where the rules allow it.
    Start {
        /// What of the machine.
        part: Part,
    },
    /// What runs goes on; nothing new.
    Finish {
        /// What of the machine.
        part: Part,
        /// For so long, in milliseconds; `None`: until they say otherwise.
        for_ms: Option<u64>,
    },
    /// Stand still.
    Pause {
        /// What of the machine.
        part: Part,
        /// For so long, in milliseconds; `None`: until they say otherwise.
        for_ms: Option<u64>,
    },
    /// End everything that runs now, and pause.
    StopNow,
    /// To see the preferences.
    Preferences,
    /// Other preferences.
    SetPreferences {
        /// All of them, in the form of their file.
        toml: String,
    },
}

/// What of the machine a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of it.
    Machine,
    /// Its graphics processors.
    Gpu,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Answer {
    /// How things stand, after what was wanted was done.
    Status(Box<Overview>),
    /// The preferences.
    Preferences {
        /// Their file.
        path: String,
        /// What counts, in the form of that file.
        toml: String,
    },
    /// It was not done.
    Refused {
        /// `E_...`.
        code: String,
        /// Why.
        message: String,
        /// What to do; empty where the message says it.
        fix: String,
    },
}

impl Answer {
    pub(crate) fn refused(code: &str, message: impl ToString) -> Self {
        Self::Refused { code: code.into(), message: message.to_string(), fix: String::new() }
    }
}

/// How things stand on a machine, for its owner.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// The machine's name in the pool.
    pub node: String,
    /// True while the pool answers.
    pub linked: bool,
    /// `open`, `finishing` or `paused`.
    pub state: String,
    /// One sentence that says it, and why.
    pub sentence: String,
    /// The same for what uses a graphics processor.
    pub gpu_state: String,
    /// Why it takes no such work; empty where it does.
    pub gpu_reason: String,
    /// What was chosen by hand: `start`, `finish` or `pause`.
    pub mode: String,
    /// When that ends; `None`: when something else is chosen.
    pub mode_until_unix_ms: Option<i64>,
    /// After how long what stands still is given back; `None` where nothing is going to be.
    pub give_back_in_ms: Option<u64>,
    /// True once no more work was asked for by a drain.
    pub draining: bool,
    /// What occupies the machine; the first 1000 of it.
    pub running: Vec<Running>,
    /// Attempts that wait for their turn.
    pub waiting: usize,
    /// Ended attempts whose result the pool has not acknowledged.
    pub undelivered: usize,
    /// What went wrong last with the link or a result.
    pub last_error: Option<String>,
    /// What is wrong with the preferences' file; the older ones count.
    pub preferences_fault: Option<String>,
    /// Why the kernel does not hold tasks within the owner's shares, or not within all of them.
    pub share_fault: Option<String>,
    /// The address of the owner's page, with the secret that opens it; `None` where it is off.
    #[serde(default)]
    pub page: Option<String>,
}

/// Why a worker did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// None runs on that folder.
    #[error("no worker runs on {0}")]
    NotRunning(String),
    /// One runs there, and this user may not speak to it.
    #[error("the worker on {0} belongs to another user")]
    Denied(String),
    /// It did not answer as it should.
    #[error("the worker did not answer: {0}")]
    Silent(String),
}

/// Says `request` to the worker of the data folder `data`.
///
/// # Errors
/// [`AskError`].
pub async fn ask(data: &Path, request: &Request) -> Result<Answer, AskError> {
    let root = data.join("worker");
    let stream = socket::connect(&root).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NotRunning(root.display().to_string()),
        io::ErrorKind::PermissionDenied => AskError::Denied(root.display().to_string()),
        _other => AskError::Silent(error.to_string()),
    })?;
    let talk = async {
        let (from, mut to) = stream.into_split();
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        to.write_all(&line).await?;
        let mut answer = Vec::new();
        BufReader::new(from).take(MAX_ANSWER_BYTES).read_until(b'\n', &mut answer).await?;
        if answer.is_empty() {
            return Err(io::Error::other("it closed the connection; it runs as another user, or is ending"));
        }
        Ok(serde_json::from_slice(&answer)?)
    };
    match tokio::time::timeout(ANSWER_PATIENCE, talk).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(why)) => Err(AskError::Silent(why.to_string())),
        Err(_elapsed) => Err(AskError::Silent(format!("nothing came within {} s", ANSWER_PATIENCE.as_secs()))),
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub request: Request,
    pub answer: oneshot::Sender<Answer>,
}

/// Hears peers for as long as it is polled.
pub(crate) async fn serve(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(MAX_PEERS));
    let mut peers = tokio::task::JoinSet::new();
    loop {
        // The semaphore is never closed; where it were, nobody more is heard.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while peers.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if socket::may_speak(&stream) => {
                let asked = asked.clone();
                peers.spawn(async move {
                    if let Err(why) = hear(stream, &asked).await {
                        tracing::debug!("a peer of the control socket was left: {why}");
                    }
                    drop(place);
                });
            }
            Ok(_) => tracing::warn!("another user's process tried to speak to this worker and was not heard"),
            Err(why) => {
                tracing::warn!("the control socket does not accept: {why}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn hear(stream: UnixStream, asked: &mpsc::Sender<Asked>) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    for _ in 0..MAX_REQUESTS {
        let mut line = Vec::new();
        let mut bounded = (&mut from).take(MAX_REQUEST_BYTES);
        let read = tokio::time::timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await;
        if read.map_err(io::Error::other)?? == 0 {
            return Ok(());
        }
        let is_whole = line.ends_with(b"\n");
        let answer = match serde_json::from_slice(&line) {
            _ if !is_whole && line.len() as u64 >= MAX_REQUEST_BYTES => {
                Answer::refused("E_TOO_LARGE", format!("a request has at most {MAX_REQUEST_BYTES} bytes"))
            }
            Err(why) => Answer::refused("E_INVALID", format!("that is no request: {why}")),
            Ok(request) => answer(request, asked).await,
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        tokio::time::timeout(PATIENCE, to.write_all(&text)).await.map_err(io::Error::other)??;
        if !is_whole {
            return Ok(());
        }
    }
    Ok(())
}

/// What the worker answers to `request`, within [`PATIENCE`].
pub(crate) async fn answer(request: Request, asked: &mpsc::Sender<Asked>) -> Answer {
    let (to, answer) = oneshot::channel();
    let ending = || Answer::refused("E_BUSY", "the worker is ending");
    if asked.send(Asked { request, answer: to }).await.is_err() {
        return ending();
    }
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_dropped)) => ending(),
        Err(_elapsed) => Answer::refused("E_BUSY", "the worker is busy; try again"),
    }
}

#[cfg(test)]
mod tests;
