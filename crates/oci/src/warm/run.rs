//! One element in a warm container, from its command to what it left.
//!
//! Start at [`one`]. Time is the agent's own, processor time the kernel's counters before and after: what the
//! guest says decides only how the command ended.
//!
//! Invariant: when this returns, nothing of the element runs: the guest said so, or the container is dead.

use super::Container;
use crate::cgroup::{Group, Usage};
use crate::clock::Clock;
use crate::follow::{By, KILL_PATIENCE, stand_still};
use crate::helper::spec::{End, Order, Report};
use crate::run::{Attempt, Ran, millis, outcome};
use crate::watch;
use hivemind_egress::Used;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::units::{Bytes, Millis};
use hivemind_runtime::collect::{Collected, collect};
use hivemind_runtime::warm::{Broken, Command, Ended, How, Said, why_not_started};
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// By how much the tables of a disk may grow before its container goes: folders never shrink.
const SLACK: u64 = 256 << 10;
/// Longest wait for the guest to end what it is told to end.
const KILL_SOON: Duration = Duration::from_millis(500);
/// Between two looks at the memory in use, where the kernel does not keep the highest one.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// What a command ends with that was killed.
const KILLED: i32 = 137;
/// What the guest ends with where a call fails that does not, unless a command has set limits for it: it
/// must be no way to compute for nothing.
const FAILED: i32 = 3;

/// What one element uses of a container's counters.
struct Meter {
    before: Usage,
    last: Usage,
    /// False: the counter's highest use is another element's.
    is_reset: bool,
    peak: u64,
}

impl Meter {
    fn new(group: &Group) -> Self {
        let is_reset = group.forget_peak();
        let before = group.usage();
        Self { before, last: before, is_reset, peak: before.memory_bytes }
    }

    fn take(&mut self, usage: Usage) {
        let seen = if self.is_reset { usage.peak_bytes } else { usage.memory_bytes };
        self.peak = self.peak.max(seen);
        self.last = usage;
    }

    fn counted_oom(&self) -> bool {
        self.last.ooms > self.before.ooms
    }

    fn metering(&self, wall: Duration) -> Metering {
        let cpu = self.last.cpu_nanos.saturating_sub(self.before.cpu_nanos);
        Metering { wall: millis(wall), cpu: Millis(cpu / 1_000_000), peak_memory: Bytes(self.peak) }
    }
}

/// How the container is, beside what its guest says.
enum Fate {
    /// The guest told the command's end.
    Told(Ended),
    /// The container has ended, as its helper told; `None` where the helper is gone, too.
    Dead(Broken, Option<End>),
}

/// Runs `command`. True where the container may be used again.
pub(super) async fn one(attempt: &Attempt, container: &mut Container, command: Command) -> (Ran, bool) {
    let mut control = attempt.control.clone();
    tokio::select! {
        biased;
        () = attempt.control.stop.cancelled() => return (Ran::not_at_all(Outcome::Cancelled), true),
        () = control.until_paused(false) => {}
    }
    let program = command.argv.first().cloned().unwrap_or_default();
    let mut meter = Meter::new(&container.group);
    let mut clock = Clock::started(Instant::now(), attempt.job.max_runtime);
    let asked = tokio::time::timeout(KILL_PATIENCE, container.channel.run(command)).await;
    let (by, fate) = match asked.unwrap_or_else(|_| Err(Broken::Io(io::ErrorKind::TimedOut.into()))) {
        Ok(()) => follow(attempt, container, &mut clock, &mut meter).await,
        Err(broken) => (By::Itself, end_container(container, broken).await),
    };
    clock.stop(Instant::now());
    let wall = clock.ran(Instant::now());
    let (outcome, is_worn) = match fate {
        Fate::Told(ended) => {
            meter.take(container.group.usage());
            (told(by, &ended, &meter, &program), ended.worn || meter.counted_oom())
        }
        Fate::Dead(broken, end) => {
            meter.take(end.map_or_else(|| container.group.usage(), |end| end.usage));
            (died(attempt, by, &broken, end), true)
        }
    };
    // As for a container that never came to life.
    let metering =
        if matches!(outcome, Outcome::CannotStart { .. }) { Metering::default() } else { meter.metering(wall) };
    match left(attempt, container, by, !is_worn).await {
        Ok((output, is_clean)) => (Ran { outcome, metering, output }, is_clean && !is_worn),
        // How it ended counts for more than what it left.
        Err(lost) => {
            let outcome = if matches!(outcome, Outcome::Infrastructure { .. }) { outcome } else { lost };
            (Ran { outcome, metering, output: None }, false)
        }
    }
}

/// Hands on what the command writes until it has ended, by itself or by us.
async fn follow(attempt: &Attempt, container: &mut Container, clock: &mut Clock, meter: &mut Meter) -> (By, Fate) {
    let (sink, mut control) = (&*attempt.sink, attempt.control.clone());
    let (group, disk) = (container.group.clone(), container.disk.clone());
    let watching = watch::watch(&group, &disk, Used::default, meter.before.cpu_nanos, sink);
    tokio::pin!(watching);
    let mut samples = tokio::time::interval(SAMPLE_EVERY);
    samples.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut by, mut patience) = (By::Itself, None);
    loop {
        let (deadline, is_still) = (clock.deadline(), clock.is_still());
        tokio::select! {
            biased;
            () = attempt.control.stop.cancelled(), if by == By::Itself => by = By::Stop,
            () = tokio::time::sleep_until(deadline), if by == By::Itself && !is_still => by = By::Time,
            () = control.until_paused(!is_still), if by == By::Itself => {
                stand_still(&group, !is_still);
                clock.set_still(!is_still, Instant::now());
                continue;
            }
            () = tokio::time::sleep_until(patience.unwrap_or(deadline)), if patience.is_some() => {
                // The guest does not do it.
                return (by, end_container(container, Broken::Gone).await);
            }
            _ = samples.tick(), if !meter.is_reset && !is_still => {
                meter.take(group.usage());
                continue;
            }
            () = &mut watching => continue,
            said = container.channel.next() => {
                match said {
                    Ok(Said::Started) => sink.started(),
                    Ok(Said::Output(stream, data)) => sink.output(stream, &data),
                    Ok(Said::Ended(ended)) => return (by, Fate::Told(ended)),
                    Err(Broken::Gone) => return (by, Fate::Dead(Broken::Gone, its_end(container).await)),
                    Err(broken) => return (by, end_container(container, broken).await),
                }
                continue;
            }
        }
        // It is to end now. What stands still hears nothing, so that all of it is killed.
        let is_told = !is_still
            && tokio::time::timeout(KILL_SOON, container.channel.kill()).await.is_ok_and(|asked| asked.is_ok());
        if !is_told {
            return (by, end_container(container, Broken::Gone).await);
        }
        patience = Some(Instant::now() + KILL_SOON);
    }
}

/// Kills the container and waits until it is dead.
async fn end_container(container: &mut Container, broken: Broken) -> Fate {
    // Where it does not take the word, it has ended, and its own last word says how.
    if let Err(error) = container.made.order(Order::Kill).await {
        tracing::debug!(%error, "a helper was gone before it was told to kill");
    }
    let end = its_end(container).await;
    Fate::Dead(broken, end)
}

/// What the helper says of the container's end; `None` where it says nothing, and then the container is killed here.
async fn its_end(container: &mut Container) -> Option<End> {
    match tokio::time::timeout(KILL_PATIENCE, container.made.report()).await {
        Ok(Ok(Some(Report::Ended(end)))) => return Some(end),
        Ok(other) => {
            tracing::warn!(attempt = %container.attempt, ?other, "a helper does not tell how its container ended")
        }
        Err(_) => tracing::warn!(attempt = %container.attempt, "a warm container does not end"),
    }
    let group = container.group.clone();
    if !tokio::task::spawn_blocking(move || group.kill()).await.unwrap_or(false) {
        tracing::error!(attempt = %container.attempt, "a warm container that was killed does not end; its removal goes on");
    }
    None
}

/// What the end of a command means that the guest told.
fn told(by: By, ended: &Ended, meter: &Meter, program: &str) -> Outcome {
    match by {
        By::Stop => return Outcome::Cancelled,
        By::Time => return Outcome::TimedOut,
        By::Itself => {}
    }
    let code = match ended.how {
        How::NotStarted(errno) => return Outcome::CannotStart { reason: why_not_started(program, errno) },
        How::Exited(code) => code,
        How::Signalled(signal) => 128 + signal.clamp(0, 127),
    };
    if code == KILLED && meter.counted_oom() { Outcome::OutOfMemory } else { Outcome::Exited { code } }
}

/// What it means that the container ended under an element.
fn died(attempt: &Attempt, by: By, broken: &Broken, end: Option<End>) -> Outcome {
    match by {
        By::Stop => return Outcome::Cancelled,
        By::Time => return Outcome::TimedOut,
        By::Itself => {}
    }
    let ended = |why: String| Outcome::Infrastructure { reason: format!("the warm container was ended: {why}") };
    match broken {
        Broken::Io(error) => return ended(format!("{broken}: {error}")),
        Broken::Malformed(what) => return ended(format!("{broken}: {what}")),
        Broken::OutOfTurn(_) => return ended(broken.to_string()),
        Broken::Gone => {}
    }
    match end {
        None => ended("its helper was ended by somebody else".into()),
        // So it ends where nobody speaks to it any more.
        Some(End { code: 0, .. }) => {
            Outcome::Infrastructure { reason: "the way to the warm container broke off".into() }
        }
        Some(End { code: FAILED, .. }) => {
            attempt.remark(Some("the command brought the container's first process to an end"));
            Outcome::Exited { code: KILLED }
        }
        Some(end) => outcome(end),
    }
}

/// Collects what the element left, and sets the folder back where the container is to be used again. True where
/// that is done.
async fn left(
    attempt: &Attempt,
    container: &mut Container,
    by: By,
    is_kept: bool,
) -> Result<(Option<tempfile::NamedTempFile>, bool), Outcome> {
    // A cancelled attempt's outputs are wanted by nobody.
    let is_wanted = by != By::Stop;
    let (disk, folder) = (container.disk.clone(), container.folder.clone());
    let (outputs, scratch) = (attempt.job.outputs.clone(), attempt.scratch.clone());
    let (limit, most_used) = (attempt.job.resources.disk.0, container.fresh.saturating_add(SLACK));
    let work = move || {
        let collected =
            if is_wanted { collect(disk.root(), &outputs, limit, &scratch) } else { Ok(Collected::default()) };
        let set_back = if is_kept {
            folder.set_back(disk.root()).map(|()| watch::in_use(disk.root()) <= most_used)
        } else {
            Ok(false)
        };
        (collected, set_back)
    };
    let done = tokio::select! {
        biased;
        // Nobody waits for the outputs any more; the reader goes on to its end and is heard by nobody.
        () = attempt.control.stop.cancelled(), if is_wanted => return Err(Outcome::Cancelled),
        done = tokio::task::spawn_blocking(work) => done,
    };
    let (collected, set_back) = done.unwrap_or_else(|error| (Err(io::Error::other(error)), Ok(false)));
    let collected = collected
        .map_err(|error| Outcome::Infrastructure { reason: format!("the outputs could not be collected: {error}") })?;
    attempt.remark(collected.remark.as_deref());
    let is_clean = set_back.unwrap_or_else(|error| {
        tracing::debug!(attempt = %container.attempt, %error, "/task could not be set back; the container goes");
        false
    });
    Ok((collected.archive, is_clean))
}
