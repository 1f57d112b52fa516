//! The pool as one deterministic state machine.
//!
//! `apply(command, now) -> changes + effects + reply`. Start at [`Engine::apply`]; what happens to
//! an element is decided in `life`; what a batch must do to stored rows is written down in
//! [`tables`].
//!
//! The caller applies a few commands, calls [`Engine::schedule`] once, writes what
//! [`Engine::take_batch`] gives in one transaction, and only then sends replies and effects.
//! Where that write fails it throws the engine away and starts again from [`Engine::restore`].
//!
//! Invariant: no clock, no randomness, no I/O, no async; equal commands give equal states. A
//! broken invariant is a bug and panics with the invariant's name, also in release builds, before
//! anything of it can be stored.

mod accounts;
mod after;
mod attempts;
mod avail;
mod backlog;
mod batch;
mod brake;
mod check;
mod copies;
mod elements;
mod explain;
mod guard;
mod large;
mod life;
mod meter;
mod nodes;
mod once;
mod patience;
mod poison;
mod projects;
mod queue;
mod recent;
mod record;
mod rest;
mod restore;
mod retries;
mod reuse;
mod rewards;
mod schedule;
mod service;
mod sessions;
mod shares;
mod spans;
mod standing;
mod state;
mod submit;
pub mod tables;
mod tasks;
mod tick;
mod trust;
mod unknown;
mod view;
mod waits;

pub use batch::Batch;
pub use brake::BrakeView;
pub use explain::{Explanation, Faults, KeptWhy, MOST_BEFORE, Place, Resting, WhereItRuns, WhyItWaits};
pub use hivemind_trust::Secret;
pub use view::{Counts, LinkState, NodeMerit, NodeStatus};
pub use waits::{BlockedBy, MOST_BLOCKERS};

use accounts::{Registration, Transfer};
use after::{Dependants, Fallout};
use backlog::Backlogs;
use batch::Pending;
use brake::MassLoss;
use copies::Copies;
use guard::{Invitations, SignUps};
use hivemind_ledger::Ledger;
use hivemind_model::rows::{ClockRow, Counters, InvitationRow, ProjectRow};
use hivemind_model::{
    AttemptRef, Command, ElementRef, NodeId, Policy, ProjectId, Rejection, Reply, Resources, TaskId, Timestamp, UserId,
};
use hivemind_placement::{Cursor, Fleet, Reservation};
use once::OnceWindow;
use patience::Bound;
use poison::Suspects;
use projects::Tip;
use queue::Queue;
use recent::Recent;
use sessions::Sessions;
use shares::Shares;
use standing::first_period;
use state::{Live, Node, Task, User};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use submit::{Graph, Offer};
use unknown::Ghosts;

/// The state of a pool.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    ledger: Ledger,
    counters: Counters,
    users: BTreeMap<UserId, User>,
    /// Folded names.
    usernames: BTreeMap<String, UserId>,
    nodes: BTreeMap<NodeId, Node>,
    /// Folded names.
    node_names: BTreeMap<String, NodeId>,
    /// Nodes that take work, full or not.
    fleet: Fleet,
    /// Those of them that have something free.
    placeable: BTreeSet<NodeId>,
    /// What all linked nodes offer together; `None` where that has to be counted anew.
    whole: Option<Resources>,
    /// Tasks that have not ended.
    tasks: BTreeMap<TaskId, Task>,
    /// How many of them run.
    running_tasks: usize,
    /// Tasks that ended lately, for those who ask late.
    recent: Recent,
    /// Which open tasks wait for which.
    dependants: Dependants,
    /// What still follows from what ended in this command; empty between commands.
    fallout: VecDeque<Fallout>,
    /// When tasks, or those of their elements that were never tried, are given up.
    patience: BTreeSet<(Timestamp, TaskId, Bound)>,
    /// Every attempt that is handed out or runs.
    live: BTreeMap<AttemptRef, Live>,
    /// Live elements of which copies are compared.
    panels: BTreeMap<ElementRef, Copies>,
    /// Nodes that were found wrong, by owner.
    offenders: BTreeMap<UserId, BTreeSet<NodeId>>,
    /// Nodes that have used up what they may take today.
    spent: BTreeSet<NodeId>,
    /// The day whose quota they were given last, counted from the epoch; `None` after a start.
    quotas_of: Option<i64>,
    /// What the coin of spot checks hangs on.
    secret: Secret,
    /// Elements that may be placed now.
    queue: Queue,
    /// Elements that may be placed later, with the nodes where they failed.
    delayed: BTreeMap<(Timestamp, ElementRef), Vec<NodeId>>,
    /// When live attempts are overdue.
    deadlines: BTreeSet<(Timestamp, AttemptRef)>,
    /// When drains are at their deadline.
    drains: BTreeSet<(Timestamp, NodeId)>,
    /// Nodes that are lost, and what is thought of that.
    losses: MassLoss,
    /// When unknown attempts are tried elsewhere.
    unknown: BTreeSet<(Timestamp, AttemptRef)>,
    /// Attempts that were given up with their node, and may come back with it.
    ghosts: Ghosts,
    /// Where elements failed that may be poison.
    suspects: Suspects,
    /// When nodes have rested.
    rests: BTreeSet<(Timestamp, NodeId)>,
    /// What nodes are handed in advance.
    backlogs: Backlogs,
    used_tokens: BTreeMap<String, Timestamp>,
    token_expiry: BTreeSet<(Timestamp, String)>,
    once: OnceWindow,
    /// Who the users are, by what their addresses tell.
    persons: BTreeMap<String, UserId>,
    invitations: Invitations,
    sessions: Sessions,
    signups: SignUps,
    projects: BTreeMap<ProjectId, ProjectRow>,
    /// Folded names.
    project_names: BTreeMap<String, ProjectId>,
    /// When running attempts are metered next.
    meters: BTreeSet<(Timestamp, AttemptRef)>,
    /// When holds expire.
    expiries: BTreeSet<(Timestamp, TaskId)>,
    clock: ClockRow,
    /// The newest time that came in.
    seen_at: Timestamp,
    /// True where a pass could place something that the one before could not.
    stirred: bool,
    /// True where a pass asked for further copies of what it placed.
    more_copies: bool,
    /// Where the pass before stopped looking.
    resume: Option<Cursor>,
    /// The node that is kept free, and for what.
    reserved: Option<Reservation>,
    /// What requesters have used.
    shares: Shares,
    /// Passes made; the seed of the next.
    passes: u64,
    pending: Pending,
}

/// The state cannot be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored state breaks {invariant}: {detail}")]
pub struct Violation {
    /// Which invariant, `L1` to `T8`.
    pub invariant: &'static str,
    /// What was found.
    pub detail: String,
}

impl Engine {
    /// Founds a pool: the whole supply in the treasury.
    #[must_use]
    pub fn found(policy: Policy, now: Timestamp) -> Self {
        let clock = first_period(now, policy.economy.rewards.period);
        let counters = Counters { user: 1, node: 1, task: 1, project: 1, session: 1 };
        let mut engine = Self::empty(policy, Ledger::found(now), counters, clock);
        engine.pending.counters_moved = true;
        engine.pending.clock_moved = true;
        engine
    }

    /// Applies one command at `now`, the pool's clock; a time before one that came in earlier
    /// counts as that. Beside what the command does, reward periods that have ended are closed.
    ///
    /// # Errors
    /// The refusal; nothing has changed but a remembered client-made id.
    pub fn apply(&mut self, command: Command, now: Timestamp) -> Result<Reply, Rejection> {
        let now = self.enter(now);
        let reply = self.decide(command, now);
        self.follow(now);
        reply
    }

    fn decide(&mut self, command: Command, now: Timestamp) -> Result<Reply, Rejection> {
        match command {
            Command::Register { username, email, password_hash, role, from, invitation } => {
                self.register(Registration { username, email, password_hash, role, from, invitation }, now)
            }
            Command::Invite { by, digest, uses, expires_at } => {
                self.invite(InvitationRow { digest, uses_left: uses, expires_at, made_by: by }, now)
            }
            Command::OpenSession { user, grant } => self.open_session(user, grant, now),
            Command::ExchangeSecret { session, shown, fresh, expires_at } => {
                self.exchange_secret(session, shown, fresh, expires_at, now)
            }
            Command::EndSession { user, session, kind } => self.end_session(user, session, kind),
            Command::NoteUse { session } => {
                self.note_use(session, now);
                Ok(Reply::Done)
            }
            Command::RegisterProject { owner, name, repository } => self.register_project(owner, name, repository, now),
            Command::CloseProject { owner, project } => self.close_project(owner, &project, now),
            Command::CollectTips { owner, project } => self.collect_tips(owner, &project, now),
            Command::Tip { from, project, amount, message, once } => {
                self.tip(Tip { from, project, amount, message }, once, now)
            }
            Command::Transfer { from, to_username, amount, once } => {
                self.transfer(Transfer { from, to_username, amount }, once, now)
            }
            Command::Submit { user, spec, max_price, ended, once } => {
                self.submit(user, Offer { spec, max_price, ended }, once, now)
            }
            Command::Reuse { user, spec, known, once } => self.reuse(user, spec, known, once, now),
            Command::SubmitGraph { user, tasks, max_price, ended, once } => {
                self.submit_graph(user, Graph { tasks, max_price, ended }, once, now)
            }
            Command::Cancel { user, task, elements } => self.cancel(user, task, elements.as_ref(), now),
            Command::Enroll { owner, offer, token } => self.enroll(owner, offer, token, now),
            Command::SetNode { by, node, change } => self.set_node(by, &node, change, now),
            Command::Connected { node, session, offer, holds } => self.connected(node, session, offer, &holds, now),
            Command::Disconnected { node, session } => self.disconnected(node, session, now),
            Command::Lost { node } => self.lost(node, now),
            Command::Drain { node, session } => self.drain(node, session, now),
            Command::Avail { node, session, state } => self.avail(node, session, state, now),
            Command::Measured { node, speed } => {
                self.note_benchmark(node, speed);
                Ok(Reply::Done)
            }
            Command::Started { node, attempt } => self.started(node, attempt, now),
            Command::Finished { node, attempt, report } => self.finished(node, attempt, report, now),
            Command::Compared { attempt, same_as } => {
                self.compared(attempt, same_as, now);
                Ok(Reply::Done)
            }
            Command::Incomparable { attempt, reason } => {
                self.incomparable(attempt, &reason, now);
                Ok(Reply::Done)
            }
            Command::Tick => self.tick(now),
        }
    }

    /// With the secret on which spot checks hang: whoever knows it knows which results are checked.
    #[must_use]
    pub fn with_secret(mut self, secret: Secret) -> Self {
        self.secret = secret;
        self
    }

    /// What the operator decided.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The books.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn empty(policy: Policy, ledger: Ledger, counters: Counters, clock: ClockRow) -> Self {
        let shares = Shares::new(clock.awake_at, policy.scheduling.half_life);
        Self {
            persons: BTreeMap::new(),
            invitations: Invitations::default(),
            sessions: Sessions::default(),
            signups: SignUps::default(),
            projects: BTreeMap::new(),
            project_names: BTreeMap::new(),
            meters: BTreeSet::new(),
            expiries: BTreeSet::new(),
            clock,
            seen_at: clock.awake_at.max(ledger.last_at()),
            policy,
            ledger,
            counters,
            users: BTreeMap::new(),
            usernames: BTreeMap::new(),
            nodes: BTreeMap::new(),
            node_names: BTreeMap::new(),
            fleet: Fleet::default(),
            placeable: BTreeSet::new(),
            whole: None,
            panels: BTreeMap::new(),
            offenders: BTreeMap::new(),
            spent: BTreeSet::new(),
            quotas_of: None,
            secret: Secret::new([0; 32]),
            tasks: BTreeMap::new(),
            running_tasks: 0,
            recent: Recent::default(),
            dependants: BTreeMap::new(),
            fallout: VecDeque::new(),
            patience: BTreeSet::new(),
            live: BTreeMap::new(),
            queue: Queue::default(),
            delayed: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            drains: BTreeSet::new(),
            losses: MassLoss::default(),
            unknown: BTreeSet::new(),
            ghosts: Ghosts::default(),
            suspects: Suspects::default(),
            rests: BTreeSet::new(),
            backlogs: Backlogs::default(),
            used_tokens: BTreeMap::new(),
            token_expiry: BTreeSet::new(),
            once: OnceWindow::default(),
            stirred: false,
            more_copies: false,
            resume: None,
            reserved: None,
            shares,
            passes: 0,
            pending: Pending::default(),
        }
    }
}

#[cfg(test)]
mod tests;
