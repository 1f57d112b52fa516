//! What waits for a node.
//!
//! Elements that need the same stand in one line, in order of rank; the lines are ordered by
//! their heads. Start at [`Queue::push`].
//!
//! Invariant: no empty line; an element stands in one line at most.

use hivemind_model::spec::Need;
use hivemind_model::{ElementRef, NodeId};
use hivemind_placement::{Line, Queue as View, Rank, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// The waiting elements, by what they need.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Queue {
    lines: BTreeMap<Need, BTreeMap<Rank, Vec<NodeId>>>,
    heads: BTreeSet<(Rank, Need)>,
    len: usize,
}

impl Queue {
    /// Adds an element, with the nodes where it failed.
    pub(crate) fn push(&mut self, rank: Rank, need: Need, failed_on: Vec<NodeId>) {
        let line = self.lines.entry(need).or_default();
        let head = line.keys().next().copied();
        assert!(line.insert(rank, failed_on).is_none(), "T3: {} waits twice", rank.element());
        self.len += 1;
        if head.is_none_or(|head| rank < head) {
            if let Some(head) = head {
                self.heads.remove(&(head, need));
            }
            self.heads.insert((rank, need));
        }
    }

    /// Takes an element out; `None` where it does not wait.
    pub(crate) fn remove(&mut self, rank: Rank, need: Need) -> Option<Vec<NodeId>> {
        let line = self.lines.get_mut(&need)?;
        let was_head = line.keys().next() == Some(&rank);
        let failed_on = line.remove(&rank)?;
        self.len -= 1;
        if was_head {
            self.heads.remove(&(rank, need));
            match line.keys().next() {
                Some(head) => drop(self.heads.insert((*head, need))),
                None => drop(self.lines.remove(&need)),
            }
        }
        Some(failed_on)
    }

    /// Number of waiting elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Every waiting element with its need, in no particular order.
    pub(crate) fn elements(&self) -> impl Iterator<Item = (ElementRef, Need)> {
        self.lines.iter().flat_map(|(need, line)| line.keys().map(|rank| (rank.element(), *need)))
    }
}

impl View for Queue {
    fn lines(&self, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_> {
        let heads: Box<dyn Iterator<Item = &(Rank, Need)>> = match from {
            None => Box::new(self.heads.iter()),
            Some(from) => Box::new(self.heads.range((from, Need::default())..)),
        };
        Box::new(heads.filter_map(|(head, need)| {
            let line = self.lines.get(need)?;
            let waiting = line.iter().map(|(rank, failed_on)| Waiting { rank: *rank, failed_on });
            Some(Line { need: *need, head: *head, waiting: Box::new(waiting) })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{Bytes, Level, MilliCores, Resources, TaskId};

    #[test]
    fn lines_come_in_order_of_their_heads() {
        let size = |cores| Resources { cpu: MilliCores::from_cores(cores), memory: Bytes(1), disk: Bytes(1), gpus: 0 };
        let need = |cores| Need { resources: size(cores), level: Level::None };
        let rank = |priority, task| Rank::new(priority, ElementRef::only(TaskId(task)));
        let mut queue = Queue::default();
        for (priority, task, cores) in [(5, 1, 1), (5, 2, 2), (9, 3, 2), (5, 4, 1)] {
            queue.push(rank(priority, task), need(cores), Vec::new());
        }
        let shown = |queue: &Queue| {
            let lines = queue
                .lines(None)
                .map(|line| line.waiting.map(|waiting| waiting.rank.element().task.0).collect::<Vec<_>>());
            lines.collect::<Vec<_>>()
        };
        assert_eq!(shown(&queue), [vec![3, 2], vec![1, 4]]);
        assert_eq!(queue.remove(rank(9, 3), need(2)), Some(Vec::new()));
        assert_eq!(shown(&queue), [vec![1, 4], vec![2]]);
        assert_eq!(queue.remove(rank(5, 2), need(1)), None);
        assert_eq!(queue.remove(rank(5, 2), need(2)), Some(Vec::new()));
        assert_eq!((shown(&queue), queue.len()), (vec![vec![1, 4]], 2));
    }
}
