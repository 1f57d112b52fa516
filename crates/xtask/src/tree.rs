//! The text files of the repository.

use anyhow::Context;
use std::path::Path;

/// Folders that hold what was made, not what was written.
const MADE: [&str; 7] = ["target", "demo-out", "node_modules", "__pycache__", "dist", "shots", "test-results"];
/// Hidden folders that belong to the repository.
const HIDDEN: [&str; 3] = [".ci", ".config", ".github"];

/// A text file.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Relative to the root, `/`-separated.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file under `root` that somebody wrote, in the order of their paths.
///
/// # Errors
/// A folder or file cannot be read. Files that are not UTF-8 are passed over.
pub(crate) fn read(root: &Path) -> anyhow::Result<Vec<TextFile>> {
    let mut files = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        let place = root.join(&folder);
        for entry in std::fs::read_dir(&place).with_context(|| place.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let hidden = name.starts_with('.') && !HIDDEN.contains(&name.as_str());
                if !hidden && !MADE.contains(&name.as_str()) {
                    waiting.push(path);
                }
            } else if kind.is_file()
                && name != ".git"
                && let Ok(text) = String::from_utf8(std::fs::read(entry.path())?)
            {
                files.push(TextFile { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
