//! What can go wrong between a client and a pool.
//!
//! Start at [`ClientError`].
//!
//! Invariant: no text here holds a password or a token.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tonic::{Code, Status};

/// Why a call gave no result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The pool does not answer.
    #[error("the pool at {server} cannot be reached: {why}; check that it runs and that the address is right")]
    Unreachable {
        /// Its address.
        server: String,
        /// What the network said.
        why: String,
    },
    /// Somebody answers who is not the pool that was expected.
    #[error(
        "{server} did not prove that it is your pool: {why}; nothing was sent to it. If the pool was founded anew, log in again with its new CA certificate"
    )]
    Untrusted {
        /// Its address.
        server: String,
        /// What TLS said.
        why: String,
    },
    /// The pool's considered "no".
    #[error("{code}: {message}")]
    Rejected {
        /// The stable code, `E_...`.
        code: String,
        /// The field at fault, as the API names it; empty where none is.
        field: String,
        /// What, why, and what to do.
        message: String,
    },
    /// The pool does not know who asks.
    #[error("you are not logged in: {message}; run `hivemind login`")]
    Login {
        /// The stable code; empty where the pool gave none.
        code: String,
        /// What is wrong with the token.
        message: String,
    },
    /// The other side answered something that it should not.
    #[error("{what} failed: {why}; if this stays so, client and pool may be of different releases")]
    Protocol {
        /// What was called.
        what: String,
        /// What came.
        why: String,
    },
    /// Something that was given to the client is not usable.
    #[error("{what} is not usable: {why}")]
    Invalid {
        /// What was given.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// This machine's file system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
}

impl ClientError {
    /// The pool's stable code, `E_...`, where it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Rejected { code, .. } | Self::Login { code, .. } => {
                Some(code.as_str()).filter(|code| !code.is_empty())
            }
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Protocol { .. }
            | Self::Invalid { .. }
            | Self::Io { .. } => None,
        }
    }

    /// True where the same call may succeed a moment later, because nobody answered it.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// What a message with `success = false` means.
    pub(crate) fn refused(what: &str, message: &str) -> Self {
        match split_code(message) {
            Some((code, text)) => Self::rejected(code, text),
            None => Self::protocol(what, format!("a refusal without a code: {}", short(message))),
        }
    }

    /// What a gRPC status means.
    pub(crate) fn from_status(server: &str, what: &str, status: &Status) -> Self {
        if let Some(fault) = find_connect_fault(status) {
            return fault.clone();
        }
        let coded = split_code(status.message());
        // A status made on this side has a source: the connection broke, or time ran out.
        let local = status.source().is_some();
        match (status.code(), coded) {
            (Code::Unauthenticated, Some((code, text))) => {
                Self::Login { code: code.to_owned(), message: text.to_owned() }
            }
            (Code::Unauthenticated, None) => Self::Login { code: String::new(), message: short(status.message()) },
            (_, Some((code, text))) => Self::rejected(code, text),
            (Code::Unavailable | Code::Aborted, None) => Self::unreachable(server, reason_of(status)),
            (_, None) if local => Self::unreachable(server, reason_of(status)),
            (Code::Unimplemented, None) => {
                Self::protocol(what, "the pool does not know this call; it may be older than this program")
            }
            (code, None) => Self::protocol(what, format!("{code:?}: {}", short(status.message()))),
        }
    }

    pub(crate) fn unreachable(server: &str, why: impl Into<String>) -> Self {
        Self::Unreachable { server: server.to_owned(), why: why.into() }
    }

    pub(crate) fn protocol(what: &str, why: impl Into<String>) -> Self {
        Self::Protocol { what: what.to_owned(), why: why.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Invalid { what: what.into(), why: why.to_string() }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }

    fn rejected(code: &str, text: &str) -> Self {
        let is_field = |word: &&str| {
            !word.is_empty()
                && word.len() <= 64
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.[]".contains(&b))
        };
        let field = text.split_once(": ").map(|(word, _)| word).filter(is_field).unwrap_or_default();
        Self::Rejected { code: code.to_owned(), field: field.to_owned(), message: text.to_owned() }
    }
}

/// Takes `E_CODE: sentence` apart.
fn split_code(message: &str) -> Option<(&str, &str)> {
    let (code, text) = message.split_once(": ")?;
    let word = code.strip_prefix("E_")?;
    let plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    plain.then_some((code, text))
}

/// The connector's own verdict, which travels inside the transport's errors.
pub(crate) fn find_connect_fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a ClientError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<ClientError>() {
            return Some(fault);
        }
        next = error.source();
    }
    None
}

/// The innermost cause: the outer ones only say that something failed.
pub(crate) fn reason_of(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    match last.downcast_ref::<Status>() {
        Some(status) => short(status.message()),
        None => short(&last.to_string()),
    }
}

fn short(text: &str) -> String {
    hivemind_proto::convert::bounded(text)
}
