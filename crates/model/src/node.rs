//! What a node is, beside what it has: kinds of programs, labels, isolation, trust.
//!
//! Labels are what its owner calls it (`location=berlin`, `arch=arm64`), isolation is what its
//! runtime can do, trust is what its verified work has shown.
//!
//! Invariant: a label that was parsed prints as it was written.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest key and longest value of a label, in bytes.
pub const MAX_LABEL_BYTES: usize = 63;
/// Most labels of a node, and most that a task asks for.
pub const MAX_LABELS: usize = 32;

/// A fact about a node that its owner states: `key=value`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    key: String,
    value: String,
}

/// A text that is not a label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a label; write `key=value`, each 1 to {MAX_LABEL_BYTES} of a-z A-Z 0-9 . _ - /, such as `location=berlin`"
)]
pub struct BadLabel(String);

impl Label {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What it says.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for Label {
    type Err = BadLabel;

    fn from_str(text: &str) -> Result<Self, BadLabel> {
        let good = |part: &str| {
            (1..=MAX_LABEL_BYTES).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
        };
        match text.split_once('=') {
            Some((key, value)) if good(key) && good(value) => Ok(Self { key: key.into(), value: value.into() }),
            Some(_) | None => {
                Err(BadLabel(text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()))
            }
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl Serialize for Label {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why texts are not a set of labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLabels {
    /// One of them is no label.
    #[error(transparent)]
    Bad(#[from] BadLabel),
    /// Two have the same key.
    #[error("the key `{0}` is given twice; a key has one value")]
    Twice(String),
    /// Too many.
    #[error("more than {MAX_LABELS} labels")]
    TooMany,
}

/// A set of labels, by key; shared, as many tasks ask for the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Label>", into = "Vec<Label>")]
pub struct Labels(Option<Arc<[Label]>>);

impl Labels {
    /// Reads `key=value` texts.
    ///
    /// # Errors
    /// [`BadLabels`] where one is no label, a key comes twice, or there are too many.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, BadLabels> {
        let labels: Result<Vec<Label>, BadLabel> = texts.iter().map(|text| text.as_ref().parse()).collect();
        Self::try_from(labels?)
    }

    /// By key.
    #[must_use]
    pub fn as_slice(&self) -> &[Label] {
        self.0.as_deref().unwrap_or_default()
    }

    /// True where there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// True where each of `wanted` is one of them.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        wanted.as_slice().iter().all(|label| self.as_slice().binary_search(label).is_ok())
    }
}

impl TryFrom<Vec<Label>> for Labels {
    type Error = BadLabels;

    fn try_from(mut labels: Vec<Label>) -> Result<Self, BadLabels> {
        if labels.len() > MAX_LABELS {
            return Err(BadLabels::TooMany);
        }
        labels.sort_unstable();
        if let Some(pair) = labels.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(BadLabels::Twice(pair[0].key.clone()));
        }
        Ok(Self((!labels.is_empty()).then(|| labels.into())))
    }
}

impl From<Labels> for Vec<Label> {
    fn from(labels: Labels) -> Self {
        labels.as_slice().to_vec()
    }
}

macro_rules! tiers {
    ($(#[$doc:meta])* $name:ident { $($(#[$tier_doc:meta])* $tier:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$tier_doc])* $tier),+ }

        impl $name {
            /// Every tier, lowest first.
            pub const ALL: &'static [Self] = &[$(Self::$tier),+];

            /// The word on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$tier => $word),+ }
            }

            /// Reads [`Self::as_str`] back.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|tier| tier.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

tiers! {
    /// What kind of program a task is; that says what runs it.
    Kind {
        /// An image of a container.
        #[default]
        Container = "container",
        /// A WebAssembly module.
        Wasm = "wasm",
    }
}

/// The kinds of programs that a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Kind>", into = "Vec<Kind>")]
pub struct Kinds {
    container: bool,
    wasm: bool,
}

impl Kinds {
    /// Containers only.
    pub const CONTAINER: Self = Self { container: true, wasm: false };
    /// WebAssembly modules only.
    pub const WASM: Self = Self { container: false, wasm: true };
    /// Every kind.
    pub const ALL: Self = Self { container: true, wasm: true };

    /// True where `kind` is one of them.
    #[must_use]
    pub const fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::Container => self.container,
            Kind::Wasm => self.wasm,
        }
    }

    /// Those of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { container: self.container || other.container, wasm: self.wasm || other.wasm }
    }

    /// Reads [`Self::words`] back; `None` where one is no kind, or there is none.
    #[must_use]
    pub fn parse<T: AsRef<str>>(words: &[T]) -> Option<Self> {
        let kinds: Option<Vec<Kind>> = words.iter().map(|word| Kind::parse(word.as_ref())).collect();
        Self::try_from(kinds?).ok()
    }

    /// As they are written on the wire and in the database.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        Kind::ALL.iter().filter(|kind| self.has(**kind)).map(|kind| kind.as_str()).collect()
    }
}

impl Default for Kinds {
    fn default() -> Self {
        Self::CONTAINER
    }
}

/// A list that names no kind of program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node runs at least one kind of program: container, wasm")]
pub struct NoKind;

impl TryFrom<Vec<Kind>> for Kinds {
    type Error = NoKind;

    fn try_from(kinds: Vec<Kind>) -> Result<Self, NoKind> {
        let found = Self { container: kinds.contains(&Kind::Container), wasm: kinds.contains(&Kind::Wasm) };
        if found.container || found.wasm { Ok(found) } else { Err(NoKind) }
    }
}

impl From<Kinds> for Vec<Kind> {
    fn from(kinds: Kinds) -> Self {
        Kind::ALL.iter().copied().filter(|kind| kinds.has(*kind)).collect()
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(", "))
    }
}

tiers! {
    /// How well a node's runtime keeps tasks from the machine, lowest first.
    Isolation {
        /// A container of a runtime that has the rights of the machine's administrator.
        #[default]
        Basic = "basic",
        /// The container's root is nobody on the machine: user namespaces, or a rootless runtime.
        Rootless = "rootless",
        /// The container has a kernel of its own: gVisor, a virtual machine, or WebAssembly.
        Sandboxed = "sandboxed",
    }
}

tiers! {
    /// What the verified work of a node, and of its owner's other nodes, has shown; lowest first.
    TrustTier {
        /// Too little to say, or an error not long ago.
        #[default]
        New = "new",
        /// Some verified results in a row.
        Known = "known",
        /// Many.
        Trusted = "trusted",
        /// Very many.
        Proven = "proven",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back_what_they_print() {
        let label: Label = "location=eu/berlin-1".parse().expect("a label");
        assert_eq!(
            (label.key(), label.value(), label.to_string()),
            ("location", "eu/berlin-1", "location=eu/berlin-1".into())
        );
        let long = "x".repeat(64);
        for text in
            ["", "a", "=", "a=", "=b", "a=b=c", "a b=c", "a=\n", "ä=b", &format!("{long}=b"), &format!("a={long}")]
        {
            assert!(text.parse::<Label>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_set_has_each_key_once_and_knows_its_subsets() {
        let set = Labels::parse(&["b=2", "a=1"]).expect("labels");
        assert_eq!(set.as_slice().iter().map(Label::to_string).collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(Labels::parse(&["a=1", "a=2"]), Err(BadLabels::Twice("a".into())));
        assert!(matches!(Labels::parse(&["a"]), Err(BadLabels::Bad(_))));
        let many: Vec<String> = (0..=MAX_LABELS).map(|n| format!("k{n}=v")).collect();
        assert_eq!(Labels::parse(&many), Err(BadLabels::TooMany));
        assert!(set.covers(&Labels::default()) && set.covers(&Labels::parse(&["a=1"]).expect("labels")));
        assert!(!set.covers(&Labels::parse(&["a=2"]).expect("labels")));
        assert!(!Labels::default().covers(&set));
    }

    #[test]
    fn kinds_read_back_and_are_never_none() {
        for kinds in [Kinds::CONTAINER, Kinds::WASM, Kinds::ALL] {
            assert_eq!(Kinds::parse(&kinds.words()), Some(kinds));
        }
        assert_eq!(Kinds::parse::<&str>(&[]), None);
        assert_eq!(Kinds::parse(&["container", "vm"]), None);
        assert_eq!(Kinds::CONTAINER.or(Kinds::WASM), Kinds::ALL);
        assert!(Kinds::WASM.has(Kind::Wasm) && !Kinds::WASM.has(Kind::Container));
    }

    #[test]
    fn tiers_are_ordered_and_read_back() {
        assert!(Isolation::Basic < Isolation::Sandboxed && TrustTier::New < TrustTier::Proven);
        for tier in Isolation::ALL {
            assert_eq!(Isolation::parse(tier.as_str()), Some(*tier));
        }
        assert_eq!(TrustTier::parse("Trusted"), None);
    }
}
