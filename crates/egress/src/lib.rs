//! The only way out of a task: a gate that lets through what was asked for and allowed.
