//! Pictures of a task: all elements at once, failures by what they have in common, attempts by node, files.
//!
//! Invariant: nothing here decides; every field is the pool's.

use crate::wire::told;

told! {
    /// Elements that failed alike.
    FailureGroup <= FailureGroup {
        /// What they have in common: E_CODE: sentence, with `n` for numbers, `hex` for digests and ids, `path` for paths, `text` for quotations.
        signature: String,
        /// Of one of them, as it is.
        error_message: String,
        /// Count.
        count: u32,
        /// Indices of the first of them, as `array` is written; at most 20 ranges.
        example_elements: String,
        /// Where the command ended by itself.
        exit_code: Option<i32>,
        /// The last line that one of them wrote to standard error, at most 300 bytes; empty: none, or no longer kept.
        last_line: String,
        /// Index of the element that wrote it.
        last_line_element: u32,
    }
}

told! {
    /// The failed elements of a task, those together that failed alike.
    FailureGroups <= FailureGroupsResponse {
        /// At most 100.
        groups: Vec<FailureGroup>,
        /// Elements that failed, of those that were looked at.
        failed: u32,
        /// Those of them that are in none of the groups told.
        ungrouped: u32,
        /// The task has more elements than the 1,000,000 that were looked at.
        cut: bool,
    }
}

told! {
    /// An attempt in time.
    TimelineBar <= TimelineBar {
        /// Its name.
        node: String,
        /// Index; of a plain task 0.
        element: u32,
        /// Its number, from 1.
        attempt: u32,
        /// When its command began; of one that never did, or not yet, when it was handed out.
        from_unix_ms: i64,
        /// 0: it runs.
        to_unix_ms: i64,
        /// Running, completed, failed, fault (of the machine, not paid), cancelled.
        outcome: String,
        /// When it was handed out.
        assigned_at_unix_ms: i64,
        /// It was handed out and does not run yet.
        preparing: bool,
        /// It runs no more, its result is compared with others; outcome is running, to_unix_ms its end.
        comparing: bool,
    }
}

told! {
    /// The newest attempts of a task.
    Timeline <= TimelineResponse {
        /// By their beginnings.
        bars: Vec<TimelineBar>,
        /// There are more: those that were handed out earlier are left out.
        cut: bool,
        /// The pool's clock.
        now_unix_ms: i64,
    }
}

told! {
    /// A file that a task left.
    OutputFile <= OutputFile {
        /// Relative, /-separated; \\ stands for \, \u{hex} for characters that are not shown, \x and two digits for bytes that are no text.
        path: String,
        /// Bytes; of a folder 0.
        size: i64,
        /// Is folder.
        is_folder: bool,
        /// Is executable.
        is_executable: bool,
    }
}

told! {
    /// The files that a task left.
    OutputFiles <= ListFilesResponse {
        /// In the order of the archive; at most 10,000.
        files: Vec<OutputFile>,
        /// There are more; DownloadOutput has all.
        cut: bool,
        /// Sha256:`hex` of the archive that they are in.
        digest: String,
        /// Bytes of it.
        size: i64,
    }
}

/// Where every element of a task stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Grid {
    /// Which elements are told, as `array` is written; empty: there is none from `first_index` on.
    pub indices: String,
    /// One digit for each of them, by index: 0 waiting, 1 live, 2 completed, 3 failed, 4 cancelled.
    #[schema(pattern = "^[0-4]*$")]
    pub states: String,
    /// `first_index` of what comes next; null: that was all.
    pub next_index: Option<u32>,
    /// Elements of the task.
    pub total: u32,
    /// Of the task: pending, running, completed, failed, cancelled.
    pub status: String,
}
