//! A module becomes code, in a helper of its own.
//!
//! Invariant: one module at a time of each size, and none that was refused before.

use super::Inner;
use super::cache::Key;
use super::frames::Frames;
use super::nest::{Death, Helper};
use crate::wire::{Order, Tell, read_json};
use hivemind_model::spec::Digest;
use hivemind_model::state::Outcome;
use hivemind_runtime::{Sink, Stop};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that a module is compiled for, while this machine may do other things too.
const PATIENCE: Duration = Duration::from_secs(600);
/// Modules up to here do not wait for larger ones: a stranger's may take minutes.
const SMALL_BYTES: u64 = 4 << 20;
/// Longest wait for the end of a helper that says nothing any more.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// A failure of this machine.
pub(super) fn fault(what: &str, error: impl std::fmt::Display) -> Outcome {
    Outcome::Infrastructure { reason: format!("{what}: {error}") }
}

/// A helper that waits.
pub(super) async fn helper(inner: &Inner, stop: &Stop) -> Result<Helper, Outcome> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Outcome::Cancelled),
        helper = inner.nest.take() => helper.map_err(|reason| Outcome::Infrastructure { reason }),
    }
}

/// The code of the module in `file`, and a helper to run it.
pub(super) async fn code(
    inner: &Inner,
    digest: Digest,
    file: &Path,
    sink: &dyn Sink,
    stop: &Stop,
) -> Result<(Arc<File>, Helper), Outcome> {
    let first = helper(inner, stop).await?;
    let key = Key { module: digest, config: first.ready.config.clone() };
    if let Some(code) = inner.cache.find(&key) {
        return Ok((code, first));
    }
    let bytes = file.metadata().map_err(|error| fault("the module cannot be read", error))?.len();
    let turns = if bytes <= SMALL_BYTES { &inner.compiling_small } else { &inner.compiling };
    let permit = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(Outcome::Cancelled),
        permit = turns.acquire() => permit.map_err(|error| fault("modules are not compiled any more", error))?,
    };
    // Another job of the same module may have had the turn before.
    if let Some(code) = inner.cache.find(&key) {
        return Ok((code, first));
    }
    if let Some(reason) = inner.cache.refusal(&key) {
        return Err(Outcome::BadImage { reason });
    }
    sink.note("compiling the module");
    let code = compile(inner, first, key, file, stop).await?;
    drop(permit);
    Ok((code, helper(inner, stop).await?))
}

async fn compile(inner: &Inner, mut helper: Helper, key: Key, file: &Path, stop: &Stop) -> Result<Arc<File>, Outcome> {
    let cannot_keep = |error: io::Error| fault("the module's code cannot be kept", error);
    let half = inner.cache.half().map_err(cannot_keep)?;
    let module = File::open(file).map_err(|error| fault("the module cannot be read", error))?;
    let lost = |error: io::Error| fault("the helper that compiles the module cannot be spoken to", error);
    let mut frames = helper.socket().and_then(Frames::new).map_err(lost)?;
    let said = async {
        frames.give(&Order::Compile).await?;
        frames.give_files(&[&module, half.as_file()]).await?;
        frames.next().await
    };
    let said = tokio::select! {
        biased;
        () = stop.cancelled() => {
            helper.end().await.map_err(lost)?;
            return Err(Outcome::Cancelled);
        }
        said = tokio::time::timeout(PATIENCE, said) => said,
    };
    let said = match said {
        Ok(Ok(said)) => said,
        // It ended while it was spoken to.
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => None,
        Ok(Err(error)) => return Err(lost(error)),
        Err(_) => return Err(fault("the module was not compiled in time", format!("{} s", PATIENCE.as_secs()))),
    };
    let refused = match said {
        Some((Tell::Compiled, bytes)) => {
            helper.end().await.map_err(lost)?;
            let result: Result<(), String> = read_json(&bytes).map_err(lost)?;
            result.err()
        }
        Some((Tell::Failed, bytes)) => {
            return Err(fault("the module was not compiled", String::from_utf8_lossy(&bytes)));
        }
        Some(_) => return Err(fault("the module was not compiled", "its helper says what it should not")),
        None => Some(judged(helper.ended(END_PATIENCE).await.map_err(lost)?)?),
    };
    match refused {
        Some(reason) => {
            let reason = format!("the module cannot be used: {reason}");
            inner.cache.refuse(key, reason.clone());
            Err(Outcome::BadImage { reason })
        }
        None => inner.cache.keep(&key, half).map_err(cannot_keep),
    }
}

/// What a compiler's sudden end says of the module that it was given.
fn judged(death: Death) -> Result<String, Outcome> {
    use crate::limits::{COMPILE_CPU_SECONDS, COMPILE_MEMORY};
    match death {
        Death::Signal(libc::SIGXCPU) => {
            Ok(format!("compiling it takes more than {COMPILE_CPU_SECONDS} s of a processor"))
        }
        Death::Signal(libc::SIGABRT) => {
            Ok(format!("compiling it takes more than {} MiB of memory, or too much stack", COMPILE_MEMORY >> 20))
        }
        Death::Signal(libc::SIGXFSZ) => Ok("its code is too large".into()),
        Death::Signal(signal @ (libc::SIGSEGV | libc::SIGILL | libc::SIGBUS | libc::SIGFPE)) => {
            Ok(format!("the compiler fails on it (signal {signal})"))
        }
        Death::Own => Ok("the compiler fails on it".into()),
        Death::Signal(signal) => {
            Err(fault("the module was not compiled", format!("its helper was ended by signal {signal}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_that_is_ended_by_its_module_refuses_it_and_by_others_does_not() {
        for signal in [libc::SIGXCPU, libc::SIGABRT, libc::SIGSEGV, libc::SIGXFSZ] {
            assert!(judged(Death::Signal(signal)).is_ok(), "{signal}");
        }
        for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGSYS] {
            assert!(matches!(judged(Death::Signal(signal)), Err(Outcome::Infrastructure { .. })), "{signal}");
        }
    }
}
