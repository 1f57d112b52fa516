//! How the rest of the pool talks to the writer.
//!
//! Start at [`Writer::apply`].
//!
//! Invariant: a client-made id is looked up in the store before its command is queued.

use super::Request;
use crate::disk::{Disk, is_full};
use hivemind_engine::{Explanation, NodeMerit};
use hivemind_model::rows::RequestKey;
use hivemind_model::spec::Need;
use hivemind_model::{Command, NodeId, Rejection, Reply, TaskId};
use hivemind_placement::{Fleet, Prospects};
use hivemind_store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Commands whose client-made ids are looked up together.
const LOOKUP_CHUNK: usize = 500;
/// How often a lookup that came too late is repeated.
const LOOKUP_TRIES: usize = 4;

/// Why a command has no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Refused {
    /// The engine's considered no.
    #[error("{0}")]
    Rejected(Rejection),
    /// The pool has stopped; whether the command took effect is known after its restart.
    #[error("the pool has stopped; whether this was done is known once it runs again")]
    Stopped,
    /// The store could not be read.
    #[error("the pool cannot read its store: {0}")]
    Store(Arc<StoreError>),
    /// What is left of the disk is for ending what is open.
    #[error("the pool's disk is full; nothing was done; try again when its operator has made room")]
    DiskFull,
    /// The lookup of a client-made id is too old to be trusted.
    #[error("too many requests at once")]
    LookUpAgain,
}

/// Sends commands to the one writer.
#[derive(Clone)]
pub(crate) struct Writer {
    requests: mpsc::Sender<Request>,
    store: Arc<dyn Store>,
    ids_applied: Arc<AtomicU64>,
    disk: Disk,
}

/// A reply that comes once the command's batch is durable.
pub(crate) struct Pending(oneshot::Receiver<Result<Reply, Refused>>);

impl Pending {
    /// Waits until the command is durable, or refused.
    pub(crate) async fn reply(self) -> Result<Reply, Refused> {
        self.0.await.unwrap_or(Err(Refused::Stopped))
    }
}

impl Writer {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        store: Arc<dyn Store>,
        ids_applied: Arc<AtomicU64>,
        disk: Disk,
    ) -> Self {
        Self { requests, store, ids_applied, disk }
    }

    /// Applies one command and waits until it is durable.
    pub(crate) async fn apply(&self, command: Command) -> Result<Reply, Refused> {
        let mut replies = self.apply_many(vec![command]).await;
        replies.pop().unwrap_or(Err(Refused::Stopped))
    }

    /// Queues one command without a client-made id; queued commands are applied in order.
    pub(crate) async fn enqueue(&self, command: Command) -> Result<Pending, Refused> {
        debug_assert!(command.once().is_none(), "an id must be looked up first");
        self.send(command, 0).await
    }

    /// Applies many commands in order and waits for all; one reply per command, in order.
    pub(crate) async fn apply_many(&self, commands: Vec<Command>) -> Vec<Result<Reply, Refused>> {
        if commands.iter().any(makes_work) && !self.has_room() {
            return vec![Err(Refused::DiskFull); commands.len()];
        }
        let mut replies = Vec::with_capacity(commands.len());
        let mut rest = commands;
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(LOOKUP_CHUNK));
            replies.extend(self.queue_chunk(std::mem::replace(&mut rest, later)).await);
        }
        let mut answers = Vec::with_capacity(replies.len());
        for (pending, again) in replies {
            let first = match pending {
                Ok(pending) => pending.reply().await,
                Err(refused) => Err(refused),
            };
            answers.push(match (first, again) {
                (Err(Refused::LookUpAgain), Some(command)) => self.retry(command).await,
                (answer, _) => answer,
            });
        }
        answers
    }

    /// A disk that does not tell how full it is is left to the commit.
    fn has_room(&self) -> bool {
        !self.disk.room_for_commands().is_err_and(|error| is_full(&error))
    }

    /// Why each of these tasks waits; `None` where it does not.
    pub(crate) async fn waiting_reasons(&self, tasks: Vec<TaskId>) -> Vec<Option<String>> {
        let (count, (reply, reasons)) = (tasks.len(), oneshot::channel());
        let sent = self.requests.send(Request::WhyWaiting { tasks, reply }).await;
        match sent {
            Ok(()) => reasons.await.unwrap_or_else(|_| vec![None; count]),
            Err(_) => vec![None; count],
        }
    }

    /// Which nodes could run something that needs `need`, and why it would wait.
    pub(crate) async fn prospects(&self, need: Need) -> Result<Prospects, Refused> {
        let (reply, prospects) = oneshot::channel();
        self.requests.send(Request::Prospects { need, reply }).await.map_err(|_| Refused::Stopped)?;
        prospects.await.map_err(|_| Refused::Stopped)
    }

    /// Where an open task stands and what keeps it there; `None` where it has ended.
    pub(crate) async fn explain(&self, task: TaskId) -> Result<Option<Explanation>, Refused> {
        let (reply, explanation) = oneshot::channel();
        self.requests.send(Request::Explain { task, reply }).await.map_err(|_| Refused::Stopped)?;
        explanation.await.map_err(|_| Refused::Stopped)
    }

    /// What the work of these nodes has shown.
    pub(crate) async fn merits(&self, nodes: Vec<NodeId>) -> Result<Vec<NodeMerit>, Refused> {
        let (reply, merits) = oneshot::channel();
        self.requests.send(Request::Merits { nodes, reply }).await.map_err(|_| Refused::Stopped)?;
        merits.await.map_err(|_| Refused::Stopped)
    }

    /// Whether the pool holds back because most nodes vanished at once.
    pub(crate) async fn brakes(&self) -> Result<bool, Refused> {
        let (reply, brakes) = oneshot::channel();
        self.requests.send(Request::Brakes { reply }).await.map_err(|_| Refused::Stopped)?;
        brakes.await.map_err(|_| Refused::Stopped)
    }

    /// A copy of the nodes that are given work, and how many more are linked and are given none.
    pub(crate) async fn fleet(&self) -> Result<(Fleet, usize), Refused> {
        let (reply, fleet) = oneshot::channel();
        self.requests.send(Request::Fleet { reply }).await.map_err(|_| Refused::Stopped)?;
        fleet.await.map_err(|_| Refused::Stopped)
    }

    /// Those of `tasks` that the engine does not have among its open ones.
    pub(crate) async fn not_open(&self, tasks: Vec<TaskId>) -> Result<Vec<TaskId>, Refused> {
        let (reply, missing) = oneshot::channel();
        self.requests.send(Request::NotOpen { tasks, reply }).await.map_err(|_| Refused::Stopped)?;
        missing.await.map_err(|_| Refused::Stopped)
    }

    /// How many requests wait for the writer.
    pub(crate) fn queued(&self) -> usize {
        self.requests.max_capacity().saturating_sub(self.requests.capacity())
    }

    /// True while commands are taken.
    pub(crate) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Looks up and queues; the command is kept where a late lookup may make a second try needed.
    async fn queue_chunk(&self, mut commands: Vec<Command>) -> Vec<(Result<Pending, Refused>, Option<Command>)> {
        let looked_up_at = self.ids_applied.load(Ordering::Acquire);
        let found = self.look_up(&mut commands).await;
        let mut queued = Vec::with_capacity(commands.len());
        for command in commands {
            if let Err(refused) = &found {
                queued.push((Err(refused.clone()), None));
                continue;
            }
            let again = command.once().is_some().then(|| command.clone());
            queued.push((self.send(command, looked_up_at).await, again));
        }
        queued
    }

    async fn retry(&self, command: Command) -> Result<Reply, Refused> {
        for _ in 0..LOOKUP_TRIES {
            let looked_up_at = self.ids_applied.load(Ordering::Acquire);
            let mut command = vec![command.clone()];
            self.look_up(&mut command).await?;
            for command in command {
                match self.send(command, looked_up_at).await?.reply().await {
                    Err(Refused::LookUpAgain) => {}
                    answer => return answer,
                }
            }
        }
        Err(Refused::LookUpAgain)
    }

    async fn look_up(&self, commands: &mut [Command]) -> Result<(), Refused> {
        let keys: Vec<RequestKey> = commands.iter().filter_map(|command| Some(command.once()?.key.clone())).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let rows = self.store.requests(&keys).await.map_err(|error| Refused::Store(Arc::new(error)))?;
        let rows: HashMap<(u64, String), _> =
            rows.into_iter().map(|row| ((row.key.user.0, row.key.id.clone()), row)).collect();
        for once in commands.iter_mut().filter_map(Command::once_mut) {
            once.stored = rows.get(&(once.key.user.0, once.key.id.clone())).cloned();
        }
        Ok(())
    }

    async fn send(&self, command: Command, looked_up_at: u64) -> Result<Pending, Refused> {
        let (reply, pending) = oneshot::channel();
        let request = Request::Apply { command, looked_up_at, reply };
        self.requests.send(request).await.map_err(|_| Refused::Stopped)?;
        Ok(Pending(pending))
    }
}

/// Whether a stranger's command adds rows that only grow in number. What ends, stops or gives back
/// is always taken.
fn makes_work(command: &Command) -> bool {
    match command {
        Command::Register { .. }
        | Command::Invite { .. }
        | Command::RegisterProject { .. }
        | Command::Tip { .. }
        | Command::Transfer { .. }
        | Command::Submit { .. }
        | Command::Reuse { .. }
        | Command::SubmitGraph { .. }
        | Command::Enroll { .. } => true,
        Command::OpenSession { .. }
        | Command::ExchangeSecret { .. }
        | Command::EndSession { .. }
        | Command::NoteUse { .. }
        | Command::CloseProject { .. }
        | Command::CollectTips { .. }
        | Command::Cancel { .. }
        | Command::Connected { .. }
        | Command::Disconnected { .. }
        | Command::SetNode { .. }
        | Command::Lost { .. }
        | Command::Drain { .. }
        | Command::Avail { .. }
        | Command::Measured { .. }
        | Command::Started { .. }
        | Command::Finished { .. }
        | Command::Compared { .. }
        | Command::Incomparable { .. }
        | Command::Tick => false,
    }
}
