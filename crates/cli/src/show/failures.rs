//! What went wrong with a task: failed elements by what they have in common.
//!
//! Invariant: what a task wrote is shown as one line without anything in it that moves a cursor.

use super::array::grouped;
use crate::face::table::{Align, Rows};
use crate::face::{Document, Look};
use hivemind_proto::v1::FailureGroupsResponse;
use serde::Serialize;

/// Failed elements of a task, the largest groups first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// Their task.
    pub task: String,
    /// Elements that failed.
    pub failed: u32,
    /// Those of them that are in none of the groups.
    pub ungrouped: u32,
    /// The task has more elements than were looked at.
    pub more: bool,
    /// Those together that failed alike.
    pub groups: Vec<Alike>,
}

/// Elements that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alike {
    /// What they have in common.
    pub signature: String,
    /// What is told of one of them.
    pub error: String,
    /// How many.
    pub count: u32,
    /// Indices of the first of them.
    pub elements: String,
    /// The exit code of their commands, where they had one.
    pub exit_code: Option<i32>,
    /// The last line that one of them wrote to standard error.
    pub last_line: Option<String>,
    /// The index of that one.
    pub last_line_element: Option<u32>,
}

impl Failures {
    /// What the pool says of `task`.
    #[must_use]
    pub fn of(task: String, answer: FailureGroupsResponse) -> Self {
        let groups = answer.groups.into_iter().map(|group| {
            let said = !group.last_line.is_empty();
            Alike {
                signature: group.signature,
                error: group.error_message,
                count: group.count,
                elements: group.example_elements,
                exit_code: group.exit_code,
                last_line: said.then_some(group.last_line),
                last_line_element: said.then_some(group.last_line_element),
            }
        });
        let groups = groups.collect();
        Self { task, failed: answer.failed, ungrouped: answer.ungrouped, more: answer.cut, groups }
    }
}

impl Document for Failures {
    const SCHEMA: &'static str = "hivemind.failures/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 4] = [
            ("FAILED", Align::Right),
            ("ELEMENTS", Align::Left),
            ("ERROR", Align::Left),
            ("LAST LINE OF STANDARD ERROR", Align::Left),
        ];
        if self.groups.is_empty() {
            return format!("nothing of {} has failed", self.task);
        }
        let mut rows = Rows::new(look, &COLUMNS);
        for group in &self.groups {
            rows.add(&[
                grouped(group.count.into()),
                group.elements.clone(),
                group.signature.clone(),
                group.last_line.clone().unwrap_or_else(|| "-".into()),
            ]);
        }
        let mut text = rows.finish();
        if self.ungrouped > 0 {
            text.push_str(&format!("\nand {} others that failed in other ways", grouped(self.ungrouped.into())));
        }
        if self.more {
            text.push_str("\nonly the first 1,000,000 elements were looked at");
        }
        text
    }

    fn quiet(&self) -> String {
        self.groups.iter().map(|group| group.signature.clone()).collect::<Vec<_>>().join("\n")
    }
}
