//! How a simulated world begins: users, machines with their owners, and the first events.
//!
//! Invariant: nothing goes wrong here.

use crate::world::{Event, World};
use hivemind_engine::Violation;
use hivemind_model::rows::Role;
use hivemind_model::{Bytes, Command, MilliCores, NodeId, Rejection, Resources, UserId};

/// The fourth to register.
pub(crate) const OPERATOR: (UserId, &str) = (UserId(4), "olga");

impl World {
    /// Before anything can go wrong: users, and machines with their owners.
    pub(crate) fn settle_in(&mut self) -> Result<(), Violation> {
        let people =
            [("anna", Role::Member), ("bert", Role::Member), ("carl", Role::Member), (OPERATOR.1, Role::Operator)];
        for (name, role) in people {
            let command = Command::Register {
                username: name.into(),
                email: format!("{name}@example.org"),
                password_hash: "$argon2id$".into(),
                role,
                from: String::new(),
                invitation: None,
            };
            self.apply_now(command)?;
        }
        let machines = self.rng.between(1, 4);
        for machine in 1..=machines {
            let cores = u32::try_from(self.rng.between(2, 4)).unwrap_or(2);
            let capacity = Resources {
                cpu: MilliCores::from_cores(cores),
                memory: Bytes::from_gib(8),
                disk: Bytes::from_gib(64),
                gpus: 0,
            };
            let worker = crate::worker::Worker::new(NodeId(machine), format!("box{machine}"), capacity);
            let owner = hivemind_model::UserId(self.rng.between(1, 3));
            self.apply_now(Command::Enroll { owner, offer: worker.offer(), token: None })?;
            self.workers.push(worker);
        }
        for worker in 0..self.workers.len() {
            let after = self.rng.between(0, 500);
            self.soon(after, Event::WorkerStarts { worker });
        }
        self.soon(1_000, Event::Liveness { epoch: 1 });
        self.soon(10, Event::ClientActs);
        let pause = self.weather.fault_pause;
        self.soon(pause, Event::Breaks);
        Ok(())
    }

    fn apply_now(&mut self, command: Command) -> Result<(), Violation> {
        let now = self.wall_clock();
        let Some(process) = &mut self.pool.process else { return Ok(()) };
        let refused = |rejection: Rejection| Violation {
            invariant: "T7",
            detail: format!("the world cannot begin: {rejection}"),
        };
        process.engine.apply(command, now).map_err(refused)?;
        let batch = process.engine.take_batch();
        self.store(&batch)
    }
}
