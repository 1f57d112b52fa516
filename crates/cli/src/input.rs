//! `--input PATH[:DEST]`: which files go with a task, and how.
//!
//! Start at [`gather`]. Small files travel inside the submission, large ones are uploaded first.
//!
//! Invariant: no symbolic link is followed and no special file is read, so nothing leaves this
//! machine that was not named.

use crate::failure::{Done, Failure};
use hivemind_model::spec::{MAX_FILES, check_path};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Files up to this size may travel inside the submission.
const INLINE_FILE_BYTES: u64 = 64 << 10;
/// All files inside one submission together.
const INLINE_TOTAL_BYTES: u64 = 1 << 20;
/// Folders inside folders.
const MAX_DEPTH: usize = 64;

/// One file that goes with a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it lies here.
    pub source: PathBuf,
    /// Where it will lie under /task.
    pub dest: String,
    /// Its size when it was looked at.
    pub bytes: u64,
    /// How it travels.
    pub way: Way,
}

/// How a file travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Inside the submission.
    Inline,
    /// Uploaded before it.
    Upload,
}

/// Finds every file that `args` name, in the order given, folders in the order of names.
///
/// # Errors
/// A path that is not there, is a link or a special file, or does not make a path under /task;
/// two inputs with one destination; too many files.
pub fn gather(args: &[String]) -> Done<Vec<Input>> {
    let mut found = Vec::new();
    for arg in args {
        let (source, dest) = split(arg);
        let meta = look(&source)?;
        if meta.is_dir() {
            let prefix = match dest.as_deref() {
                None => own_name(&source).unwrap_or_default(),
                Some(".") => String::new(),
                Some(given) => given.trim_end_matches('/').to_owned(),
            };
            let before = found.len();
            walk(&source, &prefix, 0, &mut found)?;
            if found.len() == before {
                return Err(Failure::usage(format!("--input: the folder {} holds no files", source.display())));
            }
        } else {
            let name = || {
                own_name(&source).ok_or_else(|| {
                    Failure::usage(format!("--input: {} has no name that can be used; say PATH:DEST", source.display()))
                })
            };
            let dest = match dest {
                None => name()?,
                Some(folder) if folder.ends_with('/') => format!("{folder}{}", name()?),
                Some(given) => given,
            };
            push(source, dest, meta.len(), &mut found)?;
        }
    }
    refuse_doubles(&found)?;
    choose_ways(&mut found);
    Ok(found)
}

/// `PATH:DEST`, unless there is a file whose name is the whole text.
fn split(arg: &str) -> (PathBuf, Option<String>) {
    if fs::symlink_metadata(arg).is_ok() {
        return (arg.into(), None);
    }
    match arg.rsplit_once(':') {
        Some((path, dest)) if !path.is_empty() && !dest.is_empty() => (path.into(), Some(dest.to_owned())),
        _ => (arg.into(), None),
    }
}

fn own_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn look(path: &Path) -> Done<Metadata> {
    let shown = path.display();
    let meta = fs::symlink_metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("--input: {shown} does not exist")),
        _ => Failure::io(format!("--input: {shown} cannot be looked at"), &error),
    })?;
    if meta.is_symlink() {
        return Err(Failure::usage(format!("--input: {shown} is a symbolic link, which is not followed"))
            .fix("name the file it leads to"));
    }
    if !meta.is_file() && !meta.is_dir() {
        return Err(Failure::usage(format!("--input: {shown} is neither a file nor a folder")));
    }
    Ok(meta)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<Input>) -> Done<()> {
    if depth > MAX_DEPTH {
        return Err(Failure::usage(format!("--input: {} lies more than {MAX_DEPTH} folders deep", folder.display())));
    }
    let cannot =
        |error: std::io::Error| Failure::io(format!("--input: the folder {} cannot be read", folder.display()), &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        names.push(entry.map_err(cannot)?.file_name());
    }
    names.sort_unstable();
    for name in names {
        let source = folder.join(&name);
        let Some(name) = name.to_str() else {
            return Err(Failure::usage(format!("--input: the name of {} is not UTF-8", source.display())));
        };
        let dest = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let meta = look(&source)?;
        if meta.is_dir() {
            walk(&source, &dest, depth + 1, found)?;
        } else {
            push(source, dest, meta.len(), found)?;
        }
    }
    Ok(())
}

fn push(source: PathBuf, dest: String, bytes: u64, found: &mut Vec<Input>) -> Done<()> {
    check_path("--input", &dest).map_err(|rejection| Failure::usage(rejection.text))?;
    if found.len() >= MAX_FILES {
        return Err(Failure::usage(format!("--input: more than {MAX_FILES} files"))
            .fix("pack them into an archive and unpack it in the task"));
    }
    found.push(Input { source, dest, bytes, way: Way::Upload });
    Ok(())
}

fn refuse_doubles(found: &[Input]) -> Done<()> {
    let mut dests: Vec<&str> = found.iter().map(|input| input.dest.as_str()).collect();
    dests.sort_unstable();
    match dests.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::usage(format!("--input: two files would both become /task/{}", pair[0]))
            .fix("give one of them another place with PATH:DEST")),
        None => Ok(()),
    }
}

/// The smallest files travel inline, as many as fit.
fn choose_ways(found: &mut [Input]) {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|index| found[*index].bytes);
    let mut left = INLINE_TOTAL_BYTES;
    for index in order {
        let input = &mut found[index];
        if input.bytes > INLINE_FILE_BYTES || input.bytes > left {
            break;
        }
        left -= input.bytes;
        input.way = Way::Inline;
    }
}

#[cfg(test)]
mod tests;
