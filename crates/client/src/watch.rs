//! Following tasks to their end.
//!
//! Invariant: a lost connection is not the end of a task; only the pool says what is.

use crate::retry::Backoff;
use crate::tasks::state;
use crate::{Client, ClientError, Events};
use futures::StreamExt;
use hivemind_model::{TaskId, TaskState};
use hivemind_proto::v1::{TaskEvent, WatchTasksRequest};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a wait goes on while the pool does not answer.
const PATIENCE: Duration = Duration::from_secs(600);

impl Client {
    /// The state of each named task as it is now, then every change, until all have ended; of all
    /// the user's tasks, without end, where none is named. Ends with an error when the
    /// connection is lost; [`Client::wait`] goes on.
    ///
    /// # Errors
    /// `E_NOT_FOUND` where a task is not the user's.
    pub async fn watch(&self, tasks: &[TaskId]) -> Result<Events<TaskEvent>, ClientError> {
        let request = WatchTasksRequest {
            token: String::new(),
            task_ids: tasks.iter().map(TaskId::to_string).collect(),
            changes_only: false,
        };
        self.watch_request(request).await
    }

    /// Every change of the user's tasks from now on, without their state as it is now, without end.
    ///
    /// # Errors
    /// As an item, which ends the stream: `E_LAGGED` where more changed than could be sent: look anew then.
    pub async fn watch_changes(&self) -> Result<Events<TaskEvent>, ClientError> {
        self.watch_request(WatchTasksRequest { changes_only: true, ..WatchTasksRequest::default() }).await
    }

    async fn watch_request(&self, request: WatchTasksRequest) -> Result<Events<TaskEvent>, ClientError> {
        let what = "WatchTasks";
        let events = self.opened(what, self.tasks().watch_tasks(self.stream_request(request))).await?;
        let this = self.clone();
        Ok(events.map(move |event| event.map_err(|status| this.fault(what, &status))).boxed())
    }

    /// Waits until every named task has ended, and gives the state of each, in the order of
    /// `tasks`. Survives restarts of the pool.
    ///
    /// # Errors
    /// `E_NOT_FOUND` where a task is not the user's; [`ClientError::Unreachable`] where the pool
    /// has not answered for 10 minutes.
    pub async fn wait(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, TaskState)>, ClientError> {
        self.wait_with(tasks, |_| {}).await
    }

    /// [`Client::wait`], telling each event to `on_event` as it comes; after a reconnection some
    /// come again.
    ///
    /// # Errors
    /// As of [`Client::wait`].
    pub async fn wait_with(
        &self,
        tasks: &[TaskId],
        mut on_event: impl FnMut(&TaskEvent) + Send,
    ) -> Result<Vec<(TaskId, TaskState)>, ClientError> {
        let mut open = Open { states: tasks.iter().map(|task| (*task, None)).collect() };
        let mut backoff = Backoff::new(PATIENCE);
        loop {
            let left = open.tasks();
            if left.is_empty() {
                break;
            }
            if let Err(error) = self.watch_until_lost(&left, &mut open, &mut backoff, &mut on_event).await {
                backoff.after(error).await?;
            }
        }
        Ok(tasks.iter().filter_map(|task| Some((*task, open.states.get(task).copied()??))).collect())
    }

    async fn watch_until_lost(
        &self,
        left: &[TaskId],
        open: &mut Open,
        backoff: &mut Backoff,
        on_event: &mut (impl FnMut(&TaskEvent) + Send),
    ) -> Result<(), ClientError> {
        let mut events = self.watch(left).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            backoff.reset();
            on_event(&event);
            open.note(&event)?;
        }
        if open.tasks().is_empty() {
            return Ok(());
        }
        Err(ClientError::unreachable(&self.server, "the stream of events ended before the tasks did"))
    }
}

/// The tasks that are waited for, each with its final state once it has one.
struct Open {
    states: BTreeMap<TaskId, Option<TaskState>>,
}

impl Open {
    fn tasks(&self) -> Vec<TaskId> {
        self.states.iter().filter(|(_, state)| state.is_none()).map(|(task, _)| *task).collect()
    }

    fn note(&mut self, event: &TaskEvent) -> Result<(), ClientError> {
        let what = "WatchTasks";
        let task: TaskId = event
            .task_id
            .parse()
            .map_err(|why: hivemind_model::ids::BadId| ClientError::protocol(what, why.to_string()))?;
        let now = state(what, &event.status)?;
        if let (true, Some(known)) = (now.is_terminal(), self.states.get_mut(&task)) {
            *known = Some(now);
        }
        Ok(())
    }
}
