//! Results that are known already: a task that is equal to one of the same requester takes its result.
//!
//! Whether two tasks are equal, and which attempt has the result, is looked up by the caller in what is durable. Start
//! at [`Engine::reuse`].
//!
//! Invariant: no money moves and no node hears of it.

use crate::Engine;
use crate::state::Task;
use hivemind_model::command::Once;
use hivemind_model::rows::{Answer, ElementPhase, Ended, TaskProgress, TaskRow};
use hivemind_model::{
    AttemptRef, Code, Cpt, Effect, ElementRef, Outcome, Rejection, Reply, TaskId, TaskSpec, TaskState, Timestamp,
    UserId,
};
use std::sync::Arc;

impl Engine {
    /// Takes in a task that has completed with the result of `known`.
    ///
    /// # Errors
    /// As of a submission; also where the task does not allow it, waits for others, or is itself that whose result
    /// it would take.
    pub(crate) fn reuse(
        &mut self,
        user: UserId,
        spec: Arc<TaskSpec>,
        known: AttemptRef,
        once: Option<Once>,
        now: Timestamp,
    ) -> Result<Reply, Rejection> {
        self.user(user)?;
        self.at_most_once(once, user, "request_id", |engine| {
            spec.check(&engine.policy)?;
            if spec.reuse.is_none() || !spec.after.tasks.is_empty() {
                return Err(Rejection::invalid(
                    "reuse",
                    "only a task that allows it and waits for nothing takes a result",
                ));
            }
            let task = TaskId(engine.counters.task);
            if known.element.task >= task || known.element != ElementRef::only(known.element.task) {
                return Err(Rejection::field(
                    Code::NotFound,
                    "reuse",
                    format!("{known} is no attempt of a plain task"),
                ));
            }
            engine.counters.task += 1;
            engine.pending.counters_moved = true;
            let mut completed = Task::new(TaskRow {
                user,
                spec,
                submitted_at: now,
                cap: Cpt::ZERO,
                progress: TaskProgress {
                    id: task,
                    state: TaskState::Completed,
                    ended_at: Some(now),
                    cost: Cpt::ZERO,
                    ended: Ended { completed: 1, ..Ended::default() },
                    failure: None,
                    reused: Some(known),
                },
            });
            if let Some(element) = completed.element_mut(known.element.index) {
                element.phase = ElementPhase::Ended { outcome: Outcome::Exited { code: 0 } };
            }
            engine.pending.ended_tasks.push(completed);
            let moved = Effect::TaskMoved { user, task, state: TaskState::Completed, percent: 100 };
            engine.pending.effects.push(moved);
            let cap = Cpt::ZERO;
            Ok((Reply::Submitted { task, cap }, Answer::Submitted { task, cap }))
        })
    }
}
