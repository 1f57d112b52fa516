//! `--each-line` and `--from-json`: what each element of an array is about.
//!
//! Start at [`read`]. Either way the entries become one text with one line for each; element `i`
//! gets line `i`, counted from 1.
//!
//! Invariant: no entry is cut or changed to make it fit; what does not fit is refused with its line.

use crate::args::array::ArrayOptions;
use crate::failure::{Done, Failure};
use hivemind_model::array::{Indices, MAX_ENTRIES_BYTES, MAX_ENTRY_BYTES};
use serde::de::IgnoredAny;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The entries of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    /// One line for each, each ended.
    pub text: String,
    /// How many there are.
    pub lines: u32,
}

/// Reads the entries that `array` names, relative to `base`; `None` where it names none.
///
/// # Errors
/// A file cannot be read, holds no entries or ones that no element can get, or `--array` names
/// lines that are not there.
pub fn read(array: &ArrayOptions, base: &Path) -> Done<Option<Entries>> {
    let (flag, file, entries) = match (&array.each_line, &array.from_json) {
        (None, None) => return Ok(None),
        (Some(file), _) => ("--each-line", file, lines(&content("--each-line", file, base)?)),
        (None, Some(file)) => ("--from-json", file, items(&content("--from-json", file, base)?)),
    };
    let at = |why: String| Failure::usage(format!("{flag}: {} {why}", shown(file)));
    let entries = entries.map_err(at)?;
    if let Some(indices) = &array.array {
        let has = |index: u32| (1..=entries.lines).contains(&index);
        if !has(indices.first()) || !has(indices.last()) {
            let index = if has(indices.first()) { indices.last() } else { indices.first() };
            return Err(Failure::usage(format!(
                "--array: has the index {index}, but the entries of {} are 1 to {}",
                shown(file),
                entries.lines
            )));
        }
    }
    Ok(Some(entries))
}

/// The elements of an array; `None`: it is a plain task.
///
/// # Errors
/// None where `entries` were made by [`read`].
pub fn indices(array: &ArrayOptions, entries: Option<&Entries>) -> Done<Option<Indices>> {
    match (&array.array, entries) {
        (Some(indices), _) => Ok(Some(indices.clone())),
        (None, Some(entries)) => Indices::of(1..=entries.lines).map(Some).map_err(Failure::usage),
        (None, None) => Ok(None),
    }
}

fn shown(file: &Path) -> String {
    if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() }
}

fn content(flag: &str, file: &Path, base: &Path) -> Done<String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("{flag}: {} does not exist", shown(file))),
        std::io::ErrorKind::InvalidData => Failure::usage(format!("{flag}: {} is not UTF-8 text", shown(file))),
        _ => Failure::io(format!("{flag}: {} cannot be read", shown(file)), &error),
    };
    let mut text = String::new();
    let most = MAX_ENTRIES_BYTES + 1;
    match file.as_os_str() == "-" {
        true => std::io::stdin().lock().take(most).read_to_string(&mut text),
        false => File::open(base.join(file)).and_then(|file| file.take(most).read_to_string(&mut text)),
    }
    .map_err(cannot)?;
    if text.len() as u64 > MAX_ENTRIES_BYTES {
        return Err(Failure::usage(format!("{flag}: {} has more than {MAX_ENTRIES_BYTES} bytes", shown(file)))
            .fix("put long input into files, and only their names into the entries"));
    }
    Ok(text)
}

/// One entry for each line; the last needs no end.
fn lines(text: &str) -> Result<Entries, String> {
    let mut made = Making::default();
    for line in text.lines() {
        made.push(line, "line")?;
    }
    made.done("has no lines")
}

/// One entry for each item of a JSON list. Numbers and the order of keys stay as they are written.
fn items(text: &str) -> Result<Entries, String> {
    if !text.trim_start().starts_with('[') {
        return match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Err("is JSON, but not a list".into()),
            Err(why) => Err(format!("is not JSON: {why}")),
        };
    }
    serde_json::from_str::<Vec<IgnoredAny>>(text).map_err(|why| format!("is not JSON: {why}"))?;
    let mut made = Making::default();
    for_each_item(text, |item| {
        // A text of one line is handed over as it is; everything else reads back from its JSON form.
        let plain = if item.starts_with('"') { serde_json::from_str::<String>(item).ok() } else { None };
        match plain.filter(|text| !text.contains(['\n', '\r', '\0'])) {
            Some(text) => made.push(&text, "item"),
            None => made.push(item, "item"),
        }
    })?;
    made.done("is an empty list")
}

/// Gives each item of a list that is known to be JSON, without the blanks between its parts.
fn for_each_item(list: &str, mut take: impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    let (mut item, mut depth, mut in_text, mut is_escaped) = (String::new(), 0usize, false, false);
    for c in list.trim().chars() {
        if in_text {
            item.push(c);
            in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            ' ' | '\t' | '\r' | '\n' => continue,
            ',' if depth == 1 => {
                take(&item)?;
                item.clear();
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            '"' => in_text = true,
            _ => {}
        }
        let is_frame = (c == '[' && depth == 1) || (c == ']' && depth == 0);
        if !is_frame {
            item.push(c);
        }
    }
    if item.is_empty() { Ok(()) } else { take(&item) }
}

#[derive(Default)]
struct Making {
    text: String,
    lines: u32,
}

impl Making {
    fn push(&mut self, entry: &str, what: &str) -> Result<(), String> {
        self.lines = self.lines.checked_add(1).filter(|lines| *lines < u32::MAX).ok_or("has too many entries")?;
        if entry.len() > MAX_ENTRY_BYTES {
            return Err(format!("has {} bytes in {what} {}; at most {MAX_ENTRY_BYTES}", entry.len(), self.lines));
        }
        if entry.contains('\0') {
            return Err(format!("has a NUL character in {what} {}", self.lines));
        }
        self.text.push_str(entry);
        self.text.push('\n');
        Ok(())
    }

    fn done(self, empty: &str) -> Result<Entries, String> {
        let Self { text, lines } = self;
        if lines == 0 {
            return Err(format!("{empty}; an array has at least one element"));
        }
        if text.len() as u64 > MAX_ENTRIES_BYTES {
            return Err(format!("has more than {MAX_ENTRIES_BYTES} bytes of entries"));
        }
        Ok(Entries { text, lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_items_become_one_line_each() {
        for (read, text, wanted, count) in [
            (lines as fn(&str) -> Result<Entries, String>, "a\nb c\n", "a\nb c\n", 2),
            (lines, "a\r\n\nb", "a\n\nb\n", 3),
            (
                items,
                r#"["a b", 1, {"k": [1, null]}, "two\nlines", "", true]"#,
                "a b\n1\n{\"k\":[1,null]}\n\"two\\nlines\"\n\ntrue\n",
                6,
            ),
            (
                items,
                r#" [ {"b": 1.50, "a": [ ], "c": "x , ] \\\" y"}, [[1], [2]], "q\"", 12345678901234567890123 ] "#,
                "{\"b\":1.50,\"a\":[],\"c\":\"x , ] \\\\\\\" y\"}\n[[1],[2]]\nq\"\n12345678901234567890123\n",
                4,
            ),
        ] {
            assert_eq!(read(text), Ok(Entries { text: wanted.into(), lines: count }), "{text}");
        }
    }

    #[test]
    fn what_no_element_can_get_is_refused_with_its_line() {
        let long = format!("a\n{}\n", "x".repeat(MAX_ENTRY_BYTES + 1));
        for (read, text, part) in [
            (lines as fn(&str) -> Result<Entries, String>, "", "has no lines"),
            (lines, "a\nb\0", "NUL character in line 2"),
            (lines, long.as_str(), "in line 2; at most 32768"),
            (items, "[]", "empty list"),
            (items, "{}", "not a list"),
            (items, "[1,", "is not JSON: EOF"),
            (items, "{1", "is not JSON: "),
            (items, "", "is not JSON: EOF"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn an_array_picks_among_the_lines() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("names"), "a\nb\nc").unwrap();
        let judge = |array: Option<&str>, file: &str| {
            let array = ArrayOptions {
                array: array.map(|text| text.parse().unwrap()),
                each_line: Some(file.into()),
                ..ArrayOptions::default()
            };
            let entries = read(&array, dir.path()).map_err(|failure| failure.what)?;
            Ok::<_, String>(indices(&array, entries.as_ref()).unwrap().unwrap().to_string())
        };
        assert_eq!(judge(None, "names").as_deref(), Ok("1-3"));
        assert_eq!(judge(Some("1,3"), "names").as_deref(), Ok("1,3"));
        assert_eq!(
            judge(Some("2-4"), "names").unwrap_err(),
            "--array: has the index 4, but the entries of names are 1 to 3"
        );
        assert!(judge(Some("0-2"), "names").unwrap_err().contains("has the index 0"));
        assert_eq!(judge(None, "nothing").unwrap_err(), "--each-line: nothing does not exist");
        assert_eq!(read(&ArrayOptions::default(), dir.path()), Ok(None));
    }
}
