//! Refusals: a stable code, the field it is about, and a sentence for people.
//!
//! A rejection is the pool's considered "no"; it changes nothing. A fault of the outside world
//! (a full disk, a lost connection) is not one of these.
//!
//! Invariant: the text never carries a secret and never repeats the code.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Stable codes of refusals; part of the public contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $name),+ }

        impl Code {
            /// Every code, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as it is written on the wire, `E_...`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

codes! {
    /// A field has a value that is not allowed.
    Invalid = "E_INVALID",
    /// No such thing, or it belongs to somebody else.
    NotFound = "E_NOT_FOUND",
    /// The name is in use.
    Taken = "E_TAKEN",
    /// Wrong user name or password.
    BadCredentials = "E_BAD_CREDENTIALS",
    /// Known, but not allowed.
    Forbidden = "E_FORBIDDEN",
    /// Not enough CPT available.
    InsufficientCpt = "E_INSUFFICIENT_CPT",
    /// The price cap is above what the requester wants to pay at most.
    MaxPrice = "E_MAX_PRICE",
    /// Signing up takes an invitation code, and none, or none that is valid, was given.
    Invitation = "E_INVITATION",
    /// The same client-made id was used for something else.
    IdReused = "E_ID_REUSED",
    /// The thing is in a state that does not allow this.
    Conflict = "E_CONFLICT",
    /// The attempt is no longer the current one.
    Stale = "E_STALE_ATTEMPT",
    /// A join token was used before.
    TokenUsed = "E_TOKEN_USED",
    /// A token is past its time.
    TokenExpired = "E_TOKEN_EXPIRED",
    /// A bound of the pool is reached; try later.
    Busy = "E_BUSY",
    /// More than the pool takes in one request.
    TooLarge = "E_TOO_LARGE",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal with its code, the field at fault (empty where none is) and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Rejection {
    /// The stable code.
    pub code: Code,
    /// The field at fault, as the API names it.
    pub field: String,
    /// What, why, and what to do.
    pub text: String,
}

impl Rejection {
    /// A refusal that is about no single field.
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, field: String::new(), text: text.into() }
    }

    /// A refusal of one field; the sentence begins with the field's name.
    #[must_use]
    pub fn field(code: Code, field: &str, why: impl fmt::Display) -> Self {
        Self { code, field: field.to_owned(), text: format!("{field}: {why}") }
    }

    /// [`Code::Invalid`] of one field.
    #[must_use]
    pub fn invalid(field: &str, why: impl fmt::Display) -> Self {
        Self::field(Code::Invalid, field, why)
    }

    /// [`Code::NotFound`]: the same text whether it never was or is somebody else's.
    #[must_use]
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("{what} does not exist, or is not yours"))
    }
}
