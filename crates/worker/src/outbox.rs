//! What waits to be sent: events in order, heartbeats before all, log bytes by their offset.
//!
//! Log bytes are read from their files only when there is room on the link, and at most
//! [`LOG_WINDOW`] of them are under way before the pool has answered a heartbeat that was sent
//! behind them. So a heartbeat never waits behind more than that, however slow the link is.
//! Start at [`Outbox::next_message`].
//!
//! Invariant: an attempt's end is sent after its last log byte, and nothing is kept here that
//! the agent could not ask for again on the next link.

use crate::capture::Capture;
use hivemind_model::AttemptRef;
use hivemind_proto::convert::LogPosition;
use hivemind_proto::worker as wire;
use hivemind_runtime::Stream;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

/// Most events in one message.
const MAX_EVENTS: usize = 1024;

/// Most log bytes in one message.
const MESSAGE_LOG_BYTES: usize = 64 << 10;

/// Most log bytes of one attempt in one message, so that every attempt has its turn.
const TURN_BYTES: usize = 32 << 10;

/// Log bytes under way and not answered for.
pub(crate) const LOG_WINDOW: u64 = 512 << 10;

/// Most attempts whose usage goes with one heartbeat.
const MAX_ATTEMPTS: usize = 2 * crate::attempt_usage::MOST;

/// Heartbeats whose place in the stream of log bytes is remembered.
const MAX_MARKS: usize = 1024;

/// What of an attempt's streams was sent over this link.
#[derive(Debug)]
struct Tail {
    capture: Arc<Capture>,
    stdout: u64,
    stderr: u64,
    /// True while it is in the line of those with bytes to send.
    queued: bool,
    /// Sent behind the last byte.
    finish: Option<wire::WorkerEvent>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    heartbeat: Option<(u64, wire::WorkerEvent)>,
    events: VecDeque<wire::WorkerEvent>,
    tails: BTreeMap<AttemptRef, Tail>,
    turns: VecDeque<AttemptRef>,
    /// Log bytes sent over this link, up to which the pool has answered, and as it was when each
    /// unanswered heartbeat was sent.
    logs_sent: u64,
    logs_heard: u64,
    logs_marked: u64,
    marks: VecDeque<(u64, u64)>,
}

/// A log file that could not be read back.
#[derive(Debug)]
pub(crate) struct BadLog {
    /// Whose.
    pub attempt: AttemptRef,
    /// What the disk says.
    pub error: io::Error,
}

impl Outbox {
    /// The link is gone: what waits for it is pointless.
    pub(crate) fn clear(&mut self) {
        let tails = std::mem::take(&mut self.tails);
        *self = Self::default();
        self.tails =
            tails.into_iter().map(|(attempt, tail)| (attempt, Tail { queued: false, finish: None, ..tail })).collect();
    }

    /// Sends `event` behind all others.
    pub(crate) fn push(&mut self, event: wire::worker_event::Event) {
        self.events.push_back(wire::WorkerEvent { event: Some(event) });
    }

    /// Sends a heartbeat before all others; one that still waits is replaced, and what it had to tell goes with the new
    /// one, as far as there is room.
    pub(crate) fn push_heartbeat(&mut self, mut heartbeat: wire::Heartbeat) {
        let sequence = heartbeat.sequence;
        if let Some((_, wire::WorkerEvent { event: Some(wire::worker_event::Event::Heartbeat(unsent)) })) =
            self.heartbeat.take()
        {
            heartbeat.machine = heartbeat.machine.or(unsent.machine);
            let newer: BTreeSet<_> = heartbeat.attempts.iter().filter_map(named).collect();
            let room = MAX_ATTEMPTS.saturating_sub(heartbeat.attempts.len());
            let older =
                unsent.attempts.into_iter().filter(|usage| named(usage).is_some_and(|name| !newer.contains(&name)));
            heartbeat.attempts.extend(older.take(room));
        }
        self.heartbeat =
            Some((sequence, wire::WorkerEvent { event: Some(wire::worker_event::Event::Heartbeat(heartbeat)) }));
    }

    /// Sends the end of an attempt behind its last log byte.
    pub(crate) fn push_finished(&mut self, attempt: AttemptRef, finished: wire::AttemptFinished) {
        let event = wire::WorkerEvent { event: Some(wire::worker_event::Event::Finished(finished)) };
        match self.tails.get_mut(&attempt) {
            Some(tail) if tail.has_more() => {
                tail.finish = Some(event);
                self.queue(attempt);
            }
            Some(_) | None => self.events.push_back(event),
        }
    }

    /// From now on the streams of `attempt` are sent, from their beginning.
    pub(crate) fn follow(&mut self, attempt: AttemptRef, capture: &Arc<Capture>) {
        self.tails.entry(attempt).or_insert_with(|| Tail {
            capture: Arc::clone(capture),
            stdout: 0,
            stderr: 0,
            queued: false,
            finish: None,
        });
        self.queue(attempt);
    }

    /// The pool has the streams up to here.
    pub(crate) fn rewind(&mut self, position: LogPosition) {
        if let Some(tail) = self.tails.get_mut(&position.attempt) {
            let (stdout, stderr) = tail.capture.lens();
            tail.stdout = position.stdout.0.min(stdout);
            tail.stderr = position.stderr.0.min(stderr);
            self.queue(position.attempt);
        }
    }

    /// Nothing more of `attempt` is to be sent.
    pub(crate) fn forget(&mut self, attempt: AttemptRef) {
        self.tails.remove(&attempt);
    }

    /// The pool has read up to heartbeat `sequence`.
    pub(crate) fn answered(&mut self, sequence: u64) {
        while let Some((number, sent)) = self.marks.front().copied() {
            if number > sequence {
                break;
            }
            self.logs_heard = sent;
            self.marks.pop_front();
        }
    }

    /// True where so many log bytes are under way that an answer should be asked for now.
    pub(crate) fn wants_heartbeat(&self) -> bool {
        self.heartbeat.is_none() && self.logs_sent - self.logs_marked >= LOG_WINDOW / 4
    }

    /// True where [`Outbox::next_message`] would have something.
    pub(crate) fn has_message(&self) -> bool {
        self.heartbeat.is_some() || !self.events.is_empty() || (!self.turns.is_empty() && self.window() > 0)
    }

    /// What is to be sent next, in one message; `None` where nothing can be sent now. Logs that
    /// cannot be read any more are put into `bad`.
    pub(crate) fn next_message(&mut self, bad: &mut Vec<BadLog>) -> Option<wire::WorkerMessage> {
        let mut events = Vec::with_capacity(self.events.len().min(MAX_EVENTS) + 1);
        if let Some((sequence, event)) = self.heartbeat.take() {
            events.push(event);
            if self.marks.len() == MAX_MARKS {
                self.marks.pop_front();
            }
            self.marks.push_back((sequence, self.logs_sent));
            self.logs_marked = self.logs_sent;
        }
        let room = MAX_EVENTS - events.len();
        events.extend(self.events.drain(..self.events.len().min(room)));
        // What a log byte belongs to must have been told before it.
        if self.events.is_empty() {
            self.take_logs(&mut events, bad);
        }
        (!events.is_empty()).then_some(wire::WorkerMessage { events })
    }

    fn take_logs(&mut self, events: &mut Vec<wire::WorkerEvent>, bad: &mut Vec<BadLog>) {
        let mut room = MESSAGE_LOG_BYTES.min(usize::try_from(self.window()).unwrap_or(usize::MAX));
        while room > 0 && events.len() < MAX_EVENTS {
            let Some(attempt) = self.turns.pop_front() else { return };
            let Some(tail) = self.tails.get_mut(&attempt) else { continue };
            match tail.take(attempt, room.min(TURN_BYTES), events) {
                Ok(bytes) => {
                    room -= bytes;
                    self.logs_sent += bytes as u64;
                    if tail.has_more() {
                        self.turns.push_back(attempt);
                    } else {
                        tail.queued = false;
                        events.extend(tail.finish.take());
                    }
                }
                Err(error) => {
                    self.tails.remove(&attempt);
                    bad.push(BadLog { attempt, error });
                }
            }
        }
    }

    fn queue(&mut self, attempt: AttemptRef) {
        if let Some(tail) = self.tails.get_mut(&attempt)
            && !tail.queued
            && (tail.has_more() || tail.finish.is_some())
        {
            tail.queued = true;
            self.turns.push_back(attempt);
        }
    }

    fn window(&self) -> u64 {
        LOG_WINDOW.saturating_sub(self.logs_sent - self.logs_heard)
    }
}

/// Which attempt it is about.
fn named(usage: &wire::AttemptUsage) -> Option<(u64, u32, u32)> {
    usage.attempt.as_ref().map(|attempt| (attempt.task, attempt.index, attempt.number))
}

impl Tail {
    fn has_more(&self) -> bool {
        let (stdout, stderr) = self.capture.lens();
        self.stdout < stdout || self.stderr < stderr
    }

    /// Takes at most `most` bytes, standard output first; answers how many.
    fn take(&mut self, attempt: AttemptRef, most: usize, events: &mut Vec<wire::WorkerEvent>) -> io::Result<usize> {
        let mut taken = 0;
        for (stream, offset) in [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)] {
            let data = self.capture.read(stream, *offset, most - taken)?;
            if data.is_empty() {
                continue;
            }
            taken += data.len();
            let start = *offset;
            *offset += data.len() as u64;
            let log = wire::LogData {
                attempt: Some(attempt.into()),
                stderr: stream == Stream::Stderr,
                offset: start,
                data: data.into(),
            };
            events.push(wire::WorkerEvent { event: Some(wire::worker_event::Event::Log(log)) });
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
