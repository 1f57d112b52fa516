//! Texts that differ only in numbers, and in these only a little.
//!
//! Start at [`same`].
//!
//! Invariant: what is no number must be equal byte by byte; what cannot be read as text is compared so, too.

use std::collections::BTreeMap;
use std::io::Read;

/// Parts of a whole in which a tolerance is counted.
const WHOLE: f64 = 1e9;

/// True where both results are the same up to `tolerance`, in billionths of the larger number.
///
/// Two archives are the same where they have the same entries and each pair of files is.
///
/// # Errors
/// An archive cannot be read: a sentence.
pub(super) fn same(own: &[u8], other: &[u8], archives: bool, tolerance: u32) -> Result<bool, String> {
    let tolerance = f64::from(tolerance) / WHOLE;
    if own == other {
        return Ok(true);
    }
    if !archives {
        return Ok(same_text(own, other, tolerance));
    }
    let (own, other) = (entries(own)?, entries(other)?);
    Ok(own.len() == other.len()
        && own.iter().zip(&other).all(|((path, a), (other_path, b))| path == other_path && same_text(a, b, tolerance)))
}

/// The entries of an archive with what is in them; an entry that is no file has nothing in it.
fn entries(archive: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
    let unreadable = |error: std::io::Error| format!("an output archive cannot be read: {error}");
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path_bytes().into_owned();
        let mut content = Vec::new();
        if entry.header().entry_type().is_file() {
            entry.read_to_end(&mut content).map_err(unreadable)?;
        }
        found.insert(path, content);
    }
    Ok(found)
}

fn same_text(own: &[u8], other: &[u8], tolerance: f64) -> bool {
    let (Ok(own), Ok(other)) = (std::str::from_utf8(own), std::str::from_utf8(other)) else { return own == other };
    let (mut own, mut other) = (Words(own), Words(other));
    loop {
        match (own.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || near(a, b, tolerance) => {}
            _ => return false,
        }
    }
}

fn near(a: &str, b: &str, tolerance: f64) -> bool {
    let (Ok(a), Ok(b)) = (a.parse::<f64>(), b.parse::<f64>()) else { return false };
    // What is not finite is only ever equal as text.
    a.is_finite() && b.is_finite() && (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

/// A text, cut into numbers and what stands between them.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0;
        let in_number = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
        let first = text.chars().next()?;
        let end = if in_number(first) {
            text.find(|c| !in_number(c)).unwrap_or(text.len())
        } else {
            text.find(in_number).unwrap_or(text.len())
        };
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(own: &str, other: &str) -> bool {
        same(own.as_bytes(), other.as_bytes(), false, 1000).expect("texts")
    }

    #[test]
    fn numbers_may_differ_a_little_and_words_not_at_all() {
        assert!(texts("pi = 3.14159265, e = 2.71828\n", "pi = 3.14159266, e = 2.71828\n"));
        assert!(texts("[1e-9, -5]", "[1.0000001e-9, -5.0]"));
        assert!(texts("0 0.0 -0", "0.0 0 0"));
        assert!(!texts("3.1415", "3.1416"));
        assert!(!texts("a 1", "b 1"));
        assert!(!texts("1 2", "1 2 3"));
        assert!(!texts("1,2", "1;2"));
        assert!(!texts("nan", "inf"));
        assert!(texts("nan", "nan"));
        assert!(!texts("1", "1\n"));
        assert!(!texts("ä1", "ö1"));
    }

    #[test]
    fn archives_are_compared_file_by_file() {
        let pack = |files: &[(&str, &str)]| {
            let mut archive = tar::Builder::new(Vec::new());
            for (path, content) in files {
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, path, content.as_bytes()).expect("packed");
            }
            archive.into_inner().expect("packed")
        };
        let one = pack(&[("a.txt", "1.0000000001"), ("b/c.txt", "x")]);
        let near = pack(&[("a.txt", "1.0"), ("b/c.txt", "x")]);
        let other = pack(&[("a.txt", "1.0"), ("b/d.txt", "x")]);
        assert_eq!(same(&one, &near, true, 1000), Ok(true));
        assert_eq!(same(&one, &near, true, 0), Ok(false));
        assert_eq!(same(&one, &other, true, 1000), Ok(false));
        assert!(same(&one, b"not an archive, but longer than one block", true, 1000).is_err());
    }

    #[test]
    fn bytes_that_are_no_text_must_be_equal() {
        assert_eq!(same(&[0xff, 1], &[0xff, 1], false, 1000), Ok(true));
        assert_eq!(same(&[0xff, 1], &[0xff, 2], false, 1_000_000_000), Ok(false));
    }
}
