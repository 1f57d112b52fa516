//! Machines of a town: they run what they are given, or say so.
//!
//! Start at `Town::machine_acts`, once a minute for every machine.
//!
//! Invariant: a machine knows only what it was told over its link.

use super::town::{Ask, By, Town};
use hivemind_model::command::NodeOffer;
use hivemind_model::rows::Report;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{AttemptRef, Bytes, Command, MilliCores, Millis, NodeId, Resources, TaskSpec};
use std::collections::{BTreeMap, VecDeque};

/// Disk of honest machines; whoever asks for more gets a machine of the coalition.
pub(super) const HONEST_DISK: u64 = 100;

/// What the owner of a machine lets it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Runs everything to its end and reports what it took.
    Honest,
    /// Ends at once, and reports all the time there is.
    Liar,
    /// Goes away just before the end, to keep what was accrued.
    Vanisher,
    /// Reports the end of what never began.
    Hasty,
    /// Never ends anything.
    Lazy,
    /// Reports everything twice, and again later.
    Parrot,
}

impl Habit {
    pub(super) const HOSTILE: [Self; 5] = [Self::Liar, Self::Vanisher, Self::Hasty, Self::Lazy, Self::Parrot];
}

/// The link of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Down until that minute.
    Down {
        until: u64,
    },
    /// Asked for.
    Asked,
    Up,
}

/// What a machine was given.
#[derive(Debug)]
struct Job {
    limit: Millis,
    since: u64,
    minutes: u64,
    told: bool,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) owner: usize,
    pub(super) name: String,
    pub(super) capacity: Resources,
    pub(super) habit: Habit,
    pub(super) node: Option<NodeId>,
    pub(super) session: u64,
    pub(super) link: Link,
    jobs: BTreeMap<AttemptRef, Job>,
    /// Reported before.
    spent: VecDeque<AttemptRef>,
}

impl Machine {
    pub(super) fn new(owner: usize, name: String, (cores, disk_gib): (u32, u64), habit: Habit) -> Self {
        let capacity = Resources {
            cpu: MilliCores::from_cores(cores),
            memory: Bytes::from_gib(16),
            disk: Bytes::from_gib(disk_gib),
            gpus: 0,
        };
        Self {
            owner,
            name,
            capacity,
            habit,
            node: None,
            session: 0,
            link: Link::Down { until: 0 },
            jobs: BTreeMap::new(),
            spent: VecDeque::new(),
        }
    }

    pub(super) fn offer(&self) -> NodeOffer {
        NodeOffer {
            name: self.name.clone(),
            capacity: self.capacity,
            gpu_info: String::new(),
            labels: hivemind_model::Labels::default(),
            isolation: hivemind_model::Isolation::Basic,
            kinds: hivemind_model::Kinds::ALL,
            egress: hivemind_model::EgressPolicy::None,
        }
    }

    pub(super) fn some_job(&self) -> Option<AttemptRef> {
        self.jobs.keys().next().copied()
    }

    pub(super) fn drop_job(&mut self, attempt: AttemptRef) {
        self.jobs.remove(&attempt);
    }

    /// The link is up; what is stale is forgotten, what runs is told again.
    pub(super) fn is_linked(&mut self, stale: &[AttemptRef]) {
        self.link = Link::Up;
        self.jobs.retain(|attempt, _| !stale.contains(attempt));
        self.jobs.values_mut().for_each(|job| job.told = false);
    }
}

fn report(outcome: Outcome, wall: Millis) -> Report {
    let metering = Metering { wall, ..Metering::default() };
    Report { outcome, metering, logs: Default::default(), image_id: "sha256:1".into(), output: None, digest: None }
}

impl Town {
    /// What a machine sends in a minute.
    pub(super) fn machine_acts(&mut self, index: usize) -> Vec<Ask> {
        let minute = self.minute;
        let Some(node) = self.machines[index].node else { return Vec::new() };
        let gone = self.rng.chance(3);
        let machine = &mut self.machines[index];
        match machine.link {
            Link::Down { until } if minute < until => Vec::new(),
            Link::Down { .. } => {
                self.next_session += 1;
                machine.session = self.next_session;
                machine.link = Link::Asked;
                let holds = machine.jobs.keys().copied().collect();
                let command = Command::Connected { node, session: machine.session, offer: machine.offer(), holds };
                vec![Ask { by: By::Machine(index), command }]
            }
            Link::Asked => Vec::new(),
            Link::Up if gone => self.vanish(index),
            Link::Up => self.machine_works(index, node),
        }
    }

    fn machine_works(&mut self, index: usize, node: NodeId) -> Vec<Ask> {
        let minute = self.minute;
        let mut asks = Vec::new();
        let ask = |command| Ask { by: By::Machine(index), command };
        let Self { machines, rng, .. } = self;
        let machine = &mut machines[index];
        let habit = machine.habit;
        let mut vanishes = false;
        for (&attempt, job) in &mut machine.jobs {
            if !job.told && habit != Habit::Hasty {
                job.told = true;
                asks.push(ask(Command::Started { node, attempt }));
                continue;
            }
            let age = minute - job.since;
            let honest = Millis::from_secs(60 * age).min(job.limit);
            let (over, wall) = match habit {
                Habit::Honest => (age >= job.minutes, honest),
                Habit::Liar | Habit::Parrot => (true, Millis(u64::MAX)),
                Habit::Hasty => (true, Millis(u64::MAX - 1)),
                Habit::Lazy => (false, honest),
                Habit::Vanisher => {
                    vanishes |= age + 1 >= job.minutes;
                    (false, honest)
                }
            };
            if !over {
                continue;
            }
            let outcome = match rng.between(0, 29) {
                0 => Outcome::OutOfMemory,
                1 => Outcome::TimedOut,
                2 => Outcome::Infrastructure { reason: "simulated".into() },
                3 => Outcome::BadImage { reason: "simulated".into() },
                4 if habit != Habit::Honest => Outcome::Expired,
                5 if habit != Habit::Honest => Outcome::Cancelled,
                6 => Outcome::Exited { code: 1 },
                _ => Outcome::Exited { code: 0 },
            };
            let command = Command::Finished { node, attempt, report: report(outcome, wall) };
            if habit == Habit::Parrot {
                asks.push(ask(command.clone()));
                machine.spent.push_back(attempt);
            }
            asks.push(ask(command));
        }
        if let Some(old) = machine.spent.pop_front_if(|_| rng.chance(200)) {
            let done = report(Outcome::Exited { code: 0 }, Millis(u64::MAX));
            asks.push(ask(Command::Finished { node, attempt: old, report: done }));
        }
        if vanishes {
            asks.extend(self.vanish(index));
        }
        asks
    }

    /// A machine is gone for some minutes, with or without what it was doing.
    pub(super) fn vanish(&mut self, index: usize) -> Vec<Ask> {
        let until = self.minute + self.rng.between(2, 10);
        let forgets = self.rng.chance(500);
        let broken_off = self.rng.chance(500);
        let machine = &mut self.machines[index];
        let Some(node) = machine.node else { return Vec::new() };
        machine.link = Link::Down { until };
        if forgets {
            machine.jobs.clear();
        }
        let mut asks = Vec::new();
        if broken_off {
            asks.push(Ask { by: By::Shell, command: Command::Disconnected { node, session: machine.session } });
        }
        asks.push(Ask { by: By::Shell, command: Command::Lost { node } });
        asks
    }

    /// A machine is given an attempt.
    pub(super) fn machine_is_given(&mut self, node: NodeId, session: u64, attempt: AttemptRef, spec: &TaskSpec) {
        let (minute, mut minutes) = (self.minute, self.rng.between(0, 20));
        let Some(machine) = self.machine_of(node).filter(|machine| machine.session == session) else { return };
        if machine.link == Link::Up {
            minutes = minutes.min(spec.max_runtime.secs() / 60);
            machine.jobs.insert(attempt, Job { limit: spec.max_runtime, since: minute, minutes, told: false });
        }
    }

    /// A machine is told to stop an attempt.
    pub(super) fn machine_stops(&mut self, node: NodeId, attempt: AttemptRef) {
        if let Some(machine) = self.machine_of(node) {
            machine.jobs.remove(&attempt);
        }
    }

    /// The pool has restarted: every link is down. Whoever does not come back soon is lost.
    pub(super) fn links_break(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        for machine in &mut self.machines {
            match machine.link {
                Link::Up | Link::Asked => machine.link = Link::Down { until: self.minute + self.rng.between(0, 2) },
                Link::Down { .. } => {}
            }
            if let (Link::Down { until }, Some(node)) = (machine.link, machine.node)
                && until > self.minute + 1
            {
                asks.push(Ask { by: By::Shell, command: Command::Lost { node } });
            }
        }
        asks
    }

    fn machine_of(&mut self, node: NodeId) -> Option<&mut Machine> {
        let index = self.machine_by_node.get(&node).copied()?;
        self.machines.get_mut(index)
    }
}
