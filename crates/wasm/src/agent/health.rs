//! What `doctor` says of this runtime.
//!
//! Invariant: the lock is tried, not only asked about.

use super::Inner;
use super::frames::Frames;
use super::nest::Helper;
use crate::wire::{Order, Tell, Tried, read_json};
use hivemind_runtime::{Check, Verdict};
use std::io;
use std::time::Duration;

/// Longest time that a helper takes to try what is forbidden.
const PATIENCE: Duration = Duration::from_secs(20);

fn check(name: &str, verdict: Verdict, detail: String, fix: &str) -> Check {
    Check { name: name.to_owned(), verdict, detail, fix: fix.to_owned() }
}

/// One line per check.
pub(super) async fn checks(inner: &Inner) -> Vec<Check> {
    let helper = match inner.nest.take().await {
        Ok(helper) => helper,
        Err(error) => {
            let fix = "see the reason; the kernel must allow seccomp filters and no-new-privileges, and the worker's program must be readable";
            return vec![check("wasm helper", Verdict::Bad, error, fix)];
        }
    };
    let mut checks = vec![
        check("wasm helper", Verdict::Good, format!("starts and is locked up (compiler {})", helper.ready.config), ""),
        locks(&helper),
    ];
    checks.push(tried(helper).await);
    checks.push(folder(inner));
    checks
}

fn locks(helper: &Helper) -> Check {
    let lacking: Vec<String> = helper
        .ready
        .locks
        .iter()
        .filter_map(|lock| Some(format!("{}: {}", lock.name, lock.problem.as_ref()?)))
        .collect();
    if lacking.is_empty() {
        let detail = "a user, namespaces and a root of its own, with nothing in them".into();
        return check("wasm sandbox", Verdict::Good, detail, "");
    }
    let fix = "run the worker as root, or allow user namespaces to it (sysctl kernel.unprivileged_userns_clone, and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0); modules are held by the module's own sandbox and by seccomp meanwhile";
    check("wasm sandbox", Verdict::Weak, lacking.join("; "), fix)
}

async fn tried(helper: Helper) -> Check {
    let fix = "report this with your kernel's version; modules are not safe to run here";
    match tokio::time::timeout(PATIENCE, ask(helper)).await {
        Ok(Ok(tries)) if tries.is_empty() => check("wasm lock", Verdict::Bad, "nothing was tried".into(), fix),
        Ok(Ok(tries)) => {
            let done: Vec<&str> =
                tries.iter().filter(|tried| !tried.was_refused).map(|tried| tried.name.as_str()).collect();
            if done.is_empty() {
                let names: Vec<&str> = tries.iter().map(|tried| tried.name.as_str()).collect();
                return check("wasm lock", Verdict::Good, format!("refused: {}", names.join(", ")), "");
            }
            check("wasm lock", Verdict::Bad, format!("a locked-up helper could: {}", done.join(", ")), fix)
        }
        Ok(Err(error)) => check("wasm lock", Verdict::Bad, format!("could not be tried: {error}"), fix),
        Err(_) => check("wasm lock", Verdict::Bad, "could not be tried in time".into(), fix),
    }
}

async fn ask(mut helper: Helper) -> io::Result<Vec<Tried>> {
    let mut frames = Frames::new(helper.socket()?)?;
    frames.give(&Order::Try).await?;
    let said = frames.next().await?;
    helper.end().await?;
    match said {
        Some((Tell::Tried, bytes)) => read_json(&bytes),
        Some(_) | None => Err(io::Error::other("the helper did not say")),
    }
}

fn folder(inner: &Inner) -> Check {
    match tempfile::tempfile_in(&inner.state) {
        Ok(_) => check("wasm folder", Verdict::Good, inner.state.display().to_string(), ""),
        Err(error) => {
            let detail = format!("nothing can be written into {}: {error}", inner.state.display());
            check("wasm folder", Verdict::Bad, detail, "give the worker's data folder room, and to the worker's user")
        }
    }
}
