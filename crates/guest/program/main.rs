//! Runs inside containers: `guest VERB ...`. Static, without dependencies, so that it runs in any image.
//!
//! | Verb | What it does |
//! |---|---|
//! | `pause` | nothing, until it is killed: it keeps the namespaces of its container |
//! | `attack THEME NONCE [KEY=VALUE..]` | tries to break what a runtime promises, and says how far it came |
//!
//! Invariant: it trusts nothing in its container, and nothing outside trusts it: what it says is checked
//! like the words of any task.

use std::process::ExitCode;

mod attack;
mod sys;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["pause"] => loop {
            std::thread::park();
        },
        ["attack", theme, nonce, options @ ..] => attack::main(theme, nonce, options),
        _ => {
            eprintln!("usage: guest pause | guest attack THEME NONCE [KEY=VALUE..]");
            ExitCode::from(2)
        }
    }
}
