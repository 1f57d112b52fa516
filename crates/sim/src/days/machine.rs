//! A machine and what it works on.
//!
//! What does not fit is started in the order in which it was handed out. Start at [`World::is_given`].
//!
//! Invariant: no more cores run than there are, and nothing runs on a machine that is off or asleep.

use super::people::Habit;
use super::truth::{Temper, said};
use super::world::{Event, World};
use hivemind_model::command::NodeOffer;
use hivemind_model::rows::{Report, TrustRow};
use hivemind_model::state::Metering;
use hivemind_model::{
    AttemptRef, Bytes, Command, Isolation, Labels, MilliCores, Millis, NodeId, Outcome, Reply, Resources, TaskSpec,
    TrustTier,
};
use std::collections::{BTreeMap, VecDeque};

/// Whether a machine works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Off,
    Up,
    /// Its worker wants no more work, and is stopped soon.
    Stopping,
    Asleep {
        since: u64,
    },
}

/// One attempt on a machine.
#[derive(Debug, Clone)]
pub(super) struct Job {
    cores: u32,
    stage: Stage,
    /// Time that it ran before it was suspended.
    used: u64,
    /// How long it still runs.
    left: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for cores.
    Waiting,
    Preparing,
    Running {
        since: u64,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) owner: usize,
    pub(super) node: NodeId,
    pub(super) name: String,
    pub(super) cores: u32,
    /// In thousandths of the average.
    pub(super) speed: u64,
    pub(super) habit: Habit,
    pub(super) power: Power,
    /// Its owner drained it.
    pub(super) drained: bool,
    /// Of its newest link.
    pub(super) session: u64,
    /// What is to begin and to end at a time counts for this number only.
    turn: u32,
    free: u32,
    jobs: BTreeMap<AttemptRef, Job>,
    waiting: VecDeque<AttemptRef>,
    pub(super) trust: Option<TrustRow>,
}

impl Machine {
    pub(super) fn new(owner: usize, name: String, cores: u32, speed: u64, habit: Habit) -> Self {
        Self {
            owner,
            node: NodeId(0),
            name,
            cores,
            speed,
            habit,
            power: Power::Off,
            drained: false,
            session: 0,
            turn: 0,
            free: cores,
            jobs: BTreeMap::new(),
            waiting: VecDeque::new(),
            trust: None,
        }
    }

    pub(super) fn offer(&self) -> NodeOffer {
        let capacity = Resources {
            cpu: MilliCores::from_cores(self.cores),
            memory: Bytes::from_gib(2 * u64::from(self.cores)),
            disk: Bytes::from_gib(20 * u64::from(self.cores)),
            gpus: 0,
        };
        NodeOffer {
            name: self.name.clone(),
            capacity,
            gpu_info: String::new(),
            labels: Labels::default(),
            isolation: Isolation::Basic,
            kinds: hivemind_model::Kinds::ALL,
            egress: hivemind_model::EgressPolicy::None,
        }
    }

    pub(super) fn holds(&self) -> Vec<AttemptRef> {
        self.jobs.keys().copied().collect()
    }

    fn tier(&self) -> TrustTier {
        self.trust
            .map_or(TrustTier::New, |row| hivemind_trust::standing::tier(hivemind_trust::standing::own_trust(&row)))
    }
}

impl World {
    /// A machine that runs, or is about to, as much of the pool's offer as it does.
    pub(super) fn set_power(&mut self, index: usize, power: Power) {
        let offers = |power| matches!(power, Power::Up | Power::Stopping);
        let machine = &mut self.machines[index];
        let before = std::mem::replace(&mut machine.power, power);
        match (offers(before), offers(power)) {
            (false, true) => self.offered += u64::from(machine.cores),
            (true, false) => self.offered -= u64::from(machine.cores),
            (true, true) | (false, false) => {}
        }
    }

    /// An attempt came to a machine over a link.
    pub(super) fn is_given(&mut self, index: usize, session: u64, attempt: AttemptRef, spec: &TaskSpec) {
        let Some(task) = self.tasks.get(&attempt.element.task) else { return };
        let machine = &mut self.machines[index];
        let hears = matches!(machine.power, Power::Up | Power::Stopping) && machine.session == session;
        if !hears {
            return self.tally.spent(attempt, 0);
        }
        let cores = spec.resources.cpu.0 / 1000;
        let left = task.length_on(attempt.element, machine.speed);
        machine.jobs.insert(attempt, Job { cores, stage: Stage::Waiting, used: 0, left });
        machine.waiting.push_back(attempt);
        self.start_waiting(index);
    }

    /// Prepares what waits, in order, as far as there is room.
    fn start_waiting(&mut self, index: usize) {
        loop {
            let machine = &mut self.machines[index];
            let Some(attempt) = machine.waiting.front().copied() else { return };
            let Some(job) = machine.jobs.get_mut(&attempt) else {
                machine.waiting.pop_front();
                continue;
            };
            if job.cores > machine.free {
                return;
            }
            machine.free -= job.cores;
            machine.waiting.pop_front();
            job.stage = Stage::Preparing;
            let turn = machine.turn;
            let pause = self.rng.between(200, 3000);
            self.at(pause, Event::Begins { machine: index, turn, attempt });
        }
    }

    pub(super) fn begins(&mut self, index: usize, turn: u32, attempt: AttemptRef) {
        let now = self.now;
        let machine = &mut self.machines[index];
        let Some(job) = machine.jobs.get_mut(&attempt).filter(|_| machine.turn == turn) else { return };
        job.stage = Stage::Running { since: now };
        self.busy += u64::from(job.cores);
        let (left, node) = (job.left, machine.node);
        self.at(left, Event::Ends { machine: index, turn, attempt });
        if self.ask(Command::Started { node, attempt }).is_ok() {
            self.has_started(attempt);
        }
    }

    pub(super) fn ends(&mut self, index: usize, turn: u32, attempt: AttemptRef) {
        if self.machines[index].turn != turn {
            return;
        }
        let Some(used) = self.take_job(index, attempt) else { return };
        let Machine { owner, node, .. } = self.machines[index];
        let task = self.tasks.get(&attempt.element.task);
        let (open, verified) = (task.is_some(), task.is_some_and(|task| task.verified));
        let cheats = self.owners[owner].cheats;
        let tier = self.machines[index].tier();
        let ambush = self.now >= self.ambush_at();
        let temper = cheats.then_some(Temper { kind: self.config.kind, node, tier, ambush });
        let (code, digest, lie) = said(attempt.element, temper);
        if lie && open {
            self.tally.lies.insert(attempt);
            self.owners[owner].lies += u64::from(verified);
        }
        let digest = verified.then_some(digest);
        let metering = Metering { wall: Millis(used), ..Metering::default() };
        self.report(index, attempt, Report { digest, ..bare(Outcome::Exited { code }, metering) });
        self.start_waiting(index);
    }

    /// Sends the end of an attempt; it may be stale.
    pub(super) fn report(&mut self, index: usize, attempt: AttemptRef, report: Report) {
        let node = self.machines[index].node;
        // A refusal is counted; the machine has forgotten the attempt anyway.
        drop(self.ask(Command::Finished { node, attempt, report }));
    }

    /// Stops an attempt on the pool's word.
    pub(super) fn stops(&mut self, index: usize, attempt: AttemptRef) {
        if matches!(self.machines[index].power, Power::Up | Power::Stopping) && self.take_job(index, attempt).is_some()
        {
            self.start_waiting(index);
        }
    }

    /// Takes a job off its machine, and counts what it used; gives how long it ran.
    fn take_job(&mut self, index: usize, attempt: AttemptRef) -> Option<u64> {
        let machine = &mut self.machines[index];
        let mut job = machine.jobs.remove(&attempt)?;
        match job.stage {
            Stage::Waiting => {}
            Stage::Preparing => machine.free += job.cores,
            Stage::Running { since } => {
                machine.free += job.cores;
                // A machine that sleeps runs nothing.
                if !matches!(machine.power, Power::Asleep { .. }) {
                    job.used += self.now - since;
                    self.busy -= u64::from(job.cores);
                }
            }
        }
        self.tally.spent(attempt, job.used * u64::from(job.cores));
        Some(job.used)
    }

    /// Everything on a machine is gone; gives what it was.
    pub(super) fn lose_jobs(&mut self, index: usize) -> Vec<AttemptRef> {
        let gone = self.machines[index].holds();
        for attempt in &gone {
            self.take_job(index, *attempt);
        }
        let machine = &mut self.machines[index];
        machine.waiting.clear();
        machine.turn += 1;
        gone
    }

    /// A machine falls asleep with what it runs.
    pub(super) fn suspend(&mut self, index: usize) {
        let now = self.now;
        let machine = &mut self.machines[index];
        machine.turn += 1;
        for job in machine.jobs.values_mut() {
            if let Stage::Running { since } = job.stage {
                job.used += now - since;
                job.left = job.left.saturating_sub(now - since).max(1);
                self.busy -= u64::from(job.cores);
            }
        }
        self.set_power(index, Power::Asleep { since: now });
    }

    /// A machine goes on with what it ran.
    pub(super) fn resume(&mut self, index: usize) {
        self.set_power(index, Power::Up);
        let now = self.now;
        let machine = &mut self.machines[index];
        let turn = machine.turn;
        let mut coming = Vec::new();
        for (attempt, job) in &mut machine.jobs {
            let attempt = *attempt;
            match job.stage {
                Stage::Waiting => {}
                Stage::Preparing => coming.push((1000, Event::Begins { machine: index, turn, attempt })),
                Stage::Running { .. } => {
                    job.stage = Stage::Running { since: now };
                    self.busy += u64::from(job.cores);
                    coming.push((job.left, Event::Ends { machine: index, turn, attempt }));
                }
            }
        }
        coming.into_iter().for_each(|(pause, event)| self.at(pause, event));
    }

    /// A link comes up. What the pool no longer knows is stopped.
    pub(super) fn connect(&mut self, index: usize, holds: Vec<AttemptRef>) {
        self.sessions += 1;
        let session = self.sessions;
        let machine = &mut self.machines[index];
        machine.session = session;
        let (node, offer) = (machine.node, machine.offer());
        // A refusal is counted: the pool knows better whether the node may be linked.
        if let Ok(Reply::Connected { stale }) = self.ask(Command::Connected { node, session, offer, holds }) {
            for attempt in stale {
                self.take_job(index, attempt);
            }
            self.start_waiting(index);
        }
    }
}

/// A report without output.
pub(super) fn bare(outcome: Outcome, metering: Metering) -> Report {
    Report { outcome, metering, logs: Default::default(), image_id: String::new(), output: None, digest: None }
}
