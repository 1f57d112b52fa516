//! A module that runs: its words, its time, its pauses.
//!
//! Start at [`Following::until_the_end`].
//!
//! Invariant: time in which the module stands still counts for nothing.

use super::frames::Frames;
use super::meter::Meter;
use super::nest::Helper;
use crate::wire::{Ending, Tell, read_json};
use bytes::Bytes as Content;
use hivemind_model::state::Metering;
use hivemind_model::units::{Bytes, Millis};
use hivemind_runtime::{Control, Sink, Stream, Usage};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How often what was used is told.
const USAGE_EVERY: Duration = Duration::from_secs(2);
/// How often progress is told at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Longest time that a helper takes to begin.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// It ended, by itself or by a limit that its helper keeps.
    Ended(Ending),
    /// It was ended on somebody's word.
    Stopped,
    /// It was ended as its time was over.
    OutOfTime,
    /// Its helper failed; how.
    Lost(String),
}

/// Counts the time in which something runs.
#[derive(Debug, Default)]
struct Stopwatch {
    before: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    fn start(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn stop(&mut self) {
        self.before = self.counted();
        self.since = None;
    }

    fn counted(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// One module on its way.
pub(super) struct Following<'a> {
    helper: &'a mut Helper,
    frames: &'a mut Frames,
    backing: &'a File,
    sink: &'a dyn Sink,
    control: Control,
    limit: Duration,
    meter: Meter,
    watch: Stopwatch,
    has_started: bool,
    stands: bool,
    peak: Bytes,
    /// What it last said to have done, until that is told.
    progress: Option<u8>,
    told: Option<Instant>,
    ticks: Interval,
}

impl<'a> Following<'a> {
    pub(super) fn new(
        helper: &'a mut Helper,
        meter: Meter,
        frames: &'a mut Frames,
        backing: &'a File,
        sink: &'a dyn Sink,
        control: Control,
        limit: Millis,
    ) -> Self {
        let mut ticks = tokio::time::interval_at(Instant::now() + USAGE_EVERY, USAGE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            helper,
            frames,
            backing,
            sink,
            control,
            limit: Duration::from_millis(limit.0),
            meter,
            watch: Stopwatch::default(),
            has_started: false,
            stands: false,
            peak: Bytes(0),
            progress: None,
            told: None,
            ticks,
        }
    }

    /// Hands on what it says until it has ended; when this returns it uses no processor any more.
    pub(super) async fn until_the_end(mut self) -> (Followed, Metering) {
        let followed = self.follow().await;
        self.watch.stop();
        if let Some(percent) = self.progress.take() {
            self.sink.progress(percent);
        }
        // A process that has ended has no memory any more, so it is looked at first.
        let used = self.meter.used();
        match followed {
            Followed::Ended(_) => {}
            Followed::Stopped | Followed::OutOfTime | Followed::Lost(_) => self.helper.kill(),
        }
        let wall = Millis(u64::try_from(self.watch.counted().as_millis()).unwrap_or(u64::MAX));
        (followed, Metering { wall, cpu: used.cpu, peak_memory: self.peak.max(used.peak) })
    }

    async fn follow(&mut self) -> Followed {
        let mut steering = self.control.clone();
        let patience = Instant::now() + START_PATIENCE;
        loop {
            let left = self.limit.saturating_sub(self.watch.counted());
            let deadline = Instant::now().checked_add(left);
            let told = self.told.map_or_else(Instant::now, |told| told + PROGRESS_EVERY);
            tokio::select! {
                biased;
                () = self.control.stop.cancelled() => return Followed::Stopped,
                () = steering.until_paused(!self.stands) => {
                    if let Err(error) = self.pause(!self.stands) {
                        return Followed::Lost(format!("the module cannot be paused: {error}"));
                    }
                }
                () = until(deadline), if self.has_started && !self.stands => return Followed::OutOfTime,
                () = tokio::time::sleep_until(patience), if !self.has_started && !self.stands => {
                    return Followed::Lost(format!("the module did not begin within {} s", START_PATIENCE.as_secs()));
                }
                // Before what it says, which may never stop.
                () = tokio::time::sleep_until(told), if self.progress.is_some() => self.tell_progress(),
                _ = self.ticks.tick(), if self.has_started => self.tell_usage(),
                said = self.frames.next() => match said {
                    Ok(Some((tell, bytes))) => {
                        if let Some(followed) = self.heard(tell, &bytes) {
                            return followed;
                        }
                    }
                    Ok(None) => return Followed::Lost("the module's process has ended without a word".into()),
                    Err(error) => return Followed::Lost(format!("the module's process cannot be heard: {error}")),
                },
            }
        }
    }

    fn pause(&mut self, stands: bool) -> std::io::Result<()> {
        self.helper.pause(stands)?;
        self.stands = stands;
        if stands {
            self.watch.stop();
        } else if self.has_started {
            self.watch.start();
        }
        Ok(())
    }

    /// Hands on one message; how it went where that was the last.
    fn heard(&mut self, tell: Tell, bytes: &Content) -> Option<Followed> {
        match tell {
            Tell::Started if !self.has_started => {
                self.has_started = true;
                if !self.stands {
                    self.watch.start();
                }
                self.sink.started();
            }
            Tell::Stdout | Tell::Stderr if self.has_started && bytes.is_empty() => {}
            Tell::Stdout if self.has_started => self.sink.output(Stream::Stdout, bytes),
            Tell::Stderr if self.has_started => self.sink.output(Stream::Stderr, bytes),
            Tell::Progress if self.has_started => {
                self.progress = bytes.first().copied().filter(|percent| *percent <= 100);
            }
            Tell::Ended => {
                return Some(match read_json(bytes) {
                    Ok(ending) => Followed::Ended(ending),
                    Err(error) => Followed::Lost(format!("how the module ended cannot be read: {error}")),
                });
            }
            Tell::Failed => {
                let why: String =
                    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(500).collect();
                return Some(Followed::Lost(format!("the module's process failed: {why}")));
            }
            Tell::Started
            | Tell::Stdout
            | Tell::Stderr
            | Tell::Progress
            | Tell::Ready
            | Tell::Entry
            | Tell::Data
            | Tell::Done
            | Tell::Compiled
            | Tell::Tried => return Some(Followed::Lost("the module's process says what it should not".into())),
        }
        None
    }

    fn tell_progress(&mut self) {
        if let Some(percent) = self.progress.take() {
            self.told = Some(Instant::now());
            self.sink.progress(percent);
        }
    }

    fn tell_usage(&mut self) {
        let used = self.meter.used();
        self.peak = self.peak.max(used.peak);
        let disk = self.backing.metadata().map_or(0, |facts| facts.blocks() * 512);
        let (received, sent) = (Bytes(0), Bytes(0));
        self.sink.usage(Usage { cpu: used.cpu, memory: used.memory, disk: Bytes(disk), received, sent });
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
