//! What the shell does with jobs and what they leave.
//!
//! Start at [`Shell::start_job`].
//!
//! Invariant: what is kept of an attempt is removed in one place, [`Shell::forget`].

use super::{Kept, Shell, Steer};
use crate::capture::{Capture, MAX_STREAM_BYTES, remove_if_there};
use crate::event::{Event, Work};
use crate::job::{Job, Signal, Voice};
use crate::status::Running;
use hivemind_model::AttemptRef;
use hivemind_model::spec::BlobRef;
use hivemind_proto::convert::LogPosition;
use hivemind_runtime::{Control, Stop};
use std::sync::Arc;
use tokio::sync::watch;

/// Most jobs that are shown to the owner.
const MOST_SHOWN: usize = 1000;

impl Shell {
    pub(super) fn start_job(&mut self, attempt: AttemptRef, work: Arc<Work>) {
        let stop = Stop::new();
        let (hold, paused) = watch::channel(false);
        let image = match work.spec.image_blob {
            None => work.spec.image.clone(),
            Some(blob) => blob.digest.to_string(),
        };
        let since = crate::enroll::now();
        self.diary.began(&image, since.0);
        let kept = self.keep(attempt);
        kept.steer = Some(Steer { stop: stop.clone(), hold, image, since });
        let capture = Arc::clone(&kept.capture);
        let voice = Arc::new(Voice::new(attempt, capture, self.signals.clone(), stop.clone()));
        let job = Job { tools: self.tools.clone(), work, control: Control { stop, paused }, voice };
        self.spawn(job.run());
    }

    pub(super) fn stop_job(&self, attempt: AttemptRef) {
        if let Some(Kept { steer: Some(steer), .. }) = self.kept.get(&attempt) {
            steer.stop.cancel();
        }
    }

    pub(super) fn hold_job(&mut self, attempt: AttemptRef, held: bool) {
        if let Some(Kept { steer: Some(steer), .. }) = self.kept.get(&attempt) {
            steer.hold.send_replace(held);
            self.usage.held(attempt, held);
        }
    }

    /// What occupies the machine, those that began first before others, at most [`MOST_SHOWN`].
    pub(crate) fn running(&self) -> Vec<Running> {
        let occupants = self.agent.occupants().filter_map(|(attempt, progress_percent, paused)| {
            let steer = self.kept.get(&attempt)?.steer.as_ref()?;
            let usage = self.usage.of(attempt);
            Some(Running {
                attempt: attempt.to_string(),
                image: steer.image.clone(),
                since_unix_ms: steer.since.0,
                cpu_ms: usage.cpu.0,
                memory_bytes: usage.memory.0,
                disk_bytes: usage.disk.0,
                paused,
                progress_percent,
            })
        });
        let mut running: Vec<Running> = occupants.collect();
        running.sort_by(|a, b| (a.since_unix_ms, &a.attempt).cmp(&(b.since_unix_ms, &b.attempt)));
        running.truncate(MOST_SHOWN);
        running
    }

    pub(super) fn store_output(&mut self, attempt: AttemptRef, blob: BlobRef) {
        let (transfer, signals, path) =
            (Arc::clone(&self.tools.transfer), self.signals.clone(), self.tools.folders.output(attempt));
        let upload = self.spawn(async move {
            let result = transfer.store(attempt, blob, &path).await;
            // Nobody listens while the worker ends; the next start tries again.
            let _unheard = signals.send(Signal::Event(Event::Uploaded { attempt, result }));
        });
        self.keep(attempt).upload = Some(upload);
    }

    pub(super) fn keep(&mut self, attempt: AttemptRef) -> &mut Kept {
        let logs = &self.tools.folders.logs;
        self.kept.entry(attempt).or_insert_with(|| Kept {
            capture: Arc::new(Capture::new(logs, attempt, MAX_STREAM_BYTES)),
            steer: None,
            upload: None,
            has_output: false,
            spooled: false,
        })
    }

    pub(super) fn forget(&mut self, attempt: AttemptRef) {
        self.outbox.forget(attempt);
        self.usage.forget(attempt);
        let Some(kept) = self.kept.remove(&attempt) else { return };
        if let Some(upload) = kept.upload {
            upload.abort();
        }
        if kept.spooled {
            self.spool.remove(attempt);
        }
        let removed = kept
            .capture
            .remove()
            .and_then(|()| if kept.has_output { remove_if_there(&self.tools.folders.output(attempt)) } else { Ok(()) });
        if let Err(why) = removed {
            self.warn(format!("files of {attempt} could not be removed; the next start tries again: {why}"));
        }
    }

    pub(super) fn rewind(&mut self, position: LogPosition) {
        if let Some(kept) = self.kept.get(&position.attempt)
            && !kept.capture.is_empty()
        {
            self.outbox.follow(position.attempt, &kept.capture);
            self.outbox.rewind(position);
        }
    }
}
