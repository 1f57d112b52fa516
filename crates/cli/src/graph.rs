//! `submit --graph FILE`: tasks that wait for one another, as a file says it.
//!
//! Start at [`read`]. A file is TOML with a `[[task]]` for each task, or JSON with the same list.
//! The keys of a task are the options of `submit` without their dashes, and they are judged by the
//! very same parser; `image`, `command` and `after` come on top.
//!
//! Invariant: a key that is not known is refused, and every refusal names its place; a graph is
//! given only where nothing in it is wrong.

mod order;
mod table;

use crate::args::TaskOptions;
use crate::args::array::{AfterOptions, ArrayOptions};
use crate::args::task::{Conditions, Program};
use crate::args::verify::{PatienceOptions, VerifyOptions};
use crate::failure::{Done, Failure};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, Parser};
use hivemind_model::TaskId;
use hivemind_proto::v1::Dependency;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use table::{Field, RawTask};

/// One task of a graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name, by which others wait for it.
    pub name: String,
    /// What it needs.
    pub options: TaskOptions,
    /// Its elements.
    pub array: ArrayOptions,
    /// Under which conditions; what it waits for is in `after`.
    pub conditions: Conditions,
    /// What runs.
    pub program: Program,
    /// What it waits for: names of this graph, or ids.
    pub after: Vec<Dependency>,
}

/// The options of a task in a file.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
struct Options {
    #[command(flatten)]
    options: TaskOptions,
    #[command(flatten)]
    array: ArrayOptions,
    #[command(flatten)]
    patience: PatienceOptions,
    #[command(flatten)]
    verify: VerifyOptions,
    #[arg(long, value_parser = ["skip", "cancel"])]
    if_dependency_fails: Option<String>,
}

/// Keys that are no options.
const OWN_KEYS: [&str; 3] = ["image", "command", "after"];
/// Longest name of a task in a graph, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// Reads the text of a graph; `file` is what errors call it.
///
/// # Errors
/// The first thing that is wrong with it, with its place.
pub fn read(file: &str, text: &str) -> Done<Vec<Node>> {
    let raw = table::parse(file, text)?;
    if raw.is_empty() {
        return Err(Failure::usage(format!("{file}: it has no tasks")).fix("give at least one, as in docs/ARRAYS.md"));
    }
    let mut places = BTreeMap::new();
    for task in &raw {
        let name = name(file, task)?;
        if let Some(before) = places.insert(name.clone(), task.number) {
            return Err(at(file, task, Some("name"), format!("task {before} is called `{name}`, too"))
                .fix("give each task a name of its own"));
        }
    }
    let options = Options::command();
    let nodes = raw.iter().map(|task| node(file, task, &options, &places)).collect::<Done<Vec<Node>>>()?;
    match order::circle(&nodes, &places) {
        None => Ok(nodes),
        Some(circle) => Err(Failure::usage(format!(
            "{file}: tasks wait for one another in a circle: {} (each waits for the next)",
            shown(&circle)
        ))
        .fix("take one of these out of an `after`")),
    }
}

/// The names on a circle; of many only the first ones and the last.
fn shown(circle: &[String]) -> String {
    const MOST: usize = 12;
    let name = |name: &String| format!("`{}`", crate::face::harmless(name));
    let mut names: Vec<String> = circle.iter().take(MOST).map(name).collect();
    if circle.len() > MOST {
        names.push(format!("({} more)", circle.len() - MOST));
        names.extend(circle.last().map(name));
    }
    names.join(" -> ")
}

/// A refusal with its place: file, line, task, key.
fn at(file: &str, task: &RawTask, key: Option<&str>, why: impl Display) -> Failure {
    let field = key.and_then(|key| task.field(key));
    let line = field.and_then(|field| field.line).or(task.line);
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    let called = match task.field("name").map(|field| &field.value) {
        Some(Value::String(name)) => format!("task `{}`", crate::face::harmless(name)),
        Some(_) | None => format!("task {}", task.number),
    };
    let key = key.map(|key| format!(", key `{}`", crate::face::harmless(key))).unwrap_or_default();
    Failure::usage(format!("{file}{line}: {called}{key}: {why}"))
}

fn name(file: &str, task: &RawTask) -> Done<String> {
    match task.field("name").map(|field| &field.value) {
        Some(Value::String(name)) if (1..=MAX_NAME_BYTES).contains(&name.len()) => Ok(name.clone()),
        Some(Value::String(_)) => Err(at(file, task, Some("name"), format!("a name has 1 to {MAX_NAME_BYTES} bytes"))),
        Some(_) => Err(at(file, task, Some("name"), "it is not a text")),
        None => Err(at(file, task, None, "it has no `name`, by which others could wait for it")),
    }
}

fn node(file: &str, task: &RawTask, options: &clap::Command, places: &BTreeMap<String, usize>) -> Done<Node> {
    let mut words = Vec::new();
    let (mut program, mut after) = (Program::default(), Vec::new());
    for field in &task.fields {
        let wrong = |why: String| at(file, task, Some(&field.key), why);
        match field.key.as_str() {
            "image" => program.image = text(&field.value).ok_or_else(|| wrong("it is not a text".into()))?,
            "command" => program.command = command(&field.value).map_err(wrong)?,
            "after" => after = dependencies(&field.value, places).map_err(wrong)?,
            "max-price" => {
                return Err(wrong("a graph has one bound for all of it".into()).fix("say --max-price beside --graph"));
            }
            _ => words.extend(said(field, options).map_err(wrong)?),
        }
    }
    if program.image.is_empty() {
        return Err(at(file, task, None, "it has no `image`"));
    }
    let Options { options, array, patience, verify, if_dependency_fails } =
        Options::try_parse_from(words).map_err(|error| refused(file, task, &error))?;
    if [&array.each_line, &array.from_json]
        .iter()
        .any(|from| from.as_deref().is_some_and(|path| path.as_os_str() == "-"))
    {
        let key = if array.each_line.is_some() { "each-line" } else { "from-json" };
        return Err(at(file, task, Some(key), "standard input is not for the tasks of a graph; name a file"));
    }
    let waits = AfterOptions { if_dependency_fails, ..AfterOptions::default() };
    let name = options.name.clone();
    Ok(Node { name, options, array, conditions: Conditions { after: waits, patience, verify }, program, after })
}

/// A field as words of a command line.
fn said(field: &Field, options: &clap::Command) -> Result<Vec<String>, String> {
    let key = &field.key;
    let Some(option) = options.get_arguments().find(|arg| arg.get_long() == Some(key.as_str())) else {
        let mut known: Vec<&str> = options.get_arguments().filter_map(clap::Arg::get_long).chain(OWN_KEYS).collect();
        known.retain(|key| *key != "max-price");
        known.sort_unstable();
        return Err(format!("it is not known; the keys of a task are {}", known.join(", ")));
    };
    let word = |value: &Value| match text(value) {
        Some(text) => Ok(format!("--{key}={text}")),
        None => Err("give a text or a number".to_owned()),
    };
    match &field.value {
        Value::Array(words) if key == "compare-command" => {
            let words = words.iter().map(text).collect::<Option<Vec<String>>>().ok_or("give texts")?;
            Ok(vec![format!("--{key}={}", shell_words::join(words))])
        }
        Value::Object(labels) if key == "label" => {
            let one = |(key, value): (&String, &Value)| {
                text(value).map(|value| format!("--label={key}={value}")).ok_or("give each label a text".to_owned())
            };
            labels.iter().map(one).collect()
        }
        Value::Array(values) if matches!(option.get_action(), ArgAction::Append) => values.iter().map(word).collect(),
        Value::Array(_) => Err("give one value, not a list".into()),
        Value::Bool(wanted) if matches!(option.get_action(), ArgAction::SetTrue) => {
            Ok(if *wanted { vec![format!("--{key}")] } else { Vec::new() })
        }
        _ if matches!(option.get_action(), ArgAction::SetTrue) => Err("give true or false".into()),
        one => Ok(vec![word(one)?]),
    }
}

/// A text, or a number as it is written.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn command(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(line) => shell_words::split(line).map_err(|_| "a quotation mark is not closed".into()),
        Value::Array(words) => words
            .iter()
            .map(text)
            .collect::<Option<Vec<String>>>()
            .ok_or_else(|| "each word is a text or a number".into()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err("give a list of words, or one text, which is split as a shell does".into())
        }
    }
}

fn dependencies(value: &Value, places: &BTreeMap<String, usize>) -> Result<Vec<Dependency>, String> {
    let one = |value: &Value| dependency(value, places);
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

fn dependency(value: &Value, places: &BTreeMap<String, usize>) -> Result<Dependency, String> {
    let form = r#"give names of tasks, or as in { task = "a", when = "end", each = true }"#;
    let (on, when, each) = match value {
        Value::String(on) => (on, "success", false),
        Value::Object(fields) => {
            let known = ["task", "when", "each"];
            if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
                return Err(format!("`{key}` is not known in it; it takes task, when, each"));
            }
            let Some(Value::String(on)) = fields.get("task") else { return Err(form.into()) };
            let when = match fields.get("when") {
                None => "success",
                Some(Value::String(when)) if when == "success" => "success",
                Some(Value::String(when)) if when == "end" => "end",
                Some(_) => return Err("`when` is \"success\" or \"end\"".into()),
            };
            let each = match fields.get("each") {
                None => false,
                Some(Value::Bool(each)) => *each,
                Some(_) => return Err("`each` is true or false".into()),
            };
            (on, when, each)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err(form.into()),
    };
    let id = if places.contains_key(on) {
        on.clone()
    } else {
        let id = on.parse::<TaskId>().map_err(|_| {
            format!("no task of this graph is called `{}`, and it is no id such as task_42", crate::face::harmless(on))
        })?;
        id.to_string()
    };
    Ok(Dependency { task_id: id, when: when.into(), each })
}

/// A refusal of the parser of options, with its place.
fn refused(file: &str, task: &RawTask, error: &clap::Error) -> Failure {
    let context = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(_) | None => None,
    };
    let option = context(ContextKind::InvalidArg).unwrap_or_default();
    let key = option.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    let why = match (error.kind(), error.source()) {
        (ErrorKind::ValueValidation, Some(why)) => format!("`{}`: {why}", crate::face::harmless(&value)),
        _ => {
            let text = error.render().to_string();
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let values = lines.next().filter(|line| line.starts_with('[') || first.ends_with(':')).unwrap_or_default();
            format!("{first} {values}").trim_end().to_owned()
        }
    };
    at(file, task, task.field(key).map(|field| field.key.as_str()), why)
}

#[cfg(test)]
mod tests;
