//! What the shell hears: its jobs, the spool, transfers and the link.
//!
//! Start at [`Shell::on_signal`] and [`Shell::on_link`].
//!
//! Invariant: what is heard goes to the agent; here it only changes what is kept beside.

use super::Shell;
use crate::agent::Link;
use crate::event::Event;
use crate::incoming;
use crate::job::{Heard, Signal};
use crate::link::LinkEvent;

impl Shell {
    /// What a job, the spool or a transfer told.
    pub(crate) fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Spoke(voice) => {
                let Heard { note, percent, usage } = voice.heard();
                let attempt = voice.attempt;
                if self.kept.contains_key(&attempt) {
                    if !voice.capture.is_empty() {
                        self.outbox.follow(attempt, &voice.capture);
                    }
                    if let Some(usage) = usage {
                        self.usage.told(attempt, usage);
                    }
                }
                if let Some(text) = note {
                    self.tell(Event::Note { attempt, text });
                }
                if let Some(percent) = percent {
                    self.tell(Event::Progress { attempt, percent });
                }
            }
            Signal::Event(event) => {
                match &event {
                    Event::Ended { attempt, report } => {
                        self.diary.ended(&report.outcome);
                        if let Some(kept) = self.kept.get_mut(attempt) {
                            kept.steer = None;
                            kept.has_output = report.output.is_some();
                            self.usage.ended(*attempt, report.metering.cpu);
                        }
                    }
                    Event::SpoolFailed { .. } => self.spool_is_broken = true,
                    Event::Uploaded { attempt, result } => {
                        self.diary.uploaded(result);
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
            self.usage.repeat();
            self.last_error = None;
            tracing::info!(node = self.offer.name, "linked to the pool");
        }
    }
}
