//! What is told when a command does not succeed: what, why, what to do, and a stable code.
//!
//! Invariant: the text never carries a password or a token.

use crate::exit::{self, Exit};
use crate::flags;
use hivemind_client::ClientError;
use hivemind_model::Code;
use serde_json::{Value, json};
use std::fmt;

/// Why a command ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// The stable code, `E_...`.
    pub code: String,
    /// The field at fault, as the API names it; empty where none is.
    pub field: String,
    /// What went wrong and why: a sentence.
    pub what: String,
    /// What to do; empty where the sentence says it.
    pub fix: String,
}

/// What a command gives.
pub type Done<T = Exit> = Result<T, Failure>;

impl Failure {
    /// A failure found on this side.
    #[must_use]
    pub fn new(exit: Exit, code: &str, what: impl fmt::Display) -> Self {
        Self { exit, code: code.into(), field: String::new(), what: what.to_string(), fix: String::new() }
    }

    /// The command line asks for something that is not possible.
    #[must_use]
    pub fn usage(what: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, "E_USAGE", what)
    }

    /// A file or folder of this machine could not be used.
    #[must_use]
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Exit::Failure, "E_IO", format!("{what}: {error}"))
    }

    /// What the pool would refuse with that code.
    #[must_use]
    pub fn refusal(code: Code, what: impl fmt::Display) -> Self {
        let exit = exit::of_code(code);
        Self::new(exit, code.as_str(), what).fix(hint(exit, code.as_str()))
    }

    /// Nobody is logged in.
    #[must_use]
    pub fn login(what: impl fmt::Display) -> Self {
        Self::new(Exit::Login, "E_LOGIN", what)
    }

    /// The same with what to do.
    #[must_use]
    pub fn fix(self, fix: impl fmt::Display) -> Self {
        Self { fix: fix.to_string(), ..self }
    }

    /// The same, about an option.
    #[must_use]
    pub fn at(self, option: &str) -> Self {
        Self { what: format!("{option}: {}", self.what), ..self }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// For people, on standard error.
    #[must_use]
    pub fn human(&self) -> String {
        let mut text = format!("error: {}\n", crate::face::harmless(self.what.trim_end()));
        if !self.fix.is_empty() {
            text.push_str(&format!("  fix: {}\n", self.fix));
        }
        text.push_str(&format!("  code: {} (exit {})\n", self.code, self.exit.number()));
        text
    }

    /// For programs, on standard error.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "schema": "hivemind.error/1",
            "code": self.code,
            "field": self.field,
            "message": self.what,
            "fix": self.fix,
            "exit_code": self.exit.number(),
        })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = exit::of_client(&error);
        let code = error.code().map_or_else(|| code_of(&error).to_owned(), str::to_owned);
        let field = match &error {
            ClientError::Rejected { field, .. } => field.clone(),
            _ => String::new(),
        };
        let fix = hint(exit, &code).to_owned();
        Self { exit, code, field, what: what(&error), fix }
    }
}

/// The sentence without the code, which has its own line, and with its source.
fn what(error: &ClientError) -> String {
    match error {
        ClientError::Rejected { field, message, .. } => flags::reworded(field, message),
        ClientError::Io { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    }
}

const fn code_of(error: &ClientError) -> &'static str {
    match error {
        ClientError::Unreachable { .. } => "E_UNREACHABLE",
        ClientError::Login { .. } => "E_LOGIN",
        ClientError::Untrusted { .. } => "E_UNTRUSTED",
        ClientError::Rejected { .. } => "E_REJECTED",
        ClientError::Invalid { .. } => "E_INVALID",
        ClientError::Io { .. } => "E_IO",
        ClientError::Protocol { .. } => "E_PROTOCOL",
        // The enum may grow: what is not known here is told in its own words.
        _ => "E_FAILED",
    }
}

fn hint(exit: Exit, code: &str) -> &'static str {
    match exit {
        _ if code == Code::MaxPrice.as_str() => {
            "ask for less (--timeout, --cpus, --memory, --gpus set the price cap), or raise --max-price"
        }
        _ if code == Code::Invitation.as_str() => {
            "get a code from the pool's operator, who makes it with `hivemind invite`, and give it with --invitation-file FILE"
        }
        Exit::Login => "hivemind login USERNAME",
        Exit::NotFound => "`hivemind ps --all` lists your tasks",
        Exit::InsufficientCpt => {
            "ask for less (--timeout, --cpus, --memory, --gpus set the price cap), or earn with `hivemind worker`"
        }
        Exit::Forbidden if code == Code::Forbidden.as_str() => {
            "`hivemind whoami` tells who you are; log in as who may do this with `hivemind login USERNAME`"
        }
        Exit::Unreachable => {
            "start a pool with `hivemind up`, or name another with --server; `hivemind doctor` checks the way"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests;
