//! What keeps tasks in on this machine, and what was seen of it.
//!
//! Start at [`Tests::begin`]; [`Tested`] is what the last attack on this machine's isolation showed, kept beside the worker's
//! other files.
//!
//! Invariant: one attack at a time.

use super::Desk;
use crate::diary::Ran;
use futures::future::BoxFuture;
use hivemind_http::Problem;
use hivemind_http::events::Hub;
use hivemind_owner::Preferences;
use hivemind_owner::preferences::Network;
use hivemind_runtime::selftest::{Line, Promise};
use http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Its name in DATA/worker.
const FILE: &str = "tested.json";

/// Largest file of it, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Lines that wait to be told.
const WAITING: usize = Promise::ALL.len();

/// Attacks this machine's isolation: tells each line as soon as it is known, and all of them at the end. An error says why
/// nothing was tried.
pub type SelfTest = Arc<dyn Fn(mpsc::Sender<Promised>) -> BoxFuture<'static, Result<Tested, String>> + Send + Sync>;

/// What an attack on this machine's isolation showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// When it ended.
    pub at_unix_ms: i64,
    /// What was attacked.
    pub runtime: String,
    /// Every required promise holds.
    pub holds: bool,
    /// One for each promise.
    pub promises: Vec<Promised>,
}

/// One promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promised {
    /// Its name.
    pub promise: String,
    /// For people.
    pub title: String,
    /// Without it a worker does not start.
    pub required: bool,
    /// pass, FAIL, skipped.
    pub verdict: String,
    /// What was seen.
    pub detail: String,
    /// What to do; empty where nothing.
    pub fix: String,
}

impl From<&Line> for Promised {
    fn from(line: &Line) -> Self {
        Self {
            promise: line.promise.id().into(),
            title: line.promise.title().into(),
            required: line.required,
            verdict: line.verdict.to_string(),
            detail: line.detail.clone(),
            fix: line.fix.clone(),
        }
    }
}

impl Tested {
    /// The lines of an attack that has just ended.
    #[must_use]
    pub fn of(runtime: &str, lines: &[Line]) -> Self {
        Self {
            at_unix_ms: crate::enroll::now().0,
            runtime: runtime.into(),
            holds: !lines.iter().any(Line::forbids_to_join),
            promises: lines.iter().map(Promised::from).collect(),
        }
    }

    /// Keeps it for the worker in the data folder `data`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self, data: &Path) -> io::Result<()> {
        let (folder, _) = crate::folders::prepare(data).map_err(io::Error::other)?;
        self.write(&folder)
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        hivemind_pki::write_private(&folder.join(FILE), &text).map_err(io::Error::other)
    }

    fn read(folder: &Path) -> io::Result<Option<Self>> {
        let file = match std::fs::File::open(folder.join(FILE)) {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(why),
        };
        let mut text = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut text)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }
}

/// What keeps tasks in.
#[derive(Debug, Clone, Serialize)]
pub struct Safety {
    /// What runs tasks.
    pub runtime: String,
    /// basic, rootless, sandboxed.
    pub isolation: String,
    /// What tasks may do on the network, as the owner's preferences say.
    pub network: Network,
    /// Why tasks have no network whatever the preferences say; `None` where they may.
    pub network_fault: Option<String>,
    /// The only images that run; empty: all.
    pub images_allowed: Vec<String>,
    /// Those that began last since this worker began, the newest first.
    pub images_run: Vec<Ran>,
    /// What the last attacks showed.
    pub selftest: SelfTestState,
}

/// How it stands with the attacks.
#[derive(Debug, Clone, Serialize)]
pub struct SelfTestState {
    /// One runs.
    pub running: bool,
    /// One can be run.
    pub possible: bool,
    /// The last that ended; `None`: none did yet.
    pub last: Option<Tested>,
    /// Why the last did not end well; `None` where it did.
    pub fault: Option<String>,
}

/// See the module.
pub(super) struct Tests {
    attack: Option<SelfTest>,
    folder: PathBuf,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    running: AtomicBool,
    fault: Mutex<Option<String>>,
}

/// What pages are told of an attack.
#[derive(Serialize)]
struct Told<'a> {
    running: bool,
    done: usize,
    of: usize,
    line: Option<&'a Promised>,
    holds: Option<bool>,
    fault: Option<&'a str>,
}

impl Tests {
    pub(super) fn new(attack: Option<SelfTest>, folder: &Path) -> Self {
        Self { attack, folder: folder.to_owned(), kept: Arc::default() }
    }

    pub(super) fn is_running(&self) -> bool {
        self.kept.running.load(Ordering::Acquire)
    }

    /// How it stands; it reads a file.
    pub(super) async fn state(&self) -> SelfTestState {
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || Tested::read(&folder)).await;
        let read = read.map_err(io::Error::other).and_then(|read| read);
        let fault = self.kept.fault.lock().clone();
        let (last, unread) = match read {
            Ok(last) => (last, None),
            Err(why) => (None, Some(format!("the last result cannot be read: {why}"))),
        };
        SelfTestState { running: self.is_running(), possible: self.attack.is_some(), last, fault: fault.or(unread) }
    }

    /// Begins an attack; what it shows comes as events of `hub`, named `selftest`.
    ///
    /// # Errors
    /// 409 where one runs already, or nothing real runs tasks.
    pub(super) fn begin(&self, hub: &Hub) -> Result<(), Problem> {
        let refused = |detail: &str| Problem::new(StatusCode::CONFLICT, "E_CONFLICT", detail);
        let attack = self.attack.clone().ok_or_else(|| {
            refused("there is nothing to attack: what runs tasks here isolates nothing, and is for tests only")
        })?;
        if self.kept.running.swap(true, Ordering::AcqRel) {
            return Err(refused("a self-test runs already; its results come before long"));
        }
        *self.kept.fault.lock() = None;
        let (kept, folder, hub) = (Arc::clone(&self.kept), self.folder.clone(), hub.clone());
        tokio::spawn(async move {
            let ended = Ended(Arc::clone(&kept));
            let result = run(attack, &folder, &hub).await;
            drop(ended);
            let fault = result.as_ref().err();
            let holds = result.as_ref().ok().map(|tested| tested.holds);
            hub.send(
                "selftest",
                &Told {
                    running: false,
                    done: WAITING,
                    of: WAITING,
                    line: None,
                    holds,
                    fault: fault.map(String::as_str),
                },
            );
            if let Some(why) = fault {
                tracing::warn!("the self-test did not end well: {why}");
            }
            *kept.fault.lock() = fault.cloned();
        });
        Ok(())
    }
}

/// Says at its end, however that comes, that no attack runs.
struct Ended(Arc<Kept>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

async fn run(attack: SelfTest, folder: &Path, hub: &Hub) -> Result<Tested, String> {
    let (tell, mut told) = mpsc::channel(WAITING);
    let of = WAITING;
    hub.send("selftest", &Told { running: true, done: 0, of, line: None, holds: None, fault: None });
    let tell_pages = async {
        let mut done = 0;
        while let Some(line) = told.recv().await {
            done += 1;
            hub.send("selftest", &Told { running: true, done, of, line: Some(&line), holds: None, fault: None });
        }
    };
    let (tested, ()) = tokio::join!(attack(tell), tell_pages);
    let tested = tested?;
    let (folder, kept) = (folder.to_owned(), tested.clone());
    let written = tokio::task::spawn_blocking(move || kept.write(&folder)).await.map_err(io::Error::other);
    written.and_then(|written| written).map_err(|why| format!("its results cannot be kept: {why}"))?;
    Ok(tested)
}

impl Desk {
    /// What keeps tasks in.
    pub(super) async fn safety(&self, preferences: Preferences) -> Safety {
        let runtime = &self.insides.runtime;
        Safety {
            runtime: runtime.name().into(),
            isolation: runtime.isolation().as_str().into(),
            network: preferences.network,
            network_fault: runtime.no_network(),
            images_allowed: preferences.images.allow,
            images_run: self.insides.diary.images(),
            selftest: self.tests.state().await,
        }
    }
}
