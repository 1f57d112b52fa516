//! Microseconds per decision with 100,000 waiting elements: a full pass over an idle fleet, and passes over a full one in
//! which one node gets room at a time. Prints a table; the figure is its steady state with 10,000 nodes, 1,000 requesters
//! and 20 different needs.

use crate::report::Report;
use hivemind_model::spec::Need;
use hivemind_model::{Bytes, ElementRef, Labels, MilliCores, NodeId, Resources, TaskId, Timestamp, UserId};
use hivemind_placement::{Bounds, Cursor, Fleet, Line, NodeView, Queue, Rank, Snapshot, Turn, Waiting, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["placement_us"];

/// Nodes, requesters and needs of the figure.
const FIGURE: (u64, u64, u32) = (10_000, 1000, 20);
const WAITING: u64 = 100_000;
const NOW: Timestamp = Timestamp(1_000_000);
const ROUNDS: u64 = 20_000;

/// What waits, by requester and need.
struct Waits {
    lines: BTreeMap<UserId, BTreeMap<Need, BTreeSet<Rank>>>,
    heads: BTreeMap<UserId, BTreeSet<(Rank, Need)>>,
    whose: BTreeMap<ElementRef, (UserId, Need, Rank)>,
}

impl Waits {
    fn new(users: u64, needs: u32) -> Self {
        let mut waits = Self { lines: BTreeMap::new(), heads: BTreeMap::new(), whose: BTreeMap::new() };
        for task in 0..WAITING {
            let kind = u32::try_from(task / users % u64::from(needs)).unwrap_or_default();
            let rank = Rank::new(5, NOW, ElementRef::only(TaskId(task)));
            waits.add(UserId(task % users), need(kind), rank);
        }
        waits
    }

    fn add(&mut self, user: UserId, need: Need, rank: Rank) {
        self.whose.insert(rank.element(), (user, need.clone(), rank));
        self.change(user, need, |line| line.insert(rank));
    }

    fn remove(&mut self, element: ElementRef) -> Option<(UserId, Need)> {
        let (user, need, rank) = self.whose.remove(&element)?;
        self.change(user, need.clone(), |line| line.remove(&rank));
        Some((user, need))
    }

    fn change(&mut self, user: UserId, need: Need, change: impl Fn(&mut BTreeSet<Rank>) -> bool) {
        let line = self.lines.entry(user).or_default().entry(need.clone()).or_default();
        let heads = self.heads.entry(user).or_default();
        let before = line.first().copied();
        change(line);
        let after = line.first().copied();
        if before != after {
            before.map(|head| heads.remove(&(head, need.clone())));
            after.map(|head| heads.insert((head, need)));
        }
    }
}

impl Queue for Waits {
    fn turns(&self, from: Option<Turn>) -> Box<dyn Iterator<Item = Turn> + '_> {
        let first = from.map_or(UserId(0), |from| from.user);
        Box::new(self.lines.range(first..).map(|(user, _)| Turn { used: 0, user: *user }))
    }

    fn lines(&self, user: UserId, from: Option<Rank>) -> Box<dyn Iterator<Item = Line<'_>> + '_> {
        let Some((lines, heads)) = self.lines.get(&user).zip(self.heads.get(&user)) else {
            return Box::new(std::iter::empty());
        };
        let heads = heads.iter().filter(move |(head, _)| from.is_none_or(|from| *head >= from));
        Box::new(heads.filter_map(move |(head, need)| {
            let waiting = Box::new(lines.get(need)?.iter().map(|rank| Waiting::anywhere(*rank)));
            Some(Line { need: need.clone(), head: *head, waiting })
        }))
    }

    fn least(&self) -> Resources {
        need(0).resources
    }
}

fn need(kind: u32) -> Need {
    let memory = Bytes::from_mib(512 + 64 * u64::from(kind));
    let resources = Resources { cpu: MilliCores(1000), memory, disk: Bytes::from_mib(64), gpus: 0 };
    let labels = if kind % 4 == 1 { Labels::parse(&["arch=x86"]).unwrap_or_default() } else { Labels::default() };
    Need { resources, labels, image: u64::from(kind), ..Need::default() }
}

/// Machines of 4 to 32 cores of which each takes `waits` into its backlog.
fn fleet(nodes: u64, waits: u32) -> Fleet {
    let node = |id: u64| {
        let cores = 4 << (id % 4);
        let capacity = Resources {
            cpu: MilliCores::from_cores(cores),
            memory: Bytes::from_gib(u64::from(cores) * 2),
            disk: Bytes::from_gib(100),
            gpus: u32::from(id.is_multiple_of(10)),
        };
        let arch = if id.is_multiple_of(3) { "arch=arm64" } else { "arch=x86" };
        let labels = Labels::parse(&[arch]).unwrap_or_default();
        NodeView { labels, waits, ..NodeView::plain(NodeId(id), UserId(id / 4), capacity) }
    };
    (0..nodes).map(node).collect()
}

fn pass(fleet: &Fleet, queue: &Waits, resume: Option<Cursor>, seed: u64) -> hivemind_placement::Plan {
    let snapshot = Snapshot { fleet, queue, cost: &|_| 1, reserve_before: Timestamp(0), reserved: None, resume };
    plan(&snapshot, Bounds::default(), seed)
}

fn micros(since: Instant, decisions: u64) -> f64 {
    since.elapsed().as_secs_f64() * 1e6 / decisions.max(1) as f64
}

/// Of a pass over an idle fleet.
fn cold(nodes: u64, users: u64, needs: u32) -> f64 {
    let (fleet, queue) = (fleet(nodes, 0), Waits::new(users, needs));
    let started = Instant::now();
    let mut decisions = 0;
    for seed in 0..5 {
        decisions += pass(&fleet, &queue, None, seed).placements.len() as u64;
    }
    micros(started, decisions)
}

/// Of passes over a full fleet in which one node gets room for one element; with the upkeep of the fleet, without that of
/// the queue. The median, which what else the machine does leaves alone, and the mean.
fn steady(nodes: u64, users: u64, needs: u32, waits: u32) -> (f64, f64) {
    let (mut fleet, mut queue) = (fleet(nodes, waits), Waits::new(users, needs));
    for id in 0..nodes {
        fleet.set_free(NodeId(id), Resources::default());
        fleet.set_waits(NodeId(id), 0);
    }
    let room = need(needs).resources;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let id = NodeId(round.wrapping_mul(7919) % nodes);
        let started = Instant::now();
        if waits > 0 {
            fleet.set_waits(id, 1);
        } else {
            fleet.set_free(id, room);
        }
        let plan = pass(&fleet, &queue, None, round);
        for line in &plan.placements {
            fleet.set_free(line.node, Resources::default());
            fleet.set_waits(line.node, 0);
        }
        rounds.push(micros(started, plan.placements.len() as u64));
        for line in plan.placements {
            if let Some((user, need)) = queue.remove(line.element) {
                let rank = Rank::new(5, NOW, ElementRef::only(TaskId(WAITING + round)));
                queue.add(user, need, rank);
            }
        }
    }
    rounds.sort_by(f64::total_cmp);
    (rounds[rounds.len() / 2], rounds.iter().sum::<f64>() / rounds.len() as f64)
}

/// Measures [`FIGURES`].
pub(crate) fn measure(report: &mut Report) {
    report.begin(&format!("placement: us per decision, {WAITING} waiting; steady: median and mean"));
    println!("{:>8} {:>6} {:>6} {:>8} {:>16} {:>16}", "nodes", "users", "needs", "full", "steady", "steady, backlog");
    let pair = |(median, mean): (f64, f64)| format!("{median:.2} {mean:.2}");
    for nodes in [100, 10_000, 100_000] {
        for (users, needs) in [(1, 1), (1, 20), (1000, 1), (1000, 20)] {
            let (room, backlog) = (steady(nodes, users, needs, 0), steady(nodes, users, needs, 2));
            let full = cold(nodes, users, needs);
            println!("{nodes:>8} {users:>6} {needs:>6} {full:>8.2} {:>16} {:>16}", pair(room), pair(backlog));
            if (nodes, users, needs) == FIGURE {
                report.add("placement_us", room.0, "us", None);
            }
        }
    }
}
