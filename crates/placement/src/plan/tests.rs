use super::*;
use crate::{Queue, WhyWaiting, explain};
use hivemind_model::{Bytes, ElementRef, Level, MilliCores, TaskId};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn size(cores: u32, mib: u64, gpus: u32) -> Resources {
    Resources { cpu: MilliCores::from_cores(cores), memory: Bytes::from_mib(mib), disk: Bytes::from_mib(1), gpus }
}

fn need(cores: u32, mib: u64, gpus: u32) -> Need {
    Need { resources: size(cores, mib, gpus), level: Level::None }
}

fn node(id: u64, capacity: Resources, free: Resources) -> NodeView {
    let disk = Bytes::from_gib(100);
    NodeView {
        id: NodeId(id),
        capacity: Resources { disk, ..capacity },
        free: Resources { disk, ..free },
        level: Level::None,
    }
}

#[derive(Default)]
struct Waits(BTreeMap<Need, BTreeMap<Rank, Vec<NodeId>>>);

impl Waits {
    fn add(&mut self, task: u64, priority: u8, need: Need, failed_on: &[u64]) {
        let rank = Rank::new(priority, ElementRef::only(TaskId(task)));
        self.0.entry(need).or_default().insert(rank, failed_on.iter().copied().map(NodeId).collect());
    }
}

impl Queue for Waits {
    fn lines(&self, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_> {
        let head = |line: &BTreeMap<Rank, Vec<NodeId>>| *line.keys().next().expect("no empty lines");
        let mut lines: Vec<_> = self.0.iter().map(|(need, line)| (head(line), *need, line)).collect();
        lines.sort_by_key(|(head, need, _)| (*head, *need));
        Box::new(lines.into_iter().filter(move |(head, _, _)| from.is_none_or(|from| *head >= from)).map(
            |(head, need, line)| Line {
                need,
                head,
                waiting: Box::new(line.iter().map(|(rank, failed_on)| Waiting { rank: *rank, failed_on })),
            },
        ))
    }
}

fn run(nodes: &[NodeView], queue: &Waits, bounds: Bounds, seed: u64) -> Plan {
    plan(&Snapshot { nodes: nodes.to_vec(), queue, resume: None }, bounds, seed)
}

fn shown(plan: &Plan) -> String {
    plan.placements.iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "{}>{} ", line.element.task.0, line.node.0);
        text
    })
}

#[test]
fn urgent_then_older_first() {
    let mut queue = Waits::default();
    queue.add(1, 5, need(1, 10, 0), &[]);
    queue.add(2, 5, need(2, 10, 0), &[]);
    queue.add(3, 9, need(1, 10, 0), &[]);
    queue.add(4, 5, need(1, 10, 0), &[]);
    let size = size(4, 1000, 0);
    assert_eq!(shown(&run(&[node(1, size, size)], &queue, Bounds::default(), 0)), "3>1 1>1 2>1 ");
}

#[test]
fn the_tightest_fit_wins_and_gpus_are_kept_for_those_who_need_them() {
    let mut queue = Waits::default();
    queue.add(1, 5, need(2, 10, 0), &[]);
    queue.add(2, 5, need(1, 10, 1), &[]);
    let nodes = [
        node(1, size(8, 1000, 0), size(8, 1000, 0)),
        node(2, size(8, 1000, 0), size(3, 1000, 0)),
        node(3, size(8, 1000, 2), size(2, 1000, 2)),
    ];
    assert_eq!(shown(&run(&nodes, &queue, Bounds::default(), 0)), "1>2 2>3 ");
}

#[test]
fn a_node_where_it_failed_is_the_last_choice() {
    let size = size(1, 1000, 0);
    let nodes = [node(1, size, size), node(2, size, size)];
    for (failed_on, expected) in
        [(vec![1], "1>2 "), (vec![2], "1>1 "), (vec![1, 1, 2], "1>2 "), (vec![1, 2, 2], "1>1 ")]
    {
        let mut queue = Waits::default();
        queue.add(1, 5, need(1, 10, 0), &failed_on);
        for seed in 0..8 {
            assert_eq!(shown(&run(&nodes, &queue, Bounds::default(), seed)), expected, "failed on {failed_on:?}");
        }
    }
}

#[test]
fn the_seed_spreads_over_equal_nodes() {
    let size = size(1, 1000, 0);
    let nodes: Vec<_> = (1..=4).map(|id| node(id, size, size)).collect();
    let mut queue = Waits::default();
    queue.add(1, 5, need(1, 10, 0), &[]);
    let mut chosen: Vec<String> = (0..64).map(|seed| shown(&run(&nodes, &queue, Bounds::default(), seed))).collect();
    chosen.sort();
    chosen.dedup();
    assert_eq!(chosen, ["1>1 ", "1>2 ", "1>3 ", "1>4 "]);
}

#[test]
fn lines_that_never_fit_do_not_hide_those_behind_them() {
    let size = size(1, 1000, 0);
    let nodes = [node(1, size, size)];
    let mut queue = Waits::default();
    for task in 1..=10 {
        queue.add(task, 5, need(10 + u32::try_from(task).expect("small"), 10, 0), &[]);
    }
    queue.add(11, 5, need(1, 10, 0), &[]);
    let bounds = Bounds { lines: 2, ..Bounds::default() };
    let mut resume = None;
    for pass in 1.. {
        assert!(pass < 20, "task 11 starves");
        let plan = plan(&Snapshot { nodes: nodes.to_vec(), queue: &queue, resume }, bounds, 0);
        if shown(&plan) == "11>1 " {
            break;
        }
        assert!(plan.resume.is_some(), "the pass says that there is more");
        resume = plan.resume;
    }
}

#[test]
fn a_pass_takes_no_more_than_its_bound() {
    let size = size(100, 1000, 0);
    let mut queue = Waits::default();
    (1..=10).for_each(|task| queue.add(task, 5, need(1, 10, 0), &[]));
    let plan = run(&[node(1, size, size)], &queue, Bounds { placements: 3, ..Bounds::default() }, 0);
    assert_eq!((shown(&plan).as_str(), plan.resume.is_some()), ("1>1 2>1 3>1 ", true));
}

#[test]
fn reasons_are_sentences() {
    let (small, large) = (size(2, 1024, 0), size(8, 4096, 0));
    let busy = |capacity| node(1, capacity, Resources::default());
    let text = |nodes: &[NodeView], need: Need| explain(nodes.iter().cloned(), &need).to_string();
    let reasons = [
        text(&[], need(2, 1024, 0)),
        text(&[busy(small)], need(16, 512, 1)),
        text(&[busy(size(1, 4096, 0)), busy(size(8, 64, 0))], need(4, 1024, 0)),
        text(&[busy(small), busy(large)], need(4, 1024, 0)),
        text(&[busy(large), busy(large)], need(4, 1024, 0)),
    ];
    insta::assert_snapshot!(reasons.join("\n"), @r"
    no node is linked; the task starts when one joins
    no node is big enough: it needs 16 cores, the largest has 2 cores, it needs 1 GPU, the largest has 0; ask for less or wait for a larger node
    no node is big enough: it needs 4 cores, 1 GiB memory, 1 MiB disk on one node; ask for less or wait for a larger node
    the only node that is big enough is busy
    all 2 nodes that are big enough are busy
    ");
    assert_eq!(explain([node(1, large, large)], &need(2, 1024, 0)), WhyWaiting::Next);
}

#[test]
fn a_level_that_is_asked_for_is_a_bound_and_a_preferred_one_breaks_ties_only() {
    let at = |id, level, free| NodeView { level, ..node(id, size(8, 1000, 0), free) };
    let (idle, half) = (size(8, 1000, 0), size(4, 1000, 0));
    let gold = Need { level: Level::Gold, ..need(1, 10, 0) };
    for (nodes, need, expected) in [
        (vec![at(1, Level::Bronze, idle), at(2, Level::Silver, idle)], need(1, 10, 0), "1>2 "),
        (vec![at(1, Level::Bronze, half), at(2, Level::Diamond, idle)], need(1, 10, 0), "1>1 "),
        (vec![at(1, Level::Silver, half), at(2, Level::Gold, idle)], gold, "1>2 "),
        (vec![at(1, Level::Silver, idle)], gold, ""),
    ] {
        let mut queue = Waits::default();
        queue.add(1, 5, need, &[]);
        for seed in 0..8 {
            assert_eq!(shown(&run(&nodes, &queue, Bounds::default(), seed)), expected, "{nodes:?}");
        }
    }
    let why = |nodes: &[NodeView]| explain(nodes.iter().cloned(), &gold).to_string();
    insta::assert_snapshot!([why(&[at(1, Level::None, idle)]), why(&[at(1, Level::Silver, idle)])].join("\n"), @r"
    it needs a node of level gold, and none that is big enough has any level; ask for less or wait for one
    it needs a node of level gold, the best that is big enough is silver; ask for less or wait for one
    ");
}

fn sizes() -> impl Strategy<Value = Resources> {
    (1u32..5, 1u64..5, 0u32..2).prop_map(|(cores, mib, gpus)| size(cores, mib * 100, gpus))
}

proptest! {
    #[test]
    fn a_plan_fits_is_repeatable_and_leaves_nothing_that_fits(
        nodes in proptest::collection::vec((sizes(), 1u32..4), 0..6),
        tasks in proptest::collection::vec((sizes(), 1u8..=10, proptest::collection::vec(1u64..6, 0..3)), 0..30),
        seed: u64,
    ) {
        let nodes: Vec<NodeView> = (1..).zip(nodes).map(|(id, (size, times))| {
            let grown = Resources { cpu: MilliCores(size.cpu.0 * times), ..size };
            node(id, grown, grown)
        }).collect();
        let mut queue = Waits::default();
        let mut needs = BTreeMap::new();
        for (id, (need, priority, failed_on)) in (1..).zip(tasks) {
            queue.add(id, priority, Need { resources: need, level: Level::None }, &failed_on);
            needs.insert(TaskId(id), need);
        }
        let plan = run(&nodes, &queue, Bounds::default(), seed);
        prop_assert_eq!(&plan, &run(&nodes, &queue, Bounds::default(), seed));
        let mut free: BTreeMap<NodeId, Resources> = nodes.iter().map(|node| (node.id, node.free)).collect();
        for line in &plan.placements {
            let need = needs.remove(&line.element.task).expect("placed once");
            let left = free[&line.node].checked_sub(&need);
            free.insert(line.node, left.expect("within what is free"));
        }
        for need in needs.values() {
            prop_assert!(!free.values().any(|left| left.covers(need)), "{} would have fitted", need);
        }
    }
}
