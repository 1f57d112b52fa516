//! Sizes of source files, and paths that exist on one machine only.

use crate::finding::Finding;
use crate::tree::TextFile;

/// A Rust file of this many lines or more is not one thing.
const MOST_LINES: usize = 500;

/// Beginnings of paths that mean something on one machine only. Put together here, so that this
/// file is not a finding itself.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// Checks every file by itself.
pub(crate) fn check(files: &[TextFile]) -> Vec<Finding> {
    files.iter().flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if file.path.ends_with(".rs") && lines >= MOST_LINES {
        findings
            .push(Finding::new(&file.path, format!("{lines} lines; split it, at most {} are allowed", MOST_LINES - 1)));
    }
    if file.path.ends_with(".lock") {
        return findings;
    }
    for (number, line) in file.text.lines().enumerate() {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| names(line, path)) {
            let text = format!("`{path}` is a path of one machine; derive it or take it as an argument");
            findings.push(Finding::new(format!("{}:{}", file.path, number + 1), text));
        }
    }
    findings
}

/// Whether `path` stands in the line as a path of its own, not as the end of a relative one.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before == '.' || before.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: String) -> Vec<String> {
        check(&[TextFile { path: path.into(), text }]).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn long_rust_files_are_found() {
        assert_eq!(places("a.rs", "x\n".repeat(499)), [""; 0]);
        assert_eq!(places("a.rs", "x\n".repeat(500)), ["a.rs"]);
        assert_eq!(places("a.md", "x\n".repeat(500)), [""; 0]);
    }

    #[test]
    fn machine_paths_are_found_with_their_line() {
        assert_eq!(places("run.sh", format!("cd /\ncd {}ann/src\n", MACHINE_PATHS[0])), ["run.sh:2"]);
        assert_eq!(places("run.sh", "cd /task/output\n".into()), [""; 0]);
        assert_eq!(places("a.ts", format!("import \".{}Home\"\n", MACHINE_PATHS[0])), [""; 0]);
    }
}
