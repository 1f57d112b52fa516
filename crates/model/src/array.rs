//! Arrays: one submission of many elements that differ in their index and, where given, their entry.
//!
//! Start at [`Indices`], the set of indices as people write it: `1-1000,2000`.
//!
//! Invariant: ranges are ascending, disjoint and not empty, so that an index has one position.

use crate::policy::Policy;
use crate::rejection::{Code, Rejection};
use crate::spec::BlobRef;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most ranges of one set.
pub const MAX_RANGES: usize = 65_536;
/// Longest entry, in bytes: below what a process may be handed as one environment variable.
pub const MAX_ENTRY_BYTES: usize = 32 << 10;
/// All entries of one array together, in bytes.
pub const MAX_ENTRIES_BYTES: u64 = 256 << 20;

/// A set of indices, as `1-1000,2000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Indices {
    /// First and last of each range, ascending and disjoint.
    ranges: Vec<(u32, u32)>,
    /// How many indices stand before each range.
    before: Vec<u32>,
}

/// A text that is not a set of indices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIndices {
    /// There is nothing in it.
    #[error("it is empty; write ranges such as `1-1000` or `1-10,20`")]
    Empty,
    /// A part is no number and no range.
    #[error("`{0}` is neither an index nor a range such as `1-1000`; indices are 0 to 4294967294")]
    Unreadable(String),
    /// A range ends before it begins.
    #[error("`{0}` ends before it begins; write the smaller index first")]
    Backwards(String),
    /// A range begins before the one before it has ended.
    #[error(
        "`{0}` overlaps what stands before it, or comes before it; list ranges in ascending order, each index once"
    )]
    Overlapping(String),
    /// Too many ranges.
    #[error("it has more than {MAX_RANGES} ranges; submit it in parts")]
    TooMany,
}

impl Indices {
    /// The one index of a plain task.
    #[must_use]
    pub fn only() -> Self {
        Self { ranges: vec![(0, 0)], before: vec![0] }
    }

    /// The indices of `ascending`, each once.
    ///
    /// # Errors
    /// [`BadIndices`] where there is none, they do not ascend, or they need too many ranges.
    pub fn of(ascending: impl IntoIterator<Item = u32>) -> Result<Self, BadIndices> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for index in ascending {
            match ranges.last_mut() {
                Some((_, last)) if index <= *last => return Err(BadIndices::Overlapping(index.to_string())),
                Some((_, last)) if index - *last == 1 => *last = index,
                Some(_) | None => ranges.push((index, index)),
            }
        }
        Self::checked(ranges)
    }

    fn checked(ranges: Vec<(u32, u32)>) -> Result<Self, BadIndices> {
        match ranges.len() {
            0 => return Err(BadIndices::Empty),
            1..=MAX_RANGES => {}
            _ => return Err(BadIndices::TooMany),
        }
        let mut count = 0u32;
        let before = ranges
            .iter()
            .map(|(first, last)| {
                let before = count;
                // Disjoint ranges below the largest index: together fewer than 2^32.
                count = count.saturating_add(last - first).saturating_add(1);
                before
            })
            .collect();
        Ok(Self { ranges, before })
    }

    /// The place of `index` in the ascending list; `None` where it is not one of them.
    #[must_use]
    pub fn position(&self, index: u32) -> Option<u32> {
        let place = self.ranges.partition_point(|(_, last)| *last < index);
        let (first, _) = self.ranges.get(place).filter(|(first, _)| *first <= index)?;
        Some(self.before.get(place)? + (index - first))
    }

    /// The index at a place of the ascending list; `None` behind its end.
    #[must_use]
    pub fn at(&self, position: u32) -> Option<u32> {
        let place = self.before.partition_point(|before| *before <= position).checked_sub(1)?;
        let (first, last) = self.ranges.get(place)?;
        first.checked_add(position - self.before.get(place)?).filter(|index| index <= last)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// False: a set has at least one index.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// First and last of each range, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// Every index, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// The smallest index.
    #[must_use]
    pub fn first(&self) -> u32 {
        self.ranges.first().map_or(0, |(first, _)| *first)
    }

    /// The largest index.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.ranges.last().map_or(0, |(_, last)| *last)
    }

    /// True where `index` is one of them.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        self.position(index).is_some()
    }

    /// True where each of `others` is one of them.
    #[must_use]
    pub fn contains_all(&self, others: &Self) -> bool {
        others.ranges.iter().all(|(from, to)| {
            let place = self.ranges.partition_point(|(_, last)| last < from);
            self.ranges.get(place).is_some_and(|(first, last)| first <= from && to <= last)
        })
    }
}

impl FromStr for Indices {
    type Err = BadIndices;

    /// Reads `1-1000,2000`; touching ranges become one.
    fn from_str(text: &str) -> Result<Self, BadIndices> {
        if text.trim().is_empty() {
            return Err(BadIndices::Empty);
        }
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let shown = || part.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect::<String>();
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = match (index(first), index(last)) {
                (Some(first), Some(last)) => (first, last),
                _ => return Err(BadIndices::Unreadable(shown())),
            };
            if last < first {
                return Err(BadIndices::Backwards(shown()));
            }
            match ranges.last_mut() {
                Some((_, before)) if first <= *before => return Err(BadIndices::Overlapping(shown())),
                Some((_, before)) if first - *before == 1 => *before = last,
                Some(_) | None => ranges.push((first, last)),
            }
            if ranges.len() > MAX_RANGES {
                return Err(BadIndices::TooMany);
            }
        }
        Self::checked(ranges)
    }
}

fn index(text: &str) -> Option<u32> {
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|index| *index < u32::MAX)
}

impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Indices {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Indices {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What makes a task an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// Its elements; each learns its own as `HIVEMIND_INDEX`.
    pub indices: Indices,
    /// A text of which element `i` gets line `i`, counted from 1, as `HIVEMIND_ENTRY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<BlobRef>,
    /// With more failed elements than this, what has not ended is skipped; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fails: Option<u32>,
}

impl Array {
    /// Checks the number of elements and the entries against the bounds of `policy`.
    ///
    /// # Errors
    /// The first field that is out of bounds, by the name it has in the API.
    pub fn check(&self, policy: &Policy) -> Result<(), Rejection> {
        let (elements, most) = (self.indices.len(), policy.limits.max_array_elements);
        if elements > most.into() {
            return Err(Rejection::field(
                Code::TooLarge,
                "array",
                format!("{elements} elements; this pool takes at most {most} in one array; submit it in parts"),
            ));
        }
        let Some(entries) = &self.entries else { return Ok(()) };
        if self.indices.first() == 0 {
            return Err(Rejection::invalid("array", "has the index 0, but entries are counted from 1"));
        }
        if entries.size.0 > MAX_ENTRIES_BYTES {
            return Err(Rejection::field(
                Code::TooLarge,
                "entries_digest",
                format!("{} bytes; at most {MAX_ENTRIES_BYTES} are taken; put long input into files", entries.size.0),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<Indices>().map_or_else(|bad| format!("{bad:?}"), |indices| indices.to_string())
    }

    #[test]
    fn sets_read_back_what_they_print() {
        assert_eq!(read("1-1000000"), "1-1000000");
        assert_eq!(read("0"), "0");
        assert_eq!(read(" 1-3, 5 ,7-7"), "1-3,5,7");
        assert_eq!(read("1-3,4-6,7"), "1-7");
        assert_eq!(read("4294967294"), "4294967294");
    }

    #[test]
    fn what_is_no_set_is_refused_by_its_part() {
        assert_eq!(read(""), "Empty");
        assert_eq!(read(" "), "Empty");
        assert_eq!(read("5-1"), "Backwards(\"5-1\")");
        assert_eq!(read("1-5,3-9"), "Overlapping(\"3-9\")");
        assert_eq!(read("1-5,5"), "Overlapping(\"5\")");
        assert_eq!(read("9,1"), "Overlapping(\"1\")");
        for text in ["a", "1-", "-1", "1--2", "1,,2", "+1", "1.5", "4294967295", "1-99999999999"] {
            assert!(read(text).starts_with("Unreadable"), "{text}: {}", read(text));
        }
        let many: Vec<String> = (0..=65_536u32).map(|place| (2 * place).to_string()).collect();
        assert_eq!(read(&many.join(",")), "TooMany");
    }

    #[test]
    fn members_are_found() {
        let set: Indices = "2-4,8,10-11".parse().expect("a set");
        assert_eq!(set.len(), 6);
        assert_eq!(set.iter().collect::<Vec<_>>(), [2, 3, 4, 8, 10, 11]);
        assert_eq!(Indices::of(set.iter()), Ok(set.clone()));
        let found: Vec<u32> = (0..13).filter(|index| set.contains(*index)).collect();
        assert_eq!(found, [2, 3, 4, 8, 10, 11]);
        assert!(set.contains_all(&"3-4,11".parse().expect("a set")));
        assert!(!set.contains_all(&"4-5".parse().expect("a set")));
        assert!(!set.contains_all(&"12".parse().expect("a set")));
        assert_eq!((set.first(), set.last()), (2, 11));
        let places: Vec<Option<u32>> = set.iter().map(|index| set.position(index)).collect();
        assert_eq!(places, (0..6).map(Some).collect::<Vec<_>>());
        let back: Vec<Option<u32>> = (0..7).map(|place| set.at(place)).collect();
        assert_eq!(back, [Some(2), Some(3), Some(4), Some(8), Some(10), Some(11), None]);
    }
}
