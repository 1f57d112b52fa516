//! Who is there: owners with their machines, and requesters.
//!
//! Start at [`population`].
//!
//! Invariant: nothing here happens; it only says who there is.

use super::Config;
use super::chance::{HOUR, MINUTE, weighted};
use super::machine::Machine;
use crate::rng::Rng;
use hivemind_model::UserId;

/// When a machine is there, and how it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Never leaves.
    Always,
    /// There for days; then lost for a while.
    Server,
    /// There in these hours of the day; mostly its worker is stopped in good order, else just switched off.
    Desktop {
        /// The first, of the day of the pool's clock.
        from: u64,
        /// How many.
        hours: u64,
    },
    /// Falls asleep in mid-work: often for seconds, mostly for long.
    Laptop,
    /// Its owner drains it now and then, and lets it have work again later.
    Shared,
}

impl Habit {
    /// The part of the time that it is there, in percent.
    pub(super) fn there(self) -> u64 {
        match self {
            Self::Always | Self::Server => 99,
            Self::Desktop { hours, .. } => hours * 100 / 24,
            Self::Laptop => 75,
            Self::Shared => 70,
        }
    }

    fn drawn(rng: &mut Rng) -> Self {
        let from = rng.between(17, 23);
        let desktop = Self::Desktop { from, hours: rng.between(8, 14) };
        weighted(rng, &[(20, Self::Server), (40, desktop), (30, Self::Laptop), (10, Self::Shared)])
    }
}

/// Somebody who earns.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) user: UserId,
    pub(super) cheats: bool,
    /// Lies about verified elements.
    pub(super) lies: u64,
    /// How many it were when a node was first found wrong.
    pub(super) caught_after: Option<u64>,
}

/// Somebody who pays.
#[derive(Debug, Clone)]
pub(super) struct Requester {
    pub(super) user: UserId,
    /// Time between two submissions, on average; zero where they come from elsewhere.
    pub(super) pause: u64,
    /// Core time of what they submitted while it is measured, on average machines.
    pub(super) asked: u128,
}

/// All owners with their machines, none of them known to the pool yet; exactly the share of `config`
/// cheats.
pub(super) fn population(config: &Config, rng: &mut Rng) -> (Vec<Owner>, Vec<Machine>) {
    let (mut owners, mut machines) = (Vec::new(), Vec::new());
    while machines.len() < config.nodes as usize {
        let left = u64::from(config.nodes) - machines.len() as u64;
        for number in 0..rng.between(1, 5).min(left) {
            let sizes = [(10, 2), (30, 4), (30, 8), (17, 16), (9, 32), (4, 64)];
            let (cores, speed) = (weighted(rng, &sizes), rng.between(500, 1700));
            let name = format!("node{}-{number}", owners.len());
            machines.push(Machine::new(owners.len(), name, cores, speed, Habit::drawn(rng)));
        }
        owners.push(Owner { user: UserId(0), cheats: false, lies: 0, caught_after: None });
    }
    let mut left = owners.len() as u64 * config.cheats.min(100) / 100;
    while left > 0 {
        let drawn = rng.index(owners.len());
        left -= u64::from(!std::mem::replace(&mut owners[drawn].cheats, true));
    }
    (owners, machines)
}

impl Machine {
    /// The moment from which on it is there first.
    pub(super) fn first_there(&self, rng: &mut Rng) -> u64 {
        match self.habit {
            Habit::Always => 0,
            Habit::Server | Habit::Laptop | Habit::Shared => rng.between(0, 10 * MINUTE),
            Habit::Desktop { from, hours } => match (from + hours).checked_sub(24) {
                // It is the middle of its night's work.
                Some(1..) => rng.between(0, 10 * MINUTE),
                Some(0) | None => from * HOUR + rng.between(0, 60 * MINUTE),
            },
        }
    }
}
