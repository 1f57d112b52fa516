//! What is promised of this machine's isolation is attacked before a stranger may do so.
//!
//! Start at [`hold`], for a worker that starts, and at [`run`], for who only wants to know. What held is written down with
//! what it holds for, so that it is not tried again at every start.
//!
//! Invariant: a worker of which a required promise does not hold does not start.

use crate::args::server::RuntimeKind;
use crate::args::server::SelftestWhen;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::runtimes;
use hivemind_runtime::Runtime;
use hivemind_runtime::selftest::{Line, Verdict, selftest};
use hivemind_worker::page::Tested;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What held for so long is tried again.
const GOOD_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// For what the promises were seen to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    version: String,
    runtime: String,
    isolation: String,
    kernel: String,
    tried_at_unix_s: u64,
}

impl Held {
    fn now(runtime: &dyn Runtime) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            runtime: runtime.name().into(),
            isolation: runtime.isolation().to_string(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            tried_at_unix_s: since.as_secs(),
        }
    }

    /// True where nothing is another and not too much time has passed.
    fn covers(&self, now: &Self) -> bool {
        let same = Self { tried_at_unix_s: now.tried_at_unix_s, ..self.clone() } == *now;
        let age = now.tried_at_unix_s.checked_sub(self.tried_at_unix_s);
        same && age.is_some_and(|age| age < GOOD_FOR.as_secs())
    }
}

/// Sees that the promises of `runtime` hold, as often as `when` says.
///
/// # Errors
/// One that is required does not.
pub async fn hold(runtime: &dyn Runtime, data: &Path, when: SelftestWhen) -> Done<()> {
    let (file, now) = (place(data), Held::now(runtime));
    match when {
        SelftestWhen::Never => return Ok(()),
        SelftestWhen::Once if known(&file).is_some_and(|held| held.covers(&now)) => return Ok(()),
        SelftestWhen::Once | SelftestWhen::Always => {}
    }
    tracing::info!("attacking this machine's isolation from inside, some seconds; see `hivemind worker selftest`");
    let lines = run(runtime, data, |line| tracing::debug!("{line}")).await?;
    let broken: Vec<&Line> = lines.iter().filter(|line| line.forbids_to_join()).collect();
    if let Some(first) = broken.first() {
        let titles: Vec<String> =
            broken.iter().map(|line| format!("{} ({})", line.promise.title(), line.detail)).collect();
        return Err(Failure::new(
            Exit::Failure,
            "E_ISOLATION",
            format!("tasks are not kept in here: {}", titles.join("; ")),
        )
        .fix(if first.fix.is_empty() { "`hivemind worker selftest` shows all of it" } else { &first.fix }));
    }
    let weak = lines.iter().filter(|line| line.verdict == Verdict::Fail).count();
    if weak > 0 {
        tracing::warn!(weak, "promises that are not required do not hold; `hivemind worker selftest` names them");
    }
    if let Err(error) = Tested::of(runtime.name(), &lines).keep(data) {
        tracing::warn!("the results of the self-test cannot be kept for the owner's page: {error}");
    }
    // Where it cannot be written down it is tried again the next time.
    if let Err(error) = write(&file, &now) {
        tracing::warn!("that the promises hold cannot be written down: {error}");
    }
    Ok(())
}

/// What came of an attack on a runtime of its own.
pub struct Attacked {
    /// What was attacked.
    pub runtime: &'static str,
    /// One line for each promise.
    pub lines: Vec<Line>,
    /// Whether what the attackers left could be removed.
    pub swept: Result<(), String>,
}

/// Attacks what would run tasks here, made for the attack in a folder of its own, so that nothing of a worker that runs here is
/// touched; `tell` hears of each line at once.
///
/// # Errors
/// The preferences cannot be read, nothing can run tasks here, or no folder can be made.
pub async fn attack(data: &Path, kind: RuntimeKind, tell: impl FnMut(&Line) + Send) -> Done<Attacked> {
    let place = data.to_owned();
    let owner = tokio::task::spawn_blocking(move || hivemind_worker::owner_preferences(&place)).await;
    let owner = owner.map_err(anyhow::Error::from).and_then(|owner| owner);
    let owner = owner.map_err(|error| Failure::usage(format!("{error:#}")))?;
    let cannot = |error: io::Error| Failure::io("no folder for the self-test could be made", &error);
    let folder = tempfile::Builder::new().prefix("hivemind-selftest-").tempdir().map_err(cannot)?;
    let runtime = runtimes::choose(kind, folder.path(), &owner, None).await?.runtime;
    tracing::info!("attacking the {} runtime from inside, some seconds", runtime.name());
    let lines = run(&*runtime, folder.path(), tell).await?;
    let swept = runtime.sweep().await.map(|_count| ()).map_err(|why| why.to_string());
    Ok(Attacked { runtime: runtime.name(), lines, swept })
}

/// Attacks every promise; `tell` hears of each line at once.
///
/// # Errors
/// No folder for the attackers can be made.
pub async fn run(runtime: &dyn Runtime, data: &Path, tell: impl FnMut(&Line)) -> Done<Vec<Line>> {
    let cannot = |error: io::Error| Failure::io("no folder for the self-test could be made", &error);
    let scratch = tempfile::Builder::new().prefix("selftest-").tempdir_in(data).map_err(cannot)?;
    Ok(selftest(runtime, scratch.path(), tell).await)
}

fn place(data: &Path) -> PathBuf {
    data.join("selftest.json")
}

fn known(file: &Path) -> Option<Held> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn write(file: &Path, held: &Held) -> io::Result<()> {
    let text = serde_json::to_vec(held).map_err(io::Error::other)?;
    hivemind_pki::write_private(file, &text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_held_is_tried_again_when_anything_is_another_or_long_ago() {
        let held = Held {
            version: "1".into(),
            runtime: "docker".into(),
            isolation: "basic".into(),
            kernel: "6.1".into(),
            tried_at_unix_s: 1000,
        };
        let later = |seconds| Held { tried_at_unix_s: 1000 + seconds, ..held.clone() };
        assert!(held.covers(&later(0)) && held.covers(&later(GOOD_FOR.as_secs() - 1)));
        assert!(!held.covers(&later(GOOD_FOR.as_secs())));
        assert!(!later(1).covers(&held), "a clock that was set back proves nothing");
        for other in [
            Held { version: "2".into(), ..held.clone() },
            Held { runtime: "builtin".into(), ..held.clone() },
            Held { isolation: "rootless".into(), ..held.clone() },
            Held { kernel: "6.2".into(), ..held.clone() },
        ] {
            assert!(!held.covers(&other), "{other:?}");
        }
    }
}
