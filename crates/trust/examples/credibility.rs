//! What cheats get past the rules: a seeded run of the pure rules, printed as a table.
//!
//! `cargo run --release -p hivemind-trust --example credibility -- [SEED [OPEN]]`. Start at [`World::run`].
//! A node is drawn at random among those that have quota left and whose owner has no copy yet. OPEN
//! elements, by default as many as there are nodes, are open at the same time; copies come back in random order.
//!
//! Invariant: nothing but the seed decides what is printed; no rule is written here a second time.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a program, not a part of floor 0")]

use hivemind_model::rows::TrustRow;
use hivemind_model::spec::Digest;
use hivemind_model::verify::{Doubt, Rule};
use hivemind_model::{AttemptRef, ElementRef, MilliCores, NodeId, TaskId, Timestamp, TrustTier, UserId};
use hivemind_trust::panel::Seat;
use hivemind_trust::{Accepted, Basis, Class, Decision, Finding, Panel, Recent, Secret, TrustPolicy, decide, standing};

const NODES: u64 = 2000;
const NODES_OF_OWNER: u64 = 2;
const ELEMENTS: u32 = 200_000;
const ELEMENTS_A_DAY: i64 = 20_000;
const DAY: i64 = 24 * 60 * 60 * 1000;
const CORES: MilliCores = MilliCores::from_cores(1);
/// The right answer, and the one that those agree on who lie together.
const RIGHT: u64 = 1;
const LIE: u64 = 2;

/// How cheats behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cheats {
    /// Always wrong, each differently.
    Independent,
    /// Always wrong, all in the same way.
    Colluding,
    /// Wrong in the same way on the same tenth of the elements, right on the others.
    Occasional,
    /// Right until trusted, then colluding.
    Sleepers,
    /// Right in the first half of the run, colluding in the second.
    Ambush,
    /// Colluding, in a pool that forgets everything between two elements.
    Forgotten,
}

impl Cheats {
    const ALL: [Self; 6] =
        [Self::Independent, Self::Colluding, Self::Occasional, Self::Sleepers, Self::Ambush, Self::Forgotten];

    fn name(self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::Colluding => "colluding",
            Self::Occasional => "occasional, 10 %",
            Self::Sleepers => "sleepers until trusted",
            Self::Ambush => "ambush at half-time",
            Self::Forgotten => "colluding, no memory",
        }
    }
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

/// One element: its copies, what was found, what is believed.
#[derive(Default)]
struct Element {
    panel: Panel,
    found: Vec<(NodeId, Finding)>,
    believed: Option<Class>,
    /// Decided for the first time.
    closed: bool,
    /// Nodes whose trust is at stake in it while it is open.
    stakes: Vec<u64>,
}

#[derive(Default)]
struct Tally {
    copies: u64,
    accepted: u64,
    wrong: u64,
    disputed: u64,
    rechecked: u64,
}

struct World {
    rng: Rng,
    cheats: Cheats,
    rule: Rule,
    cheating_owners: Vec<bool>,
    rows: Vec<TrustRow>,
    recent: Vec<Recent>,
    elements: Vec<Element>,
    /// Copies that have not come back, also those that are not wanted any more.
    flight: Vec<(u32, AttemptRef, u64)>,
    attempts: u32,
    closed: u32,
    most_open: u32,
    /// Of each node: in how many open elements it has a copy.
    stakes: Vec<u32>,
    tally: Tally,
    policy: TrustPolicy,
    secret: Secret,
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn class(name: u64) -> Class {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&name.to_be_bytes());
    Class { exit_code: 0, content: Digest(bytes) }
}

fn owner(node: u64) -> u64 {
    node / NODES_OF_OWNER
}

impl World {
    fn new(seed: u64, most_open: u32, cheats: Cheats, percent: u64, rule: Rule) -> Self {
        let policy = TrustPolicy::default();
        let mut rng = Rng(seed);
        let owners = NODES / NODES_OF_OWNER;
        let mut cheating_owners = vec![false; place(owners)];
        let mut left = owners * percent / 100;
        while left > 0 {
            let chosen = place(rng.below(owners));
            left -= u64::from(!std::mem::replace(&mut cheating_owners[chosen], true));
        }
        let mut bytes = [0; 32];
        bytes.chunks_mut(8).for_each(|part| part.copy_from_slice(&rng.next().to_be_bytes()));
        let rows = (0..NODES).map(|node| standing::enrolled(NodeId(node), CORES, Timestamp(0), &policy)).collect();
        Self {
            rng,
            cheats,
            rule,
            cheating_owners,
            rows,
            recent: vec![Recent::default(); place(NODES)],
            elements: Vec::new(),
            flight: Vec::new(),
            attempts: 0,
            closed: 0,
            most_open,
            stakes: vec![0; place(NODES)],
            tally: Tally::default(),
            policy,
            secret: Secret::new(bytes),
        }
    }

    fn run(mut self) -> Self {
        loop {
            let begun = self.begun();
            if begun < ELEMENTS && begun - self.closed < self.most_open {
                self.elements.push(Element::default());
                self.advance(begun);
            } else if self.flight.is_empty() {
                return self;
            } else {
                let drawn = self.rng.below(self.flight.len().try_into().unwrap_or(u64::MAX));
                let (element, attempt, node) = self.flight.swap_remove(place(drawn));
                let says = class(self.answer(node, element));
                let basis = standing::staked(self.basis(node), self.stakes[place(node)]);
                // Refused where it was given up in the meantime.
                if self.elements[place(element.into())].panel.vote(attempt, says, basis).is_ok() {
                    self.advance(element);
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(i64::from(self.begun()) * DAY / ELEMENTS_A_DAY)
    }

    fn begun(&self) -> u32 {
        u32::try_from(self.elements.len()).unwrap_or(u32::MAX)
    }

    /// Does what is decided of `element`, and of those that are opened again by it.
    fn advance(&mut self, element: u32) {
        let mut open = vec![element];
        while let Some(element) = open.pop() {
            let index = place(element.into());
            match decide(&self.elements[index].panel, &self.rule, &self.secret, &self.policy) {
                Decision::More { copies } => (0..copies).for_each(|_| self.copy(element)),
                Decision::Wait => {}
                Decision::Disputed => self.tally.disputed += u64::from(self.close(index)),
                decision @ Decision::Accept { class: believed, .. } => {
                    self.elements[index].believed = Some(believed);
                    let first = self.close(index);
                    self.tally.accepted += u64::from(first);
                    self.tally.wrong += u64::from(first && believed != class(RIGHT));
                    if self.cheats != Cheats::Forgotten {
                        self.conclude(element, &decision, &mut open);
                    }
                }
            }
        }
    }

    /// Gives up the copies that are out; true where it was open from the beginning on.
    fn close(&mut self, index: usize) -> bool {
        let element = &mut self.elements[index];
        let out: Vec<AttemptRef> = element.panel.seats().iter().map(|seat| seat.attempt).collect();
        out.into_iter().for_each(|attempt| element.panel.leave(attempt));
        element.stakes.drain(..).for_each(|node| self.stakes[place(node)] -= 1);
        let first = !std::mem::replace(&mut element.closed, true);
        self.closed += u32::from(first);
        first
    }

    fn copy(&mut self, element: u32) {
        let now = self.now();
        let node = loop {
            let node = self.rng.below(NODES);
            let taken = self.elements[place(element.into())].panel.owners().any(|one| one == UserId(owner(node)));
            if taken {
                continue;
            }
            if self.cheats == Cheats::Forgotten {
                break node;
            }
            if let Ok(row) = standing::take(self.rows[place(node)], now) {
                self.rows[place(node)] = row;
                break node;
            }
        };
        self.attempts += 1;
        self.tally.copies += 1;
        let attempt: AttemptRef = ElementRef { task: TaskId(1), index: element }.attempt(self.attempts);
        let seat = Seat { attempt, node: NodeId(node), owner: UserId(owner(node)) };
        self.stakes[place(node)] += 1;
        let one = &mut self.elements[place(element.into())];
        one.stakes.push(node);
        one.panel.seat(seat).expect("room, and an owner without a copy");
        self.flight.push((element, attempt, node));
    }

    fn rows_of(&self, owner: u64) -> &[TrustRow] {
        let first = place(owner * NODES_OF_OWNER);
        &self.rows[first..first + place(NODES_OF_OWNER)]
    }

    fn basis(&self, node: u64) -> Basis {
        standing::basis(&self.rows[place(node)], self.rows_of(owner(node)), self.now(), &self.policy)
    }

    fn answer(&self, node: u64, element: u32) -> u64 {
        if !self.cheating_owners[place(owner(node))] {
            return RIGHT;
        }
        let lies = match self.cheats {
            Cheats::Independent => return 1000 + node,
            Cheats::Colluding | Cheats::Forgotten => true,
            Cheats::Occasional => Rng(element.into()).below(10) == 0,
            Cheats::Sleepers => self.basis(node).tier() >= TrustTier::Trusted,
            Cheats::Ambush => self.begun() >= ELEMENTS / 2,
        };
        if lies { LIE } else { RIGHT }
    }

    /// Applies what was found of each node and was not found before; opens again what a cheat touched.
    fn conclude(&mut self, element: u32, decision: &Decision, open: &mut Vec<u32>) {
        let (index, at, spare) = (place(element.into()), self.now(), decision.spare(&self.rule));
        for (vote, finding) in decision.findings() {
            let found = &mut self.elements[index].found;
            let before = found.iter_mut().find(|(node, _)| *node == vote.node);
            match before {
                Some((_, before)) if *before == finding || finding != Finding::Wrong => continue,
                Some((_, before)) => *before = finding,
                None => found.push((vote.node, finding)),
            }
            let node = place(vote.node.0);
            self.rows[node] = standing::after(self.rows[node], finding, CORES, at, &self.policy);
            match finding {
                Finding::Wrong => self.caught(vote.node, vote.owner, open),
                Finding::Valid => {
                    let element = ElementRef { task: TaskId(1), index: element };
                    self.recent[node].push(Accepted { element, spare });
                }
                Finding::Completed | Finding::Error | Finding::Outvoted => {}
            }
        }
    }

    fn caught(&mut self, node: NodeId, owner: UserId, open: &mut Vec<u32>) {
        let first = place(owner.0 * NODES_OF_OWNER);
        let all = first..first + place(NODES_OF_OWNER);
        standing::after_cheat(&mut self.rows[all.clone()], node);
        for recent in &mut self.recent[all] {
            for element in recent.recheck() {
                self.elements[place(element.index.into())].panel.strike(owner);
                self.tally.rechecked += 1;
                open.push(element.index);
            }
        }
    }

    /// Wrong results that are believed still; owners who cheat and owners who do not, of whom a wrong
    /// result was found.
    fn end(&self) -> (u64, u64, u64) {
        let wrong = self.elements.iter().filter(|one| one.believed.is_some_and(|believed| believed != class(RIGHT)));
        let (mut cheats, mut honest) = (0, 0);
        for (owner, is_cheat) in (0..).zip(&self.cheating_owners) {
            let blamed = self.rows_of(owner).iter().any(|row| row.wrong > 0);
            cheats += u64::from(blamed && *is_cheat);
            honest += u64::from(blamed && !*is_cheat);
        }
        (u64::try_from(wrong.count()).unwrap_or(u64::MAX), cheats, honest)
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn main() {
    let given = |place| std::env::args().nth(place);
    let seed = given(1).map_or(7, |text| text.parse().expect("the seed, a number"));
    let most_open = given(2).map_or(2000, |text| text.parse().expect("how many elements are open, a number"));
    let rules = [
        ("0.999", Rule::Confidence { doubt: Doubt(1000) }),
        ("0.99", Rule::Confidence { doubt: Doubt(10_000) }),
        ("0.95", Rule::Confidence { doubt: Doubt(50_000) }),
        ("2 of 3", Rule::Quorum { replicas: 3, quorum: 2 }),
    ];
    println!(
        "seed {seed}: {ELEMENTS} elements, {NODES} nodes of {} owners, {most_open} open at once\n",
        NODES / NODES_OF_OWNER
    );
    println!(
        "| Rule | Cheats | | Wrong accepted | Wrong in the end | Copies | Disputed | Checked again | Owners caught | Honest owners blamed |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, rule) in rules {
        for cheats in Cheats::ALL {
            for share in [10, 20, 30] {
                let world = World::new(seed, most_open, cheats, share, rule).run();
                let (Tally { copies, accepted, wrong, disputed, rechecked }, (left, caught, blamed)) =
                    (&world.tally, world.end());
                println!(
                    "| {name} | {} | {share} % | {:.4} % | {:.4} % | {:.2} | {:.3} % | {rechecked} | {:.0} % | {blamed} |",
                    cheats.name(),
                    percent(*wrong, *accepted),
                    percent(left, *accepted),
                    percent(*copies, *accepted) / 100.0,
                    percent(*disputed, ELEMENTS.into()),
                    percent(caught, NODES / NODES_OF_OWNER * share / 100),
                );
            }
        }
    }
}
