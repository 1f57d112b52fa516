//! How often something happened lately.
//!
//! Invariant: as large as it was made, however often it happens.

use std::time::Duration;
use tokio::time::Instant;

/// Counts of the last `N` spans of time.
#[derive(Debug)]
pub(crate) struct Recent<const N: usize> {
    width: Duration,
    begun: Instant,
    /// Each with the number of its span.
    spans: [(u64, u64); N],
}

impl<const N: usize> Recent<N> {
    /// Nothing has happened; each span is `width` long.
    pub(crate) fn new(width: Duration) -> Self {
        Self { width, begun: Instant::now(), spans: [(0, 0); N] }
    }

    /// It happened so often, now.
    pub(crate) fn add(&mut self, count: u64) {
        self.add_at(self.span(), count);
    }

    /// How often it happened in the spans that are kept, the one that goes on too.
    pub(crate) fn sum(&self) -> u64 {
        self.sum_at(self.span())
    }

    fn span(&self) -> u64 {
        let spans = self.begun.elapsed().as_nanos() / self.width.as_nanos().max(1);
        u64::try_from(spans).unwrap_or(u64::MAX)
    }

    fn add_at(&mut self, span: u64, count: u64) {
        let Some(place) = usize::try_from(span % N as u64).ok().and_then(|place| self.spans.get_mut(place)) else {
            return;
        };
        *place = if place.0 == span { (span, place.1.saturating_add(count)) } else { (span, count) };
    }

    fn sum_at(&self, span: u64) -> u64 {
        let kept = self.spans.iter().filter(|(number, _)| span.saturating_sub(*number) < N as u64);
        kept.map(|(_, count)| *count).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_forgotten() {
        let mut recent = Recent::<3>::new(Duration::from_secs(1));
        for (span, sum) in [(0, 1), (0, 2), (1, 3), (2, 4), (3, 3), (9, 1)] {
            recent.add_at(span, 1);
            assert_eq!(recent.sum_at(span), sum, "in span {span}");
        }
        assert_eq!((recent.sum_at(11), recent.sum_at(12), recent.sum_at(u64::MAX)), (1, 0, 0));
    }
}
