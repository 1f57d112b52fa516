//! Reads the repository and puts every rule to it.

use crate::arrows::{self, Table};
use crate::finding::Finding;
use crate::{fences, papers, tidy, tree};
use anyhow::Context;
use std::path::Path;

/// What was looked at and what was found.
pub(crate) struct Report {
    pub(crate) crates: usize,
    pub(crate) files: usize,
    pub(crate) findings: Vec<Finding>,
}

/// Runs every rule on the repository at `root`.
///
/// # Errors
/// A file that must be there cannot be read, or `cargo metadata` fails. What a rule finds is no
/// error; it is in the report.
pub(crate) fn run(root: &Path) -> anyhow::Result<Report> {
    let table: Table = toml::from_str(&read(root, arrows::TABLE)?).with_context(|| arrows::TABLE.to_owned())?;
    let graph = arrows::read_graph(root)?;
    let files = tree::read(root)?;
    let map = read(root, papers::MAP)?;
    let names: Vec<&str> = graph.iter().map(|node| node.name.as_str()).collect();

    let mut findings = arrows::check(&table, &graph);
    findings.extend(fences::check(&table, &files));
    findings.extend(papers::check(&map, &names));
    findings.extend(tidy::check(&files));
    Ok(Report { crates: graph.len(), files: files.len(), findings })
}

fn read(root: &Path, path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root.join(path))
        .with_context(|| format!("cannot read {path}; run this at the repository's root"))
}
