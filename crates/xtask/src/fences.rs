//! The fence around floor 0: each of its crates has the same `clippy.toml` beside its manifest.
//!
//! Clippy reads the nearest one only, so a crate without its own would stand outside the fence.

use crate::arrows::Table;
use crate::finding::Finding;
use crate::tree::TextFile;

/// The copy that is changed first.
const FIRST: &str = "crates/model/clippy.toml";

/// Checks that every crate of floor 0 has the fence, and that no other crate has a file of its own.
pub(crate) fn check(table: &Table, files: &[TextFile]) -> Vec<Finding> {
    let text_of = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let Some(fence) = text_of(FIRST) else {
        return vec![Finding::new(FIRST, "is missing: floor 0 has no fence")];
    };
    let mut findings = Vec::new();
    for (name, entry) in &table.crates {
        let path = format!("crates/{name}/clippy.toml");
        match (entry.floor, text_of(&path)) {
            (0, None) => findings.push(Finding::new(path, format!("is missing: copy {FIRST}"))),
            (0, Some(text)) if text != fence => findings.push(Finding::new(path, format!("differs: copy {FIRST}"))),
            (0, Some(_)) | (_, None) => {}
            (_, Some(_)) => findings.push(Finding::new(path, "hides the one at the root: remove it")),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "
        [floors]
        [outside]
        floor_0 = []
        [crates.model]
        floor = 0
        [crates.ledger]
        floor = 0
        [crates.store]
        floor = 1
    ";

    fn places(files: &[(&str, &str)]) -> Vec<String> {
        let table = toml::from_str(TABLE).unwrap();
        let files: Vec<_> =
            files.iter().map(|(path, text)| TextFile { path: (*path).into(), text: (*text).into() }).collect();
        check(&table, &files).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn equal_fences_are_fine() {
        assert_eq!(places(&[("crates/model/clippy.toml", "a"), ("crates/ledger/clippy.toml", "a")]), [""; 0]);
    }

    #[test]
    fn a_gap_in_the_fence_is_found() {
        let model = ("crates/model/clippy.toml", "a");
        assert_eq!(places(&[]), ["crates/model/clippy.toml"]);
        assert_eq!(places(&[model]), ["crates/ledger/clippy.toml"]);
        assert_eq!(places(&[model, ("crates/ledger/clippy.toml", "b")]), ["crates/ledger/clippy.toml"]);
        let stray = ("crates/store/clippy.toml", "a");
        assert_eq!(places(&[model, ("crates/ledger/clippy.toml", "a"), stray]), ["crates/store/clippy.toml"]);
    }
}
