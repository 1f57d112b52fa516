//! What a submission waits for, as far as it has ended already.
//!
//! The engine knows the tasks that are open, or were a moment ago; what ended earlier is looked up here, in
//! the store. Start at [`Lookup::find`].
//!
//! Invariant: a task of another user answers "not found"; one call looks up and keeps a bounded number.

use super::elements;
use super::submission::{Refusal, cut};
use crate::shared::Shared;
use hivemind_model::after::{Dependency, When};
use hivemind_model::command::EndedTask;
use hivemind_model::rows::TaskRow;
use hivemind_model::{Code, Rejection, TaskId, UserId};
use hivemind_proto::v1;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most dependencies of all tasks of one call together.
const MOST_NAMED: usize = 100_000;
/// Most ranges of indices that are kept for one call.
const MOST_RANGES: usize = 1 << 20;

/// Dependencies as the message has them, on tasks that are there already.
pub(super) fn read(wire: &[v1::Dependency]) -> Result<Vec<Dependency>, Rejection> {
    wire.iter()
        .map(|dependency| {
            let task = dependency.task_id.parse();
            let task =
                task.map_err(|bad| Rejection::invalid("after", format!("`{}`: {bad}", cut(&dependency.task_id))))?;
            Ok(Dependency { task, when: when(&dependency.when)?, each: dependency.each })
        })
        .collect()
}

/// What must have become of a task that is waited for.
pub(super) fn when(word: &str) -> Result<When, Rejection> {
    match word {
        "" | "success" => Ok(When::Success),
        "end" => Ok(When::End),
        word => Err(Rejection::invalid("after", format!("`{}` is neither success nor end", cut(word)))),
    }
}

/// A dependency as a message.
pub(super) fn wire(dependency: &Dependency) -> v1::Dependency {
    let when = match dependency.when {
        When::Success => "success",
        When::End => "end",
    };
    v1::Dependency { task_id: dependency.task.to_string(), when: when.into(), each: dependency.each }
}

#[derive(Clone)]
enum Found {
    Open,
    /// With the elements that failed where they were asked for, else with all where one did.
    Ended {
        ended: Arc<EndedTask>,
        each: bool,
    },
}

/// What the tasks of one call wait for; each is looked up once.
pub(super) struct Lookup<'a> {
    shared: &'a Shared,
    user: UserId,
    found: BTreeMap<TaskId, Found>,
    named: usize,
    ranges: usize,
}

impl<'a> Lookup<'a> {
    /// Nothing is looked up yet.
    pub(super) fn new(shared: &'a Shared, user: UserId) -> Self {
        Self { shared, user, found: BTreeMap::new(), named: 0, ranges: 0 }
    }

    /// Those of `wanted` that have ended.
    pub(super) async fn find(&mut self, wanted: &[Dependency]) -> Result<Vec<EndedTask>, Refusal> {
        self.named += wanted.len();
        if self.named > MOST_NAMED {
            let why = format!("more than {MOST_NAMED} dependencies at once; submit fewer tasks in one call");
            return Err(Rejection::field(Code::TooLarge, "after", why).into());
        }
        let mut ended = Vec::new();
        for dependency in wanted {
            match self.look_up(dependency).await? {
                Found::Open => {}
                Found::Ended { ended: task, .. } => {
                    self.ranges += ranges(&task);
                    if self.ranges > MOST_RANGES {
                        let why = "the tasks that are waited for have too many ranges of elements; submit fewer tasks in one call";
                        return Err(Rejection::field(Code::TooLarge, "after", why).into());
                    }
                    ended.push(EndedTask::clone(&task));
                }
            }
        }
        Ok(ended)
    }

    async fn look_up(&mut self, dependency: &Dependency) -> Result<Found, Refusal> {
        let each = dependency.each && dependency.when == When::Success;
        match self.found.get(&dependency.task) {
            Some(Found::Ended { each: false, .. }) if each => {}
            Some(found) => return Ok(found.clone()),
            None => {}
        }
        let found = self.ask(dependency.task, each).await?;
        self.found.insert(dependency.task, found.clone());
        Ok(found)
    }

    async fn ask(&self, task: TaskId, each: bool) -> Result<Found, Refusal> {
        let unknown = || Rejection::field(Code::NotFound, "after", format!("{task} does not exist, or is not yours"));
        if let Some(user) = self.shared.live.board.user_of(task) {
            return if user == self.user { Ok(Found::Open) } else { Err(unknown().into()) };
        }
        let row = self.shared.own_task(self.user, &task.to_string()).await.map_err(Refusal::Fault)?;
        let row = row.map_err(|_| unknown())?;
        if !row.progress.state.is_terminal() {
            // The board follows the store by a moment.
            return Ok(Found::Open);
        }
        let failed = if each { self.failed(&row).await? } else { all_where_one_failed(&row) };
        let ended = EndedTask { task, user: self.user, indices: row.spec.indices(), failed };
        Ok(Found::Ended { ended: Arc::new(ended), each })
    }

    async fn failed(&self, row: &TaskRow) -> Result<Option<hivemind_model::Indices>, Refusal> {
        let _turn = self.shared.turns.take(self.user).await?;
        let failed = elements::not_completed(self.shared, row).await.map_err(Refusal::Fault)?;
        failed.map_err(|_| {
            let why = format!(
                "the elements of {} that did not complete lie in too many ranges to wait for each; wait for its end instead",
                row.progress.id
            );
            Rejection::field(Code::TooLarge, "after", why).into()
        })
    }
}

fn all_where_one_failed(row: &TaskRow) -> Option<hivemind_model::Indices> {
    (row.progress.ended.completed < row.spec.elements()).then(|| row.spec.indices())
}

fn ranges(task: &EndedTask) -> usize {
    task.indices.ranges().len() + task.failed.as_ref().map_or(0, |failed| failed.ranges().len())
}
