//! Sets of indices, as ascending ranges: what is the same for many elements is done once for all of them.
//!
//! Invariant: ranges are ascending and disjoint, and none is empty.

/// First and last index of each range.
pub(crate) type Spans = Vec<(u32, u32)>;

/// Adds a range that lies behind all others; one that touches the last makes that longer.
pub(crate) fn push(spans: &mut Spans, first: u32, last: u32) {
    match spans.last_mut() {
        Some((_, end)) if first.checked_sub(1) == Some(*end) => *end = last,
        Some(_) | None => spans.push((first, last)),
    }
}

/// What is in both.
pub(crate) fn intersect(some: &[(u32, u32)], others: &[(u32, u32)]) -> Spans {
    let mut both = Spans::new();
    for (first, last) in some {
        for (from, to) in overlapping(others, *first, *last) {
            push(&mut both, *from.max(first), *to.min(last));
        }
    }
    both
}

/// What is in `some`, but not in `others`.
pub(crate) fn subtract(some: &[(u32, u32)], others: &[(u32, u32)]) -> Spans {
    let mut rest = Spans::new();
    for (first, last) in some {
        let mut next = Some(*first);
        for (from, to) in overlapping(others, *first, *last) {
            if let Some(begin) = next.filter(|begin| begin < from) {
                push(&mut rest, begin, from - 1);
            }
            next = to.checked_add(1);
        }
        if let Some(begin) = next.filter(|begin| begin <= last) {
            push(&mut rest, begin, *last);
        }
    }
    rest
}

/// How many indices there are.
pub(crate) fn count(spans: &[(u32, u32)]) -> u64 {
    spans.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
}

fn overlapping(spans: &[(u32, u32)], first: u32, last: u32) -> impl Iterator<Item = &(u32, u32)> {
    let begin = spans.partition_point(|(_, to)| *to < first);
    spans.iter().skip(begin).take_while(move |(from, _)| *from <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_and_are_taken_away() {
        type Set<'a> = &'a [(u32, u32)];
        let table: [(Set<'_>, Set<'_>, Set<'_>, Set<'_>); 6] = [
            (&[(1, 9)], &[], &[], &[(1, 9)]),
            (&[(1, 9)], &[(0, 20)], &[(1, 9)], &[]),
            (&[(1, 9)], &[(3, 4), (7, 12)], &[(3, 4), (7, 9)], &[(1, 2), (5, 6)]),
            (&[(1, 3), (5, 9)], &[(0, 1), (3, 6)], &[(1, 1), (3, 3), (5, 6)], &[(2, 2), (7, 9)]),
            (&[(0, 0)], &[(0, 0)], &[(0, 0)], &[]),
            (&[(7, u32::MAX)], &[(9, u32::MAX)], &[(9, u32::MAX)], &[(7, 8)]),
        ];
        for (some, others, both, rest) in table {
            assert_eq!((intersect(some, others), subtract(some, others)), (both.to_vec(), rest.to_vec()));
            assert_eq!(count(some), count(both) + count(rest));
        }
    }

    #[test]
    fn touching_ranges_become_one() {
        let mut spans = Spans::new();
        [(0, 0), (1, 3), (5, 6)].into_iter().for_each(|(first, last)| push(&mut spans, first, last));
        assert_eq!(spans, [(0, 3), (5, 6)]);
    }
}
