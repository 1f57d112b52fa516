//! What the agent does about the link and what the pool says.
//!
//! Start at [`Agent::on_welcome`].
//!
//! Invariant: whatever the pool sends, in any order and however often, no more is started than
//! fits the machine, and no more is kept than the backlog holds.

use super::attempt::{Output, Phase, no_fault};
use super::on_owner::OWNER_NEEDS_GRAPHICS;
use super::{Agent, Link, MAX_BACKLOG, MAX_BACKLOG_BYTES, OWNER_STOPPED};
use crate::event::{Action, Work};
use hivemind_model::{AttemptRef, Bytes, Resources, TaskSpec};
use hivemind_proto::convert::LogPosition;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Agent {
    pub(super) fn on_link_opened(&mut self, now: Instant) -> Vec<Action> {
        self.forget_link();
        self.link = Link::Greeting(now);
        let holds =
            self.attempts.iter().filter(|(_, entry)| entry.phase.is_held()).map(|(attempt, _)| *attempt).collect();
        vec![Action::SendHello { holds }]
    }

    pub(super) fn on_link_lost(&mut self) -> Vec<Action> {
        self.forget_link();
        self.link = Link::Down;
        self.forget_measuring()
    }

    fn forget_link(&mut self) {
        self.lease.link_lost();
        self.next_heartbeat = None;
        for entry in self.attempts.values_mut() {
            if let Phase::Delivering { sent, .. } = &mut entry.phase {
                *sent = false;
            }
        }
    }

    /// The Welcome answers the Hello, so it extends the lease from when that was sent.
    pub(super) fn on_welcome(
        &mut self,
        lease: Duration,
        every: Duration,
        stale: &[AttemptRef],
        logs: &[LogPosition],
        now: Instant,
    ) -> Vec<Action> {
        let Link::Greeting(greeted_at) = self.link else { return Vec::new() };
        self.lease.welcomed(greeted_at, lease);
        self.link = Link::Up;
        self.heartbeat_every = every;
        let mut actions = vec![self.heartbeat(now), self.tell_owner()];
        if self.owner_drains {
            actions.push(Action::SendDrain);
        }
        for attempt in stale {
            actions.extend(self.discard(*attempt));
        }
        let known: BTreeMap<AttemptRef, LogPosition> =
            logs.iter().map(|position| (position.attempt, *position)).collect();
        let held: Vec<AttemptRef> = self.attempts.keys().copied().collect();
        for attempt in held {
            let position =
                known.get(&attempt).copied().unwrap_or(LogPosition { attempt, stdout: Bytes(0), stderr: Bytes(0) });
            actions.push(Action::RewindLogs { position });
            self.resume(attempt, now, &mut actions);
        }
        actions
    }

    /// Tells a pool that has just answered where an attempt stands.
    fn resume(&mut self, attempt: AttemptRef, now: Instant, actions: &mut Vec<Action>) {
        let Some(entry) = self.attempts.get_mut(&attempt) else { return };
        match &mut entry.phase {
            Phase::Running => {
                actions.push(Action::SendStarted { attempt });
                actions.extend(self.repeat_news(attempt, now));
            }
            Phase::Delivering { output, .. } => {
                if let Output::RetryAt(_) = output {
                    *output = Output::Here;
                }
                actions.extend(self.deliver(attempt));
            }
            Phase::Fetching | Phase::Preparing => actions.extend(self.repeat_news(attempt, now)),
            Phase::Waiting { .. } | Phase::Stopping(_) | Phase::Spooling { .. } => {}
        }
    }

    /// The pool may hand out more than fits at once: what was taken starts when its turn comes.
    pub(super) fn on_assign(&mut self, attempt: AttemptRef, mut work: Work, now: Instant) -> Vec<Action> {
        if self.link != Link::Up || self.attempts.contains_key(&attempt) {
            return Vec::new();
        }
        let need = work.spec.resources;
        let mut bytes = work.env_bytes();
        match self.spec_beside(attempt, &work.spec) {
            Some(same) => work.spec = same,
            None => bytes += work.spec_bytes(),
        }
        let unwanted = work.spec.image_blob.is_none() && !self.owner.allows_image(&work.spec.image);
        let refusal = unwanted.then(|| format!("the owner does not let `{}` run here", work.spec.image));
        if let Some(reason) = refusal.or_else(|| self.refusal(&need, bytes, now)) {
            return vec![self.give_back(attempt, &reason)];
        }
        let place = self.next_place;
        self.next_place += 1;
        let grace = work.spec.patience.lost_after.map_or(Duration::ZERO, |time| Duration::from_millis(time.0));
        self.insert(attempt, need, grace, Phase::Waiting { work: Arc::new(work), place, bytes });
        Vec::new()
    }

    /// The same spec, where the element before or after this one waits with it: an array says it
    /// with each element, and it is kept once.
    fn spec_beside(&self, attempt: AttemptRef, spec: &TaskSpec) -> Option<Arc<TaskSpec>> {
        let beside = [self.attempts.range(..attempt).next_back(), self.attempts.range(attempt..).next()];
        let same_task = beside.into_iter().flatten().filter(|(known, _)| known.element.task == attempt.element.task);
        let mut waiting = same_task.filter_map(|(_, entry)| match &entry.phase {
            Phase::Waiting { work, .. } => Some(&work.spec),
            Phase::Fetching
            | Phase::Preparing
            | Phase::Running
            | Phase::Stopping(_)
            | Phase::Spooling { .. }
            | Phase::Delivering { .. } => None,
        });
        waiting.find(|known| ***known == *spec).map(Arc::clone)
    }

    pub(super) fn on_bad_assign(&mut self, attempt: AttemptRef, reason: &str) -> Vec<Action> {
        if self.link != Link::Up || self.attempts.contains_key(&attempt) {
            return Vec::new();
        }
        let reason = format!("the pool handed out something that no pool of this release hands out: {reason}");
        vec![Action::Warn { text: format!("{attempt} is given back: {reason}") }, self.give_back(attempt, &reason)]
    }

    /// An attempt that is not taken ends at once, through no fault of the task.
    fn give_back(&mut self, attempt: AttemptRef, reason: &str) -> Action {
        let report = Arc::new(no_fault(reason));
        self.insert(attempt, Resources::default(), Duration::ZERO, Phase::Spooling { report: Arc::clone(&report) });
        Action::Spool { attempt, report }
    }

    /// Why an attempt with this need is not taken.
    fn refusal(&self, need: &Resources, bytes: usize, now: Instant) -> Option<String> {
        if self.stopping {
            return Some(OWNER_STOPPED.to_owned());
        }
        if self.keeps_out(need) {
            return Some(OWNER_NEEDS_GRAPHICS.to_owned());
        }
        if !self.lease.is_live(now) {
            return Some("the attempt arrived after the node's lease had ended".to_owned());
        }
        let capacity = &self.machine.capacity;
        if !capacity.covers(need) {
            return Some(format!("the pool asked for {need} where this node has {capacity}"));
        }
        let waiting = self.backlog.len();
        // One alone is taken, whatever its size.
        let is_full = waiting >= MAX_BACKLOG || (waiting > 0 && self.backlog_bytes + bytes > MAX_BACKLOG_BYTES);
        is_full.then(|| {
            let held = Bytes(self.backlog_bytes as u64);
            format!("backlog full: {waiting} attempts with {held} of texts wait on this node already")
        })
    }

    /// The end of an attempt is sent again after the bytes that were missing.
    pub(super) fn on_log_resend(&mut self, position: LogPosition) -> Vec<Action> {
        let attempt = position.attempt;
        let Some(entry) = self.attempts.get_mut(&attempt) else { return Vec::new() };
        if self.link != Link::Up {
            return Vec::new();
        }
        let mut actions = vec![Action::RewindLogs { position }];
        match &mut entry.phase {
            Phase::Delivering { sent, .. } if *sent => {
                *sent = false;
                actions.extend(self.deliver(attempt));
            }
            Phase::Waiting { .. }
            | Phase::Fetching
            | Phase::Preparing
            | Phase::Running
            | Phase::Stopping(_)
            | Phase::Spooling { .. }
            | Phase::Delivering { .. } => {}
        }
        actions
    }

    pub(super) fn on_finished_ack(&mut self, attempt: AttemptRef, refusal: &str) -> Vec<Action> {
        let mut actions = self.discard(attempt);
        if !refusal.is_empty() && !actions.is_empty() {
            let refusal: String = refusal.chars().take(300).collect();
            actions.push(Action::Warn { text: format!("the pool does not take the result of {attempt}: {refusal}") });
        }
        actions
    }

    /// The next step towards the acknowledgement of an attempt that is over.
    pub(super) fn deliver(&mut self, attempt: AttemptRef) -> Option<Action> {
        if self.link != Link::Up {
            return None;
        }
        let entry = self.attempts.get_mut(&attempt)?;
        let Phase::Delivering { report, output, sent } = &mut entry.phase else { return None };
        match (*output, report.output) {
            (Output::Here, Some(blob)) => {
                *output = Output::Moving;
                Some(Action::StoreOutput { attempt, blob })
            }
            (Output::Done, _) | (Output::Here, None) if !*sent => {
                *sent = true;
                Some(Action::SendFinished { attempt, report: Arc::clone(report) })
            }
            (Output::Done | Output::Here | Output::Moving | Output::RetryAt(_), _) => None,
        }
    }
}
