//! Identifiers: a number in memory and in the database, a prefixed word everywhere else.
//!
//! A task id names a submission; an [`ElementRef`] one element of it (a plain task has just the
//! element 0); an [`AttemptRef`] one try of that element on one node.
//!
//! Invariant: ids are given by the engine, in order, and never reused.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id; it looks like `{prefix}_42`")]
pub struct BadId {
    /// What was given.
    pub text: String,
    /// What was wanted, for people.
    pub kind: &'static str,
    /// The prefix that ids of that kind carry.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            /// Reads `prefix_N`, or a bare `N`; refuses signs, blanks and leading zeros.
            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = || BadId { text: text.chars().take(64).collect(), kind: $kind, prefix: $prefix };
                let digits = text.strip_prefix(concat!($prefix, "_")).unwrap_or(text);
                let plain = digits.bytes().all(|b| b.is_ascii_digit());
                if !plain || (digits.len() > 1 && digits.starts_with('0')) {
                    return Err(bad());
                }
                digits.parse().map($name).map_err(|_| bad())
            }
        }
    };
}

id!(
    /// A person's account: a requester, an owner, an operator, or all three.
    UserId, "user", "user"
);
id!(
    /// What was submitted at once: a task or an array.
    TaskId, "task", "task"
);
id!(
    /// An open-source project that can be tipped.
    ProjectId, "proj", "project"
);
id!(
    /// A session of a browser, or an API key.
    SessionId, "sess", "session"
);
id!(
    /// An API key: the number of its [`SessionId`], as its text begins.
    KeyId, "hm", "key"
);
id!(
    /// An enrolled machine.
    NodeId, "node", "node"
);

/// One element of a task; a plain task has only the element 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ElementRef {
    /// The task it belongs to.
    pub task: TaskId,
    /// Its place in the array, from 0.
    pub index: u32,
}

impl ElementRef {
    /// The only element of a plain task.
    #[must_use]
    pub fn only(task: TaskId) -> Self {
        Self { task, index: 0 }
    }

    /// The attempt of this element with the given number.
    #[must_use]
    pub fn attempt(self, number: u32) -> AttemptRef {
        AttemptRef { element: self, number }
    }
}

impl fmt::Display for ElementRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.index)
    }
}

/// One try of one element on one node. Numbers start at 1, only grow, and are durable before
/// the attempt is handed out (T4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptRef {
    /// What is tried.
    pub element: ElementRef,
    /// Which try it is, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "att_{}.{}.{}", self.element.task.0, self.element.index, self.number)
    }
}

impl FromStr for AttemptRef {
    type Err = BadId;

    /// Reads what `Display` writes: `att_TASK.INDEX.NUMBER`.
    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { text: text.chars().take(64).collect(), kind: "attempt", prefix: "att" };
        let mut parts = text.strip_prefix("att_").ok_or_else(bad)?.split('.');
        let mut next = || parts.next().ok_or_else(bad);
        let (task, index, number) = (next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(bad());
        }
        let element = ElementRef { task: task.parse().map_err(|_| bad())?, index: index.parse().map_err(|_| bad())? };
        Ok(element.attempt(number.parse().map_err(|_| bad())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let attempt = ElementRef { task: TaskId(12), index: 7 }.attempt(3);
        assert_eq!(attempt.to_string(), "att_12.7.3");
        assert_eq!("att_12.7.3".parse(), Ok(attempt));
        assert_eq!("task_12".parse(), Ok(TaskId(12)));
        assert_eq!("12".parse(), Ok(TaskId(12)));
    }

    #[test]
    fn ids_refuse_what_is_not_one() {
        for text in ["", "task_", "task_-1", "task_+1", "task_01", "node_1", "task_99999999999999999999", "task_1 "] {
            assert!(text.parse::<TaskId>().is_err(), "{text:?} was taken");
        }
        for text in ["att_1.2", "att_1.2.3.4", "1.2.3", "att_a.0.1"] {
            assert!(text.parse::<AttemptRef>().is_err(), "{text:?} was taken");
        }
    }
}
