//! The files of control groups.
//!
//! Invariant: no file is made; only folders are.

use super::NEEDED;
use std::fs;
use std::io;
use std::path::Path;

/// Hands the controllers down to the group above `folder`.
pub(super) fn delegate(folder: &Path, root: &Path) -> io::Result<()> {
    let above: Vec<&Path> = folder.ancestors().skip(1).take_while(|path| path.starts_with(root)).collect();
    for path in above.into_iter().rev() {
        fs::create_dir_all(path).map_err(|error| named(path, &error))?;
        let file = path.join("cgroup.subtree_control");
        let has = fs::read_to_string(&file)?;
        let missing = NEEDED.into_iter().filter(|name| !has.split_whitespace().any(|word| word == *name));
        for name in missing {
            put(&file, &format!("+{name}"))?;
        }
    }
    Ok(())
}

pub(super) fn put(path: &Path, value: &str) -> io::Result<()> {
    // Never created: a file that is not there is one that this kernel does not have.
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        io::Write::write_all(&mut file, value.as_bytes())
    };
    write().map_err(|error| named(path, &error))
}

pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| named(path, &error)),
    }
}

/// The number after `word` at the beginning of a line.
pub(super) fn value_of(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.trim().parse().ok())
}
