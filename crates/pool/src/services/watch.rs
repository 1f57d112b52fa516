//! `WatchTasks`: the state now, then every change.
//!
//! The watcher subscribes first and reads then, so that nothing falls between. Events only say
//! where to look; what is sent is the state on the board or in the store. One that cannot keep
//! up starts anew from the state. Start at [`start`].
//!
//! Invariant: after a terminal state nothing more is sent about a task.

use crate::hub::Event;
use crate::shared::Shared;
use crate::status;
use futures::stream::BoxStream;
use hivemind_model::{ElementRef, Rejection, TaskId, TaskState, UserId};
use hivemind_proto::v1::TaskEvent;
use hivemind_store::TaskFilter;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Most tasks that one call names.
const MAX_NAMED: usize = 10_000;
/// Tasks read at once.
const PAGE: u32 = 500;
/// Events on the way to one watcher.
const QUEUE: usize = 256;

/// The named tasks.
pub(super) fn ids(names: &[String]) -> Result<BTreeSet<TaskId>, Rejection> {
    if names.len() > MAX_NAMED {
        return Err(Rejection::invalid(
            "task_ids",
            format!("{} tasks; at most {MAX_NAMED}, or none for all", names.len()),
        ));
    }
    names.iter().map(|name| name.parse().map_err(|bad| Rejection::invalid("task_ids", bad))).collect()
}

/// Progress in percent, and what is happening, of a task in that state: of an array the elements that ended and
/// the part that others say is done, of a plain task what its node says.
pub(super) fn progress(shared: &Shared, task: TaskId, state: TaskState) -> (i32, String) {
    match state {
        TaskState::Completed => (100, String::new()),
        TaskState::Pending | TaskState::Running => {
            let board = &shared.live.board;
            if let Some(percent) = board.task(task).and_then(|open| open.percent()) {
                return (percent.into(), String::new());
            }
            let live = board.live(ElementRef::only(task));
            live.map(|live| (live.percent.into(), live.note.to_string())).unwrap_or_default()
        }
        TaskState::Failed | TaskState::Cancelled => (0, String::new()),
    }
}

/// Watches `named` tasks of `user`, or all where none is named. They are the user's.
pub(super) fn start(
    shared: Arc<Shared>,
    user: UserId,
    named: BTreeSet<TaskId>,
    begin: Begin,
) -> BoxStream<'static, Result<TaskEvent, Status>> {
    let (out, stream) = mpsc::channel(QUEUE);
    let events = shared.live.hub.subscribe(user);
    let all = named.is_empty();
    let mut watcher = Watcher { shared, user, all, begin, open: named, out };
    tokio::spawn(async move {
        if let Err(Stopped::Fault(fault)) = watcher.run(events).await {
            // A watcher that has gone wants no reason.
            let _gone = watcher.out.send(Err(fault)).await;
        }
    });
    Box::pin(ReceiverStream::new(stream))
}

struct Watcher {
    shared: Arc<Shared>,
    user: UserId,
    all: bool,
    begin: Begin,
    /// Named tasks whose end was not sent yet.
    open: BTreeSet<TaskId>,
    out: mpsc::Sender<Result<TaskEvent, Status>>,
}

/// What is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// The state as it is.
    State,
    /// Nothing: only what changes.
    Now,
}

enum Stopped {
    Gone,
    Fault(Status),
}

impl Watcher {
    async fn run(&mut self, mut events: broadcast::Receiver<Event>) -> Result<(), Stopped> {
        self.first().await?;
        while self.all || !self.open.is_empty() {
            let event = tokio::select! {
                () = self.shared.closing.cancelled() => return Err(Stopped::Fault(Status::unavailable("E_UNAVAILABLE: the pool is stopping; watch again when it runs"))),
                () = self.out.closed() => return Err(Stopped::Gone),
                event = events.recv() => event,
            };
            match event {
                Ok(event) => self.follow(event).await?,
                Err(RecvError::Lagged(_)) => {
                    events = events.resubscribe();
                    self.behind().await?;
                }
                Err(RecvError::Closed) => {
                    events = self.shared.live.hub.subscribe(self.user);
                    self.behind().await?;
                }
            }
        }
        Ok(())
    }

    async fn first(&mut self) -> Result<(), Stopped> {
        match self.begin {
            Begin::State => self.snapshot().await,
            Begin::Now => Ok(()),
        }
    }

    async fn behind(&mut self) -> Result<(), Stopped> {
        match self.begin {
            Begin::State => self.snapshot().await,
            Begin::Now => Err(Stopped::Fault(Status::aborted(
                "E_LAGGED: more changed than could be sent; look anew and watch again",
            ))),
        }
    }

    async fn follow(&mut self, event: Event) -> Result<(), Stopped> {
        let (task, told) = match event {
            Event::Moved(task, state) => (task, Some(state)),
            // Of an array it is told only where the whole has moved by it.
            Event::Progress(element) => (element.task, None),
            Event::Attempt(_) => return Ok(()),
        };
        // The board is newer than the event: what it no longer has is over, and only an event
        // that says so is still true.
        let state =
            self.shared.live.board.task(task).map(|open| open.state).or(told.filter(|state| state.is_terminal()));
        match state {
            Some(state) => self.tell(task, state).await,
            None => Ok(()),
        }
    }

    async fn snapshot(&mut self) -> Result<(), Stopped> {
        let store = self.shared.store.clone();
        for id in self.open.clone() {
            // What is open is on the board; only the ended ones have to be looked up, one by one.
            if let Some(open) = self.shared.live.board.task(id) {
                self.tell(id, open.state).await?;
                continue;
            }
            let row = store.task(id).await.map_err(|error| Stopped::Fault(status::store(&error)))?;
            if let Some(row) = row {
                self.tell(id, row.progress.state).await?;
            }
        }
        let mut before = None;
        while self.all {
            let filter = TaskFilter { states: Vec::new(), before, limit: PAGE };
            let rows = store.tasks(self.user, &filter).await.map_err(|error| Stopped::Fault(status::store(&error)))?;
            let Some(last) = rows.last() else { break };
            before = Some(last.progress.id);
            for row in rows {
                self.tell(row.progress.id, row.progress.state).await?;
            }
        }
        Ok(())
    }

    async fn tell(&mut self, task: TaskId, state: TaskState) -> Result<(), Stopped> {
        if !self.all && !self.open.contains(&task) {
            return Ok(());
        }
        if state.is_terminal() {
            self.open.remove(&task);
        }
        let (progress, note) = progress(&self.shared, task, state);
        let event = TaskEvent { task_id: task.to_string(), status: state.as_str().into(), progress, note };
        self.out.send(Ok(event)).await.map_err(|_| Stopped::Gone)
    }
}
