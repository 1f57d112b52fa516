//! What texts and numbers of a specification have to look like.
//!
//! Invariant: a refusal names the field and what is wrong, and repeats nothing that could confuse a terminal.

use super::{Digest, MAX_IMAGE_BYTES, MAX_PATH_BYTES};
use crate::rejection::{Code, Rejection};
use crate::text::is_unseen;

/// Two of `paths` of which one is the other or lies within it; sorts them.
pub(super) fn nested<'a>(paths: &mut [&'a str]) -> Option<(&'a str, &'a str)> {
    // By parts: between `a` and `a/b` a plain order has `a-b`.
    paths.sort_unstable_by(|a, b| a.split('/').cmp(b.split('/')));
    let within = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    paths.windows(2).find(|pair| within(pair[0], pair[1])).map(|pair| (pair[0], pair[1]))
}

/// Checks a relative, `/`-separated path without `.`, `..`, empty parts or control characters.
///
/// # Errors
/// [`Code::Invalid`] that names `field` and what is wrong with the path.
pub fn check_path(field: &str, path: &str) -> Result<(), Rejection> {
    let shown: String = path.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect();
    let bad = |why: &str| Err(Rejection::invalid(field, format!("path `{shown}` {why}")));
    if path.is_empty() {
        return bad("is empty");
    }
    if path.len() > MAX_PATH_BYTES {
        return bad("is longer than 512 bytes");
    }
    if path.starts_with('/') {
        return bad("is absolute; give it relative to /task");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return bad("contains a backslash or a control character");
    }
    for part in path.split('/') {
        match part {
            "" | "." => return bad("has an empty part or `.`"),
            ".." => return bad("leaves /task through `..`"),
            long if long.len() > 255 => return bad("has a part longer than 255 bytes"),
            _ => {}
        }
    }
    Ok(())
}

/// Checks `name[:tag][@sha256:...]` as container registries write it.
///
/// # Errors
/// [`Code::Invalid`] of `docker_image`.
pub fn check_image(image: &str) -> Result<(), Rejection> {
    let bad = |why: &str| Err(Rejection::invalid("docker_image", why));
    if image.is_empty() {
        return bad("is empty; name an image such as `python:3.12`");
    }
    if image.len() > MAX_IMAGE_BYTES {
        return bad("is longer than 512 bytes");
    }
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|text| text.parse::<Digest>().is_err()) {
        return bad("what follows `@` is not `sha256:` and 64 hexadecimal digits");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
    let ends_well = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphanumeric())
            && s.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if !name.chars().all(allowed) || !ends_well(name) || name.contains("//") || name.contains("::") {
        return bad("is not of the form `name[:tag][@sha256:...]`");
    }
    Ok(())
}

pub(super) fn check_text(field: &str, text: &str, most: usize) -> Result<(), Rejection> {
    if text.len() > most {
        return Err(Rejection::field(Code::TooLarge, field, format!("{} bytes; at most {most}", text.len())));
    }
    if text.chars().any(is_unseen) {
        return Err(Rejection::invalid(field, "contains a control character, or one that hides or turns around text"));
    }
    Ok(())
}

pub(super) fn within(field: &str, value: u64, least: u64, most: u64, unit: &str) -> Result<(), Rejection> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Rejection::invalid(field, format!("{value} is outside {least} to {most} {unit}, the pool's bounds")))
}
