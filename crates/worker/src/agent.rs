//! The agent: what this machine does about what happens, as a pure state machine.
//!
//! It owns which attempts are here, in which phase each is, what they occupy, and the lease.
//! Start at [`Agent::on`]; [`attempt::Phase`] has the phases, [`lease`] the rule of the lease.
//! [`crate::shell`] feeds it and carries out what it answers.
//!
//! Invariant: no clock, no I/O, no randomness; the time is an argument.

pub(crate) mod attempt;
pub(crate) mod lease;
mod measure;
pub(crate) mod news;
mod on_job;
mod on_owner;
mod on_pool;

use crate::event::{Action, Event, Machine, OwnerOrders};
use attempt::{Afterwards, Attempt, Output, Phase, no_fault};
use hivemind_model::rows::{LogLengths, Report};
use hivemind_model::{AttemptRef, Availability, Resources};
use lease::Lease;
use measure::Measuring;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Before the first Welcome names another.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(1);

/// First wait after a failed upload; doubles each time.
const UPLOAD_RETRY: Duration = Duration::from_millis(200);

/// Longest such wait.
const MAX_UPLOAD_RETRY: Duration = Duration::from_secs(10);

/// Most attempts that wait for their turn; more are given back.
const MAX_BACKLOG: usize = 4096;

/// Most bytes that they may hold in memory, about: the longest entry for each of them.
const MAX_BACKLOG_BYTES: usize = MAX_BACKLOG * hivemind_proto::convert::MAX_ENV_BYTES;

/// What is said of attempts that the owner's stop ends.
pub(crate) const OWNER_STOPPED: &str = "the owner stopped the worker";

/// What is said of attempts whose lease ended while the link was up.
pub(crate) const LEASE_ENDED: &str =
    "the pool did not answer in time, so the lease ended and the worker stopped the attempt";

/// How the link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// None.
    Down,
    /// The Hello was sent then.
    Greeting(Instant),
    /// The pool answered it.
    Up,
    /// Given up; the shell is about to say that it is lost.
    Closing,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Agent {
    machine: Machine,
    attempts: BTreeMap<AttemptRef, Attempt>,
    /// Those in [`Phase::Waiting`], by their place in the line.
    backlog: BTreeMap<u64, AttemptRef>,
    backlog_bytes: usize,
    next_place: u64,
    /// What jobs occupy.
    occupied: Resources,
    jobs: u32,
    lease: Lease,
    link: Link,
    heartbeat_every: Duration,
    next_heartbeat: Option<Instant>,
    next_retry: Option<Instant>,
    /// Attempts whose news wait, each once, by when they may be told.
    late_news: BTreeSet<(Instant, AttemptRef)>,
    owner: OwnerOrders,
    measuring: Option<Measuring>,
    owner_drains: bool,
    operator_drains: bool,
    stopping: bool,
}

impl Agent {
    /// An agent without a link. `ended` are the results that earlier processes left on disk.
    pub(crate) fn new(machine: Machine, ended: Vec<(AttemptRef, Arc<Report>)>) -> Self {
        let attempts = ended.into_iter().map(|(attempt, report)| {
            let output = if report.output.is_some() { Output::Here } else { Output::Done };
            let phase = Phase::Delivering { report, output, sent: false };
            (attempt, Attempt::new(Resources::default(), Duration::ZERO, phase))
        });
        Self {
            machine,
            attempts: attempts.collect(),
            backlog: BTreeMap::new(),
            backlog_bytes: 0,
            next_place: 0,
            occupied: Resources::default(),
            jobs: 0,
            lease: Lease::new(),
            link: Link::Down,
            heartbeat_every: DEFAULT_HEARTBEAT,
            next_heartbeat: None,
            next_retry: None,
            late_news: BTreeSet::new(),
            owner: OwnerOrders::default(),
            measuring: None,
            owner_drains: false,
            operator_drains: false,
            stopping: false,
        }
    }

    /// Takes in what happened and answers what is to be done, in this order.
    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = self.react(event, now);
        self.start_waiting(now, &mut actions);
        self.go_on_measuring(&mut actions);
        actions
    }

    fn react(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::LinkOpened => self.on_link_opened(now),
            Event::LinkLost => self.on_link_lost(),
            Event::Welcome { lease, heartbeat_every, stale, logs } => {
                self.on_welcome(lease, heartbeat_every, &stale, &logs, now)
            }
            Event::HeartbeatAck { sequence } => {
                self.lease.answered(sequence);
                Vec::new()
            }
            Event::Assign { attempt, work } => self.on_assign(attempt, work, now),
            Event::BadAssign { attempt, reason } => self.on_bad_assign(attempt, &reason),
            Event::Stop { attempt } => self.discard(attempt),
            Event::LogResend { position } => self.on_log_resend(position),
            Event::FinishedAck { attempt, refusal } => self.on_finished_ack(attempt, &refusal),
            Event::Certificate { pem } => vec![Action::KeepCertificate { pem }],
            Event::Drain => {
                self.operator_drains = true;
                Vec::new()
            }
            Event::Benchmark { ask } => self.on_benchmark(ask),
            Event::Measured { nonce, digest } => self.on_measured(nonce, digest),
            Event::Prepared { attempt } => self.on_prepared(attempt),
            Event::Started { attempt } => self.on_started(attempt),
            Event::Note { attempt, text } => self.on_note(attempt, text, now),
            Event::Progress { attempt, percent } => self.on_progress(attempt, percent, now),
            Event::Ended { attempt, report } => self.on_ended(attempt, *report),
            Event::Spooled { attempt } => self.on_spooled(attempt),
            Event::SpoolFailed { attempt } => self.on_spool_failed(attempt),
            Event::Uploaded { attempt, result } => self.on_uploaded(attempt, result, now),
            Event::LogsLost { attempt } => self.on_logs_lost(attempt),
            Event::OwnerDecides { orders } => self.on_owner_decides(orders, now),
            Event::OwnerClears => self.on_owner_clears(),
            Event::OwnerDrains => self.on_owner_drains(),
            Event::OwnerStops => self.on_owner_stops(),
            Event::Slept { span } => {
                self.lease.slept(span);
                self.on_tick(now)
            }
            Event::Tick => self.on_tick(now),
        }
    }

    /// When [`Event::Tick`] is due next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let lease = if self.attempts_need_lease() { self.first_end() } else { None };
        let heartbeat = if self.link == Link::Up { self.next_heartbeat } else { None };
        let retry = if self.link == Link::Up { self.next_retry } else { None };
        let news = if self.link == Link::Up { self.next_news() } else { None };
        [lease, heartbeat, retry, news, self.next_give_back(), self.patience_ends()].into_iter().flatten().min()
    }

    /// True where nothing runs, and nothing is left that could be delivered over the link.
    pub(crate) fn is_settled(&self) -> bool {
        let deliverable = self.link == Link::Up;
        !self.attempts.values().any(|attempt| match attempt.phase {
            Phase::Delivering { .. } => deliverable,
            Phase::Waiting { .. }
            | Phase::Fetching
            | Phase::Preparing
            | Phase::Running
            | Phase::Stopping(_)
            | Phase::Spooling { .. } => true,
        })
    }

    /// Jobs that occupy the machine.
    pub(crate) fn jobs(&self) -> u32 {
        self.jobs
    }

    /// Jobs among them that have a graphics processor.
    pub(crate) fn gpu_jobs(&self) -> u32 {
        if self.occupied.gpus == 0 {
            return 0;
        }
        let with_gpu = self.attempts.values().filter(|entry| entry.phase.is_occupying() && entry.need.gpus > 0);
        u32::try_from(with_gpu.count()).unwrap_or(u32::MAX)
    }

    /// Attempts that wait for their turn.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog.len()
    }

    /// All attempts here, with those that wait to be acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.attempts.len()
    }

    /// What the owner lets the machine do.
    pub(crate) fn availability(&self) -> &Availability {
        &self.owner.machine.availability
    }

    /// What occupies the machine: which attempt, how much of it is done in percent, and whether it stands still.
    pub(crate) fn occupants(&self) -> impl Iterator<Item = (AttemptRef, u8, bool)> {
        let occupying = self.attempts.iter().filter(|(_, entry)| entry.phase.is_occupying());
        occupying.map(|(attempt, entry)| (*attempt, entry.news.percent(), entry.held))
    }

    /// How the link stands.
    pub(crate) fn link(&self) -> Link {
        self.link
    }

    /// When the lease ends.
    pub(crate) fn lease_until(&self) -> Option<Instant> {
        self.lease.until()
    }

    /// When whoever watches this process must end what runs, should it not do so itself.
    pub(crate) fn reap_at(&self) -> Option<Instant> {
        self.lease.reap_at(self.graces().max().unwrap_or_default())
    }

    /// True where no more work is wanted.
    pub(crate) fn is_draining(&self) -> bool {
        self.owner_drains || self.operator_drains
    }

    fn on_tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.attempts_need_lease() && !self.lease.is_live(now) {
            self.end_lease(now, &mut actions);
        }
        self.give_back_held(now, &mut actions);
        if self.patience_ends().is_some_and(|at| now >= at) {
            self.link = Link::Closing;
            let patience = self.lease.patience();
            actions
                .push(Action::Reconnect { why: format!("the pool has not answered for {} ms", patience.as_millis()) });
            return actions;
        }
        if self.link == Link::Up && self.next_heartbeat.is_none_or(|at| now >= at) {
            actions.push(self.heartbeat(now));
        }
        if self.link == Link::Up && self.next_retry.is_some_and(|at| now >= at) {
            self.retry_uploads(now, &mut actions);
        }
        self.tell_late_news(now, &mut actions);
        actions
    }

    /// A heartbeat outside the beat, so that the pool's answer tells how far it has read.
    pub(crate) fn extra_heartbeat(&mut self, now: Instant) -> Option<Action> {
        (self.link == Link::Up).then(|| self.heartbeat(now))
    }

    fn heartbeat(&mut self, now: Instant) -> Action {
        self.next_heartbeat = Some(now + self.heartbeat_every);
        Action::SendHeartbeat { sequence: self.lease.heartbeat(now), active: self.jobs }
    }

    /// For how long attempts that need a lease may outlast it.
    fn graces(&self) -> impl Iterator<Item = Duration> {
        self.attempts.values().filter(|entry| entry.phase.needs_lease()).map(|entry| entry.grace)
    }

    /// When the first attempt has to stop, unless the pool is heard.
    fn first_end(&self) -> Option<Instant> {
        self.lease.stop_at_with(self.graces().min()?)
    }

    /// Stops whatever may run no longer. Over a link that is up the pool believes the attempts to be
    /// here, so it is told; otherwise it learns from the next Hello, which does not name them.
    fn end_lease(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let believed = matches!(self.link, Link::Greeting(_) | Link::Up);
        let over = |entry: &Attempt| self.lease.stop_at_with(entry.grace).is_none_or(|at| now >= at);
        let live: Vec<AttemptRef> =
            self.attempts.iter().filter(|(_, a)| a.phase.needs_lease() && over(a)).map(|(r, _)| *r).collect();
        if live.is_empty() {
            return;
        }
        actions.push(Action::Warn {
            text: format!("the lease ended without an answer from the pool: stopping {} attempts", live.len()),
        });
        for attempt in live {
            if believed {
                self.stop_and_report(attempt, LEASE_ENDED, actions);
            } else {
                actions.extend(self.discard(attempt));
            }
        }
    }

    /// Stops a live attempt; the pool is told that `reason` was the cause.
    fn stop_and_report(&mut self, attempt: AttemptRef, reason: &str, actions: &mut Vec<Action>) {
        let Some(entry) = self.attempts.get(&attempt) else { return };
        match &entry.phase {
            Phase::Waiting { .. } => actions.push(self.spool(attempt, no_fault(reason))),
            Phase::Fetching | Phase::Preparing | Phase::Running => {
                self.set_phase(attempt, Phase::Stopping(Afterwards::Report { reason: reason.to_owned() }));
                actions.push(Action::StopJob { attempt });
            }
            Phase::Stopping(_) | Phase::Spooling { .. } | Phase::Delivering { .. } => {}
        }
    }

    /// Nothing of the attempt is wanted any more.
    fn discard(&mut self, attempt: AttemptRef) -> Vec<Action> {
        let Some(entry) = self.attempts.get(&attempt) else { return Vec::new() };
        match &entry.phase {
            Phase::Fetching | Phase::Preparing | Phase::Running => {
                self.set_phase(attempt, Phase::Stopping(Afterwards::Discard));
                vec![Action::StopJob { attempt }]
            }
            Phase::Stopping(_) => {
                self.set_phase(attempt, Phase::Stopping(Afterwards::Discard));
                Vec::new()
            }
            Phase::Waiting { .. } | Phase::Spooling { .. } | Phase::Delivering { .. } => {
                self.remove(attempt);
                vec![Action::Forget { attempt }]
            }
        }
    }

    /// Moves an attempt to [`Phase::Spooling`].
    fn spool(&mut self, attempt: AttemptRef, mut report: Report) -> Action {
        if self.attempts.get(&attempt).is_some_and(|entry| entry.logs_lost) {
            report.logs = LogLengths { cut: true, ..LogLengths::default() };
        }
        let report = Arc::new(report);
        self.set_phase(attempt, Phase::Spooling { report: Arc::clone(&report) });
        Action::Spool { attempt, report }
    }

    /// Starts those that wait, oldest first, as far as there is room and the owner lets them. One that does not fit holds
    /// up those behind it, so that the order is the one in which the pool handed them out.
    fn start_waiting(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while self.owner.machine.availability.takes_work()
            && self.lease.is_live(now)
            && let Some(attempt) = self.backlog.values().next().copied()
            && let Some(Attempt { phase: Phase::Waiting { work, .. }, need, .. }) = self.attempts.get(&attempt)
            && self.has_room(need)
        {
            let work = Arc::clone(work);
            self.set_phase(
                attempt,
                if work.spec.files.is_empty() && work.spec.image_blob.is_none() {
                    Phase::Preparing
                } else {
                    Phase::Fetching
                },
            );
            actions.push(Action::StartJob { attempt, work });
        }
    }

    fn has_room(&self, need: &Resources) -> bool {
        self.machine.capacity.checked_sub(&self.occupied).is_some_and(|free| free.covers(need))
    }

    /// When an answer that is due will not be waited for any longer.
    fn patience_ends(&self) -> Option<Instant> {
        let since = match self.link {
            Link::Greeting(at) => Some(at),
            Link::Up => self.lease.oldest_unanswered(),
            Link::Down | Link::Closing => None,
        };
        since.map(|at| at + self.lease.patience())
    }

    /// Only what occupies the machine and what waits for it can need a lease.
    fn attempts_need_lease(&self) -> bool {
        !self.backlog.is_empty() || (self.jobs > 0 && self.attempts.values().any(|attempt| attempt.phase.needs_lease()))
    }

    fn insert(&mut self, attempt: AttemptRef, need: Resources, grace: Duration, phase: Phase) {
        self.remove(attempt);
        self.enter(attempt, &phase, &need);
        self.attempts.insert(attempt, Attempt::new(need, grace, phase));
    }

    /// Every change of a phase goes through here, so that the line and the sums stay right.
    fn set_phase(&mut self, attempt: AttemptRef, phase: Phase) {
        let Some(mut entry) = self.remove(attempt) else { return };
        self.enter(attempt, &phase, &entry.need);
        entry.phase = phase;
        self.attempts.insert(attempt, entry);
    }

    fn remove(&mut self, attempt: AttemptRef) -> Option<Attempt> {
        let entry = self.attempts.remove(&attempt)?;
        self.leave(&entry);
        Some(entry)
    }

    /// What occupies the machine was found to fit before, so the sum has a result.
    fn enter(&mut self, attempt: AttemptRef, phase: &Phase, need: &Resources) {
        if let Phase::Waiting { place, bytes, .. } = phase {
            self.backlog.insert(*place, attempt);
            self.backlog_bytes += bytes;
        }
        if phase.is_occupying() {
            self.occupied = self.occupied.checked_add(need).unwrap_or(self.occupied);
            self.jobs = self.jobs.saturating_add(1);
        }
    }

    /// What is taken was added before, so the difference has a result.
    fn leave(&mut self, entry: &Attempt) {
        if let Phase::Waiting { place, bytes, .. } = entry.phase {
            self.backlog.remove(&place);
            self.backlog_bytes -= bytes;
        }
        if entry.phase.is_occupying() {
            self.occupied = self.occupied.checked_sub(&entry.need).unwrap_or(self.occupied);
            self.jobs = self.jobs.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
