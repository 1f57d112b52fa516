//! One attempt, from its module to what it left.
//!
//! Start at [`attempt`]. The order is: code, with a helper; a file for what it writes; the order with its
//! files; then it is followed to its end; then what it left is packed.
//!
//! Invariant: the module's number of the attempt never reaches the helper, so that copies agree.

use super::collect::{self, Collected};
use super::compile::{code, fault};
use super::follow::{Followed, Following};
use super::frames::{Frames, OUTPUT_PATIENCE};
use super::meter::Meter;
use super::nest::Helper;
use super::{Inner, not_begun};
use crate::profile::fuel_of;
use crate::wire::{Ending, Order, Run, Tell, read_json};
use hivemind_model::Kind;
use hivemind_model::spec::{Digest, check_path};
use hivemind_model::state::Outcome;
use hivemind_runtime::{Control, Finished, Image, Job, Sink, Stream};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What names the attempt, and so differs between copies.
const ATTEMPT: &str = "HIVEMIND_ATTEMPT";
/// Where relative paths begin.
const WORKING_FOLDER: &str = "PWD=/task";

/// Runs `job` to its end.
pub(super) async fn attempt(
    inner: Arc<Inner>,
    job: Job,
    sink: Arc<dyn Sink>,
    control: Control,
    scratch: PathBuf,
) -> Finished {
    let (digest, file) = match checked(&job) {
        Ok(module) => module,
        Err(outcome) => return not_begun(outcome, String::new()),
    };
    let image_id = digest.to_string();
    match prepared(&inner, &job, (digest, &file), &*sink, &control).await {
        Ok(prepared) => prepared.run(&inner, &job, &*sink, control, &scratch, image_id).await,
        Err(outcome) => not_begun(outcome, image_id),
    }
}

/// The module, where the job is one that is run here.
fn checked(job: &Job) -> Result<(Digest, PathBuf), Outcome> {
    let bad = |reason: &str| Err(Outcome::BadImage { reason: reason.to_owned() });
    match job.kind {
        Kind::Wasm => {}
        Kind::Container => return bad("a container is not run by the runtime for WebAssembly modules"),
    }
    if !job.egress.is_empty() {
        return bad("a WebAssembly module has no network; leave the hosts out, or run it as a container");
    }
    for (path, _) in &job.files {
        check_path("files", path).map_err(|rejection| Outcome::BadImage { reason: rejection.to_string() })?;
    }
    match &job.image {
        Image::Content { digest, file } => Ok((*digest, file.clone())),
        Image::Named(_) => bad("a WebAssembly module is pushed first, and named by its digest"),
    }
}

/// A helper that has its order and begins at once.
struct Prepared {
    helper: Helper,
    /// Begun before the helper knew of its job.
    meter: Meter,
    frames: Frames,
    backing: File,
}

async fn prepared(
    inner: &Inner,
    job: &Job,
    (digest, file): (Digest, &Path),
    sink: &dyn Sink,
    control: &Control,
) -> Result<Prepared, Outcome> {
    let (code, mut helper) = code(inner, digest, file, sink, &control.stop).await?;
    let mut waiting = control.clone();
    tokio::select! {
        biased;
        () = control.stop.cancelled() => return Err(Outcome::Cancelled),
        () = waiting.until_paused(false) => {}
    }
    let cannot = |error: io::Error| fault("the job cannot be handed to its helper", error);
    let backing = tempfile::tempfile_in(&inner.state).map_err(cannot)?;
    let mut frames = helper.socket().and_then(Frames::new).map_err(cannot)?;
    let order = order(job).map_err(|error| fault("an input cannot be read", error))?;
    let paths: Vec<&Path> = job.files.iter().map(|(_, file)| file.as_path()).collect();
    let meter = Meter::begin(helper.pid());
    let given = async {
        frames.give(&order).await?;
        frames.give_files(&[&code, &backing]).await?;
        frames.give_paths(&paths).await
    };
    tokio::select! {
        biased;
        () = control.stop.cancelled() => return Err(Outcome::Cancelled),
        given = given => given.map_err(cannot)?,
    }
    Ok(Prepared { helper, meter, frames, backing })
}

fn order(job: &Job) -> io::Result<Order> {
    let size = |(path, file): &(String, PathBuf)| Ok((path.clone(), file.metadata()?.len()));
    let environment = job.environment().into_iter().filter(|(name, _)| *name != ATTEMPT);
    let environment = environment.map(|(name, value)| format!("{name}={value}"));
    Ok(Order::Run(Box::new(Run {
        element: job.attempt.element.to_string(),
        words: job.command.clone(),
        environment: std::iter::once(WORKING_FOLDER.to_owned()).chain(environment).collect(),
        inputs: job.files.iter().map(size).collect::<io::Result<_>>()?,
        outputs: job.outputs.clone(),
        fuel: fuel_of(job.max_runtime.0),
        memory: job.resources.memory.0,
        disk: job.resources.disk.0,
    })))
}

impl Prepared {
    /// Follows the module to its end, and packs what it left.
    async fn run(
        self,
        inner: &Inner,
        job: &Job,
        sink: &dyn Sink,
        control: Control,
        scratch: &Path,
        image_id: String,
    ) -> Finished {
        let Self { mut helper, meter, mut frames, backing } = self;
        let stop = control.stop.clone();
        let following = Following::new(&mut helper, meter, &mut frames, &backing, sink, control, job.max_runtime);
        let (followed, metering) = following.until_the_end().await;
        let (mut outcome, is_whole) = judged(followed, sink);
        let mut output = None;
        if is_whole {
            match packed(&mut helper, frames, job, scratch, &stop).await {
                Ok(collected) => {
                    remark(sink, &collected);
                    output = collected.archive;
                }
                Err(lost) => outcome = lost,
            }
        }
        match inner.leaving.clone().acquire_owned().await {
            // It waits to be ended, and was not told to do anything else.
            Ok(permit) if is_whole => helper.leave(permit),
            Ok(_) | Err(_) => {
                if let Err(error) = helper.end().await {
                    outcome = fault("the module's process cannot be ended", error);
                }
            }
        }
        Finished { outcome, metering, image_id, output }
    }
}

/// What the end means, and whether the helper goes on to tell what the module left.
fn judged(followed: Followed, sink: &dyn Sink) -> (Outcome, bool) {
    match followed {
        Followed::Stopped => (Outcome::Cancelled, false),
        Followed::OutOfTime => (Outcome::TimedOut, false),
        Followed::Lost(reason) => (Outcome::Infrastructure { reason }, false),
        Followed::Ended(Ending::Exited(code)) => (Outcome::Exited { code }, true),
        Followed::Ended(Ending::Trapped(why)) => {
            let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
            sink.output(Stream::Stderr, format!("hivemind: the module was ended: {why}\n").as_bytes());
            (Outcome::Exited { code: crate::profile::TRAP_CODE }, true)
        }
        Followed::Ended(Ending::OutOfFuel) => (Outcome::TimedOut, true),
        Followed::Ended(Ending::OutOfMemory) => (Outcome::OutOfMemory, true),
        Followed::Ended(Ending::NoRoom) => {
            let reason = "the input files do not fit into the task's disk; ask for more disk".into();
            (Outcome::CannotStart { reason }, false)
        }
        Followed::Ended(Ending::Fault(reason)) => (Outcome::Infrastructure { reason }, false),
    }
}

async fn packed(
    helper: &mut Helper,
    mut frames: Frames,
    job: &Job,
    scratch: &Path,
    stop: &hivemind_runtime::Stop,
) -> Result<Collected, Outcome> {
    let cannot = |error: io::Error| fault("the outputs could not be collected", error);
    // Most leave nothing, which needs no thread that waits for files.
    let first = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(Outcome::Cancelled),
        first = tokio::time::timeout(OUTPUT_PATIENCE, frames.next()) => first,
    };
    let first = first.map_err(|_| cannot(io::ErrorKind::TimedOut.into()))?.map_err(cannot)?;
    let first = first.ok_or_else(|| cannot(io::ErrorKind::UnexpectedEof.into()))?;
    if let (Tell::Done, bytes) = &first {
        return Ok(Collected { archive: None, left_out: read_json(bytes).map_err(cannot)? });
    }
    let frames = frames.blocking(first).map_err(cannot)?;
    let wanted = collect::Wanted { outputs: job.outputs.clone(), most: job.resources.disk.0 };
    let scratch = scratch.to_owned();
    let mut packing = tokio::task::spawn_blocking(move || collect::collect(frames, &wanted, &scratch));
    let collected = tokio::select! {
        biased;
        () = stop.cancelled() => {
            // What it still had to say ends with it, and the packing with that.
            helper.kill();
            drop(packing.await);
            return Err(Outcome::Cancelled);
        }
        collected = &mut packing => collected,
    };
    collected.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(cannot)
}

/// Tells what was left out where the requester looks: among the module's own words.
fn remark(sink: &dyn Sink, collected: &Collected) {
    let left_out = &collected.left_out;
    if left_out.count > 0 {
        let first: String = left_out.first.chars().filter(|c| !c.is_control()).take(100).collect();
        let text = format!(
            "hivemind: {} outputs left out (only files and folders with plain names are kept), first `{first}`\n",
            left_out.count
        );
        sink.output(Stream::Stderr, text.as_bytes());
    }
}
