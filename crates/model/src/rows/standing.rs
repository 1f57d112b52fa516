//! Where an element stands, in one word.
//!
//! Start at [`Standing`]. A row of elements can be read as [`GridRow`] from the same stored text as
//! [`ChunkRow`](super::ChunkRow), where nobody needs more of them; the reasons of failures are then not read.
//!
//! Invariant: what is read in this way is what [`Standing::of`] says of the whole element.

use super::ElementPhase;
use crate::state::Outcome;
use serde::Deserialize;

/// What can be said of an element in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "Brief")]
pub enum Standing {
    /// No attempt is live.
    Waiting,
    /// An attempt is live, or copies are being compared.
    Live,
    /// Over, with success.
    Completed,
    /// Over, in any way that is not one of the other two.
    Failed,
    /// Over, on the requester's word.
    Cancelled,
}

impl Standing {
    /// Every standing, in the order of their bytes.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Live, Self::Completed, Self::Failed, Self::Cancelled];

    /// Of an element in that phase.
    #[must_use]
    pub const fn of(phase: &ElementPhase) -> Self {
        match phase {
            ElementPhase::Waiting { .. } => Self::Waiting,
            ElementPhase::Live => Self::Live,
            ElementPhase::Ended { outcome: Outcome::Cancelled } => Self::Cancelled,
            ElementPhase::Ended { outcome } if outcome.is_success() => Self::Completed,
            ElementPhase::Ended { .. } => Self::Failed,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The byte on the wire, from 0.
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Live => 1,
            Self::Completed => 2,
            Self::Failed => 3,
            Self::Cancelled => 4,
        }
    }

    /// Reads [`Standing::as_str`] back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }
}

/// A row of elements as [`ChunkRow`](super::ChunkRow), of which only the standings were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridRow {
    /// Which, from 0.
    pub chunk: u32,
    /// All of its elements, in order; neighbours may stand alike.
    pub runs: Vec<(u32, Standing)>,
}

/// The part of a stored element that tells its standing.
#[derive(Deserialize)]
struct Brief {
    phase: PhaseWord,
    outcome: Option<BriefOutcome>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PhaseWord {
    Waiting,
    Live,
    Ended,
}

#[derive(Deserialize)]
struct BriefOutcome {
    kind: KindWord,
    code: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindWord {
    Exited,
    Cancelled,
    #[serde(other)]
    Failed,
}

impl From<Brief> for Standing {
    fn from(Brief { phase, outcome }: Brief) -> Self {
        match (phase, outcome) {
            (PhaseWord::Waiting, _) => Self::Waiting,
            (PhaseWord::Live, _) => Self::Live,
            (PhaseWord::Ended, Some(BriefOutcome { kind: KindWord::Exited, code: Some(0) })) => Self::Completed,
            (PhaseWord::Ended, Some(BriefOutcome { kind: KindWord::Cancelled, .. })) => Self::Cancelled,
            (PhaseWord::Ended, Some(_) | None) => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Element;
    use super::*;
    use crate::units::Timestamp;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, MapDeserializer, StrDeserializer};

    #[test]
    fn an_element_has_one_word_and_one_byte() {
        let ended = |outcome| Standing::of(&ElementPhase::Ended { outcome });
        assert_eq!(ended(Outcome::Exited { code: 0 }), Standing::Completed);
        assert_eq!(ended(Outcome::Exited { code: 3 }), Standing::Failed);
        assert_eq!(ended(Outcome::Skipped { reason: String::new() }), Standing::Failed);
        assert_eq!(ended(Outcome::Cancelled), Standing::Cancelled);
        assert_eq!(Standing::of(&Element::FRESH.phase), Standing::Waiting);
        assert_eq!(Standing::of(&ElementPhase::Waiting { not_before: Timestamp(9) }), Standing::Waiting);
        for (byte, standing) in (0..).zip(Standing::ALL) {
            assert_eq!((Standing::parse(standing.as_str()), standing.as_byte()), (Some(standing), byte));
        }
        assert_eq!(Standing::parse("running"), None);
    }

    #[test]
    fn a_phase_alone_is_enough() {
        let word = |word: &'static str| {
            let pair = ("phase", StrDeserializer::<Error>::new(word));
            Standing::deserialize(MapDeserializer::<_, Error>::new(std::iter::once(pair)).into_deserializer())
        };
        assert_eq!((word("waiting").unwrap(), word("live").unwrap()), (Standing::Waiting, Standing::Live));
        assert!(word("gone").is_err());
    }
}
