//! What is submitted, and when.
//!
//! Requesters are active by Zipf's law: the second half as much as the first, the third a third.
//! Run times are log-normal, plain tasks and arrays take turns. Start at [`World::submits`].
//!
//! Invariant: nothing here knows which node is free or who cheats.

use super::Config;
use super::chance::{HOUR, run_time, until, weighted};
use super::machine::Machine;
use super::truth::TaskTruth;
use super::world::{Event, World};
use crate::rng::Rng;
use hivemind_model::array::Array;
use hivemind_model::verify::{Compare, Rule, Verification};
use hivemind_model::{Bytes, Command, MilliCores, Millis, Reply, Resources, TaskSpec};
use std::sync::Arc;

/// Most elements of one array.
const MOST_ELEMENTS: u64 = 2000;
/// Copies of a verified element, roughly, to work out how much is to be submitted.
const COPIES: u128 = 4;

/// One submission: so many tasks of the same kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    cores: u32,
    /// The median run time of an element.
    median: u64,
    tasks: u64,
    /// Elements of each; zero for plain tasks.
    elements: u64,
    priority: u8,
    verified: bool,
    /// Tasks one after the other, each submitted when the one before has ended.
    stages: u32,
}

/// How much is to be submitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Market {
    /// Largest need.
    cores: u32,
    /// Most core time of one array.
    most: u128,
    verified: u64,
}

impl Market {
    /// Works out how often each requester submits, so that together they ask for the share of what
    /// the machines can do that `config` says. Gives the pauses between submissions, most active first.
    pub(super) fn new(config: &Config, machines: &[Machine], rng: &mut Rng) -> (Self, Vec<u64>) {
        // Core time per hour on average machines.
        let supply: u128 = machines
            .iter()
            .map(|one| u128::from(u64::from(one.cores) * HOUR * one.speed / 1000 * one.habit.there() / 100))
            .sum();
        let cores = machines.iter().map(|one| one.cores).max().unwrap_or(1) / 2;
        let market = Self { cores: cores.clamp(1, 16), most: supply / 4, verified: config.verified };
        const SAMPLES: u64 = 4000;
        let asked: u128 = (0..SAMPLES).map(|_| market.wish(rng).work()).sum::<u128>() / u128::from(SAMPLES);
        // How many submissions an hour, in thousandths.
        let rate = (supply * u128::from(config.load) * 10 / asked.max(1)).max(1);
        let weights: Vec<u64> = (1..=u64::from(config.requesters.max(1))).map(|place| 1_000_000 / place).collect();
        let all: u64 = weights.iter().sum();
        let pause = |weight: &u64| {
            let pause = u128::from(HOUR) * 1000 * u128::from(all) / (rate * u128::from(*weight)).max(1);
            u64::try_from(pause).unwrap_or(u64::MAX).max(1)
        };
        (market, weights.iter().map(pause).collect())
    }

    fn wish(&self, rng: &mut Rng) -> Wish {
        let cores = weighted(rng, &[(60, 1), (20, 2), (12, 4), (6, 8), (2, 16)]).min(self.cores);
        let median = run_time(rng);
        let array = rng.chance(500);
        let most = self.most / u128::from(median * u64::from(cores)).max(1);
        let most = u64::try_from(most).unwrap_or(u64::MAX).clamp(1, MOST_ELEMENTS);
        // As many powers of two as there are.
        let drawn = 1u64 << rng.between(3, 11);
        let elements = if array { (drawn + rng.between(0, drawn)).min(most).max(2) } else { 0 };
        let tasks = if array { 1 } else { rng.between(1, 20) };
        let stages = if !array && rng.chance(200) { u32::try_from(rng.between(2, 5)).unwrap_or(2) } else { 1 };
        let priority = u8::try_from(rng.between(1, 10)).unwrap_or(5);
        Wish { cores, median, tasks, elements, priority, verified: rng.between(0, 99) < self.verified, stages }
    }
}

impl Wish {
    /// Its core time on average machines, copies included.
    fn work(&self) -> u128 {
        let copies = if self.verified { COPIES } else { 1 };
        self.alone() * copies
    }

    /// Its core time, each element once; an element takes 110 % of the median on average.
    fn alone(&self) -> u128 {
        let elements = u128::from(self.tasks * self.elements.max(1)) * u128::from(self.stages);
        elements * u128::from(self.cores) * u128::from(self.median) * 11 / 10
    }

    fn spec(&self, rule: Rule) -> TaskSpec {
        let cores = u64::from(self.cores);
        let indices = (self.elements > 0).then(|| format!("0-{}", self.elements - 1).parse().ok()).flatten();
        let rule = if self.verified { rule } else { Rule::First };
        TaskSpec {
            name: "work".into(),
            image: format!("image-{}", self.median % 40),
            command: vec!["work".into()],
            priority: self.priority,
            // The slowest machine takes 3.2 times the median for the longest element.
            max_runtime: Millis(4 * self.median + 60_000),
            resources: Resources {
                cpu: MilliCores::from_cores(self.cores),
                memory: Bytes::from_gib(cores),
                disk: Bytes::from_gib(cores),
                gpus: 0,
            },
            array: indices.map(|indices| Array { indices, entries: None, max_fails: None }),
            verify: Verification { rule, compare: Compare::Exact },
            ..TaskSpec::default()
        }
    }
}

impl World {
    /// A requester submits something, and will again.
    pub(super) fn submits(&mut self, requester: usize) {
        let wish = self.market.wish(&mut self.rng);
        if self.is_measured() {
            self.requesters[requester].asked += wish.alone();
        }
        let spec = Arc::new(wish.spec(self.config.rule));
        for _ in 0..wish.tasks {
            self.submit(requester, spec.clone(), wish.median, wish.stages - 1);
        }
        let pause = until(&mut self.rng, self.requesters[requester].pause);
        self.at(pause, Event::Submits { requester });
    }

    /// Submits one task; a refusal is counted.
    pub(super) fn submit(&mut self, requester: usize, spec: Arc<TaskSpec>, median: u64, stages_left: u32) {
        let user = self.requesters[requester].user;
        let (cores, verified) = (spec.resources.cpu.0 / 1000, spec.verify.rule != Rule::First);
        let command = Command::Submit { user, spec: spec.clone(), max_price: None, ended: Vec::new(), once: None };
        if let Ok(Reply::Submitted { task, .. }) = self.ask(command) {
            let mut truth = TaskTruth::new(requester, cores, self.now, median);
            (truth.verified, truth.stages_left) = (verified, stages_left);
            self.tasks.insert(task, truth);
            if stages_left > 0 {
                self.specs.insert(task, spec);
            }
        }
    }
}
