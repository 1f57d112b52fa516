//! What every service of one pool shares.
//!
//! Start at [`Shared::caller`] for who calls. [`Shared`] is also where durable batches go: live
//! tables first, then effects to the links and events to the watchers.
//!
//! Invariant: holds no engine; whoever wants a change asks the writer.

use crate::auth::Auth;
use crate::blobs::Blobs;
use crate::board::{Board, Followed};
use crate::clock::Clock;
use crate::compare::Question;
use crate::disk::Disk;
use crate::entries::Entries;
use crate::figures::Figures;
use crate::files::Files;
use crate::gate::{self, Gate};
use crate::hub::{Event, Hub};
use crate::links::{Links, Outgoing};
use crate::liveness::Liveness;
use crate::logs::Logs;
use crate::monitor::Monitor;
use crate::monitor::benchmark::Benchmark;
use crate::scopes;
use crate::secrets::{self, Chain};
use crate::server::Peer;
use crate::sessions::Sessions;
use crate::status;
use crate::tokens::{Caller, Tokens};
use crate::turns::Turns;
use crate::watching::Watching;
use crate::writer::{Durable, Outlet, Writer};
use hivemind_model::rows::{AttemptPhase, NodeRow, Role, RowChanges, StandingRow, TaskRow};
use hivemind_model::session::SessionKind;
use hivemind_model::{
    AttemptRef, Code, Command, Effect, Millis, NodeId, Policy, Rejection, Scope, TaskId, TaskSpec, TaskState,
    Timestamp, UserId,
};
use hivemind_pki::Authority;
use hivemind_proto::worker::{Stop, pool_event};
use hivemind_store::Store;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

/// What follows durable batches.
pub(crate) struct Followers {
    /// What is live.
    pub(crate) board: Board,
    /// Sessions and keys that live.
    pub(crate) sessions: Sessions,
    /// Watchers.
    pub(crate) hub: Hub,
    /// Workers.
    pub(crate) links: Links,
    /// Output of attempts.
    pub(crate) logs: Logs,
    /// What the pool counts of itself.
    pub(crate) figures: Figures,
    /// Who watches the pool, and what changed for them.
    pub(crate) watching: Watching,
    /// Results that are to be compared; never more than there are live copies.
    pub(crate) questions: mpsc::UnboundedSender<Question>,
}

/// See the module.
pub(crate) struct Shared {
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<Clock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Writer,
    pub(crate) live: Arc<Followers>,
    pub(crate) liveness: Liveness,
    /// Work that outlives a stop for a moment holds these two alone, never the store.
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) benchmark: Arc<Benchmark>,
    pub(crate) blobs: Blobs,
    /// Of arrays.
    pub(crate) entries: Entries,
    /// Of output archives.
    pub(crate) files: Files,
    pub(crate) auth: Auth,
    /// The disk with the pool's data.
    pub(crate) disk: Disk,
    pub(crate) tokens: Tokens,
    /// What refresh tokens follow from what.
    pub(crate) chain: Chain,
    pub(crate) gate: Gate,
    /// At reads that can take long.
    pub(crate) turns: Turns,
    pub(crate) authority: Authority,
    /// The address in join tokens.
    pub(crate) server_url: String,
    pub(crate) started_at: Timestamp,
    /// Whether other machines can reach it.
    pub(crate) listens_outside: bool,
    /// Fires when streams are to end.
    pub(crate) closing: CancellationToken,
}

impl Outlet for Followers {
    fn durable(&self, batch: Durable) {
        let Durable { rows, ledger, effects, answers, took } = batch;
        let Followed { ended, waits, tasks_ended, elements_completed } = self.board.follow(&rows);
        if let Some(took) = took {
            self.figures.committed(answers, took);
        }
        self.figures.handed_out(&waits);
        self.figures.done(&tasks_ended, elements_completed, cpu_of(&rows));
        self.watching.follow(&rows, &ledger);
        self.sessions.follow(&rows);
        // The effects tell of moves; that a task is there is the first of them.
        for task in &rows.new_tasks {
            self.hub.publish(task.user, Event::Moved(task.progress.id, TaskState::Pending));
        }
        for effect in effects {
            match effect {
                Effect::Assign { node, session, attempt, spec } => {
                    self.links.send(node, session, Outgoing::Assign(attempt, spec))
                }
                Effect::Stop { node, session, attempt } => {
                    let stop = pool_event::Event::Stop(Stop { attempt: Some(attempt.into()) });
                    self.links.send(node, session, Outgoing::Event(Box::new(stop)));
                }
                Effect::Compare { attempt, with, spec } => {
                    // The comparer ends with the pool; after a restart it is asked again.
                    let _gone = self.questions.send(Question { attempt, with, spec });
                }
                Effect::Unlink { node, session } => self.links.unlink(node, session),
                Effect::TaskMoved { user, task, state, percent: _ } => {
                    self.hub.publish(user, Event::Moved(task, state))
                }
            }
        }
        ended.into_iter().for_each(|attempt| self.logs.end(attempt));
        for row in &rows.attempts {
            let element = row.attempt.element;
            if let Some(user) = self.board.user_of(element.task) {
                self.hub.publish(user, Event::Attempt(element));
            }
        }
    }
}

/// Processor time of the attempts that ended in a batch.
fn cpu_of(rows: &RowChanges) -> Millis {
    let cpu = rows.attempts.iter().map(|row| match &row.phase {
        AttemptPhase::Ended { report, .. } => report.metering.cpu.0,
        AttemptPhase::Assigned | AttemptPhase::Running { .. } | AttemptPhase::Reported { .. } => 0,
    });
    Millis(cpu.fold(0, u64::saturating_add))
}

impl Shared {
    /// Who calls: the bearer of the token or API key in the message, else of the one in the metadata. What it may not be
    /// used for is refused.
    pub(crate) fn caller(&self, token: &str, metadata: &MetadataMap) -> Result<Arc<Caller>, Status> {
        let token = if token.is_empty() { bearer(metadata)? } else { token };
        if token.is_empty() {
            return Err(status::unauthenticated(
                "this call needs a token; log in, then send it in `token` or as `authorization: Bearer` metadata",
            ));
        }
        let caller = if secrets::is_key(token) { self.key_holder(token, metadata)? } else { self.bearer_of(token)? };
        scopes::check(&caller, metadata)?;
        Ok(caller)
    }

    /// The bearer of a user token whose session, where it is of one, lives.
    fn bearer_of(&self, token: &str) -> Result<Arc<Caller>, Status> {
        let caller = self.tokens.user(token).map_err(|why| status::unauthenticated(&why.to_string()))?;
        if caller.session.is_some_and(|session| !self.live.sessions.lives(session, caller.id)) {
            return Err(status::unauthenticated("the session of this token has ended; log in again"));
        }
        Ok(caller)
    }

    /// The holder of an API key. Without the scope `pool` an operator is a member.
    fn key_holder(&self, key: &str, metadata: &MetadataMap) -> Result<Arc<Caller>, Status> {
        let now = self.clock.now();
        let shown = secrets::read_key(key);
        let known = shown.and_then(|shown| {
            let row = self.live.sessions.find(shown.id, SessionKind::Key)?;
            (row.secret == secrets::hash(&shown.secret) && row.expires_at > now).then_some(row)
        });
        let Some(row) = known else {
            let from = gate::origin(metadata);
            self.auth.wrong_secret(from).map_err(|rejection| status::rejected(&rejection))?;
            return Err(status::unauthenticated(
                "the API key is not one of this pool, has ended or was revoked; make another one",
            ));
        };
        if self.live.sessions.is_to_be_noted(&row, now) {
            let (writer, session) = (self.writer.clone(), row.id);
            tokio::spawn(async move {
                if let Err(error) = writer.apply(Command::NoteUse { session }).await {
                    tracing::warn!(%error, %session, "the use of an API key could not be written down");
                }
            });
        }
        let (name, role) =
            self.live.board.user(row.user).ok_or_else(|| {
                status::unauthenticated("the user of this API key is not known, which is a bug; log in")
            })?;
        let role = if row.scopes.has(Scope::Pool) { role } else { Role::Member };
        Ok(Arc::new(Caller {
            id: row.user,
            name: name.to_string(),
            role,
            expires_at: row.expires_at,
            scopes: row.scopes,
            session: Some(row.id),
        }))
    }

    /// The node whose certificate the connection showed.
    pub(crate) fn node_of<T>(&self, request: &Request<T>) -> Result<NodeRow, Status> {
        self.node_until(request).map(|(node, _)| node)
    }

    /// The node whose certificate the connection showed, and when that ends.
    pub(crate) fn node_until<T>(&self, request: &Request<T>) -> Result<(NodeRow, Timestamp), Status> {
        let shown = peer(request).and_then(|peer| peer.node).ok_or_else(|| {
            status::unauthenticated("this call needs a node certificate; join with a join token first")
        })?;
        if shown.until <= self.clock.now() {
            return Err(status::unauthenticated(
                "the node's certificate has ended; connect again with the renewed one",
            ));
        }
        let row = self.live.board.node(shown.id).ok_or_else(|| {
            status::unauthenticated("this pool does not know the node of that certificate; join again")
        })?;
        Ok((row, shown.until))
    }

    /// The task of that id, where it is `user`'s. The refusal is the same whether it never was or is
    /// somebody else's.
    pub(crate) async fn own_task(&self, user: UserId, task_id: &str) -> Result<Result<TaskRow, Rejection>, Status> {
        let id: TaskId = match task_id.parse() {
            Ok(id) => id,
            Err(bad) => return Ok(Err(Rejection::invalid("task_id", bad))),
        };
        // Databases count in signed numbers; no task has a larger id.
        let row = if i64::try_from(id.0).is_ok() {
            self.store.task(id).await.map_err(|error| status::store(&error))?
        } else {
            None
        };
        Ok(row.filter(|row| row.user == user).ok_or_else(|| Rejection::not_found(id)))
    }

    /// The name of a user; their id where nobody has it.
    pub(crate) async fn user_name(&self, user: UserId) -> Result<String, Status> {
        if let Some(name) = self.live.board.user_name(user) {
            return Ok(name.to_string());
        }
        // The board follows the store by a moment.
        let row = self.store.user(user).await.map_err(|error| status::store(&error))?;
        Ok(row.map_or_else(|| user.to_string(), |row| row.username))
    }

    /// How long a node was alive in its whole life, up to now.
    pub(crate) fn runtime(&self, standing: &StandingRow) -> Millis {
        let now = self.clock.now();
        let lately = standing.alive_since.map_or(Millis(0), |since| now.since(since));
        Millis(standing.runtime.0.saturating_add(lately.0))
    }

    /// The specification of an attempt that is live on `node`.
    pub(crate) fn live_attempt(&self, node: NodeId, attempt: AttemptRef) -> Result<Arc<TaskSpec>, Rejection> {
        self.live.board.live_on(node, attempt).ok_or_else(|| stale(attempt))
    }
}

/// The refusal of an attempt that is not, or no longer, live on the node that names it.
pub(crate) fn stale(attempt: AttemptRef) -> Rejection {
    Rejection::new(Code::Stale, format!("{attempt} is not live on this node; forget it"))
}

/// The refusal of everybody but operators.
pub(crate) fn operators_only(caller: &Caller) -> Result<(), Status> {
    match caller.role {
        Role::Operator => Ok(()),
        Role::Member => {
            Err(status::rejected(&Rejection::new(Code::Forbidden, "only operators of the pool may do this")))
        }
    }
}

/// Where a request comes from: as the gateway says, else the connection's own address.
pub(crate) fn address<T>(request: &Request<T>) -> IpAddr {
    gate::origin(request.metadata())
}

fn peer<T>(request: &Request<T>) -> Option<&Peer> {
    request.extensions().get::<Peer>()
}

fn bearer(metadata: &MetadataMap) -> Result<&str, Status> {
    let Some(value) = metadata.get("authorization") else { return Ok("") };
    let text = value.to_str().ok().and_then(|text| text.split_once(' '));
    match text {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(status::unauthenticated("authorization: is not `Bearer <token>`")),
    }
}

/// Whether the metadata carries a bearer token at all.
pub(crate) fn has_bearer(metadata: &MetadataMap) -> bool {
    metadata.contains_key("authorization")
}
