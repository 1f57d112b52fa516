//! Tasks and elements as people write them: `task_12`, `12`, `task_12[3]`, `task_12[1-5,9]`.
//!
//! Invariant: elements are named in one way at a time, in brackets or with `--elements`.

use crate::failure::{Done, Failure};
use hivemind_model::TaskId;
use hivemind_model::array::{BadIndices, Indices};
use hivemind_model::ids::{BadId, ElementRef};
use std::fmt;

/// A task, or some elements of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The task.
    pub task: TaskId,
    /// Which of its elements; `None`: nothing was said, which means all.
    pub elements: Option<Indices>,
}

impl Selection {
    /// Reads a selection; `flag` is what `--elements` says.
    ///
    /// # Errors
    /// The text is none, or elements are named twice.
    pub fn read(text: &str, flag: Option<&Indices>) -> Done<Self> {
        let (id, inside) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
            Some((id, inside)) => (id, Some(inside)),
            None => (text, None),
        };
        let task =
            id.parse().map_err(|bad: BadId| Failure::usage(bad).fix("`hivemind ps` lists the ids of your tasks"))?;
        let inside = inside.map(str::parse).transpose().map_err(|bad: BadIndices| {
            Failure::usage(format!("the elements of {task}: {bad}")).fix("write them as in 'task_42[1-10,20]'")
        })?;
        match (inside, flag) {
            (Some(_), Some(_)) => Err(Failure::usage(format!("{text} and --elements both name elements"))
                .fix("say it once, in brackets or with --elements")),
            (Some(elements), None) => Ok(Self { task, elements: Some(elements) }),
            (None, flag) => Ok(Self { task, elements: flag.cloned() }),
        }
    }

    /// The element, where exactly one is named.
    #[must_use]
    pub fn only(&self) -> Option<ElementRef> {
        let elements = self.elements.as_ref().filter(|elements| elements.len() == 1)?;
        Some(ElementRef { task: self.task, index: elements.first() })
    }

    /// The indices as the API takes them; empty: all.
    #[must_use]
    pub fn indices(&self) -> String {
        self.elements.as_ref().map(Indices::to_string).unwrap_or_default()
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.elements {
            None => write!(f, "{}", self.task),
            Some(elements) => write!(f, "{}[{elements}]", self.task),
        }
    }
}

/// Reads some selections; each counts once.
///
/// # Errors
/// One of the texts is none, or `--elements` is said of more than one task.
pub fn read_all(texts: &[String], flag: Option<&Indices>) -> Done<Vec<Selection>> {
    if flag.is_some() && texts.len() > 1 {
        return Err(Failure::usage("--elements is about one task, and there are more")
            .fix("name the elements of each in brackets, as in 'task_42[1-10]'"));
    }
    let mut selections: Vec<Selection> = Vec::with_capacity(texts.len());
    for text in texts {
        let selection = Selection::read(text, flag)?;
        if !selections.contains(&selection) {
            selections.push(selection);
        }
    }
    Ok(selections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, flag: Option<&str>) -> Result<String, String> {
        let flag = flag.map(|flag| flag.parse().unwrap());
        Selection::read(text, flag.as_ref()).map(|selection| selection.to_string()).map_err(|failure| failure.what)
    }

    #[test]
    fn tasks_and_elements_are_read() {
        for (text, flag, wanted) in [
            ("task_12", None, "task_12"),
            ("12", None, "task_12"),
            ("task_12[3]", None, "task_12[3]"),
            ("12[1-5,9]", None, "task_12[1-5,9]"),
            ("task_12", Some("1-5"), "task_12[1-5]"),
        ] {
            assert_eq!(read(text, flag).as_deref(), Ok(wanted), "{text} {flag:?}");
        }
        assert_eq!(Selection::read("12[3]", None).unwrap().only(), Some(ElementRef { task: TaskId(12), index: 3 }));
        assert_eq!(Selection::read("12[3-4]", None).unwrap().only(), None);
        assert_eq!(Selection::read("12", None).unwrap().only(), None);
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        for (text, flag, part) in [
            ("", None, "is not a task id"),
            ("node_1", None, "is not a task id"),
            ("task_12[", None, "is not a task id"),
            ("task_12]", None, "is not a task id"),
            ("task_12[]", None, "it is empty"),
            ("task_12[5-1]", None, "ends before it begins"),
            ("task_12[x]", None, "neither an index nor a range"),
            ("task_12[1-5,3]", None, "overlaps"),
            ("task_12[1]", Some("2"), "both name elements"),
        ] {
            let refused = read(text, flag).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        let two = ["1".to_owned(), "2".to_owned()];
        assert!(read_all(&two, Some(&Indices::only())).unwrap_err().what.contains("--elements"));
        assert_eq!(read_all(&["1".into(), "task_1".into()], None).unwrap().len(), 1);
    }
}
