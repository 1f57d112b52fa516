//! An order in which every task of a graph comes after those that it waits for.
//!
//! Start at [`order`]; the smallest place that can come next comes next, so that equal graphs have equal orders.
//!
//! Invariant: no recursion: a chain may be as long as a graph may be.

use std::collections::BTreeSet;

/// The places in an order that suits `after`, which has for each place those that it waits for.
///
/// # Errors
/// The places on a cycle, each waiting for the one that follows it, the last for the first.
pub(super) fn order(after: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut open: Vec<usize> = after.iter().map(Vec::len).collect();
    let mut dependants = vec![Vec::new(); after.len()];
    for (place, waits_for) in after.iter().enumerate() {
        waits_for.iter().for_each(|other| dependants[*other].push(place));
    }
    let mut ready: BTreeSet<usize> = (0..after.len()).filter(|place| open[*place] == 0).collect();
    let mut ordered = Vec::with_capacity(after.len());
    while let Some(place) = ready.pop_first() {
        ordered.push(place);
        for dependant in &dependants[place] {
            open[*dependant] -= 1;
            if open[*dependant] == 0 {
                ready.insert(*dependant);
            }
        }
    }
    if ordered.len() == after.len() { Ok(ordered) } else { Err(cycle(after, &open)) }
}

/// A cycle among the places that something open keeps from being ordered.
fn cycle(after: &[Vec<usize>], open: &[usize]) -> Vec<usize> {
    let mut seen_at = vec![None; after.len()];
    let mut path = Vec::new();
    let mut next = open.iter().position(|open| *open > 0);
    while let Some(place) = next {
        if let Some(begin) = seen_at[place] {
            return path.split_off(begin);
        }
        seen_at[place] = Some(path.len());
        path.push(place);
        // What could not be ordered waits for something else that could not.
        next = after[place].iter().copied().find(|other| open[*other] > 0);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_after_what_it_waits_for() {
        assert_eq!(order(&[]), Ok(vec![]));
        assert_eq!(order(&[vec![], vec![], vec![]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[vec![1, 2], vec![2], vec![]]), Ok(vec![2, 1, 0]));
        assert_eq!(order(&[vec![3], vec![], vec![0, 1], vec![]]), Ok(vec![1, 3, 0, 2]));
    }

    #[test]
    fn a_cycle_is_told_without_what_only_hangs_on_it() {
        assert_eq!(order(&[vec![0]]), Err(vec![0]));
        assert_eq!(order(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2]));
        assert_eq!(order(&[vec![], vec![0, 3], vec![1], vec![2], vec![3]]), Err(vec![1, 3, 2]));
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let count = 10_000;
        let chain: Vec<Vec<usize>> =
            (0..count).map(|place| (place + 1 < count).then_some(place + 1).into_iter().collect()).collect();
        assert_eq!(order(&chain), Ok((0..count).rev().collect()));
        let ring: Vec<Vec<usize>> = (0..count).map(|place| vec![(place + 1) % count]).collect();
        assert_eq!(order(&ring).map_err(|cycle| cycle.len()), Err(count));
    }
}
