//! Machines come and go.
//!
//! Each has one such event before it at any time. Start at [`World::churns`].
//!
//! Invariant: nothing leaves but by its habit, and whoever leaves comes back.

use super::chance::{HOUR, MINUTE, until};
use super::machine::{Power, bare};
use super::people::Habit;
use super::world::{Event, World};
use hivemind_model::service::NodeChange;
use hivemind_model::state::Metering;
use hivemind_model::{Command, Millis, Outcome};

const DAY: u64 = 24 * HOUR;
/// How long what runs on a drained machine may go on.
const DRAINED_WITHIN: u64 = 30 * MINUTE;

impl World {
    /// The next thing that happens to the machine as a whole.
    pub(super) fn churns(&mut self, index: usize) {
        let (power, habit) = (self.machines[index].power, self.machines[index].habit);
        match power {
            Power::Off => self.comes_up(index),
            Power::Asleep { since } => self.wakes(index, since),
            Power::Stopping => self.is_stopped(index),
            Power::Up => match habit {
                Habit::Always => {}
                Habit::Server => {
                    let back = until(&mut self.rng, 20 * MINUTE);
                    self.dies(index, back);
                }
                Habit::Desktop { from, .. } => self.desktop_leaves(index, from),
                Habit::Laptop => self.falls_asleep(index),
                Habit::Shared => self.is_drained(index),
            },
        }
    }

    fn comes_up(&mut self, index: usize) {
        self.set_power(index, Power::Up);
        self.connect(index, Vec::new());
        let pause = self.stays(index);
        if let Some(pause) = pause {
            self.at(pause, Event::Churns { machine: index });
        }
    }

    /// How long a machine that is up stays so.
    fn stays(&mut self, index: usize) -> Option<u64> {
        let rng = &mut self.rng;
        match self.machines[index].habit {
            Habit::Always => None,
            Habit::Server => Some(until(rng, 5 * DAY)),
            Habit::Laptop => Some(until(rng, 90 * MINUTE)),
            Habit::Shared => Some(until(rng, 8 * HOUR)),
            Habit::Desktop { from, hours } => {
                let end = (from + hours) * HOUR;
                let left = (end + DAY - self.now % DAY) % DAY;
                // Now and then it breaks before its owner comes.
                Some(left.max(MINUTE).min(until(rng, 30 * HOUR).max(MINUTE)))
            }
        }
    }

    /// Switched off in mid-work. Half of the time its link breaks at once, half of the time it is only silent.
    fn dies(&mut self, index: usize, back: u64) {
        let gone = self.lose_jobs(index);
        self.tally.lost_jobs += gone.len() as u64;
        self.goes_away(index);
        self.set_power(index, Power::Off);
        self.at(back.max(1000), Event::Churns { machine: index });
    }

    fn goes_away(&mut self, index: usize) {
        let (node, session) = (self.machines[index].node, self.machines[index].session);
        if self.rng.chance(500) {
            drop(self.ask(Command::Disconnected { node, session }));
        }
        self.at(self.lost_after, Event::Silent { machine: index, session });
    }

    /// The pool heard nothing for too long, unless another link has come up or the machine was back in time.
    pub(super) fn silent(&mut self, index: usize, session: u64) {
        let machine = &self.machines[index];
        let (node, power) = (machine.node, machine.power);
        if machine.session == session && matches!(power, Power::Off | Power::Asleep { .. }) {
            self.tally.lost_nodes += 1;
            drop(self.ask(Command::Lost { node }));
        }
    }

    fn desktop_leaves(&mut self, index: usize, from: u64) {
        let early = {
            let Habit::Desktop { hours, .. } = self.machines[index].habit else { return };
            let end = (from + hours) * HOUR % DAY;
            (end + DAY - self.now % DAY) % DAY > 5 * MINUTE && (self.now % DAY + DAY - end) % DAY > 5 * MINUTE
        };
        let jitter = until(&mut self.rng, 30 * MINUTE);
        if early {
            return self.dies(index, jitter);
        }
        let back = (from * HOUR + DAY - self.now % DAY) % DAY + jitter;
        if self.rng.chance(600) {
            self.set_power(index, Power::Stopping);
            let (node, session) = (self.machines[index].node, self.machines[index].session);
            drop(self.ask(Command::Drain { node, session }));
            self.at(5 * MINUTE, Event::Churns { machine: index });
        } else {
            self.dies(index, back);
        }
    }

    /// The worker is stopped in good order: it says of what it still runs that it ends.
    fn is_stopped(&mut self, index: usize) {
        for attempt in self.lose_jobs(index) {
            let reason = "the worker was stopped".to_owned();
            self.report(index, attempt, bare(Outcome::Infrastructure { reason }, Metering::default()));
        }
        let (node, session) = (self.machines[index].node, self.machines[index].session);
        drop(self.ask(Command::Disconnected { node, session }));
        self.set_power(index, Power::Off);
        self.at(self.lost_after, Event::Silent { machine: index, session });
        let Habit::Desktop { from, .. } = self.machines[index].habit else { return };
        let back = (from * HOUR + DAY - self.now % DAY) % DAY + until(&mut self.rng, 30 * MINUTE);
        self.at(back.max(MINUTE), Event::Churns { machine: index });
    }

    fn falls_asleep(&mut self, index: usize) {
        self.suspend(index);
        self.goes_away(index);
        let short = self.rng.chance(300);
        let pause = if short { self.rng.between(1000, 9000) } else { until(&mut self.rng, 40 * MINUTE).max(5000) };
        self.at(pause, Event::Churns { machine: index });
    }

    /// Back in time it goes on. Else its lease has run out: it stops everything, and either still has
    /// the ends of it to deliver, or has nothing.
    fn wakes(&mut self, index: usize, since: u64) {
        if self.now - since < self.lost_after {
            self.resume(index);
            let holds = self.machines[index].holds();
            self.connect(index, holds);
        } else {
            let gone = self.lose_jobs(index);
            self.tally.lost_jobs += gone.len() as u64;
            let keeps = self.rng.chance(500);
            self.set_power(index, Power::Up);
            self.connect(index, if keeps { gone.clone() } else { Vec::new() });
            for attempt in gone.into_iter().filter(|_| keeps) {
                let reason = "the lease ran out".to_owned();
                self.report(index, attempt, bare(Outcome::Infrastructure { reason }, Metering::default()));
            }
        }
        if let Some(pause) = self.stays(index) {
            self.at(pause, Event::Churns { machine: index });
        }
    }

    /// An owner drains their machine, or lets it have work again.
    fn is_drained(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        machine.drained = !machine.drained;
        let (drained, name) = (machine.drained, machine.name.clone());
        let by = self.owners[machine.owner].user;
        let (change, pause) = match drained {
            true => (NodeChange::Drain { within: Millis(DRAINED_WITHIN) }, until(&mut self.rng, 3 * HOUR)),
            false => (NodeChange::Uncordon, until(&mut self.rng, 8 * HOUR)),
        };
        drop(self.ask(Command::SetNode { by, node: name, change }));
        self.at(pause.max(MINUTE), Event::Churns { machine: index });
    }
}
