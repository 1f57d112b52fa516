//! The pool, and a heap of what is to come.
//!
//! Start at [`World::live`]. Moments lie a quarter of a second apart: what happens in one of them is one batch, as the
//! writer of a pool makes it. Links deliver at once; what links, kills and lost batches do is the matter
//! of the other workloads.
//!
//! Invariant: nothing is reached but through commands, and nothing known but through batches.

use super::Config;
use super::demand::Market;
use super::machine::Machine;
use super::people::{Owner, Requester, population};
use super::report::Report;
use super::tally::Tally;
use super::truth::TaskTruth;
use crate::rng::Rng;
use crate::stored::broken;
use hivemind_engine::{Batch, Engine, Violation};
use hivemind_ledger::{Replay, SUPPLY};
use hivemind_model::economy::Economy;
use hivemind_model::policy::Prices;
use hivemind_model::rows::Role;
use hivemind_model::{
    AttemptRef, Command, Cpt, Effect, Millis, NodeId, Policy, Rejection, Reply, TaskId, TaskSpec, Timestamp, UserId,
};
use hivemind_trust::Secret;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

/// A midnight (UTC).
const BEGINS: Timestamp = Timestamp(1_700_006_400_000);
/// The time between two moments.
const MOMENT: u64 = 250;
const HOUR: u64 = super::chance::HOUR;

/// Something that will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The next thing that happens to a machine as a whole.
    Churns {
        machine: usize,
    },
    /// The pool has heard nothing over a link for too long.
    Silent {
        machine: usize,
        session: u64,
    },
    Begins {
        machine: usize,
        turn: u32,
        attempt: AttemptRef,
    },
    Ends {
        machine: usize,
        turn: u32,
        attempt: AttemptRef,
    },
    Submits {
        requester: usize,
    },
}

/// Everything there is.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) engine: Engine,
    /// The journal, believing nothing.
    replay: Replay,
    /// Milliseconds since the beginning.
    pub(super) now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    next_event: u64,
    next_check: u64,
    pub(super) batches: u64,
    pub(super) sessions: u64,
    pub(super) lost_after: u64,
    pub(super) owners: Vec<Owner>,
    pub(super) machines: Vec<Machine>,
    pub(super) by_node: BTreeMap<NodeId, usize>,
    pub(super) requesters: Vec<Requester>,
    pub(super) market: Market,
    /// Tasks that have not ended.
    pub(super) tasks: BTreeMap<TaskId, TaskTruth>,
    /// What is submitted again as the next stage.
    pub(super) specs: BTreeMap<TaskId, Arc<TaskSpec>>,
    /// Cores of machines that are up, and those of them that run something.
    pub(super) offered: u64,
    pub(super) busy: u64,
    pub(super) tally: Tally,
}

/// A pool in which money is not what limits: half of the supply is given away at sign-up, work costs a tenth,
/// and what runs is metered every ten minutes.
fn policy(users: usize) -> Policy {
    let half = SUPPLY.micro() / 2;
    let grant = (half / i64::try_from(users.max(1)).unwrap_or(i64::MAX)).min(1_000_000_000_000_000);
    let prices = Prices { core_hour: Cpt::from_micro(200_000), gib_hour: Cpt::from_micro(50_000), ..Prices::default() };
    let economy = Economy { meter_every: Millis::from_secs(600), ..Economy::default() };
    Policy { signup_grant: Cpt::from_micro(grant), prices, economy, ..Policy::default() }
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        let mut rng = Rng::new(config.seed);
        let (owners, machines) = population(&config, &mut rng);
        let (market, pauses) = Market::new(&config, &machines, &mut rng);
        Self::with(config, rng, owners, machines, (market, pauses))
    }

    pub(super) fn with(
        config: Config,
        mut rng: Rng,
        owners: Vec<Owner>,
        machines: Vec<Machine>,
        (market, pauses): (Market, Vec<u64>),
    ) -> Self {
        let policy = policy(owners.len() + pauses.len());
        let mut secret = [0; 32];
        secret.chunks_mut(8).for_each(|part| part.copy_from_slice(&rng.next().to_be_bytes()));
        Self {
            config,
            rng,
            lost_after: policy.lost_after.0,
            engine: Engine::found(policy, BEGINS).with_secret(Secret::new(secret)),
            replay: Replay::default(),
            now: 0,
            events: BinaryHeap::new(),
            next_event: 0,
            next_check: config.check_every.max(1) * HOUR,
            batches: 0,
            sessions: 0,
            owners,
            machines,
            by_node: BTreeMap::new(),
            requesters: pauses.iter().map(|pause| Requester { user: UserId(0), pause: *pause, asked: 0 }).collect(),
            market,
            tasks: BTreeMap::new(),
            specs: BTreeMap::new(),
            offered: 0,
            busy: 0,
            tally: Tally::default(),
        }
    }

    /// All its hours.
    pub(super) fn live(&mut self) -> Result<Report, Violation> {
        self.settle_in()?;
        let end = (self.config.warm_up + self.config.hours) * HOUR;
        while self.step(end)? {}
        self.now = end;
        self.prove()?;
        let left: Vec<TaskId> = self.tasks.keys().copied().collect();
        left.into_iter().for_each(|task| self.count_elements(task));
        Ok(Report::of(self))
    }

    /// Everybody signs up and enrols.
    pub(super) fn settle_in(&mut self) -> Result<(), Violation> {
        for index in 0..self.owners.len() {
            self.owners[index].user = self.register(format!("owner{index}"))?;
        }
        for index in 0..self.requesters.len() {
            self.requesters[index].user = self.register(format!("requester{index}"))?;
            let pause = self.requesters[index].pause;
            if pause > 0 {
                let first = self.rng.between(0, pause);
                self.at(first, Event::Submits { requester: index });
            }
        }
        for index in 0..self.machines.len() {
            let (owner, offer) = (self.machines[index].owner, self.machines[index].offer());
            let command = Command::Enroll { owner: self.owners[owner].user, offer, token: None };
            match self.ask(command) {
                Ok(Reply::Enrolled { node }) => {
                    self.machines[index].node = node;
                    self.by_node.insert(node, index);
                }
                other => return Err(broken("T7", format!("a node is not enrolled: {other:?}"))),
            }
            let first = self.machines[index].first_there(&mut self.rng);
            self.at(first, Event::Churns { machine: index });
        }
        self.commit()
    }

    fn register(&mut self, username: String) -> Result<UserId, Violation> {
        let command = Command::Register {
            email: format!("{username}@example.org"),
            from: username.clone(),
            username,
            password_hash: "$argon2id$".into(),
            role: Role::Member,
            invitation: None,
        };
        match self.ask(command) {
            Ok(Reply::Registered { user }) => Ok(user),
            other => Err(broken("T7", format!("somebody cannot sign up: {other:?}"))),
        }
    }

    /// Goes to the next moment at which something happens; false where that is not before `end`.
    pub(super) fn step(&mut self, end: u64) -> Result<bool, Violation> {
        let event = self.events.peek().map(|Reverse((at, _, _))| *at);
        let due = self.engine.next_due().map(|due| due.since(BEGINS).0.next_multiple_of(MOMENT).max(self.now + MOMENT));
        let Some(next) = event.into_iter().chain(due).min().filter(|next| *next < end) else { return Ok(false) };
        self.pass(next - self.now);
        self.now = next;
        while let Some(Reverse((at, _, event))) = self.events.peek().copied() {
            if at > next {
                break;
            }
            self.events.pop();
            self.happens(event);
        }
        if self.engine.next_due().is_some_and(|due| due <= self.time()) {
            drop(self.ask(Command::Tick));
        }
        self.commit()?;
        if self.now >= self.next_check {
            self.next_check += self.config.check_every.max(1) * HOUR;
            self.tally.checks += 1;
            self.engine.check()?;
        }
        Ok(true)
    }

    fn happens(&mut self, event: Event) {
        self.tally.events += 1;
        match event {
            Event::Churns { machine } => self.churns(machine),
            Event::Silent { machine, session } => self.silent(machine, session),
            Event::Begins { machine, turn, attempt } => self.begins(machine, turn, attempt),
            Event::Ends { machine, turn, attempt } => self.ends(machine, turn, attempt),
            Event::Submits { requester } => self.submits(requester),
        }
    }

    /// Lets something happen after a while, at the next moment at the earliest.
    pub(super) fn at(&mut self, pause: u64, event: Event) {
        let at = (self.now.saturating_add(pause)).next_multiple_of(MOMENT).max(self.now + MOMENT);
        self.next_event += 1;
        self.events.push(Reverse((at, self.next_event, event)));
    }

    fn time(&self) -> Timestamp {
        BEGINS.after(Millis(self.now))
    }

    /// Lets the engine have one command.
    pub(super) fn ask(&mut self, command: Command) -> Result<Reply, Rejection> {
        self.tally.commands += 1;
        let answer = self.engine.apply(command, self.time());
        if let Err(rejection) = &answer {
            *self.tally.refusals.entry(rejection.code).or_default() += 1;
        }
        answer
    }

    /// Makes one batch of what was asked for, and lets everybody hear of it.
    pub(super) fn commit(&mut self) -> Result<(), Violation> {
        self.engine.schedule(self.time());
        let Batch { rows, ledger, effects } = self.engine.take_batch();
        self.batches += 1;
        for entry in &ledger.entries {
            self.tally.entries += 1;
            self.replay.push(entry).map_err(|bad| broken("L7", bad.to_string()))?;
        }
        self.follow(rows);
        for effect in effects {
            match effect {
                Effect::Assign { node, session, attempt, spec } => {
                    if let Some(index) = self.by_node.get(&node).copied() {
                        self.is_given(index, session, attempt, &spec);
                    }
                }
                Effect::Stop { node, attempt, .. } => {
                    if let Some(index) = self.by_node.get(&node).copied() {
                        self.stops(index, attempt);
                    }
                }
                // Results are compared exactly here, and nobody is banned.
                Effect::Compare { .. } | Effect::Unlink { .. } | Effect::TaskMoved { .. } => {}
            }
        }
        Ok(())
    }

    /// Every invariant, and the books against their journal.
    pub(super) fn prove(&mut self) -> Result<(), Violation> {
        self.tally.checks += 1;
        self.engine.check()?;
        let books = self.replay.clone().finish().map_err(|bad| broken("L7", bad.to_string()))?;
        books.compare(&self.engine.ledger().image()).map_err(Violation::from)
    }

    /// True once the pool is as full as it gets.
    pub(super) fn is_measured(&self) -> bool {
        self.now >= self.config.warm_up * HOUR
    }

    pub(super) fn ambush_at(&self) -> u64 {
        self.config.warm_up * HOUR + self.config.hours * HOUR / 2
    }
}
