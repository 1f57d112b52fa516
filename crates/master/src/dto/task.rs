//! Tasks, as they are told.
//!
//! Invariant: nothing here decides; every field is the pool's.

use super::Micro;
use crate::wire::told;

told! {
    /// What a task waits for.
    DependencyTold <= Dependency {
        /// In a graph: or the name of another task of it.
        task_id: String,
        /// `success` (the default) or `end`.
        when: String,
        /// Each element waits only for the element of the same index.
        each: bool,
    }
}

told! {
    /// How many elements of a task stand where.
    ElementCounts <= ElementCounts {
        /// Total.
        total: u32,
        /// Completed.
        completed: u32,
        /// Failed.
        failed: u32,
        /// Cancelled.
        cancelled: u32,
        /// While it is open; of the others, some are handed out and some wait.
        running: u32,
    }
}

told! {
    /// A task in one line.
    TaskSummary <= TaskSummary {
        /// Task id.
        task_id: String,
        /// Task name.
        task_name: String,
        /// Docker image.
        docker_image: String,
        /// Argv.
        argv: Vec<String>,
        /// Status.
        status: String,
        /// Priority.
        priority: i32,
        /// Submitted at unix ms.
        submitted_at_unix_ms: i64,
        /// 0: not ended.
        ended_at_unix_ms: i64,
        /// Price cap micro.
        price_cap_micro: Micro,
        /// Cost micro.
        cost_micro: Micro,
        /// Name of the newest attempt's node; empty: never handed out.
        node: String,
        /// Attempts.
        attempts: u32,
        /// Error message.
        error_message: String,
        /// Max runtime seconds.
        max_runtime_seconds: i64,
        /// Required memory mb.
        required_memory_mb: i64,
        /// Required cpu millicores.
        required_cpu_millicores: i32,
        /// Required disk mb.
        required_disk_mb: i64,
        /// Exit code.
        exit_code: Option<i32>,
        /// Has output.
        has_output: bool,
        /// Of the newest ended attempt.
        wall_ms: i64,
        /// While pending: why.
        waiting_reason: String,
        /// While it runs: what its attempts have earned so far, not yet paid.
        accrued_micro: Micro,
        /// What level its nodes need; empty: any.
        min_level: String,
        /// Indices of the elements; empty: a plain task.
        array: String,
        /// Elements.
        elements: Option<ElementCounts>,
        /// What it waits for.
        after: Vec<DependencyTold>,
        /// For people: how its results are verified; empty: not.
        verification: String,
        /// What its nodes must have.
        labels: Vec<String>,
        /// What it may reach.
        network: Vec<String>,
        /// `container` or `wasm`.
        kind: String,
        /// The task whose result it has; empty: its own.
        reused_from: String,
        /// 0 to 100: of a plain task as it says itself, of an array what has ended and what its elements say.
        progress: i32,
    }
}

told! {
    /// One try on one node.
    AttemptSummary <= AttemptSummary {
        /// Attempt id.
        attempt_id: String,
        /// Node.
        node: String,
        /// Assigned, running, compared (with other copies), ended.
        state: String,
        /// Assigned at unix ms.
        assigned_at_unix_ms: i64,
        /// Started at unix ms.
        started_at_unix_ms: i64,
        /// Ended at unix ms.
        ended_at_unix_ms: i64,
        /// `E_CODE: sentence`; empty for a success or while live.
        outcome: String,
        /// Exit code.
        exit_code: Option<i32>,
        /// Cost micro.
        cost_micro: Micro,
        /// Wall ms.
        wall_ms: i64,
        /// Cpu ms.
        cpu_ms: i64,
        /// Peak memory bytes.
        peak_memory_bytes: i64,
        /// Image id.
        image_id: String,
        /// Stdout bytes.
        stdout_bytes: i64,
        /// Stderr bytes.
        stderr_bytes: i64,
        /// Logs cut.
        logs_cut: bool,
        /// 0 to 100, as in the summary.
        progress: i32,
        /// While it runs: now.
        memory_bytes: i64,
        /// While it runs: now, under /task; 0: unknown.
        disk_bytes: i64,
        /// Over the network.
        received_bytes: i64,
        /// Sent bytes.
        sent_bytes: i64,
        /// It stands still for the owner of the machine.
        suspended: bool,
    }
}

told! {
    /// Where a task stands, with its result and its attempts.
    TaskStatus <= TaskStatusResponse {
        /// Pending, running, completed, failed, cancelled.
        status: String,
        /// Standard output of a completed task, cut at 1 MiB with a note.
        result: String,
        /// Of a failed one: `E_CODE: sentence`.
        error_message: String,
        /// 0 to 100.
        progress: i32,
        /// Task.
        task: Option<TaskSummary>,
        /// Oldest first.
        attempts: Vec<AttemptSummary>,
    }
}

told! {
    /// An element of a task.
    ElementSummary <= ElementSummary {
        /// Index.
        index: u32,
        /// Waiting, live, completed, failed, cancelled.
        status: String,
        /// Attempts.
        attempts: u32,
        /// Attempts that failed through no fault of the task.
        faults: u32,
        /// `E_CODE: sentence`.
        error_message: String,
        /// Exit code.
        exit_code: Option<i32>,
    }
}

told! {
    /// Where a task stands now.
    TaskState <= CancelTaskResponse {
        /// As it stands now.
        status: String,
    }
}

told! {
    /// What has changed about a task.
    TaskEvent <= TaskEvent {
        /// Task id.
        task_id: String,
        /// Status.
        status: String,
        /// Progress.
        progress: i32,
        /// What is happening, such as the pull of an image; empty: nothing to say.
        note: String,
    }
}
