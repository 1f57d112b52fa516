//! Machines: a worker with its containers, its lease, and the results it has not got rid of.
//!
//! Start at `World::worker_hears`.
//!
//! Invariant: only the spool survives when a machine is killed.

use crate::Sabotage;
use crate::world::{Down, Event, LinkId, Time, Up, World};
use hivemind_engine::Violation;
use hivemind_model::command::NodeOffer;
use hivemind_model::rows::Report;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{AttemptRef, Millis, NodeId, Resources, TaskSpec};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long a lease lasts after the sending of the last acknowledged sign of life.
pub(crate) const LEASE: Time = 10_000;
/// When a worker stops its containers: a little before the end of the lease.
const STOP_BEFORE: Time = 9_000;

/// A container, being prepared or running.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) spec: Arc<TaskSpec>,
    began: Option<Time>,
    /// It never ends by itself, and its worker does not notice.
    pub(crate) hangs: bool,
}

/// A machine.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) node: NodeId,
    pub(crate) name: String,
    capacity: Resources,
    /// False while the machine is off.
    pub(crate) up: bool,
    /// Until then it does not reach the pool.
    pub(crate) cut_off_until: Time,
    /// Counts starts: events for an earlier life are void.
    pub(crate) epoch: u64,
    pub(crate) link: Option<LinkId>,
    welcome: bool,
    pub(crate) hello_at: Time,
    /// When the last acknowledged sign of life was sent.
    pub(crate) acked_at: Time,
    pub(crate) containers: BTreeMap<AttemptRef, Container>,
    /// What does not fit beside them yet, in the order in which it came.
    backlog: VecDeque<(AttemptRef, Arc<TaskSpec>)>,
    /// Results that the pool has not acknowledged; on disk.
    pub(crate) spool: BTreeMap<AttemptRef, Report>,
}

impl Worker {
    pub(crate) fn new(node: NodeId, name: String, capacity: Resources) -> Self {
        Self {
            node,
            name,
            capacity,
            up: false,
            cut_off_until: 0,
            epoch: 0,
            link: None,
            welcome: false,
            hello_at: 0,
            acked_at: 0,
            containers: BTreeMap::new(),
            backlog: VecDeque::new(),
            spool: BTreeMap::new(),
        }
    }

    pub(crate) fn offer(&self) -> NodeOffer {
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
}

impl Worker {
    fn has(&self, attempt: AttemptRef) -> bool {
        let waits = self.backlog.iter().any(|(other, _)| *other == attempt);
        waits || self.spool.contains_key(&attempt) || self.containers.contains_key(&attempt)
    }

    fn forget(&mut self, attempt: AttemptRef) {
        self.containers.remove(&attempt);
        self.spool.remove(&attempt);
        self.backlog.retain(|(other, _)| *other != attempt);
    }

    /// Takes the first of what waits out, where it fits beside what runs.
    fn next_that_fits(&mut self) -> Option<(AttemptRef, Arc<TaskSpec>)> {
        let (_, first) = self.backlog.front()?;
        let running = self.containers.values().map(|container| container.spec.resources);
        let all = running.chain([first.resources]).try_fold(Resources::default(), |sum, need| sum.checked_add(&need));
        all.filter(|all| self.capacity.covers(all))?;
        self.backlog.pop_front()
    }
}

impl World {
    pub(crate) fn worker_starts(&mut self, worker: usize) {
        let this = &mut self.workers[worker];
        if this.up {
            return;
        }
        this.up = true;
        this.epoch += 1;
        let epoch = this.epoch;
        self.soon(1, Event::Connects { worker, epoch });
    }

    /// The machine is off at once: containers and memory are gone, the disk is not.
    pub(crate) fn kill_worker(&mut self, worker: usize) {
        let this = &mut self.workers[worker];
        if !this.up {
            return;
        }
        this.up = false;
        this.epoch += 1;
        this.containers.clear();
        this.backlog.clear();
        this.welcome = false;
        let link = this.link.take();
        self.summary.worker_kills += 1;
        if let Some(link) = link {
            self.break_link(link);
        }
    }

    pub(crate) fn worker_connects(&mut self, worker: usize, epoch: u64) {
        let pause = self.rng.between(100, 1_500);
        let (up, pool_epoch) = (self.pool.process.is_some(), self.pool.epoch);
        let this = &mut self.workers[worker];
        if this.epoch != epoch || !this.up || this.link.is_some() {
            return;
        }
        if !up || self.now < this.cut_off_until {
            self.soon(pause, Event::Connects { worker, epoch });
            return;
        }
        let link = self.next_link;
        self.next_link += 1;
        this.link = Some(link);
        this.welcome = false;
        this.hello_at = self.now;
        let waiting = this.backlog.iter().map(|(attempt, _)| attempt);
        let holds = this.containers.keys().chain(waiting).chain(this.spool.keys()).copied().collect();
        let hello = Up::Hello { offer: this.offer(), holds };
        self.links.insert(link, crate::world::Link { worker, pool_epoch, open: true, up_after: 0, down_after: 0 });
        // Nothing forbids a worker to send its results before it was welcomed.
        let eager: Vec<(AttemptRef, Report)> =
            this.spool.iter().map(|(attempt, report)| (*attempt, report.clone())).collect();
        self.send_up(link, hello);
        if self.rng.chance(self.weather.repeats) {
            eager.into_iter().for_each(|(attempt, report)| self.send_up(link, Up::Finished(attempt, report)));
        }
        self.soon(1_000, Event::Beats { worker, link });
    }

    pub(crate) fn worker_beats(&mut self, worker: usize, link: LinkId) {
        if self.workers[worker].link != Some(link) {
            return;
        }
        let sent_at = self.now;
        self.send_up(link, Up::Heartbeat { sent_at });
        if self.rng.chance(self.weather.repeats)
            && let Some((attempt, report)) =
                self.workers[worker].spool.iter().next().map(|(attempt, report)| (*attempt, report.clone()))
        {
            self.send_up(link, Up::Finished(attempt, report));
        }
        self.soon(1_000, Event::Beats { worker, link });
    }

    pub(crate) fn worker_notices_break(&mut self, link: LinkId) {
        let pause = self.rng.between(1, 2_000);
        let Some(worker) = self.workers.iter().position(|worker| worker.link == Some(link)) else { return };
        let this = &mut self.workers[worker];
        this.link = None;
        this.welcome = false;
        let epoch = this.epoch;
        self.soon(pause, Event::Connects { worker, epoch });
    }

    /// A message from the pool; what comes over an older link is not heard.
    pub(crate) fn worker_hears(&mut self, link: LinkId, message: Down) -> Result<(), Violation> {
        let Some(worker) = self.workers.iter().position(|worker| worker.link == Some(link)) else { return Ok(()) };
        match message {
            Down::Welcome { hello_at, stale } => {
                self.renew_lease(worker, hello_at);
                let this = &mut self.workers[worker];
                this.welcome = true;
                for attempt in stale {
                    this.forget(attempt);
                }
                let results: Vec<(AttemptRef, Report)> =
                    this.spool.iter().map(|(attempt, report)| (*attempt, report.clone())).collect();
                let running: Vec<AttemptRef> = this
                    .containers
                    .iter()
                    .filter(|(_, container)| container.began.is_some())
                    .map(|(attempt, _)| *attempt)
                    .collect();
                for attempt in running {
                    self.send_up(link, Up::Started(attempt));
                }
                for (attempt, report) in results {
                    self.send_up(link, Up::Finished(attempt, report));
                }
                return self.start_what_fits(worker);
            }
            Down::HeartbeatAck { sent_at } => self.renew_lease(worker, sent_at),
            Down::Assign { attempt, spec } => return self.worker_is_assigned(worker, attempt, spec),
            Down::Stop(attempt) => {
                self.workers[worker].forget(attempt);
                return self.start_what_fits(worker);
            }
            Down::FinishedAck(attempt) => drop(self.workers[worker].spool.remove(&attempt)),
        }
        Ok(())
    }

    fn worker_is_assigned(&mut self, worker: usize, attempt: AttemptRef, spec: Arc<TaskSpec>) -> Result<(), Violation> {
        let this = &mut self.workers[worker];
        if this.has(attempt) {
            return Ok(());
        }
        // The assignment was long under way: without a live lease nothing may begin.
        if self.now >= this.acked_at + STOP_BEFORE && self.config.sabotage != Sabotage::IgnoreLeases {
            self.report(worker, attempt, Outcome::Infrastructure { reason: "the lease had run out".into() }, Millis(0));
        } else {
            this.backlog.push_back((attempt, spec));
        }
        self.start_what_fits(worker)
    }

    /// Starts the first of what waits, as long as there is room for it.
    fn start_what_fits(&mut self, worker: usize) -> Result<(), Violation> {
        while let Some((attempt, spec)) = self.workers[worker].next_that_fits() {
            self.prove_only_one_runs(attempt)?;
            let (prepare, hangs) = (self.rng.between(1, 400), !self.calm && self.rng.chance(self.weather.hangs));
            let this = &mut self.workers[worker];
            let epoch = this.epoch;
            this.containers.insert(attempt, Container { spec, began: None, hangs });
            self.soon(prepare, Event::Begins { worker, epoch, attempt });
        }
        Ok(())
    }

    pub(crate) fn container_begins(&mut self, worker: usize, epoch: u64, attempt: AttemptRef) {
        let (now, length) = (self.now, self.rng.between(1, 12_000));
        let this = &mut self.workers[worker];
        let link = this.link.filter(|_| this.welcome);
        if this.epoch != epoch {
            return;
        }
        let Some(container) = this.containers.get_mut(&attempt) else { return };
        container.began = Some(now);
        let length = length.min(container.spec.max_runtime.0);
        if !container.hangs {
            self.soon(length, Event::Ends { worker, epoch, attempt });
        }
        if let Some(link) = link {
            self.send_up(link, Up::Started(attempt));
        }
    }

    pub(crate) fn container_ends(&mut self, worker: usize, epoch: u64, attempt: AttemptRef) -> Result<(), Violation> {
        if self.workers[worker].epoch != epoch {
            return Ok(());
        }
        let Some(container) = self.workers[worker].containers.remove(&attempt) else { return Ok(()) };
        let wall = Millis(self.now - container.began.unwrap_or(self.now));
        let outcome = if wall == container.spec.max_runtime {
            Outcome::TimedOut
        } else if !self.calm && self.rng.chance(self.weather.failures) {
            let reason = "simulated".to_owned();
            match self.rng.between(0, 6) {
                0 => Outcome::OutOfMemory,
                1 => Outcome::CannotStart { reason },
                2 => Outcome::BadImage { reason },
                3 => Outcome::Cancelled,
                4 | 5 => Outcome::Infrastructure { reason },
                _ => Outcome::Exited { code: 1 },
            }
        } else {
            Outcome::Exited { code: 0 }
        };
        self.report(worker, attempt, outcome, wall);
        self.start_what_fits(worker)
    }

    /// Puts a result on the worker's disk, and sends it if it can.
    fn report(&mut self, worker: usize, attempt: AttemptRef, outcome: Outcome, wall: Millis) {
        // Some nodes lie about the time.
        let claimed = if self.rng.chance(50) { Millis(u64::MAX) } else { wall };
        let metering = Metering { wall: claimed, ..Metering::default() };
        self.truth.reported(attempt, self.workers[worker].node, &outcome);
        let report =
            Report { outcome, metering, logs: Default::default(), image_id: String::new(), output: None, digest: None };
        let this = &mut self.workers[worker];
        this.spool.insert(attempt, report.clone());
        if let Some(link) = this.link.filter(|_| this.welcome) {
            self.send_up(link, Up::Finished(attempt, report));
        }
    }

    fn renew_lease(&mut self, worker: usize, sent_at: Time) {
        let this = &mut self.workers[worker];
        this.acked_at = this.acked_at.max(sent_at);
        let (epoch, end) = (this.epoch, this.acked_at + STOP_BEFORE);
        self.at(end, Event::LeaseEnds { worker, epoch });
    }

    /// Stops everything once the lease is nearly over.
    pub(crate) fn worker_loses_lease(&mut self, worker: usize, epoch: u64) {
        let now = self.now;
        let this = &mut self.workers[worker];
        if this.epoch != epoch || now < this.acked_at + STOP_BEFORE || self.config.sabotage == Sabotage::IgnoreLeases {
            return;
        }
        this.backlog.clear();
        for (attempt, container) in std::mem::take(&mut this.containers) {
            let wall = Millis(now - container.began.unwrap_or(now));
            if self.rng.chance(500) {
                self.report(worker, attempt, Outcome::Infrastructure { reason: "the lease ran out".into() }, wall);
            }
        }
    }
}
