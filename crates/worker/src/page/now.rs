//! How things stand now, in one answer.
//!
//! Start at [`Desk::now`]; [`follow`] tells all pages that are open when it is otherwise.
//!
//! Invariant: nobody is told more often than once a second.

use super::Desk;
use crate::control::{Answer, Overview, Request, answer};
use crate::usage::MachineNow;
use hivemind_http::Problem;
use http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Between two events at least.
const EVERY: Duration = Duration::from_secs(1);

/// How things stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Now {
    /// What the machine does, in one sentence: `Computing 2 tasks`.
    pub sentence: String,
    /// What the owner's rules say, what runs, and what is wrong.
    pub overview: Overview,
    /// What the whole machine does, the owner's own work included.
    pub machine: MachineState,
    /// True while this machine's isolation is attacked.
    pub selftest_running: bool,
    /// The release of this worker.
    pub version: &'static str,
    /// The pool's address.
    pub server: String,
}

/// What a machine does; percents and degrees are rounded to tenths.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MachineState {
    /// Of all cores.
    pub cpu_percent: f64,
    /// Of the memory.
    pub memory_percent: f64,
    /// Of the disk with the worker's folder.
    pub disk_percent: f64,
    /// Memory that is not available to programs.
    pub memory_used_bytes: u64,
    /// All memory.
    pub memory_bytes: u64,
    /// Of the disk with the worker's folder.
    pub disk_used_bytes: u64,
    /// All of that disk.
    pub disk_bytes: u64,
    /// All real interfaces together.
    pub received_bytes_per_second: u64,
    /// All real interfaces together.
    pub sent_bytes_per_second: u64,
    /// The mean of one minute.
    pub load: f64,
    /// The hottest processor; `None`: unknown.
    pub temperature_celsius: Option<f64>,
    /// Each graphics processor.
    pub gpus: Vec<GpuNow>,
}

/// What a graphics processor does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuNow {
    /// Its model.
    pub name: String,
    /// How busy it is.
    pub busy_percent: f64,
    /// Its memory in use.
    pub memory_used_bytes: u64,
    /// All its memory.
    pub memory_bytes: u64,
    /// `None`: unknown.
    pub temperature_celsius: Option<f64>,
}

impl From<MachineNow> for MachineState {
    fn from(now: MachineNow) -> Self {
        let whole = now.whole;
        let gpus = whole.gpus.into_iter().map(|gpu| GpuNow {
            name: gpu.name,
            busy_percent: tenths(gpu.busy),
            memory_used_bytes: gpu.memory_used_bytes,
            memory_bytes: gpu.memory_bytes,
            temperature_celsius: known(gpu.temperature_celsius),
        });
        Self {
            cpu_percent: tenths(now.cpu_percent),
            memory_percent: tenths(now.memory_percent),
            disk_percent: tenths(now.disk_percent),
            memory_used_bytes: whole.memory_used_bytes,
            memory_bytes: whole.memory_bytes,
            disk_used_bytes: whole.disk_used_bytes,
            disk_bytes: whole.disk_bytes,
            received_bytes_per_second: whole.received_bytes_per_second,
            sent_bytes_per_second: whole.sent_bytes_per_second,
            load: tenths(whole.load),
            temperature_celsius: known(whole.temperature_celsius),
            gpus: gpus.collect(),
        }
    }
}

fn tenths(figure: f32) -> f64 {
    (f64::from(figure) * 10.0).round() / 10.0
}

/// Sensors that tell nothing tell zero.
fn known(celsius: f32) -> Option<f64> {
    (celsius > 0.0).then(|| tenths(celsius))
}

impl Desk {
    /// Says `request` to the worker, as the control socket does.
    ///
    /// # Errors
    /// What the worker refused, as a problem.
    pub(super) async fn say(&self, request: Request) -> Result<Answer, Problem> {
        match answer(request, &self.insides.asked).await {
            Answer::Refused { code, message, fix } => {
                let status = match code.as_str() {
                    "E_INVALID" => StatusCode::BAD_REQUEST,
                    "E_TOO_LARGE" => StatusCode::PAYLOAD_TOO_LARGE,
                    "E_BUSY" => StatusCode::SERVICE_UNAVAILABLE,
                    // The disk, mostly; the owner of the machine may read why.
                    _other => StatusCode::INTERNAL_SERVER_ERROR,
                };
                let detail = if fix.is_empty() { message } else { format!("{message}; {fix}") };
                Err(Problem::new(status, code, detail))
            }
            answered => Ok(answered),
        }
    }

    /// Does what `request` wants, and tells how things stand then.
    ///
    /// # Errors
    /// As of [`Desk::say`].
    pub(super) async fn act(&self, request: Request) -> Result<Now, Problem> {
        match self.say(request).await? {
            Answer::Status(overview) => Ok(self.show(*overview)),
            Answer::Preferences { .. } | Answer::Refused { .. } => {
                Err(Problem::internal("the worker answered something else than how things stand, which is a bug"))
            }
        }
    }

    /// How things stand.
    ///
    /// # Errors
    /// As of [`Desk::say`].
    pub(super) async fn now(&self) -> Result<Now, Problem> {
        self.act(Request::Status).await
    }

    fn show(&self, overview: Overview) -> Now {
        Now {
            sentence: sentence(&overview),
            // The address has what opens the page in it; who reads this has it already, and it is not to be copied around.
            overview: Overview { page: None, ..overview },
            machine: self.insides.monitor.now().into(),
            selftest_running: self.tests.is_running(),
            version: env!("CARGO_PKG_VERSION"),
            server: self.insides.membership.pool.server.clone(),
        }
    }
}

/// What the machine does.
fn sentence(overview: &Overview) -> String {
    let count = overview.running.len();
    let tasks = if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") };
    match (overview.state.as_str(), count) {
        ("open", 0) if !overview.linked => "Waiting for the pool to answer".into(),
        ("open", 0) if overview.draining => "Takes no more tasks until it is started again".into(),
        ("open", 0) => "Ready, waiting for tasks".into(),
        ("open", _) => format!("Computing {tasks}"),
        (_, 0) => overview.sentence.clone(),
        ("finishing", _) => format!("Finishing {tasks}. {}", overview.sentence),
        _ => format!("{}; {tasks} stand still", overview.sentence),
    }
}

/// Tells the pages that follow how things stand, when that is otherwise, until the page ends.
pub(super) async fn follow(desk: Arc<Desk>) {
    let mut status = desk.insides.status.clone();
    let mut told: Option<Now> = None;
    let mut next = Instant::now() + EVERY;
    loop {
        // What the machine does changes without a word; a worker that has ended changes no more.
        let changed = tokio::time::timeout(EVERY, status.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
        sleep_until(next).await;
        next = Instant::now() + EVERY;
        if desk.hub.followers() == 0 {
            told = None;
            continue;
        }
        match desk.now().await {
            Ok(now) if told.as_ref() != Some(&now) => {
                desk.hub.send("now", &now);
                told = Some(now);
            }
            Ok(_same) => {}
            Err(problem) => tracing::debug!("the owner's page is told nothing: {}", problem.detail()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Running;

    fn overview(state: &str, count: usize, linked: bool) -> Overview {
        let running = Running {
            attempt: "att_1.0.1".into(),
            image: "i".into(),
            since_unix_ms: 0,
            cpu_ms: 0,
            memory_bytes: 0,
            disk_bytes: 0,
            paused: false,
            progress_percent: 0,
        };
        Overview {
            state: state.into(),
            sentence: "Paused: you said so".into(),
            linked,
            running: vec![running; count],
            ..Overview::default()
        }
    }

    #[test]
    fn one_sentence_says_what_the_machine_does() {
        for (state, count, linked, said) in [
            ("open", 0, true, "Ready, waiting for tasks"),
            ("open", 0, false, "Waiting for the pool to answer"),
            ("open", 1, true, "Computing 1 task"),
            ("open", 2, false, "Computing 2 tasks"),
            ("paused", 0, true, "Paused: you said so"),
            ("paused", 2, true, "Paused: you said so; 2 tasks stand still"),
        ] {
            assert_eq!(sentence(&overview(state, count, linked)), said);
        }
        assert!(sentence(&overview("finishing", 3, true)).starts_with("Finishing 3 tasks"));
    }

    #[test]
    fn what_no_sensor_tells_is_unknown() {
        assert_eq!((known(0.0), known(61.26)), (None, Some(61.3)));
    }
}
