//! Arrows between crates: `docs/arrows.toml` against what the manifests say.
//!
//! Start at [`check`].

use crate::finding::Finding;
use anyhow::Context;
use cargo_metadata::{DependencyKind, MetadataCommand};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The table, from the repository's root.
pub(crate) const TABLE: &str = "docs/arrows.toml";
const PREFIX: &str = "hivemind-";
/// Nothing that is not on this floor itself may use this floor, but in tests.
const DEVELOPMENT: u8 = 4;

/// `docs/arrows.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// What each floor is, for readers.
    #[allow(dead_code, reason = "text for people; its form is checked by reading it")]
    floors: BTreeMap<String, String>,
    outside: Outside,
    pub(crate) crates: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outside {
    /// The only crates from outside that floor 0 may use.
    floor_0: Vec<String>,
}

/// What the table says of one crate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) floor: u8,
    #[serde(default)]
    may_use: Vec<String>,
    #[serde(default)]
    tests_may_use: Vec<String>,
}

/// What the manifests say of one crate; names without the prefix.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Crates of this workspace.
    uses: Vec<String>,
    /// Crates of this workspace, in tests and build scripts.
    tests_use: Vec<String>,
    /// Crates from outside, normal dependencies only.
    outside: Vec<String>,
}

/// Reads the manifests of the workspace at `root`; needs no network and no lock.
///
/// # Errors
/// `cargo metadata` fails.
pub(crate) fn read_graph(root: &Path) -> anyhow::Result<Vec<Node>> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec().context("cargo metadata")?;
    let mut graph: Vec<Node> = Vec::new();
    for package in &metadata.packages {
        let mut node = Node { name: short(&package.name).to_owned(), ..Node::default() };
        for dependency in &package.dependencies {
            let inside = dependency.path.is_some();
            let name = short(&dependency.name).to_owned();
            match (dependency.kind, inside) {
                (DependencyKind::Normal, true) => node.uses.push(name),
                (DependencyKind::Normal, false) => node.outside.push(name),
                (_, true) => node.tests_use.push(name),
                (_, false) => {}
            }
        }
        graph.push(node);
    }
    Ok(graph)
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// Compares `graph` with `table`, and `table` with the rule that arrows go down.
pub(crate) fn check(table: &Table, graph: &[Node]) -> Vec<Finding> {
    let mut texts: Vec<String> = check_table(table);
    for name in table.crates.keys().filter(|name| !graph.iter().any(|node| node.name == **name)) {
        texts.push(format!("names {name}, which does not exist: remove it"));
    }
    for node in graph {
        match table.crates.get(&node.name) {
            None => {
                texts.push(format!("does not name {}: say on which floor it stands and what it may use", node.name))
            }
            Some(entry) => texts.extend(check_node(table, entry, node)),
        }
    }
    texts.into_iter().map(|text| Finding::new(TABLE, text)).collect()
}

/// Arrows in the table itself that go up, or to nowhere.
fn check_table(table: &Table) -> Vec<String> {
    let mut texts = Vec::new();
    for (name, entry) in &table.crates {
        for used in &entry.may_use {
            let Some(other) = table.crates.get(used) else {
                texts.push(format!("lets {name} use {used}, which it does not describe"));
                continue;
            };
            if other.floor > entry.floor {
                texts.push(format!(
                    "lets {name} (floor {}) use {used} (floor {}): arrows go down",
                    entry.floor, other.floor
                ));
            } else if other.floor == DEVELOPMENT && name != "bench" {
                texts
                    .push(format!("lets {name} use {used}: nothing depends on floor {DEVELOPMENT} but the benchmarks"));
            }
        }
    }
    texts
}

/// Arrows of one crate that the table does not have.
fn check_node(table: &Table, entry: &Entry, node: &Node) -> Vec<String> {
    let name = &node.name;
    let mut texts = Vec::new();
    for used in node.uses.iter().filter(|used| !entry.may_use.contains(used)) {
        texts.push(format!("{name} uses {used}, which is not among what it may use"));
    }
    for used in &node.tests_use {
        if !entry.may_use.contains(used) && !entry.tests_may_use.contains(used) {
            texts.push(format!("tests of {name} use {used}, which is not among what they may use"));
        }
    }
    if entry.floor == 0 {
        for used in node.outside.iter().filter(|used| !table.outside.floor_0.contains(used)) {
            texts.push(format!("{name} uses {used} from outside, which floor 0 may not"));
        }
    }
    texts
}

#[cfg(test)]
mod tests;
