//! The documents that the verbs print: what a task, a node, a wallet looks like in each face.
//!
//! Start at [`tasks`]. The JSON forms are versioned; a field is added, never renamed.
//!
//! Invariant: no network here; a document is made from messages that are already there.

pub mod access;
pub mod array;
pub mod books;
pub mod elements;
pub mod explain;
pub mod failures;
pub mod files;
pub mod graph;
pub mod money;
pub mod plan;
pub mod pool;
pub mod projects;
pub mod rewards;
pub mod task;
pub mod tasks;
pub mod worker;

use crate::face::{Document, Look};
use serde::Serialize;

/// An amount: exact for programs, and in CPT for people.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Amount {
    /// Micro-CPT (1 CPT = 1,000,000).
    pub micro: i64,
    /// The same in CPT, such as `12.50`.
    pub cpt: String,
}

impl Amount {
    /// An amount of `micro` micro-CPT.
    #[must_use]
    pub fn of(micro: i64) -> Self {
        let text = hivemind_model::Cpt::from_micro(micro).to_string();
        Self { micro, cpt: text.trim_end_matches(" CPT").to_owned() }
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} CPT", self.cpt)
    }
}

/// What moved, with its sign: `+2.25 CPT`.
#[must_use]
pub fn signed(amount: &Amount) -> String {
    let plus = if amount.micro > 0 { "+" } else { "" };
    format!("{plus}{amount}")
}

/// A moment for programs: RFC 3339 in UTC, or nothing where it has not come.
#[must_use]
pub fn moment(unix_ms: i64) -> Option<String> {
    if unix_ms == 0 {
        return None;
    }
    jiff::Timestamp::from_millisecond(unix_ms).ok().map(|moment| format!("{moment:.3}"))
}

/// A sentence with its facts, for verbs that do something and have little to tell.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    /// What was done.
    pub message: String,
    /// The bare result.
    #[serde(skip)]
    pub bare: String,
    /// Facts for programs.
    #[serde(flatten)]
    pub facts: serde_json::Map<String, serde_json::Value>,
}

impl Said {
    /// A sentence and its facts, which must be a JSON object.
    #[must_use]
    pub fn new(message: impl Into<String>, facts: serde_json::Value) -> Self {
        let facts = match facts {
            serde_json::Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        Self { message: message.into(), bare: String::new(), facts }
    }

    /// The same with something to print in the bare face.
    #[must_use]
    pub fn bare(self, bare: impl Into<String>) -> Self {
        Self { bare: bare.into(), ..self }
    }
}

impl Document for Said {
    const SCHEMA: &'static str = "hivemind.done/1";

    fn human(&self, _: &Look) -> String {
        self.message.clone()
    }

    fn quiet(&self) -> String {
        self.bare.clone()
    }
}

/// A word that is printed alone in both spoken faces, such as an id or a token.
#[derive(Debug, Clone, Serialize)]
pub struct Word {
    /// What it is called in the JSON form.
    #[serde(skip)]
    pub text: String,
    /// Facts for programs; the word is among them.
    #[serde(flatten)]
    pub facts: serde_json::Map<String, serde_json::Value>,
}

impl Word {
    /// A word that is called `name` in the JSON form.
    #[must_use]
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { facts: serde_json::Map::from_iter([(name.to_owned(), text.clone().into())]), text }
    }

    /// The same with one more fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

impl Document for Word {
    const SCHEMA: &'static str = "hivemind.result/1";

    fn human(&self, _: &Look) -> String {
        self.text.clone()
    }

    fn quiet(&self) -> String {
        self.text.clone()
    }
}

#[cfg(test)]
mod tests;
