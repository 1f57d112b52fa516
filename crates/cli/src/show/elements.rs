//! Elements of an array: one a line, one by itself, and the failed ones by what they said.
//!
//! Invariant: an element is always called by its task and its index.

use super::array::{Failed, Progress, grouped};
use super::task::{Attempt, attempts_table};
use crate::face::table::{Align, Rows, pairs};
use crate::face::{Document, Look};
use hivemind_proto::v1::{AttemptSummary, ElementSummary};
use serde::Serialize;
use std::collections::BTreeMap;

/// Groups of failures that are shown.
const MOST_GROUPS: usize = 5;

/// Some elements, by index.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Elements {
    /// Their task.
    pub task: String,
    /// One entry an element.
    pub elements: Vec<Element>,
    /// There are more.
    pub more: bool,
}

/// One element.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Element {
    /// Its index.
    pub index: u32,
    /// waiting, live, completed, failed, cancelled.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Those of them that failed through no fault of its own.
    pub faults: u32,
    /// The exit code of its command, where it had one.
    pub exit_code: Option<i32>,
    /// `E_CODE: sentence` of a failed one.
    pub error: Option<String>,
}

impl From<ElementSummary> for Element {
    fn from(element: ElementSummary) -> Self {
        Self {
            index: element.index,
            state: element.status,
            attempts: element.attempts,
            faults: element.faults,
            exit_code: element.exit_code,
            error: (!element.error_message.is_empty()).then_some(element.error_message),
        }
    }
}

impl Document for Elements {
    const SCHEMA: &'static str = "hivemind.elements/1";

    fn human(&self, look: &Look) -> String {
        const COLUMNS: [(&str, Align); 6] = [
            ("ELEMENT", Align::Left),
            ("STATE", Align::Left),
            ("ATTEMPTS", Align::Right),
            ("FAULTS", Align::Right),
            ("EXIT CODE", Align::Right),
            ("ERROR", Align::Left),
        ];
        let mut rows = Rows::new(look, &COLUMNS);
        for element in &self.elements {
            rows.add(&[
                format!("{}[{}]", self.task, element.index),
                element.state.clone(),
                element.attempts.to_string(),
                element.faults.to_string(),
                element.exit_code.map_or_else(|| "-".into(), |code| code.to_string()),
                element.error.clone().unwrap_or_else(|| "-".into()),
            ]);
        }
        rows.finish()
    }

    fn quiet(&self) -> String {
        self.elements.iter().map(|element| element.index.to_string()).collect::<Vec<_>>().join("\n")
    }
}

/// Everything about one element.
#[derive(Debug, Clone, Serialize)]
pub struct ElementDetail {
    /// Its task.
    pub task: String,
    /// What a list tells too.
    #[serde(flatten)]
    pub element: Element,
    /// Oldest first.
    pub attempts_detail: Vec<Attempt>,
}

impl ElementDetail {
    /// One element with its attempts.
    #[must_use]
    pub fn of(task: String, element: Element, attempts: Vec<AttemptSummary>) -> Self {
        Self { task, element, attempts_detail: attempts.into_iter().map(Attempt::from).collect() }
    }
}

impl Document for ElementDetail {
    const SCHEMA: &'static str = "hivemind.element/1";

    fn human(&self, look: &Look) -> String {
        let element = &self.element;
        let head = pairs(&[
            ("element", format!("{}[{}]", self.task, element.index)),
            ("state", element.state.clone()),
            ("error", element.error.clone().unwrap_or_default()),
            ("exit code", element.exit_code.map(|code| code.to_string()).unwrap_or_default()),
            ("attempts", element.attempts.to_string()),
            ("logs", format!("hivemind logs '{}[{}]'", self.task, element.index)),
        ]);
        match self.attempts_detail.is_empty() {
            true => head,
            false => format!("{head}\n\n{}", attempts_table(&self.attempts_detail, look)),
        }
    }

    fn quiet(&self) -> String {
        self.element.state.clone()
    }
}

/// Failed elements by what they said, the most frequent first.
#[must_use]
pub fn by_message(elements: &[Element]) -> Vec<Failed> {
    let mut groups: BTreeMap<&str, Failed> = BTreeMap::new();
    for element in elements {
        let message = element.error.as_deref().unwrap_or("no reason was given");
        let group = groups.entry(message).or_insert_with(|| Failed {
            message: message.to_owned(),
            count: 0,
            first: element.index,
        });
        group.count = group.count.saturating_add(1);
    }
    let mut groups: Vec<Failed> = groups.into_values().collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.count), group.first));
    groups
}

/// The groups of failures of an array.
pub(super) fn failures_table(progress: &Progress, task: &str, look: &Look) -> String {
    const COLUMNS: [(&str, Align); 3] = [("FAILED", Align::Right), ("FIRST", Align::Left), ("ERROR", Align::Left)];
    let mut rows = Rows::new(look, &COLUMNS);
    for group in progress.failures.iter().take(MOST_GROUPS) {
        rows.add(&[grouped(group.count.into()), format!("{task}[{}]", group.first), group.message.clone()]);
    }
    let hidden = progress.failures.len().saturating_sub(MOST_GROUPS);
    let others = if hidden == 0 { String::new() } else { format!("and {hidden} other errors; ") };
    let counted = if progress.more_failures { "only the first failed elements are counted; " } else { "" };
    format!("{}\n{others}{counted}`hivemind status {task} --failed` lists them", rows.finish())
}
