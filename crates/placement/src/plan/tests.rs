use super::*;
use crate::{Fleet, Input, Keys, NodeView, Queue, WhyWaiting, explain};
use hivemind_model::{
    Bytes, ElementRef, Isolation, Labels, Level, MilliCores, Millis, NodeId, Resources, TaskId, TrustTier,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

mod places;

fn size(cores: u32, mib: u64, gpus: u32) -> Resources {
    Resources { cpu: MilliCores::from_cores(cores), memory: Bytes::from_mib(mib), disk: Bytes::from_mib(1), gpus }
}

fn need(cores: u32, mib: u64, gpus: u32) -> Need {
    Need { resources: size(cores, mib, gpus), ..Need::default() }
}

fn node(id: u64, capacity: Resources, free: Resources) -> NodeView {
    let disk = Bytes::from_gib(100);
    let free = Resources { disk, ..free };
    NodeView { free, ..NodeView::plain(NodeId(id), UserId(1000 + id), Resources { disk, ..capacity }) }
}

/// What keeps an element from nodes, and draws it to them.
#[derive(Debug, Clone, Default)]
struct Wishes {
    failed_on: Vec<NodeId>,
    not_owners: Vec<UserId>,
    inputs: Vec<Input>,
}

/// What waits, by user and need, and what each user has used.
#[derive(Default)]
struct Waits {
    lines: BTreeMap<(UserId, Need), BTreeMap<Rank, Wishes>>,
    used: BTreeMap<UserId, u128>,
}

const NOW: Timestamp = Timestamp(1_000_000_000);

impl Waits {
    /// An element of user 1 that was handed in now.
    fn add(&mut self, task: u64, priority: u8, need: Need, failed_on: &[u64]) {
        let failed_on = failed_on.iter().copied().map(NodeId).collect();
        self.wish(task, priority, need, Wishes { failed_on, ..Wishes::default() });
    }

    fn wish(&mut self, task: u64, priority: u8, need: Need, wishes: Wishes) {
        let rank = Rank::new(priority, NOW, ElementRef::only(TaskId(task)));
        self.lines.entry((UserId(1), need)).or_default().insert(rank, wishes);
    }

    fn push(&mut self, user: u64, rank: Rank, need: Need) {
        self.lines.entry((UserId(user), need)).or_default().insert(rank, Wishes::default());
    }
}

impl Queue for Waits {
    fn turns(&self, from: Option<Turn>) -> Box<dyn Iterator<Item = Turn> + '_> {
        let users: BTreeSet<UserId> = self.lines.keys().map(|(user, _)| *user).collect();
        let used = |user| self.used.get(&user).copied().unwrap_or_default();
        let turns: BTreeSet<Turn> = users.into_iter().map(|user| Turn { used: used(user), user }).collect();
        Box::new(turns.into_iter().filter(move |turn| from.is_none_or(|from| *turn >= from)))
    }

    fn lines(&self, user: UserId, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_> {
        let head = |line: &BTreeMap<Rank, Wishes>| *line.keys().next().expect("no empty lines");
        let own = self.lines.iter().filter(|((whose, _), _)| *whose == user);
        let mut lines: Vec<_> = own.map(|((_, need), line)| (head(line), need.clone(), line)).collect();
        lines.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        Box::new(lines.into_iter().filter(move |(head, _, _)| from.is_none_or(|from| *head >= from)).map(
            |(head, need, line)| Line {
                need,
                head,
                waiting: Box::new(line.iter().map(|(rank, wishes)| {
                    let Wishes { failed_on, not_owners, inputs } = wishes;
                    Waiting { rank: *rank, failed_on, not_owners, inputs }
                })),
            },
        ))
    }
}

/// A core costs one.
fn cost(need: &Need) -> u128 {
    u128::from(need.resources.cpu.0 / 1000)
}

fn fleet(nodes: &[NodeView]) -> Fleet {
    nodes.iter().cloned().collect()
}

fn snapshot<'a>(fleet: &'a Fleet, queue: &'a Waits) -> Snapshot<'a> {
    Snapshot { fleet, queue, cost: &cost, reserve_before: Timestamp(0), reserved: None, resume: None }
}

fn run(nodes: &[NodeView], queue: &Waits, bounds: Bounds, seed: u64) -> Plan {
    plan(&snapshot(&fleet(nodes), queue), bounds, seed)
}

fn shown(plan: &Plan) -> String {
    plan.placements.iter().fold(String::new(), |mut text, line| {
        let arrow = if line.backlog { ">>" } else { ">" };
        let _ = write!(text, "{}{arrow}{} ", line.element.task.0, line.node.0);
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
    let (bounds, fleet) = (Bounds { lines: 2, ..Bounds::default() }, fleet(&nodes));
    let mut resume = None;
    for pass in 1.. {
        assert!(pass < 20, "task 11 starves");
        let plan = plan(&Snapshot { resume, ..snapshot(&fleet, &queue) }, bounds, 0);
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
fn who_has_used_less_comes_first_and_shares_even_out_within_a_pass() {
    let size = size(6, 1000, 0);
    let mut queue = Waits::default();
    for task in 1..=100 {
        queue.push(1, Rank::new(10, NOW, ElementRef::only(TaskId(task))), need(1, 10, 0));
    }
    for task in 201..=203 {
        queue.push(2, Rank::new(1, NOW, ElementRef::only(TaskId(task))), need(1, 10, 0));
    }
    let mut order = |used: u128| {
        queue.used.insert(UserId(1), used);
        shown(&run(&[node(1, size, size)], &queue, Bounds::default(), 0))
    };
    assert_eq!(order(0), "1>1 201>1 2>1 202>1 3>1 203>1 ");
    assert_eq!(order(2), "201>1 202>1 1>1 203>1 2>1 3>1 ", "priority counts among one's own only");
}

#[test]
fn what_is_old_enough_goes_before_what_is_urgent() {
    let size = size(1, 1000, 0);
    for (hours, expected) in [(3, "2>1 "), (5, "1>1 ")] {
        let mut queue = Waits::default();
        let since = NOW.before(Millis::from_secs(hours * 3600));
        queue.push(1, Rank::new(1, since, ElementRef::only(TaskId(1))), need(1, 10, 0));
        queue.push(1, Rank::new(5, NOW, ElementRef::only(TaskId(2))), need(1, 10, 0));
        assert_eq!(shown(&run(&[node(1, size, size)], &queue, Bounds::default(), 0)), expected, "{hours} h");
    }
}

#[test]
fn what_is_large_gets_a_node_kept_free() {
    let whole = size(4, 1000, 0);
    let (busy, idle) = (node(1, whole, size(1, 500, 0)), node(2, whole, size(3, 900, 0)));
    let mut queue = Waits::default();
    queue.add(1, 5, need(4, 10, 0), &[]);
    (2..=9).for_each(|task| queue.add(task, 1, need(1, 10, 0), &[]));
    let both = fleet(&[busy, idle.clone()]);
    let young = plan(&snapshot(&both, &queue), Bounds::default(), 0);
    assert_eq!((young.placements.len(), young.reserved), (4, None));
    let wait = Snapshot { reserve_before: NOW, ..snapshot(&both, &queue) };
    let old = plan(&wait, Bounds::default(), 0);
    let reserved = old.reserved.clone().expect("it has waited for long");
    assert_eq!((shown(&old).as_str(), reserved.node), ("2>1 ", NodeId(2)));
    // Nothing else goes there until there is room; then it is the first.
    let next = |nodes: &[NodeView]| {
        let fleet = fleet(nodes);
        plan(&Snapshot { reserved: old.reserved.clone(), ..snapshot(&fleet, &queue) }, Bounds::default(), 0)
    };
    let kept = next(&[idle]);
    assert_eq!((shown(&kept).as_str(), &kept.reserved), ("", &old.reserved));
    let served = next(&[node(2, whole, whole)]);
    assert_eq!((shown(&served).as_str(), served.reserved), ("1>2 ", None));
    // It has gone, or is too small by now: the others are not kept waiting for it.
    for nodes in [vec![], vec![node(2, size(3, 1000, 0), size(3, 1000, 0))]] {
        assert_eq!(next(&nodes).reserved, None, "{nodes:?}");
    }
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
    no node is linked and takes work; the task starts when one does
    no node is big enough: it needs 16 cores, the largest has 2 cores, it needs 1 GPU, the largest has 0; ask for less or wait for a larger node
    no node is big enough: it needs 4 cores, 1 GiB memory, 1 MiB disk on one node; ask for less or wait for a larger node
    the only node that is big enough is busy
    all 2 nodes that are big enough are busy
    ");
    assert_eq!(explain([node(1, large, large)], &need(2, 1024, 0)), WhyWaiting::Next);
    let labels = |texts: &[&str]| Labels::parse(texts).expect("labels");
    let suits = NodeView {
        labels: labels(&["arch=x86", "location=berlin"]),
        trust: TrustTier::Known,
        isolation: Isolation::Rootless,
        ..node(1, large, large)
    };
    let all = Need {
        labels: labels(&["location=berlin"]),
        trust: TrustTier::Proven,
        isolation: Isolation::Sandboxed,
        ..need(4, 1024, 0)
    };
    let nodes = [busy(large), suits];
    let reasons = [
        text(&nodes[..1], all.clone()),
        text(&nodes, Need { labels: labels(&["arch=arm64", "location=berlin"]), ..all.clone() }),
        text(&nodes, all.clone()),
        text(&nodes, Need { isolation: Isolation::Rootless, ..all.clone() }),
        text(&nodes, Need { isolation: Isolation::Basic, trust: TrustTier::Known, level: Level::Gold, ..all }),
    ];
    insta::assert_snapshot!(reasons.join("\n"), @"
    it needs a node with the label location=berlin, and none that is big enough has that; drop --label or wait for one
    it needs a node with the labels arch=arm64 and location=berlin, and none that is big enough has that; drop --label or wait for one
    it needs a node of isolation sandboxed, the best that would do otherwise is rootless; ask for less or wait for one
    it needs a node of trust proven, the best that would do otherwise is known; ask for less or wait for one
    it needs a node of level gold, and none that is big enough has any level; ask for less or wait for one
    ");
}

#[test]
fn a_level_that_is_asked_for_is_a_bound_and_a_preferred_one_breaks_ties_only() {
    let at = |id, level, free| NodeView { level, ..node(id, size(8, 1000, 0), free) };
    let (idle, half) = (size(8, 1000, 0), size(4, 1000, 0));
    let gold = Need { level: Level::Gold, ..need(1, 10, 0) };
    for (nodes, need, expected) in [
        (vec![at(1, Level::Bronze, idle), at(2, Level::Silver, idle)], need(1, 10, 0), "1>2 "),
        (vec![at(1, Level::Bronze, half), at(2, Level::Diamond, idle)], need(1, 10, 0), "1>1 "),
        (vec![at(1, Level::Silver, half), at(2, Level::Gold, idle)], gold.clone(), "1>2 "),
        (vec![at(1, Level::Silver, idle)], gold.clone(), ""),
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
            queue.add(id, priority, Need { resources: need, ..Need::default() }, &failed_on);
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
