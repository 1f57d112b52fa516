//! Carries out what the agent wants, and tells it what happened.
//!
//! Start at [`Shell::perform`]; [`crate::run`] has the loop around it.
//!
//! Invariant: no decision about an attempt is taken here.

use crate::agent::{Agent, Link};
use crate::capture::{Capture, MAX_STREAM_BYTES, remove_if_there};
use crate::event::{Action, Event, Work};
use crate::folders::Lock;
use crate::incoming;
use crate::job::{Job, Signal, Tools, Voice};
use crate::link::{Line, LinkEvent};
use crate::outbox::Outbox;
use crate::renewal::Renewal;
use crate::spool::Spool;
use crate::status::Status;
use crate::usage::{Monitor, SleepWatch};
use hivemind_model::AttemptRef;
use hivemind_model::rows::Report;
use hivemind_model::spec::BlobRef;
use hivemind_proto::convert::{self, LogPosition};
use hivemind_proto::worker::{self as wire, worker_event::Event as Outgoing};
use hivemind_runtime::Stop;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// What of an attempt is on this machine besides its phase.
struct Kept {
    capture: Arc<Capture>,
    /// Kills the job, while there is one.
    stop: Option<Stop>,
    /// Carries the output to the pool, while it does.
    upload: Option<AbortHandle>,
    /// True where an output archive lies in its folder.
    has_output: bool,
    /// True where the spool was told of it.
    spooled: bool,
}

/// See the module.
pub(crate) struct Shell {
    pub(crate) agent: Agent,
    outbox: Outbox,
    tools: Tools,
    offer: wire::NodeOffer,
    monitor: Monitor,
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
    /// Let go of last.
    _lock: Option<Lock>,
}

/// What a shell is made of.
pub(crate) struct Parts {
    pub agent: Agent,
    pub tools: Tools,
    pub offer: wire::NodeOffer,
    pub monitor: Monitor,
    pub renewal: Option<Renewal>,
    pub captures: Vec<(AttemptRef, Capture, Arc<Report>)>,
    pub signals: UnboundedSender<Signal>,
    pub status: watch::Sender<Status>,
    pub spool: Spool,
    pub lock: Option<Lock>,
}

impl Shell {
    /// A shell without a link.
    pub(crate) fn new(parts: Parts) -> Self {
        let kept = parts.captures.into_iter().map(|(attempt, capture, report)| {
            let kept = Kept {
                capture: Arc::new(capture),
                stop: None,
                upload: None,
                has_output: report.output.is_some(),
                spooled: true,
            };
            (attempt, kept)
        });
        Self {
            agent: parts.agent,
            outbox: Outbox::default(),
            tools: parts.tools,
            offer: parts.offer,
            monitor: parts.monitor,
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
                self.outbox.push_heartbeat(self.monitor.heartbeat(sequence, active));
                self.renew(now);
            }
            Action::SendStarted { attempt } => {
                self.outbox.push(Outgoing::Started(wire::AttemptStarted { attempt: Some(attempt.into()) }))
            }
            Action::SendNote { attempt, text } => {
                self.outbox.push(Outgoing::Progress(wire::AttemptProgress {
                    attempt: Some(attempt.into()),
                    percent: 0,
                    note: text,
                }));
            }
            Action::SendFinished { attempt, report } => {
                self.outbox.push_finished(attempt, convert::attempt_finished(attempt, &report))
            }
            Action::SendDrain => self.outbox.push(Outgoing::Drain(wire::DrainRequest {})),
            Action::StartJob { attempt, work } => self.start_job(attempt, work),
            Action::StopJob { attempt } => {
                if let Some(Kept { stop: Some(stop), .. }) = self.kept.get(&attempt) {
                    stop.cancel();
                }
            }
            Action::Spool { attempt, report } => {
                self.keep(attempt).spooled = true;
                self.spool.put(attempt, report);
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

    fn send_hello(&self, holds: &[AttemptRef]) {
        let hello = wire::Hello {
            offer: Some(self.offer.clone()),
            holds: holds.iter().map(|attempt| (*attempt).into()).collect(),
        };
        let message = wire::WorkerMessage { events: vec![wire::WorkerEvent { event: Some(Outgoing::Hello(hello)) }] };
        if let Some(line) = &self.line
            && line.out.try_send(message).is_err()
        {
            // A new line has room; one that is closed is about to be reported as lost.
            line.close.cancel();
        }
    }

    fn start_job(&mut self, attempt: AttemptRef, work: Arc<Work>) {
        let stop = Stop::new();
        let kept = self.keep(attempt);
        kept.stop = Some(stop.clone());
        let capture = Arc::clone(&kept.capture);
        let voice = Arc::new(Voice::new(attempt, capture, self.signals.clone(), stop.clone()));
        let job = Job { tools: self.tools.clone(), work, stop, voice };
        self.spawn(job.run());
    }

    fn store_output(&mut self, attempt: AttemptRef, blob: BlobRef) {
        let (transfer, signals, path) =
            (Arc::clone(&self.tools.transfer), self.signals.clone(), self.tools.folders.output(attempt));
        let upload = self.spawn(async move {
            let result = transfer.store(attempt, blob, &path).await;
            // Nobody listens while the worker ends; the next start tries again.
            let _unheard = signals.send(Signal::Event(Event::Uploaded { attempt, result }));
        });
        self.keep(attempt).upload = Some(upload);
    }

    fn keep(&mut self, attempt: AttemptRef) -> &mut Kept {
        let logs = &self.tools.folders.logs;
        self.kept.entry(attempt).or_insert_with(|| Kept {
            capture: Arc::new(Capture::new(logs, attempt, MAX_STREAM_BYTES)),
            stop: None,
            upload: None,
            has_output: false,
            spooled: false,
        })
    }

    fn forget(&mut self, attempt: AttemptRef) {
        self.outbox.forget(attempt);
        let Some(kept) = self.kept.remove(&attempt) else { return };
        if let Some(upload) = kept.upload {
            upload.abort();
        }
        if kept.spooled {
            self.spool.remove(attempt);
        }
        let removed = kept
            .capture
            .remove()
            .and_then(|()| if kept.has_output { remove_if_there(&self.tools.folders.output(attempt)) } else { Ok(()) });
        if let Err(why) = removed {
            self.warn(format!("files of {attempt} could not be removed; the next start tries again: {why}"));
        }
    }

    fn rewind(&mut self, position: LogPosition) {
        if let Some(kept) = self.kept.get(&position.attempt)
            && !kept.capture.is_empty()
        {
            self.outbox.follow(position.attempt, &kept.capture);
            self.outbox.rewind(position);
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

    /// What a job, the spool or a transfer told.
    pub(crate) fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Spoke(voice) => {
                let note = voice.heard();
                if self.kept.contains_key(&voice.attempt) && !voice.capture.is_empty() {
                    self.outbox.follow(voice.attempt, &voice.capture);
                }
                if let Some(text) = note {
                    self.tell(Event::Note { attempt: voice.attempt, text });
                }
            }
            Signal::Event(event) => {
                match &event {
                    Event::Ended { attempt, report } => {
                        if let Some(kept) = self.kept.get_mut(attempt) {
                            kept.stop = None;
                            kept.has_output = report.output.is_some();
                        }
                    }
                    Event::SpoolFailed { .. } => self.spool_is_broken = true,
                    Event::Uploaded { attempt, .. } => {
                        if let Some(kept) = self.kept.get_mut(attempt) {
                            kept.upload = None;
                        }
                    }
                    _other => {}
                }
                self.tell(event);
            }
        }
    }

    /// What the link told.
    pub(crate) fn on_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Opened(line) => {
                self.line = Some(line);
                self.outbox.clear();
                self.tell(Event::LinkOpened);
            }
            LinkEvent::Received(message) => {
                for event in message.events.into_iter().filter_map(|event| event.event) {
                    match incoming::event(event) {
                        Ok(event) => self.on_pool(event),
                        Err(why) => {
                            self.warn(format!("the pool said something that no pool of this release says: {why}"))
                        }
                    }
                }
            }
            LinkEvent::Lost(reason) => self.lose_link(reason),
            LinkEvent::Refused(reason) => {
                self.lose_link(reason.clone());
                self.refused = Some(reason);
                self.tell(Event::OwnerStops);
            }
        }
    }

    fn lose_link(&mut self, reason: String) {
        self.line = None;
        self.outbox.clear();
        self.last_error = Some(reason);
        self.tell(Event::LinkLost);
    }

    fn on_pool(&mut self, event: Event) {
        let was_up = self.agent.link() == Link::Up;
        if let Event::HeartbeatAck { sequence } = event {
            self.outbox.answered(sequence);
        }
        self.tell(event);
        if !was_up && self.agent.link() == Link::Up {
            self.welcomes += 1;
            self.last_error = None;
            tracing::info!(node = self.offer.name, "linked to the pool");
        }
    }

    /// Hands as much as there is room for to the transport.
    pub(crate) fn flush(&mut self) {
        self.blocked = false;
        let mut bad = Vec::new();
        while self.agent.link() == Link::Up && self.outbox.has_message() {
            let Some(line) = &self.line else { return };
            let permit = match line.out.try_reserve() {
                Ok(permit) => permit,
                Err(tokio::sync::mpsc::error::TrySendError::Full(())) => {
                    self.blocked = true;
                    break;
                }
                // The link task says so in a moment.
                Err(tokio::sync::mpsc::error::TrySendError::Closed(())) => break,
            };
            match self.outbox.next_message(&mut bad) {
                Some(message) => permit.send(message),
                None => break,
            }
            let now = Instant::now();
            if self.outbox.wants_heartbeat()
                && let Some(action) = self.agent.extra_heartbeat(now)
            {
                self.perform(action, now);
            }
        }
        for log in bad {
            self.warn(format!("the output of {} cannot be read back: {}", log.attempt, log.error));
            self.tell(Event::LogsLost { attempt: log.attempt });
        }
    }

    /// Resolves when the transport takes messages again.
    pub(crate) async fn room(&self) {
        match &self.line {
            // Where it is closed the link task says so; until then there is nothing to wait for here.
            Some(line) if line.out.reserve().await.is_ok() => {}
            Some(_) | None => std::future::pending().await,
        }
    }

    /// When [`Shell::tick`] is due. While jobs run it is soon, because the machine may be suspended.
    pub(crate) fn wake_at(&self, now: Instant) -> Instant {
        const OFTEN: Duration = Duration::from_secs(1);
        const SELDOM: Duration = Duration::from_secs(60);
        let longest = now + if self.agent.jobs() > 0 { OFTEN } else { SELDOM };
        self.agent.next_deadline().map_or(longest, |at| at.min(longest))
    }

    /// True where nothing waits to be sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.agent.link() != Link::Up || !self.outbox.has_message()
    }

    /// Shows how things stand.
    pub(crate) fn publish(&self) {
        let status = Status {
            linked: self.agent.link() == Link::Up,
            welcomes: self.welcomes,
            draining: self.agent.is_draining(),
            jobs: self.agent.jobs(),
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
