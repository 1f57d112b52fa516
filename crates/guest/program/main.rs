//! Runs inside containers: `guest VERB ...`. Static, without dependencies, so that it runs in any image.
//!
//! | Verb | What it does |
//! |---|---|
//! | `pause` | nothing, until it is killed: it keeps the namespaces of its container |
//! | `warm [FOLDER ...]` | runs commands one after the other, as the container's first process; empties FOLDERs between them |
//! | `attack THEME NONCE [KEY=VALUE..]` | tries to break what a runtime promises, and says how far it came |
//!
//! Invariant: it trusts nothing in its container, and nothing outside trusts it: what it says is checked
//! like the words of any task.

use std::process::ExitCode;

mod attack;
mod sys;
mod warm;
#[allow(dead_code, reason = "the agent's half of the codec is used by the agent")]
mod wire;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["pause"] => loop {
            std::thread::park();
        },
        ["warm", folders @ ..] => warm::run(folders),
        ["attack", theme, nonce, options @ ..] => attack::main(theme, nonce, options),
        _ => {
            eprintln!("usage: guest pause | guest warm [FOLDER ...] | guest attack THEME NONCE [KEY=VALUE..]");
            ExitCode::from(2)
        }
    }
}
