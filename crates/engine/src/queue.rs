//! What waits for a node.
//!
//! Requesters come in the order of what they have used. Elements of one of them that need the same
//! stand in one line, in order of rank; the lines are ordered by their heads. Start at [`Queue::push`].
//!
//! Invariant: no empty line and no requester without one; an element stands in one line at most.

use hivemind_model::spec::Need;
use hivemind_model::{ElementRef, NodeId, Resources, TaskId, UserId};
use hivemind_placement::{Input, Line, Queue as View, Rank, Turn, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// The waiting elements, by requester and by what they need.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Queue {
    requesters: BTreeMap<UserId, Requester>,
    turns: BTreeSet<Turn>,
    /// How many lines ask for each need.
    needs: BTreeMap<Need, usize>,
    /// What the elements of open tasks read, of those that read anything.
    inputs: BTreeMap<TaskId, Box<[Input]>>,
    len: usize,
}

/// What waits of one requester.
#[derive(Debug, Clone, Default, PartialEq)]
struct Requester {
    used: u128,
    lines: BTreeMap<Need, BTreeMap<Rank, Run>>,
    heads: BTreeSet<(Rank, Need)>,
}

/// Neighbouring elements of one task, from that of the rank where it stands. Only those that never
/// failed stand together.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    /// The index of the last of them.
    last: u32,
    failed_on: Vec<NodeId>,
    /// Copies of it are on nodes of these.
    not_owners: Vec<UserId>,
}

impl Run {
    fn len(&self, first: Rank) -> usize {
        (self.last - first.element().index) as usize + 1
    }
}

impl Queue {
    /// Notes what every element of a task reads, so that nodes that have it are preferred.
    pub(crate) fn set_inputs(&mut self, task: TaskId, inputs: Box<[Input]>) {
        if !inputs.is_empty() {
            self.inputs.insert(task, inputs);
        }
    }

    /// Forgets what the elements of a task that has ended read.
    pub(crate) fn forget_inputs(&mut self, task: TaskId) {
        self.inputs.remove(&task);
    }

    /// The tasks of which it is known what their elements read.
    pub(crate) fn with_inputs(&self) -> impl Iterator<Item = TaskId> {
        self.inputs.keys().copied()
    }

    /// Adds an element of a requester who has used so much, with the nodes where it failed.
    pub(crate) fn push(&mut self, turn: Turn, rank: Rank, need: &Need, failed_on: Vec<NodeId>) {
        self.add(turn, rank, need, Run { last: rank.element().index, failed_on, not_owners: Vec::new() });
    }

    /// Adds elements that were never tried, from that of `first` to that of the index `last`.
    pub(crate) fn push_run(&mut self, turn: Turn, first: Rank, last: u32, need: &Need) {
        self.add(turn, first, need, Run { last, failed_on: Vec::new(), not_owners: Vec::new() });
    }

    /// Adds a further copy of an element, that is not to run on nodes of these owners.
    pub(crate) fn push_copy(
        &mut self,
        turn: Turn,
        rank: Rank,
        need: &Need,
        failed_on: Vec<NodeId>,
        not_owners: Vec<UserId>,
    ) {
        self.add(turn, rank, need, Run { last: rank.element().index, failed_on, not_owners });
    }

    fn add(&mut self, turn: Turn, rank: Rank, need: &Need, run: Run) {
        self.move_turn(turn);
        let requester = self.requesters.entry(turn.user).or_default();
        if requester.lines.is_empty() {
            requester.used = turn.used;
            self.turns.insert(turn);
        }
        if !requester.lines.contains_key(need) {
            requester.lines.insert(need.clone(), BTreeMap::new());
            *self.needs.entry(need.clone()).or_default() += 1;
        }
        let Some(line) = requester.lines.get_mut(need) else { unreachable!("T7: a line that was opened is gone") };
        let head = line.keys().next().copied();
        self.len += run.len(rank);
        let twice = holding(line, rank).is_some() || line.insert(rank, run).is_some();
        assert!(!twice, "T3: {} waits twice", rank.element());
        if head.is_none_or(|head| rank < head) {
            if let Some(head) = head {
                requester.heads.remove(&(head, need.clone()));
            }
            requester.heads.insert((rank, need.clone()));
        }
    }

    /// Takes an element out; `None` where it does not wait.
    pub(crate) fn remove(&mut self, user: UserId, rank: Rank, need: &Need) -> Option<Vec<NodeId>> {
        let requester = self.requesters.get_mut(&user)?;
        let line = requester.lines.get_mut(need)?;
        let first = holding(line, rank)?;
        let head = line.keys().next().copied();
        let run = line.remove(&first)?;
        let index = rank.element().index;
        if first < rank {
            line.insert(first, Run { last: index - 1, failed_on: Vec::new(), not_owners: Vec::new() });
        }
        if index < run.last {
            line.insert(rank.of(index + 1), Run { last: run.last, failed_on: Vec::new(), not_owners: Vec::new() });
        }
        self.len -= 1;
        self.tidy(user, head, need);
        Some(run.failed_on)
    }

    /// Takes the elements of a task out that wait, from that of the rank `first` to that of the index `last`.
    pub(crate) fn remove_span(&mut self, user: UserId, first: Rank, last: u32, need: &Need) {
        let Some(line) = self.requesters.get_mut(&user).and_then(|requester| requester.lines.get_mut(need)) else {
            return;
        };
        let head = line.keys().next().copied();
        let mut firsts: Vec<Rank> = line.range(first..=first.of(last)).map(|(first, _)| *first).collect();
        firsts.extend(holding(line, first).filter(|begin| *begin < first));
        for begin in firsts {
            let Some(run) = line.remove(&begin) else { continue };
            self.len -= run.len(begin);
            if begin < first {
                let before = Run { last: first.element().index - 1, failed_on: Vec::new(), not_owners: Vec::new() };
                self.len += before.len(begin);
                line.insert(begin, before);
            }
            if run.last > last {
                let behind = first.of(last + 1);
                self.len += run.len(behind);
                line.insert(behind, run);
            }
        }
        self.tidy(user, head, need);
    }

    /// Brings heads, lines and turns in line with a line that had `head` and lost something.
    fn tidy(&mut self, user: UserId, head: Option<Rank>, need: &Need) {
        let Some(requester) = self.requesters.get_mut(&user) else { return };
        let now = requester.lines.get(need).and_then(|line| line.keys().next().copied());
        if now != head {
            if let Some(head) = head {
                requester.heads.remove(&(head, need.clone()));
            }
            match now {
                Some(now) => drop(requester.heads.insert((now, need.clone()))),
                None => {
                    requester.lines.remove(need);
                    if let Some(lines) = self.needs.get_mut(need) {
                        *lines -= 1;
                    }
                    if self.needs.get(need) == Some(&0) {
                        self.needs.remove(need);
                    }
                }
            }
        }
        if requester.lines.is_empty() {
            self.turns.remove(&Turn { used: requester.used, user });
            self.requesters.remove(&user);
        }
    }

    /// True where the element waits.
    pub(crate) fn has(&self, user: UserId, rank: Rank, need: &Need) -> bool {
        let line = self.requesters.get(&user).and_then(|requester| requester.lines.get(need));
        line.is_some_and(|line| holding(line, rank).is_some())
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
        let runs = lines.flat_map(|line| line.range(..rank));
        let before = |(first, run): (&Rank, &Run)| {
            let within = first.element().task == rank.element().task && run.last >= rank.element().index;
            if within { (rank.element().index - first.element().index) as usize } else { run.len(*first) }
        };
        runs.take(most).map(before).fold(0, usize::saturating_add).min(most)
    }

    /// Number of waiting elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Every waiting element with its need, in no particular order.
    pub(crate) fn elements(&self) -> impl Iterator<Item = (ElementRef, &Need)> {
        let lines = self.requesters.values().flat_map(|requester| &requester.lines);
        lines.flat_map(|(need, line)| {
            let indices = line
                .iter()
                .flat_map(|(first, run)| (first.element().index..=run.last).map(|index| first.of(index).element()));
            indices.map(move |element| (element, need))
        })
    }
}

/// Where the run stands that holds `rank`.
fn holding(line: &BTreeMap<Rank, Run>, rank: Rank) -> Option<Rank> {
    let (first, run) = line.range(..=rank).next_back()?;
    let same = first.element().task == rank.element().task && first.of(rank.element().index) == rank;
    (same && run.last >= rank.element().index).then_some(*first)
}

impl View for Queue {
    fn turns(&self, from: Option<Turn>) -> Box<dyn Iterator<Item = Turn> + '_> {
        match from {
            None => Box::new(self.turns.iter().copied()),
            Some(from) => Box::new(self.turns.range(from..).copied()),
        }
    }

    fn least(&self) -> Resources {
        let all = self.needs.keys().map(|need| need.resources);
        let smaller = |a: Resources, b: Resources| Resources {
            cpu: a.cpu.min(b.cpu),
            memory: a.memory.min(b.memory),
            disk: a.disk.min(b.disk),
            gpus: a.gpus.min(b.gpus),
        };
        all.reduce(smaller).unwrap_or_default()
    }

    fn lines(&self, user: UserId, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_> {
        let Some(requester) = self.requesters.get(&user) else { return Box::new(std::iter::empty()) };
        let heads: Box<dyn Iterator<Item = &(Rank, Need)>> = match from {
            None => Box::new(requester.heads.iter()),
            Some(from) => Box::new(requester.heads.range((from, Need::default())..)),
        };
        Box::new(heads.filter_map(|(head, need)| {
            let line = requester.lines.get(need)?;
            let waiting = line.iter().flat_map(|(first, run)| {
                let indices = first.element().index..=run.last;
                let inputs: &[Input] = self.inputs.get(&first.element().task).map_or(&[], |inputs| inputs);
                indices.map(move |index| Waiting {
                    rank: first.of(index),
                    failed_on: &run.failed_on,
                    not_owners: &run.not_owners,
                    inputs,
                })
            });
            Some(Line { need: need.clone(), head: *head, waiting: Box::new(waiting) })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::{Bytes, MilliCores, Timestamp};

    fn need(cores: u32) -> Need {
        let cpu = MilliCores::from_cores(cores);
        let resources = Resources { cpu, memory: Bytes(1), disk: Bytes(1), gpus: 0 };
        Need { resources, ..Need::default() }
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
            queue.push(anna, rank(priority, task), &need(cores), Vec::new());
        }
        queue.push(Turn { used: 7, user: UserId(2) }, rank(10, 5), &need(1), Vec::new());
        assert_eq!(shown(&queue), ["user_1: [[3, 2], [1, 4]]", "user_2: [[5]]"]);
        queue.move_turn(Turn { used: 8, ..anna });
        queue.move_turn(Turn { used: 8, user: UserId(3) });
        assert_eq!(queue.remove(UserId(1), rank(9, 3), &need(2)), Some(Vec::new()));
        assert_eq!(shown(&queue), ["user_2: [[5]]", "user_1: [[1, 4], [2]]"]);
        assert_eq!(queue.remove(UserId(1), rank(5, 2), &need(1)), None);
        assert_eq!(queue.remove(UserId(2), rank(10, 5), &need(1)), Some(Vec::new()));
        assert_eq!((shown(&queue), queue.len()), (vec!["user_1: [[1, 4], [2]]".into()], 3));
    }

    #[test]
    fn a_run_gives_its_elements_one_by_one() {
        let mut queue = Queue::default();
        let anna = Turn { used: 0, user: UserId(1) };
        let at = |index| Rank::new(5, Timestamp(0), ElementRef { task: TaskId(1), index });
        let left = |queue: &Queue| queue.elements().map(|(element, _)| element.index).collect::<Vec<_>>();
        queue.push_run(anna, at(1), 6, &need(1));
        queue.push(anna, rank(5, 2), &need(1), vec![NodeId(7)]);
        assert_eq!(
            (queue.len(), queue.own_before(UserId(1), at(4), 9), queue.own_before(UserId(1), rank(5, 2), 9)),
            (7, 3, 6)
        );
        assert!(queue.has(UserId(1), at(6), &need(1)) && !queue.has(UserId(1), at(7), &need(1)));
        for index in [1, 4, 6] {
            assert_eq!(queue.remove(UserId(1), at(index), &need(1)), Some(Vec::new()));
            assert_eq!(queue.remove(UserId(1), at(index), &need(1)), None);
        }
        assert_eq!((left(&queue), queue.len()), (vec![2, 3, 5, 0], 4));
        queue.remove_span(UserId(1), at(0), u32::MAX, &need(1));
        assert_eq!((left(&queue), queue.len()), (vec![0], 1));
        assert_eq!(queue.remove(UserId(1), rank(5, 2), &need(1)), Some(vec![NodeId(7)]));
        assert_eq!((queue.len(), queue.turns(None).count()), (0, 0));
    }

    #[test]
    fn a_span_is_cut_out_of_runs() {
        let anna = Turn { used: 0, user: UserId(1) };
        let at = |index| Rank::new(5, Timestamp(0), ElementRef { task: TaskId(1), index });
        let left = |first, last| {
            let mut queue = Queue::default();
            queue.push_run(anna, at(1), 6, &need(1));
            queue.push_run(anna, at(8), 9, &need(1));
            queue.push(anna, rank(5, 2), &need(1), Vec::new());
            queue.remove_span(UserId(1), at(first), last, &need(1));
            let left: Vec<u32> = queue.elements().map(|(element, _)| element.index).collect();
            assert_eq!(left.len(), queue.len());
            left
        };
        assert_eq!(left(0, 0), [1, 2, 3, 4, 5, 6, 8, 9, 0]);
        assert_eq!(left(0, 2), [3, 4, 5, 6, 8, 9, 0]);
        assert_eq!(left(3, 4), [1, 2, 5, 6, 8, 9, 0]);
        assert_eq!(left(6, 8), [1, 2, 3, 4, 5, 9, 0]);
        assert_eq!(left(1, 9), [0]);
    }
}
