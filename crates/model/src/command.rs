//! What can be asked of the pool, and what it answers.
//!
//! Every command is applied by the one writer, in order, at a time that is an argument.
//!
//! Invariant: a command carries no connection, no secret in clear, and nothing that must be
//! looked up elsewhere to be applied.

use crate::after::When;
use crate::array::Indices;
use crate::egress::EgressPolicy;
use crate::ids::{AttemptRef, NodeId, ProjectId, SessionId, TaskId, UserId};
use crate::node::{Isolation, Kinds, Labels};
use crate::owner::Availability;
use crate::resources::Resources;
use crate::rows::{Report, RequestKey, RequestRow, Role};
use crate::service::NodeChange;
use crate::session::{Exchange, Grant, SecretHash, SessionKind};
use crate::spec::TaskSpec;
use crate::units::{Cpt, Timestamp};
use std::sync::Arc;

/// A client-made id, with what the store already knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Once {
    /// The id and whose it is.
    pub key: RequestKey,
    /// SHA-256 of the request without the id.
    pub body: [u8; 32],
    /// The row the store has for it, if any. The engine itself remembers the newest ones, so a
    /// row that is not durable yet is not missed.
    pub stored: Option<RequestRow>,
}

/// What a machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOffer {
    /// Unique in the pool.
    pub name: String,
    /// What it offers.
    pub capacity: Resources,
    /// The graphics processor, for people.
    pub gpu_info: String,
    /// What its owner says of it.
    pub labels: Labels,
    /// How well its runtime isolates.
    pub isolation: Isolation,
    /// What kinds of programs it runs.
    pub kinds: Kinds,
    /// What its owner lets tasks reach.
    pub egress: EgressPolicy,
}

/// A task that had ended when it was looked up in the store; a task that waits for it needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTask {
    /// Which.
    pub task: TaskId,
    /// Whose.
    pub user: UserId,
    /// Its elements.
    pub indices: Indices,
    /// Those that did not complete; `None` where all did.
    pub failed: Option<Indices>,
}

/// One task of a graph that is submitted whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphTask {
    /// What to do. What it waits for outside the graph is in it.
    pub spec: Arc<TaskSpec>,
    /// What it waits for within the graph: places in the list before its own.
    pub after: Vec<GraphDependency>,
}

/// A dependency within a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphDependency {
    /// Its place in the list.
    pub place: usize,
    /// What must have become of it.
    pub when: When,
    /// Each element waits only for the element of the same index.
    pub each: bool,
}

/// A request to the one writer.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A new user. The name is free and the texts are within bounds, or it is refused.
    Register {
        /// 3 to 32 of `a-z A-Z 0-9 . _ -`, starting with a letter or digit; unique without regard to case.
        username: String,
        /// An address; only its form is checked.
        email: String,
        /// PHC form.
        password_hash: String,
        /// What they may do.
        role: Role,
        /// The network they come from, as [`crate::rows::UserRow::registered_from`] has it; empty where unknown.
        from: String,
        /// SHA-256 of the invitation code that they gave, if any.
        invitation: Option<[u8; 32]>,
    },
    /// A new invitation code; only its digest comes here.
    Invite {
        /// Who makes it; an operator.
        by: UserId,
        /// SHA-256 of the code.
        digest: [u8; 32],
        /// How many accounts it can make.
        uses: u32,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A new session of a browser, or a new API key.
    OpenSession {
        /// Whose.
        user: UserId,
        /// What it is to be.
        grant: Grant,
    },
    /// The secret of a session of a browser is exchanged for another.
    ExchangeSecret {
        /// Which.
        session: SessionId,
        /// The digest of the secret that was shown.
        shown: SecretHash,
        /// The digest of its successor: always the same one for the same secret.
        fresh: SecretHash,
        /// When the session ends now.
        expires_at: Timestamp,
    },
    /// A session or a key ends.
    EndSession {
        /// Whose it must be.
        user: UserId,
        /// Which.
        session: SessionId,
        /// Which of the two it must be.
        kind: SessionKind,
    },
    /// A session or a key was used.
    NoteUse {
        /// Which.
        session: SessionId,
    },
    /// A project that wants tips.
    RegisterProject {
        /// Who collects them.
        owner: UserId,
        /// 2 to 64 of `a-z A-Z 0-9 . _ -`, starting with a letter or digit; unique without regard to case.
        name: String,
        /// An `https://` address.
        repository: String,
    },
    /// A project takes no more tips; what was not collected goes to its owner.
    CloseProject {
        /// Who must own it.
        owner: UserId,
        /// Its name.
        project: String,
    },
    /// The owner of a project takes what was tipped.
    CollectTips {
        /// Who must own it.
        owner: UserId,
        /// Its name.
        project: String,
    },
    /// Money from a user to a project.
    Tip {
        /// Who pays.
        from: UserId,
        /// The project's name.
        project: String,
        /// Above zero.
        amount: Cpt,
        /// Public; may be empty.
        message: String,
        /// Makes a retry harmless.
        once: Option<Once>,
    },
    /// Money from one user to another.
    Transfer {
        /// Who pays.
        from: UserId,
        /// Who gets it.
        to_username: String,
        /// Above zero, at most what is available.
        amount: Cpt,
        /// Makes a retry harmless.
        once: Option<Once>,
    },
    /// A new task; takes the hold.
    Submit {
        /// Who pays.
        user: UserId,
        /// What to do.
        spec: Arc<TaskSpec>,
        /// Refused where the price cap is above this.
        max_price: Option<Cpt>,
        /// What it waits for that had ended when the caller asked the store.
        ended: Vec<EndedTask>,
        /// Makes a retry harmless.
        once: Option<Once>,
    },
    /// A new task that has the result of an equal one: it has completed at once, and costs nothing.
    Reuse {
        /// Whose.
        user: UserId,
        /// What was to be done; a plain task that allows it.
        spec: Arc<TaskSpec>,
        /// The accepted attempt of the equal task of the same user, as the caller found it in the store.
        known: AttemptRef,
        /// Makes a retry harmless.
        once: Option<Once>,
    },
    /// New tasks that wait for one another; all are accepted, or none.
    SubmitGraph {
        /// Who pays.
        user: UserId,
        /// Each after those that it waits for.
        tasks: Vec<GraphTask>,
        /// Refused where all price caps together are above this.
        max_price: Option<Cpt>,
        /// As in [`Command::Submit`].
        ended: Vec<EndedTask>,
        /// Makes a retry harmless.
        once: Option<Once>,
    },
    /// Ends a task, or some of its elements, that have not ended; a running attempt is stopped and
    /// paid up to there.
    Cancel {
        /// Whose it must be.
        user: UserId,
        /// Which.
        task: TaskId,
        /// Which of its elements; `None`: all.
        elements: Option<Indices>,
    },
    /// Enrols a machine, or changes what an enrolled machine of the same owner offers.
    Enroll {
        /// Who earns.
        owner: UserId,
        /// What the machine says of itself.
        offer: NodeOffer,
        /// The join token that allows it, used up by this; `None` for an owner who is logged in.
        token: Option<JoinUse>,
    },
    /// People decide whether a node gets work.
    SetNode {
        /// Its owner, or an operator.
        by: UserId,
        /// Its name.
        node: String,
        /// What they decide.
        change: NodeChange,
    },
    /// A node's link is up; the attempts it still has, running or ended and unacknowledged.
    Connected {
        /// Which.
        node: NodeId,
        /// Numbers the links of a node; grows.
        session: u64,
        /// What it offers now.
        offer: NodeOffer,
        /// What it has.
        holds: Vec<AttemptRef>,
    },
    /// A node's link is down; nothing is placed there, and its attempts keep their lease.
    Disconnected {
        /// Which.
        node: NodeId,
        /// Of that link; an older one changes nothing.
        session: u64,
    },
    /// A node was silent for too long: its attempts go elsewhere.
    Lost {
        /// Which.
        node: NodeId,
    },
    /// A node wants no more work (its owner stops it); live attempts go on.
    Drain {
        /// Which.
        node: NodeId,
        /// Of that link.
        session: u64,
    },
    /// The owner of a node, or a rule of theirs, lets it work or not.
    Avail {
        /// Which.
        node: NodeId,
        /// Of that link.
        session: u64,
        /// From now on.
        state: Availability,
    },
    /// The pool has measured how fast one core of a node is.
    Measured {
        /// Which.
        node: NodeId,
        /// Thousandths of the mean of all that were measured.
        speed: u32,
    },
    /// An attempt's command runs.
    Started {
        /// By whom.
        node: NodeId,
        /// Which.
        attempt: AttemptRef,
    },
    /// An attempt is over.
    Finished {
        /// By whom.
        node: NodeId,
        /// Which.
        attempt: AttemptRef,
        /// How.
        report: Report,
    },
    /// The pool has compared the result of an attempt with those of other copies of its element.
    Compared {
        /// Whose result.
        attempt: AttemptRef,
        /// The first of the others that is the same; `None` where none is.
        same_as: Option<AttemptRef>,
    },
    /// Copies of an element cannot be compared.
    Incomparable {
        /// Whose result.
        attempt: AttemptRef,
        /// Why.
        reason: String,
    },
    /// Time passed: what is due happens (retries, overdue attempts, metering, rewards, expiry).
    Tick,
}

impl Command {
    /// The client-made id, where the command carries one.
    #[must_use]
    pub fn once(&self) -> Option<&Once> {
        match self {
            Self::Transfer { once, .. }
            | Self::Tip { once, .. }
            | Self::Submit { once, .. }
            | Self::Reuse { once, .. }
            | Self::SubmitGraph { once, .. } => once.as_ref(),
            Self::Register { .. }
            | Self::Invite { .. }
            | Self::OpenSession { .. }
            | Self::ExchangeSecret { .. }
            | Self::EndSession { .. }
            | Self::NoteUse { .. }
            | Self::RegisterProject { .. }
            | Self::CloseProject { .. }
            | Self::CollectTips { .. }
            | Self::Cancel { .. }
            | Self::Enroll { .. }
            | Self::Connected { .. }
            | Self::Disconnected { .. }
            | Self::SetNode { .. }
            | Self::Lost { .. }
            | Self::Drain { .. }
            | Self::Avail { .. }
            | Self::Measured { .. }
            | Self::Started { .. }
            | Self::Finished { .. }
            | Self::Compared { .. }
            | Self::Incomparable { .. }
            | Self::Tick => None,
        }
    }

    /// As [`Command::once`], to add what the store knows of it.
    pub fn once_mut(&mut self) -> Option<&mut Once> {
        match self {
            Self::Transfer { once, .. }
            | Self::Tip { once, .. }
            | Self::Submit { once, .. }
            | Self::Reuse { once, .. }
            | Self::SubmitGraph { once, .. } => once.as_mut(),
            Self::Register { .. }
            | Self::Invite { .. }
            | Self::OpenSession { .. }
            | Self::ExchangeSecret { .. }
            | Self::EndSession { .. }
            | Self::NoteUse { .. }
            | Self::RegisterProject { .. }
            | Self::CloseProject { .. }
            | Self::CollectTips { .. }
            | Self::Cancel { .. }
            | Self::Enroll { .. }
            | Self::Connected { .. }
            | Self::Disconnected { .. }
            | Self::SetNode { .. }
            | Self::Lost { .. }
            | Self::Drain { .. }
            | Self::Avail { .. }
            | Self::Measured { .. }
            | Self::Started { .. }
            | Self::Finished { .. }
            | Self::Compared { .. }
            | Self::Incomparable { .. }
            | Self::Tick => None,
        }
    }
}

/// The use of a one-time join token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinUse {
    /// The token's own id.
    pub id: String,
    /// When the token expires.
    pub expires_at: Timestamp,
}

/// What a command answers when it is not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Command::Register`].
    Registered {
        /// The new user.
        user: UserId,
    },
    /// To [`Command::OpenSession`].
    SessionOpened {
        /// The new session.
        session: SessionId,
    },
    /// To [`Command::ExchangeSecret`].
    Exchanged {
        /// What came of it.
        exchange: Exchange,
    },
    /// To [`Command::Transfer`] and [`Command::Tip`].
    Transferred {
        /// What the sender can spend now, free credit included.
        balance: Cpt,
    },
    /// To [`Command::RegisterProject`].
    ProjectRegistered {
        /// The new project.
        project: ProjectId,
    },
    /// To [`Command::CollectTips`] and [`Command::CloseProject`].
    Collected {
        /// What the owner got.
        amount: Cpt,
    },
    /// To [`Command::Submit`] and [`Command::Reuse`].
    Submitted {
        /// The new task.
        task: TaskId,
        /// The hold: the most it can cost.
        cap: Cpt,
    },
    /// To [`Command::SubmitGraph`].
    SubmittedGraph {
        /// Ids and holds, in the order in which they were given.
        tasks: Vec<(TaskId, Cpt)>,
    },
    /// To [`Command::Enroll`].
    Enrolled {
        /// The node.
        node: NodeId,
    },
    /// To [`Command::Connected`]: which of the attempts it holds are no longer its own.
    Connected {
        /// To be stopped and forgotten.
        stale: Vec<AttemptRef>,
    },
    /// To everything else.
    Done,
}
