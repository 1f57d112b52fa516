//! People: they submit, cancel and transfer, and ask again until they are answered.
//!
//! Invariant: a request is repeated with the same id and the same content.

use crate::world::{Event, World};
use hivemind_engine::Violation;
use hivemind_model::command::Once;
use hivemind_model::rows::RequestKey;
use hivemind_model::{
    Bytes, Code, Command, Cpt, MilliCores, Millis, Rejection, Reply, Resources, TaskId, TaskSpec, UserId,
};
use std::sync::Arc;

/// Most requests of one run.
const MOST_OPS: usize = 40;

/// What somebody wants.
#[derive(Debug)]
pub(crate) enum Wish {
    Submit { spec: Arc<TaskSpec> },
    Transfer { to: &'static str, amount: Cpt },
    Cancel { task: TaskId },
}

/// A request, asked until it is answered.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) user: UserId,
    pub(crate) wish: Wish,
    pub(crate) answer: Option<Result<Reply, Rejection>>,
}

/// Everything that was ever wished.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) ops: Vec<Op>,
}

impl Clients {
    /// The command of a request.
    pub(crate) fn command(&self, op: usize) -> Option<Command> {
        let Op { user, wish, .. } = self.ops.get(op)?;
        let body = u8::try_from(op).unwrap_or(u8::MAX);
        let once =
            Some(Once { key: RequestKey { user: *user, id: format!("op-{op}") }, body: [body; 32], stored: None });
        Some(match wish {
            Wish::Submit { spec } => {
                Command::Submit { user: *user, spec: spec.clone(), max_price: None, ended: Vec::new(), once }
            }
            Wish::Transfer { to, amount } => {
                Command::Transfer { from: *user, to_username: (*to).into(), amount: *amount, once }
            }
            Wish::Cancel { task } => Command::Cancel { user: *user, task: *task, elements: None },
        })
    }

    /// Tasks that somebody was told are accepted.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = (TaskId, &Op)> {
        self.ops.iter().filter_map(|op| match op.answer {
            Some(Ok(Reply::Submitted { task, .. })) => Some((task, op)),
            _ => None,
        })
    }
}

impl World {
    /// Somebody wants something new.
    pub(crate) fn client_acts(&mut self) {
        if self.calm || self.clients.ops.len() >= MOST_OPS {
            return;
        }
        let op = self.clients.ops.len();
        let mut user = UserId(self.rng.between(1, 3));
        let known: Vec<(TaskId, UserId)> = self.clients.acknowledged().map(|(task, op)| (task, op.user)).collect();
        let wish = match self.rng.between(0, 9) {
            0 => {
                // Each amount is used once, so that it can be found in the journal.
                let amount = Cpt::from_micro(1_000_000 + i64::try_from(op).unwrap_or(0));
                Wish::Transfer { to: ["anna", "bert", "carl"][self.rng.index(3)], amount }
            }
            1 if !known.is_empty() => {
                let (task, owner) = known[self.rng.index(known.len())];
                if !self.rng.chance(100) {
                    user = owner;
                }
                Wish::Cancel { task }
            }
            _ => Wish::Submit { spec: self.any_spec(op) },
        };
        self.clients.ops.push(Op { user, wish, answer: None });
        self.soon(0, Event::ClientSends { op });
        let pause = self.rng.between(1, 1_500);
        self.soon(pause, Event::ClientActs);
    }

    fn any_spec(&mut self, op: usize) -> Arc<TaskSpec> {
        let cores = u32::try_from(self.rng.between(1, 2)).unwrap_or(1);
        Arc::new(TaskSpec {
            name: format!("op-{op}"),
            image: "busybox".into(),
            command: Vec::new(),
            files: Vec::new(),
            priority: u8::try_from(self.rng.between(1, 10)).unwrap_or(5),
            max_runtime: Millis(self.rng.between(2_000, 16_000)),
            resources: Resources {
                cpu: MilliCores::from_cores(cores),
                memory: Bytes::from_mib(512),
                disk: Bytes::from_mib(64),
                gpus: 0,
            },
            ..TaskSpec::default()
        })
    }

    /// A request leaves, and will leave again as long as there is no answer.
    pub(crate) fn client_sends(&mut self, op: usize) {
        if self.clients.ops[op].answer.is_some() {
            return;
        }
        let (way, again) = (self.rng.between(1, self.weather.slowest_message), self.rng.between(500, 4_000));
        self.soon(way, Event::Asked { op });
        self.soon(again, Event::ClientSends { op });
    }

    pub(crate) fn answer_client(&mut self, op: usize, answer: Result<Reply, Rejection>) {
        let way = self.rng.between(1, self.weather.slowest_message);
        if self.calm || !self.rng.chance(self.weather.lost_answers) {
            self.soon(way, Event::Answered { op, answer });
        }
    }

    /// The same request always has the same answer (L6); a cancellation may come to find nothing.
    pub(crate) fn client_is_answered(&mut self, op: usize, answer: Result<Reply, Rejection>) -> Result<(), Violation> {
        let Op { wish, answer: known, .. } = &mut self.clients.ops[op];
        let busy = matches!(&answer, Err(rejection) if rejection.code == Code::Busy);
        if busy {
            return Ok(());
        }
        match known {
            Some(known) if *known != answer && !matches!(wish, Wish::Cancel { .. }) => {
                Err(Violation { invariant: "L6", detail: format!("op-{op} was answered {known:?}, then {answer:?}") })
            }
            Some(_) => Ok(()),
            None => {
                *known = Some(answer);
                Ok(())
            }
        }
    }
}
