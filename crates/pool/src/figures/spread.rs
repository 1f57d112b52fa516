//! How long things took lately, as a table of how many took about so long.
//!
//! A place is for times that differ by a fifth at most, so that 128 places reach from a millisecond to six weeks.
//!
//! Invariant: as large as it was made; no time up to six weeks is told as shorter than it was.

use hivemind_model::Millis;
use std::time::Duration;
use tokio::time::Instant;

/// Places for each doubling of the time.
const PER_DOUBLING: u32 = 4;
const PLACES: usize = 128;
/// What is kept: so many spans of such a length.
const SPANS: usize = 5;
const SPAN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Spread {
    begun: Instant,
    /// Each with its number.
    spans: [(u64, [u32; PLACES]); SPANS],
}

impl Default for Spread {
    fn default() -> Self {
        Self { begun: Instant::now(), spans: [(0, [0; PLACES]); SPANS] }
    }
}

impl Spread {
    /// Such times were taken, now.
    pub(crate) fn add(&mut self, times: &[Millis]) {
        self.add_at(self.span(), times);
    }

    /// How many times are kept.
    pub(crate) fn count(&self) -> u64 {
        self.all_at(self.span()).iter().sum()
    }

    /// A time below which `percent` of those that are kept are, at most a fifth above the least such; zero where there
    /// are none.
    pub(crate) fn below(&self, percent: u64) -> Millis {
        self.below_at(self.span(), percent)
    }

    fn span(&self) -> u64 {
        self.begun.elapsed().as_secs() / SPAN.as_secs()
    }

    fn add_at(&mut self, span: u64, times: &[Millis]) {
        let Some(kept) = usize::try_from(span % SPANS as u64).ok().and_then(|place| self.spans.get_mut(place)) else {
            return;
        };
        if kept.0 != span {
            *kept = (span, [0; PLACES]);
        }
        for time in times {
            if let Some(count) = kept.1.get_mut(place(*time)) {
                *count = count.saturating_add(1);
            }
        }
    }

    fn all_at(&self, span: u64) -> [u64; PLACES] {
        let mut all = [0; PLACES];
        for (_, counts) in self.spans.iter().filter(|(number, _)| span.saturating_sub(*number) < SPANS as u64) {
            for (sum, count) in all.iter_mut().zip(counts) {
                *sum += u64::from(*count);
            }
        }
        all
    }

    fn below_at(&self, span: u64, percent: u64) -> Millis {
        let all = self.all_at(span);
        let wanted = (all.iter().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        for (place, count) in all.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return most(place);
            }
        }
        Millis(0)
    }
}

/// Where a time is counted.
fn place(time: Millis) -> usize {
    (0..PLACES).find(|place| time <= most(*place)).unwrap_or(PLACES - 1)
}

/// The longest time that is counted there: 0, 1, then each a fifth more than the one before.
fn most(place: usize) -> Millis {
    let Some(step) = u32::try_from(place).ok().and_then(|place| place.checked_sub(1)) else { return Millis(0) };
    let whole = 1u64 << (step / PER_DOUBLING).min(62);
    // Thousandths of the fourth roots of two, rounded up.
    let part = [1000, 1190, 1415, 1682][(step % PER_DOUBLING) as usize];
    Millis(u64::try_from(u128::from(whole) * part / 1000).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_a_fifth_too_long_at_most_and_never_too_short() {
        for time in (0..5000).chain([86_400_000, 604_800_000]).map(Millis) {
            let mut spread = Spread::default();
            spread.add_at(7, &[time]);
            let told = spread.below_at(7, 99);
            assert!(told >= time && told.0 <= time.0 + time.0.div_ceil(5), "{} is told as {}", time.0, told.0);
        }
    }

    #[test]
    fn the_half_and_the_slowest_are_told_apart_and_old_ones_forgotten() {
        let mut spread = Spread::default();
        assert_eq!((spread.below_at(0, 50), spread.below_at(0, 99)), (Millis(0), Millis(0)));
        let times: Vec<Millis> = (0..100).map(|n| Millis(if n < 95 { 4 } else { 1024 })).collect();
        spread.add_at(0, &times);
        assert_eq!((spread.below_at(4, 50), spread.below_at(4, 99)), (Millis(4), Millis(1024)));
        assert_eq!(spread.below_at(5, 99), Millis(0));
        spread.add_at(5, &[Millis(0)]);
        assert_eq!((spread.below_at(5, 50), spread.all_at(5).iter().sum::<u64>()), (Millis(0), 1));
    }

    #[test]
    fn the_longest_time_has_a_place() {
        assert_eq!(place(Millis(u64::MAX)), PLACES - 1);
    }
}
