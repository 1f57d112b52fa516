//! Exit codes: the one table from what went wrong to a number.
//!
//! Start at [`Exit`]; [`of_code`] is the table for refusals of the pool, [`of_client`] for faults
//! on the way to it.
//!
//! Invariant: no other module chooses a number by a code's name.

use hivemind_client::ClientError;
use hivemind_model::Code;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Ok,
    /// 1: something failed that has no number of its own.
    Failure,
    /// 2: the command line, or a value in it, is wrong.
    Usage,
    /// 3: no such thing, or it belongs to somebody else.
    NotFound,
    /// 4: log in first.
    Login,
    /// 5: known, but not allowed, or not invited.
    Forbidden,
    /// 6: not enough CPT, or the price cap is above what may be paid at most.
    InsufficientCpt,
    /// 7: the name is taken, or the thing is in the wrong state.
    Conflict,
    /// 8: it took longer than it was given.
    TimedOut,
    /// 9: the pool does not answer.
    Unreachable,
    /// 125: `run` could not run the task, or lost sight of it.
    Platform,
    /// 130: interrupted.
    Interrupted,
    /// The exit code of the task itself.
    Task(u8),
}

impl Exit {
    /// The number the process ends with.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Login => 4,
            Self::Forbidden => 5,
            Self::InsufficientCpt => 6,
            Self::Conflict => 7,
            Self::TimedOut => 8,
            Self::Unreachable => 9,
            Self::Platform => 125,
            Self::Interrupted => 130,
            Self::Task(code) => code,
        }
    }
}

/// The exit code of a refusal by the pool.
#[must_use]
pub const fn of_code(code: Code) -> Exit {
    match code {
        Code::Invalid | Code::TooLarge => Exit::Usage,
        Code::NotFound => Exit::NotFound,
        Code::BadCredentials | Code::TokenExpired => Exit::Login,
        Code::Forbidden | Code::Invitation => Exit::Forbidden,
        // Either way the money that may be spent does not reach for the price cap.
        Code::InsufficientCpt | Code::MaxPrice => Exit::InsufficientCpt,
        Code::Taken | Code::IdReused | Code::Conflict | Code::Stale | Code::TokenUsed => Exit::Conflict,
        Code::Busy => Exit::Failure,
    }
}

/// The exit code of a refusal by its code's word; a word from a newer pool is a plain failure.
#[must_use]
pub fn of_word(word: &str) -> Exit {
    Code::ALL.iter().find(|code| code.as_str() == word).map_or(Exit::Failure, |code| of_code(*code))
}

/// The exit code of a call that did not succeed.
#[must_use]
pub fn of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::Unreachable { .. } | ClientError::Untrusted { .. } => Exit::Unreachable,
        ClientError::Login { .. } => Exit::Login,
        ClientError::Rejected { code, .. } => of_word(code),
        ClientError::Invalid { .. } => Exit::Usage,
        ClientError::Protocol { .. } | ClientError::Io { .. } => Exit::Failure,
        // The enum may grow; a fault that has no number of its own is a plain failure.
        _ => Exit::Failure,
    }
}

#[cfg(test)]
mod tests;
