//! What waits for a node.
//!
//! Requesters come in the order of what they have used. Elements of one of them that need the same
//! stand in one line, in order of rank; the lines are ordered by their heads. Start at [`Queue::push`].
//!
//! Invariant: no empty line and no requester without one; an element stands in one line at most.

use hivemind_model::spec::Need;
use hivemind_model::{ElementRef, NodeId, UserId};
use hivemind_placement::{Line, Queue as View, Rank, Turn, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// The waiting elements, by requester and by what they need.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Queue {
    requesters: BTreeMap<UserId, Requester>,
    turns: BTreeSet<Turn>,
    len: usize,
}

/// What waits of one requester.
#[derive(Debug, Clone, Default, PartialEq)]
struct Requester {
    used: u128,
    lines: BTreeMap<Need, BTreeMap<Rank, Vec<NodeId>>>,
    heads: BTreeSet<(Rank, Need)>,
}

impl Queue {
    /// Adds an element of a requester who has used so much, with the nodes where it failed.
    pub(crate) fn push(&mut self, turn: Turn, rank: Rank, need: Need, failed_on: Vec<NodeId>) {
        self.move_turn(turn);
        let requester = self.requesters.entry(turn.user).or_default();
        if requester.lines.is_empty() {
            requester.used = turn.used;
            self.turns.insert(turn);
        }
        let line = requester.lines.entry(need).or_default();
        let head = line.keys().next().copied();
        assert!(line.insert(rank, failed_on).is_none(), "T3: {} waits twice", rank.element());
        self.len += 1;
        if head.is_none_or(|head| rank < head) {
            if let Some(head) = head {
                requester.heads.remove(&(head, need));
            }
            requester.heads.insert((rank, need));
        }
    }

    /// Takes an element out; `None` where it does not wait.
    pub(crate) fn remove(&mut self, user: UserId, rank: Rank, need: Need) -> Option<Vec<NodeId>> {
        let requester = self.requesters.get_mut(&user)?;
        let line = requester.lines.get_mut(&need)?;
        let was_head = line.keys().next() == Some(&rank);
        let failed_on = line.remove(&rank)?;
        self.len -= 1;
        if was_head {
            requester.heads.remove(&(rank, need));
            match line.keys().next() {
                Some(head) => drop(requester.heads.insert((*head, need))),
                None => drop(requester.lines.remove(&need)),
            }
        }
        if requester.lines.is_empty() {
            self.turns.remove(&Turn { used: requester.used, user });
            self.requesters.remove(&user);
        }
        Some(failed_on)
    }

    /// True where the element waits.
    pub(crate) fn has(&self, user: UserId, rank: Rank, need: Need) -> bool {
        let line = self.requesters.get(&user).and_then(|requester| requester.lines.get(&need));
        line.is_some_and(|line| line.contains_key(&rank))
    }

    /// Moves a requester to the place that what they have used gives them, if they have something waiting.
    pub(crate) fn move_turn(&mut self, turn: Turn) {
        let Some(requester) = self.requesters.get_mut(&turn.user).filter(|requester| requester.used != turn.used)
        else {
            return;
        };
        self.turns.remove(&Turn { used: requester.used, user: turn.user });
        requester.used = turn.used;
        self.turns.insert(turn);
    }

    /// Everybody who has something waiting.
    pub(crate) fn users(&self) -> Vec<UserId> {
        self.requesters.keys().copied().collect()
    }

    /// How many requesters come before `user`, no more than `most`.
    pub(crate) fn turns_before(&self, user: UserId, most: usize) -> usize {
        let Some(requester) = self.requesters.get(&user) else { return 0 };
        self.turns.range(..Turn { used: requester.used, user }).take(most).count()
    }

    /// How many elements of `user` come before `rank`, no more than `most`.
    pub(crate) fn own_before(&self, user: UserId, rank: Rank, most: usize) -> usize {
        let Some(requester) = self.requesters.get(&user) else { return 0 };
        let lines = requester.heads.range(..(rank, Need::default())).filter_map(|(_, need)| requester.lines.get(need));
        lines.flat_map(|line| line.range(..rank)).take(most).count()
    }

    /// Number of waiting elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Every waiting element with its need, in no particular order.
    pub(crate) fn elements(&self) -> impl Iterator<Item = (ElementRef, Need)> {
        let lines = self.requesters.values().flat_map(|requester| &requester.lines);
        lines.flat_map(|(need, line)| line.keys().map(|rank| (rank.element(), *need)))
    }
}

impl View for Queue {
    fn turns(&self, from: Option<Turn>) -> Box<dyn Iterator<Item = Turn> + '_> {
        match from {
            None => Box::new(self.turns.iter().copied()),
            Some(from) => Box::new(self.turns.range(from..).copied()),
        }
    }

    fn lines(&self, user: UserId, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_> {
        let Some(requester) = self.requesters.get(&user) else { return Box::new(std::iter::empty()) };
        let heads: Box<dyn Iterator<Item = &(Rank, Need)>> = match from {
            None => Box::new(requester.heads.iter()),
            Some(from) => Box::new(requester.heads.range((from, Need::default())..)),
        };
        Box::new(heads.filter_map(|(head, need)| {
            let line = requester.lines.get(need)?;
            let waiting = line.iter().map(|(rank, failed_on)| Waiting { rank: *rank, failed_on });
            Some(Line { need: *need, head: *head, waiting: Box::new(waiting) })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{Bytes, Level, MilliCores, Resources, TaskId, Timestamp};

    fn need(cores: u32) -> Need {
        let cpu = MilliCores::from_cores(cores);
        Need { resources: Resources { cpu, memory: Bytes(1), disk: Bytes(1), gpus: 0 }, level: Level::None }
    }

    fn rank(priority: u8, task: u64) -> Rank {
        Rank::new(priority, Timestamp(0), ElementRef::only(TaskId(task)))
    }

    /// One line per requester, in order of turn.
    fn shown(queue: &Queue) -> Vec<String> {
        let tasks = |line: Line<'_>| line.waiting.map(|waiting| waiting.rank.element().task.0).collect::<Vec<_>>();
        let line =
            |turn: Turn| format!("{}: {:?}", turn.user, queue.lines(turn.user, None).map(tasks).collect::<Vec<_>>());
        queue.turns(None).map(line).collect()
    }

    #[test]
    fn lines_come_in_order_of_their_heads_and_requesters_of_what_they_used() {
        let mut queue = Queue::default();
        let anna = Turn { used: 5, user: UserId(1) };
        for (priority, task, cores) in [(5, 1, 1), (5, 2, 2), (9, 3, 2), (5, 4, 1)] {
            queue.push(anna, rank(priority, task), need(cores), Vec::new());
        }
        queue.push(Turn { used: 7, user: UserId(2) }, rank(10, 5), need(1), Vec::new());
        assert_eq!(shown(&queue), ["user_1: [[3, 2], [1, 4]]", "user_2: [[5]]"]);
        queue.move_turn(Turn { used: 8, ..anna });
        queue.move_turn(Turn { used: 8, user: UserId(3) });
        assert_eq!(queue.remove(UserId(1), rank(9, 3), need(2)), Some(Vec::new()));
        assert_eq!(shown(&queue), ["user_2: [[5]]", "user_1: [[1, 4], [2]]"]);
        assert_eq!(queue.remove(UserId(1), rank(5, 2), need(1)), None);
        assert_eq!(queue.remove(UserId(2), rank(10, 5), need(1)), Some(Vec::new()));
        assert_eq!((shown(&queue), queue.len()), (vec!["user_1: [[1, 4], [2]]".into()], 3));
    }
}
