//! The pool of a town: the engine, what is on its disk, and the proofs that follow the disk.
//!
//! Start at [`Pool::commit`].
//!
//! Invariant: after [`Pool::restart`] nothing is left but `tables`.

use super::audit::Audit;
use crate::rng::Rng;
use crate::stored::{broken, prove_cost};
use hivemind_engine::tables::Tables;
use hivemind_engine::{Engine, Violation};
use hivemind_ledger::Replay;
use hivemind_model::economy::{Economy, Guard, Mode, Rewards};
use hivemind_model::{Command, Cpt, Effect, Millis, Policy, Rejection, Reply, Timestamp};

/// When the town begins.
const BEGINS: Timestamp = Timestamp(1_700_000_100_000);

pub(super) struct Pool {
    policy: Policy,
    pub(super) engine: Engine,
    pub(super) tables: Tables,
    pub(super) audit: Audit,
    replay: Replay,
    /// The true time.
    pub(super) now: Timestamp,
    /// How much of it the pool's machine was awake.
    pub(super) awake: Millis,
    pub(super) commands: u64,
    pub(super) restarts: u64,
}

/// A day of a real pool in an hour or two: little free credit, short reward periods, short vesting.
fn policy(mode: Mode) -> Policy {
    let economy = Economy {
        mode,
        hold_lifetime: Millis::from_secs(2 * 3600),
        rewards: Rewards { period: Millis::from_secs(20 * 60), ..Rewards::default() },
        guard: Guard { vesting: Millis::from_secs(40 * 60), ..Guard::default() },
        ..Economy::default()
    };
    Policy { signup_grant: Cpt::from_micro(1_500_000), economy, ..Policy::default() }
}

/// Another policy with the same mode, as an operator may start the pool with.
fn changed(mut policy: Policy, rng: &mut Rng) -> Policy {
    let economy = &mut policy.economy;
    economy.rewards.period = Millis::from_secs(60 * [10, 20, 60, 180][rng.index(4)]);
    economy.meter_every = Millis::from_secs(rng.between(1, 120));
    economy.guard.vesting = Millis::from_secs(60 * rng.between(0, 60));
    policy.prices.core_hour = Cpt::from_micro(i64::try_from(rng.between(1, 4_000_000)).unwrap_or(1));
    policy
}

impl Pool {
    pub(super) fn found(mode: Mode) -> Self {
        let policy = policy(mode);
        Self {
            engine: Engine::found(policy.clone(), BEGINS),
            policy,
            tables: Tables::default(),
            audit: Audit::default(),
            replay: Replay::default(),
            now: BEGINS,
            awake: Millis(0),
            commands: 0,
            restarts: 0,
        }
    }

    pub(super) fn elapsed(&self) -> Millis {
        self.now.since(BEGINS)
    }

    pub(super) fn mode(&self) -> Mode {
        self.policy.economy.mode
    }

    /// Lets the engine have one command at `at`, with what the store knows of its id.
    pub(super) fn apply(&mut self, mut command: Command, at: Timestamp) -> Result<Reply, Rejection> {
        if let Some(once) = command.once_mut() {
            once.stored = self.tables.requests.get(&once.key).cloned();
        }
        self.commands += 1;
        self.engine.apply(command, at)
    }

    /// Makes what was applied durable; gives what may be sent then.
    pub(super) fn commit(&mut self) -> Result<Vec<Effect>, Violation> {
        self.engine.schedule(self.now);
        let batch = self.engine.take_batch();
        self.tables.apply(&batch)?;
        for row in &batch.rows.attempts {
            prove_cost(row, &self.tables, &self.policy.prices)?;
        }
        for entry in &batch.ledger.entries {
            self.replay.push(entry).map_err(|bad| broken("L7", bad.to_string()))?;
            self.audit.follow(entry, &self.tables, self.policy.economy.mode)?;
        }
        Ok(batch.effects)
    }

    /// The process is killed with all that was not durable, and starts again; now and then with
    /// another policy.
    pub(super) fn restart(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        if rng.chance(200) {
            self.policy = changed(self.policy.clone(), rng);
        }
        self.restarts += 1;
        let (rows, books) = self.tables.recover().ok_or_else(|| broken("T1", "the store is empty".into()))?;
        let replayed = self.replay.clone().finish().map_err(|bad| broken("L7", bad.to_string()))?;
        replayed.compare(&books)?;
        self.engine = Engine::restore(self.policy.clone(), rows, books)?;
        Ok(())
    }
}
