//! How fast the machine at the other end of a link is: asked once, answered some time.
//!
//! Invariant: an answer that nobody asked for changes nothing.

use super::Link;
use crate::links::Outgoing;
use crate::monitor::benchmark::{Benchmark as Questions, ROUNDS};
use hivemind_model::Command;
use hivemind_proto::worker::pool_event::Event as PoolEventKind;
use hivemind_proto::worker::{Benchmark, BenchmarkDone};
use std::sync::Arc;
use tonic::Status;

impl Link {
    /// Asks a machine that was never measured how fast it is.
    pub(super) fn ask_for_speed(&self) {
        if self.shared.monitor.is_measured(self.node) {
            return;
        }
        // Neither the link nor a stop of the pool waits for it: many may wait for their turn.
        let (live, benchmark) = (self.shared.live.clone(), self.shared.benchmark.clone());
        let (node, session, slot) = (self.node, self.session, self.question.clone());
        tokio::spawn(async move {
            let turn = benchmark.turn().await;
            // The link has ended meanwhile.
            if Arc::strong_count(&slot) == 1 {
                return;
            }
            let question = tokio::task::spawn_blocking(move || Questions::question(turn)).await;
            // Only a panic or the end of the process ends it otherwise, and neither concerns this link.
            let Ok(mut question) = question else { return };
            let asked = Benchmark { nonce: question.nonce, seed: question.seed.to_vec().into(), rounds: ROUNDS };
            question.leaves();
            *slot.lock() = Some(question);
            live.links.send(node, session, Outgoing::Event(Box::new(PoolEventKind::Benchmark(asked))));
        });
    }

    /// Takes the answer.
    pub(super) async fn measured(&mut self, done: &BenchmarkDone) -> Result<(), Status> {
        let Some(question) = self.question.lock().take() else { return Ok(()) };
        match question.judge(done.nonce, &done.digest) {
            Ok(speed) => {
                self.shared.monitor.note_speed(self.node, speed);
                let Some(part) = self.shared.monitor.speed(self.node, self.shared.monitor.pace()) else {
                    return Ok(());
                };
                // Thousandths of the mean; the engine bounds what it believes.
                let speed = (part * 1000.0).clamp(1.0, 1e6) as u32;
                self.queue(Command::Measured { node: self.node, speed }).await
            }
            Err(why) => {
                tracing::warn!(node = %self.node, %why, "a machine's answer to the benchmark says nothing");
                Ok(())
            }
        }
    }
}
