//! What goes wrong.
//!
//! Invariant: after `stop_faults` nothing breaks any more, and everybody is switched on.

use crate::begin::OPERATOR;
use crate::pool::Origin;
use crate::world::{Death, Event, Up, World};
use hivemind_model::service::NodeChange;
use hivemind_model::{Command, Millis};

impl World {
    /// One thing breaks; the next one is on its way.
    pub(crate) fn something_breaks(&mut self) {
        if self.calm {
            return;
        }
        let worker = self.rng.index(self.workers.len());
        let away = self.rng.between(1, 15_000);
        match self.rng.between(0, 10) {
            0 | 1 => {
                // Most of the damage is done while something is on its way to the disk.
                self.pool_dies = if self.rng.chance(700) { Death::WithBatchInFlight } else { Death::Now };
            }
            2 | 3 => {
                self.kill_worker(worker);
                self.soon(away, Event::WorkerStarts { worker });
            }
            4 | 5 => {
                self.workers[worker].cut_off_until = self.now + away + 5_000;
                if let Some(link) = self.workers[worker].link {
                    self.break_link(link);
                }
            }
            6 | 7 => {
                if let Some(link) = self.workers[worker].link {
                    self.break_link(link);
                }
            }
            8 => {
                // The machine sleeps: it neither hears nor speaks, and its clock goes on.
                if let Some(link) = self.workers[worker].link
                    && let Some(way) = self.links.get_mut(&link)
                {
                    way.up_after = way.up_after.max(self.now + away);
                    way.down_after = way.down_after.max(self.now + away);
                }
            }
            9 => {
                if let Some(link) = self.workers[worker].link {
                    self.send_up(link, Up::Drain);
                }
            }
            _ => {
                let change = match self.rng.between(0, 2) {
                    0 => NodeChange::Cordon,
                    1 => NodeChange::Drain { within: Millis(away / 4) },
                    _ => NodeChange::Ban { reason: "it is in the way".into() },
                };
                self.operator_decides(worker, change);
                // Not for long: the other faults need somebody who works.
                self.soon(away / 2, Event::Forgives);
            }
        }
        let pause = self.rng.between(1, 2 * self.weather.fault_pause);
        self.soon(pause, Event::Breaks);
    }

    /// The operator lets every node have work again.
    pub(crate) fn operator_forgives(&mut self) {
        for worker in 0..self.workers.len() {
            self.operator_decides(worker, NodeChange::Unban);
            self.operator_decides(worker, NodeChange::Uncordon);
        }
    }

    fn operator_decides(&mut self, worker: usize, change: NodeChange) {
        let node = self.workers[worker].name.clone();
        self.ask_pool(Origin::Nobody, Command::SetNode { by: OPERATOR.0, node, change });
    }

    /// From now on everything works: whoever is off starts again, and drained nodes come back.
    pub(crate) fn stop_faults(&mut self) {
        self.calm = true;
        self.pool_dies = Death::No;
        self.weather.slowest_message = 20;
        self.soon(0, Event::PoolStarts);
        self.soon(1, Event::Forgives);
        for worker in 0..self.workers.len() {
            self.workers[worker].cut_off_until = 0;
            self.soon(1, Event::WorkerStarts { worker });
            if let Some(link) = self.workers[worker].link {
                self.break_link(link);
            }
        }
    }
}
