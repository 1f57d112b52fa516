//! What the pool remembers: one type per table, and the batch of them that one commit writes.
//!
//! The journal and the accounts have their rows in the ledger.
//!
//! Invariant: a row holds facts; what can be derived from other rows is not in it.

use crate::egress::EgressPolicy;
use crate::ids::{AttemptRef, ElementRef, NodeId, SessionId, TaskId, UserId};
use crate::node::{Isolation, Kinds, Labels};
use crate::rejection::Rejection;
use crate::resources::Resources;
use crate::service::Service;
use crate::spec::{BlobRef, Digest, TaskSpec};
use crate::state::{Metering, Outcome, TaskState};
use crate::units::{Bytes, Cpt, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod money;
mod session;
mod standing;
mod trust;
pub use money::{ClockRow, InvitationRow, ProjectRow, ProjectState, RewardRow, StandingRow, Tally, TipRow, UsageRow};
pub use session::SessionRow;
pub use standing::{GridRow, Standing};
pub use trust::TrustRow;

/// What a user may do beyond their own things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Submits tasks and shares machines.
    Member,
    /// Runs the pool: sees every node and the books.
    Operator,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// Given at registration.
    pub id: UserId,
    /// Unique in the pool; as it was given.
    pub username: String,
    /// As it was given; not verified.
    pub email: String,
    /// Argon2id in PHC form. Never leaves the pool.
    pub password_hash: String,
    /// What they may do.
    pub role: Role,
    /// When they registered.
    pub registered_at: Timestamp,
    /// The network that they registered from, where it is counted: an IPv4 address, or the first
    /// 64 bits of an IPv6 address. Empty where not.
    pub registered_from: String,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Given at enrolment.
    pub id: NodeId,
    /// Unique in the pool; chosen by the owner (the API's `node_id`).
    pub name: String,
    /// Who earns.
    pub owner: UserId,
    /// What it offers.
    pub capacity: Resources,
    /// The graphics processor, for people; empty where there is none.
    pub gpu_info: String,
    /// When it was first enrolled.
    pub enrolled_at: Timestamp,
    /// When it last connected or was last lost.
    pub seen_at: Timestamp,
    /// Whether it gets work.
    pub service: Service,
    /// What its owner says of it.
    pub labels: Labels,
    /// How well its runtime isolates.
    pub isolation: Isolation,
    /// What kinds of programs it runs.
    pub kinds: Kinds,
    /// What its owner lets tasks reach.
    pub egress: EgressPolicy,
}

/// Where one element stands between its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum ElementPhase {
    /// May be placed from this moment on, once nothing that it waits for is open.
    Waiting {
        /// Zero where at once.
        not_before: Timestamp,
    },
    /// An attempt is live, or copies of it are being compared.
    Live,
    /// Over.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

/// The compact state of one element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Attempts made so far; also the number of the newest.
    pub attempts: u32,
    /// How many of them failed through no fault of the task.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub faults: u32,
    /// How many of those were images that could not be fetched.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_faults: u32,
    /// The number of the attempt whose result counts, where its copies were compared; zero where it is
    /// the newest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accepted: u32,
    /// How many attempts failed by the task's own doing and were tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Where it stands.
    #[serde(flatten)]
    pub phase: ElementPhase,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Element {
    /// One that was never tried.
    pub const FRESH: Self = Self {
        attempts: 0,
        faults: 0,
        image_faults: 0,
        accepted: 0,
        failures: 0,
        phase: ElementPhase::Waiting { not_before: Timestamp(0) },
    };
}

/// Elements of one chunk.
pub const CHUNK: u32 = 1024;

/// The elements of a task at positions `chunk * CHUNK` and on, at most [`CHUNK`] of them. The position
/// of an element is its place in the ascending list of the task's indices. A chunk of which no element
/// was ever tried has no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRow {
    /// Whose.
    pub task: TaskId,
    /// Which, from 0.
    pub chunk: u32,
    /// All of them, in order; equal neighbours are counted, not repeated.
    pub runs: Vec<(u32, Element)>,
}

/// How many elements of a task ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// With exit code 0.
    pub completed: u32,
    /// In any other way that is not the next.
    pub failed: u32,
    /// On the requester's word.
    pub cancelled: u32,
}

impl Ended {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.completed + self.failed + self.cancelled
    }
}

/// The part of a task that changes, but for its elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskProgress {
    /// Which task.
    pub id: TaskId,
    /// Where it stands.
    pub state: TaskState,
    /// When it reached its terminal state.
    pub ended_at: Option<Timestamp>,
    /// What has been paid for it.
    pub cost: Cpt,
    /// Of its elements; kept here so that lists need not read them all.
    pub ended: Ended,
    /// How the first element that ended without success ended.
    pub failure: Option<Outcome>,
    /// The attempt of an equal task whose result it has, where it was never run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<AttemptRef>,
}

/// What was submitted, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Who pays.
    pub user: UserId,
    /// What they asked for; never changes.
    pub spec: Arc<TaskSpec>,
    /// When it was accepted.
    pub submitted_at: Timestamp,
    /// The hold taken at submission: the most it can cost.
    pub cap: Cpt,
    /// The part that changes.
    pub progress: TaskProgress,
}

impl TaskRow {
    /// Its first element; of a plain task the only one.
    #[must_use]
    pub fn first(&self) -> ElementRef {
        let index = self.spec.array.as_ref().map_or(0, |array| array.indices.first());
        ElementRef { task: self.progress.id, index }
    }

    /// The element whose attempts have the result of `at`, an element of this task: itself, or that of the equal
    /// task whose result it took.
    #[must_use]
    pub fn source(&self, at: ElementRef) -> ElementRef {
        self.progress.reused.map_or(at, |known| known.element)
    }
}

/// Bytes of output that an attempt wrote and the pool keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLengths {
    /// Standard output.
    pub stdout: Bytes,
    /// Standard error.
    pub stderr: Bytes,
    /// True where the attempt wrote more than is kept.
    pub cut: bool,
}

/// What a node reports at the end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub metering: Metering,
    /// What it wrote to its streams.
    pub logs: LogLengths,
    /// The content-addressed id of the image that ran; empty where none did.
    pub image_id: String,
    /// A tar archive of the files it left under `/task/output`; `None` where it left none.
    pub output: Option<BlobRef>,
    /// Of what is compared where results are verified: the archive, or, where there is none,
    /// standard output. The pool computes it from what it received; `None` where nothing is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Life of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum AttemptPhase {
    /// Handed out.
    Assigned,
    /// Its command runs.
    Running {
        /// When the pool heard so.
        started_at: Timestamp,
    },
    /// Its result is here, and is compared with those of others before it is accepted and paid.
    Reported {
        /// What was reported.
        report: Report,
        /// What becomes of it.
        ballot: Ballot,
    },
    /// Over.
    Ended {
        /// When the pool accepted the end.
        ended_at: Timestamp,
        /// What was reported, or what the pool concluded.
        report: Report,
        /// What the owner was paid.
        cost: Cpt,
    },
}

/// A result that is compared with others, as a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// When it came.
    pub at: Timestamp,
    /// What its owner is paid if it is right.
    pub due: Cpt,
    /// How many came before it.
    pub place: u32,
    /// The trust of its node when it came.
    pub trust: u16,
    /// True where its node was caught before and is not known again.
    pub suspect: bool,
    /// True where its owner was caught since: it counts no longer.
    pub struck: bool,
}

/// One try on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRow {
    /// Which.
    pub attempt: AttemptRef,
    /// Where.
    pub node: NodeId,
    /// When it was handed out.
    pub assigned_at: Timestamp,
    /// Where it stands.
    #[serde(flatten)]
    pub phase: AttemptPhase,
}

/// A client-made id, whom it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestKey {
    /// Whose.
    pub user: UserId,
    /// As the client made it; at most 128 bytes.
    pub id: String,
}

/// What became of a request with a client-made id. The same id always gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    /// The id.
    pub key: RequestKey,
    /// SHA-256 of the request without the id: the same id with another body is refused.
    pub body: [u8; 32],
    /// What was answered.
    pub answer: Answer,
}

/// The remembered answer to a request with a client-made id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// A task was accepted.
    Submitted {
        /// Its id.
        task: TaskId,
        /// Its hold.
        cap: Cpt,
    },
    /// A graph of tasks was accepted.
    SubmittedGraph {
        /// Ids and holds, in the order in which they were given.
        tasks: Vec<(TaskId, Cpt)>,
    },
    /// A transfer or a tip was made.
    Transferred {
        /// What the sender could spend afterwards.
        balance: Cpt,
    },
    /// It was refused; an id that failed stays failed.
    Refused {
        /// Why.
        rejection: Rejection,
    },
}

/// The next ids to give; one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Next user id.
    pub user: u64,
    /// Next node id.
    pub node: u64,
    /// Next task id.
    pub task: u64,
    /// Next project id.
    pub project: u64,
    /// Next session id.
    pub session: u64,
}

/// A join token that was used, kept until it would have expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedToken {
    /// The token's own id.
    pub id: String,
    /// When it can be forgotten.
    pub expires_at: Timestamp,
}

/// The row changes of one batch, at most one per row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowChanges {
    /// New or changed.
    pub users: Vec<UserRow>,
    /// New or changed.
    pub nodes: Vec<NodeRow>,
    /// New, as they stand at the end of the batch.
    pub new_tasks: Vec<TaskRow>,
    /// Changes to tasks that were there before the batch.
    pub tasks: Vec<TaskProgress>,
    /// New or changed.
    pub chunks: Vec<ChunkRow>,
    /// New or changed.
    pub attempts: Vec<AttemptRow>,
    /// New.
    pub requests: Vec<RequestRow>,
    /// New.
    pub used_tokens: Vec<UsedToken>,
    /// Forgotten.
    pub expired_tokens: Vec<String>,
    /// Where an id was given.
    pub counters: Option<Counters>,
    /// New or changed.
    pub standings: Vec<StandingRow>,
    /// New.
    pub rewards: Vec<RewardRow>,
    /// New or changed.
    pub projects: Vec<ProjectRow>,
    /// New.
    pub tips: Vec<TipRow>,
    /// New or changed.
    pub invitations: Vec<InvitationRow>,
    /// Used up or expired.
    pub ended_invitations: Vec<[u8; 32]>,
    /// New or changed.
    pub sessions: Vec<SessionRow>,
    /// Ended.
    pub ended_sessions: Vec<SessionId>,
    /// Where it moved.
    pub clock: Option<ClockRow>,
    /// New or changed.
    pub usages: Vec<UsageRow>,
    /// New or changed.
    pub trusts: Vec<TrustRow>,
}

/// What must be in memory for the engine to go on: everything but what has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// All.
    pub users: Vec<UserRow>,
    /// All.
    pub nodes: Vec<NodeRow>,
    /// Those not in a terminal state.
    pub tasks: Vec<TaskRow>,
    /// Those of these tasks, as far as they are stored.
    pub chunks: Vec<ChunkRow>,
    /// Those not ended.
    pub attempts: Vec<AttemptRow>,
    /// All.
    pub used_tokens: Vec<UsedToken>,
    /// The next ids.
    pub counters: Counters,
    /// All.
    pub standings: Vec<StandingRow>,
    /// All.
    pub projects: Vec<ProjectRow>,
    /// All.
    pub invitations: Vec<InvitationRow>,
    /// All.
    pub sessions: Vec<SessionRow>,
    /// Where the pool stood in time.
    pub clock: ClockRow,
    /// All.
    pub usages: Vec<UsageRow>,
    /// All.
    pub trusts: Vec<TrustRow>,
}
