//! The lease: the time-limited right to run what the pool handed out.
//!
//! One lease covers every attempt of this node; an attempt whose task waits for lost nodes may outlast it by
//! what the task says. It runs for a span that the pool names, counted
//! from the *sending* of the newest message that the pool has answered: the Hello (answered by
//! its Welcome) or a heartbeat (answered by its number). The pool heard that message later than
//! it was sent, and calls the node lost only one span after it heard it; so this lease always
//! ends first, without any agreement between the two clocks.
//!
//! Invariant: nothing but an answer extends it.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Heartbeats that may be under way at once; of more, the oldest no longer count.
const MAX_UNANSWERED: usize = 1024;

/// Before the first Welcome names another.
const DEFAULT_SPAN: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lease {
    span: Duration,
    from: Option<Instant>,
    unanswered: VecDeque<(u64, Instant)>,
    next_sequence: u64,
}

impl Lease {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { span: DEFAULT_SPAN, from: None, unanswered: VecDeque::new(), next_sequence: 1 }
    }

    /// The Hello that was sent at `sent` is answered; from now on leases run for `span`.
    pub(crate) fn welcomed(&mut self, sent: Instant, span: Duration) {
        self.span = span;
        self.extend(sent);
    }

    /// Numbers a heartbeat that is sent `now`.
    pub(crate) fn heartbeat(&mut self, now: Instant) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back((sequence, now));
        sequence
    }

    /// The pool heard heartbeat `sequence`. A number that was not sent over this link, or was
    /// answered before, changes nothing.
    pub(crate) fn answered(&mut self, sequence: u64) {
        let sent = self.unanswered.iter().find(|(number, _)| *number == sequence).map(|(_, at)| *at);
        if let Some(sent) = sent {
            self.unanswered.retain(|(number, _)| *number > sequence);
            self.extend(sent);
        }
    }

    /// What was sent over the lost link will not be answered.
    pub(crate) fn link_lost(&mut self) {
        self.unanswered.clear();
    }

    /// The clock stood still for `span` while the world did not.
    pub(crate) fn slept(&mut self, span: Duration) {
        self.from = self.from.and_then(|from| from.checked_sub(span));
        self.unanswered =
            self.unanswered.iter().filter_map(|(number, sent)| Some((*number, sent.checked_sub(span)?))).collect();
    }

    /// When it ends.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.from.map(|from| from + self.span)
    }

    /// When the killing must begin so that nothing runs past the end: at nine tenths.
    pub(crate) fn stop_at(&self) -> Option<Instant> {
        self.from.map(|from| from + self.span / 10 * 9)
    }

    /// As [`Lease::stop_at`], of what may run for `grace` after the newest message that was answered, where that is
    /// longer.
    pub(crate) fn stop_at_with(&self, grace: Duration) -> Option<Instant> {
        self.from.map(|from| from + self.span.max(grace) / 10 * 9)
    }

    /// When somebody else must begin the killing because this process did not: between
    /// [`Lease::stop_at`] and the end.
    pub(crate) fn reap_at(&self, grace: Duration) -> Option<Instant> {
        self.from.map(|from| from + self.span.max(grace) / 20 * 19)
    }

    /// True while work may run.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.stop_at().is_some_and(|at| now < at)
    }

    /// When the oldest unanswered heartbeat was sent.
    pub(crate) fn oldest_unanswered(&self) -> Option<Instant> {
        self.unanswered.front().map(|(_, sent)| *sent)
    }

    /// How long an answer may take before the link counts as dead: half the span, so that a
    /// second link can still be opened in time.
    pub(crate) fn patience(&self) -> Duration {
        self.span / 2
    }

    fn extend(&mut self, sent: Instant) {
        self.from = Some(self.from.map_or(sent, |from| from.max(sent)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn it_runs_from_the_sending_not_from_the_answer() {
        let start = Instant::now();
        let mut lease = Lease::new();
        assert!(!lease.is_live(start));
        lease.welcomed(start, ms(1000));
        let first = lease.heartbeat(start + ms(100));
        let second = lease.heartbeat(start + ms(200));
        lease.answered(second);
        assert_eq!(lease.until(), Some(start + ms(1200)));
        assert!(lease.is_live(start + ms(1099)) && !lease.is_live(start + ms(1100)));
        assert_eq!(lease.reap_at(Duration::ZERO), Some(start + ms(1150)));
        assert_eq!(lease.reap_at(ms(4000)), Some(start + ms(4000)));
        assert_eq!(lease.stop_at_with(ms(500)), lease.stop_at());
        assert_eq!(lease.stop_at_with(ms(4000)), Some(start + ms(3800)));
        // An older answer that comes later takes nothing back.
        lease.answered(first);
        assert_eq!(lease.until(), Some(start + ms(1200)));
    }

    #[test]
    fn answers_to_another_link_or_to_nothing_do_not_extend_it() {
        let start = Instant::now();
        let mut lease = Lease::new();
        lease.welcomed(start, ms(1000));
        let old = lease.heartbeat(start + ms(500));
        lease.link_lost();
        for sequence in [old, 0, 99, u64::MAX] {
            lease.answered(sequence);
        }
        assert_eq!(lease.until(), Some(start + ms(1000)));
    }

    #[test]
    fn a_shorter_span_counts_at_once_and_sleep_uses_it_up() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut lease = Lease::new();
        lease.welcomed(start, ms(1000));
        lease.welcomed(start, ms(500));
        assert_eq!(lease.until(), Some(start + ms(500)));
        lease.slept(ms(400));
        assert_eq!(lease.until(), Some(start + ms(100)));
    }

    #[test]
    fn heartbeats_under_way_are_bounded() {
        let start = Instant::now();
        let mut lease = Lease::new();
        for _ in 0..2 * MAX_UNANSWERED {
            lease.heartbeat(start);
        }
        assert_eq!(lease.unanswered.len(), MAX_UNANSWERED);
    }
}
