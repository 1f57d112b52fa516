//! Lists of tasks.
//!
//! Invariant: one line a task, however it is called.

use super::array::{Counts, Waits};
use super::{Amount, moment};
use crate::face::table::{Align, Rows};
use crate::face::{Document, Look};
use crate::quantity::show_span;
use hivemind_model::Millis;
use hivemind_proto::v1::TaskSummary;
use serde::Serialize;

/// Some tasks, newest first.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tasks {
    /// One entry a task.
    pub tasks: Vec<Task>,
    /// How many older ones were left out is not known; this tells that there may be some.
    pub more: bool,
}

/// One task in a list, and the head of its own document.
#[derive(Debug, Clone, Serialize)]
pub struct Task {
    /// Its id.
    pub task: String,
    /// Its name for people.
    pub name: String,
    /// pending, running, completed, failed, cancelled.
    pub state: String,
    /// 0 to 100.
    pub progress_percent: i32,
    /// The image it runs.
    pub image: String,
    /// Its words.
    pub command: Vec<String>,
    /// 1 to 10.
    pub priority: i32,
    /// The node of its newest attempt.
    pub node: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// RFC 3339.
    pub submitted_at: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// Run time of the newest ended attempt, in milliseconds.
    pub wall_ms: i64,
    /// What it has cost.
    pub cost: Amount,
    /// What it can cost at most.
    pub price_cap: Amount,
    /// While it runs: what its attempts have earned so far, not yet paid.
    pub accrued: Amount,
    /// What level its nodes need.
    pub min_level: Option<String>,
    /// The exit code of its command, where it had one.
    pub exit_code: Option<i32>,
    /// `E_CODE: sentence` of a failed one.
    pub error: Option<String>,
    /// Why it waits.
    pub waiting_reason: Option<String>,
    /// Whether it left files.
    pub has_output: bool,
    /// Longest run time, in seconds.
    pub max_runtime_s: i64,
    /// Memory, in MiB.
    pub memory_mib: i64,
    /// Thousandths of a core.
    pub cpu_millicores: i32,
    /// Disk space, in MiB.
    pub disk_mib: i64,
    /// Of an array: the indices of its elements.
    pub array: Option<String>,
    /// How many of its elements stand where.
    pub elements: Option<Counts>,
    /// What it waits for, or waited for.
    pub after: Vec<Waits>,
    /// How its results are verified.
    pub verification: Option<String>,
    /// What its nodes must have.
    pub labels: Vec<String>,
    /// container, wasm.
    pub kind: String,
    /// What it may reach.
    pub network: Vec<String>,
    /// The task whose result it has.
    pub reused_from: Option<String>,
    /// For ages.
    #[serde(skip)]
    pub submitted_at_unix_ms: i64,
    /// For moments.
    #[serde(skip)]
    pub ended_at_unix_ms: i64,
}

impl From<TaskSummary> for Task {
    fn from(task: TaskSummary) -> Self {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            task: task.task_id,
            name: task.task_name,
            state: task.status,
            image: task.docker_image,
            command: task.argv,
            priority: task.priority,
            node: some(task.node),
            attempts: task.attempts,
            submitted_at: moment(task.submitted_at_unix_ms),
            ended_at: moment(task.ended_at_unix_ms),
            wall_ms: task.wall_ms,
            cost: Amount::of(task.cost_micro),
            price_cap: Amount::of(task.price_cap_micro),
            accrued: Amount::of(task.accrued_micro),
            min_level: some(task.min_level),
            exit_code: task.exit_code,
            error: some(task.error_message),
            waiting_reason: some(task.waiting_reason),
            has_output: task.has_output,
            max_runtime_s: task.max_runtime_seconds,
            memory_mib: task.required_memory_mb,
            cpu_millicores: task.required_cpu_millicores,
            disk_mib: task.required_disk_mb,
            array: some(task.array),
            elements: task.elements.map(Counts::from),
            after: task.after.into_iter().map(Waits::from).collect(),
            verification: some(task.verification),
            labels: task.labels,
            kind: task.kind,
            network: task.network,
            reused_from: some(task.reused_from),
            submitted_at_unix_ms: task.submitted_at_unix_ms,
            ended_at_unix_ms: task.ended_at_unix_ms,
            progress_percent: task.progress,
        }
    }
}

impl Task {
    /// What was paid for it, and what runs of it has earned so far: elements of an array are paid one by one.
    #[must_use]
    pub fn so_far(&self) -> Amount {
        Amount::of(self.cost.micro.saturating_add(self.accrued.micro))
    }

    /// What it cost, or has earned its node so far, of what it can cost at most.
    fn money(&self) -> String {
        let cap = &self.price_cap;
        let so_far = self.so_far();
        match (&self.ended_at, so_far.micro) {
            (Some(_), _) => format!("{} / {cap}", self.cost.cpt),
            (None, 0) => format!("- / {cap}"),
            (None, _) => format!("{} / {cap}", so_far.cpt),
        }
    }

    /// `running (42 %)`; the state alone where nothing is known of its progress, or it is over.
    pub(super) fn state_and_progress(&self) -> String {
        match (&self.ended_at, self.progress_percent) {
            (None, percent) if percent > 0 => format!("{} ({percent} %)", self.state),
            (_, _) => self.state.clone(),
        }
    }

    /// Of an array: how many of how many elements have ended.
    fn done(&self) -> String {
        match (&self.array, &self.elements) {
            (Some(_), Some(counts)) => format!("{}/{}", counts.ended(), counts.total),
            (_, _) => "-".into(),
        }
    }

    fn time(&self) -> String {
        match u64::try_from(self.wall_ms) {
            Ok(millis) if millis > 0 => show_span(Millis(millis)),
            _ => "-".into(),
        }
    }
}

impl Document for Tasks {
    const SCHEMA: &'static str = "hivemind.tasks/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 7] = [
            ("TASK", Align::Left),
            ("NAME", Align::Left),
            ("STATE", Align::Left),
            ("NODE", Align::Left),
            ("TIME", Align::Right),
            ("COST/CAP", Align::Right),
            ("AGE", Align::Right),
        ];
        /// The place of one more column.
        const DONE_AT: usize = 3;
        // Who has no arrays need not read about them.
        let has_arrays = self.tasks.iter().any(|task| task.array.is_some());
        let mut columns = COLUMNS.to_vec();
        if has_arrays {
            columns.insert(DONE_AT, ("ENDED", Align::Right));
        }
        let mut rows = Rows::new(look, &columns);
        for task in &self.tasks {
            let node = task.node.clone().unwrap_or_else(|| "-".into());
            let name = if task.name.is_empty() { "-".to_owned() } else { shortened(&task.name, 40) };
            let mut cells = vec![
                task.task.clone(),
                name,
                task.state_and_progress(),
                node,
                task.time(),
                task.money(),
                look.age(task.submitted_at_unix_ms),
            ];
            if has_arrays {
                cells.insert(DONE_AT, task.done());
            }
            rows.add(&cells);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.tasks.iter().map(|task| task.task.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// At most `most` characters, the last of them `…` where some were left out.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
