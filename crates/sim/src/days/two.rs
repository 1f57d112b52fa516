//! Two users: one with very many tasks in the queue, one with ten.
//!
//! All tasks take the same time, and all of the first user's begin together, so that room comes in
//! waves: that is the hardest for who comes later. Start at [`two_users`].
//!
//! Invariant: the second user has no priority; only that they have used less speaks for them.

use super::Config;
use super::chance::MINUTE;
use super::demand::Market;
use super::machine::Machine;
use super::people::{Habit, Owner};
use super::report::{Waits, time};
use super::world::World;
use crate::rng::Rng;
use crate::stored::broken;
use crate::{Failure, guarded_run};
use hivemind_engine::Violation;
use hivemind_model::{Bytes, MilliCores, Millis, Resources, TaskSpec, UserId};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

const NODES: u32 = 20;
const CORES: u32 = 8;
const SECOND: usize = 10;
const LENGTH: u64 = 5 * MINUTE;

/// What became of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TwoUsers {
    /// Tasks of the first user that waited when the second came.
    pub queued: usize,
    /// Tasks that run at the same time.
    pub room: u32,
    /// How long a task takes, in milliseconds.
    pub length: u64,
    /// Until the first task of the second user started.
    pub first_start: u64,
    /// Until the last did.
    pub last_start: u64,
    /// Until the first would start if whoever comes first were served first.
    pub in_order: u64,
}

impl fmt::Display for TwoUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} tasks of one user wait for {} places; then a second user submits {SECOND}",
            self.queued, self.room
        )?;
        writeln!(f, "time of one task:                       {}", time(self.length))?;
        writeln!(f, "until the second user's first starts:   {}", time(self.first_start))?;
        writeln!(f, "until the second user's last starts:    {}", time(self.last_start))?;
        write!(f, "first come, first served would take:    {}", time(self.in_order))
    }
}

/// Runs the scenario, with so many tasks of the first user.
///
/// # Errors
/// The first promise that did not hold; also that the second user waited for longer than one task takes.
pub fn two_users(seed: u64, first: usize) -> Result<TwoUsers, Failure> {
    guarded_run(seed, || {
        let mut world = world(seed);
        scene(&mut world, first).map_err(|violation| Failure {
            seed,
            at: world.now,
            invariant: violation.invariant.into(),
            detail: violation.detail,
        })
    })
}

fn world(seed: u64) -> World {
    let config = Config { warm_up: 0, requesters: 2, nodes: NODES, ..Config::new(seed) };
    let mut rng = Rng::new(seed);
    let owner = Owner { user: UserId(0), cheats: false, lies: 0, caught_after: None };
    let machine = |number| Machine::new(0, format!("node{number}"), CORES, 1000, Habit::Always);
    let machines: Vec<Machine> = (0..NODES).map(machine).collect();
    let (market, pauses) = Market::new(&config, &machines, &mut rng);
    World::with(config, rng, vec![owner], machines, (market, pauses.iter().map(|_| 0).collect()))
}

fn scene(world: &mut World, first: usize) -> Result<TwoUsers, Violation> {
    let gib = Bytes::from_gib(1);
    let spec = Arc::new(TaskSpec {
        name: "work".into(),
        image: "busybox".into(),
        command: vec!["work".into()],
        priority: 5,
        max_runtime: Millis(2 * LENGTH),
        resources: Resources { cpu: MilliCores::from_cores(1), memory: gib, disk: gib, gpus: 0 },
        ..TaskSpec::default()
    });
    world.settle_in()?;
    submit(world, 0, &spec, first);
    world.commit()?;
    // Everything runs, and the next wave has just begun.
    let comes = 2 * LENGTH + MINUTE;
    while world.step(comes)? {}
    world.pass(comes - world.now);
    world.now = comes;
    let queued = world.engine.counts().waiting;
    submit(world, 1, &spec, SECOND);
    world.commit()?;
    while world.step(comes + 10 * LENGTH)? {}
    world.prove()?;
    let waits: Vec<u64> = world.tally.waits.iter().filter(|wait| wait.requester == 1).map(|wait| wait.millis).collect();
    let Waits { started, most, .. } = Waits::of(waits.clone());
    let room = NODES * CORES;
    let first_start = waits.into_iter().min().unwrap_or(u64::MAX);
    if started != SECOND || first_start > LENGTH {
        let found = format!("{started} of the second user's tasks started, the first after {}", time(first_start));
        return Err(broken("fair share", found));
    }
    let in_order = queued as u64 / u64::from(room) * LENGTH;
    Ok(TwoUsers { queued, room, length: LENGTH, first_start, last_start: most, in_order })
}

fn submit(world: &mut World, requester: usize, spec: &Arc<TaskSpec>, tasks: usize) {
    for _ in 0..tasks {
        world.submit(requester, spec.clone(), LENGTH, 0);
    }
    world.tasks.values_mut().for_each(|task| task.alike = true);
}
