//! One thing that is not as it should be.

use std::fmt;

/// Where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A file, with a line where one is at fault.
    pub(crate) place: String,
    /// What is wrong and how to mend it.
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}
