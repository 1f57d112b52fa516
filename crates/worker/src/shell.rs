//! Carries out what the agent wants, and tells it what happened.
//!
//! Start at [`Shell::perform`]; `hear`, `send` and `jobs` have the parts of it, [`crate::run`] the loop around it.
//!
//! Invariant: no decision about an attempt is taken here.

use crate::agent::{Agent, Link};
use crate::attempt_usage::UsageBook;
use crate::capture::Capture;
use crate::diary::Diary;
use crate::event::{Action, Event};
use crate::folders::Lock;
use crate::job::{Signal, Tools};
use crate::link::Line;
use crate::measuring::Measurement;
use crate::outbox::Outbox;
use crate::renewal::Renewal;
use crate::socket::SocketFile;
use crate::spool::{Hurry, Spool};
use crate::status::Status;
use crate::usage::{Monitor, SleepWatch};
use hivemind_model::rows::Report;
use hivemind_model::{AttemptRef, Timestamp};
use hivemind_proto::convert;
use hivemind_proto::worker::{self as wire, worker_event::Event as Outgoing};
use hivemind_runtime::Stop;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

mod hear;
mod jobs;
mod send;

/// What of an attempt is on this machine besides its phase.
struct Kept {
    capture: Arc<Capture>,
    /// Its job, while there is one.
    steer: Option<Steer>,
    /// Carries the output to the pool, while it does.
    upload: Option<AbortHandle>,
    /// True where an output archive lies in its folder.
    has_output: bool,
    /// True where the spool was told of it.
    spooled: bool,
}

/// How a job is steered, and what its owner is shown of it.
struct Steer {
    stop: Stop,
    hold: watch::Sender<bool>,
    image: String,
    since: Timestamp,
}

/// See the module.
pub(crate) struct Shell {
    pub(crate) agent: Agent,
    outbox: Outbox,
    usage: UsageBook,
    measurement: Option<Measurement>,
    tools: Tools,
    offer: wire::NodeOffer,
    monitor: Monitor,
    diary: Arc<Diary>,
    sleep: SleepWatch,
    renewal: Option<Renewal>,
    kept: HashMap<AttemptRef, Kept>,
    signals: UnboundedSender<Signal>,
    line: Option<Line>,
    /// True while the transport takes no more messages.
    pub(crate) blocked: bool,
    /// Why the pool will not have this node.
    pub(crate) refused: Option<String>,
    /// True once a result could not be stored on this machine's disk.
    pub(crate) spool_is_broken: bool,
    status: watch::Sender<Status>,
    last_error: Option<String>,
    welcomes: u64,
    /// Jobs, uploads, the link and the monitor: they end with this.
    tasks: JoinSet<()>,
    spool: Spool,
    /// Removed before the lock is let go of.
    _socket: Option<SocketFile>,
    /// Let go of last.
    _lock: Option<Lock>,
}

/// What a shell is made of.
pub(crate) struct Parts {
    pub agent: Agent,
    pub tools: Tools,
    pub offer: wire::NodeOffer,
    pub monitor: Monitor,
    pub diary: Arc<Diary>,
    pub renewal: Option<Renewal>,
    pub captures: Vec<(AttemptRef, Capture, Arc<Report>)>,
    pub signals: UnboundedSender<Signal>,
    pub status: watch::Sender<Status>,
    pub spool: Spool,
    pub socket: Option<SocketFile>,
    pub lock: Option<Lock>,
}

impl Shell {
    /// A shell without a link.
    pub(crate) fn new(parts: Parts) -> Self {
        let kept = parts.captures.into_iter().map(|(attempt, capture, report)| {
            let kept = Kept {
                capture: Arc::new(capture),
                steer: None,
                upload: None,
                has_output: report.output.is_some(),
                spooled: true,
            };
            (attempt, kept)
        });
        Self {
            agent: parts.agent,
            outbox: Outbox::default(),
            usage: UsageBook::default(),
            measurement: None,
            tools: parts.tools,
            offer: parts.offer,
            monitor: parts.monitor,
            diary: parts.diary,
            sleep: SleepWatch::default(),
            renewal: parts.renewal,
            kept: kept.collect(),
            signals: parts.signals,
            line: None,
            blocked: false,
            refused: None,
            spool_is_broken: false,
            status: parts.status,
            last_error: None,
            welcomes: 0,
            tasks: JoinSet::new(),
            spool: parts.spool,
            _socket: parts.socket,
            _lock: parts.lock,
        }
    }

    /// Runs `task` for as long as the shell lives.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(task)
    }

    /// Tells the agent and does what it wants.
    pub(crate) fn tell(&mut self, event: Event) {
        let now = Instant::now();
        for action in self.agent.on(event, now) {
            self.perform(action, now);
        }
    }

    /// Looks whether the machine slept, and lets the agent look at its deadlines.
    pub(crate) fn tick(&mut self) {
        if let Some(span) = self.sleep.slept() {
            tracing::info!("this machine was suspended for {} s", span.as_secs());
            self.tell(Event::Slept { span });
        }
        self.tell(Event::Tick);
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(why) = ended
                && why.is_panic()
            {
                self.warn(format!("a part of the worker failed, which is a bug: {why}"));
            }
        }
    }

    fn perform(&mut self, action: Action, now: Instant) {
        match action {
            Action::SendHello { holds } => self.send_hello(&holds),
            Action::SendHeartbeat { sequence, active } => {
                let attempts = self.usage.take();
                self.outbox.push_heartbeat(wire::Heartbeat { attempts, ..self.monitor.heartbeat(sequence, active) });
                self.renew(now);
            }
            Action::SendStarted { attempt } => {
                self.outbox.push(Outgoing::Started(wire::AttemptStarted { attempt: Some(attempt.into()) }))
            }
            Action::SendProgress { attempt, percent, note } => {
                let percent = percent.into();
                self.outbox.push(Outgoing::Progress(wire::AttemptProgress {
                    attempt: Some(attempt.into()),
                    percent,
                    note,
                }));
            }
            Action::SendOwner { availability } => {
                self.outbox.push(Outgoing::Owner(convert::owner_state(&availability)));
            }
            Action::SendMeasured { nonce, digest } => {
                self.measurement = None;
                self.outbox.push(Outgoing::Benchmark(wire::BenchmarkDone { nonce, digest: digest.to_vec().into() }));
            }
            Action::Measure { ask } => self.measurement = Some(Measurement::start(ask, self.signals.clone())),
            Action::AbortMeasure => self.measurement = None,
            Action::SendFinished { attempt, report } => {
                self.outbox.push_finished(attempt, convert::attempt_finished(attempt, &report))
            }
            Action::SendDrain => self.outbox.push(Outgoing::Drain(wire::DrainRequest {})),
            Action::StartJob { attempt, work } => self.start_job(attempt, work),
            Action::StopJob { attempt } => self.stop_job(attempt),
            Action::HoldJob { attempt, held } => self.hold_job(attempt, held),
            Action::Spool { attempt, report } => {
                self.keep(attempt).spooled = true;
                let hurry = if self.agent.backlog() > 0 { Hurry::Soon } else { Hurry::Now };
                self.spool.put(attempt, report, hurry);
            }
            Action::Forget { attempt } => self.forget(attempt),
            Action::RewindLogs { position } => self.rewind(position),
            Action::StoreOutput { attempt, blob } => self.store_output(attempt, blob),
            Action::KeepCertificate { pem } => self.keep_certificate(pem),
            Action::Reconnect { why } => {
                if let Some(line) = &self.line {
                    line.close.cancel();
                }
                self.warn(why);
            }
            Action::Warn { text } => self.warn(text),
        }
    }

    fn renew(&mut self, now: Instant) {
        let Some(renewal) = &mut self.renewal else { return };
        match renewal.request(crate::enroll::now(), now) {
            Ok(Some(csr_pem)) => self.outbox.push(Outgoing::Renew(wire::RenewRequest { csr_pem })),
            Ok(None) => {}
            Err(why) => self.warn(format!("no request for a new certificate could be made: {why:#}")),
        }
    }

    fn keep_certificate(&mut self, pem: String) {
        match self.renewal.as_mut().map(|renewal| renewal.keep(pem)) {
            Some(Ok(())) => tracing::info!("the node has a new certificate"),
            Some(Err(why)) => self.warn(format!("the new certificate is not used: {why:#}")),
            None => {}
        }
    }

    pub(crate) fn warn(&mut self, text: String) {
        tracing::warn!("{text}");
        self.last_error = Some(text);
    }

    /// When [`Shell::tick`] is due. While jobs run it is soon, because the machine may be suspended.
    pub(crate) fn wake_at(&self, now: Instant) -> Instant {
        const OFTEN: Duration = Duration::from_secs(1);
        const SELDOM: Duration = Duration::from_secs(60);
        let longest = now + if self.agent.jobs() > 0 { OFTEN } else { SELDOM };
        self.agent.next_deadline().map_or(longest, |at| at.min(longest))
    }

    /// Shows how things stand.
    pub(crate) fn publish(&self) {
        let status = Status {
            linked: self.agent.link() == Link::Up,
            welcomes: self.welcomes,
            draining: self.agent.is_draining(),
            jobs: self.agent.jobs(),
            gpu_jobs: self.agent.gpu_jobs(),
            cpu_used: self.usage.cpu_used(),
            availability: self.agent.availability().clone(),
            backlog: self.agent.backlog(),
            attempts: self.agent.len(),
            last_error: self.last_error.clone(),
            lease_until: self.agent.lease_until(),
            reap_at: self.agent.reap_at(),
        };
        self.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }
}
