//! What only the user knows. Passwords, tokens and codes: asked for without echo, or read from a file or standard input.
//!
//! Invariant: a secret is never an option's value, never printed, never logged.

use crate::failure::{Done, Failure};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::Path;

/// Longest secret that is read, in bytes; the pool takes passwords up to 1024.
const MAX_BYTES: u64 = 16 << 10;

/// Whether a password is typed once or twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// It exists already.
    Once,
    /// It is new: a slip would lock its owner out.
    Twice,
}

/// Gets a password: from `file` (`-` is standard input), else typed where standard input is a
/// terminal, else the first line of standard input.
///
/// # Errors
/// Nothing was given, the two did not match, or the file cannot be read.
pub fn password(file: Option<&Path>, ask: Ask) -> Done<String> {
    match file {
        Some(path) if path != Path::new("-") => line_of_file(path),
        Some(_) => line(io::stdin().lock(), "standard input"),
        None if io::stdin().is_terminal() => typed(ask),
        None => line(io::stdin().lock(), "standard input"),
    }
}

/// Gets an invitation code from `file` (`-` is standard input); `None` where no file is named.
///
/// # Errors
/// The file cannot be read, or its first line is empty.
pub fn invitation(file: Option<&Path>) -> Done<Option<String>> {
    match file {
        None => Ok(None),
        Some(path) if path == Path::new("-") => line_of_stdin().map(Some),
        Some(path) => line_of_file(path).map(Some),
    }
}

/// Asks for an invitation code; `None` where nobody is at the terminal.
///
/// # Errors
/// Nothing was typed.
pub fn typed_invitation() -> Done<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let code = rpassword::prompt_password("Invitation code: ")
        .map_err(|error| Failure::io("the invitation code cannot be read from the terminal", &error))?;
    if code.is_empty() { Err(Failure::usage("no invitation code was given")) } else { Ok(Some(code)) }
}

/// The first line of a file.
///
/// # Errors
/// The file cannot be read, or its first line is empty or too long.
pub fn line_of_file(path: &Path) -> Done<String> {
    let file = File::open(path).map_err(|error| Failure::io(format!("{} cannot be read", path.display()), &error))?;
    line(BufReader::new(file), &path.display().to_string())
}

/// The first line of standard input.
///
/// # Errors
/// There is none, or it is too long.
pub fn line_of_stdin() -> Done<String> {
    line(io::stdin().lock(), "standard input")
}

/// Asks for something that is no secret.
///
/// # Errors
/// Nobody is at the terminal (told as `missing`), or nothing was typed.
pub fn typed_line(prompt: &str, missing: &str) -> Done<String> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(missing));
    }
    eprint!("{prompt}");
    line(io::stdin().lock(), "the terminal")
}

fn typed(ask: Ask) -> Done<String> {
    let prompt = |text: &str| {
        rpassword::prompt_password(text)
            .map_err(|error| Failure::io("the password cannot be read from the terminal", &error))
    };
    let first = prompt("Password: ")?;
    if first.is_empty() {
        return Err(Failure::usage("no password was given"));
    }
    if ask == Ask::Twice && prompt("The same again: ")? != first {
        return Err(Failure::usage("the two passwords differ; nothing was done"));
    }
    Ok(first)
}

fn line(reader: impl BufRead, from: &str) -> Done<String> {
    let mut text = String::new();
    let read = reader.take(MAX_BYTES + 1).read_line(&mut text);
    let bytes = read.map_err(|error| Failure::io(format!("{from} cannot be read"), &error))?;
    if bytes as u64 > MAX_BYTES {
        return Err(Failure::usage(format!("the first line of {from} is longer than {MAX_BYTES} bytes")));
    }
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(Failure::usage(format!("no password, token or code in the next line of {from}"))
            .fix("type it at a terminal, pipe it in, or name a file that holds it"));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_secret() {
        assert_eq!(line(&b"pass word \r\nrest"[..], "x"), Ok("pass word ".into()));
        for text in ["", "\nsecond", "\r\n"] {
            assert!(line(text.as_bytes(), "x").is_err(), "{text:?}");
        }
        assert!(line("a".repeat(20_000).as_bytes(), "x").is_err());
    }
}
