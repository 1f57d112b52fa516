//! How fast this machine is, as the pool asks: when that is computed, and when not.
//!
//! One question at a time. While the owner has paused the machine it waits, and what was begun is left and begun anew: the
//! pool takes the time, and waits. Start at [`Agent::on_benchmark`].
//!
//! Invariant: an answer goes out over the link over which it was asked for, once.

use super::{Agent, Link};
use crate::event::{Action, Benchmark};

/// A question that was not answered yet.
#[derive(Debug)]
pub(super) struct Measuring {
    ask: Benchmark,
    runs: bool,
}

impl Agent {
    pub(super) fn on_benchmark(&mut self, ask: Benchmark) -> Vec<Action> {
        if self.link != Link::Up {
            return Vec::new();
        }
        if self.measuring.is_some() {
            return vec![Action::Warn {
                text: "the pool asks for a second measurement before the first is done".into(),
            }];
        }
        self.measuring = Some(Measuring { ask, runs: false });
        Vec::new()
    }

    pub(super) fn on_measured(&mut self, nonce: u64, digest: [u8; 32]) -> Vec<Action> {
        if self.link != Link::Up || !self.measuring.as_ref().is_some_and(|now| now.runs && now.ask.nonce == nonce) {
            return Vec::new();
        }
        self.measuring = None;
        vec![Action::SendMeasured { nonce, digest }]
    }

    /// Nobody waits for the answer any more.
    pub(super) fn forget_measuring(&mut self) -> Vec<Action> {
        match self.measuring.take() {
            Some(Measuring { runs: true, .. }) => vec![Action::AbortMeasure],
            Some(Measuring { runs: false, .. }) | None => Vec::new(),
        }
    }

    /// Begins what may begin, leaves what may not go on.
    pub(super) fn go_on_measuring(&mut self, actions: &mut Vec<Action>) {
        let may_run = !self.owner.machine.holds();
        let Some(now) = &mut self.measuring else { return };
        match (now.runs, may_run) {
            (false, true) => actions.push(Action::Measure { ask: now.ask.clone() }),
            (true, false) => actions.push(Action::AbortMeasure),
            (true, true) | (false, false) => {}
        }
        now.runs = may_run;
    }
}
