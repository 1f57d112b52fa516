//! Figures of a worker for operators' tools, and whether it can work.
//!
//! Start at [`operate`].
//!
//! Invariant: no figure has a label that a pool or a task chooses.

use super::Desk;
use crate::diary::Counts;
use crate::status::Status;
use hivemind_http::operate::{Metrics, Operate};
use hivemind_model::Availability;
use metrics::{Counter, Gauge};
use std::sync::Arc;

/// Most graphics processors that have figures.
const MAX_GPUS: usize = 32;

/// All figures that are always there.
pub(super) struct Figures {
    metrics: Metrics,
    link: Gauge,
    lease: Gauge,
    running: Gauge,
    waiting: Gauge,
    undelivered: Gauge,
    available: [(&'static str, Gauge); 3],
    ended: [Counter; 4],
    uploads: [Counter; 2],
    task_cpu: Counter,
    cpu: Gauge,
    memory: [Gauge; 2],
    disk: [Gauge; 2],
    temperature: Gauge,
    cache: [Gauge; 2],
    sessions: Gauge,
    followers: Gauge,
}

impl Figures {
    /// # Errors
    /// A bug: the form of the figures does not work.
    pub(super) fn new() -> Result<Self, String> {
        let made = Metrics::new("worker", env!("CARGO_PKG_VERSION"));
        made.map(Self::of).map_err(|why| why.to_string())
    }

    fn of(metrics: Metrics) -> Self {
        let gauge = |name, help| metrics.gauge(name, help, &[]);
        let state = |state: &'static str| {
            let help = "Whether the owner lets the machine work: 1 for the state that holds.";
            (state, metrics.gauge("hivemind_worker_available", help, &[("state", state.to_owned())]))
        };
        let ended = |outcome: &str| {
            let help = "Attempts that ended; faults are not the task's own.";
            metrics.counter("hivemind_worker_attempts_ended_total", help, &[("outcome", outcome.to_owned())])
        };
        let upload = |result: &str| {
            let help = "Tries to give an output to the pool.";
            metrics.counter("hivemind_worker_uploads_total", help, &[("result", result.to_owned())])
        };
        Self {
            link: gauge("hivemind_worker_link_up", "Whether the pool answers over the link: 1 or 0."),
            lease: gauge("hivemind_worker_lease_seconds", "What is left of the lease of what runs."),
            running: gauge("hivemind_worker_attempts_running", "Attempts that occupy the machine."),
            waiting: gauge("hivemind_worker_attempts_waiting", "Attempts that wait for their turn."),
            undelivered: gauge("hivemind_worker_results_undelivered", "Results that the pool has not acknowledged."),
            available: ["open", "finishing", "paused"].map(state),
            ended: ["completed", "failed", "cancelled", "fault"].map(ended),
            uploads: ["stored", "failed"].map(upload),
            task_cpu: metrics.counter(
                "hivemind_worker_task_cpu_seconds_total",
                "Processor time that tasks used, whole seconds.",
                &[],
            ),
            cpu: gauge(
                "hivemind_worker_machine_cpu_ratio",
                "How busy all cores are, 0 to 1, the owner's work included.",
            ),
            memory: [
                gauge("hivemind_worker_machine_memory_used_bytes", "Memory that is not available to programs."),
                gauge("hivemind_worker_machine_memory_bytes", "All memory."),
            ],
            disk: [
                gauge("hivemind_worker_machine_disk_used_bytes", "What is used of the disk with the worker's folder."),
                gauge("hivemind_worker_machine_disk_bytes", "All of that disk."),
            ],
            temperature: gauge("hivemind_worker_machine_temperature_celsius", "The hottest processor; 0: unknown."),
            cache: [
                gauge("hivemind_worker_cache_used_bytes", "What is kept of tasks' inputs."),
                gauge("hivemind_worker_cache_limit_bytes", "The most that is kept of them."),
            ],
            sessions: gauge("hivemind_worker_page_sessions", "Sessions of the owner's page."),
            followers: gauge("hivemind_worker_page_followers", "Pages that follow live events."),
            metrics,
        }
    }

    fn set(&self, desk: &Desk) {
        let insides = &desk.insides;
        self.set_work(&insides.status.borrow());
        let Counts { completed, failed, cancelled, faults, uploads_stored, uploads_failed } = insides.diary.counts();
        for (counter, count) in self.ended.iter().zip([completed, failed, cancelled, faults]) {
            counter.absolute(count);
        }
        for (counter, count) in self.uploads.iter().zip([uploads_stored, uploads_failed]) {
            counter.absolute(count);
        }
        let now = insides.monitor.now();
        self.cpu.set(ratio(now.cpu_percent));
        for (gauge, bytes) in self.memory.iter().zip([now.whole.memory_used_bytes, now.whole.memory_bytes]) {
            gauge.set(bytes as f64);
        }
        for (gauge, bytes) in self.disk.iter().zip([now.whole.disk_used_bytes, now.whole.disk_bytes]) {
            gauge.set(bytes as f64);
        }
        self.temperature.set(f64::from(now.whole.temperature_celsius));
        for (gauge, bytes) in self.cache.iter().zip([insides.cache.used(), insides.cache.most()]) {
            gauge.set(bytes.0 as f64);
        }
        for (place, gpu) in now.whole.gpus.iter().take(MAX_GPUS).enumerate() {
            let gauge = |name, help| self.metrics.gauge(name, help, &[("gpu", place.to_string())]);
            gauge("hivemind_worker_gpu_ratio", "How busy a graphics processor is, 0 to 1.").set(ratio(gpu.busy));
            gauge("hivemind_worker_gpu_memory_used_bytes", "A graphics processor's memory in use.")
                .set(gpu.memory_used_bytes as f64);
            gauge("hivemind_worker_gpu_temperature_celsius", "A graphics processor's temperature; 0: unknown.")
                .set(f64::from(gpu.temperature_celsius));
        }
        self.sessions.set(desk.access.sessions() as f64);
        self.followers.set(desk.hub.followers() as f64);
    }

    fn set_work(&self, status: &Status) {
        self.link.set(f64::from(u8::from(status.linked)));
        self.lease.set(status.lease_left().unwrap_or_default().as_secs_f64());
        self.running.set(f64::from(status.jobs));
        self.waiting.set(status.backlog as f64);
        let undelivered = status.attempts.saturating_sub(status.backlog).saturating_sub(status.jobs as usize);
        self.undelivered.set(undelivered as f64);
        let holds = match status.availability {
            Availability::Open => "open",
            Availability::Finishing { .. } => "finishing",
            Availability::Paused { .. } => "paused",
        };
        for (state, gauge) in &self.available {
            gauge.set(f64::from(u8::from(*state == holds)));
        }
        self.task_cpu.absolute(status.cpu_used.unwrap_or_default().as_secs());
    }
}

fn ratio(percent: f32) -> f64 {
    f64::from(percent) / 100.0
}

/// `/livez`, `/readyz` and `/metrics` of a worker. It is ready while the pool answers; one whose owner lets it stand still is, too.
pub(super) fn operate(desk: Arc<Desk>) -> Operate {
    let status = desk.insides.status.clone();
    Operate::new(desk.figures.metrics.clone())
        .ready(move || {
            if status.has_changed().is_err() {
                return Err("the worker has ended".into());
            }
            let status = status.borrow();
            match (&status.last_error, status.linked) {
                (_, true) => Ok(()),
                (Some(why), false) => Err(format!("no link to the pool: {why}")),
                (None, false) => Err("no link to the pool yet".into()),
            }
        })
        .collect(move || {
            let desk = Arc::clone(&desk);
            async move {
                desk.figures.set(&desk);
                Ok(())
            }
        })
}
