//! Quantities, each in its own type with its unit in the name.
//!
//! Invariant: no floating point; money and time are integers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Micro-CPT in one CPT.
pub const MICRO_PER_CPT: i64 = 1_000_000;

/// An amount of money in micro-CPT (1 CPT = 1,000,000). May be negative only inside a posting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpt(i64);

impl Cpt {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `micro` micro-CPT.
    #[must_use]
    pub const fn from_micro(micro: i64) -> Self {
        Self(micro)
    }

    /// `whole` CPT, or `None` where that many micro-CPT do not fit in 64 bits.
    #[must_use]
    pub const fn checked_from_whole(whole: i64) -> Option<Self> {
        match whole.checked_mul(MICRO_PER_CPT) {
            Some(micro) => Some(Self(micro)),
            None => None,
        }
    }

    /// The amount in micro-CPT.
    #[must_use]
    pub const fn micro(self) -> i64 {
        self.0
    }

    /// The whole CPT in it, rounded towards minus infinity.
    #[must_use]
    pub const fn whole(self) -> i64 {
        self.0.div_euclid(MICRO_PER_CPT)
    }

    /// The sum, or `None` on overflow.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(micro) => Some(Self(micro)),
            None => None,
        }
    }

    /// The difference, or `None` on overflow.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(micro) => Some(Self(micro)),
            None => None,
        }
    }

    /// True above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }
}

impl fmt::Display for Cpt {
    /// `12.345 CPT`: at least two and at most six places, no rounding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micro = self.0.unsigned_abs();
        let scale = MICRO_PER_CPT.unsigned_abs();
        let mut places = format!("{:06}", micro % scale);
        while places.len() > 2 && places.ends_with('0') {
            places.pop();
        }
        write!(f, "{sign}{}.{places} CPT", micro / scale)
    }
}

/// Thousandths of a processor core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliCores(pub u32);

impl MilliCores {
    /// `cores` whole cores.
    #[must_use]
    pub const fn from_cores(cores: u32) -> Self {
        Self(cores.saturating_mul(1000))
    }
}

impl fmt::Display for MilliCores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (1, 0) => f.write_str("1 core"),
            (whole, 0) => write!(f, "{whole} cores"),
            (whole, part) => write!(f, "{whole}.{part:03} cores"),
        }
    }
}

/// A size in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `mib` mebibytes (the seed's "MB" are these).
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// `gib` gibibytes.
    #[must_use]
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib.saturating_mul(1 << 30))
    }

    /// Whole mebibytes in it, rounded down.
    #[must_use]
    pub const fn mib(self) -> u64 {
        self.0 >> 20
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (unit, shift) in steps {
            if self.0 >= 1 << shift {
                let tenths = (u128::from(self.0) * 10) >> shift;
                return if tenths % 10 == 0 {
                    write!(f, "{} {unit}", tenths / 10)
                } else {
                    write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// `seconds` seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
}

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and `span` more; the latest representable one on overflow.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }

    /// This moment less `span`; the earliest representable one on overflow.
    #[must_use]
    pub const fn before(self, span: Millis) -> Self {
        Self(self.0.saturating_sub_unsigned(span.0))
    }

    /// The span from `earlier` to this; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        if self.0 > earlier.0 { Millis(self.0.abs_diff(earlier.0)) } else { Millis(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_prints_exactly() {
        for (micro, text) in [
            (0, "0.00 CPT"),
            (1, "0.000001 CPT"),
            (150_000_000, "150.00 CPT"),
            (-1_500_000, "-1.50 CPT"),
            (i64::MIN, "-9223372036854.775808 CPT"),
        ] {
            assert_eq!(Cpt::from_micro(micro).to_string(), text);
        }
    }

    #[test]
    fn whole_cpt_outside_64_bits_is_refused() {
        assert_eq!(Cpt::checked_from_whole(i64::MAX), None);
        assert_eq!(Cpt::checked_from_whole(150).map(Cpt::micro), Some(150_000_000));
        assert_eq!(Cpt::from_micro(-1).whole(), -1);
    }

    #[test]
    fn sizes_print_in_the_largest_unit() {
        assert_eq!(Bytes(512).to_string(), "512 B");
        assert_eq!(Bytes::from_mib(1536).to_string(), "1.5 GiB");
        assert_eq!(MilliCores(1500).to_string(), "1.500 cores");
    }

    #[test]
    fn spans_never_go_below_zero() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Millis(0));
        assert_eq!(Timestamp(i64::MAX).after(Millis(1)), Timestamp(i64::MAX));
    }
}
