//! The simulated world: a clock, a list of things to come, and everyone in it.
//!
//! Start at [`World::run`]. Every event happens at one moment; whoever acts puts further events
//! into the list. [`World::send_up`] and [`World::send_down`] are the network.
//!
//! Invariant: nothing is reached but through events and links, as in a real pool.

use crate::client::Clients;
use crate::pool::PoolShell;
use crate::proof::Truth;
use crate::rng::Rng;
use crate::worker::Worker;
use crate::{Config, Failure, Summary};
use hivemind_engine::Violation;
use hivemind_model::command::NodeOffer;
use hivemind_model::rows::Report;
use hivemind_model::{AttemptRef, Rejection, Reply, TaskSpec};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

/// Simulated milliseconds since the start.
pub(crate) type Time = u64;
/// Numbers links, over all restarts of anything.
pub(crate) type LinkId = u64;

/// After the faults have stopped, all must have ended within this time.
const PATIENCE: Time = 40 * 60_000;

/// From a worker to the pool.
#[derive(Debug, Clone)]
pub(crate) enum Up {
    Hello { offer: NodeOffer, holds: Vec<AttemptRef> },
    Heartbeat { sent_at: Time },
    Started(AttemptRef),
    Finished(AttemptRef, Report),
    Drain,
}

/// From the pool to a worker.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    Welcome { hello_at: Time, stale: Vec<AttemptRef> },
    HeartbeatAck { sent_at: Time },
    Assign { attempt: AttemptRef, spec: Arc<TaskSpec> },
    Stop(AttemptRef),
    FinishedAck(AttemptRef),
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// The writer takes what is waiting.
    Write {
        epoch: u64,
    },
    /// The oldest batch in flight is durable.
    Durable {
        epoch: u64,
    },
    /// The pool looks who was silent for too long.
    Liveness {
        epoch: u64,
    },
    PoolStarts,
    /// A message arrives, unless its link is gone.
    Arrives {
        link: LinkId,
        message: Up,
        late: bool,
    },
    Delivered {
        link: LinkId,
        message: Down,
    },
    /// One end notices that a link is broken.
    PoolNotices {
        link: LinkId,
    },
    WorkerNotices {
        link: LinkId,
    },
    WorkerStarts {
        worker: usize,
    },
    Connects {
        worker: usize,
        epoch: u64,
    },
    Beats {
        worker: usize,
        link: LinkId,
    },
    LeaseEnds {
        worker: usize,
        epoch: u64,
    },
    Begins {
        worker: usize,
        epoch: u64,
        attempt: AttemptRef,
    },
    Ends {
        worker: usize,
        epoch: u64,
        attempt: AttemptRef,
    },
    /// A client does something new.
    ClientActs,
    /// A client's request leaves (again).
    ClientSends {
        op: usize,
    },
    /// A client's request is at the pool.
    Asked {
        op: usize,
    },
    /// A client has its answer.
    Answered {
        op: usize,
        answer: Result<Reply, Rejection>,
    },
    /// Something breaks.
    Breaks,
    /// The operator lets every node have work again.
    Forgives,
}

/// A way between one worker and the pool.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) worker: usize,
    /// Of the pool to which it leads.
    pub(crate) pool_epoch: u64,
    /// True while messages get through.
    pub(crate) open: bool,
    /// Messages stay in order: none arrives before these moments.
    pub(crate) up_after: Time,
    pub(crate) down_after: Time,
}

/// How much goes wrong in this run, in permille.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) slowest_message: Time,
    pub(crate) slowest_commit: Time,
    pub(crate) lost_answers: u64,
    pub(crate) repeats: u64,
    pub(crate) failures: u64,
    pub(crate) hangs: u64,
    pub(crate) fault_pause: Time,
}

/// Whether the pool is to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    No,
    /// At the end of this event.
    Now,
    /// As soon as a batch is on its way to the disk.
    WithBatchInFlight,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) calm: bool,
    pub(crate) pool_dies: Death,
    events: BTreeMap<(Time, u64), Event>,
    next_event: u64,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) next_link: LinkId,
    pub(crate) pool: PoolShell,
    pub(crate) workers: Vec<Worker>,
    pub(crate) clients: Clients,
    pub(crate) truth: Truth,
    pub(crate) summary: Summary,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let mut rng = Rng::new(config.seed);
        let weather = Weather {
            slowest_message: rng.between(2, 400),
            slowest_commit: rng.between(2, 250),
            lost_answers: rng.between(0, 300),
            repeats: rng.between(0, 200),
            failures: rng.between(0, 300),
            hangs: rng.between(0, 20),
            fault_pause: rng.between(200, 4_000),
        };
        let pool = PoolShell::founded(config.seed);
        let summary = Summary { trace_hash: 0xcbf2_9ce4_8422_2325, ..Summary::default() };
        Self {
            config,
            now: 0,
            rng,
            weather,
            calm: false,
            pool_dies: Death::No,
            events: BTreeMap::new(),
            next_event: 0,
            links: BTreeMap::new(),
            next_link: 1,
            pool,
            workers: Vec::new(),
            clients: Clients::default(),
            truth: Truth::default(),
            summary,
        }
    }

    pub(crate) fn run(mut self) -> Result<Summary, Failure> {
        match self.live() {
            Ok(()) => Ok(self.summary),
            Err(violation) => Err(Failure {
                seed: self.config.seed,
                at: self.now,
                invariant: violation.invariant.into(),
                detail: violation.detail,
            }),
        }
    }

    fn live(&mut self) -> Result<(), Violation> {
        self.settle_in()?;
        while self.summary.events < self.config.steps {
            self.step()?;
        }
        self.note(format_args!("the faults stop"));
        self.stop_faults();
        let patience = self.now + PATIENCE;
        while !self.is_over() {
            if self.now > patience {
                return Err(self.not_over());
            }
            self.step()?;
        }
        self.prove_end()
    }

    fn step(&mut self) -> Result<(), Violation> {
        let Some(((at, _), event)) = self.events.pop_first() else {
            return Err(Violation { invariant: "T7", detail: "nothing will ever happen again".into() });
        };
        self.now = at;
        self.summary.events += 1;
        self.note(format_args!("{event:?}"));
        self.happen(event)?;
        self.prove_leases()?;
        let in_flight = self.pool.process.as_ref().is_some_and(|process| !process.in_flight.is_empty());
        match self.pool_dies {
            Death::No => Ok(()),
            Death::WithBatchInFlight if !in_flight => Ok(()),
            Death::Now | Death::WithBatchInFlight => {
                self.pool_dies = Death::No;
                let away = self.rng.between(1, 15_000);
                self.soon(away, Event::PoolStarts);
                self.kill_pool()
            }
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Write { epoch } => return self.pool_writes(epoch),
            Event::Durable { epoch } => return self.pool_is_durable(epoch),
            Event::Liveness { epoch } => self.pool_looks_who_is_silent(epoch),
            Event::PoolStarts => return self.pool_starts(),
            Event::Arrives { link, message, late } => self.pool_hears(link, message, late),
            Event::Delivered { link, message } => return self.worker_hears(link, message),
            Event::PoolNotices { link } => self.pool_notices_break(link),
            Event::WorkerNotices { link } => self.worker_notices_break(link),
            Event::WorkerStarts { worker } => self.worker_starts(worker),
            Event::Connects { worker, epoch } => self.worker_connects(worker, epoch),
            Event::Beats { worker, link } => self.worker_beats(worker, link),
            Event::LeaseEnds { worker, epoch } => self.worker_loses_lease(worker, epoch),
            Event::Begins { worker, epoch, attempt } => self.container_begins(worker, epoch, attempt),
            Event::Ends { worker, epoch, attempt } => return self.container_ends(worker, epoch, attempt),
            Event::ClientActs => self.client_acts(),
            Event::ClientSends { op } => self.client_sends(op),
            Event::Asked { op } => self.pool_is_asked(op),
            Event::Answered { op, answer } => return self.client_is_answered(op, answer),
            Event::Breaks => self.something_breaks(),
            Event::Forgives => self.operator_forgives(),
        }
        Ok(())
    }

    /// Puts something that happens `after` so many milliseconds into the list.
    pub(crate) fn soon(&mut self, after: Time, event: Event) {
        self.at(self.now + after, event);
    }

    pub(crate) fn at(&mut self, time: Time, event: Event) {
        self.events.insert((time.max(self.now), self.next_event), event);
        self.next_event += 1;
    }

    /// Worker to pool: in order within a link; lost where it is broken.
    pub(crate) fn send_up(&mut self, link: LinkId, message: Up) {
        let delay = self.rng.between(1, self.weather.slowest_message);
        let arrival = self.now + delay;
        let Some(way) = self.links.get_mut(&link).filter(|way| way.open) else { return };
        way.up_after = way.up_after.max(arrival);
        let at = way.up_after;
        self.at(at, Event::Arrives { link, message, late: false });
    }

    /// Pool to worker: in order within a link; lost where it is broken.
    pub(crate) fn send_down(&mut self, link: LinkId, message: Down) {
        let delay = self.rng.between(1, self.weather.slowest_message);
        let arrival = self.now + delay;
        let Some(way) = self.links.get_mut(&link).filter(|way| way.open) else { return };
        way.down_after = way.down_after.max(arrival);
        let at = way.down_after;
        self.at(at, Event::Delivered { link, message });
    }

    /// Breaks a link: nothing sent from now on gets through. Of what is under way to the pool,
    /// some may still be in its buffers and come late, after a newer link.
    pub(crate) fn break_link(&mut self, link: LinkId) {
        let Some(way) = self.links.get_mut(&link).filter(|way| way.open) else { return };
        way.open = false;
        let worker = way.worker;
        self.summary.link_breaks += 1;
        let keys: Vec<(Time, u64)> = self.events.iter().filter(|(_, event)| matches!(event, Event::Arrives { link: of, .. } | Event::Delivered { link: of, .. } if *of == link)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(event) = self.events.remove(&key) else { continue };
            if let Event::Arrives { message, .. } = event
                && self.rng.chance(500)
            {
                let after = self.rng.between(1, 20_000);
                self.soon(after, Event::Arrives { link, message, late: true });
            }
        }
        let (pool_after, worker_after) = (self.rng.between(0, 3_000), self.rng.between(0, 3_000));
        // A half-open link: the pool sees no end, only silence.
        if !self.rng.chance(300) {
            self.soon(pool_after, Event::PoolNotices { link });
        }
        if self.workers[worker].link == Some(link) {
            self.soon(worker_after, Event::WorkerNotices { link });
        }
    }

    /// Adds a line to the trace: always to its hash, to the screen where asked.
    pub(crate) fn note(&mut self, line: fmt::Arguments<'_>) {
        let text = line.to_string();
        if self.config.trace {
            // Whoever closed the pipe has seen enough.
            let _closed = writeln!(std::io::stdout(), "{:>8} {text}", self.now);
        }
        for byte in self.now.to_be_bytes().iter().chain(text.as_bytes()) {
            self.summary.trace_hash = (self.summary.trace_hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
