//! Names in archives as text that can be shown and asked for.
//!
//! Start at [`shown`].
//!
//! Invariant: different names are shown differently, and no name does anything to what shows it.

use hivemind_model::text::is_unseen;
use std::fmt::Write;

/// Longest name, longest part of one, and most parts: what clients unpack.
pub(super) const MAX_NAME: usize = 4096;
const MAX_PART: usize = 255;
const MAX_DEPTH: usize = 64;

/// A name of an archive, as it is told to callers; empty for the folder that everything is in.
///
/// # Errors
/// A sentence, where no client would unpack it: it is absolute, leaves the folder, or is too long.
pub(super) fn shown(name: &[u8]) -> Result<String, String> {
    let refused = |why: &str| Err(format!("the name `{}` {why}", escaped(&name[..name.len().min(80)])));
    if name.starts_with(b"/") {
        return refused("is absolute");
    }
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.iter().any(|part| *part == b"..") {
        return refused("leaves the folder through `..`");
    }
    if name.len() > MAX_NAME || parts.len() > MAX_DEPTH || parts.iter().any(|part| part.len() > MAX_PART) {
        return refused("is too long or too deep");
    }
    Ok(escaped(&parts.join(&b'/')))
}

/// Text as it is; a backslash, and everything that is not seen as what it is, in escapes.
fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if is_unseen(c) => text.extend(c.escape_unicode()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a text does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_they_are_but_for_what_cannot_be_seen() {
        for (name, told) in [
            (&b"picture.ppm"[..], "picture.ppm"),
            (b"./a//b/./c d", "a/b/c d"),
            ("ü/\u{1F41D} <b>&\"'".as_bytes(), "ü/\u{1F41D} <b>&\"'"),
            (b"a\\b", "a\\\\b"),
            (b"a\nb\x1b[31m", "a\\u{a}b\\u{1b}[31m"),
            (b"a\xffb", "a\\xffb"),
            (b"a\\xffb", "a\\\\xffb"),
            ("gpj\u{202e}.exe".as_bytes(), "gpj\\u{202e}.exe"),
            (b"a/", "a"),
            (b"./", ""),
            (b"..a/b..", "..a/b.."),
        ] {
            assert_eq!(shown(name).as_deref(), Ok(told));
        }
    }

    #[test]
    fn what_no_client_unpacks_is_refused() {
        let long = [b'a'; MAX_PART + 1];
        let deep = b"a/".repeat(MAX_DEPTH + 1);
        let longest = [b"a/".repeat(10), b"./".repeat(MAX_NAME)].concat();
        for bad in [&b"/etc/passwd"[..], b"../x", b"a/../../x", b"a/..", &long, &deep, &longest] {
            assert!(shown(bad).is_err());
        }
        assert!(shown(b"../\n").unwrap_err().contains("`../\\u{a}` leaves"));
    }
}
