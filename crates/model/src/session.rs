//! Sessions and API keys: what lets a user be known again, and what such a thing may be used for.
//!
//! Start at [`Scope`]; the row is [`crate::rows::SessionRow`].
//!
//! Invariant: no secret is here, only digests of secrets; two digests are compared in constant time.

use crate::ids::SessionId;
use crate::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Sessions of browsers that one user can have; with one more the one that was used longest ago ends.
pub const MAX_SESSIONS: usize = 100;
/// API keys that one user can have.
pub const MAX_KEYS: usize = 50;
/// Longest text about a session, and longest name of a key, in bytes.
pub const MAX_ABOUT_BYTES: usize = 200;
/// How long after an exchange the secret that was exchanged may be shown once more, by whoever did not get the answer.
pub const REPEAT_WITHIN: Millis = Millis::from_secs(60);

/// One thing that a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Looks at tasks, their logs and outputs.
    TasksRead,
    /// Submits, retries and cancels tasks; sends content.
    TasksWrite,
    /// Looks at balances, statements and projects.
    WalletRead,
    /// Moves money; makes and closes projects.
    WalletWrite,
    /// Looks at nodes and rewards.
    NodesRead,
    /// Lets machines join, and decides whether nodes get work.
    NodesWrite,
    /// Looks at sessions and keys, makes and ends them.
    Account,
    /// What operators do. It helps nobody else.
    Pool,
}

impl Scope {
    /// Every scope, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::TasksRead,
        Self::TasksWrite,
        Self::WalletRead,
        Self::WalletWrite,
        Self::NodesRead,
        Self::NodesWrite,
        Self::Account,
        Self::Pool,
    ];

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TasksRead => "tasks:read",
            Self::TasksWrite => "tasks:write",
            Self::WalletRead => "wallet:read",
            Self::WalletWrite => "wallet:write",
            Self::NodesRead => "nodes:read",
            Self::NodesWrite => "nodes:write",
            Self::Account => "account",
            Self::Pool => "pool",
        }
    }

    /// Reads [`Scope::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// No scope.
    pub const NONE: Self = Self(0);
    /// Every scope: what a login has.
    pub const ALL: Self = Self(u8::MAX);

    /// The set of these scopes.
    #[must_use]
    pub const fn of(scopes: &[Scope]) -> Self {
        let (mut bits, mut place) = (0, 0);
        // A loop that constants can have.
        while place < scopes.len() {
            bits |= scopes[place].bit();
            place += 1;
        }
        Self(bits)
    }

    /// Reads words with blanks between them; `None` where one of them is no scope.
    #[must_use]
    pub fn parse(words: &str) -> Option<Self> {
        words.split_ascii_whitespace().try_fold(Self::NONE, |all, word| Scope::parse(word).map(|one| all.with(one)))
    }

    /// This set and one scope more.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Whether the scope is in the set.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Those of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl fmt::Display for Scopes {
    /// The words with a blank between them, as [`Scopes::parse`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            let blank = if place == 0 { "" } else { " " };
            write!(f, "{blank}{}", scope.as_str())?;
        }
        Ok(())
    }
}

/// SHA-256 of a secret. Two are compared in a time that does not tell where they differ.
#[derive(Clone, Copy, Eq)]
pub struct SecretHash(pub [u8; 32]);

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        let differ = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
        differ == 0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// What kind of thing lets a user be known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// A session of a browser: its secret is exchanged for another at every use.
    Browser,
    /// An API key: its secret stays, and may be allowed less than its user.
    Key,
}

impl SessionKind {
    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Key => "key",
        }
    }

    /// Reads [`SessionKind::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Browser, Self::Key].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What a new session or key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which of the two.
    pub kind: SessionKind,
    /// Of a session what its browser says it is, of a key its name; at most [`MAX_ABOUT_BYTES`].
    pub about: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// The digest of its first secret.
    pub secret: SecretHash,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The session that asks for it: it must live, and a key may not ask; `None` where a password or a login asked.
    pub by: Option<SessionId>,
}

/// What came of showing the secret of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// It was the current one, and is exchanged now.
    Fresh,
    /// It was exchanged for the same successor a moment ago; nothing changed.
    Again,
    /// It was exchanged before: two have it. The session has ended.
    Reused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_back_what_they_print() {
        assert_eq!(Scopes::of(&Scope::ALL), Scopes::ALL);
        assert_eq!(Scopes::parse(&Scopes::ALL.to_string()), Some(Scopes::ALL));
        let some = Scopes::of(&[Scope::Pool, Scope::TasksRead]);
        assert_eq!(some.to_string(), "tasks:read pool");
        assert_eq!(Scopes::parse("pool  tasks:read"), Some(some));
        assert_eq!(Scopes::parse("tasks:read all"), None);
        assert_eq!(Scopes::parse(""), Some(Scopes::NONE));
        assert_eq!(some.without(Scopes::of(&[Scope::Pool])).to_string(), "tasks:read");
    }

    #[test]
    fn digests_are_equal_only_where_every_byte_is() {
        let mut other = SecretHash([7; 32]);
        assert_eq!(other, SecretHash([7; 32]));
        for place in 0..32 {
            other.0[place] ^= 0x80;
            assert_ne!(other, SecretHash([7; 32]));
            other.0[place] ^= 0x80;
        }
        assert_eq!(format!("{other:?}"), "SecretHash(..)");
    }
}
