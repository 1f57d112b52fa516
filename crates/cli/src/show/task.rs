//! One task with everything that is known of it.
//!
//! Invariant: the advice is about what the requester can change; it never blames a node.

use super::array::{Progress, waits_for};
use super::elements::failures_table;
use super::tasks::{Task, shortened};
use super::{Amount, moment};
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use crate::quantity::show_span;
use hivemind_model::{Bytes, MilliCores, Millis, TaskState, Timestamp};
use hivemind_proto::v1::{AttemptSummary, TaskStatusResponse};
use serde::Serialize;

/// Everything about a task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskDetail {
    /// What a list tells too.
    #[serde(flatten)]
    pub task: Task,
    /// Of an array: how it gets on.
    pub array_progress: Option<Progress>,
    /// Oldest first.
    pub attempts_detail: Vec<Attempt>,
    /// What to do where it waits or failed.
    pub fix: Option<String>,
}

/// One try on one node.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// Its id.
    pub attempt: String,
    /// The node's name.
    pub node: String,
    /// assigned, running, ended.
    pub state: String,
    /// RFC 3339.
    pub assigned_at: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// `E_CODE: sentence`, where it was no success.
    pub outcome: Option<String>,
    /// The exit code of the command.
    pub exit_code: Option<i32>,
    /// What was paid for it.
    pub cost: Amount,
    /// From start to end, in milliseconds.
    pub wall_ms: i64,
    /// Processor time, in milliseconds.
    pub cpu_ms: i64,
    /// Highest memory use.
    pub peak_memory_bytes: i64,
    /// Content-addressed id of the image.
    pub image_id: String,
    /// Bytes written to standard output.
    pub stdout_bytes: i64,
    /// Bytes written to standard error.
    pub stderr_bytes: i64,
    /// More was written than is kept.
    pub logs_cut: bool,
    /// Memory in use now; of what has ended none.
    pub memory_bytes: i64,
    /// Bytes under /task now; of what has ended none.
    pub disk_bytes: i64,
    /// Bytes that came to it through the network that it was allowed; of what has ended none.
    pub received_bytes: i64,
    /// Bytes that it sent there; of what has ended none.
    pub sent_bytes: i64,
    /// It stands still, unpaid, because the machine's owner needs it.
    pub suspended: bool,
}

impl From<AttemptSummary> for Attempt {
    fn from(attempt: AttemptSummary) -> Self {
        Self {
            attempt: attempt.attempt_id,
            node: attempt.node,
            state: attempt.state,
            assigned_at: moment(attempt.assigned_at_unix_ms),
            started_at: moment(attempt.started_at_unix_ms),
            ended_at: moment(attempt.ended_at_unix_ms),
            outcome: (!attempt.outcome.is_empty()).then_some(attempt.outcome),
            exit_code: attempt.exit_code,
            cost: Amount::of(attempt.cost_micro),
            wall_ms: attempt.wall_ms,
            cpu_ms: attempt.cpu_ms,
            peak_memory_bytes: attempt.peak_memory_bytes,
            image_id: attempt.image_id,
            stdout_bytes: attempt.stdout_bytes,
            stderr_bytes: attempt.stderr_bytes,
            logs_cut: attempt.logs_cut,
            memory_bytes: attempt.memory_bytes,
            disk_bytes: attempt.disk_bytes,
            received_bytes: attempt.received_bytes,
            sent_bytes: attempt.sent_bytes,
            suspended: attempt.suspended,
        }
    }
}

impl TaskDetail {
    /// The document of an answer, `now` being the present moment; `None` where the answer has no task in it.
    #[must_use]
    pub fn of(answer: TaskStatusResponse, now: Timestamp) -> Option<Self> {
        let mut task = Task::from(answer.task?);
        task.progress_percent = answer.progress;
        let array_progress = Progress::of(&task, now);
        // Of an array the attempts are those of its first element, which tell nothing of the whole.
        let attempts = if array_progress.is_some() { Vec::new() } else { answer.attempts };
        Some(Self {
            fix: advice(&task),
            array_progress,
            task,
            attempts_detail: attempts.into_iter().map(Attempt::from).collect(),
        })
    }
}

/// What the requester can do about a task that did not succeed.
#[must_use]
pub fn advice(task: &Task) -> Option<String> {
    if let (Some(_), Some(counts)) = (&task.array, task.elements) {
        let again = task.ended_at.is_some() && counts.completed < counts.total;
        return again
            .then(|| format!("`hivemind retry {}` submits what did not complete again, as a new task", task.task));
    }
    let (code, _) = task.error.as_deref()?.split_once(':')?;
    let text = match code {
        "E_OUT_OF_MEMORY" => format!("submit it again with --memory {}m", task.memory_mib.saturating_mul(2)),
        "E_TIMED_OUT" => {
            format!("submit it again with --timeout {}s, or split it", task.max_runtime_s.saturating_mul(2))
        }
        "E_BAD_IMAGE" => {
            "check the image's name and tag; a private image cannot be pulled by other people's machines".into()
        }
        "E_IMAGE_UNAVAILABLE" => {
            "check the image's name; nothing was paid; a worker that cannot reach the registry runs images it has already".into()
        }
        "E_CANNOT_START" => {
            "check that the program is in the image and may be executed; words after the image are the command".into()
        }
        "E_EXIT" => format!("`hivemind logs {}` shows what it wrote", task.task),
        "E_INFRASTRUCTURE" => "nothing was paid; submit it again".into(),
        _ => return None,
    };
    Some(text)
}

fn bytes(count: i64) -> String {
    Bytes(u64::try_from(count).unwrap_or(0)).to_string()
}

fn span(millis: i64) -> String {
    match u64::try_from(millis) {
        Ok(0) | Err(_) => "-".into(),
        Ok(millis) => show_span(Millis(millis)),
    }
}

impl TaskDetail {
    fn head(&self, look: &Look) -> String {
        let task = &self.task;
        let needs = format!(
            "{}, {} memory, {} disk, at most {}",
            MilliCores(u32::try_from(task.cpu_millicores).unwrap_or(0)),
            bytes(task.memory_mib.saturating_mul(1 << 20)),
            bytes(task.disk_mib.saturating_mul(1 << 20)),
            span(task.max_runtime_s.saturating_mul(1000)),
        );
        let level = task.min_level.as_ref().map(|level| format!(", a node of level {level} or higher"));
        let labels: String = task.labels.iter().map(|label| format!(", {label}")).collect();
        let needs = format!("{needs}{}{labels}", level.unwrap_or_default());
        let counts = task.elements.as_ref().filter(|_| task.array.is_some());
        pairs(&[
            ("task", task.task.clone()),
            ("name", task.name.clone()),
            ("state", task.state_and_progress()),
            ("indices", task.array.as_deref().map(|array| shortened(array, 60)).unwrap_or_default()),
            ("elements", counts.map(|counts| counts.line()).unwrap_or_default()),
            ("left", self.array_progress.as_ref().and_then(Progress::left).unwrap_or_default()),
            ("network", task.network.join(", ")),
            ("result of", task.reused_from.clone().unwrap_or_default()),
            ("waits for", waits_for(&task.after)),
            ("waits", task.waiting_reason.clone().unwrap_or_default()),
            ("error", task.error.clone().unwrap_or_default()),
            ("fix", self.fix.clone().unwrap_or_default()),
            ("exit code", task.exit_code.map(|code| code.to_string()).unwrap_or_default()),
            ("image", task.image.clone()),
            ("command", task.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")),
            ("needs", needs),
            ("verified", task.verification.clone().unwrap_or_default()),
            ("priority", task.priority.to_string()),
            ("node", task.node.clone().filter(|_| counts.is_none()).unwrap_or_default()),
            ("submitted", look.moment(task.submitted_at_unix_ms)),
            ("ended", if task.ended_at.is_none() { String::new() } else { look.moment(task.ended_at_unix_ms) }),
            ("cost", self.cost()),
            ("price cap", task.price_cap.to_string()),
            ("output", if task.has_output { format!("hivemind fetch {}", task.task) } else { String::new() }),
        ])
    }

    /// What it cost, or while it runs, what has come together so far.
    fn cost(&self) -> String {
        let task = &self.task;
        let so_far = task.so_far();
        match (&task.ended_at, task.state == TaskState::Running.as_str() || so_far.micro > 0) {
            (Some(_), _) => task.cost.to_string(),
            (None, true) => format!("so far {so_far} of at most {}", task.price_cap),
            (None, false) => String::new(),
        }
    }
}

/// Some attempts as a table.
pub(super) fn attempts_table(attempts: &[Attempt], look: &Look) -> String {
    const COLUMNS: [(&str, Align); 8] = [
        ("ATTEMPT", Align::Left),
        ("NODE", Align::Left),
        ("STATE", Align::Left),
        ("TIME", Align::Right),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("COST", Align::Right),
        ("OUTCOME", Align::Left),
    ];
    let mut rows = Rows::new(look, &COLUMNS);
    for attempt in attempts {
        let ended = attempt.ended_at.is_some();
        let outcome = match (&attempt.outcome, attempt.exit_code) {
            (Some(outcome), _) => outcome.clone(),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "-".into(),
        };
        let cost = if ended { attempt.cost.to_string() } else { "-".into() };
        // While it runs its peak is not known yet.
        let memory = attempt.peak_memory_bytes.max(attempt.memory_bytes);
        let memory = if memory > 0 { bytes(memory) } else { "-".into() };
        rows.add(&[
            attempt.attempt.clone(),
            attempt.node.clone(),
            if attempt.suspended { "stands still".into() } else { attempt.state.clone() },
            span(attempt.wall_ms),
            span(attempt.cpu_ms),
            memory,
            cost,
            outcome,
        ]);
    }
    rows.finish()
}

/// A word as one would type it in a shell.
fn quoted(word: &str) -> String {
    shell_words::quote(word).into_owned()
}

impl Document for TaskDetail {
    const SCHEMA: &'static str = "hivemind.task/1";

    fn human(&self, look: &Look) -> String {
        let mut parts = vec![self.head(look)];
        if let Some(progress) = self.array_progress.as_ref().filter(|progress| !progress.failures.is_empty()) {
            parts.push(failures_table(progress, &self.task.task, look));
        }
        if !self.attempts_detail.is_empty() {
            parts.push(attempts_table(&self.attempts_detail, look));
        }
        parts.join("\n\n")
    }

    fn quiet(&self) -> String {
        self.task.state.clone()
    }
}
