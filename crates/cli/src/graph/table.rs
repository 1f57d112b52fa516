//! A graph file as tables of keys and values, with the lines they stand in.
//!
//! Invariant: nothing is known here of what keys mean.

use crate::failure::{Done, Failure};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// One task, as it is written.
#[derive(Debug, Clone)]
pub(super) struct RawTask {
    /// Its place in the file, from 1.
    pub(super) number: usize,
    /// Where it begins, from 1; `None` where the parser does not know.
    pub(super) line: Option<usize>,
    /// Its keys.
    pub(super) fields: Vec<Field>,
}

/// One key of a task.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The key.
    pub(super) key: String,
    /// Where it stands, from 1; `None` where the parser does not know.
    pub(super) line: Option<usize>,
    /// What it says.
    pub(super) value: Value,
}

impl RawTask {
    /// The field of a key.
    pub(super) fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

/// The tasks of a file: JSON where its name or its first character says so, else TOML.
pub(super) fn parse(file: &str, text: &str) -> Done<Vec<RawTask>> {
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let is_json = match ending.as_deref() {
        Some("json") => true,
        Some("toml") => false,
        Some(_) | None => text.trim_start().starts_with('{') || is_json_list(text),
    };
    if is_json { json(file, text) } else { toml(file, text) }
}

/// TOML may begin with `[`, too: `[[task]]`, which is no JSON.
fn is_json_list(text: &str) -> bool {
    let mut rest = text.trim_start().chars().filter(|c| !c.is_whitespace());
    rest.next() == Some('[') && matches!(rest.next(), Some('{' | ']'))
}

fn json(file: &str, text: &str) -> Done<Vec<RawTask>> {
    let root: Value = serde_json::from_str(text)
        .map_err(|why| Failure::usage(format!("{file}:{}: it is not JSON: {why}", why.line())))?;
    let list = match root {
        Value::Array(list) => list,
        Value::Object(mut root) => {
            let list = ["task", "tasks"].iter().find_map(|key| root.remove(*key));
            if let Some(key) = root.keys().next() {
                return Err(stray(file, "", key));
            }
            match list {
                Some(Value::Array(list)) => list,
                Some(_) => return Err(no_list(file)),
                None => Vec::new(),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(no_list(file)),
    };
    let one = |(place, task): (usize, Value)| match task {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| Field { key, line: None, value }).collect();
            Ok(RawTask { number: place + 1, line: None, fields })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(no_table(file, "", place + 1))
        }
    };
    list.into_iter().enumerate().map(one).collect()
}

fn toml(file: &str, text: &str) -> Done<Vec<RawTask>> {
    // Found once: a file of thousands of tasks asks for the line of each key.
    let breaks: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    let line_of = |at: usize| 1 + breaks.partition_point(|line_break| *line_break < at);
    let root = DeTable::parse(text).map_err(|why| {
        let line = why.span().map(|span| format!(":{}", line_of(span.start))).unwrap_or_default();
        Failure::usage(format!("{file}{line}: it is not TOML: {}", why.message()))
    })?;
    let mut tasks = Vec::new();
    for (key, value) in root.into_inner() {
        let line = format!(":{}", line_of(key.span().start));
        if !["task", "tasks"].contains(&key.get_ref().as_ref()) {
            return Err(stray(file, &line, key.get_ref()));
        }
        let DeValue::Array(list) = value.into_inner() else { return Err(no_list(file)) };
        for task in list {
            let line = line_of(task.span().start);
            let number = tasks.len() + 1;
            let DeValue::Table(table) = task.into_inner() else {
                return Err(no_table(file, &format!(":{line}"), number));
            };
            let field = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| Field {
                line: Some(line_of(key.span().start)),
                key: key.into_inner().into_owned(),
                value: plain(value.into_inner()),
            };
            tasks.push(RawTask { number, line: Some(line), fields: table.into_iter().map(field).collect() });
        }
    }
    Ok(tasks)
}

/// A value of TOML as one of JSON; dates become texts.
fn plain(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Number(number.into()),
            Err(_) => Value::String(number.to_string()),
        },
        // As it is written: a part such as 0.999 must not change on its way.
        DeValue::Float(number) => match number.as_str().parse::<Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(number.to_string()),
        },
        DeValue::Boolean(word) => Value::Bool(word),
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(values) => list(values),
        DeValue::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(key, value)| (key.into_inner().into_owned(), plain(value.into_inner())))
                .collect::<Map<_, _>>(),
        ),
    }
}

fn list(values: DeArray<'_>) -> Value {
    Value::Array(values.into_iter().map(|value| plain(value.into_inner())).collect())
}

fn stray(file: &str, line: &str, key: &str) -> Failure {
    Failure::usage(format!("{file}{line}: the key `{}` is not known beside the tasks", crate::face::harmless(key)))
        .fix("a graph has nothing but tasks: [[task]] in TOML, {\"task\": [...]} in JSON")
}

fn no_list(file: &str) -> Failure {
    Failure::usage(format!("{file}: `task` is not a list of tasks"))
        .fix("write [[task]] before each task in TOML, {\"task\": [...]} in JSON")
}

fn no_table(file: &str, line: &str, number: usize) -> Failure {
    Failure::usage(format!("{file}{line}: task {number} is not a table of keys and values"))
}
