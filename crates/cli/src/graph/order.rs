//! Whether tasks wait for one another in a circle.
//!
//! Invariant: no recursion, so that no graph is too deep.

use super::Node;
use std::collections::BTreeMap;

/// The names on a circle, the first again at its end; `None` where there is no circle. Ids of
/// tasks outside of the graph were there before it and can be on none.
pub(super) fn circle(nodes: &[Node], places: &BTreeMap<String, usize>) -> Option<Vec<String>> {
    let index: BTreeMap<&str, usize> =
        nodes.iter().enumerate().map(|(place, node)| (node.name.as_str(), place)).collect();
    let waits_for = |place: usize| -> Vec<usize> {
        let names = nodes.get(place).into_iter().flat_map(|node| &node.after).map(|on| on.task_id.as_str());
        names.filter(|name| places.contains_key(*name)).filter_map(|name| index.get(name).copied()).collect()
    };
    let mut is_done = vec![false; nodes.len()];
    for start in 0..nodes.len() {
        // The way from the start, each with what of it is still to be looked at.
        let mut way: Vec<(usize, Vec<usize>)> = vec![(start, waits_for(start))];
        let mut on_way = BTreeMap::from([(start, 0usize)]);
        if is_done.get(start).copied().unwrap_or(true) {
            continue;
        }
        while let Some((place, left)) = way.last_mut() {
            let place = *place;
            let Some(next) = left.pop() else {
                way.pop();
                on_way.remove(&place);
                if let Some(done) = is_done.get_mut(place) {
                    *done = true;
                }
                continue;
            };
            if let Some(from) = on_way.get(&next) {
                let circle = way.iter().skip(*from).map(|(place, _)| *place).chain([next]);
                return Some(circle.filter_map(|place| nodes.get(place)).map(|node| node.name.clone()).collect());
            }
            if !is_done.get(next).copied().unwrap_or(true) {
                on_way.insert(next, way.len());
                way.push((next, waits_for(next)));
            }
        }
    }
    None
}
