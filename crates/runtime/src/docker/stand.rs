//! A container that stands still for its owner, and for how long it has.
//!
//! Start at [`Stand::due`]. The kernel is told directly where that can be had, which takes microseconds and
//! no daemon; else the daemon is asked.
//!
//! Invariant: time that was spent standing still is counted once, and only while everything stood.

use super::daemon;
use super::meter::Meter;
use crate::Control;
use bollard::Docker;
use bollard::errors::Error;
use std::time::Duration;
use tokio::time::Instant;

/// Wait after a pause that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether a container stands still.
#[derive(Debug)]
pub(super) struct Stand {
    since: Option<Instant>,
    total: Duration,
    not_before: Option<Instant>,
}

impl Stand {
    /// Of a container that runs.
    pub(super) fn new() -> Self {
        Self { since: None, total: Duration::ZERO, not_before: None }
    }

    /// True while it stands still.
    pub(super) fn is_still(&self) -> bool {
        self.since.is_some()
    }

    /// For how long it has stood still altogether.
    pub(super) fn total(&self) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Waits until it is to be changed by [`Stand::turn`].
    pub(super) async fn due(&self, control: &mut Control) {
        control.until_paused(!self.is_still()).await;
        if let Some(moment) = self.not_before {
            tokio::time::sleep_until(moment).await;
        }
    }

    /// Makes the container `name` stand still where it runs, else go on. Given up where the job is stopped
    /// meanwhile: a kill ends both.
    pub(super) async fn turn(&mut self, docker: &Docker, name: &str, meter: &Meter<'_>, control: &Control) {
        let still = !self.is_still();
        // What stood still counts as running again from the moment at which we let it go.
        let stood = self.total();
        if !meter.freeze_directly(still) {
            let asked = tokio::select! {
                biased;
                () = control.stop.cancelled() => return,
                asked = ask(docker, name, still) => asked,
            };
            if let Err(error) = asked {
                let error = daemon::explain(&error);
                tracing::warn!(container = name, still, error, "a container cannot be paused or resumed; trying again");
                self.not_before = Some(Instant::now() + AGAIN);
                return;
            }
        }
        self.not_before = None;
        if still {
            self.since = Some(Instant::now());
        } else {
            (self.total, self.since) = (stood, None);
        }
    }
}

async fn ask(docker: &Docker, name: &str, still: bool) -> Result<(), Error> {
    let answer = if still { docker.pause_container(name).await } else { docker.unpause_container(name).await };
    match answer {
        // It is so already, or has ended.
        Err(error) if matches!(daemon::status(&error), Some(404 | 409)) => Ok(()),
        // Older daemons say the same with another number.
        Err(error) if daemon::explain(&error).contains("is not paused") => Ok(()),
        other => other,
    }
}
