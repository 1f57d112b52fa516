//! The map of the crates names each of them, and none that is gone.

use crate::finding::Finding;
use std::collections::BTreeSet;

/// The map.
pub(crate) const MAP: &str = "docs/ARCHITECTURE.md";

/// Compares the paragraphs of `map` with the crates that there are.
///
/// A crate has its paragraph under a heading of the form ``### `crates/name` ``.
pub(crate) fn check(map: &str, crates: &[&str]) -> Vec<Finding> {
    let there: BTreeSet<&str> = crates.iter().copied().collect();
    let described: BTreeSet<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("### `crates/")?.split_once('`').map(|(name, _)| name))
        .collect();
    let mentioned: BTreeSet<&str> =
        map.split("crates/").skip(1).map(first_word).filter(|name| !name.is_empty()).collect();

    let undescribed =
        there.difference(&described).map(|name| format!("has no heading \"### `crates/{name}`\": describe it"));
    let gone = mentioned
        .union(&described)
        .filter(|name| !there.contains(*name))
        .map(|name| format!("names crates/{name}, which does not exist"));
    undescribed.chain(gone).map(|text| Finding::new(MAP, text)).collect()
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(map: &str) -> Vec<String> {
        check(map, &["model", "pool"]).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_whole_map_is_fine() {
        assert_eq!(
            texts("### `crates/model`\nWords.\n### `crates/pool`: the server\nSee crates/model/src.\n"),
            [""; 0]
        );
    }

    #[test]
    fn a_crate_without_a_paragraph_is_found() {
        assert_eq!(
            texts("### `crates/model`\nsee crates/pool\n"),
            ["has no heading \"### `crates/pool`\": describe it"]
        );
    }

    #[test]
    fn a_crate_that_is_gone_is_found() {
        let map = "### `crates/model`\n### `crates/pool`\nsee crates/vpn/src/lib.rs";
        assert_eq!(texts(map), ["names crates/vpn, which does not exist"]);
    }
}
