//! Attacks on a runtime from inside, and the words in which they say how far they came.
//!
//! Each line on standard output begins with the nonce that the attacker was given, so that nobody takes the
//! silence of a container that never ran for a promise that held:
//!
//! | Line | Means |
//! |---|---|
//! | `NONCE held PROMISE N` | N attempts at breaking it were refused |
//! | `NONCE broken PROMISE WHAT` | that one was not |
//! | `NONCE fact NAME VALUE` | something that only the outside can judge |
//! | `NONCE end` | everything was tried |
//!
//! An attack that succeeds changes what it stands on, so that it runs nowhere but in the image that was made
//! for it: see [`PLACES`].
//!
//! Invariant: an attack that succeeds does no lasting harm, and ends by itself after a minute.

use crate::sys;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

mod confine;
mod escape;
mod identity;
mod limits;
mod linger;
mod neighbours;
mod network;

/// Where this program lies in that image. Started from anywhere else, by a curious administrator perhaps, it
/// would unmount and cover that machine's folders.
const PLACES: [&str; 2] = ["/guest", "/setuid"];
/// No attack lasts longer.
const LONGEST_SECONDS: u32 = 60;

/// Runs the attacks of a theme. Exit code 0 where all were tried, whatever came of them.
pub fn main(theme: &str, nonce: &str, options: &[&str]) -> ExitCode {
    let place = std::env::current_exe().unwrap_or_default();
    if !PLACES.iter().any(|known| place == Path::new(known)) {
        eprintln!("guest: attacks run in the image of the self-test only, and this is {}", place.display());
        return ExitCode::from(2);
    }
    sys::end_after(LONGEST_SECONDS);
    let options = Options(options.iter().filter_map(|option| option.split_once('=')).collect());
    let mut report = Report { nonce: nonce.to_owned(), held: BTreeMap::new() };
    match theme {
        "confine" => confine::run(&mut report, &options),
        "forks" => limits::forks(&mut report),
        "memory" => limits::memory(&mut report, &options),
        "cpu" => limits::cpu(&mut report, &options),
        "disk" => limits::disk(&mut report, &options),
        "leave" => neighbours::leave(&mut report, &options),
        "search" => neighbours::search(&mut report, &options),
        "linger" => linger::run(&mut report, &options),
        // What a program that gains the rights of its file's owner would say.
        "whoami" => report.fact("whoami", format!("{:?}", sys::whoami())),
        _ => {
            eprintln!("guest: no attack is called `{theme}`");
            return ExitCode::from(2);
        }
    }
    report.end();
    ExitCode::SUCCESS
}

/// `KEY=VALUE` words.
pub struct Options<'a>(BTreeMap<&'a str, &'a str>);

impl Options<'_> {
    /// Empty where it was not given.
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// Zero where it was not given.
    pub fn number(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or(0)
    }
}

/// What is said to the outside.
pub struct Report {
    nonce: String,
    held: BTreeMap<&'static str, u32>,
}

impl Report {
    /// The word that marks every line.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// An attempt that must be refused.
    pub fn refused<T>(&mut self, promise: &'static str, what: impl Display, answer: io::Result<T>) {
        self.check(promise, what, answer.is_err());
    }

    /// An attempt that must be refused, where it can be made at all.
    pub fn refused_if_known<T>(&mut self, promise: &'static str, what: impl Display, answer: Option<io::Result<T>>) {
        if let Some(answer) = answer {
            self.refused(promise, what, answer);
        }
    }

    /// Something that must be so.
    pub fn check(&mut self, promise: &'static str, what: impl Display, holds: bool) {
        if holds {
            *self.held.entry(promise).or_default() += 1;
        } else {
            self.say(format_args!("broken {promise} {what}"));
        }
    }

    /// Something that the outside judges.
    pub fn fact(&mut self, name: &str, value: impl Display) {
        self.say(format_args!("fact {name} {value}"));
    }

    fn end(&mut self) {
        for (promise, count) in std::mem::take(&mut self.held) {
            self.say(format_args!("held {promise} {count}"));
        }
        self.say(format_args!("end"));
    }

    /// One line at once, so that it is out before what follows kills this process.
    fn say(&self, words: std::fmt::Arguments<'_>) {
        let words: String = words.to_string().chars().map(|c| if c.is_control() { '?' } else { c }).take(400).collect();
        let line = format!("{} {words}\n", self.nonce);
        let mut out = io::stdout().lock();
        // Where nobody listens, the missing line says it.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// What stands after `name:` in /proc/self/status.
pub fn status(name: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}
